//! SORT: order, patterns, storing, and the keys that it names.

use crate::command::registry;
use crate::slot::{slot_of, SlotMap};
use crate::testing::Tester;

const NOT_NUMBERS: &str = "-ERR One or more scores can't be converted into double\r\n";

/// A reply's bulk strings, `-` for null.
fn words(reply: &str) -> String {
    let mut lines = reply.split("\r\n").skip(1);
    let mut found = Vec::new();
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        found.push(if line == "$-1" { "-" } else { lines.next().unwrap_or("?") });
    }
    found.join(" ")
}

fn filled(shards: usize) -> Tester {
    let mut t = Tester::new(shards);
    t.run("RPUSH l 3 1 2 10 1");
    t.run("SADD s 3 1 2 20");
    t.run("ZADD z 5 a 1 c 3 b");
    t.run("MSET w_3 1 w_1 5 w_2 3 w_10 0");
    t.run("HSET h_1 f a n 5");
    t.run("HSET h_2 f b n 4");
    t.run("HSET h_3 f c n 3");
    t
}

#[test]
fn elements_are_sorted_as_asked() {
    for shards in [1, 4] {
        let mut t = filled(shards);
        for (options, expected) in [
            ("l", "1 1 2 3 10"),
            ("l DESC", "10 3 2 1 1"),
            ("l ALPHA", "1 1 10 2 3"),
            ("l LIMIT 1 2", "1 2"),
            ("l LIMIT -1 2", "1 1"),
            ("l LIMIT 3 -1", "3 10"),
            ("l LIMIT 9 1", ""),
            ("l LIMIT 1 2 DESC", "3 2"),
            ("l BY w_*", "10 3 2 1 1"),
            ("l BY w_* LIMIT 1 2", "3 2"),
            ("l BY w_* GET # GET w_*", "10 0 3 1 2 3 1 5 1 5"),
            ("l BY h_*->n GET h_*->f", "- c b a a"),
            ("l BY h_*->f ALPHA", "10 1 1 2 3"),
            ("l GET nope_* LIMIT 0 2", "- -"),
            ("l BY nosort", "3 1 2 10 1"),
            ("l BY nosort DESC LIMIT 1 2", "10 2"),
            ("s", "1 2 3 20"),
            ("z ALPHA DESC", "c b a"),
            ("z BY nosort", "c b a"),
            ("z BY nosort DESC LIMIT 1 5", "b c"),
            ("none", ""),
        ] {
            assert_eq!(words(&t.run(&format!("SORT {options}"))), expected, "{options} over {shards} shards");
            assert_eq!(words(&t.run(&format!("SORT_RO {options}"))), expected, "{options} over {shards} shards");
        }
    }
}

#[test]
fn a_sorted_list_is_stored_even_over_its_source() {
    for shards in [1, 4] {
        let mut t = filled(shards);
        assert_eq!(t.run("SORT l STORE l"), ":5\r\n");
        assert_eq!(words(&t.run("LRANGE l 0 -1")), "1 1 2 3 10");
        assert_eq!(t.run("SORT s BY nosort STORE to"), ":4\r\n");
        assert_eq!(words(&t.run("LRANGE to 0 -1")), "1 2 20 3");
        assert_eq!(t.run("SORT s GET nope_* STORE to"), ":4\r\n");
        assert_eq!(words(&t.run("LRANGE to 0 -1")), "   ");
        assert_eq!(t.run("SORT none STORE to"), ":0\r\n");
        assert_eq!(t.run("EXISTS to"), ":0\r\n");
    }
}

#[test]
fn what_cannot_be_sorted_is_refused() {
    let mut t = filled(4);
    t.run("RPUSH bad 1 x");
    t.run("SET str x");
    for (line, expected) in [
        ("SORT bad", NOT_NUMBERS),
        ("SORT z", NOT_NUMBERS),
        ("SORT l BY h_*->f", NOT_NUMBERS),
        ("SORT str", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("SORT h_1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("SORT str FOO", "-ERR syntax error\r\n"),
        ("SORT l LIMIT 1", "-ERR syntax error\r\n"),
        ("SORT l LIMIT a 1", "-ERR value is not an integer or out of range\r\n"),
        ("SORT l BY", "-ERR syntax error\r\n"),
        ("SORT_RO l STORE d", "-ERR syntax error\r\n"),
    ] {
        assert_eq!(t.run(line), expected, "{line}");
    }
}

#[test]
fn in_a_cluster_patterns_must_stay_in_the_slot() {
    let mut t = Tester::new(4);
    t.world.settings.set("cluster-enabled", 1);
    t.run("RPUSH {u}l 2 1");
    assert!(t.run("SORT {u}l BY w_*").starts_with("-ERR BY option of SORT denied in Cluster mode"));
    assert!(t.run("SORT {u}l GET w_*").starts_with("-ERR GET option of SORT denied in Cluster mode"));
    assert_eq!(words(&t.run("SORT {u}l BY {u}w_* GET #")), "1 2");
    assert_eq!(words(&t.run("SORT {u}l BY nosort")), "2 1");
}

#[test]
fn the_keys_of_a_sort_are_its_source_and_its_target() {
    Tester::new(1);
    let table = registry::table();
    let positions = |line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        table.find(args[0]).and_then(|command| command.spec.key_positions(&args)).expect("keys")
    };
    assert_eq!(positions("SORT l"), [1]);
    assert_eq!(positions("SORT l BY store GET # LIMIT 0 store STORE a"), [1, 10]);
    assert_eq!(positions("SORT l STORE a STORE b"), [1, 5]);
    assert_eq!(positions("SORT l LIMIT"), [1]);
    assert_eq!(positions("SORT_RO l STORE a"), [1]);
}

#[test]
fn a_sort_takes_the_shards_of_its_keys_unless_patterns_name_others() {
    Tester::new(1);
    let table = registry::table();
    let map = SlotMap::new(4, false);
    let shards = |map: &SlotMap, line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        table.find(args[0]).map_or(0, |command| command.shards_of(&args, map))
    };
    let of = |key: &str| 1u64 << map.shard_of(slot_of(key.as_bytes()));
    for line in ["SORT l", "SORT l BY nosort", "SORT l GET #", "SORT l GET name DESC ALPHA", "SORT_RO l LIMIT 0 1"] {
        assert_eq!(shards(&map, line), of("l"), "{line}");
    }
    assert_ne!(of("l"), of("a"));
    assert_eq!(shards(&map, "SORT l GET # STORE a"), of("l") | of("a"));
    for line in ["SORT l BY w_*", "SORT l GET # GET w_*", "sort_ro l by nosort get *", "SORT l BY w_* STORE l"] {
        assert_eq!(shards(&map, line), map.all_shards(), "{line}");
    }
    let cluster = SlotMap::new(4, true);
    assert_eq!(shards(&cluster, "SORT {u}l BY {u}w_*"), of("{u}"), "all that it may look at is in its slot");
}
