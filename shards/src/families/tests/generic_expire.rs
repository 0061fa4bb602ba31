//! The EXPIRE family and what a client sees of a key that expires.

use crate::testing::Tester;

#[test]
fn an_expiry_is_taken_under_its_conditions_only() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run("SET k v");
        for (line, expected) in [
            ("EXPIRE none 10", ":0\r\n"),
            ("EXPIRE k 100 XX", ":0\r\n"),
            ("EXPIRE k 100 GT", ":0\r\n"),
            ("EXPIRE k 100 LT", ":1\r\n"),
            ("EXPIRE k 200 NX", ":0\r\n"),
            ("EXPIRE k 200 LT", ":0\r\n"),
            ("EXPIRE k 200 XX GT", ":1\r\n"),
            ("TTL k", ":200\r\n"),
            ("EXPIRE k 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
            ("EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
            ("EXPIRE k x FOO", "-ERR Unsupported option FOO\r\n"),
            ("EXPIRE k 9223372036854775", "-ERR invalid expire time in 'expire' command\r\n"),
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
            ("PERSIST k", ":1\r\n"),
            ("PERSIST k", ":0\r\n"),
            ("TTL k", ":-1\r\n"),
            ("PTTL none", ":-2\r\n"),
        ] {
            assert_eq!(t.run(line), expected, "{line}");
        }
    }
}

#[test]
fn absolute_times_are_given_back_as_they_were_set() {
    let mut t = Tester::new(1);
    t.run("SET k v");
    assert_eq!(t.run("PEXPIREAT k 99999999999123"), ":1\r\n");
    assert_eq!(t.run("PEXPIRETIME k"), ":99999999999123\r\n");
    assert_eq!(t.run("EXPIRETIME k"), ":99999999999\r\n");
    assert_eq!(t.run("EXPIREAT k 99999999999"), ":1\r\n");
    assert_eq!(t.run("PEXPIRETIME k"), ":99999999999000\r\n");
}

#[test]
fn a_time_that_has_passed_deletes_the_key() {
    for line in ["EXPIRE k 0", "EXPIRE k -1", "PEXPIREAT k 1", "EXPIREAT k -5"] {
        let mut t = Tester::new(1);
        t.run("SET k v");
        assert_eq!(t.run(line), ":1\r\n", "{line}");
        assert_eq!(t.run("DBSIZE"), ":0\r\n", "{line}");
    }
}

#[test]
fn a_key_is_gone_from_the_moment_it_expires() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run("SET k v");
        t.run("PEXPIRE k 5000");
        t.world.advance_clock(4000);
        assert_eq!(t.run("TTL k"), ":1\r\n");
        t.world.advance_clock(1000);
        assert_eq!(t.run("EXISTS k"), ":0\r\n");
        assert_eq!(t.run("TTL k"), ":-2\r\n");
    }
}
