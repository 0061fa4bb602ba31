//! Defragmentation: nothing of a value changes, and memory is given back. The whole binary runs under the allocator that
//! counts, one test at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};
use sherd_metrics::pages;
// The tester says `crate::` for what it uses.
use sherd_shards::*;

use crate::command::origin::Origin;
use crate::executor::engine::Engine;
use crate::executor::execute::{call, Call};
use crate::handler::context::Client;
use crate::handler::reply::Protocol;
use crate::server::defragmentation::Fragmentation;
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::slot::SlotMap;

#[allow(dead_code)]
#[path = "../src/testing.rs"]
mod testing;

use testing::Tester;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every type in every form, small and large, with and without times.
fn fill(t: &mut Tester) {
    let long = "long".repeat(200);
    for number in 0..300 {
        t.run(&format!("SET text:{number} value:{number}"));
        t.run(&format!("SET number:{number} {number}"));
        t.run(&format!("SET long:{number} {long}{number}"));
        t.run(&format!("SET lent:{number} value EX 100000"));
        t.run(&format!("APPEND edited:{number} {long}"));
        t.run(&format!("HSET hash:{number} a 1 b {number}"));
        t.run(&format!("SADD integers:{number} 1 2 {number}"));
        t.run(&format!("SADD words:{number} a b w{number}"));
        t.run(&format!("ZADD scores:{number} 1 a 2.5 b{number}"));
        t.run(&format!("RPUSH list:{number} a b {number}"));
        t.run(&format!("XADD stream:{number} 1-1 field {number}"));
        t.run(&format!("PFADD log:{number} {number}"));
    }
    for number in 0..3000 {
        t.run(&format!("HSET big:hash f{number} v{number}"));
        t.run(&format!("HSET big:timed f{number} v{number}"));
        t.run(&format!("SADD big:set member:{number}"));
        t.run(&format!("SADD big:lent member:{number}"));
        t.run(&format!("ZADD big:scores {} member:{number}", number * 7919 % 3001));
        t.run(&format!("RPUSH big:list element:{number}"));
        t.run(&format!("XADD big:stream {}-1 field value:{number}", number + 1));
    }
    for number in (0..3000).step_by(3) {
        t.run(&format!("HPEXPIRE big:timed 100000000 FIELDS 1 f{number}"));
        t.run(&format!("SPEXPIRE big:lent 100000000 MEMBERS 1 member:{number}"));
    }
    t.run("XGROUP CREATE big:stream group 0");
    t.run("XREADGROUP GROUP group consumer COUNT 100 STREAMS big:stream >");
}

#[test]
fn every_block_moves_and_no_value_changes() {
    let _alone = alone();
    for mut t in [Tester::new(1), Tester::new(4), Tester::of_cluster(1), Tester::of_cluster(4)] {
        fill(&mut t);
        t.db = 5;
        t.run("SET elsewhere value");
        t.db = 0;
        let digest = t.run("DEBUG DIGEST");
        let used = memory::used_bytes();
        for round in 0..2 {
            let moved = t.defragment();
            assert!(moved > 12 * 300 + 5 * 3000, "{moved} blocks were moved");
            assert_eq!(t.run("DEBUG DIGEST"), digest, "round {round}");
        }
        assert!(memory::used_bytes().abs_diff(used) < 100_000, "what is moved is freed");
        // Not only the digest: what finds elements goes by other ways.
        t.expect(&[("HGET big:hash f2999", "$5|v2999"), ("ZRANK big:scores member:0", ":0")]);
        assert_eq!(t.run("ZRANGE big:scores 0 -1").matches("member").count(), 3000);
        assert_eq!(t.run("LRANGE big:list 0 -1").matches("element").count(), 3000);
        assert_eq!(t.run("XLEN big:stream"), ":3000\r\n");
        for number in 0..3000 {
            assert_eq!(t.run(&format!("ZREM big:scores member:{number}")), ":1\r\n");
            assert_eq!(t.run(&format!("SREM big:lent member:{number}")), ":1\r\n");
            assert_eq!(t.run(&format!("HDEL big:timed f{number}")), ":1\r\n");
            assert_eq!(t.run("LPOP big:list"), format!("${}\r\nelement:{number}\r\n", 8 + number.to_string().len()));
        }
    }
}

#[test]
fn keys_come_and_go_while_they_are_moved() {
    let _alone = alone();
    for mut t in [Tester::new(1), Tester::of_cluster(4)] {
        for round in 0..20 {
            for number in 0..200 {
                t.run(&format!("SET key:{} {}", number * (round + 1), "v".repeat(number)));
                t.run(&format!("HSET hash:{number} f{round} {number}"));
                t.run(&format!("DEL key:{}", number * round / 2));
            }
            let digest = t.run("DEBUG DIGEST");
            t.defragment();
            assert_eq!(t.run("DEBUG DIGEST"), digest);
        }
    }
}

/// A running engine of several shards with their own threads.
struct Running {
    engine: Arc<Engine>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    fn new(shards: usize) -> Running {
        let commands = sherd_shards::families::install(std::iter::empty()).commands().len();
        let world = World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread");
        let engine = Engine::new(world, commands, Box::new(|_| {}), Box::new(|_| {}));
        let mut threads = Vec::new();
        engine.start_threads(&mut threads, || ()).expect("threads can be started");
        Running { engine, threads }
    }

    /// Runs a command as an IO thread does.
    fn run(engine: &Engine, line: &str) -> String {
        pages::give_up_if_asked();
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let shard = engine.world.slots.shard_of(engine.world.slots.slot(args[1]));
        Running::run_in(engine, 1 << shard, &args)
    }

    fn digest(&self) -> String {
        Running::run_in(&self.engine, self.engine.all_shards(), &[b"DEBUG", b"DIGEST"])
    }

    fn run_in(engine: &Engine, wanted: u64, args: &[&[u8]]) -> String {
        let world = &engine.world;
        let one = Call {
            command: command::registry::table().find(args[0]).expect("a command"),
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
            now_ms: world.now_milliseconds(),
            origin: Origin::Client,
        };
        let mut out = Vec::new();
        engine.with_shards(wanted, |shards| {
            call(shards, world, &one, &mut out);
        });
        String::from_utf8_lossy(&out).into_owned()
    }

    fn sum(&self, counter: impl Fn(&keyspace::stats::ShardStats) -> u64) -> u64 {
        (0..self.engine.world.slots.shards()).map(|shard| counter(self.engine.stats(shard).0)).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.stop();
        self.threads.drain(..).for_each(|thread| thread.join().expect("the thread ends well"));
    }
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

fn key_and_value(number: usize) -> (String, String) {
    (format!("key:{number}"), format!("{number:0>width$}", width = 80 + number % 60))
}

/// As after a great many keys have expired or were deleted, while other clients go on writing.
#[test]
fn memory_is_given_back_when_nine_of_ten_keys_were_deleted() {
    const KEYS: usize = 300_000;
    let _alone = alone();
    for shards in [1, 4] {
        let running = Running::new(shards);
        let settings = &running.engine.world.settings;
        let empty = resident_bytes();
        for number in 0..KEYS {
            let (key, value) = key_and_value(number);
            Running::run(&running.engine, &format!("SET {key} {value}"));
        }
        for number in (0..KEYS).filter(|number| number % 10 != 0) {
            Running::run(&running.engine, &format!("DEL key:{number}"));
        }
        let before = resident_bytes() - empty;
        assert!(Fragmentation::measure().wasted() > KEYS * 100 / 2, "{:?}", Fragmentation::measure());
        settings.active_defrag_ignore_bytes.set(1);
        settings.active_defrag_cycle_min.set(25);
        settings.active_defrag_cycle_max.set(75);
        settings.activedefrag.set(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (engine, stopping) = (Arc::clone(&running.engine), Arc::clone(&stopping));
            move || {
                for number in 0.. {
                    Running::run(&engine, &format!("SET other:{} {number}", number % 100));
                    Running::run(&engine, &format!("HSET more:{} f{} {number}", number % 10, number % 300));
                    std::thread::sleep(Duration::from_micros(200));
                    if stopping.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        });
        let begun = Instant::now();
        let has_settled = || {
            resident_bytes().saturating_sub(empty) < before / 2
                && running.engine.world.defragmentation.effort_percent() == 0
        };
        while !has_settled() {
            pages::give_up_if_asked();
            assert!(begun.elapsed() < Duration::from_secs(120), "{} of {before} bytes stay", resident_bytes() - empty);
            std::thread::sleep(Duration::from_millis(20));
        }
        stopping.store(true, Ordering::Relaxed);
        writer.join().expect("the writer ends well");
        for number in (0..KEYS).step_by(10) {
            let (key, value) = key_and_value(number);
            assert_eq!(
                Running::run(&running.engine, &format!("GET {key}")),
                format!("${}\r\n{value}\r\n", value.len())
            );
        }
        assert!(running.sum(|stats| stats.defrag_hits.get()) > 10_000);
        assert!(running.sum(|stats| stats.defrag_key_hits.get()) > 10_000);
        assert!(running.engine.world.defragmentation.milliseconds().0 > 0);
        settings.activedefrag.set(0);
        running.engine.with_shards(running.engine.all_shards(), |mut shards| {
            shards.iter_mut().for_each(keyspace::shard::Shard::clear)
        });
        running.engine.world.reaper.wait_until_idle();
    }
}

/// xorshift64*: deterministic, so that the same commands can be run twice.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

/// A command that changes a key of this writer; no two writers have a key in common.
fn change(writer: u64, step: u64, random: &mut Random) -> String {
    const LATER: &str = "4102444800000";
    let key = |kind: &str, number: u64| format!("{writer}:{kind}:{number}");
    // Some keys are changed often and grow large.
    let number = if random.below(2) == 0 { 0 } else { random.below(40) };
    let (a, b) = (random.below(3000), random.below(3000));
    let long = "x".repeat(random.below(400) as usize);
    match random.below(26) {
        0 => format!("SET {} {a}", key("s", number)),
        1 => format!("SET {} {long}{a}", key("s", number)),
        2 => format!("APPEND {} {long}{a}", key("s", number)),
        3 => format!("SETRANGE {} {b} {a}", key("s", number)),
        4 => format!("PEXPIREAT {} {LATER}", key("s", number)),
        5 => format!("SET {} {a} PX {}", key("soongone", number), 1 + b % 20),
        6 => format!("HSET {} f{a} {long}{b}", key("h", number)),
        7 => format!("HSET {} f{a} {b}", key("h", number)),
        8 => format!("HDEL {} f{a} f{b}", key("h", number)),
        9 => format!("HPEXPIREAT {} {LATER} FIELDS 1 f{a}", key("h", number)),
        10 => format!("SADD {} m{a} m{b}", key("t", number)),
        11 => format!("SADD {} {a} {b}", key("i", number)),
        12 => format!("SREM {} m{a} m{b}", key("t", number)),
        13 => format!("ZADD {} {a} m{b} {b} m{a}", key("z", number)),
        14 => format!("ZINCRBY {} {a} m{b}", key("z", number)),
        15 => format!("ZREM {} m{a} m{b}", key("z", number)),
        16 => format!("RPUSH {} {long}{a} {b}", key("l", number)),
        17 => format!("LPUSH {} {a} {long}{b}", key("l", number)),
        18 => format!("LPOP {}", key("l", number)),
        19 => format!("LTRIM {} 0 {a}", key("l", number)),
        20 => format!("XADD {} {}-1 field {long}{a}", key("x", number), step + 1),
        21 => format!("XTRIM {} MAXLEN {a}", key("x", number)),
        22 => format!("PFADD {} {a}", key("p", number)),
        23 => format!("SETBIT {} {a} 1", key("b", number)),
        24 => format!("SPEXPIREAT {} {LATER} MEMBERS 1 m{a}", key("t", number)),
        _ if step % 16 == 0 => format!("DEL {}", key(["s", "h", "t", "z", "l", "x"][(a % 6) as usize], number)),
        _ => format!("ZREMRANGEBYRANK {} {a} {}", key("z", number), a + 3),
    }
}

/// What can be read of a writer's keys, also in ways that the digest does not go.
fn questions(writer: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..40 {
        lines.push(format!("ZRANGE {writer}:z:{number} 0 -1 WITHSCORES"));
        lines.push(format!("ZRANGE {writer}:z:{number} 0 -1 REV"));
        lines.push(format!("LRANGE {writer}:l:{number} 0 -1"));
        lines.push(format!("XREVRANGE {writer}:x:{number} + -"));
        lines.push(format!("PEXPIRETIME {writer}:s:{number}"));
        lines.push(format!("SCARD {writer}:t:{number}"));
        for element in 0..3000 / 40 {
            let member = element * 40 + number;
            lines.push(format!("ZRANK {writer}:z:0 m{member}"));
            lines.push(format!("SISMEMBER {writer}:t:0 m{member}"));
            lines.push(format!("HPEXPIRETIME {writer}:h:0 FIELDS 1 f{member}"));
        }
    }
    lines
}

/// Every block is moved again and again while two clients change keys of all types; what there is in the end is what the same
/// commands make of an empty keyspace without that.
#[test]
fn commands_of_all_types_do_the_same_while_everything_moves() {
    const WRITERS: u64 = 2;
    const STEPS: u64 = 40_000;
    let _alone = alone();
    let mut expected = Tester::new(1);
    for writer in 0..WRITERS {
        let mut random = Random(writer + 1);
        for step in 0..STEPS {
            let reply = expected.run(&change(writer, step, &mut random));
            assert!(!reply.starts_with("-ERR syntax") && !reply.contains("unknown"), "{reply}");
        }
        (0..40).for_each(|number| drop(expected.run(&format!("DEL {writer}:soongone:{number}"))));
    }
    for shards in [1, 4] {
        let running = Running::new(shards);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let engine = Arc::clone(&running.engine);
                std::thread::spawn(move || {
                    let mut random = Random(writer + 1);
                    for step in 0..STEPS {
                        Running::run(&engine, &change(writer, step, &mut random));
                    }
                    (0..40).for_each(|number| drop(Running::run(&engine, &format!("DEL {writer}:soongone:{number}"))));
                })
            })
            .collect();
        // Short slices, that there are many moments at which something has moved.
        running.engine.world.settings.active_defrag_cycle_us.set(20);
        let defragmentation = &running.engine.world.defragmentation;
        let mut rounds = 0;
        while rounds < 3 || writers.iter().any(|writer| !writer.is_finished()) {
            defragmentation.begin(99, pages::SparsePages::everything());
            rounds += 1;
            let begun = Instant::now();
            while defragmentation.finished() < shards {
                assert!(begun.elapsed() < Duration::from_secs(120), "a round comes to its end");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        writers.into_iter().for_each(|writer| writer.join().expect("the writer ends well"));
        assert!(running.sum(|stats| stats.defrag_hits.get()) > 10_000, "in {rounds} rounds");
        assert_eq!(running.sum(|stats| stats.panics.get()), 0);
        for line in (0..WRITERS).flat_map(questions) {
            assert_eq!(Running::run(&running.engine, &line), expected.run(&line), "{line}");
        }
        assert_eq!(running.digest(), expected.run("DEBUG DIGEST"));
    }
}

#[test]
fn nothing_is_moved_while_it_is_off_or_too_little_is_wasted() {
    let _alone = alone();
    let running = Running::new(1);
    for number in 0..1000 {
        Running::run(&running.engine, &format!("SET key:{number} value"));
    }
    let settings = &running.engine.world.settings;
    let moved = || running.sum(|stats| stats.defrag_hits.get() + stats.defrag_misses.get());
    for (on, ignored) in [(0, 1), (1, 1 << 40)] {
        settings.active_defrag_ignore_bytes.set(ignored);
        settings.activedefrag.set(on);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!((moved(), running.engine.world.defragmentation.number()), (0, 0));
    }
}
