//! Asking in advance changes no reply, whatever becomes of the keys in between.

use super::*;
use crate::executor::batch_for_tests::{batch_of, new_shard};
use crate::executor::run::run_batch;

/// Runs lines as one batch and returns the replies.
fn run(shard: &mut Shard, lines: &[String]) -> String {
    let mut batch = batch_of(lines);
    assert!(run_batch(shard, &mut batch));
    String::from_utf8_lossy(&batch.out).into_owned()
}

#[test]
fn elements_of_large_collections_are_found_in_batches() {
    let count = 3 * ELEMENTS_MIN;
    let each = |words: &str| (0..count).map(|n| words.replace('#', &n.to_string())).collect::<Vec<_>>();
    for (write, read, found) in [
        ("SADD k member:#", "SISMEMBER k member:#", ":1\r\n"),
        ("HSET k field:# x", "HGET k field:#", "$1\r\nx\r\n"),
        ("ZADD k # member:#", "ZINCRBY k 0 member:#", ""),
    ] {
        let mut shard = new_shard();
        assert_eq!(run(&mut shard, &each(write)), ":1\r\n".repeat(count), "{write}");
        assert_eq!(run(&mut shard, &each(write)), ":0\r\n".repeat(count), "{write} again");
        let expected = match found {
            "" => each("#").iter().map(|score| format!("${}\r\n{score}\r\n", score.len())).collect(),
            reply => reply.repeat(count),
        };
        assert_eq!(run(&mut shard, &each(read)), expected, "{read}");
    }
}

#[test]
fn keys_may_go_and_change_their_type_before_the_commands_that_were_prepared() {
    let mut shard = new_shard();
    let members: Vec<String> = (0..2 * ELEMENTS_MIN).map(|n| format!("SADD k m{n}")).collect();
    run(&mut shard, &members);
    let mut lines = Vec::new();
    for round in 0..40 {
        lines.extend((0..round).map(|n| format!("SISMEMBER k m{n}")));
        lines.push(["DEL k", "SET k text", "GETDEL k", "SADD k m0", "SADD other m1"][round % 5].to_owned());
    }
    let replies = run(&mut shard, &lines);
    assert!(replies.starts_with(":1\r\n:0\r\n+OK\r\n"), "DEL k, one member of none, SET k");
    assert!(replies.contains("-WRONGTYPE"));
    assert!(replies.ends_with(":0\r\n"));
}

#[test]
fn keys_are_found_in_batches_where_there_are_many_and_some_go() {
    let mut shard = new_shard();
    let count = 2 * KEYS_MIN;
    let writes: Vec<String> = (0..count).map(|number| format!("SET key:{number} {number}")).collect();
    assert_eq!(run(&mut shard, &writes), "+OK\r\n".repeat(count));
    let (mut lines, mut expected) = (Vec::new(), String::new());
    for number in 0..count {
        let text = number.to_string();
        lines.extend([format!("GET key:{number}"), format!("DEL key:{number}"), format!("GET key:{number}")]);
        expected += &format!("${}\r\n{text}\r\n:1\r\n$-1\r\n", text.len());
    }
    assert_eq!(run(&mut shard, &lines), expected);
}

#[test]
fn keys_that_were_read_are_found_in_batches_while_others_come_and_go() {
    let mut shard = new_shard();
    let keys: Vec<String> = (0..2 * BUCKETS_AHEAD).map(|number| format!("key:{number}")).collect();
    shard.world.tracking.begin(false);
    for key in keys.iter().step_by(2) {
        let hash = table::hash(key.as_bytes());
        shard.note_read(&Key { bytes: key.as_bytes(), hash, slot: 0 }, 7);
    }
    assert!(Ahead::begin(&shard, &[]).has_read_keys);
    let lines: Vec<String> = keys.iter().flat_map(|key| [format!("SET {key} v"), format!("GET {key}")]).collect();
    assert_eq!(run(&mut shard, &lines), "+OK\r\n$1\r\nv\r\n".repeat(keys.len()));
}

#[test]
fn a_command_that_names_an_element_always_has_one() {
    for command in crate::families::install(std::iter::empty()).commands() {
        let spec = &command.spec;
        assert!(i16::from(spec.element) < spec.arity.abs(), "{} without its element", spec.name);
    }
}
