//! What several threads load is what one does, and what they find fault with is the same at the same place.

use super::*;
use crate::rdb::format::opcode;
use crate::server::settings::Settings;
use crate::slot::SlotMap;
use crate::testing::{run_in, Tester};
use sherd_types::random::Random;

fn engine(shards: usize, is_cluster: bool) -> std::sync::Arc<Engine> {
    let table = crate::families::install(std::iter::empty());
    let world = World::new(SlotMap::new(shards, is_cluster), Settings::default()).expect("a thread");
    world.settings.enable_debug_command.set(1);
    Engine::new(world, table.commands().len(), Box::new(|_| {}), Box::new(|_| {}))
}

/// A snapshot of keys of every type, of the small and of the large encodings, in three databases.
fn snapshot(keys: usize) -> Vec<u8> {
    let mut tester = Tester::new(2);
    for number in 0..keys {
        tester.db = [0, 0, 0, 3, 7][number % 5];
        let element =
            if number % 30 < 10 { format!("{number}") } else { format!("element:{number}{}", "x".repeat(70)) };
        tester.run(&match number % 10 {
            0 => format!("SET key:{number} {element} EX {}", 1000 + number),
            1 => format!("SET {number} {number}"),
            2 => format!("RPUSH list:{number} 1 two {element}"),
            3 => format!("SADD set:{number} 1 2 {number}"),
            4 => format!("SADD set:{number} a {element}"),
            5 => format!("HSET hash:{number} f {element}"),
            6 => format!("ZADD zset:{number} {number} {element} 1.5 m"),
            7 => format!("XADD stream:{number} {number}-1 field {element}"),
            8 => format!("SET key:{number} {}", element.repeat(9)),
            _ => format!("SET key:{number} {element}"),
        });
        if number % 20 == 5 {
            tester.run(&format!("HPEXPIRE hash:{number} 1000000 FIELDS 1 f"));
        }
        if number % 20 == 7 {
            tester.run(&format!("XGROUP CREATE stream:{number} group 0"));
            tester.run(&format!("XREADGROUP GROUP group me STREAMS stream:{number} >"));
        }
    }
    let sink = tester.begin_snapshot();
    (0..2).for_each(|shard| while tester.snapshot_slice(shard) {});
    let mut file = b"REDIS0012".to_vec();
    for (db, announced) in [(0, keys), (3, 1 << 20), (7, 3)] {
        file.extend([opcode::SELECT_DB, db, opcode::RESIZE_DB, 0x80]);
        file.extend((announced as u32).to_be_bytes());
        file.push(0);
    }
    while let Some(chunk) = sink.receive(std::time::Duration::from_secs(60)) {
        file.extend(chunk);
    }
    end(file)
}

fn end(mut file: Vec<u8>) -> Vec<u8> {
    file.push(opcode::END);
    let checksum = crc64(0, &file);
    file.extend(checksum.to_le_bytes());
    file
}

type Outcome = Result<(bool, Report), Fault>;

fn alone(engine: &Engine, bytes: &[u8], progress: &Progress) -> Outcome {
    let mut loading = Loading::begin(&engine.world, bytes)?;
    let ended = loading.fill_alone(engine, progress)?;
    Ok((ended, loading.0.report))
}

fn in_parallel(engine: &Engine, bytes: &[u8], progress: &Progress) -> Outcome {
    let mut loading = Loading::begin(&engine.world, bytes)?;
    let ended = loading.fill_in_parallel(engine, progress)?;
    Ok((ended, loading.0.report))
}

#[test]
fn several_threads_load_what_one_loads() {
    let file = snapshot(3000);
    for (shards, is_cluster) in [(1, false), (2, false), (5, false), (1, true), (3, true)] {
        let (one, several) = (engine(shards, is_cluster), engine(shards, is_cluster));
        let (before, progress) = (Progress::default(), Progress::default());
        let expected = alone(&one, &file, &before).expect("it is sound");
        assert_eq!(in_parallel(&several, &file, &progress), Ok(expected));
        assert_eq!(progress.keys.into_inner(), before.keys.into_inner());
        for line in ["DEBUG DIGEST", "DBSIZE"] {
            assert_eq!(run_in(&several, 0, line), run_in(&one, 0, line), "{line}");
        }
        assert_eq!(several.world.shard_keys.iter().map(|keys| keys.load(Ordering::Relaxed)).sum::<usize>(), 3000);
    }
}

#[test]
fn the_same_fault_is_told_whoever_finds_it() {
    let file = snapshot(400);
    let mut random = Random::fixed(7);
    for at in (0..file.len()).step_by(23) {
        let mut wrong = file.clone();
        match random.below(3) {
            0 => wrong.truncate(at),
            1 => wrong[at] ^= 1 << random.below(8),
            _ => wrong[at] = random.below(256) as u8,
        }
        let one = alone(&engine(3, false), &wrong, &Progress::default());
        let several = in_parallel(&engine(3, false), &wrong, &Progress::default());
        assert_eq!(several, one, "byte {at} of {}", file.len());
    }
}

#[test]
fn the_first_of_several_faults_is_told() {
    let record = |key: String| {
        let mut bytes = vec![0, key.len() as u8];
        bytes.extend(key.as_bytes());
        bytes.extend([1, b'v']);
        bytes
    };
    for distance in [1, 300, 2000] {
        let mut file = b"REDIS0010".to_vec();
        let mut first = None;
        for number in 0..6000 {
            file.extend(record(format!("key:{number}")));
            if number % distance == 0 && number >= 900 {
                file.extend(record(format!("key:{}", number - 900)));
                first.get_or_insert((format!("key:{}", number - 900), file.len()));
            }
        }
        let fault = in_parallel(&engine(4, false), &end(file), &Progress::default()).expect_err("keys are there twice");
        let (key, offset) = first.expect("there is one");
        assert_eq!(
            fault,
            Fault { offset: offset as u64, key: Some(key.into()), what: "a key is there twice".to_owned() }
        );
    }
}

#[test]
fn what_nobody_wants_any_more_is_broken_off() {
    let file = snapshot(2000);
    let engine = engine(2, false);
    engine.world.settings.key_load_delay.set(200);
    let progress = Progress::default();
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| in_parallel(&engine, &file, &progress));
        while progress.keys.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        progress.is_unwanted.store(true, Ordering::Relaxed);
        let (ended, _) = loading.join().expect("no panic").expect("no fault");
        assert!(!ended);
    });
    assert!(progress.keys.into_inner() < 2000);
}

#[test]
fn a_database_that_announces_too_much_gets_no_more_room_than_its_file_may_need() {
    let mut file = b"REDIS0010".to_vec();
    for _ in 0..1000 {
        file.extend([opcode::RESIZE_DB, 0x81]);
        file.extend(u64::MAX.to_be_bytes());
        file.push(0);
    }
    file.extend([0, 1, b'k', 1, b'v']);
    let before = sherd_metrics::memory::used_bytes();
    let engine = engine(2, false);
    assert!(in_parallel(&engine, &end(file), &Progress::default()).is_ok());
    assert!(sherd_metrics::memory::used_bytes().saturating_sub(before) < 64 << 20);
}
