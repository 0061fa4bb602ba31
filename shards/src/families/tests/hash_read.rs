//! Whole hashes, random fields and scans, in both encodings and protocols.

use std::collections::{BTreeMap, BTreeSet};

use super::super::hash::tests::everywhere;
use super::super::list::tests::WRONG_TYPE;
use crate::testing::Tester;
use crate::handler::reply::Protocol;

/// The bulk strings in a reply.
pub(in super::super) fn bulks(reply: &str) -> Vec<&str> {
    let mut lines = reply.split("\r\n");
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') && line != "$-1" {
            found.extend(lines.next());
        }
    }
    found
}

/// A hash of `f0 v0` to `f<count - 1> v<count - 1>`.
fn fill(t: &mut Tester, count: usize) -> BTreeMap<String, String> {
    let pairs: BTreeMap<String, String> = (0..count).map(|i| (format!("f{i}"), format!("v{i}"))).collect();
    for (field, value) in &pairs {
        t.run(&format!("HSET h {field} {value}"));
    }
    pairs
}

#[test]
fn all_pairs_fields_or_values_are_returned() {
    everywhere(|t| {
        let pairs = fill(t, 20);
        let reply = t.run("HGETALL h");
        assert!(reply.starts_with("*40\r\n"));
        let found: BTreeMap<String, String> =
            bulks(&reply).chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
        assert_eq!(found, pairs);
        let fields = t.run("HKEYS h");
        assert!(fields.starts_with("*20\r\n"));
        assert_eq!(bulks(&fields).into_iter().collect::<BTreeSet<_>>(), pairs.keys().map(String::as_str).collect());
        let values = t.run("HVALS h");
        assert_eq!(bulks(&values).into_iter().collect::<BTreeSet<_>>(), pairs.values().map(String::as_str).collect());
        t.run("SET s v");
        t.expect(&[
            ("HGETALL none", "*0"),
            ("HKEYS none", "*0"),
            ("HVALS none", "*0"),
            ("HGETALL s", WRONG_TYPE),
            ("HKEYS s", WRONG_TYPE),
            ("HVALS s", WRONG_TYPE),
        ]);
        t.protocol = Protocol::Resp3;
        t.run("HSET one a 1");
        t.expect(&[("HGETALL one", "%1|$1|a|$1|1"), ("HGETALL none", "%0"), ("HKEYS one", "*1|$1|a")]);
    });
}

#[test]
fn distinct_random_fields_never_repeat() {
    everywhere(|t| {
        fill(t, 60);
        for count in [1, 5, 40, 60, 100] {
            let reply = t.run(&format!("HRANDFIELD h {count}"));
            let found = bulks(&reply);
            assert_eq!(found.len(), count.min(60));
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), count.min(60));
            let reply = t.run(&format!("HRANDFIELD h {count} WITHVALUES"));
            for pair in bulks(&reply).chunks(2) {
                assert_eq!(pair[0][1..], pair[1][1..]);
            }
        }
        assert_eq!(bulks(&t.run("HRANDFIELD h -500")).len(), 500);
    });
}

#[test]
fn every_field_has_its_chance() {
    everywhere(|t| {
        fill(t, 8);
        let reply = t.run("HRANDFIELD h -2000");
        assert_eq!(bulks(&reply).into_iter().collect::<BTreeSet<_>>().len(), 8);
    });
}

#[test]
fn values_are_nested_in_resp3_and_flat_in_resp2() {
    everywhere(|t| {
        t.run("HSET h a 1");
        t.expect(&[
            ("HRANDFIELD h", "$1|a"),
            ("HRANDFIELD h 2", "*1|$1|a"),
            ("HRANDFIELD h 0", "*0"),
            ("HRANDFIELD h 2 withvalues", "*2|$1|a|$1|1"),
            ("HRANDFIELD h -2 WITHVALUES", "*4|$1|a|$1|1|$1|a|$1|1"),
            ("HRANDFIELD none", "$-1"),
            ("HRANDFIELD none 1", "*0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[
            ("HRANDFIELD h 2 WITHVALUES", "*1|*2|$1|a|$1|1"),
            ("HRANDFIELD h -2 WITHVALUES", "*2|*2|$1|a|$1|1|*2|$1|a|$1|1"),
            ("HRANDFIELD h 0 WITHVALUES", "*0"),
            ("HRANDFIELD none", "_"),
        ]);
    });
}

#[test]
fn hrandfield_checks_its_arguments_before_the_key() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    t.expect(&[
        ("HRANDFIELD s x", "-ERR value is not an integer or out of range"),
        ("HRANDFIELD s 1 WHAT", "-ERR syntax error"),
        ("HRANDFIELD s 1 WITHVALUES x", "-ERR syntax error"),
        (
            "HRANDFIELD s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("HRANDFIELD s 4611686018427387904 WITHVALUES", "-ERR value is out of range"),
        ("HRANDFIELD s", WRONG_TYPE),
    ]);
}

#[test]
fn a_scan_visits_every_field() {
    everywhere(|t| {
        let pairs = fill(t, 200);
        let (mut cursor, mut found) = ("0".to_owned(), BTreeMap::new());
        for _ in 0..400 {
            let reply = t.run(&format!("HSCAN h {cursor} COUNT 7"));
            let parts = bulks(&reply);
            cursor = parts[0].to_owned();
            found.extend(parts[1..].chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!((cursor.as_str(), found), ("0", pairs));
    });
}

#[test]
fn a_scan_filters_and_may_leave_values_out() {
    everywhere(|t| {
        t.run("HSET h a 1 b 2 bb 3");
        t.run("SET s v");
        t.expect(&[
            ("HSCAN h 0 MATCH a COUNT 100", "*2|$1|0|*2|$1|a|$1|1"),
            ("HSCAN h 0 match bb count 100 novalues", "*2|$1|0|*1|$2|bb"),
            ("HSCAN none 0", "*2|$1|0|*0"),
            ("HSCAN none 0 WHAT", "*2|$1|0|*0"),
            ("HSCAN none x", "-ERR invalid cursor"),
            ("HSCAN h -1", "-ERR invalid cursor"),
            ("HSCAN h 18446744073709551616", "-ERR invalid cursor"),
            ("HSCAN h 0 COUNT 0", "-ERR syntax error"),
            ("HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range"),
            ("HSCAN h 0 MATCH", "-ERR syntax error"),
            ("HSCAN h 0 TYPE hash", "-ERR syntax error"),
            ("HSCAN s 0", WRONG_TYPE),
        ]);
        // Any cursor is accepted, also one that was never given out.
        assert!(t.run("HSCAN h 18446744073709551615").starts_with("*2\r\n"));
        assert!(t.run("HSCAN h +3").starts_with("*2\r\n"));
    });
}
