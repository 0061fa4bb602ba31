//! Intersections, unions and differences of sets that may lie on different shards.

use std::collections::BTreeSet;

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::set::tests::{everywhere, members};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

fn fill(t: &mut Tester) {
    t.run("SADD a 1 2 3 x y");
    t.run("SADD b 2 3 4 y z");
    t.run("SADD c 3 4 5 y");
    t.run("SADD i 1 2 3");
}

/// Asserts what a line returns, in any order.
fn expect_members(t: &mut Tester, line: &str, expected: &[&str]) {
    let reply = t.run(line);
    assert!(reply.starts_with(&format!("*{}\r\n", expected.len())), "{line}: {reply:?}");
    assert_eq!(members(&reply), expected.iter().copied().collect::<BTreeSet<_>>(), "{line}");
}

#[test]
fn results_are_those_of_set_theory() {
    everywhere(|t| {
        fill(t);
        for (line, expected) in [
            ("SINTER a", &["1", "2", "3", "x", "y"] as &[&str]),
            ("SINTER a b", &["2", "3", "y"]),
            ("SINTER c b a", &["3", "y"]),
            ("SINTER a i", &["1", "2", "3"]),
            ("SINTER a a", &["1", "2", "3", "x", "y"]),
            ("SINTER a none", &[]),
            ("SUNION a b", &["1", "2", "3", "4", "x", "y", "z"]),
            ("SUNION a b c i none", &["1", "2", "3", "4", "5", "x", "y", "z"]),
            ("SUNION a i a i b c b", &["1", "2", "3", "4", "5", "x", "y", "z"]),
            ("SUNION none", &[]),
            ("SDIFF a b", &["1", "x"]),
            ("SDIFF a b i", &["x"]),
            ("SDIFF i a", &[]),
            ("SDIFF a none", &["1", "2", "3", "x", "y"]),
            ("SDIFF none a", &[]),
            ("SDIFF a a", &[]),
        ] {
            expect_members(t, line, expected);
        }
        t.protocol = Protocol::Resp3;
        t.expect(&[("SINTER a none", "~0"), ("SUNION none", "~0"), ("SDIFF a b i", "~1|$1|x")]);
    });
}

#[test]
fn large_sets_agree_with_the_small_ones() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for (key, step) in [("two", 2), ("three", 3), ("five", 5)] {
            for number in (0..3000).step_by(step) {
                t.run(&format!("SADD {key} n{number}"));
            }
        }
        let by = |keep: &dyn Fn(usize) -> bool| (0..3000).filter(|&number| keep(number)).count();
        let count = |t: &mut Tester, line: &str| members(&t.run(line)).len();
        assert_eq!(count(&mut t, "SINTER two three five"), by(&|n| n % 30 == 0));
        assert_eq!(count(&mut t, "SUNION two three five"), by(&|n| n % 2 == 0 || n % 3 == 0 || n % 5 == 0));
        assert_eq!(count(&mut t, "SUNION two three five two three"), by(&|n| n % 2 == 0 || n % 3 == 0 || n % 5 == 0));
        assert_eq!(count(&mut t, "SDIFF two three five"), by(&|n| n % 2 == 0 && n % 3 != 0 && n % 5 != 0));
        t.expect(&[
            ("SINTERCARD 3 two three five", ":100"),
            ("SUNIONCARD 3 two three five", ":2200"),
            ("SDIFFCARD 3 two three five", ":800"),
        ]);
    }
}

#[test]
fn results_are_stored_over_whatever_was_there() {
    everywhere(|t| {
        fill(t);
        t.expect(&[
            ("SET d string EX 100", "+OK"),
            ("SINTERSTORE d a b c", ":2"),
            ("TTL d", ":-1"),
            ("SUNIONSTORE d a b c", ":8"),
            ("SCARD d", ":8"),
            ("SDIFFSTORE a a b", ":2"),
            ("SCARD a", ":2"),
            ("SDIFFSTORE a a a", ":0"),
            ("SETNX a string", ":1"),
            ("SINTERSTORE a b none", ":0"),
            ("SETNX a again", ":1"),
            ("SUNIONSTORE d none", ":0"),
            ("SCARD d", ":0"),
        ]);
    });
}

#[test]
fn every_source_must_be_a_set_even_beside_a_missing_one() {
    everywhere(|t| {
        fill(t);
        t.run("SET s v");
        for line in [
            "SINTER none s",
            "SINTER a s",
            "SUNION none s",
            "SDIFF none s",
            "SDIFF a s",
            "SINTERSTORE d none s",
            "SUNIONSTORE d a s",
            "SDIFFSTORE d none s",
            "SINTERCARD 2 none s",
            "SUNIONCARD 2 a s",
            "SDIFFCARD 2 a s",
        ] {
            t.expect(&[(line, WRONG_TYPE)]);
        }
        t.expect(&[("SCARD d", ":0")]);
    });
}

#[test]
fn counting_stops_at_the_limit() {
    everywhere(|t| {
        fill(t);
        t.expect(&[
            ("SINTERCARD 2 a b", ":3"),
            ("SINTERCARD 2 a b LIMIT 0", ":3"),
            ("SINTERCARD 2 a b LIMIT 2", ":2"),
            ("SINTERCARD 2 a b LIMIT 9 LIMIT 1", ":1"),
            ("SINTERCARD 2 a none", ":0"),
            ("SUNIONCARD 2 a b", ":7"),
            ("SUNIONCARD 2 a b LIMIT 6", ":6"),
            ("SUNIONCARD 2 a b LIMIT 6 APPROX", ":6"),
            ("SUNIONCARD 2 a none APPROX", ":5"),
            ("SDIFFCARD 2 a b", ":2"),
            ("SDIFFCARD 2 a b LIMIT 1", ":1"),
            ("SDIFFCARD 2 none a", ":0"),
        ]);
    });
}

#[test]
fn counting_checks_its_arguments_before_the_keys() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    for (line, reply) in [
        ("SINTERCARD 0 s", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD x s", "-ERR numkeys should be greater than 0"),
        ("SUNIONCARD -1 s", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD 2 s", "-ERR Number of keys can't be greater than number of args"),
        ("SDIFFCARD 9223372036854775807 s", "-ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 s LIMIT", "-ERR syntax error"),
        ("SINTERCARD 1 s LIMIT -1", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 s LIMIT x", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 s WHAT 1", "-ERR syntax error"),
        ("SINTERCARD 1 s APPROX", "-ERR syntax error"),
        ("SDIFFCARD 1 s APPROX", "-ERR syntax error"),
        ("SUNIONCARD 1 s APPROX", WRONG_TYPE),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn a_stored_result_takes_the_smallest_form_that_fits() {
    let mut t = Tester::new(1);
    t.world.settings.set_max_intset_entries.set(4);
    t.world.settings.set_max_listpack_entries.set(6);
    t.run("SADD a 1 2 a b c d e f");
    t.run("SADD b 1 2 x y z w v u");
    t.run("SADD c a b c q w e r t y");
    t.run("SADD m 1 2 3 4 5 x");
    t.expect(&[
        ("SINTERSTORE d a b", ":2"),
        ("OBJECT ENCODING d", "$6|intset"),
        ("SINTERSTORE d a c", ":4"),
        ("OBJECT ENCODING d", "$8|listpack"),
        ("SUNIONSTORE d a c", ":13"),
        ("OBJECT ENCODING d", "$9|hashtable"),
        ("SADD n 1 2 3 4 5 y", ":6"),
        ("SINTERSTORE d m n", ":5"),
        ("OBJECT ENCODING d", "$8|listpack"),
        ("SDIFFSTORE d m a", ":4"),
        ("OBJECT ENCODING d", "$8|listpack"),
    ]);
}

#[test]
fn events_name_the_operation_or_the_removal() {
    let mut t = Tester::new(1);
    fill(&mut t);
    watch_events(&mut t);
    for (line, events) in [
        ("SINTERSTORE d a b", &["new d", "sinterstore d"] as &[&str]),
        ("SUNIONSTORE d a b", &["sunionstore d"]),
        ("SDIFFSTORE d a b", &["sdiffstore d"]),
        ("SDIFFSTORE d a a", &["del d"]),
        ("SDIFFSTORE d a a", &[]),
        ("SINTER a b", &[]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
