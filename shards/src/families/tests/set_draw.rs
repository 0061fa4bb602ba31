//! Random members, drawn and removed, in all encodings.

use std::collections::BTreeSet;

use super::super::hash_read::tests::bulks;
use super::super::list::tests::watch_events;
use super::super::set::tests::{everywhere, members};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

const NOT_POSITIVE: &str = "-ERR value is out of range, must be positive";

fn fill(t: &mut Tester, prefix: &str, count: usize) -> BTreeSet<String> {
    let all: BTreeSet<String> = (0..count).map(|i| format!("{prefix}{i}")).collect();
    for member in &all {
        t.run(&format!("SADD s {member}"));
    }
    all
}

#[test]
fn a_positive_count_draws_distinct_members() {
    for prefix in ["", "m"] {
        everywhere(|t| {
            let all = fill(t, prefix, 60);
            for count in [1, 5, 40, 60, 100] {
                let reply = t.run(&format!("SRANDMEMBER s {count}"));
                let found = members(&reply);
                assert_eq!(bulks(&reply).len(), count.min(60));
                assert_eq!(found.len(), count.min(60));
                assert!(found.iter().all(|member| all.contains(*member)));
            }
            t.expect(&[("SCARD s", ":60")]);
        });
    }
}

#[test]
fn a_negative_count_draws_with_repetition() {
    everywhere(|t| {
        fill(t, "m", 8);
        let reply = t.run("SRANDMEMBER s -2000");
        assert_eq!(bulks(&reply).len(), 2000);
        assert_eq!(members(&reply).len(), 8, "every member has its chance");
        assert_eq!(bulks(&t.run("SRANDMEMBER s")).len(), 1);
        t.expect(&[
            ("SRANDMEMBER s 0", "*0"),
            ("SRANDMEMBER none", "$-1"),
            ("SRANDMEMBER none -3", "*0"),
            ("SRANDMEMBER none x", "-ERR value is not an integer or out of range"),
            ("SRANDMEMBER none 1 2", "-ERR syntax error"),
            (
                "SRANDMEMBER none -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("SRANDMEMBER s -9223372036854775807", "-ERR value is out of range"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("SADD one x", ":1"), ("SRANDMEMBER one 5", "*1|$1|x"), ("SRANDMEMBER none", "_")]);
    });
}

#[test]
fn popped_members_are_gone_and_all_others_stay() {
    for prefix in ["", "m"] {
        everywhere(|t| {
            for count in [1, 3, 40, 55, 59, 60, 70] {
                let all = fill(t, prefix, 60);
                let popped = t.run(&format!("SPOP s {count}"));
                assert_eq!(bulks(&popped).len(), count.min(60));
                let left = t.run("SMEMBERS s");
                let (popped, left) = (members(&popped), members(&left));
                assert!(popped.is_disjoint(&left));
                assert_eq!(
                    popped.union(&left).copied().collect::<BTreeSet<_>>(),
                    all.iter().map(String::as_str).collect()
                );
            }
        });
    }
}

#[test]
fn single_pops_empty_a_set_and_remove_it() {
    everywhere(|t| {
        fill(t, "member-", 30);
        let mut popped = BTreeSet::new();
        for _ in 0..30 {
            popped.extend(bulks(&t.run("SPOP s")).into_iter().map(str::to_owned));
        }
        assert_eq!(popped.len(), 30);
        t.expect(&[
            ("SPOP s", "$-1"),
            ("SPOP s 1", "*0"),
            ("SETNX s string", ":1"),
            ("SPOP none x", NOT_POSITIVE),
            ("SPOP none -1", NOT_POSITIVE),
            ("SPOP none 1 2", "-ERR syntax error"),
            ("SADD one x", ":1"),
            ("SPOP one 0", "*0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("SPOP one 5", "~1|$1|x"), ("SPOP one 5", "~0"), ("SPOP one", "_")]);
    });
}

#[test]
fn what_remains_of_a_table_after_a_large_pop_starts_small_again() {
    let mut t = Tester::new(1);
    t.world.settings.set_max_listpack_entries.set(4);
    t.world.settings.set_max_intset_entries.set(4);
    fill(&mut t, "", 6);
    t.run("SPOP s 5");
    t.expect(&[("OBJECT ENCODING s", "$8|listpack")]);
    t.run("SPOP s");
    fill(&mut t, "", 6);
    t.run("SPOP s 4");
    t.expect(&[("OBJECT ENCODING s", "$9|hashtable")]);
}

#[test]
fn a_large_pop_keeps_the_expiry_of_the_key() {
    everywhere(|t| {
        fill(t, "m", 20);
        t.run("EXPIRE s 100");
        t.run("SPOP s 18");
        t.expect(&[("SCARD s", ":2"), ("TTL s", ":100")]);
    });
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    fill(&mut t, "m", 20);
    watch_events(&mut t);
    for (line, events) in [
        ("SPOP s 0", &[] as &[&str]),
        ("SPOP s", &["spop s"]),
        ("SPOP s 2", &["spop s"]),
        ("SPOP s 16", &["spop s"]),
        ("SPOP s 16", &["spop s", "del s"]),
        ("SPOP s 16", &[]),
        ("SADD s a", &["new s", "sadd s"]),
        ("SPOP s", &["spop s", "del s"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}

#[test]
fn single_draws_pass_over_what_has_expired_and_remove_only_what_they_meet() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        let names: Vec<String> = (0..400).map(|index| format!("m{index}")).collect();
        t.run(&format!("SADD s {}", names.join(" ")));
        t.run(&format!("SPEXPIRE s 10 MEMBERS 200 {}", names[..200].join(" ")));
        t.world.advance_clock(20);
        let living: BTreeSet<&str> = names[200..].iter().map(String::as_str).collect();
        assert!(living.contains(bulks(&t.run("SRANDMEMBER s"))[0]));
        assert!(t.expiring_elements().1 < 64, "not all of them for one draw");
        let popped: Vec<String> = (0..200).map(|_| bulks(&t.run("SPOP s"))[0].to_owned()).collect();
        assert_eq!(popped.iter().map(String::as_str).collect::<BTreeSet<_>>(), living);
        t.expect(&[("SPOP s", "$-1"), ("EXISTS s", ":0")]);
        assert_eq!(t.expiring_elements(), (0, 200));
    }
}
