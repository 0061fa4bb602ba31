//! Sorted set commands on members, in both encodings and protocols, over one and several shards.

use crate::keyspace::events::class;
use crate::testing::Tester;
use crate::handler::reply::Protocol;

/// Runs a test over shards and encodings.
pub(in super::super) fn everywhere(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        for entries in [0, 128] {
            let mut tester = Tester::new(shards);
            tester.world.settings.zset_max_listpack_entries.set(entries);
            test(&mut tester);
        }
    }
}

/// Runs lines and compares each reply; `|` stands for a line end in what is expected.
pub(in super::super) fn expect(t: &mut Tester, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reply = t.run(line);
        assert_eq!(reply.trim_end().replace("\r\n", "|"), *expected, "{line}");
    }
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn zadd_counts_new_members_and_with_ch_changed_ones() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c", ":3"),
                ("ZADD z 1 a 5 b 4 d", ":1"),
                ("ZADD z ch 1 a 6 b 9 e", ":2"),
                ("ZADD z NX 7 a 8 f", ":1"),
                ("ZADD z XX CH 7 a 8 g", ":1"),
                ("ZADD z GT CH 6 a 10 c", ":1"),
                ("ZADD z LT CH 8 a 1 c", ":1"),
                ("ZADD z 3 x 4 x", ":1"),
                ("ZSCORE z x", "$1|4"),
                ("ZCARD z", ":7"),
                ("ZADD none XX 1 a", ":0"),
                ("ZCARD none", ":0"),
            ],
        );
    });
}

#[test]
fn zadd_with_incr_replies_with_the_score_or_null() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z INCR 1.5 a", "$3|1.5"),
                ("ZADD z incr 1.5 a", "$1|3"),
                ("ZADD z NX INCR 1 a", "$-1"),
                ("ZADD z GT INCR -1 a", "$-1"),
                ("ZADD none XX INCR 1 a", "$-1"),
                ("ZADD z inf i", ":1"),
                ("ZADD z INCR -inf i", "-ERR resulting score is not a number (NaN)"),
                ("ZINCRBY z -inf i", "-ERR resulting score is not a number (NaN)"),
                ("ZINCRBY z 0 i", "$3|inf"),
                ("ZINCRBY z 2 new", "$1|2"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZADD z INCR 1 a", ",4"), ("ZADD z NX INCR 1 a", "_"), ("ZINCRBY z 0.5 a", ",4.5")]);
    });
}

#[test]
fn zadd_reports_mistakes_in_the_order_of_redis_and_adds_nothing() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1", "-ERR wrong number of arguments for 'zadd' command"),
                ("ZADD z 1 a 2", "-ERR syntax error"),
                ("ZADD z NX CH", "-ERR syntax error"),
                ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"),
                ("ZADD z NX GT x a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
                ("ZADD z GT LT x a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
                ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
                ("ZADD z 1 a nan b", "-ERR value is not a valid float"),
                ("ZADD z 1 a x b", "-ERR value is not a valid float"),
                ("ZINCRBY z x a", "-ERR value is not a valid float"),
                ("ZCARD z", ":0"),
                ("SET text v", "+OK"),
                ("ZADD text x a", "-ERR value is not a valid float"),
                ("ZADD text 1 a", WRONG_TYPE),
                ("ZADD text 1 a 2 b", WRONG_TYPE),
                ("ZADD text XX 1 a", WRONG_TYPE),
                ("ZINCRBY text 1 a", WRONG_TYPE),
                ("ZREM text a", WRONG_TYPE),
                ("ZCARD text", WRONG_TYPE),
                ("ZSCORE text a", WRONG_TYPE),
                ("ZMSCORE text a", WRONG_TYPE),
                ("ZRANK text a", WRONG_TYPE),
                ("ZREVRANK text a", WRONG_TYPE),
            ],
        );
    });
}

#[test]
fn zrem_counts_members_and_removes_the_key_with_the_last_one() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 3 c", ":3"),
                ("ZREM z a x a", ":1"),
                ("ZREM z x", ":0"),
                ("ZREM none a", ":0"),
                ("ZREM z b c", ":2"),
                ("SET z now-a-string", "+OK"),
            ],
        );
        expect(t, &[("ZADD gone 1 a", ":1"), ("ZREM gone a", ":1"), ("ZADD gone XX 1 a", ":0"), ("ZCARD gone", ":0")]);
    });
}

#[test]
fn scores_come_as_strings_or_doubles_and_null_where_there_is_none() {
    everywhere(|t| {
        expect(t, &[("ZADD z 1 a 2.5 b -inf c 1e300 d", ":4")]);
        expect(t, &[("ZSCORE z b", "$3|2.5"), ("ZSCORE z x", "$-1"), ("ZSCORE none a", "$-1")]);
        expect(t, &[("ZMSCORE z a x c d", "*4|$1|1|$-1|$4|-inf|$6|1e+300"), ("ZMSCORE none a b", "*2|$-1|$-1")]);
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZSCORE z b", ",2.5"), ("ZSCORE z x", "_"), ("ZMSCORE z a x c", "*3|,1|_|,-inf")]);
    });
}

#[test]
fn ranks_count_from_either_end_and_may_bring_the_score() {
    everywhere(|t| {
        expect(
            t,
            &[
                ("ZADD z 1 a 2 b 2 c", ":3"),
                ("ZRANK z c", ":2"),
                ("ZREVRANK z c", ":0"),
                ("ZRANK z b WITHSCORE", "*2|:1|$1|2"),
                ("ZREVRANK z a withscore", "*2|:2|$1|1"),
                ("ZRANK z x", "$-1"),
                ("ZRANK z x WITHSCORE", "*-1"),
                ("ZRANK none x WITHSCORE", "*-1"),
                ("ZRANK z a FOO", "-ERR syntax error"),
                ("ZRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command"),
                ("ZREVRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrevrank' command"),
            ],
        );
        t.protocol = Protocol::Resp3;
        expect(t, &[("ZRANK z b WITHSCORE", "*2|:1|,2"), ("ZRANK z x WITHSCORE", "_"), ("ZRANK z x", "_")]);
    });
}

#[test]
fn the_sign_of_zero_survives_only_outside_a_listpack() {
    for (entries, expected) in [(0, "$2|-0"), (128, "$1|0")] {
        let mut t = Tester::new(1);
        t.world.settings.zset_max_listpack_entries.set(entries);
        expect(
            &mut t,
            &[("ZADD z -0 a", ":1"), ("ZSCORE z a", expected), ("ZADD z CH 0 a", ":0"), ("ZSCORE z a", expected)],
        );
    }
}

#[test]
fn every_change_raises_the_event_of_its_command_and_no_change_raises_none() {
    for entries in [0, 128] {
        let mut t = Tester::new(1);
        t.world.settings.zset_max_listpack_entries.set(entries);
        t.world.settings.notify_keyspace_events.set(i64::from(class::ZSET | class::GENERIC));
        for (line, expected) in [
            ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", "zadd z"),
            ("ZADD z 1 a", ""),
            ("ZADD z NX 9 a", ""),
            ("ZADD z 0 a", "zadd z"),
            ("ZADD z INCR 1 a", "zincr z"),
            ("ZADD z INCR 0 a", ""),
            ("ZINCRBY z 1 g", "zincr z"),
            ("ZREM z g", "zrem z"),
            ("ZREM z g", ""),
            ("ZRANGESTORE d z 0 0", "zrangestore d"),
            ("ZRANGESTORE d z 9 9", "del d"),
            ("ZRANGESTORE d z 9 9", ""),
            ("ZUNIONSTORE d 1 z", "zunionstore d"),
            ("ZINTERSTORE d 1 z", "zinterstore d"),
            ("ZDIFFSTORE d 1 z", "zdiffstore d"),
            ("ZDIFFSTORE d 2 z z", "del d"),
            ("ZPOPMIN z", "zpopmin z"),
            ("ZPOPMIN z 0", ""),
            ("ZPOPMAX z", "zpopmax z"),
            ("ZREMRANGEBYRANK z 0 0", "zremrangebyrank z"),
            ("ZREMRANGEBYSCORE z 3 3", "zremrangebyscore z"),
            ("ZREMRANGEBYSCORE z 3 3", ""),
            ("ZMPOP 2 none z MIN COUNT 9", "zpopmin z, del z"),
            ("ZADD z 0 a", "zadd z"),
            ("ZREMRANGEBYLEX z - +", "zremrangebylex z, del z"),
            ("ZADD z 0 a", "zadd z"),
            ("ZREM z a", "zrem z, del z"),
        ] {
            t.run(line);
            assert_eq!(t.events().join(", "), expected, "{line}");
        }
    }
}
