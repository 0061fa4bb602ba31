//! Expiry of fields, in both encodings and protocols, over one and several shards.

use super::super::hash::tests::everywhere;
use super::super::list::tests::{watch_events, WRONG_TYPE};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

/// A time that no test reaches, in seconds.
const FAR_S: i64 = 70_368_744_000;

#[test]
fn a_field_is_gone_when_its_time_has_come() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2 c 3", ":3"),
            ("HPEXPIRE h 50 FIELDS 2 a none", "*2|:1|:-2"),
            ("HEXPIRE h 100 FIELDS 1 b", "*1|:1"),
        ]);
        t.world.advance_clock(60);
        t.expect(&[
            ("HSCAN h 0 MATCH a COUNT 100", "*2|$1|0|*0"),
            ("HMGET h a b c", "*3|$-1|$1|2|$1|3"),
            ("HEXISTS h a", ":0"),
            ("HSTRLEN h a", ":0"),
            ("HLEN h", ":2"),
        ]);
        t.world.advance_clock(100_000);
        t.expect(&[("HGETALL h", "*2|$1|c|$1|3"), ("HGET h b", "$-1"), ("HLEN h", ":1")]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("HGETALL h", "%1|$1|c|$1|3")]);
    });
}

#[test]
fn whole_hash_commands_pass_over_what_has_expired() {
    everywhere(|t| {
        t.run("HSET h a 1 b 2 c 3");
        t.run("HPEXPIRE h 50 FIELDS 2 a b");
        t.world.advance_clock(60);
        t.expect(&[
            ("HGETALL h", "*2|$1|c|$1|3"),
            ("HKEYS h", "*1|$1|c"),
            ("HVALS h", "*1|$1|3"),
            ("HSCAN h 0 COUNT 100", "*2|$1|0|*2|$1|c|$1|3"),
            ("HRANDFIELD h 10", "*1|$1|c"),
            ("HLEN h", ":1"),
        ]);
    });
}

#[test]
fn the_key_goes_with_its_last_field() {
    everywhere(|t| {
        for read in ["HGET h a", "HGETDEL h FIELDS 1 a", "HTTL h FIELDS 1 a", "HRANDFIELD h", "HDEL h a"] {
            t.run("HSET h a 1");
            t.run("HPEXPIRE h 50 FIELDS 1 a");
            t.world.advance_clock(60);
            t.run(read);
            t.expect(&[("SETNX h string", ":1"), ("GETDEL h", "$6|string")]);
        }
    });
}

#[test]
fn writing_a_value_forgets_its_time_but_adding_to_it_does_not() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2", ":2"),
            ("HEXPIRE h 100 FIELDS 2 a b", "*2|:1|:1"),
            ("HINCRBY h a 1", ":2"),
            ("HINCRBYFLOAT h a 1", "$1|3"),
            ("HSETNX h a 9", ":0"),
            ("HTTL h FIELDS 2 a b", "*2|:100|:100"),
            ("HSET h a 5", ":0"),
            ("HMSET h b 5", "+OK"),
            ("HTTL h FIELDS 2 a b", "*2|:-1|:-1"),
            ("HEXPIRE h 100 FIELDS 1 a", "*1|:1"),
            ("HDEL h a", ":1"),
            ("HSET h a 5", ":1"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
        ]);
    });
}

#[test]
fn an_expired_field_counts_as_new_for_writes() {
    everywhere(|t| {
        t.run("HSET h a 5 b 5 c 5 d 5");
        t.run("HPEXPIRE h 50 FIELDS 4 a b c d");
        t.world.advance_clock(60);
        t.expect(&[
            ("HINCRBY h a 1", ":1"),
            ("HSETNX h b 1", ":1"),
            ("HDEL h c", ":0"),
            ("HSET h d 1", ":1"),
            ("HTTL h FIELDS 4 a b c d", "*4|:-1|:-1|:-2|:-1"),
        ]);
    });
}

#[test]
fn conditions_compare_with_the_time_that_a_field_has() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2", ":2"),
            ("HEXPIRE h 100 XX FIELDS 1 a", "*1|:0"),
            ("HEXPIRE h 100 GT FIELDS 1 a", "*1|:0"),
            ("HEXPIRE h 100 nx FIELDS 2 a a", "*2|:1|:0"),
            ("HEXPIRE h 100 LT FIELDS 1 b", "*1|:1"),
            ("HEXPIRE h 200 GT FIELDS 2 a b", "*2|:1|:1"),
            ("HEXPIRE h 50 GT FIELDS 1 a", "*1|:0"),
            ("HEXPIRE h 300 LT FIELDS 1 a", "*1|:0"),
            ("HEXPIRE h 30 LT FIELDS 1 a", "*1|:1"),
            ("HEXPIRE h 40 XX FIELDS 1 a", "*1|:1"),
            ("HTTL h FIELDS 2 a b", "*2|:40|:200"),
            ("HEXPIRE h 0 GT FIELDS 1 a", "*1|:0"),
            ("HEXPIRE h 0 FIELDS 3 a none a", "*3|:2|:-2|:-2"),
            ("HLEN h", ":1"),
            ("HEXPIREAT h 1 FIELDS 1 b", "*1|:2"),
            ("HLEN h", ":0"),
            ("SETNX h string", ":1"),
        ]);
    });
}

#[test]
fn times_are_told_in_either_unit_and_from_either_base() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2", ":2"),
            ("HPEXPIREAT h 70368744000500 FIELDS 1 a", "*1|:1"),
            ("HPEXPIRETIME h FIELDS 3 a b c", "*3|:70368744000500|:-1|:-2"),
            ("HEXPIRETIME h FIELDS 1 a", "*1|:70368744001"),
            (&format!("HEXPIREAT h {FAR_S} FIELDS 1 a"), "*1|:1"),
            ("HPEXPIRETIME h FIELDS 1 a", "*1|:70368744000000"),
            ("HEXPIRE h 100 FIELDS 1 a", "*1|:1"),
            ("HPEXPIRE h 100000 GT FIELDS 1 b", "*1|:0"),
            ("HTTL h FIELDS 1 a", "*1|:100"),
            ("HPERSIST h FIELDS 3 a b c", "*3|:1|:-1|:-2"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
            ("HTTL none FIELDS 2 a b", "*2|:-2|:-2"),
            ("HPTTL none FIELDS 1 a", "*1|:-2"),
            ("HEXPIRETIME none FIELDS 1 a", "*1|:-2"),
            ("HPERSIST none FIELDS 1 a", "*1|:-2"),
            ("HEXPIRE none 100 FIELDS 2 a b", "*2|:-2|:-2"),
        ]);
    });
}

#[test]
fn arguments_are_checked_after_the_type_and_in_order() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    t.run("HSET h a 1");
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments";
    for (line, reply) in [
        ("HEXPIRE s x WHAT 9 a", WRONG_TYPE),
        ("HTTL s WHAT 9 a", WRONG_TYPE),
        ("HPERSIST s WHAT 9 a", WRONG_TYPE),
        ("HEXPIRE none x WHAT 9 a", "-ERR value is not an integer or out of range"),
        ("HEXPIRE h -1 WHAT 9 a", "-ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 9223372036854775807 WHAT 9 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIRE h 70368744177663 FIELDS 1 a", "-ERR invalid expire time in 'hpexpire' command"),
        ("HEXPIREAT h 70368744178 FIELDS 1 a", "-ERR invalid expire time in 'hexpireat' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1|:1"),
        ("HEXPIRE h 10 NX XX FIELDS 1 a", missing),
        ("HEXPIRE h 10 WHAT 9 a", missing),
        ("HTTL none WHAT 9 a", missing),
        ("HEXPIRE h 10 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 10 FIELDS x a", "-ERR Parameter `numFields` should be greater than 0"),
        ("HTTL h FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
        ("HPERSIST h FIELDS x a", "-ERR Number of fields must be a positive integer"),
        ("HEXPIRE h 10 FIELDS 2 a", mismatch),
        ("HEXPIRE none 10 FIELDS 1 a b", mismatch),
        ("HEXPIRE h 10 NX FIELDS 1", mismatch),
        ("HTTL h FIELDS 2 a", mismatch),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn a_hash_with_times_has_an_encoding_of_its_own() {
    let mut t = Tester::new(1);
    t.world.settings.hash_max_listpack_entries.set(3);
    t.expect(&[
        ("HSET h a 1 b 2 c 3", ":3"),
        ("HEXPIRE h 100 FIELDS 1 a", "*1|:1"),
        ("OBJECT ENCODING h", "$10|listpackex"),
        ("HPERSIST h FIELDS 1 a", "*1|:1"),
        ("OBJECT ENCODING h", "$10|listpackex"),
        ("HSET h d 4", ":1"),
        ("OBJECT ENCODING h", "$9|hashtable"),
        ("HSET big a 1 b 2 c 3 d 4", ":4"),
        ("HEXPIRE big 100 FIELDS 1 a", "*1|:1"),
        ("OBJECT ENCODING big", "$9|hashtable"),
    ]);
}

#[test]
fn the_shard_removes_what_nobody_asks_for() {
    everywhere(|t| {
        t.run("HSET h a 1 b 2 c 3");
        t.run("HSET gone a 1 b 2");
        t.run("HSET renamed a 1 b 2");
        t.run("HSET stays a 1");
        t.run("HPEXPIRE h 50 FIELDS 2 a b");
        t.run("HPEXPIRE gone 50 FIELDS 2 a b");
        t.run("HPEXPIRE renamed 50 FIELDS 1 a");
        t.run("HPEXPIRE stays 5000 FIELDS 1 a");
        t.run("RENAME renamed new");
        t.run("COPY new copy");
        t.sweep_fields();
        t.expect(&[("HLEN h", ":3"), ("HLEN gone", ":2"), ("HLEN new", ":2")]);
        t.world.advance_clock(60);
        t.sweep_fields();
        t.expect(&[
            ("HLEN h", ":1"),
            ("SETNX gone string", ":1"),
            ("HLEN new", ":1"),
            ("HLEN copy", ":1"),
            ("HLEN stays", ":1"),
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
fn a_large_hash_loses_its_fields_in_slices() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for index in 0..5000 {
            t.run(&format!("HSETEX h EX {} FIELDS 1 f{index} v", 10 + index % 100));
        }
        // Real time passes as well, but less than ten seconds.
        t.world.advance_clock(59_500);
        sweep_for_some_ticks(&mut t);
        let left: i64 = t.run("HLEN h")[1..].trim_end().parse().expect("a number");
        assert!((2000..=2500).contains(&left), "{left}");
        t.world.settings.active_expire_enabled.set(0);
        t.world.advance_clock(100_000);
        t.sweep_fields();
        assert_ne!(t.run("HLEN h"), ":0\r\n", "nothing is removed while active expiry is off");
        t.expect(&[("HGETALL h", "*0")]);
        t.world.settings.active_expire_enabled.set(1);
        sweep_for_some_ticks(&mut t);
        t.expect(&[("SETNX h string", ":1")]);
    }
}

#[test]
fn exchanged_databases_keep_their_times() {
    let mut t = Tester::new(1);
    t.run("HSETEX h PX 50 FIELDS 1 a 1");
    t.run("SWAPDB 0 3");
    t.db = 3;
    t.expect(&[("HLEN h", ":1")]);
    t.world.advance_clock(60);
    t.sweep_fields();
    t.expect(&[("HLEN h", ":0"), ("SETNX h string", ":1")]);
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    t.run("HSET h a 1 b 2 c 3 d 4 e 5");
    watch_events(&mut t);
    for (line, events) in [
        ("HEXPIRE h 100 FIELDS 2 a b", &["hexpire h"] as &[&str]),
        ("HEXPIRE h 100 NX FIELDS 1 a", &[]),
        ("HEXPIRE h 100 FIELDS 1 none", &[]),
        ("HPERSIST h FIELDS 1 a", &["hpersist h"]),
        ("HPERSIST h FIELDS 1 a", &[]),
        ("HEXPIRE h 0 FIELDS 1 a", &["hdel h"]),
        ("HPEXPIRE h 50 FIELDS 2 b c", &["hexpire h"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
    t.world.advance_clock(60);
    for (line, events) in [
        ("HGET h b", &["hexpired h"] as &[&str]),
        ("HGET h b", &[]),
        ("HEXPIRE h 0 FIELDS 2 d e", &["hdel h"]),
        ("HGET h c", &["hexpired h", "del h"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
    t.run("HSET h a 1 b 2");
    t.run("HPEXPIRE h 50 FIELDS 2 a b");
    t.events();
    t.world.advance_clock(60);
    t.sweep_fields();
    assert_eq!(t.events(), ["hexpired h", "del h"]);
}
