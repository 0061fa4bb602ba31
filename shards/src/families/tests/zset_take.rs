//! Popping, drawing and scanning, in both encodings and protocols.

use super::super::zset::tests::{everywhere, expect};
use super::*;
use crate::testing::Tester;
use std::collections::HashSet;
use crate::handler::reply::Protocol;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const POSITIVE: &str = "-ERR value is out of range, must be positive";

#[test]
fn pops_take_the_outermost_members_first_and_the_key_with_the_last() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"),
                ("ZPOPMIN z", "*2|$1|a|$1|1"),
                ("ZPOPMAX z 2", "*4|$1|e|$1|5|$1|d|$1|4"),
                ("ZPOPMIN z 0", "*0"),
                ("ZPOPMIN z 9", "*4|$1|b|$1|2|$1|c|$1|3"),
                ("ZPOPMIN z", "*0"),
                ("ZPOPMAX none 3", "*0"),
                ("ZPOPMIN z -1", POSITIVE),
                ("ZPOPMIN z x", POSITIVE),
                ("ZPOPMIN z 1 2", "-ERR syntax error"),
                ("SET text v", "+OK"),
                ("ZPOPMIN text 0", WRONG_TYPE),
                ("ZADD z XX 1 a", ":0"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c", ":3"),
                ("ZPOPMIN z", "*2|$1|a|,1"),
                ("ZPOPMAX z 1", "*1|*2|$1|c|,3"),
                ("ZPOPMAX z 0", "*0"),
            ],
        );
    });
}

#[test]
fn zmpop_takes_from_the_first_key_that_has_members() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD y 1 a 2 b 3 c", ":3"),
                ("ZMPOP 2 x y MIN", "*2|$1|y|*1|*2|$1|a|$1|1"),
                ("ZMPOP 2 x y MAX COUNT 9", "*2|$1|y|*2|*2|$1|c|$1|3|*2|$1|b|$1|2"),
                ("ZMPOP 2 x y MAX", "*-1"),
                ("SET text v", "+OK"),
                ("ZMPOP 2 x text MIN", WRONG_TYPE),
                ("ZMPOP 0 x MIN", "-ERR numkeys should be greater than 0"),
                ("ZMPOP a x MIN", "-ERR numkeys should be greater than 0"),
                ("ZMPOP 9223372036854775807 x MIN", "-ERR syntax error"),
                ("ZMPOP 1 x FOO", "-ERR syntax error"),
                ("ZMPOP 1 x MIN COUNT", "-ERR syntax error"),
                ("ZMPOP 1 x MIN COUNT 0", "-ERR count should be greater than 0"),
                ("ZMPOP 1 x MIN COUNT 1 COUNT 1", "-ERR syntax error"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZMPOP 1 x MIN", "_"), ("ZADD y 1 a", ":1"), ("ZMPOP 1 y MIN", "*2|$1|y|*1|*2|$1|a|,1")]);
    });
}

/// Bulk strings in a flat reply.
fn strings(reply: &str) -> Vec<String> {
    let mut lines = reply.split("\r\n");
    let mut strings = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') {
            strings.push(lines.next().expect("a bulk string has a second line").to_owned());
        }
    }
    strings
}

fn fill(t: &mut Tester, members: usize) {
    for number in 0..members {
        t.run(&format!("ZADD z {number} m{number}"));
    }
}

#[test]
fn drawing_gives_distinct_members_or_with_a_negative_count_any() {
    everywhere(|t| {
        fill(t, 50);
        for count in [1, 7, 49, 50, 60] {
            let drawn = strings(&t.run(&format!("ZRANDMEMBER z {count}")));
            assert_eq!(drawn.len(), count.min(50));
            assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
        }
        assert_eq!(strings(&t.run("ZRANDMEMBER z -200")).len(), 200);
        let seen: HashSet<String> = (0..2_000).flat_map(|_| strings(&t.run("ZRANDMEMBER z"))).collect();
        assert_eq!(seen.len(), 50);
        let flat = strings(&t.run("ZRANDMEMBER z 3 WITHSCORES"));
        assert!(flat.chunks(2).all(|pair| pair[0] == format!("m{}", pair[1])), "{flat:?}");
        t.protocol = Protocol::Resp3;
        assert!(t.run("ZRANDMEMBER z -2 WITHSCORES").starts_with("*2\r\n*2\r\n$"));
    });
}

#[test]
fn drawing_refuses_counts_that_make_no_sense() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a", ":1"),
                ("ZRANDMEMBER z 0", "*0"),
                ("ZRANDMEMBER z x", "-ERR value is not an integer or out of range"),
                ("ZRANDMEMBER z 1 FOO", "-ERR syntax error"),
                ("ZRANDMEMBER z 1 WITHSCORES x", "-ERR syntax error"),
                ("ZRANDMEMBER z 9223372036854775807 WITHSCORES", "-ERR value is out of range"),
                ("ZRANDMEMBER z 9223372036854775807", "*1|$1|a"),
                (
                    "ZRANDMEMBER z -9223372036854775808",
                    "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                ),
                ("ZRANDMEMBER z -9223372036854775807", "-ERR value is out of range"),
                ("ZRANDMEMBER none", "$-1"),
                ("ZRANDMEMBER none 5", "*0"),
                ("SET text v", "+OK"),
                ("ZRANDMEMBER text", WRONG_TYPE),
                ("ZRANDMEMBER text 1", WRONG_TYPE),
            ],
        );
    });
}

#[test]
fn a_draw_of_distinct_ranks_is_fair() {
    let mut random = Random::fixed(3);
    let mut counts = [0usize; 6];
    for _ in 0..6_000 {
        let ranks = distinct_ranks(&mut random, 2, 6);
        assert_ne!(ranks[0], ranks[1]);
        ranks.iter().for_each(|&rank| counts[rank] += 1);
    }
    assert!(counts.iter().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
}

#[test]
fn a_scan_returns_every_member_once_nothing_changes() {
    everywhere(|t| {
        fill(t, 300);
        let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
        loop {
            let mut reply = strings(&t.run(&format!("ZSCAN z {cursor} COUNT 20"))).into_iter();
            cursor = reply.next().expect("a cursor");
            let items: Vec<String> = reply.collect();
            seen.extend(items.chunks(2).map(|pair| {
                assert_eq!(pair[0], format!("m{}", pair[1]));
                pair[0].clone()
            }));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 300);
        assert_eq!(seen.into_iter().collect::<HashSet<_>>().len(), 300);
        assert_eq!(strings(&t.run("ZSCAN z 0 MATCH m29? COUNT 1000")).len(), 1 + 2 * 10);
    });
}

#[test]
fn a_scan_looks_at_cursor_then_key_then_options() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("SET text v", "+OK"),
                ("ZSCAN text x", "-ERR invalid cursor"),
                ("ZSCAN text -1", "-ERR invalid cursor"),
                ("ZSCAN text 18446744073709551616", "-ERR invalid cursor"),
                ("ZSCAN text 0 FOO", WRONG_TYPE),
                ("ZSCAN none 0 FOO", "*2|$1|0|*0"),
                ("ZADD z 1 a", ":1"),
                ("ZSCAN z 0 FOO", "-ERR syntax error"),
                ("ZSCAN z 0 MATCH", "-ERR syntax error"),
                ("ZSCAN z 0 COUNT 0", "-ERR syntax error"),
                ("ZSCAN z 0 COUNT x", "-ERR value is not an integer or out of range"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZSCAN z 0", "*2|$1|0|*2|$1|a|$1|1")]);
    });
}

#[test]
fn scanned_scores_have_seventeen_digits_outside_a_listpack() {
    for (entries, expected) in [(0, "$19|0.10000000000000001"), (128, "$3|0.1")] {
        let mut t = Tester::new(1);
        t.world.settings.zset_max_listpack_entries.set(entries);
        let reply = format!("*2|$1|0|*2|$1|a|{expected}");
        expect(&mut t, &[("ZADD z 0.1 a", ":1"), ("ZSCAN z 0", &reply)]);
    }
}

#[test]
fn seventeen_digits_read_like_printf() {
    for (value, expected) in [
        (1e300, "1.0000000000000001e+300"),
        (1e-5, "1.0000000000000001e-05"),
        (0.0001, "0.0001"),
        (-2.25, "-2.25"),
        (5.0, "5"),
        (1e16, "10000000000000000"),
        (1e17, "1e+17"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (0.3, "0.29999999999999999"),
        (5e-324, "4.9406564584124654e-324"),
        (9.999_999_999_999_999, "9.9999999999999982"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (-0.0, "-0"),
    ] {
        assert_eq!(seventeen_digits(value), expected);
    }
}
