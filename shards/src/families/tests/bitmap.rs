//! The bit commands, on one shard and on several.

use crate::testing::Tester;

const OFFSET: &str = "-ERR bit offset is not an integer or out of range\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

fn check(lines: &[(&str, &str)]) {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for (line, expected) in lines {
            assert_eq!(t.run(line), *expected, "{line} over {shards} shards");
        }
    }
}

#[test]
fn single_bits_are_set_and_read() {
    check(&[
        ("SETBIT k 1 1", ":0\r\n"),
        ("SETBIT k 1 1", ":1\r\n"),
        ("GET k", "$1\r\n@\r\n"),
        ("GETBIT k 1", ":1\r\n"),
        ("GETBIT k 100", ":0\r\n"),
        ("SETBIT k 100 0", ":0\r\n"),
        ("STRLEN k", ":13\r\n"),
        ("SETBIT k -1 1", OFFSET),
        ("SETBIT k 4294967296 1", OFFSET),
        ("SETBIT k 1 2", "-ERR bit is not an integer or out of range\r\n"),
        ("SET n 1", "+OK\r\n"),
        ("SETBIT n 6 1", ":0\r\n"),
        ("GET n", "$1\r\n3\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("SETBIT z 1 1", WRONG_TYPE),
        ("GETBIT z 1", WRONG_TYPE),
    ]);
}

#[test]
fn bits_are_counted_by_bytes_or_bits() {
    check(&[
        ("SET k foobar", "+OK\r\n"),
        ("BITCOUNT k", ":26\r\n"),
        ("BITCOUNT k 1 1", ":6\r\n"),
        ("BITCOUNT k 5 30 BIT", ":17\r\n"),
        ("BITCOUNT k -8 -1 BIT", ":4\r\n"),
        ("BITCOUNT k -6 -7", ":0\r\n"),
        ("BITCOUNT k 0", ":26\r\n"),
        ("BITCOUNT k 0 1 WORD", "-ERR syntax error\r\n"),
        ("BITCOUNT k a b", "-ERR value is not an integer or out of range\r\n"),
        ("BITCOUNT none", ":0\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("BITCOUNT z", WRONG_TYPE),
    ]);
}

#[test]
fn the_first_bit_is_found_also_behind_the_end() {
    let mut t = Tester::new(1);
    t.run_args(&[b"SET", b"k", b"\xff\xf0\x00"]);
    t.run_args(&[b"SET", b"ones", b"\xff\xff\xff"]);
    for (line, expected) in [
        ("BITPOS k 0", ":12\r\n"),
        ("BITPOS k 1 2", ":-1\r\n"),
        ("BITPOS k 0 7 15 BIT", ":12\r\n"),
        ("BITPOS k 1 7 15 BIT", ":7\r\n"),
        ("BITPOS ones 0", ":24\r\n"),
        ("BITPOS ones 0 0 -1", ":-1\r\n"),
        ("BITPOS ones 0 3", ":-1\r\n"),
        ("BITPOS none 0", ":0\r\n"),
        ("BITPOS none 1", ":-1\r\n"),
        ("BITPOS k 2", "-ERR The bit argument must be 1 or 0.\r\n"),
    ] {
        assert_eq!(t.run(line), expected, "{line}");
    }
}

#[test]
fn strings_are_combined_over_shards() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run_args(&[b"SET", b"x", b"\xf0\x0f\xaa"]);
        t.run_args(&[b"SET", b"y", b"\xff\x00"]);
        for (operation, sources, expected) in [
            ("AND", "x y", b"\xf0\x00\x00".as_slice()),
            ("OR", "x y", b"\xff\x0f\xaa"),
            ("XOR", "x y", b"\x0f\x0f\xaa"),
            ("NOT", "x", b"\x0f\xf0\x55"),
            ("DIFF", "x y", b"\x00\x0f\xaa"),
            ("DIFF1", "x y", b"\x0f\x00\x00"),
            ("ANDOR", "x y", b"\xf0\x00\x00"),
            ("ONE", "x y x", b"\x0f\x00\x00"),
            ("or", "none x", b"\xf0\x0f\xaa"),
            ("DIFF", "none x", b"\x00\x00\x00"),
        ] {
            assert_eq!(t.run(&format!("BITOP {operation} to {sources}")), ":3\r\n", "{operation}");
            let expected = [b"$3\r\n", expected, b"\r\n"].concat();
            assert_eq!(t.run_args(&[b"GET", b"to"]), expected, "{operation} {sources} over {shards} shards");
        }
        assert_eq!(t.run("BITOP OR to none"), ":0\r\n");
        assert_eq!(t.run("EXISTS to"), ":0\r\n");
        assert_eq!(t.run("BITOP NOT to x y"), "-ERR BITOP NOT must be called with a single source key.\r\n");
        assert!(t.run("BITOP DIFF to x").starts_with("-ERR BITOP DIFF must be called with"));
        assert_eq!(t.run("BITOP NAND to x y"), "-ERR syntax error\r\n");
        t.run("ZADD z 1 m");
        assert_eq!(t.run("BITOP OR to x z"), WRONG_TYPE);
    }
}

#[test]
fn a_combination_is_the_same_whatever_it_replaces() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run("SETBIT x 70000 1");
        t.run("SETBIT y 69990 1");
        t.run("SETBIT long 90000 1");
        t.run("BITOP OR fresh x y");
        for before in ["SET to 1", "BITOP NOT to x", "BITOP NOT to y", "BITOP NOT to long", "ZADD to 1 m", "SETBIT to 0 1"] {
            t.run("DEL to");
            t.run(before);
            t.run("PEXPIRE to 100000");
            assert_eq!(t.run("BITOP OR to x y"), ":8751\r\n", "{before}");
            assert_eq!(t.run("GET to"), t.run("GET fresh"), "{before}");
            assert_eq!(t.run("TTL to"), ":-1\r\n", "{before}");
        }
        assert_eq!(t.run("BITOP NOT to to"), ":8751\r\n");
        assert_eq!(t.run("BITCOUNT to"), ":70006\r\n", "a source may be the target");
        assert_eq!(t.run("BITOP XOR to none x"), ":8751\r\n");
        assert_eq!(t.run("BITCOUNT to"), ":1\r\n");
        assert_eq!(t.run("BITCOUNT x"), ":1\r\n", "a source keeps its own");
    }
}

#[test]
fn fields_are_read_written_and_counted_up() {
    check(&[
        ("BITFIELD k GET u8 0", "*1\r\n:0\r\n"),
        ("EXISTS k", ":0\r\n"),
        ("BITFIELD k SET u8 0 255 SET u8 #1 -1 GET i8 0", "*3\r\n:0\r\n:0\r\n:-1\r\n"),
        ("BITFIELD k INCRBY u8 0 1 OVERFLOW SAT INCRBY u8 0 300", "*2\r\n:0\r\n:255\r\n"),
        ("BITFIELD k OVERFLOW FAIL INCRBY u8 0 1 GET u8 0", "*2\r\n$-1\r\n:255\r\n"),
        ("BITFIELD_RO k GET u4 4", "*1\r\n:15\r\n"),
        ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\r\n"),
        ("BITFIELD k GET u8 -1", OFFSET),
        ("BITFIELD k GET u8 #536870912", OFFSET),
        ("BITFIELD k GET u8 #9223372036854775807", OFFSET),
        ("BITFIELD k OVERFLOW FOO", "-ERR Invalid OVERFLOW type specified\r\n"),
        ("BITFIELD k GET u8", "-ERR syntax error\r\n"),
        (
            "BITFIELD k SET u8 0 1 GET u64 0",
            "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\r\n",
        ),
        ("BITFIELD k GET u8 0", "*1\r\n:255\r\n"),
        ("BITFIELD none OVERFLOW FAIL INCRBY u2 100 5", "*1\r\n$-1\r\n"),
        ("STRLEN none", ":13\r\n"),
        ("ZADD z 1 m", ":1\r\n"),
        ("BITFIELD z SET u8 0 1", WRONG_TYPE),
    ]);
}
