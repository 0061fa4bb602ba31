//! Set commands on members, in all three encodings, over one and several shards.

use std::collections::BTreeSet;

use super::super::hash_read::tests::bulks;
use super::super::list::tests::{watch_events, WRONG_TYPE};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

/// Runs a test over shards and thresholds: the second time every set of two members is a table.
pub(in super::super) fn everywhere(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        for entries in [128, 1] {
            let mut tester = Tester::new(shards);
            tester.world.settings.set_max_listpack_entries.set(entries);
            tester.world.settings.set_max_intset_entries.set(entries);
            test(&mut tester);
        }
    }
}

/// The bulk strings in a reply, sorted.
pub(in super::super) fn members(reply: &str) -> BTreeSet<&str> {
    bulks(reply).into_iter().collect()
}

#[test]
fn members_are_added_and_removed_once() {
    everywhere(|t| {
        t.expect(&[
            ("SADD s a b a 1", ":3"),
            ("SADD s a 2", ":1"),
            ("SCARD s", ":4"),
            ("SISMEMBER s 1", ":1"),
            ("SISMEMBER s 01", ":0"),
            ("SMISMEMBER s a z 2", "*3|:1|:0|:1"),
            ("SREM s z a a", ":1"),
            ("SREM s b 1 2 3", ":3"),
            ("SCARD s", ":0"),
            ("SREM s a", ":0"),
            ("SETNX s string", ":1"),
            ("SISMEMBER none a", ":0"),
            ("SMISMEMBER none a b", "*2|:0|:0"),
        ]);
    });
}

#[test]
fn all_members_are_returned_as_a_set() {
    everywhere(|t| {
        t.run("SADD s a b c 4 5");
        assert_eq!(members(&t.run("SMEMBERS s")), BTreeSet::from(["a", "b", "c", "4", "5"]));
        t.expect(&[("SMEMBERS none", "*0"), ("SADD one x", ":1"), ("SMEMBERS one", "*1|$1|x")]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("SMEMBERS none", "~0"), ("SMEMBERS one", "~1|$1|x"), ("SMISMEMBER one x", "*1|:1")]);
    });
}

#[test]
fn a_member_moves_between_sets() {
    everywhere(|t| {
        t.run("SET string v");
        t.expect(&[
            ("SADD a x y", ":2"),
            ("SMOVE a b x", ":1"),
            ("SMOVE a b x", ":0"),
            ("SMEMBERS b", "*1|$1|x"),
            ("SMOVE a a y", ":1"),
            ("SMOVE a a z", ":0"),
            ("SMOVE none string x", ":0"),
            ("SMOVE string none x", WRONG_TYPE),
            ("SMOVE a string z", WRONG_TYPE),
            ("SADD a x", ":1"),
            ("SMOVE a b x", ":1"),
            ("SMOVE a b y", ":1"),
            ("SCARD a", ":0"),
            ("SCARD b", ":2"),
            ("SETNX a string", ":1"),
        ]);
    });
}

#[test]
fn a_key_of_another_type_is_refused() {
    everywhere(|t| {
        t.run("SET s v");
        for line in [
            "SADD s a",
            "SREM s a",
            "SISMEMBER s a",
            "SMISMEMBER s a",
            "SCARD s",
            "SMEMBERS s",
            "SSCAN s 0",
            "SPOP s",
            "SPOP s 1",
            "SRANDMEMBER s",
            "SRANDMEMBER s 1",
            "SINTER s",
            "SUNION s",
            "SDIFF s",
            "SINTERCARD 1 s",
        ] {
            t.expect(&[(line, WRONG_TYPE)]);
        }
    });
}

#[test]
fn a_set_converts_above_its_thresholds() {
    let mut t = Tester::new(1);
    t.world.settings.set_max_intset_entries.set(3);
    t.world.settings.set_max_listpack_entries.set(4);
    t.world.settings.set_max_listpack_value.set(5);
    t.expect(&[
        ("SADD i 1 2 3", ":3"),
        ("OBJECT ENCODING i", "$6|intset"),
        ("SADD i 4", ":1"),
        ("OBJECT ENCODING i", "$9|hashtable"),
        ("SADD l 1 2 a", ":3"),
        ("OBJECT ENCODING l", "$8|listpack"),
        ("SADD l abcde", ":1"),
        ("OBJECT ENCODING l", "$8|listpack"),
        ("SADD l b", ":1"),
        ("OBJECT ENCODING l", "$9|hashtable"),
        ("SADD v abcdef", ":1"),
        ("OBJECT ENCODING v", "$9|hashtable"),
        ("SREM l a b abcde", ":3"),
        ("OBJECT ENCODING l", "$9|hashtable"),
    ]);
}

#[test]
fn a_scan_visits_every_member_and_filters() {
    everywhere(|t| {
        (0..200).for_each(|i| _ = t.run(&format!("SADD s m{i}")));
        let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
        for _ in 0..400 {
            let reply = t.run(&format!("SSCAN s {cursor} COUNT 9"));
            let parts = bulks(&reply);
            cursor = parts[0].to_owned();
            found.extend(parts[1..].iter().map(|&member| member.to_owned()));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!((cursor.as_str(), found.len()), ("0", 200));
        t.run("SADD few 15 16 25");
        t.expect(&[
            ("SSCAN few 0 MATCH 2* COUNT 100", "*2|$1|0|*1|$2|25"),
            ("SSCAN none 0 WHAT", "*2|$1|0|*0"),
            ("SSCAN few x", "-ERR invalid cursor"),
            ("SSCAN few 0 COUNT 0", "-ERR syntax error"),
            ("SSCAN few 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN"),
        ]);
    });
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    watch_events(&mut t);
    for (line, events) in [
        ("SADD s 1 2 3", &["new s", "sadd s"] as &[&str]),
        ("SADD s 1", &[]),
        ("SREM s 9", &[]),
        ("SREM s 1", &["srem s"]),
        ("SMOVE s t 2", &["srem s", "new t", "sadd t"]),
        ("SMOVE s t 9", &[]),
        ("SMOVE s t 3", &["srem s", "del s", "sadd t"]),
        ("SMOVE t t 3", &[]),
        ("SADD s 3", &["new s", "sadd s"]),
        ("SMOVE s t 3", &["srem s", "del s"]),
        ("SREM t 2 3", &["srem t", "del t"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
