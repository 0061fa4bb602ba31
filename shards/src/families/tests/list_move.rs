//! Moving elements between lists that may lie on different shards, and popping from the first of several.

use super::super::list::tests::{everywhere, watch_events, WRONG_TYPE};
use crate::testing::Tester;
use crate::handler::reply::Protocol;

#[test]
fn an_element_moves_from_any_end_to_any_end() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c d", ":4"),
            ("LMOVE l m LEFT LEFT", "$1|a"),
            ("LMOVE l m left right", "$1|b"),
            ("LMOVE l m RIGHT LEFT", "$1|d"),
            ("RPOPLPUSH l m", "$1|c"),
            ("LRANGE m 0 -1", "*4|$1|c|$1|d|$1|a|$1|b"),
            ("LLEN l", ":0"),
            ("LPUSHX l x", ":0"),
            ("LMOVE l m LEFT LEFT", "$-1"),
            ("RPOPLPUSH l m", "$-1"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("LMOVE l m LEFT LEFT", "_")]);
    });
}

#[test]
fn a_list_is_rotated_onto_itself() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c", ":3"),
            ("LMOVE l l LEFT RIGHT", "$1|a"),
            ("LRANGE l 0 -1", "*3|$1|b|$1|c|$1|a"),
            ("RPOPLPUSH l l", "$1|a"),
            ("LMOVE l l LEFT LEFT", "$1|a"),
            ("LRANGE l 0 -1", "*3|$1|a|$1|b|$1|c"),
            ("RPUSH one x", ":1"),
            ("RPOPLPUSH one one", "$1|x"),
            ("LRANGE one 0 -1", "*1|$1|x"),
        ]);
    });
}

#[test]
fn several_elements_move_one_by_one_or_in_their_order() {
    for (ends, one_by_one, bulk, left) in [
        ("LEFT LEFT", "*3|$1|3|$1|2|$1|1", "*3|$1|1|$1|2|$1|3", "*2|$1|4|$1|5"),
        ("LEFT RIGHT", "*3|$1|1|$1|2|$1|3", "*3|$1|1|$1|2|$1|3", "*2|$1|4|$1|5"),
        ("RIGHT LEFT", "*3|$1|3|$1|4|$1|5", "*3|$1|3|$1|4|$1|5", "*2|$1|1|$1|2"),
        ("RIGHT RIGHT", "*3|$1|5|$1|4|$1|3", "*3|$1|3|$1|4|$1|5", "*2|$1|1|$1|2"),
    ] {
        for (order, moved) in [("OBO", one_by_one), ("BULK", bulk)] {
            for selector in ["COUNT", "EXACTLY"] {
                everywhere(|t| {
                    t.expect(&[
                        ("RPUSH l 1 2 3 4 5", ":5"),
                        (&format!("LMOVEM l m {ends} {selector} 3 {order}"), moved),
                        ("LRANGE m 0 -1", moved),
                        ("LRANGE l 0 -1", left),
                    ]);
                });
            }
        }
    }
}

#[test]
fn as_many_as_there_are_move_or_exactly_so_many() {
    everywhere(|t| {
        t.expect(&[
            ("LMOVEM l m LEFT RIGHT", "*-1"),
            ("LMOVEM l m LEFT RIGHT COUNT 2 BULK", "*-1"),
            ("LMOVEM l m LEFT RIGHT EXACTLY 2 BULK", "*-1"),
            ("RPUSH l a b c", ":3"),
            ("LMOVEM l m LEFT RIGHT", "*1|$1|a"),
            ("LMOVEM l m LEFT RIGHT EXACTLY 3 OBO", "*-1"),
            ("LLEN l", ":2"),
            ("LMOVEM l m right right count 9223372036854775807 bulk", "*2|$1|b|$1|c"),
            ("EXISTS l", ":0"),
            ("LRANGE m 0 -1", "*3|$1|a|$1|b|$1|c"),
            ("BLMOVEM m l LEFT LEFT 0 EXACTLY 3 BULK", "*3|$1|a|$1|b|$1|c"),
            ("EXISTS m", ":0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("LMOVEM m l LEFT RIGHT EXACTLY 1 BULK", "_"), ("LMOVEM m l LEFT RIGHT", "_")]);
    });
}

#[test]
fn several_elements_move_within_a_list() {
    everywhere(|t| {
        t.expect(&[
            ("RPUSH l a b c", ":3"),
            ("LMOVEM l l LEFT LEFT EXACTLY 2 OBO", "*2|$1|b|$1|a"),
            ("LRANGE l 0 -1", "*3|$1|b|$1|a|$1|c"),
            ("LMOVEM l l LEFT LEFT EXACTLY 2 BULK", "*2|$1|b|$1|a"),
            ("LRANGE l 0 -1", "*3|$1|b|$1|a|$1|c"),
            ("LMOVEM l l LEFT RIGHT COUNT 2 BULK", "*2|$1|b|$1|a"),
            ("LRANGE l 0 -1", "*3|$1|c|$1|b|$1|a"),
            ("LMOVEM l l RIGHT RIGHT COUNT 9 OBO", "*3|$1|a|$1|b|$1|c"),
            ("LRANGE l 0 -1", "*3|$1|a|$1|b|$1|c"),
        ]);
        t.world.settings.list_max_listpack_size.set(2);
        t.expect(&[
            ("RPUSH q 1 2 3 4 5 6 7", ":7"),
            ("LMOVEM q q LEFT LEFT EXACTLY 7 OBO", "*7|$1|7|$1|6|$1|5|$1|4|$1|3|$1|2|$1|1"),
            ("LMOVEM q q RIGHT LEFT EXACTLY 7 OBO", "*7|$1|7|$1|6|$1|5|$1|4|$1|3|$1|2|$1|1"),
            ("LRANGE q 0 -1", "*7|$1|7|$1|6|$1|5|$1|4|$1|3|$1|2|$1|1"),
        ]);
    });
}

#[test]
fn what_lmovem_does_not_know_it_refuses() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("RPUSH l a b", ":2"),
            ("LMOVEM l m UP RIGHT", "-ERR syntax error"),
            ("LMOVEM l m LEFT RIGHT COUNT", "-ERR syntax error"),
            ("LMOVEM l m LEFT RIGHT COUNT 2", "-ERR syntax error"),
            ("LMOVEM l m LEFT RIGHT COUNT 2 SOMEHOW", "-ERR syntax error"),
            ("LMOVEM l m LEFT RIGHT ABOUT 2 BULK", "-ERR syntax error"),
            ("LMOVEM l m LEFT RIGHT COUNT 2 BULK OBO", "-ERR syntax error"),
            ("LMOVEM l m LEFT RIGHT COUNT 0 BULK", "-ERR count should be greater than 0"),
            ("LMOVEM l m LEFT RIGHT EXACTLY -1 BULK", "-ERR count should be greater than 0"),
            ("LMOVEM l m LEFT RIGHT EXACTLY x OBO", "-ERR count should be greater than 0"),
            ("LMOVEM s m LEFT RIGHT", WRONG_TYPE),
            ("LMOVEM l s LEFT RIGHT COUNT 2 BULK", WRONG_TYPE),
            ("BLMOVEM l m LEFT RIGHT x", "-ERR timeout is not a float or out of range"),
            ("LRANGE l 0 -1", "*2|$1|a|$1|b"),
        ]);
    });
}

#[test]
fn types_are_checked_before_anything_moves() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("RPUSH l a", ":1"),
            ("LMOVE l s LEFT RIGHT", WRONG_TYPE),
            ("RPOPLPUSH l s", WRONG_TYPE),
            ("LMOVE s l LEFT RIGHT", WRONG_TYPE),
            ("LMOVE none s LEFT RIGHT", "$-1"),
            ("LMOVE none s LEFT UP", "-ERR syntax error"),
            ("LRANGE l 0 -1", "*1|$1|a"),
        ]);
    });
}

#[test]
fn lmpop_takes_from_the_first_list_that_is_there() {
    everywhere(|t| {
        t.run("SET s v");
        t.expect(&[
            ("RPUSH l a b c", ":3"),
            ("LMPOP 3 none l s LEFT COUNT 2", "*2|$1|l|*2|$1|a|$1|b"),
            ("LMPOP 2 none s RIGHT", WRONG_TYPE),
            ("LMPOP 1 l right", "*2|$1|l|*1|$1|c"),
            ("LMPOP 1 l right", "*-1"),
            ("LPUSHX l x", ":0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("LMPOP 2 l none LEFT COUNT 5", "_")]);
    });
}

#[test]
fn lmpop_checks_its_arguments_before_the_keys() {
    let mut t = Tester::new(1);
    t.run("SET s v");
    for (line, reply) in [
        ("LMPOP 0 s LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP x s LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP -1 s LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP 2 s LEFT", "-ERR syntax error"),
        ("LMPOP 9223372036854775807 s LEFT", "-ERR syntax error"),
        ("LMPOP 1 s UP", "-ERR syntax error"),
        ("LMPOP 1 s LEFT COUNT", "-ERR syntax error"),
        ("LMPOP 1 s LEFT COUNT 0", "-ERR count should be greater than 0"),
        ("LMPOP 1 s LEFT COUNT x", "-ERR count should be greater than 0"),
        ("LMPOP 1 s LEFT COUNT 1 COUNT 2", "-ERR syntax error"),
        ("LMPOP 1 s LEFT WHAT 2", "-ERR syntax error"),
        ("LMPOP 1 s LEFT", WRONG_TYPE),
    ] {
        t.expect(&[(line, reply)]);
    }
}

#[test]
fn the_target_is_announced_before_the_source() {
    let mut t = Tester::new(1);
    t.run("RPUSH l a b");
    watch_events(&mut t);
    for (line, events) in [
        ("LMOVE l m LEFT RIGHT", &["new m", "rpush m", "lpop l"] as &[&str]),
        ("RPOPLPUSH l m", &["lpush m", "rpop l", "del l"]),
        ("LMOVE m m LEFT RIGHT", &["rpush m", "lpop m"]),
        ("LMOVE none m LEFT RIGHT", &[]),
        ("LMPOP 2 none m LEFT COUNT 9", &["lpop m", "del m"]),
    ] {
        t.run(line);
        assert_eq!(t.events(), events, "{line}");
    }
}
