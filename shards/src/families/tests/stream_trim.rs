//! Trimming by command.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::stream::tests::{entries, everywhere, fill, INVALID_ID, NOT_INTEGER, SYNTAX};

const LIMIT_EXACT: &str = "-ERR syntax error, LIMIT cannot be used without the special ~ option";

#[test]
fn the_oldest_entries_go() {
    everywhere(|t| {
        watch_events(t);
        fill(t, "s", 9);
        t.events();
        t.expect(&[
            ("XTRIM s MAXLEN 7", ":2"),
            ("XTRIM s MAXLEN = 7", ":0"),
            ("XTRIM s MINID 6", ":3"),
            ("XTRIM none MAXLEN 0", ":0"),
            ("XRANGE s - +", entries(6..=9).as_str()),
            ("XREVRANGE s + -", entries((6..=9).rev()).as_str()),
            ("XTRIM s MINID 99", ":4"),
            ("XLEN s", ":0"),
        ]);
        assert_eq!(t.events(), ["xtrim s", "xtrim s", "xtrim s"]);
    });
}

#[test]
fn about_means_whole_blocks_and_a_limit() {
    everywhere(|t| {
        t.world.settings.stream_node_max_entries.set(2);
        fill(t, "s", 9);
        t.expect(&[
            ("XTRIM s MAXLEN ~ 8", ":0"),
            ("XTRIM s MAXLEN ~ 2 LIMIT 3", ":2"),
            ("XTRIM s MINID ~ 6 LIMIT 0", ":2"),
            ("XTRIM s MAXLEN ~ 2", ":2"),
            ("XRANGE s - +", entries(7..=9).as_str()),
        ]);
        // Without LIMIT at most a hundred blocks go at once.
        fill(t, "long", 500);
        t.expect(&[("XTRIM long MAXLEN ~ 0", ":200"), ("XTRIM long MAXLEN ~ 0 LIMIT 0", ":300")]);
    });
}

#[test]
fn arguments_are_checked_in_their_order() {
    everywhere(|t| {
        let limit_alone = "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
        t.expect(&[
            ("XTRIM s MAXLEN x", NOT_INTEGER),
            ("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
            ("XTRIM s MAXLEN ~ 1 LIMIT -1", "-ERR The LIMIT argument must be >= 0."),
            ("XTRIM s MINID x", INVALID_ID),
            (
                "XTRIM s MAXLEN 1 MINID 1",
                "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            ("XTRIM s MAXLEN 1 LIMIT 0", LIMIT_EXACT),
            ("XTRIM s LIMIT 1 LIMIT 1", limit_alone),
            ("XTRIM s LIMIT 0 LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy"),
            ("XADD s LIMIT 1 1-1 a b", limit_alone),
            ("XADD s LIMIT 0 1-1 a b", LIMIT_EXACT),
            ("XTRIM s MAXLEN 1 NOMKSTREAM", SYNTAX),
            ("XTRIM s MAXLEN 1 KEEPREF ACKED", SYNTAX),
            ("XADD s DELREF DELREF 1-1 a b", SYNTAX),
            ("EXISTS s", ":0"),
            ("SET k v", "+OK"),
            ("XTRIM k MAXLEN 1", WRONG_TYPE),
        ]);
    });
}

#[test]
fn a_limit_that_a_primary_or_a_journal_still_tells_is_passed_over() {
    // Redis and Valkey write `=` and what was left in the place of `~` and the threshold, and leave LIMIT behind it.
    everywhere(|t| {
        fill(t, "s", 9);
        t.is_replaying = true;
        t.expect(&[
            ("XTRIM s MAXLEN = 7 LIMIT 1", ":2"),
            ("XADD s MAXLEN = 4 LIMIT 1 10-0 f 10", "$4|10-0"),
            ("XADD s MINID = 9-0 LIMIT 0 11-0 f 11", "$4|11-0"),
            ("XLEN s", ":3"),
        ]);
        t.is_replaying = false;
        t.expect(&[("XTRIM s MAXLEN = 1 LIMIT 1", LIMIT_EXACT)]);
    });
}

#[test]
fn what_groups_still_need_may_stay() {
    everywhere(|t| {
        fill(t, "s", 6);
        t.run("XGROUP CREATE s g 0");
        t.run("XREADGROUP GROUP g c COUNT 4 STREAMS s >");
        t.expect(&[
            ("XACK s g 1-0 3-0", ":2"),
            ("XTRIM s MAXLEN 0 ACKED", ":2"),
            ("XADD s ACKED MAXLEN 0 7-0 f 7", "$3|7-0"),
            ("XLEN s", ":5"),
            ("XTRIM s MAXLEN 4 DELREF", ":1"),
            ("XPENDING s g", "*4|:1|$3|4-0|$3|4-0|*1|*2|$1|c|$1|1"),
            ("XTRIM s MAXLEN 0 KEEPREF", ":4"),
            ("XPENDING s g", "*4|:1|$3|4-0|$3|4-0|*1|*2|$1|c|$1|1"),
        ]);
    });
}
