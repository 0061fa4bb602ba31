//! Taking entries over.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::stream::tests::{entries, entry, everywhere, fill, INVALID_ID, SYNTAX};
use crate::testing::Tester;

/// All of so many entries are Ann's.
fn delivered(t: &mut Tester, count: u64) {
    fill(t, "s", count);
    t.run("XGROUP CREATE s g 0");
    t.run("XREADGROUP GROUP g ann STREAMS s >");
}

#[test]
fn claimed_entries_change_their_owner() {
    everywhere(|t| {
        delivered(t, 3);
        t.expect(&[
            ("XCLAIM s g bob 0 1-0 9-9", entries([1]).as_str()),
            ("XCLAIM s g bob 100000 2-0", "*0"),
            ("XCLAIM s g bob 0 2-0 JUSTID", "*1|$3|2-0"),
            ("XPENDING s g - + 10", "*3|*4|$3|1-0|$3|bob|:0|:2|*4|$3|2-0|$3|bob|:0|:1|*4|$3|3-0|$3|ann|:0|:1"),
            ("XCLAIM s g bob 0 1-0 RETRYCOUNT 7 JUSTID", "*1|$3|1-0"),
            ("XPENDING s g - 1 10", "*1|*4|$3|1-0|$3|bob|:0|:7"),
            ("XDEL s 2-0", ":1"),
            ("XCLAIM s g bob 0 2-0", "*0"),
            ("XPENDING s g", "*4|:2|$3|1-0|$3|3-0|*2|*2|$3|ann|$1|1|*2|$3|bob|$1|1"),
            ("XACK s g 3-0", ":1"),
            ("XCLAIM s g bob 0 3-0", "*0"),
            ("XCLAIM s g bob 0 3-0 9-9 FORCE", entries([3]).as_str()),
            ("XPENDING s g 3 3 10", "*1|*4|$3|3-0|$3|bob|:0|:2"),
        ]);
    });
}

#[test]
fn times_are_set_and_nonsense_is_now() {
    everywhere(|t| {
        delivered(t, 1);
        t.expect(&[("XCLAIM s g bob 0 1-0 IDLE 5000 JUSTID", "*1|$3|1-0")]);
        let reply = t.run("XPENDING s g - + 1");
        assert!(reply.contains("bob\r\n:50"), "{reply}");
        t.run("XCLAIM s g bob 0 1-0 TIME 1000 JUSTID");
        t.expect(&[("XPENDING s g IDLE 1000000 - + 1 ann", "*0")]);
        assert!(t.run("XPENDING s g IDLE 1000000 - + 1").starts_with("*1\r\n"));
        for nonsense in ["IDLE -5", "TIME -1", "TIME 9223372036854775807"] {
            t.run(&format!("XCLAIM s g bob 0 1-0 {nonsense} JUSTID"));
            t.expect(&[("XPENDING s g IDLE 100000 - + 1", "*0")]);
        }
    });
}

#[test]
fn a_file_of_this_server_tells_of_pending_entries_that_are_gone() {
    everywhere(|t| {
        delivered(t, 2);
        t.run("XDEL s 1-0 2-0");
        // To everybody else, less than no time is no time.
        t.expect(&[("XCLAIM s g bob -1 1-0 FORCE JUSTID", "*0"), ("XPENDING s g - + 9 ann", "*1|*4|$3|2-0|$3|ann|:0|:1")]);
        t.is_replaying = true;
        t.expect(&[
            ("XCLAIM s g bob 0 2-0 FORCE JUSTID", "*0"),
            ("XPENDING s g", "*4|:0|$-1|$-1|*-1"),
            ("XCLAIM s g bob -1 2-0 8-0 TIME 5000 RETRYCOUNT 3 FORCE JUSTID", "*2|$3|2-0|$3|8-0"),
        ]);
        t.is_replaying = false;
        let pending = t.run("XPENDING s g - + 9 bob");
        assert!(pending.contains("2-0") && pending.contains("8-0") && pending.contains(":3\r\n"), "{pending}");
    });
}

#[test]
fn the_groups_last_id_only_moves_on() {
    everywhere(|t| {
        delivered(t, 2);
        t.run("XCLAIM s g bob 0 1-0 LASTID 1-5 JUSTID");
        assert!(t.run("XINFO GROUPS s").contains("last-delivered-id\r\n$3\r\n2-0\r\n"));
        t.run("XCLAIM s g bob 0 1-0 LASTID 7-5 JUSTID");
        assert!(t.run("XINFO GROUPS s").contains("last-delivered-id\r\n$3\r\n7-5\r\n"));
    });
}

#[test]
fn a_search_goes_on_where_it_stopped_and_clears_what_is_gone() {
    everywhere(|t| {
        watch_events(t);
        delivered(t, 5);
        t.events();
        let two = format!("*3|$3|3-0|*2|{}|{}|*0", entry(1), entry(2));
        t.expect(&[
            ("XAUTOCLAIM s g bob 0 - COUNT 2", two.as_str()),
            ("XAUTOCLAIM s g bob 0 3-0 COUNT 2 JUSTID", "*3|$3|5-0|*2|$3|3-0|$3|4-0|*0"),
            ("XAUTOCLAIM s g bob 0 (4-0", format!("*3|$3|0-0|*1|{}|*0", entry(5)).as_str()),
            ("XAUTOCLAIM s g bob 100000 0", "*3|$3|0-0|*0|*0"),
            ("XDEL s 2-0 3-0", ":2"),
            ("XAUTOCLAIM s g bob 0 0 COUNT 2", format!("*3|$3|3-0|*1|{}|*1|$3|2-0", entry(1)).as_str()),
            ("XAUTOCLAIM s g bob 0 3-0 JUSTID", "*3|$3|0-0|*2|$3|4-0|$3|5-0|*1|$3|3-0"),
            ("XPENDING s g", "*4|:3|$3|1-0|$3|5-0|*1|*2|$3|bob|$1|3"),
        ]);
        assert_eq!(t.events(), ["xgroup-createconsumer s", "xdel s"]);
    });
}

#[test]
fn a_search_looks_at_ten_entries_for_each_wanted_one() {
    everywhere(|t| {
        delivered(t, 25);
        t.expect(&[
            ("XAUTOCLAIM s g bob 100000 0 COUNT 1", "*3|$4|11-0|*0|*0"),
            ("XAUTOCLAIM s g bob 100000 11-0 COUNT 2", "*3|$3|0-0|*0|*0"),
        ]);
    });
}

#[test]
fn arguments_are_checked_in_their_order() {
    everywhere(|t| {
        delivered(t, 1);
        t.run("SET k v");
        let no_group = "-NOGROUP No such key 's' or consumer group 'nog'";
        let bad_idle = "-ERR Invalid min-idle-time argument for XAUTOCLAIM";
        t.expect(&[
            ("XCLAIM s nog c x 1-0", no_group),
            ("XCLAIM s g c x 1-0", "-ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM s g c 0 1-0 FOO", "-ERR Unrecognized XCLAIM option 'FOO'"),
            ("XCLAIM s g c 0 1-0 IDLE", "-ERR Unrecognized XCLAIM option 'IDLE'"),
            ("XCLAIM s g c 0 1-0 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
            ("XCLAIM s g c 0 1-0 TIME x", "-ERR Invalid TIME option argument for XCLAIM"),
            ("XCLAIM s g c 0 1-0 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM"),
            ("XCLAIM s g c 0 1-0 LASTID x", INVALID_ID),
            ("XCLAIM k g c 0 1-0", WRONG_TYPE),
            ("XAUTOCLAIM s nog c x 0", bad_idle),
            ("XAUTOCLAIM s nog c 0 x", INVALID_ID),
            ("XAUTOCLAIM s nog c 0 0 COUNT 0", "-ERR COUNT must be > 0"),
            ("XAUTOCLAIM s nog c 0 0 FOO", SYNTAX),
            ("XAUTOCLAIM s nog c 0 0", no_group),
            ("XAUTOCLAIM k g c 0 0", WRONG_TYPE),
        ]);
        // Nobody got anything, and no consumer was made. How long each was idle is the clock's to say.
        let consumers = t.run("XINFO CONSUMERS s g").replace("\r\n", "|");
        assert!(consumers.starts_with("*1|*8|$4|name|$3|ann|$7|pending|:1|"), "{consumers}");
    });
}
