//! SCAN's guarantee and options; KEYS, DBSIZE and RANDOMKEY over all shards.

use std::collections::HashSet;

use crate::testing::Tester;

/// Scans to the end and returns all keys with the number of calls.
fn scan_all(t: &mut Tester, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = t.run(format!("SCAN {cursor} {options}").trim_end());
        let words: Vec<&str> = reply.split("\r\n").collect();
        cursor = words[2].to_owned();
        found.extend(words[5..].iter().step_by(2).filter(|word| !word.is_empty()).map(|&word| word.to_owned()));
        calls += 1;
        if cursor == "0" {
            return (found, calls);
        }
        assert!(calls < 100_000, "the scan never ends");
    }
}

#[test]
fn a_scan_finds_every_key_once_where_nothing_changes() {
    for shards in [1, 3, 4] {
        let mut t = Tester::new(shards);
        for number in 0..3000 {
            t.run(&format!("SET key:{number} v"));
        }
        for options in ["", "COUNT 1", "COUNT 700", "COUNT 100000"] {
            let (found, calls) = scan_all(&mut t, options);
            assert_eq!(found.len(), 3000, "{options} over {shards} shards");
            assert_eq!(found.iter().collect::<HashSet<_>>().len(), 3000);
            assert!(options != "COUNT 100000" || calls == shards, "a large count takes one call a shard");
        }
    }
}

#[test]
fn a_scan_finds_every_key_that_stays_while_others_come_and_go() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for number in 0..500 {
            t.run(&format!("SET stays:{number} v"));
        }
        let (mut cursor, mut seen, mut round) = ("0".to_owned(), HashSet::new(), 0);
        loop {
            let reply = t.run(&format!("SCAN {cursor} COUNT 5 MATCH stays:*"));
            let words: Vec<&str> = reply.split("\r\n").collect();
            cursor = words[2].to_owned();
            seen.extend(words[5..].iter().step_by(2).filter(|word| !word.is_empty()).map(|&word| word.to_owned()));
            for number in 0..20 {
                t.run(&format!("SET other:{round}:{number} v"));
                if round % 3 == 0 {
                    t.run(&format!("DEL other:{}:{number}", round / 2));
                }
            }
            round += 1;
            if cursor == "0" || round > 20_000 {
                break;
            }
        }
        assert_eq!((cursor.as_str(), seen.len()), ("0", 500));
    }
}

#[test]
fn a_scan_gives_only_what_was_asked_for() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run("MSET a1 v a2 v b1 v");
        t.run("ZADD a3 1 m");
        t.run("SET gone v PX 1");
        t.world.advance_clock(5);
        let sorted = |t: &mut Tester, options: &str| {
            let (mut found, _) = scan_all(t, options);
            found.sort();
            found.join(" ")
        };
        assert_eq!(sorted(&mut t, ""), "a1 a2 a3 b1");
        assert_eq!(sorted(&mut t, "MATCH a*"), "a1 a2 a3");
        assert_eq!(sorted(&mut t, "TYPE zset"), "a3");
        assert_eq!(sorted(&mut t, "MATCH a* TYPE STRING COUNT 1"), "a1 a2");
        assert_eq!(sorted(&mut t, "TYPE nonsense"), "");
    }
}

#[test]
fn a_scan_refuses_what_makes_no_sense() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for (line, expected) in [
            ("SCAN x", "-ERR invalid cursor\r\n"),
            ("SCAN -1", "-ERR invalid cursor\r\n"),
            ("SCAN 18446744073709551616", "-ERR invalid cursor\r\n"),
            ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
            ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range\r\n"),
            ("SCAN 0 MATCH", "-ERR syntax error\r\n"),
            ("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN\r\n"),
        ] {
            assert_eq!(t.run(line), expected, "{line}");
        }
        assert!(t.run("SCAN 18446744073709551615").starts_with("*2\r\n"), "any number is a cursor");
    }
}

#[test]
fn keys_dbsize_and_randomkey_see_all_shards() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        assert_eq!(t.run("RANDOMKEY"), "$-1\r\n");
        for number in 0..40 {
            t.run(&format!("SET k{number} v"));
        }
        assert_eq!(t.run("DBSIZE"), ":40\r\n");
        assert!(t.run("KEYS *").starts_with("*40\r\n"));
        assert!(t.run("KEYS k[12]?").starts_with("*20\r\n"));
        let drawn: HashSet<String> = (0..2000).map(|_| t.run("RANDOMKEY")).collect();
        assert_eq!(drawn.len(), 40, "every key is drawn at some time");
    }
}

#[test]
fn a_random_key_has_not_expired() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for number in 0..50 {
            t.run(&format!("SET gone{number} v PX 1"));
        }
        t.run("SET stays v");
        t.world.advance_clock(5);
        assert_eq!(t.run("RANDOMKEY"), "$5\r\nstays\r\n");
        t.run("DEL stays");
        assert_eq!(t.run("RANDOMKEY"), "$-1\r\n");
    }
}

#[test]
fn scans_remove_the_expired_keys_that_they_meet() {
    for shards in [1, 4] {
        for command in ["SCAN 0 COUNT 1000", "KEYS *"] {
            let mut t = Tester::new(shards);
            t.world.settings.notify_keyspace_events.set(-1);
            for number in 0..100 {
                t.run(&format!("SET lasting:{number} v"));
                t.run(&format!("SET volatile:{number} v PX 5"));
            }
            t.world.advance_clock(10);
            assert_eq!(t.run("DBSIZE"), ":200\r\n");
            t.events();
            if command.starts_with("SCAN") {
                assert_eq!(scan_all(&mut t, "COUNT 1000").0.len(), 100);
            } else {
                assert!(t.run(command).starts_with("*100\r\n"));
            }
            assert_eq!(t.run("DBSIZE"), ":100\r\n", "{command}");
            assert_eq!(t.events().iter().filter(|event| event.starts_with("expired volatile:")).count(), 100);
        }
    }
}

#[test]
fn a_scan_leaves_the_expired_keys_that_it_does_not_look_for() {
    let mut t = Tester::new(1);
    for key in ["a1", "a2", "b1"] {
        t.run(&format!("SET {key} v PX 5"));
    }
    t.world.advance_clock(10);
    // As in Redis, the pattern comes before the expiry, and that before the type.
    t.expect(&[("SCAN 0 MATCH b*", "*2|$1|0|*0"), ("DBSIZE", ":2"), ("SCAN 0 TYPE list MATCH a1", "*2|$1|0|*0")]);
    t.expect(&[("DBSIZE", ":1"), ("KEYS x*", "*0"), ("DBSIZE", ":1"), ("KEYS a?", "*0"), ("DBSIZE", ":0")]);
}
