//! Pending entries: acknowledged, given back, listed.

use super::super::list::tests::WRONG_TYPE;
use super::super::stream::tests::{everywhere, fill, INVALID_ID, NOT_INTEGER, SYNTAX};
use crate::testing::Tester;

const NO_GROUP: &str = "-NOGROUP No such key 's' or consumer group 'nog'";

/// Entries 1 and 2 are Ann's, 3 is Bob's.
fn delivered(t: &mut Tester) {
    fill(t, "s", 3);
    t.run("XGROUP CREATE s g 0");
    t.run("XREADGROUP GROUP g ann COUNT 2 STREAMS s >");
    t.run("XREADGROUP GROUP g bob STREAMS s >");
}

#[test]
fn acknowledged_entries_are_pending_no_more() {
    everywhere(|t| {
        delivered(t);
        t.expect(&[
            ("XACK s g 1-0 1-0 9-9", ":1"),
            ("XACK s g 2-0 x", INVALID_ID),
            ("XACK s nog x", ":0"),
            ("XACK none g x", ":0"),
            ("XPENDING s g", "*4|:2|$3|2-0|$3|3-0|*2|*2|$3|ann|$1|1|*2|$3|bob|$1|1"),
            ("XACK s g 2 3", ":2"),
            ("XPENDING s g", "*4|:0|$-1|$-1|*-1"),
            ("SET k v", "+OK"),
            ("XACK k g 1-1", WRONG_TYPE),
        ]);
    });
}

#[test]
fn pending_entries_are_listed_by_range_consumer_and_idle_time() {
    everywhere(|t| {
        delivered(t);
        t.expect(&[("XPENDING s g IDLE 1000 - + 10", "*0"), ("XPENDING s g - + 10 nobody", "*0")]);
        t.world.advance_clock(2000);
        let ids = |reply: String| -> Vec<String> {
            reply.split("\r\n").filter(|line| line.ends_with("-0")).map(str::to_owned).collect()
        };
        assert_eq!(ids(t.run("XPENDING s g - + 10")), ["1-0", "2-0", "3-0"]);
        assert_eq!(ids(t.run("XPENDING s g - + 2")), ["1-0", "2-0"]);
        assert_eq!(ids(t.run("XPENDING s g (1-0 (3-0 10")), ["2-0"]);
        assert_eq!(ids(t.run("XPENDING s g IDLE 1000 2 + 10 ann")), ["2-0"]);
        t.run("XCLAIM s g bob 0 1-0");
        assert_eq!(ids(t.run("XPENDING s g IDLE 1000 - + 10")), ["2-0", "3-0"]);
        let reply = t.run("XPENDING s g 2 2 10");
        assert!(reply.starts_with("*1\r\n*4\r\n$3\r\n2-0\r\n$3\r\nann\r\n:20") && reply.ends_with(":1\r\n"), "{reply}");
        t.expect(&[("XPENDING s g + - 10", "*0"), ("XPENDING s g - + -3", "*0")]);
    });
}

/// Where the clock was set back after that, or XCLAIM TIME says so.
#[test]
fn entries_whose_delivery_is_to_come_have_not_been_idle_and_are_listed_and_claimed() {
    everywhere(|t| {
        fill(t, "s", 1);
        t.run("XGROUP CREATE s g 0");
        t.world.advance_clock(5000);
        t.run("XREADGROUP GROUP g ann STREAMS s >");
        t.world.advance_clock(-5000);
        t.expect(&[
            ("XPENDING s g - + 10", "*1|*4|$3|1-0|$3|ann|:0|:1"),
            ("XPENDING s g IDLE 1 - + 10", "*0"),
            ("XCLAIM s g bob 1 1-0 JUSTID", "*0"),
            ("XCLAIM s g bob 0 1-0 TIME 99999999999999 JUSTID", "*1|$3|1-0"),
            ("XAUTOCLAIM s g ann 0 0 JUSTID", "*3|$3|0-0|*1|$3|1-0|*0"),
        ]);
    });
}

#[test]
fn arguments_of_listing_are_checked_before_the_key() {
    everywhere(|t| {
        t.run("SET k v");
        t.expect(&[
            ("XPENDING k g -", SYNTAX),
            ("XPENDING k g IDLE 5 - +", SYNTAX),
            ("XPENDING k g IDLE x - + 10", NOT_INTEGER),
            ("XPENDING k g - + x", NOT_INTEGER),
            ("XPENDING k g x + 10", INVALID_ID),
            ("XPENDING k g (18446744073709551615-18446744073709551615 + 10", "-ERR invalid start ID for the interval"),
            ("XPENDING k g", WRONG_TYPE),
            ("XPENDING s nog", NO_GROUP),
        ]);
        fill(t, "s", 1);
        t.expect(&[("XPENDING s nog - + 10", NO_GROUP)]);
    });
}

#[test]
fn what_is_given_back_belongs_to_nobody_and_counts_as_asked() {
    everywhere(|t| {
        delivered(t);
        t.expect(&[
            ("XNACK s g FAIL IDS 2 1-0 9-9", ":1"),
            ("XNACK s g SILENT IDS 1 2-0", ":1"),
            ("XNACK s g FATAL IDS 1 3-0", ":1"),
            (
                "XPENDING s g - + 10",
                "*3|*4|$3|1-0|$0||:-1|:1|*4|$3|2-0|$0||:-1|:0|*4|$3|3-0|$0||:-1|:9223372036854775807",
            ),
            ("XPENDING s g", "*4|:3|$3|1-0|$3|3-0|*0"),
            ("XPENDING s g - + 10 ann", "*0"),
            ("XREADGROUP GROUP g ann STREAMS s 0", "*1|*2|$1|s|*0"),
            ("XNACK s g SILENT IDS 1 2-0", ":1"),
            ("XNACK s g FATAL RETRYCOUNT 42 IDS 1 1-0", ":1"),
            ("XCLAIM s g bob 99999 1-0 JUSTID", "*1|$3|1-0"),
            ("XPENDING s g - 2 10", "*2|*4|$3|1-0|$3|bob|:0|:42|*4|$3|2-0|$0||:-1|:0"),
            ("XGROUP DELCONSUMER s g bob", ":1"),
            ("XACK s g 2-0", ":1"),
            ("XPENDING s g", "*4|:1|$3|3-0|$3|3-0|*0"),
            ("XNACK s g FAIL IDS 2 1-0 9-9 FORCE", ":1"),
            ("XPENDING s g - 1 10", "*1|*4|$3|1-0|$0||:-1|:0"),
        ]);
        let info = t.run("XINFO STREAM s FULL");
        assert!(info.contains("nacked-count\r\n:2\r\n"), "{info}");
    });
}

#[test]
fn arguments_of_giving_back_are_checked() {
    everywhere(|t| {
        delivered(t);
        let number = "-ERR numids must be a positive integer";
        t.expect(&[
            ("XNACK s nog MAYBE IDS 1 1-0", NO_GROUP),
            ("XNACK s g MAYBE IDS 1 1-0", "-ERR mode must be SILENT, FAIL, or FATAL"),
            ("XNACK s g FAIL IDS 0 1-0", number),
            ("XNACK s g FAIL IDS x 1-0", number),
            ("XNACK s g FAIL IDS 2 1-0", "-ERR number of IDs doesn't match numids"),
            ("XNACK s g FAIL IDS 1 x", INVALID_ID),
            ("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT -1", "-ERR Invalid RETRYCOUNT value, must be >= 0"),
            ("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT x", NOT_INTEGER),
            ("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT", "-ERR Unrecognized XNACK option 'RETRYCOUNT'"),
            ("XNACK s g FAIL IDS 1 1-0 2-0", "-ERR Unrecognized XNACK option '2-0'"),
            ("XNACK s g SILENT FORCE RETRYCOUNT 5", "-ERR syntax error, expected IDS keyword"),
            ("XPENDING s g", "*4|:3|$3|1-0|$3|3-0|*2|*2|$3|ann|$1|2|*2|$3|bob|$1|1"),
        ]);
    });
}
