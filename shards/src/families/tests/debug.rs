//! The DEBUG commands that tests of clients use.

use crate::testing::Tester;

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
    t.resp3 = true;
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
