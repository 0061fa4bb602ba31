//! Deleting entries by id.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::stream::tests::{entries, everywhere, fill, INVALID_ID, SYNTAX};
use crate::testing::Tester;

/// Two groups that were given all of four entries.
fn with_groups(t: &mut Tester) {
    fill(t, "s", 4);
    for group in ["g1", "g2"] {
        t.run(&format!("XGROUP CREATE s {group} 0"));
        t.run(&format!("XREADGROUP GROUP {group} c STREAMS s >"));
    }
}

fn pending(t: &mut Tester, group: &str) -> String {
    t.run(&format!("XPENDING s {group}")).split("\r\n").nth(1).unwrap_or_default().to_owned()
}

#[test]
fn deleted_entries_are_gone_and_the_stream_stays() {
    everywhere(|t| {
        watch_events(t);
        fill(t, "s", 4);
        t.events();
        t.expect(&[
            ("XDEL s 2-0 2-0 9-9", ":1"),
            ("XDEL s 9-9", ":0"),
            ("XRANGE s - +", entries([1, 3, 4]).as_str()),
            ("XREVRANGE s + -", entries([4, 3, 1]).as_str()),
            ("XDEL s 1-0 x", INVALID_ID),
            ("XDEL s 1 3 4", ":3"),
            ("XRANGE s - +", "*0"),
            ("EXISTS s", ":1"),
            ("XADD s 4-0 a b", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XDEL none x", ":0"),
            ("SET k v", "+OK"),
            ("XDEL k x", WRONG_TYPE),
        ]);
        let events = t.events();
        assert_eq!(events.iter().filter(|event| *event == "xdel s").count(), 2, "{events:?}");
    });
}

#[test]
fn references_are_kept_deleted_or_waited_for() {
    everywhere(|t| {
        with_groups(t);
        t.expect(&[
            ("XDELEX s KEEPREF IDS 2 1-0 9-9", "*2|:1|:-1"),
            ("XDELEX s IDS 1 2-0 DELREF", "*1|:1"),
            ("XDELEX s ACKED IDS 2 3-0 9-9", "*2|:2|:-1"),
            ("XLEN s", ":2"),
            ("XACK s g1 3-0", ":1"),
            ("XACK s g2 3-0", ":1"),
            ("XDELEX s ACKED IDS 1 3-0", "*1|:1"),
            ("XDELEX none IDS 2 1-0 2-0", "*2|:-1|:-1"),
        ]);
        assert_eq!(pending(t, "g1"), ":2", "1-0 was kept, 4-0 is there still");
        t.expect(&[("XDELEX s DELREF IDS 1 1-0", "*1|:-1")]);
        assert_eq!(pending(t, "g1"), ":1", "a reference to what is gone goes as well");
    });
}

#[test]
fn acknowledging_and_deleting_is_one_step() {
    everywhere(|t| {
        with_groups(t);
        t.expect(&[
            ("XACKDEL s g1 ACKED IDS 2 1-0 2-0", "*2|:2|:2"),
            ("XACKDEL s g2 ACKED IDS 2 1-0 2-0", "*2|:1|:1"),
            ("XACKDEL s g1 IDS 1 3-0", "*1|:1"),
            ("XACKDEL s g1 IDS 1 3-0", "*1|:-1"),
            ("XACKDEL s g2 KEEPREF IDS 1 3-0", "*1|:1"),
            ("XACKDEL s g1 DELREF IDS 1 4-0", "*1|:1"),
            ("XACKDEL s g2 DELREF IDS 1 4-0", "*1|:-1"),
            ("XACKDEL s nog IDS 1 4-0", "*1|:-1"),
            ("XACKDEL none g IDS 2 1-1 2-2", "*2|:-1|:-1"),
            ("XLEN s", ":0"),
        ]);
    });
}

#[test]
fn the_list_of_ids_is_checked() {
    everywhere(|t| {
        let positive = "-ERR Number of IDs must be a positive integer";
        t.expect(&[
            ("XACKDEL s g IDS abc 1-1", positive),
            ("XACKDEL s g IDS 0 1-1", positive),
            ("XDELEX s IDS -5 1-1", positive),
            ("XDELEX s IDS 3 1-1 2-2", "-ERR The `numids` parameter must match the number of arguments"),
            ("XDELEX s IDS 1 1-1 2-2", SYNTAX),
            ("XDELEX s IDS 1 x", INVALID_ID),
            ("XACKDEL s g KEEPREF DELREF IDS 1 1-1", SYNTAX),
            ("SET k v", "+OK"),
            ("XDELEX k IDS 1 1-1", WRONG_TYPE),
            ("XACKDEL k g IDS 1 1-1", WRONG_TYPE),
        ]);
    });
}
