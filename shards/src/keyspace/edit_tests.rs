//! What follows from each cause of a change, as one table.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::*;
use crate::command::origin::Origin;
use crate::command::registry;
use crate::effects::blocking::{Block, TimeoutReply};
use crate::effects::watch::DirtyFlag;
use crate::executor::execute::{self, Call};
use crate::executor::waiting;
use crate::handler::access::Shards;
use crate::handler::context::Client;
use crate::journal::recorder;
use crate::protocol::reply::Protocol;
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::slot::SlotMap;
use crate::testing::Tester;
use sherd_types::invariant::contain;

struct Case {
    name: &'static str,
    change: fn(&mut Shard, &Key<'_>),
    /// Changes since the last save.
    dirty: u64,
    /// The counter that tells of it: expired keys, evicted keys, expired fields.
    counters: [u64; 3],
    event: Option<&'static str>,
    stays: bool,
}

const DB: u16 = 0;

fn text(bytes: &[u8]) -> NewValue<'_> {
    NewValue::Text(bytes)
}

fn run(shard: &mut Shard, line: &str) {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let world = Arc::clone(&shard.world);
    let now_ms = world.now_milliseconds();
    let one = call_of(&args, now_ms);
    let mut out = Vec::new();
    let failed = execute::call(Shards::one(world.slots, shard), &world, &one, &mut out);
    assert!(!failed, "{line}: {}", String::from_utf8_lossy(&out));
}

fn call_of<'a>(args: &'a [&'a [u8]], now_ms: i64) -> Call<'a> {
    let command = registry::table().find(args[0]).expect("the command is there");
    let client = Client {
        db: DB,
        protocol: Protocol::Resp2,
        no_touch: false,
        tracks: Default::default(),
        record: None,
        reply_bytes_max: usize::MAX,
    };
    Call { command, args, first_key: (0, 0), client, now_ms, origin: Origin::Client }
}

/// Puts a hash of which two fields expire in the place of a key.
fn put_hash(shard: &mut Shard, key: &Key<'_>) {
    run(shard, "HSET other f0 v f1 v");
    run(shard, "HPEXPIRE other 1000 FIELDS 2 f0 f1");
    let other = shard.key_of(b"other");
    let entry = shard.take(DB, &other).expect("it was made");
    shard.stats.dirty.set(0);
    shard.put_entry(DB, key, entry);
}

/// Somebody waits for the key.
fn wait_for(shard: &mut Shard, key: &[u8]) {
    let world = Arc::clone(&shard.world);
    let args: [&[u8]; 3] = [b"BLPOP", key, b"0"];
    let block = Block {
        keys: vec![key.to_vec()],
        deadline_ms: None,
        on_timeout: TimeoutReply::NullArray,
        wants: None,
        again_at_ms: None,
        rewrites: Vec::new(),
    };
    let call = call_of(&args, world.now_milliseconds());
    waiting::register(&mut Shards::one(world.slots, shard), &world, &call, 0, block);
}

const CASES: [Case; 11] = [
    Case {
        name: "a command that counts as two",
        change: |shard, key| shard.changed(DB, key, 2),
        dirty: 2,
        counters: [0, 0, 0],
        event: None,
        stays: true,
    },
    Case {
        name: "a command that removes",
        change: |shard, key| {
            assert!(shard.remove(DB, key, 0, true));
            shard.changed(DB, key, 1);
        },
        dirty: 1,
        counters: [0, 0, 0],
        event: None,
        stays: false,
    },
    Case {
        name: "a removal that finds it expired",
        change: |shard, key| {
            assert!(shard.set_expiry(DB, key, Some(1)));
            assert!(!shard.remove(DB, key, 2, true));
        },
        dirty: 0,
        counters: [1, 0, 0],
        event: Some("expired"),
        stays: false,
    },
    Case {
        name: "expiry by who finds it",
        change: |shard, key| shard.expire(DB, key),
        dirty: 0,
        counters: [1, 0, 0],
        event: Some("expired"),
        stays: false,
    },
    Case {
        name: "expiry by the sweep",
        change: |shard, key| {
            assert!(shard.set_expiry(DB, key, Some(1)));
            assert_eq!(shard.sweep_expired(DB, 2, 1000).expired, 1);
        },
        dirty: 0,
        counters: [1, 0, 0],
        event: Some("expired"),
        stays: false,
    },
    Case {
        name: "eviction",
        change: |shard, key| {
            shard.evict(DB, key, false);
        },
        dirty: 0,
        counters: [0, 1, 0],
        event: Some("evicted"),
        stays: false,
    },
    Case {
        name: "eviction of what has expired",
        change: |shard, key| {
            shard.evict(DB, key, true);
        },
        dirty: 0,
        counters: [1, 0, 0],
        event: Some("expired"),
        stays: false,
    },
    Case {
        name: "some fields that expire",
        change: |shard, key| {
            put_hash(shard, key);
            assert!(shard.expire_elements(DB, key, |fields, gone| {
                if fields.remove(b"f0") {
                    gone(b"f0");
                }
            }));
        },
        dirty: 0,
        counters: [0, 0, 1],
        event: Some("hexpired"),
        stays: true,
    },
    Case {
        name: "the last fields that expire",
        change: |shard, key| {
            put_hash(shard, key);
            assert!(!shard.expire_elements(DB, key, |fields, gone| fields.remove_all_expired(u64::MAX, gone)));
        },
        dirty: 0,
        counters: [0, 0, 2],
        event: Some("del"),
        stays: false,
    },
    Case {
        name: "a flush",
        change: |shard, _| shard.flush(DB, true),
        dirty: 1,
        counters: [0, 0, 0],
        event: None,
        stays: false,
    },
    Case {
        name: "an exchange of databases",
        change: |shard, _| shard.swap(DB, 1),
        dirty: 0,
        counters: [0, 0, 0],
        event: None,
        stays: false,
    },
];

fn shard_with(key: &[u8]) -> (Arc<World>, Shard) {
    let table = crate::families::install(std::iter::empty());
    let world = World::new(SlotMap::new(1, false), Settings::default()).expect("a thread");
    world.stop_clock();
    world.settings.notify_keyspace_events.set(i64::from(u16::MAX));
    let mut shard = Shard::new(&world, 0, table.commands().len());
    let key = shard.key_of(key);
    shard.put(DB, &key, text(b"value"), Expiry::None, 0);
    shard.outbox.events.set_consumed(true);
    (world, shard)
}

#[test]
fn every_cause_has_its_count_its_event_and_tells_who_watches_and_who_waits() {
    for case in &CASES {
        let (_world, mut shard) = shard_with(b"k");
        let key = Key::new(b"k", &SlotMap::new(1, false));
        let flag = DirtyFlag::default();
        shard.watches.add(DB, key.bytes, &flag, Presence::Alive);
        wait_for(&mut shard, key.bytes);
        let (changes, name) = (shard.changes, case.name);
        (case.change)(&mut shard, &key);
        let stats = &shard.stats;
        assert_eq!(stats.dirty.get(), case.dirty, "{name}");
        let counters = [&stats.expired_keys, &stats.evicted_keys, &stats.expired_fields].map(|counter| counter.get());
        assert_eq!(counters, case.counters, "{name}");
        assert_eq!(shard.outbox.events.take().last().map(|event| event.name), case.event, "{name}");
        assert!(flag.load(Ordering::Relaxed), "{name}: whoever watches is told");
        assert!(shard.blocking.has_ready(), "{name}: whoever waits is told");
        assert_eq!(shard.db(DB).is_some_and(|db| db.find(&key).is_some()), case.stays, "{name}");
        // What changes a whole database publishes by itself.
        assert!(shard.changes > changes || case.event.is_none() && case.counters == [0; 3], "{name}");
    }
}

#[test]
fn what_is_put_is_there_with_its_expiry_whatever_was_there() {
    let (_world, mut shard) = shard_with(b"other");
    let key = Key::new(b"k", &SlotMap::new(1, false));
    let long = [b'x'; 300];
    // One after the other: new, overwritten, not to be overwritten, and with another size, form or expiry.
    for (value, expiry, expected) in [
        (&b"value"[..], Expiry::None, None),
        (b"other", Expiry::None, None),
        (b"12", Expiry::None, None),
        (&long, Expiry::At(2000), Some(2000)),
        (b"value", Expiry::Keep, Some(2000)),
        (b"other", Expiry::None, None),
        (b"value", Expiry::At(500), Some(500)),
        (b"other", Expiry::Keep, None),
    ] {
        shard.clock += 1;
        shard.put(DB, &key, text(value), expiry, 1000);
        let database = shard.db(DB).expect("the key is in it");
        let entry = database.find(&key).expect("it was put there");
        assert_eq!(entry.text().map(|text| text.to_vec()).as_deref(), Some(value));
        assert_eq!((entry.expiry(), entry.clock()), (expected, shard.clock), "{expiry:?}");
        assert_eq!((database.len(), database.volatile_len()), (2, usize::from(expected.is_some())), "{expiry:?}");
    }
    let event = |event: &crate::keyspace::events::Event| event.name;
    assert_eq!(shard.outbox.events.take().iter().map(event).collect::<Vec<_>>(), ["new", "expired", "new"]);
}

#[test]
fn loading_is_no_change() {
    let (_world, mut shard) = shard_with(b"k");
    let key = Key::new(b"k", &SlotMap::new(1, false));
    let flag = DirtyFlag::default();
    shard.watches.add(DB, key.bytes, &flag, Presence::Alive);
    shard.load(DB, &key, Some(Entry::new(b"k", text(b"loaded"), None, 0)));
    assert!(!flag.load(Ordering::Relaxed) && shard.stats.dirty.get() == 0 && shard.outbox.is_empty());
    shard.load(DB, &key, None);
    assert!(shard.db(DB).is_some_and(|db| db.find(&key).is_none()));
}

#[test]
fn a_key_that_was_evicted_is_recorded_whatever_fails_then() {
    let mut tester = Tester::new(1);
    tester.run("SET k v");
    tester.world.journal.record_only();
    tester.world.settings.fails_next_write.set(1);
    let shard = &mut tester.shards[0];
    let key = shard.key_of(b"k");
    assert!(contain(|| shard.evict(0, &key, false)).is_err());
    assert!(shard.db(0).is_none_or(|database| database.find(&key).is_none()));
    let recorded = recorder::take().expect("it is recorded");
    assert_eq!(String::from_utf8_lossy(&recorded.bytes), "*2\r\n$6\r\nUNLINK\r\n$1\r\nk\r\n");
}
