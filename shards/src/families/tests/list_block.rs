//! Waiting for list elements, as far as no connection is needed for it.

use crate::testing::Tester;

#[test]
fn what_is_there_is_taken_at_once() {
    for shards in [1, 4] {
        Tester::new(shards).expect(&[
            ("RPUSH a 1 2 3", ":3"),
            ("BLPOP none a 0", "*2|$1|a|$1|1"),
            ("BRPOP a none 1.5", "*2|$1|a|$1|3"),
            ("BLMOVE a b LEFT RIGHT 0", "$1|2"),
            ("EXISTS a", ":0"),
            ("BRPOPLPUSH b c 0", "$1|2"),
            ("BLMPOP 0 2 none c LEFT COUNT 5", "*2|$1|c|*1|$1|2"),
            ("ZADD z 1 x 2 y", ":2"),
            ("BZPOPMIN none z 0", "*3|$1|z|$1|x|$1|1"),
            ("BZMPOP 0 1 z MAX", "*2|$1|z|*1|*2|$1|y|$1|2"),
            ("EXISTS z", ":0"),
        ]);
    }
}

#[test]
fn timeouts_are_checked_as_in_redis() {
    Tester::new(1).expect(&[
        ("BLPOP a -1", "-ERR timeout is negative"),
        ("BLPOP a x", "-ERR timeout is not a float or out of range"),
        ("BLPOP a nan", "-ERR timeout is not a float or out of range"),
        ("BLPOP a 1e300", "-ERR timeout is out of range"),
        ("BLPOP a inf", "-ERR timeout is out of range"),
        ("BLMOVE a b LEFT FOO x", "-ERR syntax error"),
        ("BLMPOP 1 0 a LEFT", "-ERR numkeys should be greater than 0"),
        ("BZMPOP 0.1 1 a FOO", "-ERR syntax error"),
    ]);
}

#[test]
fn a_transaction_does_not_wait() {
    let mut t = Tester::new(1);
    t.in_transaction = true;
    t.expect(&[
        ("BLPOP a 0", "*-1"),
        ("BLMOVE a b LEFT RIGHT 0", "$-1"),
        ("BLMOVEM a b LEFT RIGHT 0", "*-1"),
        ("BLMOVEM a b LEFT RIGHT 0 COUNT 2 OBO", "*-1"),
        ("BRPOPLPUSH a b 0", "$-1"),
        ("BLMPOP 0 1 a LEFT", "*-1"),
        ("BZPOPMIN a 0", "*-1"),
    ]);
}
