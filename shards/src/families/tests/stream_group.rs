//! Making and removing groups and their members.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use super::super::stream::tests::{everywhere, fill, INVALID_ID};

const NO_KEY: &str =
    "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
                      MKSTREAM option to create an empty stream automatically.";

#[test]
fn groups_come_and_go_with_events() {
    everywhere(|t| {
        watch_events(t);
        t.expect(&[
            ("XGROUP CREATE s g $", NO_KEY),
            ("XGROUP CREATE s g x MKSTREAM", INVALID_ID),
            ("EXISTS s", ":0"),
            ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
            ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists"),
            ("XLEN s", ":0"),
            ("XGROUP CREATECONSUMER s g c", ":1"),
            ("XGROUP CREATECONSUMER s g c", ":0"),
            ("XGROUP SETID s g 5-5", "+OK"),
            ("XGROUP DELCONSUMER s g c", ":0"),
            ("XGROUP DELCONSUMER s g c", ":0"),
            ("XGROUP DESTROY s g", ":1"),
            ("XGROUP DESTROY s g", ":0"),
            ("EXISTS s", ":1"),
        ]);
        let events = [
            "new s",
            "xgroup-create s",
            "xgroup-createconsumer s",
            "xgroup-setid s",
            "xgroup-delconsumer s",
            "xgroup-destroy s",
        ];
        assert_eq!(t.events(), events);
    });
}

#[test]
fn a_deleted_consumer_takes_its_pending_entries_along() {
    everywhere(|t| {
        fill(t, "s", 3);
        t.run("XGROUP CREATE s g 0");
        t.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
        t.run("XREADGROUP GROUP g d STREAMS s >");
        t.expect(&[
            ("XGROUP DELCONSUMER s g c", ":2"),
            ("XPENDING s g", "*4|:1|$3|3-0|$3|3-0|*1|*2|$1|d|$1|1"),
            ("XACK s g 1-0 2-0 3-0", ":1"),
        ]);
    });
}

#[test]
fn arguments_are_checked_in_their_order() {
    everywhere(|t| {
        fill(t, "s", 1);
        t.run("XGROUP CREATE s g 0");
        let no_group = "-NOGROUP No such consumer group 'nog' for key name 's'";
        let usage = "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.";
        t.expect(&[
            ("XGROUP SETID s nog x", no_group),
            ("XGROUP CREATECONSUMER s nog c", no_group),
            ("XGROUP DELCONSUMER s nog c", no_group),
            ("XGROUP SETID none g 0", NO_KEY),
            ("XGROUP DESTROY none g", NO_KEY),
            ("XGROUP SETID s g x", INVALID_ID),
            ("XGROUP SETID s g +", "+OK"),
            ("XGROUP CREATE none g 0 FOO MKSTREAM", usage),
            ("XGROUP CREATE s h 0 ENTRIESREAD", usage),
            ("XGROUP CREATE s h 0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1"),
            ("XGROUP CREATE s h 0 ENTRIESREAD -1", "+OK"),
            ("SET k v", "+OK"),
            ("XGROUP CREATE k g x", WRONG_TYPE),
            ("XGROUP DESTROY k g", WRONG_TYPE),
        ]);
        assert!(t.run("XGROUP HELP").starts_with("*17\r\n+XGROUP <subcommand>"));
    });
}
