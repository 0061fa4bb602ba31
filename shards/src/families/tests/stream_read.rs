//! Reading on: XREAD, XREADGROUP.

use super::super::list::tests::WRONG_TYPE;
use super::super::stream::tests::{entries, everywhere, fill, INVALID_ID, NOT_INTEGER, SYNTAX};
use crate::handler::reply::Protocol;

#[test]
fn several_streams_are_read_on_from_their_ids() {
    everywhere(|t| {
        fill(t, "s", 3);
        fill(t, "t", 1);
        let s = format!("*2|$1|s|{}", entries([2, 3]));
        let both = format!("*2|{s}|*2|$1|t|{}", entries([1]));
        t.expect(&[
            ("XREAD STREAMS s 1-0", format!("*1|{s}").as_str()),
            ("XREAD STREAMS s none t 1-0 0 0", both.as_str()),
            ("XREAD COUNT 1 STREAMS s 0", format!("*1|*2|$1|s|{}", entries([1])).as_str()),
            ("XREAD COUNT 0 STREAMS s 1", format!("*1|{s}").as_str()),
            ("XREAD STREAMS s +", format!("*1|*2|$1|s|{}", entries([3])).as_str()),
            ("XREAD STREAMS s t $ 1", "*-1"),
            ("XREAD STREAMS none 0", "*-1"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[
            ("XREAD STREAMS s t 1-0 0", format!("%2|$1|s|{}|$1|t|{}", entries([2, 3]), entries([1])).as_str()),
            ("XREAD STREAMS none 0", "_"),
        ]);
    });
}

#[test]
fn nothing_waits_in_a_transaction() {
    everywhere(|t| {
        fill(t, "s", 1);
        t.run("XGROUP CREATE s g $");
        t.in_transaction = true;
        t.expect(&[
            ("XREAD BLOCK 0 STREAMS s $", "*-1"),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "*-1"),
            ("XREAD BLOCK 0 STREAMS s 0", format!("*1|*2|$1|s|{}", entries([1])).as_str()),
        ]);
    });
}

#[test]
fn a_member_gets_new_entries_once_and_its_own_again() {
    everywhere(|t| {
        fill(t, "s", 5);
        t.run("XGROUP CREATE s g 0");
        let read = |numbers: &[u64]| format!("*1|*2|$1|s|{}", entries(numbers.iter().copied()));
        t.expect(&[
            ("XREADGROUP GROUP g a COUNT 2 STREAMS s >", read(&[1, 2]).as_str()),
            ("XREADGROUP GROUP g b COUNT 1 STREAMS s >", read(&[3]).as_str()),
            ("XREADGROUP GROUP g b NOACK COUNT 1 STREAMS s >", read(&[4]).as_str()),
            ("XREADGROUP GROUP g a STREAMS s >", read(&[5]).as_str()),
            ("XREADGROUP GROUP g a STREAMS s >", "*-1"),
            ("XREADGROUP GROUP g a STREAMS s 1", read(&[2, 5]).as_str()),
            ("XREADGROUP GROUP g b STREAMS s 0", read(&[3]).as_str()),
            ("XREADGROUP GROUP g none STREAMS s 0", read(&[]).as_str()),
            ("XDEL s 2-0", ":1"),
            ("XREADGROUP GROUP g a COUNT 2 STREAMS s 0", "*1|*2|$1|s|*2|*2|$3|1-0|*2|$1|f|$1|1|*2|$3|2-0|*-1"),
            ("XPENDING s g - + 10 b", "*1|*4|$3|3-0|$1|b|:0|:2"),
        ]);
    });
}

#[test]
fn idle_entries_are_claimed_before_new_ones_are_read() {
    everywhere(|t| {
        fill(t, "s", 4);
        t.run("XGROUP CREATE s g 0");
        t.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
        t.expect(&[(
            "XREADGROUP GROUP g b CLAIM 100 COUNT 1 STREAMS s >",
            "*1|*2|$1|s|*1|*4|$3|3-0|*2|$1|f|$1|3|:0|:0",
        )]);
        let earlier = t.world.now_milliseconds();
        t.world.advance_clock(150);
        t.run("XREADGROUP GROUP g a STREAMS s 1");
        t.world.advance_clock(50);
        let reply = t.run("XREADGROUP GROUP g b CLAIM 100 STREAMS s >");
        let spent = t.world.now_milliseconds() - earlier;
        let idle: Vec<i64> = reply.split("\r\n").filter_map(|line| line.strip_prefix(':')?.parse().ok()).collect();
        let ids: Vec<&str> = reply.split("\r\n").filter(|line| line.ends_with("-0")).collect();
        assert_eq!(ids, ["1-0", "3-0", "4-0"], "2-0 was delivered again lately");
        assert!((200..=spent).contains(&idle[0]), "{reply}");
        assert_eq!((idle[1], idle[3], &idle[4..]), (1, 1, [0, 0].as_slice()), "{reply}");
        t.expect(&[("XPENDING s g", "*4|:4|$3|1-0|$3|4-0|*2|*2|$1|a|$1|1|*2|$1|b|$1|3")]);
    });
}

#[test]
fn entries_that_were_given_back_are_claimed_first_and_in_their_order() {
    everywhere(|t| {
        fill(t, "s", 3);
        t.run("XGROUP CREATE s g 0");
        t.run("XREADGROUP GROUP g a STREAMS s >");
        t.expect(&[("XNACK s g FAIL IDS 3 3-0 1-0 2-0", ":3"), ("XNACK s g FAIL IDS 1 3-0", ":1")]);
        let reply = t.run("XREADGROUP GROUP g b CLAIM 9223372036854775807 COUNT 2 STREAMS s >");
        let ids: Vec<&str> = reply.split("\r\n").filter(|line| line.ends_with("-0")).collect();
        assert_eq!(ids, ["1-0", "2-0"]);
    });
}

#[test]
fn arguments_are_checked_in_their_order() {
    everywhere(|t| {
        fill(t, "s", 1);
        t.run("XGROUP CREATE s g 0");
        t.run("SET k v");
        let only_group = |option: &str| {
            format!("-ERR The {option} option is only supported by XREADGROUP. You called XREAD instead.")
        };
        let new =
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
        t.expect(&[
            ("XREAD STREAMS s >", new),
            ("XREAD STREAMS s x", INVALID_ID),
            ("XREAD STREAMS k x", WRONG_TYPE),
            ("XREAD a b c", SYNTAX),
            ("XREAD COUNT x STREAMS s 0", NOT_INTEGER),
            ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
            ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
            ("XREAD BLOCK 9223372036854775807 STREAMS s 0", "-ERR timeout is out of range"),
            ("XREAD GROUP g c STREAMS s 0", only_group("GROUP").as_str()),
            ("XREAD NOACK STREAMS s 0", only_group("NOACK").as_str()),
            ("XREAD CLAIM 5 STREAMS s 0", only_group("CLAIM").as_str()),
            ("XREADGROUP COUNT 1 NOACK BLOCK 5 STREAMS s >", "-ERR Missing GROUP option for XREADGROUP"),
            (
                "XREADGROUP GROUP nog c STREAMS s >",
                "-NOGROUP No such key 's' or consumer group 'nog' in XREADGROUP with GROUP option",
            ),
            (
                "XREADGROUP GROUP g c STREAMS none >",
                "-NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option",
            ),
            (
                "XREADGROUP GROUP g c STREAMS s none 0",
                "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
            ),
            ("XREADGROUP GROUP g c STREAMS k >", WRONG_TYPE),
        ]);
        for symbol in ["$", "+"] {
            assert!(t
                .run(&format!("XREADGROUP GROUP g c STREAMS s {symbol}"))
                .starts_with(&format!("-ERR The {symbol} ID is meaningless")));
        }
    });
}
