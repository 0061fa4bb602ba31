//! FLUSHDB, FLUSHALL and SWAPDB.

use crate::testing::Tester;

#[test]
fn flushing_empties_one_database_or_all() {
    for shards in [1, 4] {
        for how in ["", " SYNC", " ASYNC"] {
            let mut t = Tester::new(shards);
            t.run("MSET a 1 b 2 c 3 d 4");
            t.db = 1;
            t.run("MSET a 1 b 2");
            assert_eq!(t.run(&format!("FLUSHDB{how}")), "+OK\r\n");
            assert_eq!(t.run("DBSIZE"), ":0\r\n");
            t.db = 0;
            assert_eq!(t.run("DBSIZE"), ":4\r\n");
            assert_eq!(t.run(&format!("FLUSHALL{how}")), "+OK\r\n");
            assert_eq!(t.run("DBSIZE"), ":0\r\n");
            assert_eq!(t.run("GET a"), "$-1\r\n");
        }
    }
}

#[test]
fn flushing_refuses_unknown_words() {
    let mut t = Tester::new(1);
    assert_eq!(t.run("FLUSHALL NOW"), "-ERR syntax error\r\n");
    assert_eq!(t.run("FLUSHDB ASYNC SYNC"), "-ERR syntax error\r\n");
}

#[test]
fn two_databases_are_exchanged_on_all_shards() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        for number in 0..20 {
            t.run(&format!("SET k{number} v"));
        }
        assert_eq!(t.run("SWAPDB 0 1"), "+OK\r\n");
        assert_eq!(t.run("DBSIZE"), ":0\r\n");
        t.db = 1;
        assert_eq!(t.run("DBSIZE"), ":20\r\n");
        assert_eq!(t.run("SWAPDB x 1"), "-ERR invalid first DB index\r\n");
        assert_eq!(t.run("SWAPDB 0 x"), "-ERR invalid second DB index\r\n");
        assert_eq!(t.run("SWAPDB 0 16"), "-ERR DB index is out of range\r\n");
    }
}
