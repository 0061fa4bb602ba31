//! XINFO.

use super::super::list::tests::WRONG_TYPE;
use super::super::stream::tests::{entries, entry, everywhere, fill, NOT_INTEGER};
use crate::handler::reply::Protocol;

#[test]
fn a_stream_tells_its_numbers_and_its_ends() {
    everywhere(|t| {
        t.world.settings.stream_node_max_entries.set(2);
        fill(t, "s", 3);
        let overview = |kind: &str| {
            format!(
                "{kind}|$6|length|:3|$15|radix-tree-keys|:2|$16|radix-tree-nodes|:6|$17|last-generated-id|$3|3-0|\
                 $20|max-deleted-entry-id|$3|0-0|$13|entries-added|:3|$23|recorded-first-entry-id|$3|1-0|\
                 $6|groups|:0|$11|first-entry|{}|$10|last-entry|{}",
                entry(1),
                entry(3)
            )
        };
        t.expect(&[("XINFO STREAM s", overview("*20").as_str())]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("XINFO STREAM s", overview("%10").as_str())]);
        t.run("XDEL s 1-0 2-0 3-0");
        let reply = t.run("XINFO STREAM s");
        assert!(reply.ends_with("first-entry\r\n_\r\n$10\r\nlast-entry\r\n_\r\n"), "{reply}");
        assert!(reply.contains("radix-tree-keys\r\n:0\r\n$16\r\nradix-tree-nodes\r\n:1\r\n"), "{reply}");
        assert!(reply.contains("max-deleted-entry-id\r\n$3\r\n3-0\r\n"), "{reply}");
    });
}

#[test]
fn everything_is_told_in_full_up_to_a_count() {
    everywhere(|t| {
        fill(t, "s", 12);
        t.run("XGROUP CREATE s g 0");
        t.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
        let full = t.run("XINFO STREAM s FULL").replace("\r\n", "|");
        assert!(full.starts_with("*18|") && full.contains(&format!("$7|entries|{}|", entries(1..=10))), "{full}");
        assert!(t.run("XINFO STREAM s FULL COUNT 0").replace("\r\n", "|").contains(&entries(1..=12)));
        let one = t.run("XINFO STREAM s FULL COUNT 1").replace("\r\n", "|");
        assert!(one.contains(&format!("$7|entries|{}|$6|groups|*1|*14|$4|name|$1|g|", entries([1]))), "{one}");
        assert!(one.contains("|$9|pel-count|:2|$7|pending|*1|*4|$3|1-0|$1|c|:"), "{one}");
        assert!(one.contains("|$9|consumers|*1|*10|$4|name|$1|c|$9|seen-time|:"), "{one}");
    });
}

#[test]
fn groups_tell_how_far_they_are_where_that_can_be_known() {
    everywhere(|t| {
        fill(t, "s", 5);
        t.run("XGROUP CREATE s a 0");
        t.run("XGROUP CREATE s b 3-0");
        t.run("XREADGROUP GROUP a c COUNT 2 STREAMS s >");
        let group = |name: &str, consumers: u64, last: u64, read: &str, lag: &str| {
            let pending = 2 * consumers;
            format!(
                "*12|$4|name|$1|{name}|$9|consumers|:{consumers}|$7|pending|:{pending}|$17|last-delivered-id|$3|{last}-0|\
                 $12|entries-read|{read}|$3|lag|{lag}"
            )
        };
        let both = |a: String, b: String| format!("*2|{a}|{b}");
        t.expect(&[
            ("XINFO GROUPS s", both(group("a", 1, 2, ":2", ":3"), group("b", 0, 3, "$-1", "$-1")).as_str()),
            ("XDEL s 4-0", ":1"),
            ("XINFO GROUPS s", both(group("a", 1, 2, ":2", "$-1"), group("b", 0, 3, "$-1", "$-1")).as_str()),
            ("XTRIM s MAXLEN 1", ":3"),
            ("XINFO GROUPS s", both(group("a", 1, 2, ":2", ":1"), group("b", 0, 3, "$-1", ":1")).as_str()),
            ("XTRIM s MAXLEN 0", ":1"),
            ("XINFO GROUPS s", both(group("a", 1, 2, ":2", ":0"), group("b", 0, 3, "$-1", ":0")).as_str()),
        ]);
    });
}

#[test]
fn consumers_tell_when_they_asked_and_when_they_got_something() {
    everywhere(|t| {
        fill(t, "s", 1);
        t.run("XGROUP CREATE s g 0");
        t.run("XREADGROUP GROUP g c STREAMS s >");
        t.world.advance_clock(5000);
        t.run("XREADGROUP GROUP g c STREAMS s >");
        t.run("XGROUP CREATECONSUMER s g idle");
        t.protocol = Protocol::Resp3;
        let reply = t.run("XINFO CONSUMERS s g").replace("\r\n", "|");
        // The clock goes on meanwhile, by some milliseconds.
        assert!(reply.starts_with("*2|%4|$4|name|$1|c|$7|pending|:1|$4|idle|:"), "{reply}");
        assert!(reply.contains("|$8|inactive|:5"), "{reply}");
        assert!(reply.contains("|%4|$4|name|$4|idle|$7|pending|:0|$4|idle|:"), "{reply}");
        assert!(reply.ends_with("|$8|inactive|:-1|"), "{reply}");
    });
}

#[test]
fn a_missing_key_is_told_before_arguments_that_are_wrong() {
    everywhere(|t| {
        fill(t, "s", 1);
        t.run("SET k v");
        let usage = "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.";
        t.expect(&[
            ("XINFO STREAM none FOO", "-ERR no such key"),
            ("XINFO GROUPS none", "-ERR no such key"),
            ("XINFO CONSUMERS none g", "-ERR no such key"),
            ("XINFO STREAM k FOO", WRONG_TYPE),
            ("XINFO GROUPS k", WRONG_TYPE),
            ("XINFO STREAM s FOO", usage),
            ("XINFO STREAM s FULL COUNT", usage),
            ("XINFO STREAM s FULL COUNT 1 2", usage),
            ("XINFO STREAM s FULL COUNT x", NOT_INTEGER),
            ("XINFO CONSUMERS s nog", "-NOGROUP No such consumer group 'nog' for key name 's'"),
        ]);
        assert!(t.run("XINFO HELP").starts_with("*9\r\n+XINFO <subcommand>"));
    });
}
