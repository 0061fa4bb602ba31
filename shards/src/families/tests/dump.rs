//! DUMP and RESTORE with all options.

use crate::testing::Tester;

fn payload(t: &mut Tester, key: &str) -> Vec<u8> {
    let reply = t.run_args(&[b"DUMP", key.as_bytes()]);
    let at = reply.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
    reply[at..reply.len() - 2].to_vec()
}

fn restore(t: &mut Tester, words: &[&[u8]]) -> String {
    String::from_utf8_lossy(&t.run_args(&[&[b"RESTORE".as_slice()], words].concat())).into_owned()
}

fn each(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        test(&mut Tester::new(shards));
    }
}

const BUSY: &str = "-BUSYKEY Target key name already exists.\r\n";
const FOOTER: &str = "-ERR DUMP payload version or checksum are wrong\r\n";
const OK: &str = "+OK\r\n";

#[test]
fn a_dumped_value_is_restored_under_another_key() {
    each(|t| {
        for (make, show) in [
            ("SET a text", "GET"),
            ("RPUSH a x 5 y", "LRANGE 0 -1"),
            ("SADD a 1 2 3", "SMEMBERS"),
            ("HSET a f v", "HGETALL"),
            ("ZADD a 1.5 m 2 n", "ZRANGE 0 -1 WITHSCORES"),
            ("XADD a 1-1 f v", "XRANGE - +"),
        ] {
            t.run("DEL a b");
            t.run(make);
            let value = payload(t, "a");
            assert_eq!(restore(t, &[b"b", b"0", &value]), OK);
            let (command, rest) = show.split_once(' ').unwrap_or((show, ""));
            let ask = |key: &str| format!("{command} {key} {rest}").trim_end().to_owned();
            assert_eq!(t.run(&ask("b")), t.run(&ask("a")), "{make}");
            assert_eq!(t.run("TTL b"), ":-1\r\n");
        }
    });
}

#[test]
fn dump_of_nothing_is_nothing() {
    each(|t| assert_eq!(t.run("DUMP none"), "$-1\r\n"));
}

#[test]
fn an_existing_key_is_kept_unless_it_shall_be_replaced() {
    each(|t| {
        t.run("SET a new");
        let value = payload(t, "a");
        t.run("SET b old EX 100");
        assert_eq!(restore(t, &[b"b", b"0", &value]), BUSY);
        assert_eq!(restore(t, &[b"b", b"x", b"garbage"]), BUSY);
        assert_eq!(restore(t, &[b"b", b"0", &value, b"REPLACE"]), OK);
        t.expect(&[("GET b", "$3|new"), ("TTL b", ":-1")]);
    });
}

#[test]
fn a_time_to_live_is_relative_unless_it_is_said_to_be_absolute() {
    each(|t| {
        t.run("SET a v");
        let value = payload(t, "a");
        assert_eq!(restore(t, &[b"b", b"5000", &value]), OK);
        assert_eq!(t.run("TTL b"), ":5\r\n");
        let at = (t.world.now_milliseconds() + 7000).to_string();
        assert_eq!(restore(t, &[b"c", at.as_bytes(), &value, b"ABSTTL"]), OK);
        assert_eq!(t.run("PEXPIRETIME c"), format!(":{at}\r\n"));
    });
}

#[test]
fn what_has_expired_already_only_removes_what_it_replaces() {
    each(|t| {
        t.world.settings.notify_keyspace_events.set(i64::from(u16::MAX) & !(1 << 10));
        t.run("SET a v");
        let value = payload(t, "a");
        t.events();
        assert_eq!(restore(t, &[b"a", b"1", &value, b"ABSTTL", b"REPLACE"]), OK);
        assert_eq!(t.events(), ["del a"]);
        assert_eq!(restore(t, &[b"a", b"1", &value, b"ABSTTL"]), OK);
        assert!(t.events().is_empty());
        assert_eq!(t.run("EXISTS a"), ":0\r\n");
    });
}

#[test]
fn restoring_makes_a_new_key_whatever_it_replaces() {
    each(|t| {
        t.run("SET a v");
        let value = payload(t, "a");
        t.world.settings.notify_keyspace_events.set(i64::from(u16::MAX) & !(1 << 9));
        assert_eq!(restore(t, &[b"a", b"100", &value, b"REPLACE"]), OK);
        assert_eq!(t.events(), ["new a", "restore a"]);
        assert_eq!(restore(t, &[b"b", b"0", &value]), OK);
        assert_eq!(t.events(), ["new b", "restore b"]);
    });
}

#[test]
fn mistakes_are_told_in_the_order_of_redis() {
    each(|t| {
        for (words, reply) in [
            ("x garbage FOO", "-ERR syntax error"),
            ("x garbage", "-ERR value is not an integer or out of range"),
            ("-1 garbage", "-ERR Invalid TTL value, must be >= 0"),
            ("0 garbage", FOOTER.trim_end()),
            ("0 garbage REPLACE ABSTTL IDLETIME 5", FOOTER.trim_end()),
            ("0 garbage IDLETIME", "-ERR syntax error"),
            ("0 garbage IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
            ("0 garbage IDLETIME x", "-ERR value is not an integer or out of range"),
            ("0 garbage FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("0 garbage FREQ 1 FREQ -1", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("0 garbage FREQ 1 IDLETIME 1", "-ERR syntax error"),
            ("0 garbage IDLETIME 1 FREQ 1", "-ERR syntax error"),
        ] {
            assert_eq!(t.run(&format!("RESTORE k {words}")), format!("{reply}\r\n"), "{words}");
            assert_eq!(t.run(&format!("RESTORE-ASKING k {words}")), format!("{reply}\r\n"), "{words}");
        }
        // A good footer behind something that is no value.
        let mut value = vec![99, 10, 0];
        value.extend(crate::rdb::crc64(0, &value).to_le_bytes());
        assert_eq!(restore(t, &[b"k", b"0", &value]), "-ERR Bad data format\r\n");
        assert_eq!(t.run("EXISTS k"), ":0\r\n");
    });
}

#[test]
fn idle_time_and_frequency_are_restored_where_the_policy_keeps_them() {
    each(|t| {
        t.run("SET a v");
        let value = payload(t, "a");
        assert_eq!(restore(t, &[b"b", b"0", &value, b"IDLETIME", b"1000"]), OK);
        assert_eq!(t.run("OBJECT IDLETIME b"), ":1000\r\n");
        assert_eq!(restore(t, &[b"b", b"0", &value, b"FREQ", b"9", b"REPLACE"]), OK);
        assert_eq!(t.run("OBJECT IDLETIME b"), ":0\r\n");
        t.world.settings.maxmemory_policy.set(3);
        assert_eq!(restore(t, &[b"b", b"0", &value, b"FREQ", b"99", b"REPLACE"]), OK);
        assert_eq!(t.run("OBJECT FREQ b"), ":99\r\n");
    });
}

/// Commands that look at all of a value and change it, by type.
const USES: &[(&str, &[&str])] = &[
    ("+string", &["STRLEN k", "APPEND k x", "SETRANGE k 5 y", "GETRANGE k 0 -1", "BITCOUNT k", "PFCOUNT k", "INCR k"]),
    (
        "+list",
        &["LINSERT k BEFORE a b", "LREM k 0 a", "LSET k 0 new", "LRANGE k 0 -1", "LPUSH k x", "RPOP k", "LTRIM k 1 -2"],
    ),
    ("+set", &["SMEMBERS k", "SADD k 7 new", "SREM k a 5", "SRANDMEMBER k 5", "SPOP k 3"]),
    (
        "+zset",
        &[
            "ZRANGE k 0 -1 WITHSCORES",
            "ZADD k 1.5 new -3 a",
            "ZRANGEBYSCORE k -inf +inf",
            "ZREM k b",
            "ZINCRBY k 5 c",
            "GEOPOS k a",
            "ZPOPMIN k 2",
        ],
    ),
    ("+hash", &["HGETALL k", "HSET k a 5 new 6", "HPEXPIRE k 5 FIELDS 1 b", "HDEL k c", "HSCAN k 0", "HRANDFIELD k 3"]),
    (
        "+stream",
        &[
            "XINFO STREAM k FULL",
            "XINFO GROUPS k",
            "XADD k * f v",
            "XRANGE k - +",
            "XREVRANGE k + - COUNT 5",
            "XREADGROUP GROUP g new COUNT 2 STREAMS k >",
            "XPENDING k g - + 10",
            "XAUTOCLAIM k g new 0 0",
            "XACK k g 1-1",
            "XDEL k 1-1 2-1",
            "XTRIM k MAXLEN 1",
            "XINFO CONSUMERS k g",
            "XGROUP DELCONSUMER k g c",
        ],
    ),
];

#[test]
fn a_restored_value_can_be_used_however_its_payload_was_mangled() {
    let mut t = Tester::new(1);
    let mut random = sherd_types::random::Random::fixed(77);
    let mut used = 0;
    for recorded in crate::rdb::tests::recorded() {
        for _ in 0..250 {
            t.run("FLUSHALL");
            let payload = crate::rdb::tests::mutate(&recorded.payload, &mut random);
            if restore(&mut t, &[b"k", b"0", &payload]) != OK {
                continue;
            }
            let kind = t.run("TYPE k");
            let uses = USES.iter().find(|(name, _)| *name == kind.trim_end());
            for line in uses.map_or(&[][..], |(_, lines)| lines) {
                t.run(line);
                used += 1;
            }
            t.run("COPY k other");
            t.run("MEMORY USAGE k");
            t.run("DUMP k");
        }
    }
    assert!(used > 10_000, "{used}");
}
