//! Algebra commands, in both encodings and protocols.

use super::super::zset::tests::{everywhere, expect};
use crate::handler::reply::Protocol;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn unions_and_intersections_weigh_and_aggregate() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD x 1 a 2 b", ":2"),
                ("ZADD y 10 b 20 c", ":2"),
                ("ZUNION 2 x y", "*3|$1|a|$1|b|$1|c"),
                ("ZUNION 2 x y WITHSCORES", "*6|$1|a|$1|1|$1|b|$2|12|$1|c|$2|20"),
                ("ZUNION 3 x none y WEIGHTS 1 5 -1 AGGREGATE MIN WITHSCORES", "*6|$1|c|$3|-20|$1|b|$3|-10|$1|a|$1|1"),
                ("ZINTER 2 x y WITHSCORES", "*2|$1|b|$2|12"),
                ("ZINTER 2 x y AGGREGATE max WITHSCORES WEIGHTS 6 1", "*2|$1|b|$2|12"),
                ("ZINTER 2 x none", "*0"),
                ("ZINTER 2 x x WITHSCORES", "*4|$1|a|$1|2|$1|b|$1|4"),
                ("ZDIFF 2 x y WITHSCORES", "*2|$1|a|$1|1"),
                ("ZDIFF 2 none y", "*0"),
                ("ZDIFF 1 x", "*2|$1|a|$1|b"),
                ("ZINTERCARD 2 x y", ":1"),
                ("ZINTERCARD 2 x x LIMIT 1", ":1"),
                ("ZINTERCARD 2 x x LIMIT 0", ":2"),
                ("ZINTERCARD 2 x none", ":0"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZUNION 2 x y WITHSCORES", "*3|*2|$1|a|,1|*2|$1|b|,12|*2|$1|c|,20"), ("ZDIFF 2 x y", "*1|$1|a")]);
    });
}

#[test]
fn results_replace_the_destination_and_empty_ones_remove_it() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD x 1 a 2 b", ":2"),
                ("ZADD y 10 b 20 c", ":2"),
                ("SET d text", "+OK"),
                ("ZUNIONSTORE d 2 x y WEIGHTS 2 1", ":3"),
                ("ZRANGE d 0 -1 WITHSCORES", "*6|$1|a|$1|2|$1|b|$2|14|$1|c|$2|20"),
                ("ZINTERSTORE d 2 x y AGGREGATE MAX", ":1"),
                ("ZRANGE d 0 -1 WITHSCORES", "*2|$1|b|$2|10"),
                ("ZDIFFSTORE d 2 x y", ":1"),
                ("ZRANGE d 0 -1", "*1|$1|a"),
                ("ZDIFFSTORE d 1 none", ":0"),
                ("ZADD d XX 1 a", ":0"),
                ("ZUNIONSTORE x 2 x y", ":3"),
                ("ZCARD x", ":3"),
            ],
        );
    });
}

#[test]
fn algebra_checks_the_number_of_keys_then_their_types_then_options() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("SET text v", "+OK"),
                ("ZUNION 0 x", "-ERR at least 1 input key is needed for 'zunion' command"),
                ("ZINTERSTORE d -1 x", "-ERR at least 1 input key is needed for 'zinterstore' command"),
                ("ZINTERCARD 0 x", "-ERR at least 1 input key is needed for 'zintercard' command"),
                ("ZUNION a x", "-ERR value is not an integer or out of range"),
                ("ZUNION 2 x", "-ERR syntax error"),
                ("ZUNION 1 text FOO", WRONG_TYPE),
                ("ZUNIONSTORE d 1 text", WRONG_TYPE),
                ("ZUNION 1 x FOO", "-ERR syntax error"),
                ("ZUNION 1 x WEIGHTS", "-ERR syntax error"),
                ("ZUNION 1 x WEIGHTS a", "-ERR weight value is not a float"),
                ("ZUNION 1 x WEIGHTS 1 2", "-ERR syntax error"),
                ("ZUNION 1 x AGGREGATE FOO", "-ERR syntax error"),
                ("ZUNIONSTORE d 1 x WITHSCORES", "-ERR syntax error"),
                ("ZDIFF 1 x WEIGHTS 1", "-ERR syntax error"),
                ("ZDIFF 1 x AGGREGATE SUM", "-ERR syntax error"),
                ("ZINTERCARD 1 x WEIGHTS 1", "-ERR syntax error"),
                ("ZINTERCARD 1 x LIMIT", "-ERR syntax error"),
                ("ZINTERCARD 1 x LIMIT -1", "-ERR LIMIT can't be negative"),
                ("ZINTERCARD 1 x LIMIT a", "-ERR LIMIT can't be negative"),
            ],
        );
    });
}

#[test]
fn plain_sets_take_part_with_a_score_of_one() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("SADD plain 1 2", ":2"),
                ("SADD names a b", ":2"),
                ("ZADD z 5 2 7 c", ":2"),
                ("ZUNION 2 plain z WEIGHTS 10 1 WITHSCORES", "*6|$1|c|$1|7|$1|1|$2|10|$1|2|$2|15"),
                ("ZINTER 2 z plain WITHSCORES", "*2|$1|2|$1|6"),
                ("ZDIFF 2 names z WITHSCORES", "*4|$1|a|$1|1|$1|b|$1|1"),
                ("ZINTERCARD 2 plain z", ":1"),
                ("ZUNIONSTORE plain 1 plain", ":2"),
                ("ZRANGE plain 0 -1 WITHSCORES", "*4|$1|1|$1|1|$1|2|$1|1"),
            ],
        );
    });
}
