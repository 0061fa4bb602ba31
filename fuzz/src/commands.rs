//! Command lines of every data command, run in one shard and over several at once.
//!
//! Promises that are checked, whatever the arguments: no panic; a reply is exactly one well-formed value; an error and a
//! read change nothing; the number of shards cannot be told from the replies; no key but the declared ones is touched;
//! counters agree with what is there; no collection is left empty; and what the reading commands of a type say about a
//! value is consistent in itself.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Instant;

use sherd_ioth::protocol::inline::split_inline;
use sherd_shards::command::registry::{self, Command};
use sherd_shards::command::spec::{flag, Plane};
use sherd_types::number::parse_i64;

use super::keyspace::{table, Keyspace, Variant};
use super::resp::{check_one, strings};
use super::words::Bytes;

/// Commands of one run; more only make inputs slower, not richer.
const COMMANDS_MAX: usize = 48;
/// Steps of the clock, in milliseconds.
const CLOCK_STEPS_MS: [i64; 4] = [1, 1_001, 100_000, 10_000_000_000];

/// One step of a run.
enum Step {
    Clock(i64),
    Command(&'static Command, Vec<Vec<u8>>),
    /// No command, or one whose number of arguments the first check refuses.
    Nothing,
}

/// Runs the command lines that `data` stands for.
///
/// Data that begins with `#` is text: a digit that says the variant, then one inline command a line; `@5000` lets so many
/// milliseconds pass. That is what seeds and regressions are written in, for they stay the same when the command table
/// grows. All else is decoded by [`Bytes`].
pub fn command_lines(data: &[u8]) {
    if let Some(text) = data.strip_prefix(b"#") {
        let variant = Variant::from_bits(text.first().map_or(0, |digit| digit.wrapping_sub(b'0')));
        let lines = text.split(|&byte| byte == b'\n').skip(1).take(COMMANDS_MAX);
        run_steps(variant, lines.map(step_of_line));
        return;
    }
    let mut bytes = Bytes(data);
    let variant = Variant::from_bits(bytes.byte());
    let steps = (0..COMMANDS_MAX).map_while(|_| (!bytes.0.is_empty()).then(|| step_of_bytes(&mut bytes)));
    run_steps(variant, steps);
}

fn step_of_line(line: &[u8]) -> Step {
    if let Some(milliseconds) = line.strip_prefix(b"@").and_then(parse_i64) {
        return Step::Clock(milliseconds.clamp(0, CLOCK_STEPS_MS[3]));
    }
    let words = split_inline(line).unwrap_or_default();
    let command = words.first().and_then(|name| table().find(name));
    match command {
        Some(command) => checked(with_subcommand(command, &words), words),
        None => Step::Nothing,
    }
}

fn step_of_bytes(bytes: &mut Bytes<'_>) -> Step {
    if bytes.0[0] == 0xFF {
        bytes.byte();
        return Step::Clock(CLOCK_STEPS_MS[usize::from(bytes.byte() % 4)]);
    }
    let (command, args) = bytes.command_line();
    checked(command, args)
}

fn checked(command: &'static Command, args: Vec<Vec<u8>>) -> Step {
    if command.spec.accepts(args.len()) && matches!(command.spec.plane, Plane::Data(_)) {
        Step::Command(command, args)
    } else {
        Step::Nothing
    }
}

fn with_subcommand(command: &'static Command, words: &[Vec<u8>]) -> &'static Command {
    words.get(1).and_then(|name| registry::table().find_subcommand(command, name)).unwrap_or(command)
}

fn run_steps(variant: Variant, steps: impl Iterator<Item = Step>) {
    let mut one = Keyspace::new(1, variant);
    let mut four = Keyspace::new(4, variant);
    let mut comparable = true;
    for step in steps {
        match step {
            Step::Nothing => {}
            Step::Clock(milliseconds) => {
                one.now_ms += milliseconds;
                four.now_ms += milliseconds;
            }
            Step::Command(command, args) => {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                let from_one = run_checked(&mut one, command, &args, variant.resp3);
                let from_four = run_checked(&mut four, command, &args, variant.resp3);
                if comparable {
                    compare(command, &args, &from_one, &from_four);
                }
                comparable &= !(is_random(command) && command.spec.has(flag::WRITE));
            }
        }
    }
    for mut keyspace in [one, four] {
        keyspace.check();
        audit(&mut keyspace);
        keyspace.settle();
    }
}

fn shown(args: &[&[u8]]) -> String {
    args.iter().map(|arg| format!("{:?}", String::from_utf8_lossy(arg))).collect::<Vec<_>>().join(" ")
}

/// Whether to print every command line with the time it takes, for reading a finding: `FUZZ_TRACE=1`.
fn traces() -> bool {
    static TRACES: OnceLock<bool> = OnceLock::new();
    *TRACES.get_or_init(|| std::env::var_os("FUZZ_TRACE").is_some())
}

fn run_checked(keyspace: &mut Keyspace, command: &'static Command, args: &[&[u8]], resp3: bool) -> Vec<u8> {
    let before = keyspace.dirty();
    let begun = Instant::now();
    if traces() {
        eprint!("{}", shown(args));
    }
    let reply = keyspace.run(command, args);
    if traces() {
        eprintln!("  -> {} bytes in {:?}", reply.len(), begun.elapsed());
    }
    if let Err(problem) = check_one(&reply, resp3) {
        panic!("{}: {problem}: {:?}", shown(args), String::from_utf8_lossy(&reply));
    }
    let changes = keyspace.dirty() - before;
    let failed = reply[0] == b'-';
    assert!(
        !failed || changes == 0,
        "{} failed and changed something: {:?}",
        shown(args),
        String::from_utf8_lossy(&reply)
    );
    // PFCOUNT keeps its result in the value, and that is to be saved like any change.
    let reads = command.spec.has(flag::READONLY) && command.spec.name != "pfcount";
    assert!(!reads || changes == 0, "{} only reads and changed something", shown(args));
    reply
}

fn is_random(command: &Command) -> bool {
    command.spec.tips.contains(&"nondeterministic_output") || command.spec.name == "spop"
}

/// Replies from one shard and from four differ at most in the order of what has none.
fn compare(command: &Command, args: &[&[u8]], one: &[u8], four: &[u8]) {
    let unordered = command.spec.tips.contains(&"nondeterministic_output_order");
    let alike = if unordered { sorted_lines(one) == sorted_lines(four) } else { one == four };
    assert!(
        alike || is_random(command),
        "{}: one shard says {:?}, four say {:?}",
        shown(args),
        String::from_utf8_lossy(one),
        String::from_utf8_lossy(four)
    );
}

fn sorted_lines(reply: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = reply.split(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// Reads everything that is left in all the ways that must agree.
fn audit(keyspace: &mut Keyspace) {
    keyspace.speak_resp2();
    // Both remove all fields and members that have expired, which lengths count until then.
    for key in strings(&keyspace.run_words(&[b"KEYS", b"*"])) {
        keyspace.run_words(&[b"HRANDFIELD", &key, b"1"]);
        keyspace.run_words(&[b"SRANDMEMBER", &key, b"1"]);
    }
    let keys = strings(&keyspace.run_words(&[b"KEYS", b"*"]));
    assert!(keys.len() <= keyspace.keys());
    for key in &keys {
        let kind = keyspace.run_words(&[b"TYPE", key]);
        match kind.as_slice() {
            b"+string\r\n" => audit_string(keyspace, key),
            b"+list\r\n" => audit_list(keyspace, key),
            b"+set\r\n" => audit_set(keyspace, key),
            b"+hash\r\n" => audit_hash(keyspace, key),
            b"+zset\r\n" => audit_zset(keyspace, key),
            b"+stream\r\n" => audit_stream(keyspace, key),
            other => panic!("a key of type {:?}", String::from_utf8_lossy(other)),
        }
        let bytes = keyspace.run_words(&[b"MEMORY", b"USAGE", key, b"SAMPLES", b"0"]);
        assert!(bytes.starts_with(b":") && bytes != b":0\r\n", "a key of no bytes");
        assert_eq!(keyspace.run_words(&[b"COPY", key, b"a copy", b"REPLACE"]), b":1\r\n");
        assert_eq!(keyspace.run_words(&[b"DEL", b"a copy"]), b":1\r\n");
    }
    for key in &keys {
        assert_eq!(keyspace.run_words(&[b"UNLINK", key]), b":1\r\n", "a key that was listed is not there");
    }
    assert_eq!(strings(&keyspace.run_words(&[b"KEYS", b"*"])).len(), 0);
    keyspace.check();
}

/// The reply `:number` that a length must have.
fn count(number: usize) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn audit_string(keyspace: &mut Keyspace, key: &[u8]) {
    let value = strings(&keyspace.run_words(&[b"GET", key])).remove(0);
    assert_eq!(keyspace.run_words(&[b"STRLEN", key]), count(value.len()));
    assert_eq!(strings(&keyspace.run_words(&[b"GETRANGE", key, b"0", b"-1"])), [value]);
}

fn audit_list(keyspace: &mut Keyspace, key: &[u8]) {
    let elements = strings(&keyspace.run_words(&[b"LRANGE", key, b"0", b"-1"]));
    assert_eq!(keyspace.run_words(&[b"LLEN", key]), count(elements.len()));
    for (index, element) in elements.iter().enumerate() {
        let from_front = index.to_string();
        let from_back = (index as i64 - elements.len() as i64).to_string();
        for index in [from_front, from_back] {
            let found = strings(&keyspace.run_words(&[b"LINDEX", key, index.as_bytes()]));
            assert_eq!(found.first(), Some(element), "at {index}");
        }
    }
}

fn audit_set(keyspace: &mut Keyspace, key: &[u8]) {
    let members = strings(&keyspace.run_words(&[b"SMEMBERS", key]));
    assert_eq!(keyspace.run_words(&[b"SCARD", key]), count(members.len()));
    assert_eq!(members.iter().collect::<BTreeSet<_>>().len(), members.len(), "a member comes twice");
    for member in &members {
        assert_eq!(keyspace.run_words(&[b"SISMEMBER", key, member]), b":1\r\n", "{member:?} is listed but not there");
    }
}

fn audit_hash(keyspace: &mut Keyspace, key: &[u8]) {
    let pairs = strings(&keyspace.run_words(&[b"HGETALL", key]));
    assert_eq!(keyspace.run_words(&[b"HLEN", key]), count(pairs.len() / 2));
    assert_eq!(
        pairs.chunks(2).map(|pair| &pair[0]).collect::<BTreeSet<_>>().len(),
        pairs.len() / 2,
        "a field comes twice"
    );
    for pair in pairs.chunks(2) {
        assert_eq!(strings(&keyspace.run_words(&[b"HGET", key, &pair[0]])), [pair[1].clone()]);
        assert_eq!(keyspace.run_words(&[b"HSTRLEN", key, &pair[0]]), count(pair[1].len()));
    }
}

fn audit_zset(keyspace: &mut Keyspace, key: &[u8]) {
    let pairs = strings(&keyspace.run_words(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]));
    assert_eq!(keyspace.run_words(&[b"ZCARD", key]), count(pairs.len() / 2));
    let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<f64>().expect("a score is a number");
    let order: Vec<(f64, &[u8])> = pairs.chunks(2).map(|pair| (number(&pair[1]), pair[0].as_slice())).collect();
    let ascends = |left: &(f64, &[u8]), right: &(f64, &[u8])| {
        !left.0.is_nan() && (left.0 < right.0 || left.0 == right.0 && left.1 < right.1)
    };
    assert!(order.is_sorted_by(ascends), "not in order: {order:?}");
    for (rank, pair) in pairs.chunks(2).enumerate() {
        assert_eq!(strings(&keyspace.run_words(&[b"ZSCORE", key, &pair[0]])), [pair[1].clone()]);
        assert_eq!(keyspace.run_words(&[b"ZRANK", key, &pair[0]]), count(rank));
        assert_eq!(keyspace.run_words(&[b"ZREVRANK", key, &pair[0]]), count(pairs.len() / 2 - 1 - rank));
    }
    let mut reversed = strings(&keyspace.run_words(&[b"ZREVRANGE", key, b"0", b"-1"]));
    reversed.reverse();
    assert!(reversed.iter().eq(pairs.iter().step_by(2)));
    assert_eq!(keyspace.run_words(&[b"ZCOUNT", key, b"-inf", b"+inf"]), count(pairs.len() / 2));
}

fn audit_stream(keyspace: &mut Keyspace, key: &[u8]) {
    let entries = keyspace.run_words(&[b"XRANGE", key, b"-", b"+"]);
    let length = keyspace.run_words(&[b"XLEN", key]);
    assert_eq!(entries[1..].split(|&byte| byte == b'\r').next(), length[1..].split(|&byte| byte == b'\r').next());
    assert_eq!(keyspace.run_words(&[b"XREVRANGE", key, b"+", b"-"]).len(), entries.len());
    let info = keyspace.run_words(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]);
    check_one(&info, false).unwrap_or_else(|problem| panic!("XINFO STREAM FULL: {problem}"));
}
