//! Eviction with memory counted for real: the whole test binary runs under the counting allocator, one test at a time.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};
// The tester says `crate::` for what it uses.
use sherd_shards::*;

use crate::command::origin::Origin;
use crate::executor::engine::Engine;
use crate::executor::execute::{call, Call};
use crate::handler::context::Client;
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::slot::SlotMap;

#[allow(dead_code)]
#[path = "../src/testing.rs"]
mod testing;

use sherd_shards::handler::reply::Protocol;
use testing::Tester;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
const NO_EVICTION: i64 = 0;
const ALLKEYS_LRU: i64 = 1;
const VOLATILE_LRU: i64 = 2;
const ALLKEYS_LFU: i64 = 3;
const VOLATILE_LFU: i64 = 4;
const ALLKEYS_RANDOM: i64 = 5;
const VOLATILE_RANDOM: i64 = 6;
const VOLATILE_TTL: i64 = 7;
const EVICTING: [i64; 7] =
    [ALLKEYS_LRU, VOLATILE_LRU, ALLKEYS_LFU, VOLATILE_LFU, ALLKEYS_RANDOM, VOLATILE_RANDOM, VOLATILE_TTL];

/// The tenacity with which eviction goes on until it is done, so that what a test sees does not depend on its speed.
const WITHOUT_END: i64 = 100;

/// Memory is the process's: no two tests at once, and none before what the last one left is freed in the background.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut used = memory::used_bytes();
    let mut still = 0;
    eventually_by(|| {
        let before = std::mem::replace(&mut used, memory::used_bytes());
        still = if used == before { still + 1 } else { 0 };
        still >= 5
    });
    guard
}

/// Fills `keys` keys of some hundred bytes, all with an expiry far away, later ones expiring later.
fn fill(t: &mut Tester, keys: usize) {
    fill_range(t, 0..keys);
}

fn fill_range(t: &mut Tester, keys: Range<usize>) {
    let value = "v".repeat(100);
    for number in keys {
        assert_eq!(t.run(&format!("SET key:{number} {value} EX {}", 100_000 + number)), "+OK\r\n");
    }
}

/// Sets the limit to what is used now, less `percent`.
fn limit(t: &Tester, percent: usize) {
    let used = memory::used_bytes();
    t.world.settings.set("maxmemory", (used - used * percent / 100) as i64);
}

fn size(t: &mut Tester) -> usize {
    t.run("DBSIZE")[1..].trim_end().parse().expect("a number")
}

#[test]
fn a_write_over_the_limit_makes_room_under_every_evicting_policy() {
    let _alone = alone();
    for shards in [1, 4] {
        for policy in EVICTING {
            let mut t = Tester::new(shards);
            t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
            t.world.settings.set("maxmemory-policy", policy);
            fill(&mut t, 5000);
            limit(&t, 10);
            assert_eq!(t.run("SET another value EX 1000"), "+OK\r\n", "policy {policy}");
            assert!(memory::used_bytes() <= t.world.settings.maxmemory.size() + 4096, "policy {policy}");
            let left = size(&mut t);
            assert!((2000..5000).contains(&left), "{left} keys left under policy {policy}");
        }
    }
}

#[test]
fn nothing_is_evicted_without_a_policy_and_writes_are_refused_while_reads_and_deletions_go_on() {
    let _alone = alone();
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        fill(&mut t, 100);
        t.world.settings.set("maxmemory-policy", NO_EVICTION);
        t.world.settings.set("maxmemory", 1);
        assert_eq!(t.run("SET another value"), OOM);
        assert_eq!(t.run("MSET a 1 b 2 c 3"), OOM);
        assert_eq!(t.run("LPUSH list x"), OOM);
        assert_eq!(t.run("STRLEN key:1"), ":100\r\n");
        assert_eq!(t.run("DEL key:1 key:2"), ":2\r\n");
        assert_eq!(size(&mut t), 98);
        t.world.settings.set("maxmemory", 0);
        assert_eq!(t.run("SET another value"), "+OK\r\n");
    }
}

#[test]
fn volatile_policies_leave_keys_without_an_expiry_alone_and_refuse_writes_when_only_those_are_left() {
    let _alone = alone();
    for shards in [1, 4] {
        for policy in [VOLATILE_LRU, VOLATILE_LFU, VOLATILE_RANDOM, VOLATILE_TTL] {
            let mut t = Tester::new(shards);
            for number in 0..300 {
                t.run(&format!("SET kept:{number} v"));
                t.run(&format!("SET lent:{number} v EX 1000"));
            }
            t.run("PERSIST lent:7");
            t.world.settings.set("maxmemory-policy", policy);
            t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
            t.world.settings.set("maxmemory", 1);
            assert_eq!(t.run("SET another value"), OOM, "policy {policy}");
            assert_eq!(size(&mut t), 301);
            assert_eq!(t.run("EXISTS lent:7 kept:0 kept:299"), ":3\r\n");
        }
    }
}

#[test]
fn the_keys_used_longest_ago_go_first_under_lru() {
    let _alone = alone();
    for shards in [1, 4] {
        for policy in [ALLKEYS_LRU, VOLATILE_LRU] {
            let mut t = Tester::new(shards);
            t.world.settings.set("maxmemory-policy", policy);
            t.world.settings.maxmemory_samples.set(10);
            fill(&mut t, 4000);
            t.world.advance_clock(60_000);
            for number in 0..2000 {
                t.run(&format!("GET key:{number}"));
            }
            evict_until(&mut t, 3000);
            let (used, unused) = (there(&mut t, 0..2000), there(&mut t, 2000..4000));
            assert!(used >= 1980, "{used} of 2000 keys in use are left, {unused} of the others");
        }
    }
}

#[test]
fn the_keys_used_most_rarely_go_first_under_lfu_and_counts_decay() {
    let _alone = alone();
    for shards in [1, 4] {
        for policy in [ALLKEYS_LFU, VOLATILE_LFU] {
            let mut t = Tester::new(shards);
            t.world.settings.set("maxmemory-policy", policy);
            t.world.settings.maxmemory_samples.set(10);
            t.world.settings.lfu_log_factor.set(0);
            fill(&mut t, 2000);
            for _ in 0..3 {
                for number in 0..1000 {
                    t.run(&format!("GET key:{number}"));
                }
            }
            evict_until(&mut t, 1500);
            let used = there(&mut t, 0..1000);
            assert!(used >= 990, "{used} of 1000 keys in use are left");
        }
    }
}

#[test]
fn of_keys_used_equally_often_the_new_ones_stay_under_lfu() {
    let _alone = alone();
    for shards in [1, 4] {
        for policy in [ALLKEYS_LFU, VOLATILE_LFU] {
            let mut t = Tester::new(shards);
            t.world.settings.set("maxmemory-policy", policy);
            t.world.settings.maxmemory_samples.set(10);
            fill(&mut t, 1000);
            // The hand goes round several times.
            evict_until(&mut t, 600);
            fill_range(&mut t, 1000..2000);
            evict_until(&mut t, 1400);
            let new = there(&mut t, 1000..2000);
            assert!(new >= 990, "{new} of 1000 new keys are left");
        }
    }
}

#[test]
fn the_keys_that_expire_soonest_go_first_under_volatile_ttl() {
    let _alone = alone();
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.world.settings.set("maxmemory-policy", VOLATILE_TTL);
        t.world.settings.maxmemory_samples.set(10);
        fill(&mut t, 4000);
        evict_until(&mut t, 3000);
        let (soon, late) = (there(&mut t, 0..1000), there(&mut t, 2000..4000));
        assert!(late >= 1980 && soon <= 300, "{soon} of 1000 soon ones, {late} of 2000 late ones are left");
    }
}

#[test]
fn an_evicted_key_raises_an_event() {
    let _alone = alone();
    for shards in [1, 4] {
        for lazy in [0, 1] {
            let mut t = Tester::new(shards);
            t.world.settings.set("maxmemory-policy", ALLKEYS_RANDOM);
            t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
            t.world.settings.lazyfree_lazy_eviction.set(lazy);
            t.world.settings.notify_keyspace_events.set(i64::from(keyspace::events::class::EVICTED));
            fill(&mut t, 50);
            t.world.settings.set("maxmemory", 1);
            let reply = t.run("SET another value");
            let mut events = t.events();
            events.sort();
            let mut expected: Vec<String> = (0..50).map(|number| format!("evicted key:{number}")).collect();
            expected.sort();
            assert_eq!((reply.as_str(), events), (OOM, expected));
        }
    }
}

#[test]
fn a_key_that_has_expired_is_removed_as_such_and_first() {
    let _alone = alone();
    for policy in EVICTING {
        let mut t = Tester::new(1);
        t.world.settings.set("maxmemory-policy", policy);
        t.world.settings.maxmemory_samples.set(64);
        t.world
            .settings
            .notify_keyspace_events
            .set(i64::from(keyspace::events::class::EVICTED | keyspace::events::class::EXPIRED));
        fill(&mut t, 20);
        t.run(&format!("SET gone {} PX 10", "v".repeat(2000)));
        t.world.advance_clock(20);
        t.world.settings.set("maxmemory", memory::used_bytes() as i64 - 1);
        assert_eq!(t.run("SET another value EX 10000"), "+OK\r\n");
        assert_eq!(t.events(), ["expired gone"], "policy {policy}");
    }
}

#[test]
fn big_values_are_evicted_without_waiting_for_their_memory_and_no_more_of_them_than_needed() {
    let _alone = alone();
    for kind in ["RPUSH", "SADD", "HSET"] {
        let mut t = Tester::new(1);
        t.world.settings.set("maxmemory-policy", ALLKEYS_RANDOM);
        t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
        for number in 0..20 {
            let elements: Vec<String> = (0..4000).map(|element| format!("element:{element:060}")).collect();
            t.run(&format!("{kind} big:{number} {}", elements.join(" ")));
        }
        // One of them is some 5 % of all.
        limit(&t, 12);
        assert_eq!(t.run("SET another value"), "+OK\r\n");
        assert!((15..=18).contains(&size(&mut t)), "{kind}: {} keys are left of 21", size(&mut t));
    }
}

#[test]
fn a_command_is_accepted_when_its_time_for_evicting_is_over_and_keys_are_left() {
    let _alone = alone();
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.world.settings.set("maxmemory-policy", ALLKEYS_LRU);
        t.world.settings.maxmemory_eviction_tenacity.set(0);
        fill(&mut t, 1000);
        t.world.settings.set("maxmemory", 1);
        assert_eq!(t.run("SET another value"), "+OK\r\n");
        let left = size(&mut t);
        assert!((900..1000).contains(&left), "{left} keys are left");
        assert!(t.world.pressure.exceeded_ms().0 < 60_000);
    }
}

#[test]
fn other_databases_are_evicted_from_as_well() {
    let _alone = alone();
    let mut t = Tester::new(1);
    t.world.settings.set("maxmemory-policy", ALLKEYS_LRU);
    t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
    t.db = 3;
    fill(&mut t, 1000);
    t.db = 0;
    limit(&t, 5);
    assert_eq!(t.run("SET another value"), "+OK\r\n");
    t.db = 3;
    assert!(size(&mut t) < 1000);
}

#[test]
fn commands_of_a_transaction_do_not_evict_between_one_another() {
    let _alone = alone();
    let mut t = Tester::new(1);
    t.world.settings.set("maxmemory-policy", ALLKEYS_LRU);
    fill(&mut t, 100);
    t.world.settings.set("maxmemory", 1);
    t.in_transaction = true;
    assert_eq!(t.run("SET another value"), "+OK\r\n");
    assert_eq!(size(&mut t), 101);
}

/// A running engine of several shards with their own threads.
struct Running {
    engine: Arc<Engine>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    fn new(shards: usize, policy: i64) -> Running {
        let commands = sherd_shards::families::install(std::iter::empty()).commands().len();
        let world = World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread");
        world.settings.set("maxmemory-policy", policy);
        let engine = Engine::new(world, commands, Box::new(|_| {}), Box::new(|_| {}));
        let mut threads = Vec::new();
        engine.start_threads(&mut threads, || ()).expect("threads can be started");
        Running { engine, threads }
    }

    /// The same without the shards' threads: whatever is evicted, the writer evicts.
    fn without_threads(shards: usize, policy: i64) -> Running {
        let mut running = Running::new(shards, policy);
        running.engine.stop();
        running.threads.drain(..).for_each(|thread| thread.join().expect("the thread ends well"));
        running
    }

    /// Runs a command with only the shard of its key held.
    fn run(&self, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let world = &self.engine.world;
        let command = command::registry::table().find(args[0]).expect("a command");
        let shard = world.slots.shard_of(world.slots.slot(args[1]));
        let one = Call {
            command,
            args: &args,
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
        self.engine.with_shards(1 << shard, |shards| {
            call(shards, world, &one, &mut out);
        });
        String::from_utf8_lossy(&out).into_owned()
    }

    fn keys(&self) -> Vec<usize> {
        self.engine.world.shard_keys.iter().map(|keys| keys.load(Ordering::Relaxed)).collect()
    }

    /// Keys of one shard only.
    fn fill_shard(&self, shard: usize, keys: usize, expiry: &str) {
        let map = self.engine.world.slots;
        let value = "v".repeat(200);
        let names = (0..).map(|number: usize| format!("key:{number}"));
        for name in names.filter(|name| map.shard_of(map.slot(name.as_bytes())) == shard).take(keys) {
            assert_eq!(self.run(&format!("SET {name} {value}{expiry}")), "+OK\r\n");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.engine.world.reaper.wait_until_idle();
    }
}

/// Waits until something holds; fails after a time that only a hang reaches.
fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(eventually_by(holds), "never: {what}");
}

/// Whether something came to hold within that time.
fn eventually_by(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > Duration::from_secs(60) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

#[test]
fn lowering_the_limit_evicts_in_the_background() {
    let _alone = alone();
    for shards in [1, 4] {
        let running = Running::new(shards, ALLKEYS_LRU);
        for shard in 0..shards {
            running.fill_shard(shard, 4000 * (shard + 1), "");
        }
        let used = memory::used_bytes();
        let world = &running.engine.world;
        world.settings.set("maxmemory", (used - used / 3) as i64);
        maintenance::evict::ask(world);
        eventually("memory is within its limit", || memory::used_bytes() <= world.settings.maxmemory.size());
        eventually("the time over the limit ends", || world.pressure.exceeded_ms().1 == 0);
    }
}

/// The shards' threads are stepped by hand: how far one of them gets before another begins is the machine's affair.
#[test]
fn each_shard_gives_its_part_of_what_is_too_much() {
    let _alone = alone();
    for shards in [2, 4] {
        let mut t = Tester::new(shards);
        t.world.settings.set("maxmemory-policy", ALLKEYS_LRU);
        let empty = memory::used_bytes();
        fill(&mut t, 8000);
        let before = t.shard_sizes();
        let used = memory::used_bytes();
        // About a quarter of the keys has to go.
        t.world.settings.set("maxmemory", (used - (used - empty) / 4) as i64);
        let mut rounds = 0;
        while memory::used_bytes() > t.world.settings.maxmemory.size() {
            t.evict_round();
            rounds += 1;
            assert!(rounds < 100, "{rounds} rounds were not enough");
        }
        let left = t.shard_sizes();
        let parts: Vec<f64> = left.iter().zip(&before).map(|(&now, &was)| now as f64 / was as f64).collect();
        assert!(parts.iter().all(|part| (0.6..0.95).contains(part)), "what is left of each shard: {parts:?}");
    }
}

/// With a tenacity without end a writer waits for memory that is being freed, but not for memory that nobody will free.
#[test]
fn a_writer_that_waits_without_end_gives_up_when_nothing_is_left_to_free() {
    let _alone = alone();
    let mut t = Tester::new(1);
    t.world.settings.set("maxmemory-policy", ALLKEYS_RANDOM);
    t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
    t.world.settings.lazyfree_lazy_eviction.set(1);
    let elements: Vec<String> = (0..4000).map(|element| format!("element:{element:060}")).collect();
    t.run(&format!("RPUSH big {}", elements.join(" ")));
    t.world.settings.set("maxmemory", 1);
    assert_eq!(t.run("SET another value"), OOM);
    assert_eq!(size(&mut t), 0);
}

#[test]
fn a_shard_without_evictable_keys_goes_on_writing_while_others_evict_for_it() {
    let _alone = alone();
    let running = Running::new(4, VOLATILE_LRU);
    running.fill_shard(3, 20_000, " EX 1000");
    let world = &running.engine.world;
    world.settings.set("maxmemory", memory::used_bytes() as i64);
    running.fill_shard(0, 10_000, "");
    assert_eq!(running.keys()[0], 10_000);
    eventually("memory is within its limit", || memory::used_bytes() <= world.settings.maxmemory.size());
    assert!(running.keys()[3] < 20_000);
}

/// As with one shard: keys without an expiry take the place of those with one, wherever those are, until none is left.
#[test]
fn a_shard_without_evictable_keys_keeps_the_limit_at_the_expense_of_the_others() {
    let _alone = alone();
    for policy in [VOLATILE_LRU, VOLATILE_LFU, VOLATILE_RANDOM, VOLATILE_TTL] {
        let running = Running::without_threads(4, policy);
        let world = &running.engine.world;
        world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
        (1..4).for_each(|shard| running.fill_shard(shard, 500, " EX 1000"));
        let limit = memory::used_bytes() + 1000;
        world.settings.set("maxmemory", limit as i64);
        let map = world.slots;
        let names = (0..).map(|number: usize| format!("key:{number}"));
        let mut names = names.filter(|name| map.shard_of(map.slot(name.as_bytes())) == 0);
        let value = "v".repeat(200);
        let mut written = 0;
        while running.run(&format!("SET {} {value}", names.next().expect("names have no end"))) == "+OK\r\n" {
            assert!(memory::used_bytes() < limit + 8192, "{} bytes, limit {limit}", memory::used_bytes());
            written += 1;
            assert!(written < 10_000, "a write is refused when nothing is left to evict");
        }
        assert_eq!(running.keys(), [written, 0, 0, 0], "policy {policy}");
        assert!(written > 1200, "{written} keys have taken the place of 1500");
        let told: i64 = (0..4).map(|shard| running.engine.stats(shard).0.memory_bytes.load(Ordering::Relaxed)).sum();
        assert!((told - written as i64 * 300).abs() < written as i64 * 150, "{told} bytes for {written} keys");
    }
}

/// The baton of the one shard that could help is held all the while, and not by anybody who will let go soon.
#[test]
fn a_writer_does_not_wait_for_a_shard_that_is_held() {
    let _alone = alone();
    let running = Running::new(2, VOLATILE_LRU);
    running.fill_shard(1, 2000, " EX 1000");
    let world = &running.engine.world;
    world.settings.set("maxmemory", memory::used_bytes() as i64 - 10_000);
    let held = Engine::hold(&*running.engine, 0b10);
    running.fill_shard(0, 50, "");
    assert_eq!(running.keys()[0], 50);
    drop(held);
    running.fill_shard(0, 51, "");
    eventually("memory is within its limit", || memory::used_bytes() <= world.settings.maxmemory.size());
}

#[test]
fn an_evicted_key_touches_its_watchers_and_is_counted() {
    let _alone = alone();
    let running = Running::new(1, ALLKEYS_RANDOM);
    running.fill_shard(0, 20, "");
    let flag = effects::watch::DirtyFlag::default();
    running.engine.with_shards(1, |mut shards| {
        let shard = shards.first();
        for number in 0..20 {
            shard.watches.add(0, format!("key:{number}").as_bytes(), &flag, effects::watch::Presence::Alive);
        }
    });
    let world = &running.engine.world;
    world.settings.set("maxmemory", memory::used_bytes() as i64 - 300);
    assert_eq!(running.run("SET another value"), "+OK\r\n");
    assert!(flag.load(Ordering::Relaxed));
    let (stats, _, _) = running.engine.stats(0);
    assert_eq!(stats.evicted_keys.get() as usize + running.keys()[0], 21);
}

#[test]
fn writes_are_refused_when_no_shard_has_anything_to_evict_and_accepted_again_when_one_has() {
    let _alone = alone();
    let running = Running::new(4, VOLATILE_LRU);
    running.fill_shard(1, 100, "");
    let world = &running.engine.world;
    world.settings.set("maxmemory", 1);
    assert_eq!(running.run("SET another value"), OOM);
    assert!(maintenance::evict::is_hopeless(world));
    world.settings.set("maxmemory", 0);
    running.fill_shard(2, 100, " EX 1000");
    world.settings.set("maxmemory", memory::used_bytes() as i64 - 1000);
    assert!(!maintenance::evict::is_hopeless(world));
    assert_eq!(running.run("SET another value"), "+OK\r\n");
}

/// Lowers the limit step by step, with a write each time, until so many keys are left.
fn evict_until(t: &mut Tester, keys: usize) {
    t.world.settings.maxmemory_eviction_tenacity.set(WITHOUT_END);
    while size(t) > keys {
        t.world.settings.set("maxmemory", memory::used_bytes() as i64 - 500);
        assert_ne!(t.run("SET note x EX 1000000"), OOM);
    }
    t.world.settings.set("maxmemory", 0);
}

fn there(t: &mut Tester, numbers: Range<usize>) -> usize {
    numbers.filter(|number| t.run(&format!("EXISTS key:{number}")) == ":1\r\n").count()
}
