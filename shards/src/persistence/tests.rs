//! A snapshot is the state at its cut, whatever happens while it is taken; a broken file is refused with its place.

use std::time::Duration;

use super::*;
use crate::keyspace::saving::Sink;
use crate::rdb::format::opcode;
use crate::testing::Tester;
use sherd_types::random::Random;

/// Command lines over few keys of all types, with everything that moves, empties, exchanges or expires.
fn some_line(random: &mut Random) -> String {
    let key = random.below(60);
    let other = random.below(60);
    let number = random.below(400);
    match random.below(40) {
        0 => format!("DEL k{key}"),
        1 => format!("RENAME k{key} k{other}"),
        2 => format!("COPY k{key} k{other} REPLACE"),
        3 => format!("MOVE k{key} 1"),
        4 => format!("EXPIRE k{key} 100"),
        5 => format!("PERSIST k{key}"),
        6 => format!("PEXPIREAT k{key} 1"),
        7 if number < 8 => "FLUSHDB".to_owned(),
        8 if number < 40 => "SWAPDB 0 1".to_owned(),
        9 => format!("APPEND k{key} {}", "x".repeat(number)),
        10 => format!("INCR n{key}"),
        11 => format!("SETRANGE k{key} {number} abc"),
        12..=14 => format!("SET k{key} value:{number}"),
        15 => format!("SET k{key} {number} EX 1000"),
        16..=19 => format!("HSET h{key} f{number} {other}"),
        20 => format!("HDEL h{key} f{number}"),
        21 => format!("HPEXPIRE h{key} 100000 FIELDS 1 f{number}"),
        22..=24 => format!("RPUSH l{key} {number} {}", "y".repeat(other)),
        25 => format!("LPOP l{key} 3"),
        26 => format!("LTRIM l{key} 2 -2"),
        27..=29 => format!("SADD s{key} {number} m{other}"),
        30 => format!("SREM s{key} {number}"),
        31..=33 => format!("ZADD z{key} {other}.5 m{number}"),
        34 => format!("ZREM z{key} m{number}"),
        35 => format!("ZUNIONSTORE z{other} 2 z{key} z{other}"),
        36 => format!("XADD x{key} * field {number}"),
        37 => format!("XTRIM x{key} MAXLEN 3"),
        38 => format!("SINTERSTORE s{other} s{key} s{number}"),
        _ => format!("SETBIT b{key} {number} 1"),
    }
}

/// Every key with its digest and expiry.
fn contents(tester: &mut Tester) -> std::collections::BTreeMap<String, String> {
    let mut found = std::collections::BTreeMap::new();
    tester.world.settings.enable_debug_command.set(1);
    for db in [0, 1] {
        tester.db = db;
        let keys = tester.run("KEYS *");
        for key in keys.split("\r\n").filter(|line| !line.starts_with(['*', '$']) && !line.is_empty()) {
            let value = format!(
                "{} {} {}",
                tester.run(&format!("TYPE {key}")).trim(),
                tester.run(&format!("DEBUG DIGEST-VALUE {key}")).trim(),
                tester.run(&format!("PEXPIRETIME {key}")).trim()
            );
            found.insert(format!("{db}:{key}"), value);
        }
    }
    tester.db = 0;
    found
}

/// The digest of all keys, values and expiries.
fn digest(tester: &mut Tester) -> String {
    tester.world.settings.enable_debug_command.set(1);
    let digest = tester.run("DEBUG DIGEST");
    assert_eq!(digest.len(), 43, "{digest}");
    digest
}

fn collect(sink: &Sink) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = sink.receive(Duration::from_secs(60)) {
        bytes.extend(chunk);
    }
    bytes
}

/// What a file consists of that has these keys and no head of its own.
fn file_of(body: &[u8], version: u16) -> Vec<u8> {
    let mut file = format!("REDIS{version:04}").into_bytes();
    file.extend(body);
    file.push(opcode::END);
    let checksum = crc64(0, &file);
    file.extend(checksum.to_le_bytes());
    file
}

#[test]
fn a_file_of_a_later_version_is_loaded_where_that_is_wanted() {
    let mut tester = Tester::new(2);
    tester.run("SET k v");
    let sink = tester.begin_snapshot();
    (0..2).for_each(|shard| while tester.snapshot_slice(shard) {});
    let body = collect(&sink);
    let mut copy = Tester::new(2);
    let fault = copy.load(&file_of(&body, 13)).expect_err("it is not known");
    assert!(fault.what.contains("RDB version 13 is not known"), "{}", fault.what);
    copy.world.settings.rdb_version_check.set(1);
    assert!(copy.load(&file_of(&body, 0)).is_err(), "nobody has that version");
    copy.load(&file_of(&body, 13)).expect("it is understood");
    assert_eq!(copy.run("GET k"), "$1\r\nv\r\n");
}

#[test]
fn keys_with_nothing_in_them_are_left_out() {
    // As releases of Redis before 7.0 could save them, in every form.
    let mut body = vec![opcode::SELECT_DB, 0];
    for (kind, value) in [
        (1, &b"\x00"[..]),
        (2, b"\x00"),
        (3, b"\x00"),
        (4, b"\x00"),
        (5, b"\x00"),
        (10, b"\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff"),
        (12, b"\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff"),
        (14, b"\x00"),
        (14, b"\x01\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff"),
        (16, b"\x07\x07\0\0\0\0\0\xff"),
        (17, b"\x07\x07\0\0\0\0\0\xff"),
        (18, b"\x00"),
    ] {
        body.extend([kind, 2, b'e', b'0' + (body.len() % 61) as u8]);
        body.extend(value);
    }
    body.extend(b"\0\x01k\x01v");
    let file = file_of(&body, 10);
    let mut tester = Tester::new(2);
    tester.load(&file).expect("it is sound");
    assert_eq!((tester.run("DBSIZE"), tester.run("GET k")), (":1\r\n".to_owned(), "$1\r\nv\r\n".to_owned()));
    let (report, fault) = check(&file, Limits::from_settings(&tester.world.settings), 0, &Progress::default());
    assert_eq!((report.keys, report.empty, report.loaded_keys(), fault), (13, 12, 1, None));
}

#[test]
fn a_snapshot_is_the_state_at_its_cut_whatever_comes_after() {
    for seed in 0..12 {
        let mut random = Random::fixed(seed);
        let shards = [1, 3][seed as usize % 2];
        let mut tester = if seed % 3 == 2 { Tester::of_cluster(shards) } else { Tester::new(shards) };
        let lines = if seed % 4 == 0 { 200 } else { 3000 };
        for _ in 0..lines {
            tester.run(&some_line(&mut random));
        }
        // Twice: the second one begins with the marks that the first one has left.
        for _ in 0..2 {
            let (expected, before) = (digest(&mut tester), contents(&mut tester));
            let sink = tester.begin_snapshot();
            let mut open: Vec<usize> = (0..shards).collect();
            while !open.is_empty() {
                for _ in 0..random.below(120) {
                    tester.run(&some_line(&mut random));
                }
                let at = random.below(open.len());
                if !tester.snapshot_slice(open[at]) {
                    open.swap_remove(at);
                }
            }
            let mut copy = if seed % 3 == 2 { Tester::of_cluster(2) } else { Tester::new(2) };
            copy.load(&file_of(&collect(&sink), 12)).expect("it is sound");
            let after = contents(&mut copy);
            let keys = before.keys().chain(after.keys());
            let differing: Vec<_> = keys.filter(|key| before.get(*key) != after.get(*key)).collect();
            assert!(differing.is_empty(), "seed {seed}: {differing:?}");
            assert_eq!(digest(&mut copy), expected, "seed {seed}");
        }
    }
}

/// A small file with a key of each type.
fn sound_file() -> Vec<u8> {
    let mut tester = Tester::new(1);
    for line in
        ["SET a text EX 100", "SET b 12345", "RPUSH l 1 two", "SADD s 1 2", "SADD t x y", "HSET h f v", "ZADD z 1 m"]
    {
        tester.run(line);
    }
    tester.run("XADD x 1-1 f v");
    let sink = tester.begin_snapshot();
    while tester.snapshot_slice(0) {}
    file_of(&collect(&sink), 10)
}

fn fault_of(bytes: &[u8]) -> Option<Fault> {
    let world = World::new(crate::slot::SlotMap::new(1, false), crate::server::settings::Settings::default())
        .expect("a thread");
    let limits = Limits::from_settings(&world.settings);
    check(bytes, limits, 0, &Progress::default()).1
}

#[test]
fn a_file_that_ends_anywhere_is_refused() {
    let file = sound_file();
    assert_eq!(fault_of(&file), None);
    for end in 0..file.len() {
        let fault = fault_of(&file[..end]).unwrap_or_else(|| panic!("{end} bytes of {} are taken", file.len()));
        assert!(fault.offset <= end as u64);
    }
}

#[test]
fn a_file_with_a_wrong_byte_is_refused() {
    let file = sound_file();
    for at in 0..file.len() {
        let mut wrong = file.clone();
        wrong[at] ^= 0x11;
        assert!(fault_of(&wrong).is_some(), "byte {at} of {}", file.len());
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let mut body = Vec::new();
    for _ in 0..2 {
        body.extend([0, 1, b'k', 1, b'v']);
    }
    let fault = Tester::new(1).load(&file_of(&body, 10)).expect_err("it is refused");
    assert_eq!((fault.key, fault.what.as_str()), (Some(b"k".to_vec()), "a key is there twice"));
}

#[test]
fn what_has_expired_is_not_loaded_and_what_is_idle_stays_so() {
    let mut tester = Tester::new(1);
    tester.world.settings.maxmemory_policy.set(1);
    tester.run("SET gone v PX 10");
    tester.run("SET idle v");
    tester.world.advance_clock(50_000);
    tester.run("SET fresh v");
    let sink = tester.begin_snapshot();
    while tester.snapshot_slice(0) {}
    let mut copy = Tester::new(1);
    copy.world.settings.maxmemory_policy.set(1);
    copy.world.advance_clock(50_000);
    copy.expect(&[("EXISTS gone", ":0")]);
    copy.load(&file_of(&collect(&sink), 10)).expect("it is sound");
    copy.expect(&[("EXISTS gone idle fresh", ":2")]);
    // Seconds may begin in between.
    let idle = |copy: &mut Tester, key: &str| copy.run(&format!("OBJECT IDLETIME {key}"))[1..].trim().parse::<u32>();
    assert!(matches!(idle(&mut copy, "idle"), Ok(50..=55)));
    assert!(matches!(idle(&mut copy, "fresh"), Ok(0..=5)));
}

#[test]
fn a_cancelled_snapshot_leaves_the_marks_for_the_next_one() {
    let mut tester = Tester::new(2);
    for number in 0..5000 {
        tester.run(&format!("SET key:{number} v"));
    }
    let sink = tester.begin_snapshot();
    tester.run("SET key:1 changed");
    sink.cancel();
    for shard in 0..2 {
        while tester.snapshot_slice(shard) {}
    }
    let expected = digest(&mut tester);
    let sink = tester.begin_snapshot();
    for shard in 0..2 {
        while tester.snapshot_slice(shard) {}
    }
    let mut copy = Tester::new(1);
    copy.load(&file_of(&collect(&sink), 10)).expect("it is sound");
    assert_eq!(digest(&mut copy), expected);
}

#[path = "big_tests.rs"]
mod big;
