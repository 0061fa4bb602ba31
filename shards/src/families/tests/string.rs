//! The string commands, on one shard and on several.

use crate::testing::Tester;
use crate::handler::reply::Protocol;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NULL: &str = "$-1\r\n";

/// Runs lines and compares their replies, over one and over several shards.
fn check(lines: &[(&str, &str)]) {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for (line, expected) in lines {
            assert_eq!(t.run(line), *expected, "{line} over {shards} shards");
        }
    }
}

#[test]
fn set_writes_under_its_conditions_only() {
    check(&[
        ("SET k 1 XX", NULL),
        ("SET k 1 NX", "+OK\r\n"),
        ("SET k 2 NX", NULL),
        ("SET k 2 NX GET", "$1\r\n1\r\n"),
        ("SET k 2 XX GET", "$1\r\n1\r\n"),
        ("GET k", "$1\r\n2\r\n"),
        ("SET k 3 NX XX", "-ERR syntax error\r\n"),
        ("SET k 3 EX 1 PX 1", "-ERR syntax error\r\n"),
        ("SET k 3 EX 0", "-ERR invalid expire time in 'set' command\r\n"),
        ("SET k 3 EX x", "-ERR value is not an integer or out of range\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("SET z 1 GET", WRONG_TYPE),
        ("SET z 1 NX", NULL),
        ("SET z 1", "+OK\r\n"),
    ]);
}

#[test]
fn set_compares_with_the_value_that_is_there() {
    check(&[
        ("SET k new IFEQ old", NULL),
        ("SET k a IFNE old", "+OK\r\n"),
        ("SET k b IFEQ x", NULL),
        ("SET k b IFEQ a", "+OK\r\n"),
        ("SET k c IFNE b GET", "$1\r\nb\r\n"),
        ("SET k hello", "+OK\r\n"),
        ("SET k x IFDEQ 9555e8555c62dcfc", NULL),
        ("SET k x IFDNE 9555E8555C62DCFD", NULL),
        ("SET k x IFDEQ 123", "-ERR must be exactly 16 hexadecimal characters\r\n"),
        ("SET k x IFDEQ 9555E8555C62DCFD EX 10", "+OK\r\n"),
        ("TTL k", ":10\r\n"),
        ("SET none x IFDEQ 123", NULL),
        ("SET k x IFEQ a IFNE b", "-ERR syntax error\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("SET z 1 IFEQ a", WRONG_TYPE),
    ]);
}

#[test]
fn the_digest_is_the_xxh3_of_the_value_in_sixteen_digits() {
    check(&[
        ("DIGEST k", NULL),
        ("SET k hello", "+OK\r\n"),
        ("DIGEST k", "$16\r\n9555e8555c62dcfd\r\n"),
        ("SET k 123", "+OK\r\n"),
        ("DIGEST k", "$16\r\n404a763b3f4c8c9a\r\n"),
        ("SET k v8", "+OK\r\n"),
        ("DIGEST k", "$16\r\n0cc76dbb41381419\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("DIGEST z", WRONG_TYPE),
    ]);
}

#[test]
fn delex_and_delifeq_delete_what_compares_as_told() {
    check(&[
        ("DELEX k", ":0\r\n"),
        ("DELEX k IFEQ", "-ERR wrong number of arguments for 'delex' command\r\n"),
        ("SET k hello", "+OK\r\n"),
        ("DELEX k IF hello", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\r\n"),
        ("DELEX k IFNE hello", ":0\r\n"),
        ("DELEX k IFDEQ 9555e8555c62dcfd", ":1\r\n"),
        ("SET k hello", "+OK\r\n"),
        ("DELIFEQ k other", ":0\r\n"),
        ("DELIFEQ k hello", ":1\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("DELIFEQ z m", WRONG_TYPE),
        ("DELEX z IFEQ m", "-ERR Key should be of string type if conditions are specified\r\n"),
        ("DELEX z", ":1\r\n"),
    ]);
}

#[test]
fn an_expiry_is_set_kept_and_taken_away_with_the_value() {
    check(&[
        ("SETEX k 100 v", "+OK\r\n"),
        ("SET k w KEEPTTL", "+OK\r\n"),
        ("TTL k", ":100\r\n"),
        ("INCRBY n 1", ":1\r\n"),
        ("GETEX n EX 50", "$1\r\n1\r\n"),
        ("INCR n", ":2\r\n"),
        ("APPEND n 0", ":2\r\n"),
        ("TTL n", ":50\r\n"),
        ("GETEX n PERSIST", "$2\r\n20\r\n"),
        ("TTL n", ":-1\r\n"),
        ("GETEX n EXAT 1", "$2\r\n20\r\n"),
        ("EXISTS n", ":0\r\n"),
        ("PSETEX k 0 v", "-ERR invalid expire time in 'psetex' command\r\n"),
        ("PSETEX k 5000 v", "+OK\r\n"),
        ("TTL k", ":5\r\n"),
        ("GETSET k x", "$1\r\nv\r\n"),
        ("TTL k", ":-1\r\n"),
        ("GETDEL k", "$1\r\nx\r\n"),
        ("GETDEL k", NULL),
        ("SETNX k 1", ":1\r\n"),
        ("SETNX k 2", ":0\r\n"),
    ]);
}

#[test]
fn numbers_are_counted_exactly_and_never_wrap() {
    check(&[
        ("INCRBY n 9223372036854775807", ":9223372036854775807\r\n"),
        ("INCR n", "-ERR increment or decrement would overflow\r\n"),
        ("DECR n", ":9223372036854775806\r\n"),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n"),
        ("DECRBY n -1", ":9223372036854775807\r\n"),
        ("SET s 1x", "+OK\r\n"),
        ("INCR s", "-ERR value is not an integer or out of range\r\n"),
        ("INCRBYFLOAT s 1", "-ERR value is not a valid float\r\n"),
        ("INCRBYFLOAT f 0.1", "$3\r\n0.1\r\n"),
        ("INCRBYFLOAT f 0.2", "$3\r\n0.3\r\n"),
        ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("INCR z", WRONG_TYPE),
    ]);
}

#[test]
fn increx_keeps_within_its_bounds() {
    check(&[
        ("INCREX k", "*2\r\n:1\r\n:1\r\n"),
        ("INCREX k BYINT 9 UBOUND 5", "*2\r\n:1\r\n:0\r\n"),
        ("INCREX k BYINT 9 UBOUND 5 SATURATE", "*2\r\n:5\r\n:4\r\n"),
        ("INCREX none UBOUND 0", "*2\r\n:0\r\n:0\r\n"),
        ("EXISTS none", ":0\r\n"),
        ("INCREX k LBOUND 2 UBOUND 1", "-ERR LBOUND can't be greater than UBOUND\r\n"),
        ("INCREX k BYINT x", "-ERR Increment is not an integer or out of range\r\n"),
        ("INCREX k ENX", "-ERR ENX flag requires an expiration\r\n"),
        ("INCREX k BYINT 1 BYFLOAT 1", "-ERR syntax error\r\n"),
        ("INCREX k EX 100 ENX", "*2\r\n:6\r\n:1\r\n"),
        ("INCREX k EX 900 ENX", "*2\r\n:7\r\n:1\r\n"),
        ("TTL k", ":100\r\n"),
        ("INCREX k PERSIST", "*2\r\n:8\r\n:1\r\n"),
        ("TTL k", ":-1\r\n"),
        ("INCREX k BYFLOAT 0.5", "*2\r\n$3\r\n8.5\r\n$3\r\n0.5\r\n"),
        ("INCREX k BYFLOAT 5 UBOUND 10.25 SATURATE", "*2\r\n$5\r\n10.25\r\n$4\r\n1.75\r\n"),
        ("INCREX k BYFLOAT -50 LBOUND 0", "*2\r\n$5\r\n10.25\r\n$1\r\n0\r\n"),
        ("INCREX k BYFLOAT inf", "-ERR BYFLOAT increment cannot be Infinity\r\n"),
        ("SET max 9223372036854775800", "+OK\r\n"),
        ("INCREX max BYINT 100", "*2\r\n:9223372036854775800\r\n:0\r\n"),
        ("INCREX max BYINT 100 SATURATE", "*2\r\n:9223372036854775807\r\n:7\r\n"),
        ("INCREX max BYINT 1 SATURATE UBOUND -9223372036854775808", "-ERR applied increment would overflow\r\n"),
        ("INCREX max EXAT 1", "*2\r\n:9223372036854775807\r\n:0\r\n"),
        ("INCREX max BYINT -1 EXAT 1", "*2\r\n:9223372036854775806\r\n:-1\r\n"),
        ("EXISTS max", ":0\r\n"),
    ]);
}

#[test]
fn increx_answers_doubles_in_resp3() {
    let mut t = Tester::new(1);
    t.protocol = Protocol::Resp3;
    assert_eq!(t.run("INCREX k BYFLOAT 1.5"), "*2\r\n,1.5\r\n,1.5\r\n");
}

#[test]
fn strings_are_edited_in_part() {
    check(&[
        ("APPEND k abc", ":3\r\n"),
        ("APPEND k def", ":6\r\n"),
        ("STRLEN k", ":6\r\n"),
        ("SETRANGE k 1 XY", ":6\r\n"),
        ("GET k", "$6\r\naXYdef\r\n"),
        ("SETRANGE k 8 z", ":9\r\n"),
        ("GETRANGE k -4 -1", "$4\r\nf\0\0z\r\n"),
        ("SUBSTR k 0 2", "$3\r\naXY\r\n"),
        ("GETRANGE k -1 -3", "$0\r\n\r\n"),
        ("GETRANGE k 0 -100", "$1\r\na\r\n"),
        ("GETRANGE none 0 -1", "$0\r\n\r\n"),
        ("SETRANGE none 5 ", ":0\r\n"),
        ("EXISTS none", ":0\r\n"),
        ("SETRANGE k -1 x", "-ERR offset is out of range\r\n"),
        ("SETRANGE k 536870911 xx", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"),
        ("STRLEN none", ":0\r\n"),
        ("SET n 12", "+OK\r\n"),
        ("OBJECT ENCODING n", "$3\r\nint\r\n"),
        ("APPEND n 3", ":3\r\n"),
        ("OBJECT ENCODING n", "$3\r\nraw\r\n"),
        ("INCR n", ":124\r\n"),
        ("OBJECT ENCODING n", "$3\r\nint\r\n"),
    ]);
}

#[test]
fn a_string_that_grows_far_keeps_its_old_bytes() {
    let mut bytes = b"abc".to_vec();
    crate::families::string_range::grow(&mut bytes, 1_000_000);
    assert_eq!((&bytes[..5], bytes.len()), (b"abc\0\0".as_slice(), 1_000_000));
    crate::families::string_range::grow(&mut bytes, 10);
    assert_eq!(bytes.len(), 1_000_000);
}

#[test]
fn several_keys_are_set_together_or_not_at_all() {
    check(&[
        ("MSETNX a 1 b 2", ":1\r\n"),
        ("MSETNX b 3 c 4", ":0\r\n"),
        ("MGET a b c", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n"),
        ("MSETNX a", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
        ("MSETEX 2 a x b y EX 100", ":1\r\n"),
        ("MSETEX 2 a x c y NX", ":0\r\n"),
        ("MSETEX 2 a x c y XX", ":0\r\n"),
        ("MSETEX 2 a 5 b 6 XX KEEPTTL", ":1\r\n"),
        ("TTL b", ":100\r\n"),
        ("MSETEX x a 1", "-ERR invalid numkeys value\r\n"),
        ("MSETEX 2147483648 a 1", "-ERR invalid numkeys value\r\n"),
        ("MSETEX 2147483647 a 1", "-ERR wrong number of key-value pairs\r\n"),
        ("MSETEX 1 a 1 NX XX", "-ERR syntax error\r\n"),
        ("MSETEX 1 a 1 EX 1 KEEPTTL", "-ERR syntax error\r\n"),
    ]);
}

#[test]
fn lcs_tells_length_text_or_places() {
    check(&[
        ("MSET a ohmytext b mynewtext", "+OK\r\n"),
        ("LCS a b", "$6\r\nmytext\r\n"),
        ("LCS a b LEN", ":6\r\n"),
        ("LCS a none", "$0\r\n\r\n"),
        (
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n",
        ),
        ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("LCS a z", "-ERR The specified keys must contain string values\r\n"),
    ]);
}

#[test]
fn lcs_refuses_what_would_take_too_much_memory() {
    let mut t = Tester::new(1);
    t.world.settings.proto_max_bulk_len.set(1_000_000);
    t.run(&format!("SET a {}", "x".repeat(500)));
    t.run(&format!("SET b {}", "y".repeat(500)));
    assert_eq!(
        t.run("LCS a b LEN"),
        "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n"
    );
}
