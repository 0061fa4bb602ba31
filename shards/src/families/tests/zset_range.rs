//! Range commands, in both encodings and protocols.

use super::super::zset::tests::{everywhere, expect};
use crate::handler::reply::Protocol;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_SCORES: &str = "-ERR min or max is not a float";
const NOT_MEMBERS: &str = "-ERR min or max not valid string range item";

#[test]
fn ranks_select_from_either_end_and_negative_ones_count_back() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c 4 d", ":4"),
                ("ZRANGE z 0 1", "*2|$1|a|$1|b"),
                ("ZRANGE z -2 -1", "*2|$1|c|$1|d"),
                ("ZRANGE z 2 100", "*2|$1|c|$1|d"),
                ("ZRANGE z -100 0", "*1|$1|a"),
                ("ZRANGE z 3 1", "*0"),
                ("ZRANGE z 4 9", "*0"),
                ("ZRANGE z 0 -5", "*0"),
                ("ZRANGE z 9223372036854775807 -1", "*0"),
                ("ZRANGE z -9223372036854775808 9223372036854775807", "*4|$1|a|$1|b|$1|c|$1|d"),
                ("ZREVRANGE z 0 1", "*2|$1|d|$1|c"),
                ("ZRANGE z 0 1 REV", "*2|$1|d|$1|c"),
                ("ZRANGE z -1 -1 rev withscores", "*2|$1|a|$1|1"),
                ("ZRANGE none 0 -1", "*0"),
                ("ZRANGE z 0 -1 LIMIT 1 -1", "*4|$1|a|$1|b|$1|c|$1|d"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZRANGE z 0 1 WITHSCORES", "*2|*2|$1|a|,1|*2|$1|b|,2"), ("ZRANGE z 0 0", "*1|$1|a")]);
    });
}

#[test]
fn scores_select_with_bounds_limits_and_direction() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 2 c 3.5 d inf e", ":5"),
                ("ZRANGEBYSCORE z 2 3.5", "*3|$1|b|$1|c|$1|d"),
                ("ZRANGEBYSCORE z (2 (inf", "*1|$1|d"),
                ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "*2|$1|b|$1|c"),
                ("ZRANGEBYSCORE z -inf +inf LIMIT 3 -1", "*2|$1|d|$1|e"),
                ("ZRANGEBYSCORE z -inf +inf LIMIT 9 1", "*0"),
                ("ZRANGEBYSCORE z -inf +inf LIMIT 0 0", "*0"),
                ("ZREVRANGEBYSCORE z +inf 2 LIMIT 1 2 WITHSCORES", "*4|$1|d|$3|3.5|$1|c|$1|2"),
                ("ZRANGE z (1 (3.5 BYSCORE", "*2|$1|b|$1|c"),
                ("ZRANGE z 3.5 1 BYSCORE REV LIMIT 0 2", "*2|$1|d|$1|c"),
                ("ZRANGEBYSCORE z 3 1", "*0"),
                ("ZCOUNT z 2 2", ":2"),
                ("ZCOUNT z (2 inf", ":2"),
                ("ZCOUNT z 5 1", ":0"),
                ("ZCOUNT none 1 2", ":0"),
            ],
        );
    });
}

#[test]
fn members_select_where_scores_are_equal() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 0 a 0 b 0 c 0 d", ":4"),
                ("ZRANGEBYLEX z - +", "*4|$1|a|$1|b|$1|c|$1|d"),
                ("ZRANGEBYLEX z [b (d", "*2|$1|b|$1|c"),
                ("ZRANGEBYLEX z (b + LIMIT 1 5", "*1|$1|d"),
                ("ZREVRANGEBYLEX z [c -", "*3|$1|c|$1|b|$1|a"),
                ("ZRANGE z [c - BYLEX REV LIMIT 1 1", "*1|$1|b"),
                ("ZRANGEBYLEX z + -", "*0"),
                ("ZLEXCOUNT z - +", ":4"),
                ("ZLEXCOUNT z (a [c", ":2"),
                ("ZLEXCOUNT none - +", ":0"),
                ("ZREMRANGEBYLEX z [b [c", ":2"),
                ("ZRANGE z 0 -1", "*2|$1|a|$1|d"),
            ],
        );
    });
}

#[test]
fn range_options_are_checked_before_bounds_and_bounds_before_the_key() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("SET text v", "+OK"),
                ("ZRANGE text a b", "-ERR value is not an integer or out of range"),
                ("ZRANGE text 0 1", WRONG_TYPE),
                ("ZRANGE none 0 1 FOO", "-ERR syntax error"),
                ("ZRANGE none 0 1 LIMIT 1", "-ERR syntax error"),
                ("ZRANGE none 0 1 REV REV", "-ERR syntax error"),
                ("ZRANGE none 0 1 BYSCORE BYLEX", "-ERR syntax error"),
                (
                    "ZRANGE none 0 1 LIMIT 0 5",
                    "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
                ),
                (
                    "ZRANGE none - + BYLEX WITHSCORES",
                    "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
                ),
                ("ZRANGE none 0 1 BYSCORE LIMIT x 5", "-ERR value is not an integer or out of range"),
                ("ZREVRANGE none 0 1 BYSCORE", "-ERR syntax error"),
                ("ZRANGEBYSCORE none 0 1 REV", "-ERR syntax error"),
                ("ZRANGEBYSCORE none a 1", NOT_SCORES),
                ("ZRANGEBYSCORE none nan 1", NOT_SCORES),
                ("ZRANGEBYSCORE none 1\0x 2", NOT_SCORES),
                ("ZREMRANGEBYSCORE text \0 1", NOT_SCORES),
                ("ZRANGEBYLEX none a +", NOT_MEMBERS),
                ("ZCOUNT text a 1", NOT_SCORES),
                ("ZCOUNT text 0 1", WRONG_TYPE),
                ("ZLEXCOUNT text a +", NOT_MEMBERS),
                ("ZLEXCOUNT text - +", WRONG_TYPE),
                ("ZREMRANGEBYRANK text a 1", "-ERR value is not an integer or out of range"),
                ("ZREMRANGEBYRANK text 0 1", WRONG_TYPE),
                ("ZREMRANGEBYSCORE text a 1", NOT_SCORES),
                ("ZREMRANGEBYLEX text a 1", NOT_MEMBERS),
                ("ZRANGESTORE d text 0 1", WRONG_TYPE),
                ("ZRANGESTORE d none 0 1 WITHSCORES", "-ERR syntax error"),
            ],
        );
    });
}

#[test]
fn ranges_are_removed_and_the_key_goes_with_the_last_member() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"),
                ("ZREMRANGEBYRANK z 1 2", ":2"),
                ("ZREMRANGEBYRANK z 7 9", ":0"),
                ("ZREMRANGEBYSCORE z (4 inf", ":1"),
                ("ZREMRANGEBYSCORE z 9 1", ":0"),
                ("ZRANGE z 0 -1", "*2|$1|a|$1|d"),
                ("ZREMRANGEBYRANK z 0 -1", ":2"),
                ("ZADD z XX 1 a", ":0"),
                ("ZREMRANGEBYLEX none - +", ":0"),
            ],
        );
    });
}

#[test]
fn a_stored_range_replaces_the_destination_and_an_empty_one_removes_it() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c", ":3"),
                ("SET d text", "+OK"),
                ("ZRANGESTORE d z 0 1 REV", ":2"),
                ("ZRANGE d 0 -1 WITHSCORES", "*4|$1|b|$1|2|$1|c|$1|3"),
                ("ZRANGESTORE d z (1 2 BYSCORE", ":1"),
                ("ZRANGE d 0 -1", "*1|$1|b"),
                ("ZRANGESTORE d none 0 -1", ":0"),
                ("ZRANGE d 0 -1", "*0"),
                ("ZRANGESTORE z z 0 0", ":1"),
                ("ZRANGE z 0 -1", "*1|$1|a"),
            ],
        );
    });
}

#[test]
fn a_negative_offset_gives_nothing_in_a_listpack_and_counts_back_in_a_large_set() {
    for (entries, forward, backward) in [(128, "*0", "*0"), (0, "*2|$1|c|$1|d", "*1|$1|b")] {
        let mut t = crate::testing::Tester::new(1);
        t.world.settings.zset_max_listpack_entries.set(entries);
        expect(
            &mut t,
            &[
                ("ZADD z 0 a 0 b 0 c 0 d", ":4"),
                ("ZRANGEBYSCORE z 0 0 LIMIT -2 10", forward),
                ("ZREVRANGEBYLEX z + - LIMIT -2 1", backward),
                ("ZRANGEBYLEX z - + LIMIT -5 10", "*0"),
                ("ZRANGEBYLEX z - + LIMIT -9223372036854775808 10", "*0"),
            ],
        );
    }
}
