//! Ranges of streams.

use super::super::list::tests::WRONG_TYPE;
use super::super::stream::tests::{entries, everywhere, fill, INVALID_ID, NOT_INTEGER, SYNTAX};
use crate::handler::reply::Protocol;

#[test]
fn ranges_go_both_ways_and_may_leave_their_ends_out() {
    everywhere(|t| {
        fill(t, "s", 7);
        t.expect(&[
            ("XRANGE s - +", entries(1..=7).as_str()),
            ("XREVRANGE s + -", entries((1..=7).rev()).as_str()),
            ("XRANGE s 3 5", entries(3..=5).as_str()),
            ("XRANGE s (3-0 (5-0", entries([4]).as_str()),
            ("XRANGE s (3 +", entries(4..=7).as_str()),
            ("XREVRANGE s (5-0 (2-0", entries([4, 3]).as_str()),
            ("XRANGE s 2 + COUNT 3", entries(2..=4).as_str()),
            ("XREVRANGE s + - COUNT 2", entries([7, 6]).as_str()),
            ("XRANGE s 5 3", "*0"),
            ("XREVRANGE s 3 5", "*0"),
            ("XRANGE none - +", "*0"),
            ("XRANGE s - + COUNT -1", "*-1"),
            ("XRANGE none - + COUNT 0", "*0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("XRANGE s 2 2", entries([2]).as_str()), ("XRANGE s - + COUNT 0", "_")]);
    });
}

#[test]
fn fields_that_differ_between_entries_are_returned_as_they_were_given() {
    everywhere(|t| {
        t.run("XADD s 1-1 a 1 b 2");
        t.run("XADD s 1-2 a 3 b -70000");
        t.run("XADD s 1-3 c 3");
        t.run_args(&[b"XADD".as_slice(), b"s", b"1-4", b"", b"\xff\0"]);
        t.expect(&[
            ("XRANGE s 1-2 1-3", "*2|*2|$3|1-2|*4|$1|a|$1|3|$1|b|$6|-70000|*2|$3|1-3|*2|$1|c|$1|3"),
            ("XREVRANGE s 1-1 -", "*1|*2|$3|1-1|*4|$1|a|$1|1|$1|b|$1|2"),
        ]);
        assert_eq!(
            t.run_args(&[b"XRANGE".as_slice(), b"s", b"1-4", b"+"]),
            b"*1\r\n*2\r\n$3\r\n1-4\r\n*2\r\n$0\r\n\r\n$2\r\n\xff\0\r\n"
        );
    });
}

#[test]
fn a_bad_range_is_told_before_a_bad_key() {
    everywhere(|t| {
        t.run("SET k v");
        t.expect(&[
            ("XRANGE k x +", INVALID_ID),
            ("XRANGE k ( +", INVALID_ID),
            ("XRANGE k (- +", INVALID_ID),
            ("XRANGE k - (+", INVALID_ID),
            ("XRANGE k (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"),
            ("XRANGE k - (0-0", "-ERR invalid end ID for the interval"),
            ("XRANGE k - + COUNT x", NOT_INTEGER),
            ("XRANGE k - + COUNT", SYNTAX),
            ("XRANGE k - +", WRONG_TYPE),
            ("XREVRANGE k + -", WRONG_TYPE),
        ]);
    });
}
