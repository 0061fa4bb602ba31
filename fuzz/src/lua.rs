//! Scripts: their sources, and what `cjson`, `cmsgpack` and `struct` are given to decode. No input may end the process, whatever
//! a script does; one that goes on for ever is ended as SCRIPT KILL ends it.

#[path = "../../scripts/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use sherd_scripts::host::{Called, Host, Interruption};
use sherd_scripts::runtime::{Program, Run};
use sherd_shards::handler::reply::Protocol;

use support::Bench;

/// What Lua may take; an error is expected where it needs more.
const MEMORY_BYTES_MAX: usize = 32 << 20;
/// How often 100,000 instructions may be executed.
const INTERRUPTIONS_MAX: usize = 5;

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// Answers every command with a text, and ends a script that goes on for too long.
struct Patience {
    left: usize,
}

impl Host for Patience {
    fn call(&mut self, _: &[&[u8]], _: Protocol, out: &mut Vec<u8>) -> Called {
        out.extend_from_slice(b"*2\r\n$2\r\nok\r\n$-1\r\n");
        Called::Replied
    }

    fn logs(&self, _: u8) -> bool {
        true
    }

    fn log(&mut self, _: u8, _: &[u8]) {}

    fn may_call(&mut self, args: &[&[u8]]) -> Option<bool> {
        args.first().map(|name| name.len() > 3)
    }

    fn set_replication(&mut self, _: u8) {}

    fn interruption(&mut self) -> Interruption {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            Interruption::Kill
        } else {
            Interruption::None
        }
    }
}

/// Runs a script with an argument; its reply is a whole one.
fn run(source: &[u8], argument: &[u8]) {
    BENCH.with_borrow_mut(|bench| {
        // Without a Lua nothing would ever be found.
        let bench = bench.get_or_insert_with(|| Bench::new().expect("a Python with lupa, which SHERD_PYTHON may name"));
        bench.runtime.memory().bytes_max = MEMORY_BYTES_MAX;
        let Ok(script) = bench.cache.of_text(source) else { return };
        let program = Program::Script(&script);
        let run =
            Run { program, keys: &[b"key"], args: &[argument], protocol: Protocol::Resp3, reply_bytes_max: usize::MAX };
        let mut reply = Vec::new();
        bench.runtime.run(&run, &mut Patience { left: INTERRUPTIONS_MAX }, &mut reply);
        assert!(reply.ends_with(b"\r\n") && b"+-:$*_#,(=%~".contains(&reply[0]), "{}", String::from_utf8_lossy(&reply));
    });
}

/// Decodes bytes, encodes what came out, and decodes that again: it is the same as far as the library can tell.
const LIBRARIES: [&[u8]; 4] = [
    b"local ok, value = pcall(cjson.decode, ARGV[1]) if not ok then return value end \
      local text = cjson.encode(value) return cjson.encode(cjson.decode(text)) == text",
    b"local values = {pcall(cmsgpack.unpack, ARGV[1])} if not values[1] then return values[2] end \
      return cmsgpack.unpack(cmsgpack.pack(values[2]))",
    b"return {pcall(cmsgpack.unpack_limit, ARGV[1], 2, 1)}",
    b"local format = ARGV[1]:sub(1, 12) return {pcall(struct.unpack, format, ARGV[1]:sub(13)), \
      pcall(struct.pack, format, 1, 'a', 2, 'b'), pcall(struct.size, format)}",
];

/// The first byte says which library.
pub fn libraries(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    run(LIBRARIES[usize::from(*first) % LIBRARIES.len()], rest);
}

/// Any bytes as a script.
pub fn source(data: &[u8]) {
    run(data, b"argument");
}
