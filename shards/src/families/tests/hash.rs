//! Hash commands on fields, as a listpack and as a table, over one and several shards.

use super::super::list::tests::{watch_events, WRONG_TYPE};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

/// Runs a test over shards and encodings: a hash of more than one field is a table the second time.
pub(in super::super) fn everywhere(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        for entries in [512, 1] {
            let mut tester = Tester::new(shards);
            tester.world.settings.hash_max_listpack_entries.set(entries);
            test(&mut tester);
        }
    }
}

#[test]
fn hset_counts_new_fields_only() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2 a 3", ":2"),
            ("HSET h a 4", ":0"),
            ("HMSET h c 5 d 6", "+OK"),
            ("HMGET h a b c d e", "*5|$1|4|$1|2|$1|5|$1|6|$-1"),
            ("HLEN h", ":4"),
            ("HSETNX h a 9", ":0"),
            ("HSETNX h e 9", ":1"),
            ("HSETNX new e 9", ":1"),
            ("HGET h e", "$1|9"),
            ("HGET h a", "$1|4"),
            ("HGET h none", "$-1"),
            ("HGET none a", "$-1"),
            ("HMGET none a b", "*2|$-1|$-1"),
            ("HSTRLEN h none", ":0"),
            ("HSET h long 1234567890", ":1"),
            ("HSTRLEN h long", ":10"),
            ("HEXISTS h long", ":1"),
            ("HEXISTS h none", ":0"),
            ("HEXISTS none long", ":0"),
            ("HLEN none", ":0"),
            ("HSTRLEN none a", ":0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("HGET h none", "_"), ("HMGET h a none", "*2|$1|4|_")]);
    });
}

#[test]
fn pairs_must_be_complete_whatever_the_key_holds() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("HSET s a", "-ERR wrong number of arguments for 'hset' command"),
            ("HSET s a 1 b", "-ERR wrong number of arguments for 'hset' command"),
            ("HMSET s a 1 b", "-ERR wrong number of arguments for 'hmset' command"),
        ]);
    });
}

#[test]
fn a_key_of_another_type_is_refused() {
    everywhere(|t| {
        t.run("SET s v");
        for line in [
            "HSET s a 1",
            "HMSET s a 1",
            "HSETNX s a 1",
            "HGET s a",
            "HMGET s a",
            "HDEL s a",
            "HLEN s",
            "HSTRLEN s a",
            "HEXISTS s a",
            "HINCRBY s a 1",
            "HINCRBYFLOAT s a 1",
            "HGETDEL s FIELDS 1 a",
            "HGETDEL s WHAT 1 a",
        ] {
            t.expect(&[(line, WRONG_TYPE)]);
        }
    });
}

#[test]
fn the_hash_goes_with_its_last_field() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2 c 3", ":3"),
            ("HDEL h none", ":0"),
            ("HDEL h a none a", ":1"),
            ("HDEL h b c d", ":2"),
            ("HDEL h a", ":0"),
            ("HLEN h", ":0"),
            ("SETNX h string", ":1"),
        ]);
    });
}

#[test]
fn hgetdel_returns_what_it_removes() {
    everywhere(|t| {
        t.expect(&[
            ("HSET h a 1 b 2 c 3", ":3"),
            ("HGETDEL h FIELDS 3 a none a", "*3|$1|1|$-1|$-1"),
            ("HGETDEL h fields 1 b", "*1|$1|2"),
            ("HGETDEL none FIELDS 2 a b", "*2|$-1|$-1"),
            ("HGETDEL h FIELDS 1 c", "*1|$1|3"),
            ("HLEN h", ":0"),
            ("HGETDEL h FIELDS 1", "-ERR wrong number of arguments for 'hgetdel' command"),
            ("HGETDEL h FIELDS 1 a b", "-ERR The `numfields` parameter must match the number of arguments"),
            ("HGETDEL h FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments"),
            ("HGETDEL h FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
            ("HGETDEL h FIELDS -1 a", "-ERR Number of fields must be a positive integer"),
            ("HGETDEL h FIELDS x a", "-ERR Number of fields must be a positive integer"),
            ("HGETDEL h WHAT 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
        ]);
    });
}

#[test]
fn hincrby_adds_within_64_bits() {
    everywhere(|t| {
        t.expect(&[
            ("HINCRBY h a 5", ":5"),
            ("HINCRBY h a -7", ":-2"),
            ("HINCRBY h a 9223372036854775807", ":9223372036854775805"),
            ("HINCRBY h a 3", "-ERR increment or decrement would overflow"),
            ("HINCRBY h b -9223372036854775808", ":-9223372036854775808"),
            ("HINCRBY h b -1", "-ERR increment or decrement would overflow"),
            ("HSET h t text f 1.5", ":2"),
            ("HINCRBY h t 1", "-ERR hash value is not an integer"),
            ("HINCRBY h f 1", "-ERR hash value is not an integer"),
            ("HINCRBY none a x", NOT_INTEGER),
            ("HLEN none", ":0"),
        ]);
    });
}

#[test]
fn hincrbyfloat_adds_in_extended_precision() {
    everywhere(|t| {
        t.expect(&[
            ("HINCRBYFLOAT h a 10.5", "$4|10.5"),
            ("HINCRBYFLOAT h a 0.1", "$4|10.6"),
            ("HINCRBYFLOAT h a 5.0e3", "$22|5010.60000000000000009"),
            ("HINCRBYFLOAT h a -10.6", "$4|5000"),
            ("HINCRBY h a 1", ":5001"),
            ("HSET h t text i inf n nan e 1e2", ":4"),
            ("HINCRBYFLOAT h e 1", "$3|101"),
            ("HINCRBYFLOAT h t 1", "-ERR hash value is not a float"),
            ("HINCRBYFLOAT h n 1", "-ERR hash value is not a float"),
            ("HINCRBYFLOAT h i 1", "-ERR increment would produce NaN or Infinity"),
            ("HINCRBYFLOAT none a inf", "-ERR value is NaN or Infinity"),
            ("HINCRBYFLOAT none a nan", "-ERR value is not a valid float"),
            ("HINCRBYFLOAT none a x", "-ERR value is not a valid float"),
            ("HLEN none", ":0"),
        ]);
    });
}

#[test]
fn a_hash_becomes_a_table_above_either_threshold() {
    let mut t = Tester::new(1);
    t.world.settings.hash_max_listpack_entries.set(2);
    t.world.settings.hash_max_listpack_value.set(4);
    t.expect(&[
        ("HSET h a 1 b 2222", ":2"),
        ("OBJECT ENCODING h", "$8|listpack"),
        ("HSET h a 3", ":0"),
        ("OBJECT ENCODING h", "$8|listpack"),
        ("HSET h c 3", ":1"),
        ("OBJECT ENCODING h", "$9|hashtable"),
        ("HSET v a 22222", ":1"),
        ("OBJECT ENCODING v", "$9|hashtable"),
        ("HSET f field 1", ":1"),
        ("OBJECT ENCODING f", "$9|hashtable"),
        ("HDEL h a b", ":2"),
        ("OBJECT ENCODING h", "$9|hashtable"),
    ]);
}

#[test]
fn events_name_what_was_done() {
    let mut t = Tester::new(1);
    watch_events(&mut t);
    for (line, events) in [
        ("HSET h a 1", &["new h", "hset h"] as &[&str]),
        ("HSET h a 1", &["hset h"]),
        ("HMSET h b 1", &["hset h"]),
        ("HSETNX h a 2", &[]),
        ("HSETNX h c 2", &["hset h"]),
        ("HINCRBY h a 1", &["hincrby h"]),
        ("HINCRBYFLOAT h a 1", &["hincrbyfloat h"]),
        ("HDEL h none", &[]),
        ("HGETDEL h FIELDS 1 none", &[]),
        ("HGETDEL h FIELDS 1 a", &["hdel h"]),
        ("HDEL h b c", &["hdel h", "del h"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
