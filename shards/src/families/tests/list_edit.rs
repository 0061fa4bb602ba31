//! Changing and finding elements within lists, in both encodings.

use super::super::list::tests::{everywhere, watch_events, WRONG_TYPE};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

#[test]
fn lset_replaces_one_element() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("RPUSH l a b c d e", ":5"),
            ("LSET l 0 A", "+OK"),
            ("LSET l -1 5", "+OK"),
            ("LSET l 2 something-longer", "+OK"),
            ("LRANGE l 0 -1", "*5|$1|A|$1|b|$16|something-longer|$1|d|$1|5"),
            ("LSET l 5 x", "-ERR index out of range"),
            ("LSET l -6 x", "-ERR index out of range"),
            ("LSET l x x", NOT_INTEGER),
            ("LSET none x x", "-ERR no such key"),
            ("LSET s 0 x", WRONG_TYPE),
        ]);
    });
}

#[test]
fn linsert_puts_an_element_beside_the_first_pivot() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("RPUSH l a b a", ":3"),
            ("LINSERT l before a x", ":4"),
            ("LINSERT l AFTER a y", ":5"),
            ("LRANGE l 0 -1", "*5|$1|x|$1|a|$1|y|$1|b|$1|a"),
            ("LINSERT l BEFORE none z", ":-1"),
            ("LINSERT none BEFORE a z", ":0"),
            ("LINSERT s BEFORE a z", WRONG_TYPE),
            ("LINSERT s BESIDE a z", "-ERR syntax error"),
        ]);
    });
}

#[test]
fn lrem_removes_from_the_side_that_the_sign_says() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("RPUSH l a 1 a 1 a b", ":6"),
            ("LREM l 1 a", ":1"),
            ("LREM l -1 a", ":1"),
            ("LRANGE l 0 -1", "*4|$1|1|$1|a|$1|1|$1|b"),
            ("LREM l 0 1", ":2"),
            ("LREM l 5 none", ":0"),
            ("LREM l 2 a", ":1"),
            ("LREM l -2 b", ":1"),
            ("LPUSHX l x", ":0"),
            ("LREM none 1 a", ":0"),
            ("LREM none x a", NOT_INTEGER),
            ("LREM s 1 a", WRONG_TYPE),
            (
                "LREM none -9223372036854775808 a",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
        ]);
    });
}

#[test]
fn lpos_finds_by_rank_count_and_bound() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c 1 2 a b c", ":8"),
            ("LPOS l a", ":0"),
            ("LPOS l 2", ":4"),
            ("LPOS l a RANK 2", ":5"),
            ("LPOS l a RANK -1", ":5"),
            ("LPOS l a RANK 3", "$-1"),
            ("LPOS l a RANK -1 COUNT 0", "*2|:5|:0"),
            ("LPOS l b COUNT 1", "*1|:1"),
            ("LPOS l b COUNT 9", "*2|:1|:6"),
            ("LPOS l a COUNT 0 MAXLEN 3", "*1|:0"),
            ("LPOS l c RANK -1 COUNT 0 MAXLEN 1", "*1|:7"),
            ("LPOS l z", "$-1"),
            ("LPOS l z COUNT 0", "*0"),
            ("LPOS none a", "$-1"),
            ("LPOS none a COUNT 1", "*0"),
            ("LPOS l a RANK 9223372036854775807 COUNT 9223372036854775807 MAXLEN 9223372036854775807", "*0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("LPOS l z", "_"), ("LPOS none z COUNT 2", "*0")]);
    });
}

#[test]
fn lpos_checks_its_options_before_the_key() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    let zero = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                or use negative to start from the end of the list";
    t.expect(&[
        ("LPOS s a RANK 0", zero),
        ("LPOS s a RANK x", NOT_INTEGER),
        ("LPOS s a RANK", "-ERR syntax error"),
        ("LPOS s a COUNT -1", "-ERR COUNT can't be negative"),
        ("LPOS s a COUNT x", "-ERR COUNT can't be negative"),
        ("LPOS s a MAXLEN -1", "-ERR MAXLEN can't be negative"),
        ("LPOS s a WHAT 1", "-ERR syntax error"),
        ("LPOS s a", WRONG_TYPE),
    ]);
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    t.run("RPUSH l a a b");
    watch_events(&mut t);
    for (line, events) in [
        ("LSET l 2 c", &["lset l"] as &[&str]),
        ("LINSERT l BEFORE c x", &["linsert l"]),
        ("LINSERT l BEFORE z x", &[]),
        ("LREM l 0 z", &[]),
        ("LREM l 1 a", &["lrem l"]),
        ("LREM l 0 x", &["lrem l"]),
        ("LREM l 0 c", &["lrem l"]),
        ("LREM l 0 a", &["lrem l", "del l"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
