//! The DEBUG commands that tests of clients use.

use crate::testing::Tester;
use crate::handler::reply::Protocol;

fn tester(shards: usize) -> Tester {
    let t = Tester::new(shards);
    t.world.settings.set("enable-debug-command", 1);
    t
}

#[test]
fn debug_is_refused_unless_it_is_allowed() {
    let mut t = Tester::new(1);
    assert!(t.run("DEBUG SLEEP 0").starts_with("-ERR DEBUG command not allowed."));
    t.world.settings.set("enable-debug-command", 2);
    assert_eq!(t.run("DEBUG SLEEP 0"), "+OK\r\n", "a client without a record is inside the server");
}

#[test]
fn populate_makes_the_keys_that_are_missing() {
    for shards in [1, 4] {
        let mut t = tester(shards);
        t.run("SET key:1 mine");
        assert_eq!(t.run("DEBUG POPULATE 30"), "+OK\r\n");
        assert_eq!(t.run("DBSIZE"), ":30\r\n");
        assert_eq!(t.run("GET key:1"), "$4\r\nmine\r\n");
        assert_eq!(t.run("GET key:29"), "$8\r\nvalue:29\r\n");
        t.run("DEBUG POPULATE 1 p 10");
        assert_eq!(t.run("GET p:0"), "$10\r\nvalue:0\0\0\0\r\n");
    }
}

#[test]
fn object_tells_how_a_value_is_stored() {
    let mut t = tester(4);
    t.run("SET k 1");
    let reply = t.run("DEBUG OBJECT k");
    assert!(reply.contains("refcount:1 encoding:int serializedlength:2 lru:"), "{reply}");
    assert_eq!(t.run("DEBUG OBJECT none"), "-ERR no such key\r\n");
}

#[test]
fn protocol_shows_every_type_of_reply() {
    let mut t = tester(1);
    assert_eq!(t.run("DEBUG PROTOCOL map"), "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n");
    assert_eq!(t.run("DEBUG PROTOCOL push"), "-ERR RESP2 is not supported by this command\r\n");
    t.protocol = Protocol::Resp3;
    assert_eq!(t.run("DEBUG PROTOCOL map"), "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n");
    assert_eq!(t.run("DEBUG PROTOCOL double"), ",3.141\r\n");
    assert!(t.run("DEBUG PROTOCOL attrib").starts_with("|1\r\n"));
    assert!(t.run("DEBUG PROTOCOL nonsense").starts_with("-ERR Wrong protocol type name."));
}

#[test]
fn errors_and_unknown_subcommands_are_errors() {
    let mut t = tester(1);
    assert_eq!(t.run("DEBUG ERROR foo"), "-foo\r\n");
    assert_eq!(
        t.run("DEBUG NONSENSE"),
        "-ERR unknown subcommand or wrong number of arguments for 'NONSENSE'. Try DEBUG HELP.\r\n"
    );
    assert_eq!(t.run("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
    assert!(!t.world.settings.active_expire_enabled.on());
}

/// A value of every type and encoding, with expiries and groups.
const VALUES: &[&str] = &[
    "SET int 12345",
    "SET text hello",
    "SET dying v PX 100000",
    "RPUSH list a 1 -7 b",
    "SADD ints 3 1 2",
    "SADD words x y z",
    "ZADD zset 1.5 a -inf b 1e300 c",
    "HSET hash f v g 2",
    "HSET timed f v g w",
    "HPEXPIRE timed 50000 FIELDS 1 f",
    "SADD fading x y",
    "SPEXPIRE fading 50000 MEMBERS 1 x",
    "PFADD hll a b c",
    "XADD stream 1-1 f v g w",
    "XADD stream 2-5 f x",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me COUNT 1 STREAMS stream >",
];

fn fill(t: &mut Tester) {
    for line in VALUES {
        assert!(!t.run(line).starts_with('-'), "{line}");
    }
    t.db = 3;
    t.run("SET elsewhere 1 EX 500");
    t.db = 0;
    for number in 0..1000 {
        t.run(&format!("RPUSH long {number}"));
        t.run(&format!("SADD many m{number}"));
        t.run(&format!("ZADD ranks {number} m{number}"));
        t.run(&format!("HSET pairs f{number} {number}"));
    }
}

#[test]
fn a_reload_keeps_everything() {
    for shards in [1, 4] {
        let mut t = tester(shards);
        fill(&mut t);
        let digest = t.run("DEBUG DIGEST");
        let asked = ["PTTL dying", "HPTTL timed FIELDS 2 f g", "XPENDING stream group", "XINFO STREAM stream", "DBSIZE"];
        let encodings = ["int", "text", "list", "ints", "words", "many", "zset", "ranks", "hash", "pairs", "timed"];
        let ask = |t: &mut Tester| -> Vec<String> {
            let encodings = encodings.map(|key| t.run(&format!("OBJECT ENCODING {key}")));
            asked.iter().map(|line| t.run(line)).chain(encodings).collect()
        };
        let without_ttl = |answers: Vec<String>| answers[2..].to_vec();
        let before = without_ttl(ask(&mut t));
        t.expect(&[("DEBUG RELOAD", "+OK"), ("DEBUG RELOAD MERGE NOFLUSH", "+OK")]);
        assert_eq!(t.run("DEBUG DIGEST"), digest);
        assert_eq!(without_ttl(ask(&mut t)), before);
        t.world.advance_clock(60_000);
        t.expect(&[("HGET timed f", "$-1"), ("HGET timed g", "$1|w"), ("SMEMBERS fading", "*1|$1|y"), ("GET dying", "$1|v")]);
        t.world.advance_clock(60_000);
        t.expect(&[("DEBUG RELOAD", "+OK"), ("EXISTS dying", ":0"), ("GET int", "$5|12345")]);
    }
}

#[test]
fn a_reload_that_would_need_a_file_is_refused() {
    let mut t = tester(1);
    t.expect(&[("DEBUG RELOAD NOSAVE", "-ERR DEBUG RELOAD only supports the MERGE and NOFLUSH options.")]);
}

#[test]
fn digests_depend_on_the_data_alone() {
    let (mut one, mut four) = (tester(1), tester(4));
    let nothing = "0".repeat(40);
    one.expect(&[("DEBUG DIGEST", &format!("+{nothing}")), ("DEBUG DIGEST-VALUE a", &format!("*1|+{nothing}"))]);
    for t in [&mut one, &mut four] {
        t.run("SADD words x y z");
        t.run("HSET hash f v g 2");
    }
    assert_eq!(one.run("DEBUG DIGEST"), four.run("DEBUG DIGEST"));
    four.run("HSET hash f w");
    assert_ne!(one.run("DEBUG DIGEST"), four.run("DEBUG DIGEST"));
    four.run("HSET hash f v");
    assert_eq!(one.run("DEBUG DIGEST-VALUE hash words"), four.run("DEBUG DIGEST-VALUE hash words"));
    one.run("EXPIRE words 100");
    assert_ne!(one.run("DEBUG DIGEST-VALUE words"), four.run("DEBUG DIGEST-VALUE words"));
}
