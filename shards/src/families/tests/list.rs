//! Lists at their ends, as a listpack and as a quicklist, over one and several shards.

use crate::keyspace::events::class;
use crate::testing::Tester;
use crate::handler::reply::Protocol;

pub(in super::super) const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const NOT_POSITIVE: &str = "-ERR value is out of range, must be positive";

/// Runs a test over shards and encodings: a list of more than two elements is a quicklist the second time.
pub(in super::super) fn everywhere(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        for node_size in [-2, 2] {
            let mut tester = Tester::new(shards);
            tester.world.settings.list_max_listpack_size.set(node_size);
            test(&mut tester);
        }
    }
}

/// Switches all events on but those of misses.
pub(in super::super) fn watch_events(t: &mut Tester) {
    t.world.settings.notify_keyspace_events.set(i64::from(!class::KEY_MISS));
}

#[test]
fn pushing_at_either_end_gives_the_new_length() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l c", ":1"),
            ("LPUSH l b a", ":3"),
            ("RPUSH l d 5 -6", ":6"),
            ("LRANGE l 0 -1", "*6|$1|a|$1|b|$1|c|$1|d|$1|5|$2|-6"),
            ("LPUSHX l 0", ":7"),
            ("RPUSHX l x y", ":9"),
            ("LPUSHX none 0", ":0"),
            ("RPUSHX none 0", ":0"),
            ("LLEN none", ":0"),
            ("LLEN l", ":9"),
        ]);
    });
}

#[test]
fn a_key_of_another_type_is_refused_and_left_alone() {
    everywhere(|t| {
        t.run("SET s v");
        for line in [
            "LPUSH s a",
            "RPUSH s a",
            "LPUSHX s a",
            "RPUSHX s a",
            "LPOP s",
            "RPOP s 2",
            "LLEN s",
            "LINDEX s x",
            "LRANGE s 0 1",
            "LTRIM s 0 1",
        ] {
            t.expect(&[(line, WRONG_TYPE)]);
        }
        t.expect(&[("GET s", "$1|v")]);
    });
}

#[test]
fn popping_takes_from_the_end_and_the_key_goes_with_the_last_element() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c d e f", ":6"),
            ("LPOP l", "$1|a"),
            ("RPOP l", "$1|f"),
            ("LPOP l 0", "*0"),
            ("LPOP l 2", "*2|$1|b|$1|c"),
            ("RPOP l 9", "*2|$1|e|$1|d"),
            ("LLEN l", ":0"),
            ("LPOP l", "$-1"),
            ("LPOP l 1", "*-1"),
            ("LPOP l 0", "*-1"),
            ("RPUSH l only", ":1"),
            ("RPOP l", "$4|only"),
            ("LPUSHX l x", ":0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("LPOP l", "_"), ("RPOP l 3", "_")]);
    });
}

#[test]
fn a_count_is_checked_before_the_key() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("LPOP s -1", NOT_POSITIVE),
            ("LPOP s x", NOT_POSITIVE),
            ("RPOP none 99999999999999999999", NOT_POSITIVE),
            ("LPOP none 1 2", "-ERR wrong number of arguments for 'lpop' command"),
            ("RPOP none 1 2", "-ERR wrong number of arguments for 'rpop' command"),
        ]);
    });
}

#[test]
fn indices_count_from_either_end() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c d", ":4"),
            ("LINDEX l 0", "$1|a"),
            ("LINDEX l -1", "$1|d"),
            ("LINDEX l 4", "$-1"),
            ("LINDEX l -5", "$-1"),
            ("LINDEX l -9223372036854775808", "$-1"),
            ("LINDEX l x", NOT_INTEGER),
            ("LINDEX none x", "$-1"),
            ("LRANGE l 1 2", "*2|$1|b|$1|c"),
            ("LRANGE l -2 -1", "*2|$1|c|$1|d"),
            ("LRANGE l -9223372036854775808 9223372036854775807", "*4|$1|a|$1|b|$1|c|$1|d"),
            ("LRANGE l 2 1", "*0"),
            ("LRANGE l 9 10", "*0"),
            ("LRANGE none 0 -1", "*0"),
            ("LRANGE none a b", NOT_INTEGER),
        ]);
    });
}

#[test]
fn trimming_keeps_a_range_or_removes_the_key() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c d e", ":5"),
            ("LTRIM l 1 -2", "+OK"),
            ("LRANGE l 0 -1", "*3|$1|b|$1|c|$1|d"),
            ("LTRIM l 0 100", "+OK"),
            ("LLEN l", ":3"),
            ("LTRIM l 5 1", "+OK"),
            ("LLEN l", ":0"),
            ("LPUSHX l x", ":0"),
            ("LTRIM none 0 1", "+OK"),
            ("LTRIM none a 1", NOT_INTEGER),
        ]);
    });
}

#[test]
fn events_follow_the_changes_in_order() {
    let mut t = Tester::new(1);
    watch_events(&mut t);
    for (line, events) in [
        ("RPUSH l a b c d", &["new l", "rpush l"] as &[&str]),
        ("LPUSHX l z", &["lpush l"]),
        ("LPUSHX none z", &[]),
        ("LPOP l 0", &[]),
        ("LPOP l", &["lpop l"]),
        ("RPOP l 2", &["rpop l"]),
        ("LTRIM l 0 -1", &["ltrim l"]),
        ("LTRIM l 5 1", &["ltrim l", "del l"]),
        ("LTRIM l 5 1", &[]),
        ("RPUSH l a", &["new l", "rpush l"]),
        ("RPOP l", &["rpop l", "del l"]),
        ("RPOP l", &[]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}

#[test]
fn elements_of_any_size_and_content_come_back_as_they_were() {
    everywhere(|t| {
        let elements: Vec<Vec<u8>> =
            [0, 1, 63, 64, 4095, 4096, 9000, 70_000].iter().map(|&length| vec![b'\r'; length]).collect();
        for element in &elements {
            t.run_args(&[b"RPUSH", b"l", element]);
        }
        for element in &elements {
            let mut expected = format!("${}\r\n", element.len()).into_bytes();
            expected.extend_from_slice(element);
            expected.extend_from_slice(b"\r\n");
            assert_eq!(t.run_args(&[b"LPOP", b"l"]), expected);
        }
    });
}
