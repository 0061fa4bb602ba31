//! What is remembered of clients with caches, and what they are told, for every kind of command and cause.

use std::sync::Arc;

use super::*;
use crate::command::registry;
use crate::executor::batch::Batch;
use crate::executor::run::run_batch;
use crate::keyspace::invalidations::{Invalidation, PENDING_MAX};
use crate::server::client::ClientRecord;
use crate::server::tracking::Tracks;
use crate::testing::Tester;

/// The clients of the tests, by their tokens.
const A: u64 = 7;
const B: u64 = 9;

fn client(token: u64) -> Arc<ClientRecord> {
    Arc::new(ClientRecord { token, ..ClientRecord::default() })
}

/// A keyspace in which two clients track, and one may speak.
struct Scene {
    tester: Tester,
    a: Arc<ClientRecord>,
    b: Arc<ClientRecord>,
}

impl Scene {
    fn new(shards: usize) -> Scene {
        let scene = Scene { tester: Tester::new(shards), a: client(A), b: client(B) };
        for client in [&scene.a, &scene.b] {
            client.tracking.set_tracks(Tracks::new(true, false));
            scene.tester.world.tracking.begin(false);
        }
        scene
    }

    /// Has client A run a command.
    fn a(&mut self, line: &str) -> Vec<String> {
        let client = Arc::clone(&self.a);
        self.tester.run_as(&client, line);
        self.told()
    }

    fn b(&mut self, line: &str) -> Vec<String> {
        let client = Arc::clone(&self.b);
        self.tester.run_as(&client, line);
        self.told()
    }

    /// Has somebody run a command who does not track.
    fn other(&mut self, line: &str) -> Vec<String> {
        self.tester.run(line);
        self.told()
    }

    /// Has clients run commands, each a line of its own, as one batch of the first shard. Client `None` is one that does not track.
    fn batch(&mut self, commands: &[(Option<&Arc<ClientRecord>>, String)]) -> Vec<String> {
        let (mut batch, other) = (Batch::new(0, 0), client(1));
        for (place, (client, line)) in commands.iter().enumerate() {
            let client = client.unwrap_or(&other);
            if place.checked_sub(1).is_none_or(|before| commands[before].0.unwrap_or(&other).token != client.token) {
                batch.begin_segment(client.token as u32, client, (0, self.tester.protocol), usize::MAX);
            }
            let args: Vec<&'static [u8]> = line.split(' ').map(|word| &*word.as_bytes().to_vec().leak()).collect();
            let command = registry::table().find(args[0]).expect("a command");
            let hash = if command.first_key == 1 { table::hash(args[1]) } else { 0 };
            batch.push(command, &args, hash, 0, 0);
        }
        assert!(run_batch(&mut self.tester.shards[0], &mut batch));
        self.told()
    }

    /// What is to be told now: a key and its readers.
    fn told(&mut self) -> Vec<String> {
        let show = |invalidation: Invalidation| match invalidation.told {
            Told::Key { key, readers, has_changed, by } => {
                let key = String::from_utf8_lossy(&key).into_owned();
                let by = if by == 0 { String::new() } else { format!(" by {by}") };
                format!("{key} {readers:?}{}{by}", if has_changed { " changed" } else { "" })
            }
            Told::Everything => "everything".to_owned(),
        };
        self.tester.invalidations().into_iter().map(show).collect()
    }
}

#[test]
fn a_key_that_was_read_is_told_once_to_each_who_has_read_it() {
    for shards in [1, 4] {
        let mut scene = Scene::new(shards);
        assert!(scene.a("GET k").is_empty() && scene.a("GET k").is_empty() && scene.b("GET k").is_empty());
        assert!(scene.other("SET other 1").is_empty());
        assert_eq!(scene.other("SET k 1"), ["k [7, 9]"]);
        assert!(scene.other("SET k 2").is_empty(), "what was told is forgotten");
        scene.b("GET k");
        assert_eq!(scene.a("SET k 3"), ["k [9]"]);
    }
}

#[test]
fn a_batch_tells_what_its_commands_tell_one_by_one() {
    const KEYS: u64 = 12;
    let mut random = sherd_types::random::Random::fixed(11);
    let (mut together, mut apart) = (Scene::new(1), Scene::new(1));
    let mut told_of_own = 0;
    for _ in 0..300 {
        let mut commands = Vec::new();
        for _ in 0..(random.next() >> 8) % 150 + 1 {
            let (who, what) = (random.next() >> 8, random.next() >> 8);
            let [one, other] = [random.next(), random.next()].map(|number| (number >> 8) % KEYS);
            let line = match what % 16 {
                0 => format!("SET s{one} {other}"),
                1 => format!("DEL s{one}"),
                2 => format!("MGET s{one} s{other}"),
                3 => format!("LPUSH s{one} x"),
                4 => format!("GETDEL s{one}"),
                5 => format!("HSET h{one} f 1"),
                6 => format!("HGET h{one} f"),
                7 if other == 0 => "FLUSHALL".to_owned(),
                7 => format!("RENAMENX s{one} s{other}"),
                8 => format!("EXPIRE h{one} 0"),
                _ => format!("GET s{one}"),
            };
            commands.push((who % 3, line));
        }
        let [a, b] = [Arc::clone(&together.a), Arc::clone(&together.b)];
        let whose = [Some(&a), Some(&b), None];
        let lines: Vec<_> = commands.iter().map(|(who, line)| (whose[*who as usize], line.clone())).collect();
        let of_batch = together.batch(&lines);
        let mut one_by_one = Vec::new();
        for (who, line) in &commands {
            one_by_one.extend(match who {
                0 => apart.a(line),
                1 => apart.b(line),
                _ => apart.other(line),
            });
        }
        one_by_one.dedup_by(|a, b| a == "everything" && b == "everything");
        assert_eq!(of_batch, one_by_one, "{commands:?}");
        told_of_own += of_batch.iter().filter(|told| told.contains("7, 9")).count();
        let items = [&together, &apart].map(|scene| scene.tester.tracked_items());
        assert_eq!(items[0], items[1], "{commands:?}");
    }
    assert!(told_of_own > 100, "hardly any key was read by both: {told_of_own}");
}

#[test]
fn a_batch_reads_of_more_keys_than_are_remembered_and_goes_on() {
    let mut scene = Scene::new(1);
    scene.tester.world.settings.tracking_table_max_keys.set(64);
    let a = Arc::clone(&scene.a);
    let lines: Vec<_> = (0..1000).map(|number| (Some(&a), format!("GET key:{number}"))).collect();
    let told = scene.batch(&lines);
    let kept = scene.tester.world.tracking.keys.load(Relaxed);
    assert!(kept <= 64, "{kept} keys are remembered");
    assert_eq!(told.len() + kept, 1000, "who has read a key that is forgotten is told");
    assert!(scene.tester.shards[0].read_keys.pending.is_empty());
}

#[test]
fn all_keys_of_commands_that_read_are_remembered_and_none_of_others() {
    for (line, keys) in [
        ("MGET a b c", &["a", "b", "c"][..]),
        ("EXISTS a b", &["a", "b"]),
        ("OBJECT ENCODING a", &["a"]),
        ("TTL a", &["a"]),
        ("SINTERCARD 2 a b", &["a", "b"]),
        ("XREAD STREAMS a b 0 0", &["a", "b"]),
        ("HGET a f", &["a"]),
        ("SORT_RO a", &["a"]),
        ("GETEX a", &[]),
        ("GETSET a 1", &[]),
        ("KEYS *", &[]),
        ("DBSIZE", &[]),
        ("SCAN 0", &[]),
        ("LPUSH l 1", &[]),
    ] {
        for shards in [1, 4] {
            let mut scene = Scene::new(shards);
            scene.a(line);
            let told: Vec<String> =
                ["a", "b", "c", "l"].iter().flat_map(|key| scene.other(&format!("SET {key} 1"))).collect();
            let expected: Vec<String> = keys.iter().map(|key| format!("{key} [7]")).collect();
            assert_eq!(told, expected, "{line}");
        }
    }
}

#[test]
fn every_cause_of_a_change_is_told() {
    let mut scene = Scene::new(1);
    scene.a("GET k");
    scene.other("SET k 1 PX 5");
    scene.told();
    scene.a("GET k");
    scene.tester.world.advance_clock(10);
    assert_eq!(scene.other("GET k"), ["k [7]"], "its time was over");
    scene.other("HSET h f 1");
    scene.other("HPEXPIRE h 5 FIELDS 1 f");
    scene.a("HGET h f");
    scene.tester.world.advance_clock(10);
    scene.tester.sweep_fields();
    assert_eq!(scene.told(), ["h [7]"], "its only field's time was over");
    scene.a("GET k");
    assert_eq!(scene.other("SETRANGE k 3 x"), ["k [7]"]);
    scene.a("GET k");
    assert_eq!(scene.other("EXPIRE k 100"), ["k [7]"]);
    scene.a("MGET k new");
    assert_eq!(scene.other("RENAME k new"), ["k [7]", "new [7]"]);
    scene.a("GET new");
    assert_eq!(scene.other("DEL new"), ["new [7]"]);
    scene.a("GET k");
    assert_eq!(scene.other("FLUSHDB"), ["everything"]);
    assert!(scene.other("SET k 1").is_empty());
    scene.a("GET k");
    assert_eq!(scene.other("SWAPDB 0 1"), ["everything"]);
    assert_eq!(scene.tester.world.tracking.keys.load(Relaxed), 0);
}

#[test]
fn everything_is_told_once_however_many_shards_and_databases_there_are() {
    for shards in [1, 4] {
        let mut scene = Scene::new(shards);
        assert_eq!(scene.other("FLUSHALL"), ["everything"], "of an empty server as well");
        scene.other("MSET a 1 b 2 c 3");
        assert_eq!(scene.other("FLUSHALL"), ["everything"]);
    }
}

#[test]
fn keys_are_told_in_the_order_of_their_changes_over_all_shards() {
    let mut scene = Scene::new(4);
    scene.a("MGET a b c d e");
    let told = scene.other("MSET e 1 d 1 c 1 b 1 a 1");
    assert_eq!(told, ["e [7]", "d [7]", "c [7]", "b [7]", "a [7]"]);
}

#[test]
fn who_wants_to_hear_nothing_of_its_own_changes_does_not() {
    let mut scene = Scene::new(2);
    scene.a.tracking.set_tracks(Tracks::new(true, true));
    scene.a("MGET k l");
    scene.b("MGET k l");
    assert_eq!(scene.a("SET k 1"), ["k [9] by 7"]);
    assert_eq!(scene.b("SET l 1"), ["l [7, 9]"], "the silence ends with the command");
    scene.tester.world.tracking.begin(true);
    assert_eq!(scene.a("SET k 1"), ["k [] changed by 7"]);
    assert_eq!(scene.other("SET k 1"), ["k [] changed"]);
}

#[test]
fn no_more_keys_are_remembered_than_may_be() {
    for shards in [1, 4] {
        let mut scene = Scene::new(shards);
        scene.tester.world.settings.tracking_table_max_keys.set(64);
        let told: Vec<String> = (0..1000).flat_map(|number| scene.a(&format!("GET key:{number}"))).collect();
        let kept = scene.tester.world.tracking.keys.load(Relaxed);
        assert!(kept <= 64, "{kept} keys are remembered");
        assert_eq!(told.len() + kept, 1000, "who has read a key that is forgotten is told");
        scene.tester.world.settings.tracking_table_max_keys.set(8);
        scene.tester.trim_read_keys();
        assert!(scene.tester.world.tracking.keys.load(Relaxed) <= 8);
        assert_eq!(scene.told().len(), kept - scene.tester.world.tracking.keys.load(Relaxed));
    }
}

#[test]
fn nothing_is_remembered_when_nobody_tracks_any_more() {
    let mut scene = Scene::new(2);
    (0..1000).for_each(|number| assert!(scene.a(&format!("GET key:{number}")).is_empty()));
    scene.tester.world.tracking.end(false);
    scene.tester.world.tracking.end(false);
    assert!(scene.other("SET key:0 1").is_empty());
    scene.tester.trim_read_keys();
    assert_eq!(scene.tester.world.tracking.keys.load(Relaxed), 0);
    assert!(scene.told().is_empty());
}

#[test]
fn a_flush_forgets_what_was_read_also_when_nobody_tracks_any_more() {
    let mut scene = Scene::new(2);
    (0..1000).for_each(|number| assert!(scene.a(&format!("GET key:{number}")).is_empty()));
    scene.tester.world.tracking.end(false);
    scene.tester.world.tracking.end(false);
    assert!(scene.other("FLUSHALL").is_empty());
    assert_eq!(scene.tester.world.tracking.keys.load(Relaxed), 0);
}

#[test]
fn more_than_may_wait_is_told_as_everything() {
    let mut scene = Scene::new(1);
    scene.tester.world.tracking.begin(true);
    let keys: Vec<String> = (0..PENDING_MAX + 10).map(|number| format!("k{number} v")).collect();
    let told = scene.other(&format!("MSET {}", keys.join(" ")));
    assert_eq!((told.len(), told.last().map(String::as_str)), (PENDING_MAX + 1, Some("everything")));
}

#[test]
fn who_gets_the_number_of_one_that_has_gone_is_not_told_of_its_keys() {
    let mut scene = Scene::new(1);
    scene.a("MGET k l");
    scene.b("GET k");
    scene.a.tracking.end(&scene.tester.world.tracking.readers);
    let late = client(11);
    late.tracking.set_tracks(Tracks::new(true, false));
    scene.tester.run_as(&late, "GET other");
    assert!(scene.other("SET l 1").is_empty(), "its only reader has gone");
    scene.tester.run_as(&late, "GET k");
    assert_eq!(scene.other("SET k 1"), ["k [11, 9]"]);
    scene.tester.run_as(&scene.a.clone(), "GET k");
    assert!(scene.other("SET k 2").is_empty(), "one that has gone is not remembered");
}

#[test]
fn those_are_told_that_have_read_however_many_come_and_go() {
    const CLIENTS: usize = 80;
    const KEYS: u64 = 20;
    let come = |token| {
        let client = client(token);
        client.tracking.set_tracks(Tracks::new(true, false));
        client
    };
    for shards in [1, 4] {
        let mut scene = Scene::new(shards);
        let mut random = sherd_types::random::Random::fixed(7);
        let mut clients: Vec<_> = (1..=CLIENTS as u64).map(come).collect();
        let mut readers = vec![std::collections::BTreeSet::new(); KEYS as usize];
        for step in 0..20_000 {
            let (client, key) = ((random.next() >> 8) as usize % CLIENTS, (random.next() >> 8) % KEYS);
            let of_key = &mut readers[key as usize];
            match random.next() >> 60 {
                0 => {
                    clients[client].tracking.end(&scene.tester.world.tracking.readers);
                    clients[client] = come(CLIENTS as u64 + 1 + step);
                }
                1..=2 => {
                    scene.tester.run(&format!("SET key:{key} 1"));
                    let told = scene.tester.invalidations();
                    let tokens = |told: &Invalidation| match &told.told {
                        Told::Key { readers, .. } => readers.clone(),
                        Told::Everything => panic!("everything is told"),
                    };
                    let told: Vec<u64> = told.iter().flat_map(tokens).collect();
                    let is_there = |token: &u64| clients.iter().any(|client| client.token == *token);
                    let missing = of_key.iter().filter(|token| is_there(token) && !told.contains(token));
                    assert_eq!(missing.count(), 0, "a reader is not told");
                    assert!(told.iter().all(|token| of_key.contains(token)), "somebody is told who has not read");
                    of_key.clear();
                }
                _ => {
                    scene.tester.run_as(&clients[client], &format!("GET key:{key}"));
                    of_key.insert(clients[client].token);
                }
            }
        }
        let remembered: u64 = scene.tester.tracked_items();
        assert!(remembered <= readers.iter().map(|of_key| of_key.len() as u64).sum());
    }
}
