//! PFADD, PFCOUNT, PFMERGE and PFDEBUG, on one shard and on several.

use crate::testing::Tester;

const NOT_ONE: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n";

fn check(lines: &[(&str, &str)]) {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for (line, expected) in lines {
            assert_eq!(t.run(line), *expected, "{line} over {shards} shards");
        }
    }
}

#[test]
fn different_elements_are_counted_once() {
    check(&[
        ("PFADD h", ":1\r\n"),
        ("PFADD h", ":0\r\n"),
        ("PFCOUNT h", ":0\r\n"),
        ("PFADD h a b c", ":1\r\n"),
        ("PFADD h c b a", ":0\r\n"),
        ("PFCOUNT h", ":3\r\n"),
        ("PFCOUNT none", ":0\r\n"),
        ("PFADD i c d", ":1\r\n"),
        ("PFCOUNT h none i", ":4\r\n"),
        ("OBJECT ENCODING h", "$3\r\nraw\r\n"),
    ]);
}

#[test]
fn merging_keeps_the_expiry_and_takes_every_element() {
    check(&[
        ("PFADD a 1 2 3", ":1\r\n"),
        ("PFADD b 3 4", ":1\r\n"),
        ("PFMERGE to a b none", "+OK\r\n"),
        ("PFCOUNT to", ":4\r\n"),
        ("EXPIRE to 100", ":1\r\n"),
        ("PFADD c 5", ":1\r\n"),
        ("PFDEBUG TODENSE c", ":1\r\n"),
        ("PFMERGE to c", "+OK\r\n"),
        ("PFCOUNT to", ":5\r\n"),
        ("PFDEBUG ENCODING to", "+dense\r\n"),
        ("TTL to", ":100\r\n"),
        ("PFMERGE new", "+OK\r\n"),
        ("PFCOUNT new", ":0\r\n"),
    ]);
}

#[test]
fn what_is_no_hyperloglog_is_refused() {
    check(&[
        ("SET s HYLL", "+OK\r\n"),
        ("PFADD s a", NOT_ONE),
        ("PFCOUNT s", NOT_ONE),
        ("PFADD h a", ":1\r\n"),
        ("PFCOUNT h s", NOT_ONE),
        ("PFMERGE h s", NOT_ONE),
        ("PFMERGE s h", NOT_ONE),
        ("ZADD z 1 m", ":1\r\n"),
        ("PFADD z a", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("PFDEBUG ENCODING none", "-ERR The specified key does not exist\r\n"),
        ("PFDEBUG NONSENSE h", "-ERR Unknown PFDEBUG subcommand 'NONSENSE'\r\n"),
    ]);
}

#[test]
fn registers_that_are_missing_make_a_corrupt_object() {
    let mut t = Tester::new(1);
    t.run_args(&[b"SET", b"h", b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x00"]);
    for line in ["PFCOUNT h", "PFADD h a", "PFMERGE to h", "PFDEBUG GETREG h", "PFCOUNT h h"] {
        assert_eq!(t.run(line), "-INVALIDOBJ Corrupted HLL object detected\r\n", "{line}");
    }
    assert_eq!(t.run("EXISTS to"), ":0\r\n");
}

#[test]
fn half_a_run_at_the_end_makes_a_corrupt_object() {
    let mut t = Tester::new(1);
    t.run_args(&[b"SET", b"h", b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff\x40"]);
    for line in ["PFCOUNT h", "PFCOUNT h h", "PFMERGE to h"] {
        assert_eq!(t.run(line), "-INVALIDOBJ Corrupted HLL object detected\r\n", "{line}");
    }
}

#[test]
fn what_is_added_before_an_object_is_found_corrupt_is_told() {
    let mut t = Tester::new(1);
    t.world.settings.notify_keyspace_events.set(-1);
    let mut added = 0;
    for element in ["b", "c", "d", "e", "f", "g"] {
        // The first half of the registers, in which is not that of "a".
        t.run_args(&[b"SET", b"h", b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x5f\xff"]);
        t.events();
        assert_eq!(t.run(&format!("PFADD h {element} a")), "-INVALIDOBJ Corrupted HLL object detected\r\n");
        let has_changed = t.run("STRLEN h") != ":18\r\n";
        assert_eq!(t.events(), if has_changed { vec!["pfadd h"] } else { vec![] }, "{element}");
        added += u32::from(has_changed);
    }
    assert_eq!(added, 2);
}

#[test]
fn the_debug_commands_show_the_inside() {
    check(&[
        ("PFADD h a b c d e f g", ":1\r\n"),
        (
            "PFDEBUG DECODE h",
            "$93\r\nZ:1646 v:1,1 Z:5645 v:1,1 Z:1085 v:2,1 z:57 v:1,1 Z:4274 v:2,1 Z:2445 v:1,1 Z:622 v:1,1 Z:603\r\n",
        ),
        ("PFDEBUG ENCODING h", "+sparse\r\n"),
        ("PFDEBUG TODENSE h", ":1\r\n"),
        ("PFDEBUG TODENSE h", ":0\r\n"),
        ("PFDEBUG DECODE h", "-ERR HLL encoding is not sparse\r\n"),
        ("STRLEN h", ":12304\r\n"),
        ("PFCOUNT h", ":7\r\n"),
        ("PFSELFTEST", "+OK\r\n"),
    ]);
}
