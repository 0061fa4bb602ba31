//! What is done to a key whatever its type: EXISTS, TYPE, RENAME, COPY, MOVE, WAIT.

use crate::testing::Tester;

fn check(lines: &[(&str, &str)]) {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for (line, expected) in lines {
            assert_eq!(t.run(line), *expected, "{line} over {shards} shards");
        }
    }
}

#[test]
fn keys_are_counted_as_often_as_they_are_named() {
    check(&[
        ("MSET a 1 b 2", "+OK\r\n"),
        ("EXISTS a b b none", ":3\r\n"),
        ("TOUCH a b b none", ":3\r\n"),
        ("UNLINK a a none", ":1\r\n"),
        ("DEL b b", ":1\r\n"),
        ("EXISTS a b", ":0\r\n"),
    ]);
}

#[test]
fn the_type_of_a_key_is_named() {
    check(&[
        ("SET s 1", "+OK\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("TYPE s", "+string\r\n"),
        ("TYPE z", "+zset\r\n"),
        ("TYPE none", "+none\r\n"),
    ]);
}

#[test]
fn a_renamed_key_keeps_value_and_expiry_across_shards() {
    check(&[
        ("RENAME none b", "-ERR no such key\r\n"),
        ("ZADD a 1 m", ":1\r\n"),
        ("EXPIRE a 100", ":1\r\n"),
        ("SET b old", "+OK\r\n"),
        ("RENAMENX a b", ":0\r\n"),
        ("RENAME a b", "+OK\r\n"),
        ("EXISTS a", ":0\r\n"),
        ("TTL b", ":100\r\n"),
        ("ZCARD b", ":1\r\n"),
        ("RENAME b b", "+OK\r\n"),
        ("RENAMENX b c", ":1\r\n"),
        ("RENAMENX c c", ":0\r\n"),
        ("TTL c", ":100\r\n"),
    ]);
}

#[test]
fn a_copy_is_independent_of_its_source() {
    check(&[
        ("ZADD a 1 m", ":1\r\n"),
        ("COPY a a", "-ERR source and destination objects are the same\r\n"),
        ("COPY none b", ":0\r\n"),
        ("COPY a b", ":1\r\n"),
        ("COPY a b", ":0\r\n"),
        ("ZADD b 2 n", ":1\r\n"),
        ("ZCARD a", ":1\r\n"),
        ("SETEX s 100 v", "+OK\r\n"),
        ("COPY s b REPLACE", ":1\r\n"),
        ("TTL b", ":100\r\n"),
        ("COPY s b DB 16", "-ERR DB index is out of range\r\n"),
        ("COPY s b DB x", "-ERR value is not an integer or out of range\r\n"),
        ("COPY s b FOO", "-ERR syntax error\r\n"),
    ]);
}

#[test]
fn keys_are_copied_and_moved_between_databases() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run("SETEX k 100 v");
        assert_eq!(t.run("COPY k k DB 1"), ":1\r\n");
        assert_eq!(t.run("MOVE k 1"), ":0\r\n", "the other database has the key");
        assert_eq!(t.run("MOVE k 0"), "-ERR source and destination objects are the same\r\n");
        assert_eq!(t.run("MOVE k 2"), ":1\r\n");
        assert_eq!(t.run("EXISTS k"), ":0\r\n");
        t.db = 2;
        assert_eq!(t.run("TTL k"), ":100\r\n");
        t.db = 1;
        assert_eq!(t.run("GET k"), "$1\r\nv\r\n");
    }
}

#[test]
fn moving_needs_one_server_and_not_a_cluster() {
    let mut t = Tester::new(1);
    t.world.settings.set("cluster-enabled", 1);
    t.run("SET k v");
    assert_eq!(t.run("MOVE k 1"), "-ERR MOVE is not allowed in cluster mode\r\n");
    assert_eq!(t.run("SWAPDB 0 1"), "-ERR SWAPDB is not allowed in cluster mode\r\n");
}

#[test]
fn del_frees_a_big_value_in_the_background_unless_it_is_told_not_to() {
    for (lazily, command, in_background) in [(1, "DEL", 1), (0, "DEL", 0), (0, "UNLINK", 1)] {
        let mut t = Tester::new(1);
        t.world.settings.lazyfree_lazy_user_del.set(lazily);
        for number in 0..2000 {
            t.run(&format!("SADD s member:{number}"));
        }
        assert_eq!(t.run(&format!("{command} s")), ":1\r\n");
        t.world.reaper.wait_until_idle();
        assert_eq!(t.world.reaper.counts().1, in_background, "{command} with lazyfree-lazy-user-del {lazily}");
    }
}

/// What a directive is about, by commands that free one set of 2000 members: it is named `s`, and there is a small one `o`.
const FREED: &[(&str, &[&str])] = &[
    ("lazyfree-lazy-server-del", &["SET s v"]),
    ("lazyfree-lazy-server-del", &["RENAME o s"]),
    ("lazyfree-lazy-server-del", &["COPY o s REPLACE"]),
    ("lazyfree-lazy-server-del", &["SUNIONSTORE s o"]),
    ("lazyfree-lazy-server-del", &["SINTERSTORE s o nope"]),
    ("lazyfree-lazy-expire", &["PEXPIRE s 1", "SCARD s"]),
    ("lazyfree-lazy-expire", &["PEXPIRE s 1", "DEL s"]),
    ("lazyfree-lazy-expire", &["PEXPIRE s 1", "SADD s member"]),
];

#[test]
fn a_big_value_that_is_overwritten_or_has_expired_is_freed_as_its_directive_says() {
    for (directive, commands) in FREED {
        for lazily in [1, 0] {
            let mut t = Tester::new(1);
            // None but this one has a say.
            for other in ["lazyfree-lazy-server-del", "lazyfree-lazy-expire", "lazyfree-lazy-user-del"] {
                t.world.settings.set(other, if other == *directive { lazily } else { 1 - lazily });
            }
            t.run("SADD o 1");
            (0..2000).for_each(|number| _ = t.run(&format!("SADD s member:{number}")));
            for command in *commands {
                let reply = t.run(command);
                assert!(!reply.starts_with('-'), "{command}: {reply}");
                t.world.advance_clock(5);
            }
            t.world.reaper.wait_until_idle();
            assert_eq!(t.world.reaper.counts().1, lazily as u64, "{commands:?} with {directive} {lazily}");
        }
    }
}
