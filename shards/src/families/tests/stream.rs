//! Adding to streams, over one and several shards, with small and large blocks.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use crate::testing::Tester;

pub(in super::super) const INVALID_ID: &str = "-ERR Invalid stream ID specified as stream command argument";
pub(in super::super) const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
pub(in super::super) const SYNTAX: &str = "-ERR syntax error";

/// Runs a test over shards and sizes of blocks.
pub(in super::super) fn everywhere(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        for entries in [100, 2] {
            let mut tester = Tester::new(shards);
            tester.world.settings.stream_node_max_entries.set(entries);
            test(&mut tester);
        }
    }
}

/// Adds entries `1-0` to `count-0` with the field `f`, whose value is the number.
pub(in super::super) fn fill(t: &mut Tester, key: &str, count: u64) {
    for number in 1..=count {
        assert_eq!(t.run(&format!("XADD {key} {number}-0 f {number}")), format!("{}{number}-0\r\n", bulk_head(number)));
    }
}

fn bulk_head(number: u64) -> String {
    format!("${}\r\n", number.to_string().len() + 2)
}

/// The reply of an entry that [`fill`] made, as [`Tester::expect`] writes it.
pub(in super::super) fn entry(number: u64) -> String {
    let digits = number.to_string();
    format!("*2|${}|{digits}-0|*2|$1|f|${}|{digits}", digits.len() + 2, digits.len())
}

/// An array of such entries.
pub(in super::super) fn entries(numbers: impl IntoIterator<Item = u64>) -> String {
    let all: Vec<String> = numbers.into_iter().map(entry).collect();
    std::iter::once(format!("*{}", all.len())).chain(all).collect::<Vec<_>>().join("|")
}

#[test]
fn entries_are_added_with_given_and_with_chosen_ids() {
    everywhere(|t| {
        t.expect(&[
            ("XADD s 5-1 a 1 b 2", "$3|5-1"),
            ("XADD s 5-* a 1", "$3|5-2"),
            ("XADD s 7-* a 1", "$3|7-0"),
            ("XADD s 8 a 1", "$3|8-0"),
            ("XLEN s", ":4"),
            ("TYPE s", "+stream"),
            ("OBJECT ENCODING s", "$6|stream"),
        ]);
        let now = t.world.now_milliseconds();
        let reply = t.run("XADD s * a 1");
        let milliseconds: i64 =
            reply.split("\r\n").nth(1).and_then(|id| id.split('-').next()?.parse().ok()).expect("an id");
        assert!((now..now + 60_000).contains(&milliseconds), "{reply}");
        assert_ne!(t.run("XADD s * a 1"), reply, "within one millisecond the sequence number rises");
        t.expect(&[("XLEN s", ":6"), ("XLEN none", ":0")]);
    });
}

#[test]
fn an_id_that_is_not_after_the_last_is_refused() {
    everywhere(|t| {
        let too_small = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";
        t.expect(&[
            ("XADD s 0-0 a b", "-ERR The ID specified in XADD must be greater than 0-0"),
            ("EXISTS s", ":0"),
            ("XADD s 0-* a b", "$3|0-1"),
            ("XADD s 5-5 a b", "$3|5-5"),
            ("XADD s 5-5 a b", too_small),
            ("XADD s 4-* a b", too_small),
            ("XADD s 18446744073709551615-18446744073709551615 a b", "$41|18446744073709551615-18446744073709551615"),
            ("XADD s * a b", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
            ("XADD s x a b", INVALID_ID),
            ("XADD s + a b", INVALID_ID),
            ("XLEN s", ":3"),
        ]);
    });
}

#[test]
fn pairs_must_be_whole_and_streams_only_made_where_that_is_allowed() {
    everywhere(|t| {
        let arity = "-ERR wrong number of arguments for 'xadd' command";
        t.expect(&[
            ("XADD s 1-1 a", arity),
            ("XADD s 1-1 a b c", arity),
            ("XADD s NOMKSTREAM MAXLEN 5", arity),
            ("XADD s NOMKSTREAM 1-1 a b", "$-1"),
            ("EXISTS s", ":0"),
            ("SET k v", "+OK"),
            ("XADD k 1-1 a b", WRONG_TYPE),
            ("XADD k NOMKSTREAM 1-1 a b", WRONG_TYPE),
            ("XLEN k", WRONG_TYPE),
            ("XSETID k 1-1", WRONG_TYPE),
        ]);
    });
}

#[test]
fn adding_trims_and_raises_events() {
    everywhere(|t| {
        watch_events(t);
        fill(t, "s", 4);
        t.events();
        t.expect(&[
            ("XADD s MAXLEN 3 5-0 f 5", "$3|5-0"),
            ("XADD s MAXLEN 9 6-0 f 6", "$3|6-0"),
            ("XADD s MINID = 6 7-0 f 7", "$3|7-0"),
            ("XADD s MAXLEN 0 8-0 f 8", "$3|8-0"),
            ("XLEN s", ":0"),
            ("EXISTS s", ":1"),
        ]);
        assert_eq!(t.events(), ["xadd s", "xtrim s", "xadd s", "xadd s", "xtrim s", "xadd s", "xtrim s"]);
    });
}

#[test]
fn the_memory_of_a_stream_can_be_set() {
    everywhere(|t| {
        fill(t, "s", 3);
        t.expect(&[
            ("XSETID none 1-1", "-ERR no such key"),
            ("XSETID s 2-0", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
            (
                "XSETID s 9-0 ENTRIESADDED 2",
                "-ERR The entries_added specified in XSETID is smaller than the target stream length",
            ),
            ("XSETID s 9-0 ENTRIESADDED -1", "-ERR entries_added must be positive"),
            (
                "XSETID s 9-0 MAXDELETEDID 9-1",
                "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
            ),
            ("XSETID s 9-0 NONSENSE 9-1", SYNTAX),
            ("XSETID s 9-0 ENTRIESADDED", SYNTAX),
            ("XSETID s 9-0 ENTRIESADDED 20 MAXDELETEDID 5-0", "+OK"),
            ("XSETID s 4-0", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"),
            ("XADD s 8-0 a b", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s 9-* a b", "$3|9-1"),
        ]);
        let info = t.run("XINFO STREAM s");
        assert!(info.contains("max-deleted-entry-id\r\n$3\r\n5-0\r\n$13\r\nentries-added\r\n:21\r\n"), "{info}");
    });
}
