//! Expiry of members, in all encodings and both protocols, over one and several shards.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::set::tests::{everywhere, members};
use crate::testing::Tester;

/// Sets of three members whose first form is each of the three, as far as the limits allow.
const SETS: [[&str; 3]; 2] = [["a", "b", "c"], ["1", "2", "3"]];

/// Runs a test with members that are texts and with integers, `a`, `b` and `c` of the lines being replaced.
fn with_each(test: impl Fn(&mut Tester, &dyn Fn(&str) -> String)) {
    for names in SETS {
        everywhere(|t| {
            let named = |line: &str| {
                let words = line.split(' ').map(|word| match word {
                    "a" => names[0],
                    "b" => names[1],
                    "c" => names[2],
                    word => word,
                });
                words.collect::<Vec<_>>().join(" ")
            };
            test(t, &named);
        });
    }
}

/// Adds three members to `s`, of which the first two expire soon, and lets the time pass.
fn with_expired(t: &mut Tester, named: &dyn Fn(&str) -> String) {
    t.expect(&[
        (&named("SADD s a b c"), ":3"),
        (&named("SPEXPIRE s 50 MEMBERS 2 a b"), "*2|:1|:1"),
        (&named("SEXPIRE s 1000 MEMBERS 1 c"), "*1|:1"),
    ]);
    t.world.advance_clock(60);
}

#[test]
fn a_member_is_gone_when_its_time_has_come() {
    with_each(|t, named| {
        with_expired(t, named);
        t.expect(&[
            (&named("SSCAN s 0 MATCH a COUNT 100"), "*2|$1|0|*0"),
            ("SCARD s", ":3"),
            (&named("SISMEMBER s a"), ":0"),
            (&named("SMISMEMBER s a b c"), "*3|:0|:0|:1"),
            ("SCARD s", ":1"),
            (&named("STTL s MEMBERS 2 a c"), "*2|:-2|:1000"),
        ]);
        t.world.advance_clock(1_000_000);
        t.expect(&[("SMEMBERS s", "*0"), (&named("SISMEMBER s c"), ":0"), ("EXISTS s", ":0")]);
    });
}

#[test]
fn whole_set_commands_pass_over_what_has_expired() {
    with_each(|t, named| {
        let only = named("c");
        for (line, count) in [
            ("SMEMBERS s", "*1"),
            ("SSCAN s 0 COUNT 100", "*2|$1|0|*1"),
            ("SRANDMEMBER s 10", "*1"),
            ("SRANDMEMBER s -1", "*1"),
            ("SPOP s 10", "*1"),
            ("SINTER s s", "*1"),
            ("SINTER all s", "*1"),
            ("SUNION s none", "*1"),
            ("SUNION s s none s s s s", "*1"),
            ("SDIFF s none", "*1"),
            ("SORT s ALPHA", "*1"),
            ("SORT s BY nosort", "*1"),
            ("SORT s ALPHA LIMIT 0 1", "*1"),
            ("ZUNION 1 s", "*1"),
            ("ZINTER 2 all s", "*1"),
            ("ZDIFF 1 s", "*1"),
        ] {
            t.run("DEL s");
            t.run(&named("SADD all a b c"));
            with_expired(t, named);
            t.expect(&[(line, &format!("{count}|$1|{only}"))]);
        }
        for (line, reply) in [
            (named("SDIFF all s"), format!("*2|{}|{}", named("a"), named("b"))),
            (named("ZDIFF 2 all s"), format!("*2|{}|{}", named("a"), named("b"))),
        ] {
            t.run("DEL s");
            with_expired(t, named);
            let got = t.run(&line);
            let expected: Vec<&str> = reply.split('|').skip(1).collect();
            assert_eq!(members(&got).into_iter().collect::<Vec<_>>(), expected, "{line}");
        }
        for line in ["SPOP s", "SRANDMEMBER s"] {
            t.run("DEL s");
            with_expired(t, named);
            t.expect(&[(line, &format!("$1|{only}"))]);
        }
        for (line, count) in [
            ("SINTERCARD 2 all s", ":1"),
            ("SINTERCARD 1 s", ":1"),
            ("SUNIONCARD 2 s none", ":1"),
            ("SDIFFCARD 2 all s", ":2"),
            ("ZINTERCARD 2 all s", ":1"),
            ("SINTERSTORE t all s", ":1"),
            ("SUNIONSTORE t s none", ":1"),
            ("SDIFFSTORE t s none", ":1"),
            ("ZUNIONSTORE t 1 s", ":1"),
            ("SORT s ALPHA STORE t", ":1"),
        ] {
            t.run("DEL s t");
            with_expired(t, named);
            t.expect(&[(line, count)]);
        }
    });
}

#[test]
fn stored_results_have_no_times() {
    with_each(|t, named| {
        with_expired(t, named);
        for line in ["SINTERSTORE t s s", "SUNIONSTORE t s none", "SDIFFSTORE t s none"] {
            t.expect(&[(line, ":1"), (&named("STTL t MEMBERS 1 c"), "*1|:-1")]);
        }
        t.expect(&[("SUNIONSTORE s s none", ":1"), (&named("STTL s MEMBERS 1 c"), "*1|:-1")]);
    });
}

#[test]
fn the_key_goes_with_its_last_member() {
    everywhere(|t| {
        for read in [
            "SISMEMBER s a",
            "SMISMEMBER s a b",
            "STTL s MEMBERS 1 a",
            "SPERSIST s MEMBERS 1 a",
            "SRANDMEMBER s",
            "SPOP s 2",
            "SREM s a",
            "SMOVE s other a",
            "SORT s",
            "ZUNION 1 s",
        ] {
            t.run("SADD s a");
            t.run("SPEXPIRE s 50 MEMBERS 1 a");
            t.world.advance_clock(60);
            t.run(read);
            t.expect(&[("SETNX s string", ":1"), ("GETDEL s", "$6|string"), ("EXISTS other", ":0")]);
        }
    });
}

#[test]
fn an_expired_member_counts_as_new_for_writes() {
    with_each(|t, named| {
        with_expired(t, named);
        t.expect(&[
            (&named("SREM s a"), ":0"),
            (&named("SADD s b c"), ":1"),
            (&named("STTL s MEMBERS 3 a b c"), "*3|:-2|:-1|:1000"),
            (&named("SADD s a"), ":1"),
            (&named("STTL s MEMBERS 1 a"), "*1|:-1"),
            ("SCARD s", ":3"),
        ]);
        t.run("DEL s");
        with_expired(t, named);
        t.expect(&[
            (&named("SMOVE s other a"), ":0"),
            (&named("SMOVE s s b"), ":0"),
            ("EXISTS other", ":0"),
            ("SCARD s", ":1"),
            (&named("SEXPIRE s 100 MEMBERS 1 a"), "*1|:-2"),
        ]);
    });
}

#[test]
fn a_member_takes_its_time_along() {
    with_each(|t, named| {
        t.expect(&[
            (&named("SADD s a b c"), ":3"),
            (&named("SEXPIRE s 100 MEMBERS 2 a b"), "*2|:1|:1"),
            (&named("SMOVE s other a"), ":1"),
            (&named("STTL other MEMBERS 1 a"), "*1|:100"),
            // It is there already: nothing moves but out of the source.
            (&named("SADD other b c"), ":2"),
            (&named("SMOVE s other b"), ":1"),
            (&named("SMOVE s other c"), ":1"),
            (&named("STTL other MEMBERS 3 a b c"), "*3|:100|:-1|:-1"),
            ("EXISTS s", ":0"),
            ("COPY other copy", ":1"),
            ("RENAME other new", "+OK"),
            (&named("STTL copy MEMBERS 3 a b c"), "*3|:100|:-1|:-1"),
            (&named("STTL new MEMBERS 3 a b c"), "*3|:100|:-1|:-1"),
        ]);
        t.world.advance_clock(200_000);
        t.sweep_fields();
        t.expect(&[("SCARD copy", ":2"), ("SCARD new", ":2")]);
    });
}

#[test]
fn popping_leaves_the_times_of_what_stays() {
    with_each(|t, named| {
        let far: Vec<String> = (0..20).map(|index| format!("m{index}")).collect();
        t.run(&format!("SADD s {}", far.join(" ")));
        t.run(&format!("SEXPIRE s 100 MEMBERS 20 {}", far.join(" ")));
        assert!(t.run("SPOP s 19").starts_with("*19\r\n"));
        let stays = t.run("SRANDMEMBER s");
        let stays = stays.split("\r\n").nth(1).expect("one member");
        t.expect(&[(&format!("STTL s MEMBERS 1 {stays}"), "*1|:100"), (&named("SISMEMBER s a"), ":0")]);
    });
}

#[test]
fn adding_a_member_that_is_there_leaves_its_time() {
    with_each(|t, named| {
        t.expect(&[
            (&named("SADD s a"), ":1"),
            (&named("SEXPIRE s 100 MEMBERS 1 a"), "*1|:1"),
            (&named("SADD s a b"), ":1"),
            (&named("STTL s MEMBERS 2 a b"), "*2|:100|:-1"),
            (&named("SREM s a"), ":1"),
            (&named("SADD s a"), ":1"),
            (&named("STTL s MEMBERS 1 a"), "*1|:-1"),
        ]);
    });
}

#[test]
fn conditions_compare_with_the_time_that_a_member_has() {
    with_each(|t, named| {
        for (line, reply) in [
            ("SADD s a b", ":2"),
            ("SEXPIRE s 100 XX MEMBERS 1 a", "*1|:0"),
            ("SEXPIRE s 100 GT MEMBERS 1 a", "*1|:0"),
            ("SEXPIRE s 100 nx MEMBERS 2 a a", "*2|:1|:0"),
            ("SEXPIRE s 100 MEMBERS 1 b LT", "*1|:1"),
            ("SEXPIRE s 200 GT MEMBERS 2 a b GT", "*2|:1|:1"),
            ("SEXPIRE s 50 GT MEMBERS 1 a", "*1|:0"),
            ("SEXPIRE s 300 LT MEMBERS 1 a", "*1|:0"),
            ("SEXPIRE s 30 LT MEMBERS 1 a", "*1|:1"),
            ("SEXPIRE s 40 XX MEMBERS 1 a", "*1|:1"),
            ("STTL s MEMBERS 2 a b", "*2|:40|:200"),
            ("SEXPIRE s 0 GT MEMBERS 1 a", "*1|:0"),
            ("SEXPIRE s 0 MEMBERS 3 a none a", "*3|:2|:-2|:-2"),
            ("SCARD s", ":1"),
            ("SEXPIREAT s 1 MEMBERS 1 b", "*1|:2"),
            ("SCARD s", ":0"),
            ("SETNX s string", ":1"),
        ] {
            t.expect(&[(&named(line), reply)]);
        }
    });
}

#[test]
fn times_are_told_in_either_unit_and_from_either_base() {
    with_each(|t, named| {
        for (line, reply) in [
            ("SADD s a b", ":2"),
            ("SPEXPIREAT s 70368744000500 MEMBERS 1 a", "*1|:1"),
            ("SPEXPIRETIME s MEMBERS 3 a b c", "*3|:70368744000500|:-1|:-2"),
            ("SEXPIRETIME s MEMBERS 1 a", "*1|:70368744001"),
            ("SEXPIREAT s 70368744000 MEMBERS 1 a", "*1|:1"),
            ("SPEXPIRETIME s MEMBERS 1 a", "*1|:70368744000000"),
            ("SEXPIRE s 100 MEMBERS 1 a", "*1|:1"),
            ("SPEXPIRE s 100000 GT MEMBERS 1 b", "*1|:0"),
            ("STTL s MEMBERS 1 a", "*1|:100"),
            ("SPERSIST s MEMBERS 3 a b c", "*3|:1|:-1|:-2"),
            ("STTL s MEMBERS 1 a", "*1|:-1"),
            ("STTL none MEMBERS 2 a b", "*2|:-2|:-2"),
            ("SPTTL none MEMBERS 1 a", "*1|:-2"),
            ("SEXPIRETIME none MEMBERS 1 a", "*1|:-2"),
            ("SPERSIST none MEMBERS 1 a", "*1|:-2"),
            ("SEXPIRE none 100 MEMBERS 2 a b", "*2|:-2|:-2"),
        ] {
            t.expect(&[(&named(line), reply)]);
        }
    });
}

#[test]
fn arguments_are_checked_after_the_type_and_in_order() {
    let mut t = Tester::new(1);
    t.run("SET string v");
    t.run("SADD s a");
    let missing = "-ERR Mandatory argument MEMBERS is missing or not at the right position";
    let mismatch = "-ERR The `nummembers` parameter must match the number of arguments";
    let cut_off = "-ERR MEMBERS requires at least nummembers and one member argument";
    for (line, reply) in [
        ("SEXPIRE string x WHAT 9 a", WRONG_TYPE),
        ("STTL string WHAT 9 a", WRONG_TYPE),
        ("SPERSIST string WHAT 9 a", WRONG_TYPE),
        ("SEXPIRE none x WHAT 9 a", "-ERR value is not an integer or out of range"),
        ("SEXPIRE s -1 WHAT 9 a", "-ERR invalid expire time, must be >= 0"),
        ("SEXPIRE s 9223372036854775807 WHAT 9 a", "-ERR invalid expire time in 'sexpire' command"),
        ("SPEXPIRE s 70368744177663 MEMBERS 1 a", "-ERR invalid expire time in 'spexpire' command"),
        ("SEXPIREAT s 70368744178 MEMBERS 1 a", "-ERR invalid expire time in 'sexpireat' command"),
        ("SPEXPIREAT s 70368744177664 MEMBERS 1 a", "-ERR invalid expire time in 'spexpireat' command"),
        ("SPEXPIREAT s 70368744177663 MEMBERS 1 a", "*1|:1"),
        ("SEXPIRE s 10 NX XX MEMBERS 1 a", "-ERR Multiple condition flags specified"),
        ("SEXPIRE s 10 NX MEMBERS 1 a GT", "-ERR Multiple condition flags specified"),
        ("SEXPIRE s 10 WHAT 9 a", "-ERR unknown argument: WHAT"),
        ("SEXPIRE s 10 NX XX LT", "-ERR missing MEMBERS argument"),
        ("SEXPIRE s 10 NX GT MEMBERS", cut_off),
        ("SEXPIRE s 10 NX MEMBERS 1", cut_off),
        ("SEXPIRE s 10 MEMBERS 1 a MEMBERS 1 a", "-ERR MEMBERS keyword specified multiple times"),
        ("SEXPIRE s 10 MEMBERS 0 a", "-ERR Parameter `numMembers` should be greater than 0"),
        ("SEXPIRE s 10 MEMBERS x a", "-ERR Parameter `numMembers` should be greater than 0"),
        ("SEXPIRE s 10 MEMBERS 2147483648 a", "-ERR Parameter `numMembers` should be greater than 0"),
        ("SEXPIRE s 10 MEMBERS 2 a", "-ERR wrong number of arguments"),
        ("SEXPIRE none 10 MEMBERS 1 a b", "-ERR unknown argument: b"),
        ("STTL none WHAT 9 a", missing),
        ("STTL s MEMBERS 0 a", "-ERR Number of members must be a positive integer"),
        ("SPERSIST s MEMBERS x a", "-ERR Number of members must be a positive integer"),
        ("STTL s MEMBERS 2 a", mismatch),
        ("SPERSIST s MEMBERS 1 a b", mismatch),
        ("STTL s MEMBERS 1", "-ERR wrong number of arguments for 'sttl' command"),
        ("SEXPIRE s 10 MEMBERS 1", "-ERR wrong number of arguments for 'sexpire' command"),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn a_set_with_times_has_an_encoding_of_its_own() {
    let mut t = Tester::new(1);
    t.world.settings.set_max_listpack_entries.set(3);
    t.expect(&[
        ("SADD s a b c", ":3"),
        ("SEXPIRE s 100 XX MEMBERS 1 a", "*1|:0"),
        ("OBJECT ENCODING s", "$8|listpack"),
        ("SEXPIRE s 100 MEMBERS 1 a", "*1|:1"),
        ("OBJECT ENCODING s", "$10|listpackex"),
        ("SPERSIST s MEMBERS 1 a", "*1|:1"),
        ("OBJECT ENCODING s", "$10|listpackex"),
        ("SADD s d", ":1"),
        ("OBJECT ENCODING s", "$9|hashtable"),
        ("SADD integers 1 2 3", ":3"),
        ("SEXPIRE integers 100 MEMBERS 1 1", "*1|:1"),
        ("OBJECT ENCODING integers", "$10|listpackex"),
        ("SADD more 1 2 3 4", ":4"),
        ("OBJECT ENCODING more", "$6|intset"),
        ("SEXPIRE more 100 MEMBERS 1 1", "*1|:1"),
        ("OBJECT ENCODING more", "$9|hashtable"),
        ("SADD big a b c d", ":4"),
        ("SEXPIRE big 100 MEMBERS 1 a", "*1|:1"),
        ("OBJECT ENCODING big", "$9|hashtable"),
    ]);
    let size = |t: &mut Tester, key: &str| {
        let reply = t.run(&format!("MEMORY USAGE {key} SAMPLES 0"));
        reply[1..].trim_end().parse::<usize>().expect("a number")
    };
    t.run("SADD plain a b c d");
    assert!(size(&mut t, "big") > size(&mut t, "plain"));
}

#[test]
fn a_dump_carries_the_times() {
    with_each(|t, named| {
        with_expired(t, named);
        let payload = t.run_args(&[b"DUMP", b"s"]);
        let body = payload.iter().position(|&byte| byte == b'\n').expect("a bulk string") + 1;
        let payload = &payload[body..payload.len() - 2];
        assert_eq!(payload[0], crate::rdb::kind::SET_TIMED);
        assert_eq!(t.run_args(&[b"RESTORE", b"copy", b"0", payload]), b"+OK\r\n");
        t.expect(&[("SCARD copy", ":1"), (&named("STTL copy MEMBERS 2 a c"), "*2|:-2|:1000")]);
        t.world.advance_clock(2_000_000);
        t.sweep_fields();
        t.expect(&[("EXISTS copy", ":0")]);
        assert_eq!(t.run_args(&[b"RESTORE", b"copy", b"0", payload]), b"+OK\r\n");
        t.expect(&[("EXISTS copy", ":0")]);
        t.run(&named("SADD s a"));
        t.run(&named("SEXPIRE s 10 MEMBERS 1 a"));
        t.run(&named("SPERSIST s MEMBERS 1 a"));
        let payload = t.run_args(&[b"DUMP", b"s"]);
        assert!(!payload.contains(&crate::rdb::kind::SET_TIMED), "nothing expires: any server may read it");
    });
}

#[test]
fn the_shard_removes_what_nobody_asks_for() {
    with_each(|t, named| {
        for key in ["s", "gone", "renamed", "stays"] {
            t.run(&named(&format!("SADD {key} a b c")));
        }
        t.run(&named("SPEXPIRE s 50 MEMBERS 2 a b"));
        t.run(&named("SPEXPIRE gone 50 MEMBERS 3 a b c"));
        t.run(&named("SPEXPIRE renamed 50 MEMBERS 1 a"));
        t.run(&named("SPEXPIRE stays 5000 MEMBERS 3 a b c"));
        t.run("RENAME renamed new");
        t.run("COPY new copy");
        t.sweep_fields();
        t.expect(&[("SCARD s", ":3"), ("SCARD gone", ":3"), ("SCARD new", ":3")]);
        t.world.advance_clock(60);
        t.sweep_fields();
        t.expect(&[
            ("SCARD s", ":1"),
            ("SETNX gone string", ":1"),
            ("SCARD new", ":2"),
            ("SCARD copy", ":2"),
            ("SCARD stays", ":3"),
        ]);
        t.world.advance_clock(5000);
        t.sweep_fields();
        t.expect(&[("SETNX stays string", ":1")]);
    });
}

/// A sweep that removes something is followed by another one in the next tick, which finds what was hidden behind that; by
/// chance something is hidden behind that in turn.
fn sweep_for_some_ticks(t: &mut Tester) {
    for _ in 0..20 {
        t.sweep_fields();
        t.world.advance_clock(5);
    }
}

#[test]
fn a_large_set_loses_its_members_in_slices() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for index in 0..5000 {
            t.run(&format!("SADDEX s EX {} MEMBERS 1 m{index}", 10 + index % 100));
        }
        // Real time passes as well, but less than ten seconds.
        t.world.advance_clock(59_500);
        sweep_for_some_ticks(&mut t);
        let left: i64 = t.run("SCARD s")[1..].trim_end().parse().expect("a number");
        assert!((2000..=2500).contains(&left), "{left}");
        t.world.settings.active_expire_enabled.set(0);
        t.world.advance_clock(100_000);
        t.sweep_fields();
        assert_ne!(t.run("SCARD s"), ":0\r\n", "nothing is removed while active expiry is off");
        t.expect(&[("SMEMBERS s", "*0")]);
        t.world.settings.active_expire_enabled.set(1);
        sweep_for_some_ticks(&mut t);
        t.expect(&[("SETNX s string", ":1")]);
    }
}

#[test]
fn exchanged_databases_keep_their_times() {
    let mut t = Tester::new(1);
    t.run("SADDEX s PX 50 MEMBERS 1 a");
    t.run("SWAPDB 0 3");
    t.db = 3;
    t.expect(&[("SCARD s", ":1")]);
    t.world.advance_clock(60);
    t.sweep_fields();
    t.expect(&[("SCARD s", ":0"), ("SETNX s string", ":1")]);
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    t.run("SADD s a b c d e");
    watch_events(&mut t);
    for (line, events) in [
        ("SEXPIRE s 100 MEMBERS 2 a b", &["sexpire s"] as &[&str]),
        ("SEXPIRE s 100 NX MEMBERS 1 a", &[]),
        ("SEXPIRE s 100 MEMBERS 1 none", &[]),
        ("SPERSIST s MEMBERS 1 a", &["spersist s"]),
        ("SPERSIST s MEMBERS 1 a", &[]),
        ("SEXPIRE s 0 MEMBERS 1 a", &["srem s"]),
        ("SPEXPIRE s 50 MEMBERS 2 b c", &["sexpire s"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
    t.world.advance_clock(60);
    for (line, events) in [
        ("SISMEMBER s b", &["sexpired s"] as &[&str]),
        ("SISMEMBER s b", &[]),
        ("SEXPIRE s 0 MEMBERS 2 d e", &["srem s"]),
        ("SISMEMBER s c", &["sexpired s", "del s"]),
        ("SADD s a b", &["new s", "sadd s"]),
        ("SEXPIRE s 0 MEMBERS 2 a b", &["srem s", "del s"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
    t.run("SADD s a b");
    t.run("SPEXPIRE s 50 MEMBERS 2 a b");
    t.events();
    t.world.advance_clock(60);
    t.sweep_fields();
    assert_eq!(t.events(), ["sexpired s", "del s"]);
    t.run("SADD s a b");
    t.run("SPEXPIRE s 50 MEMBERS 1 a");
    t.events();
    t.world.advance_clock(60);
    t.run("SADD s a");
    assert_eq!(t.events(), ["sexpired s", "sadd s"]);
}

#[test]
fn keys_with_times_and_what_has_expired_are_counted() {
    everywhere(|t| {
        t.run("SADD s a b c");
        t.run("SADD other a b c");
        t.run("HSET h a 1 b 2");
        assert_eq!(t.expiring_elements(), (0, 0));
        t.run("SPEXPIRE s 50 MEMBERS 2 a b");
        t.run("SPEXPIRE s 5000 MEMBERS 1 c");
        t.run("HPEXPIRE h 50 FIELDS 1 a");
        assert_eq!(t.expiring_elements(), (2, 0));
        t.run("COPY s copy");
        t.run("RENAME h g");
        assert_eq!(t.expiring_elements(), (3, 0));
        t.run("SEXPIRE other 100 MEMBERS 1 a");
        t.run("SPERSIST other MEMBERS 1 a");
        t.run("DEL copy");
        assert_eq!(t.expiring_elements(), (2, 0));
        t.world.advance_clock(60);
        t.run("SISMEMBER s a");
        assert_eq!(t.expiring_elements(), (2, 1));
        sweep_for_some_ticks(t);
        assert_eq!(t.expiring_elements(), (1, 3), "a hash without times is left, and a set with one");
        t.run("SET s string");
        assert_eq!(t.expiring_elements(), (0, 3));
        t.run("SADDEX s2 EX 10 MEMBERS 1 a");
        t.run("SADDEX s3 EX 10 MEMBERS 1 a");
        t.run("PEXPIRE s3 1");
        assert_eq!(t.expiring_elements(), (2, 3));
        t.world.advance_clock(5);
        sweep_for_some_ticks(t);
        assert_eq!(t.expiring_elements(), (1, 3));
        t.run("FLUSHALL");
        assert_eq!(t.expiring_elements(), (0, 3));
    });
}

#[test]
fn announcements_that_nothing_stands_for_do_not_pile_up() {
    let mut t = Tester::new(1);
    for round in 0..3000 {
        t.run(&format!("SADDEX set:{} EX {} MEMBERS 1 a", round % 50, 10_000 - round));
        t.run("SADDEX same EXAT 70368744000 MEMBERS 1 a");
        t.run("SPERSIST same MEMBERS 1 a");
        t.run("HSETEX gone EX 1000 FIELDS 1 f v");
        t.run("DEL gone");
    }
    t.run("SADDEX same EXAT 70368744000 MEMBERS 1 a");
    assert_eq!(t.expiring_elements(), (51, 0));
    assert!(t.announcements() < 3000, "{}", t.announcements());
    t.world.advance_clock(10_001_000);
    sweep_for_some_ticks(&mut t);
    t.expect(&[("DBSIZE", ":1"), ("SCARD same", ":1")]);
    assert_eq!(t.expiring_elements(), (1, 50));
}
