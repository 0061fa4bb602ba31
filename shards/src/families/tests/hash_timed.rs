//! Values together with their expiry, in both encodings and protocols.

use super::super::hash::tests::everywhere;
use super::super::list::tests::{watch_events, WRONG_TYPE};
use crate::testing::Tester;

#[test]
fn hgetex_returns_values_and_times_them() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2", ":2"),
            ("HGETEX h FIELDS 2 a none", "*2|$1|1|$-1"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
            ("HGETEX h EX 100 FIELDS 2 a none", "*2|$1|1|$-1"),
            ("HTTL h FIELDS 2 a b", "*2|:100|:-1"),
            ("HGETEX h FIELDS 1 a", "*1|$1|1"),
            ("HTTL h FIELDS 1 a", "*1|:100"),
            ("HGETEX h persist FIELDS 2 a b", "*2|$1|1|$1|2"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
            ("HGETEX h PXAT 70368744177663 FIELDS 1 a", "*1|$1|1"),
            ("HPEXPIRETIME h FIELDS 1 a", "*1|:70368744177663"),
            ("HGETEX none EX 10 FIELDS 2 a b", "*2|$-1|$-1"),
            ("HGETEX h EXAT 1 FIELDS 1 a", "*1|$1|1"),
            ("HLEN h", ":1"),
            ("HGETEX h PX 0 FIELDS 1 b", "*1|$1|2"),
            ("SETNX h string", ":1"),
        ]);
    });
}

#[test]
fn hgetex_has_its_options_at_fixed_places() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    t.run("HSET h a 1");
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments";
    for (line, reply) in [
        ("HGETEX s EX x WHAT 1 a", WRONG_TYPE),
        ("HGETEX h EX x WHAT 1 a", "-ERR value is not an integer or out of range"),
        ("HGETEX h EX FIELDS 1 a", "-ERR value is not an integer or out of range"),
        ("HGETEX h EX -1 WHAT 1 a", "-ERR invalid expire time, must be >= 0"),
        ("HGETEX h PX 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command"),
        ("HGETEX h EX 10 PX 10 FIELDS 1 a", missing),
        ("HGETEX h KEEPTTL FIELDS 1 a", missing),
        ("HGETEX h PERSIST PERSIST 1 a", missing),
        ("HGETEX h EX 10 WHAT", "-ERR wrong number of arguments for 'hgetex' command"),
        ("HGETEX h EX 10 FIELDS", "-ERR wrong number of arguments for 'hgetex' command"),
        ("HGETEX h EX 10 FIELDS 1", mismatch),
        ("HGETEX h PERSIST FIELDS 1", mismatch),
        ("HGETEX h FIELDS 1 a EX 10", mismatch),
        ("HGETEX h FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
        ("HGETEX none FIELDS 3 a b", mismatch),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn hsetex_asks_for_the_key_as_well_as_for_fields() {
    everywhere(|t| {
        t.expect(&[
            ("HSETEX h XX FIELDS 1 a 1", ":0"),
            ("EXISTS h", ":0"),
            ("HSETEX h nx EX 100 FNX FIELDS 1 a 1", ":1"),
            ("HSETEX h NX FIELDS 1 a 2", ":0"),
            ("HSETEX h NX FNX FIELDS 1 b 2", ":0"),
            ("HGET h a", "$1|1"),
            ("HSETEX h XX FNX FIELDS 1 a 2", ":0"),
            ("HSETEX h KEEPTTL FXX XX FIELDS 1 a 2", ":1"),
            ("HTTL h FIELDS 1 a", "*1|:100"),
            ("HSETEX h XX XX FIELDS 1 a 3", ":1"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
            ("HSETEX h NX XX FIELDS 1 a 3", "-ERR syntax error"),
            ("HSETEX h NX", "-ERR wrong number of arguments for 'hsetex' command"),
            ("HSETEX once NX EX 0 FIELDS 1 a 1", ":1"),
            ("EXISTS once", ":0"),
            ("SET s v", "+OK"),
            ("HSETEX s NX FIELDS 1 a 1", WRONG_TYPE),
        ]);
    });
}

#[test]
fn hsetex_sets_values_with_a_time_or_without() {
    everywhere(|t| {
        t.expect(&[
            ("HSETEX h EX 100 FIELDS 2 a 1 b 2", ":1"),
            ("HTTL h FIELDS 2 a b", "*2|:100|:100"),
            ("HSETEX h KEEPTTL FIELDS 1 a 3", ":1"),
            ("HSETEX h FIELDS 1 b 4", ":1"),
            ("HTTL h FIELDS 2 a b", "*2|:100|:-1"),
            ("HMGET h a b", "*2|$1|3|$1|4"),
            ("HSETEX h PXAT 70368744177663 FIELDS 1 a 5", ":1"),
            ("HPEXPIRETIME h FIELDS 1 a", "*1|:70368744177663"),
            ("HSETEX h EXAT 1 FIELDS 1 a 5", ":1"),
            ("HLEN h", ":1"),
            ("HSETEX new PX 0 FIELDS 1 a 5", ":1"),
            ("SETNX new string", ":1"),
            ("HSETEX h EX 10 FIELDS 2 c 1 c 2", ":1"),
            ("HGET h c", "$1|2"),
        ]);
        t.world.advance_clock(10_001);
        t.expect(&[("HGET h c", "$-1"), ("HLEN h", ":1")]);
    });
}

#[test]
fn hsetex_writes_all_fields_or_none() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2", ":2"),
            ("HSETEX h FNX FIELDS 2 c 1 a 1", ":0"),
            ("HSETEX h FXX FIELDS 2 a 9 c 1", ":0"),
            ("HMGET h a c", "*2|$1|1|$-1"),
            ("HSETEX h FXX FIELDS 2 a 9 b 8", ":1"),
            ("HSETEX h ex 100 fnx FIELDS 1 c 7", ":1"),
            ("HMGET h a b c", "*3|$1|9|$1|8|$1|7"),
            ("HSETEX none FXX FIELDS 1 a 1", ":0"),
            ("SETNX none string", ":1"),
            ("HPEXPIRE h 50 FIELDS 1 a", "*1|:1"),
        ]);
        t.world.advance_clock(60);
        t.expect(&[("HSETEX h FXX FIELDS 1 a 1", ":0"), ("HSETEX h FNX FIELDS 1 a 1", ":1")]);
    });
}

#[test]
fn hsetex_checks_its_arguments_before_the_key() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    let arity = "-ERR wrong number of arguments for 'hsetex' command";
    let conditions = "-ERR Only one of FXX or FNX arguments can be specified";
    let lifetimes = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    for (line, reply) in [
        ("HSETEX s WHAT 1 a 1", "-ERR unknown argument: WHAT"),
        ("HSETEX s PERSIST FIELDS 1 a 1", "-ERR unknown argument: PERSIST"),
        ("HSETEX s FNX FXX FIELDS 1 a 1", conditions),
        ("HSETEX s FNX FNX FIELDS 1 a 1", conditions),
        ("HSETEX s EX 10 EX 20 FIELDS 1 a 1", lifetimes),
        ("HSETEX s EX 10 FNX PX", lifetimes),
        ("HSETEX s KEEPTTL KEEPTTL FIELDS 1 a 1", lifetimes),
        ("HSETEX s EX x WHAT 1 a 1", "-ERR value is not an integer or out of range"),
        ("HSETEX s EX -1 WHAT 1 a 1", "-ERR invalid expire time, must be >= 0"),
        ("HSETEX s EX 9223372036854775807 FIELDS 1 a 1", "-ERR invalid expire time in 'hsetex' command"),
        ("HSETEX s FIELDS 0 a 1", "-ERR invalid number of fields"),
        ("HSETEX s FIELDS x a 1", "-ERR invalid number of fields"),
        ("HSETEX s FIELDS 2147483648 a 1", "-ERR invalid number of fields"),
        ("HSETEX s FIELDS 2 a 1", arity),
        ("HSETEX s FIELDS 1 a 1 b", arity),
        ("HSETEX s FNX EX 10 FIELDS", arity),
        ("HSETEX s FNX EX 10 FIELDS 1", arity),
        ("HSETEX s FIELDS 1 a 1", WRONG_TYPE),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    t.run("HSET h b 2 c 3");
    watch_events(&mut t);
    for (line, events) in [
        ("HGETEX h FIELDS 1 b", &[] as &[&str]),
        ("HGETEX h EX 100 FIELDS 2 b none", &["hexpire h"]),
        ("HGETEX h PERSIST FIELDS 2 b c", &["hpersist h"]),
        ("HGETEX h PERSIST FIELDS 2 b c", &[]),
        ("HGETEX h EXAT 1 FIELDS 2 b none", &["hdel h"]),
        ("HGETEX h EX 10 FIELDS 1 none", &[]),
        ("HSETEX h EX 100 FIELDS 1 c 1", &["hset h", "hexpire h"]),
        ("HSETEX h FIELDS 1 c 1", &["hset h"]),
        ("HSETEX h FNX FIELDS 1 c 1", &[]),
        ("HSETEX h EXAT 1 FIELDS 1 d 1", &["hset h", "hdel h"]),
        ("HSETEX new EXAT 1 FIELDS 1 d 1", &["new new", "hset new", "hdel new", "del new"]),
        ("HGETEX h EXAT 1 FIELDS 1 c", &["hdel h", "del h"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
