//! SADDEX.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::set::tests::everywhere;
use crate::testing::Tester;

#[test]
fn members_are_added_with_a_time() {
    everywhere(|t| {
        t.expect(&[
            ("SADDEX s EX 100 MEMBERS 2 a b", ":1"),
            ("STTL s MEMBERS 2 a b", "*2|:100|:100"),
            ("SADDEX s KEEPTTL MEMBERS 2 a c", ":1"),
            ("STTL s MEMBERS 2 a c", "*2|:100|:-1"),
            ("SADDEX s MEMBERS 3 b d 1", ":1"),
            ("STTL s MEMBERS 4 a b d 1", "*4|:100|:-1|:-1|:-1"),
            ("SADDEX s members 2 a c px 5000", ":1"),
            ("SPTTL s MEMBERS 3 a c d", "*3|:5000|:5000|:-1"),
            ("SADDEX s EXAT 70368744000 MEMBERS 1 1", ":1"),
            ("SADDEX s PXAT 70368744000500 MEMBERS 1 2", ":1"),
            ("SPEXPIRETIME s MEMBERS 2 1 2", "*2|:70368744000000|:70368744000500"),
            ("SCARD s", ":6"),
        ]);
        t.world.advance_clock(6000);
        t.sweep_fields();
        t.expect(&[("SCARD s", ":4"), ("SMISMEMBER s a b c d", "*4|:0|:1|:0|:1")]);
    });
}

#[test]
fn conditions_hold_for_all_members_or_for_none() {
    everywhere(|t| {
        t.expect(&[
            ("SADDEX s MXX MEMBERS 1 a", ":0"),
            ("EXISTS s", ":0"),
            ("SADDEX s MNX EX 100 MEMBERS 2 a b", ":1"),
            ("SADDEX s MNX EX 200 MEMBERS 2 b c", ":0"),
            ("SADDEX s MXX EX 200 MEMBERS 2 b c", ":0"),
            ("STTL s MEMBERS 3 a b c", "*3|:100|:100|:-2"),
            ("SADDEX s MXX PX 50 MEMBERS 1 b", ":1"),
        ]);
        t.world.advance_clock(60);
        t.expect(&[
            ("SADDEX s MXX MEMBERS 2 a b", ":0"),
            ("SADDEX s MNX EX 100 MEMBERS 1 b", ":1"),
            ("STTL s MEMBERS 2 a b", "*2|:100|:100"),
        ]);
    });
}

#[test]
fn a_time_that_has_passed_removes_and_adds_nothing() {
    everywhere(|t| {
        t.expect(&[
            ("SADDEX s EX 0 MEMBERS 1 a", ":1"),
            ("EXISTS s", ":0"),
            ("SADD s a b", ":2"),
            ("SADDEX s PXAT 1 MEMBERS 2 a c", ":1"),
            ("SMEMBERS s", "*1|$1|b"),
            ("SADDEX s EX 0 MEMBERS 1 b", ":1"),
            ("SETNX s string", ":1"),
        ]);
    });
}

#[test]
fn arguments_are_checked_before_the_type() {
    let mut t = Tester::new(1);
    t.run("SET string v");
    let one_time = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    for (line, reply) in [
        ("SADDEX string MEMBERS 1 a", WRONG_TYPE),
        ("SADDEX string WHAT 1 a", "-ERR unknown argument: WHAT"),
        ("SADDEX s EX x MEMBERS 1 a", "-ERR value is not an integer or out of range"),
        ("SADDEX s EX -1 MEMBERS 1 a", "-ERR invalid expire time, must be >= 0"),
        ("SADDEX s EX 9223372036854775807 MEMBERS 1 a", "-ERR invalid expire time in 'saddex' command"),
        ("SADDEX s EX 1 PX 1 MEMBERS 1 a", one_time),
        ("SADDEX s MEMBERS 1 a EX 1 KEEPTTL", one_time),
        ("SADDEX s MNX MXX MEMBERS 1 a", "-ERR Only one of MXX or MNX arguments can be specified"),
        ("SADDEX s MEMBERS 1 a EX", "-ERR missing expire time"),
        ("SADDEX s MNX EX 1", "-ERR missing MEMBERS argument"),
        ("SADDEX s MNX KEEPTTL MEMBERS", "-ERR wrong number of arguments for 'saddex' command"),
        ("SADDEX s MEMBERS 0 a", "-ERR invalid number of members"),
        ("SADDEX s MEMBERS x a", "-ERR invalid number of members"),
        ("SADDEX s MEMBERS 2 a", "-ERR wrong number of arguments"),
        ("SADDEX s MEMBERS 1 a b", "-ERR unknown argument: b"),
        ("SADDEX s MEMBERS 1 a MEMBERS 1 b", "-ERR MEMBERS keyword specified multiple times"),
        ("SADDEX s MEMBERS 1", "-ERR wrong number of arguments for 'saddex' command"),
        ("EXISTS s", ":0"),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    watch_events(&mut t);
    for (line, events) in [
        ("SADDEX s MXX MEMBERS 1 a", &[] as &[&str]),
        ("SADDEX s EX 100 MEMBERS 2 a b", &["new s", "sadd s", "sexpire s"]),
        ("SADDEX s MEMBERS 1 a", &["sadd s"]),
        ("SADDEX s EX 0 MEMBERS 1 c", &[]),
        ("SADDEX s EX 0 MEMBERS 1 a", &["srem s"]),
        ("SADDEX s EX 0 MEMBERS 1 b", &["srem s", "del s"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
