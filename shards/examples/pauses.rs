//! The longest step of a shard while collections grow large, shrink and go: `cargo run --release --example pauses -- [MEMBERS]`.
//!
//! Each command is timed by the thread's own CPU clock, so that other work of the machine does not count. A command that
//! answers or stores as much as it takes is not here; what is here should cost the same whatever the size.

use std::time::Duration;

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::Counting;
use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry;
use sherd_shards::executor::execute::{call, Call};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::keyspace::shard::Shard;
use sherd_shards::maintenance::expire::Pace;
use sherd_shards::server::settings::Settings;
use sherd_shards::server::world::World;
use sherd_shards::slot::SlotMap;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn prctl(option: i32, ...) -> i32;
}

const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
const PR_SET_THP_DISABLE: i32 = 41;

fn cpu_time() -> Duration {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the structure is the one that the kernel fills, and outlives the call.
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

/// The longest step since the last report, and what it was.
#[derive(Default)]
struct Longest {
    time: Duration,
    at: String,
    steps: usize,
}

struct Bench {
    world: std::sync::Arc<World>,
    shard: Shard,
    longest: Longest,
    out: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let table = sherd_shards::families::install(std::iter::empty());
        let world = World::new(SlotMap::new(1, false), Settings::default()).expect("a thread");
        world.stop_clock();
        let shard = Shard::new(&world, 0, table.commands().len());
        Bench { world, shard, longest: Longest::default(), out: Vec::new() }
    }

    fn timed<R>(&mut self, what: impl FnOnce() -> String, work: impl FnOnce(&mut Self) -> R) -> R {
        let start = cpu_time();
        let result = work(self);
        let time = cpu_time() - start;
        self.longest.steps += 1;
        if time > self.longest.time {
            self.longest.time = time;
            self.longest.at = what();
        }
        result
    }

    /// Runs one command; words are separated by single spaces.
    fn run(&mut self, line: &str) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run_args(&args);
    }

    fn run_args(&mut self, args: &[&[u8]]) {
        let table = registry::table();
        let command = table.find(args[0]).expect("a command");
        let command = args.get(1).and_then(|name| table.find_subcommand(command, name)).unwrap_or(command);
        let what = || {
            args.iter()
                .take(4)
                .map(|arg| String::from_utf8_lossy(&arg[..arg.len().min(20)]))
                .collect::<Vec<_>>()
                .join(" ")
        };
        self.timed(what, |bench| {
            let one = Call {
                command,
                args,
                first_key: (0, 0),
                client: Client {
                    db: 0,
                    protocol: Protocol::Resp2,
                    no_touch: false,
                    tracks: Default::default(),
                    record: None,
                    reply_bytes_max: usize::MAX,
                },
                now_ms: bench.world.now_milliseconds(),
                origin: Origin::Client,
            };
            bench.out.clear();
            call(Shards::one(bench.world.slots, &mut bench.shard), &bench.world, &one, &mut bench.out);
            bench.shard.publish_changes();
        });
        assert_ne!(self.out.first(), Some(&b'-'), "{}", String::from_utf8_lossy(&self.out));
    }

    /// What the shard's own thread does, slice by slice, until nothing has expired any more.
    fn expire(&mut self) {
        self.shard.publish_sizes();
        let mut pace = Pace::default();
        while pace.is_due(&self.world, &self.shard.stats) {
            self.timed(|| "expiry slice".to_owned(), |bench| pace.slice(&mut bench.shard));
        }
    }

    fn report(&mut self, phase: &str) {
        let Longest { time, at, steps } = std::mem::take(&mut self.longest);
        let mark = if time > Duration::from_millis(1) { "  <-- over 1 ms" } else { "" };
        println!("{phase:44} {:9.1} us in {steps:8} steps: {at}{mark}", time.as_secs_f64() * 1e6);
        self.world.reaper.wait_until_idle();
    }

    fn fill(&mut self, kind: Kind, members: usize) {
        for number in 0..members {
            self.run(&kind.add(number));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Hash,
    Set,
    Integers,
    SortedSet,
    List,
    Stream,
}

impl Kind {
    fn add(self, number: usize) -> String {
        match self {
            Kind::Hash => format!("HSET big f{number:08} v{number:015}"),
            Kind::Set => format!("SADD big m{number:09}"),
            Kind::Integers => format!("SADD big {number}"),
            Kind::SortedSet => format!("ZADD big {} m{number:09}", number.wrapping_mul(2_654_435_761) % 1_000_003),
            Kind::List => format!("RPUSH big v{number:015}"),
            Kind::Stream => format!("XADD big {}-1 field v{number:015}", number + 1),
        }
    }

    fn remove(self, number: usize, members: usize) -> String {
        match self {
            Kind::Hash => format!("HDEL big f{number:08}"),
            Kind::Set | Kind::Integers => "SPOP big".to_owned(),
            Kind::SortedSet => "ZPOPMIN big".to_owned(),
            Kind::List => "LPOP big".to_owned(),
            Kind::Stream => format!("XTRIM big MAXLEN {}", members - number - 1),
        }
    }
}

fn collections(bench: &mut Bench, members: usize, only: &str) {
    for kind in [Kind::Hash, Kind::Set, Kind::Integers, Kind::SortedSet, Kind::List, Kind::Stream] {
        let name = format!("{kind:?}");
        if !only.is_empty() && only != name {
            continue;
        }
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing"));
        bench.run("DEL big");
        bench.report(&format!("{name}: DEL"));
        bench.run("SET other x");
        bench.report(&format!("{name}: after DEL"));
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing again"));
        bench.run("UNLINK big");
        bench.report(&format!("{name}: UNLINK"));
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing again"));
        bench.run("SET other x");
        bench.run("RENAME other big");
        bench.report(&format!("{name}: RENAME over it"));
        bench.run("DEL big");
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing again"));
        bench.run("SET big x");
        bench.report(&format!("{name}: SET over it"));
        bench.run("DEL big");
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing again"));
        bench.run("PEXPIRE big 10");
        bench.world.advance_clock(20);
        bench.expire();
        bench.report(&format!("{name}: expiry in the background"));
        bench.fill(kind, members);
        bench.run("PEXPIRE big 10");
        bench.world.advance_clock(20);
        bench.report(&format!("{name}: growing again"));
        bench.run("EXISTS big");
        bench.report(&format!("{name}: expiry by look-up"));
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing again"));
        for number in 0..members {
            bench.run(&kind.remove(number, members));
        }
        bench.report(&format!("{name}: shrinking to nothing"));
        bench.run("DEL big");
        bench.fill(kind, members);
        bench.report(&format!("{name}: growing again"));
        bench.run("FLUSHALL ASYNC");
        bench.report(&format!("{name}: FLUSHALL ASYNC"));
        of_kind(bench, kind, members);
    }
}

/// What only collections of a kind have.
fn of_kind(bench: &mut Bench, kind: Kind, members: usize) {
    match kind {
        Kind::Hash => timed(bench, kind, members, "HPEXPIRE big 1000000000 FIELDS 1 f00000001", |number| {
            format!("HPEXPIRE big 10 FIELDS 1 f{number:08}")
        }),
        Kind::Set => timed(bench, kind, members, "SEXPIRE big 1000000 MEMBERS 1 m000000001", |number| {
            format!("SPEXPIRE big 10 MEMBERS 1 m{number:09}")
        }),
        Kind::Stream => {
            bench.fill(kind, members);
            bench.run("XGROUP CREATE big group 0");
            for _ in 0..members / 100 {
                bench.run("XREADGROUP GROUP group me COUNT 100 STREAMS big >");
            }
            bench.report("Stream: reading by a group, 100 each");
            bench.run("XPENDING big group");
            bench.run("XREADGROUP GROUP group you COUNT 1 CLAIM 1000000000 STREAMS big >");
            bench.report("Stream: first XREADGROUP CLAIM");
            bench.run("XGROUP DELCONSUMER big group me");
            bench.report("Stream: XGROUP DELCONSUMER");
            bench.run("XGROUP DESTROY big group");
            bench.report("Stream: XGROUP DESTROY");
            bench.run("DEL big");
            bench.report("Stream: DEL");
        }
        _ => {}
    }
}

/// The first element that expires, then all of them.
fn timed(bench: &mut Bench, kind: Kind, members: usize, first: &str, each: impl Fn(usize) -> String) {
    bench.fill(kind, members);
    bench.report(&format!("{kind:?}: growing again"));
    bench.run(first);
    bench.report(&format!("{kind:?}: first element with a time"));
    for number in 0..members {
        bench.run(&each(number));
    }
    bench.report(&format!("{kind:?}: a time for each element"));
    bench.world.advance_clock(1000);
    bench.expire();
    bench.report(&format!("{kind:?}: all elements expire"));
    bench.run("DEL big");
}

fn strings(bench: &mut Bench, bytes: usize) {
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..bytes / piece.len() {
        bench.run_args(&[b"APPEND", b"big", &piece]);
    }
    bench.report("String: APPEND of 64 KiB");
    bench.run("APPEND big x");
    bench.report("String: APPEND of 1 byte");
    bench.run("SET other x");
    bench.run("RENAME other big");
    bench.report("String: RENAME over it");
    for at in 1..=bytes / (1 << 20) {
        bench.run(&format!("SETRANGE big {} x", at * (1 << 20) - 1));
    }
    bench.report("String: SETRANGE 1 MiB further");
    bench.run("DEL big");
    bench.report("String: DEL");
    for bit in 1..=bytes / (1 << 20) {
        bench.run(&format!("SETBIT big {} 1", (bit * (1 << 20) - 1) * 8));
    }
    bench.report("String: SETBIT 1 MiB further");
    bench.run("SET big x");
    bench.report("String: SET over it");
    bench.run("DEL big");
}

fn keyspace(bench: &mut Bench, keys: usize) {
    for number in 0..keys {
        bench.run(&format!("SET key:{number:010} v{number:015}"));
    }
    bench.report("keys: growing");
    for number in 0..keys / 2 {
        bench.run(&format!("DEL key:{:010}", number * 2));
    }
    bench.report("keys: every other one deleted");
    for number in 0..keys / 2 {
        bench.run(&format!("SET key:{number:010} v{number:015}"));
    }
    bench.report("keys: filled again");
    bench.run("FLUSHALL ASYNC");
    bench.report("keys: FLUSHALL ASYNC");
    for number in 0..keys / 2 {
        bench.run(&format!("SET key:{number:010} v{number:015}"));
    }
    bench.report("keys: filled again");
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let members = args.first().and_then(|text| text.parse().ok()).unwrap_or(5_000_000);
    let only = args.get(1).map_or("", String::as_str);
    // As the server does unless it is told otherwise: to find and clear a huge page takes milliseconds.
    // SAFETY: the call takes plain numbers and touches no memory of ours.
    unsafe { prctl(PR_SET_THP_DISABLE, 1_u64, 0_u64, 0_u64, 0_u64) };
    let mut bench = Bench::new();
    if only.is_empty() || only == "String" {
        strings(&mut bench, members * 100);
    }
    collections(&mut bench, members, only);
    if only.is_empty() || only == "Keys" {
        keyspace(&mut bench, members);
    }
}
