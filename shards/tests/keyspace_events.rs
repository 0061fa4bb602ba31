//! Keyspace events, command by command, against a record of what Redis raises (`keyspace_events.txt`): names, keys, order
//! and classes.

// The tester says `crate::` for what it uses.
use sherd_shards::*;

#[allow(dead_code)]
#[path = "../src/testing.rs"]
mod testing;

use testing::Tester;

/// The classes' letters in the order of their bits.
const LETTERS: &str = "g$lshzxetmnd";

struct Case {
    line: &'static str,
    before: Vec<&'static str>,
    command: &'static str,
    /// Class letter, then event and key.
    events: Vec<(char, &'static str)>,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("keyspace_events.txt").lines().filter(|line| !line.starts_with('#'));
    let cases = lines.map(|line| {
        let mut parts = line.split("=>").map(str::trim);
        let mut next = || parts.next().unwrap_or_default();
        let before = next().split('|').filter(|line| !line.is_empty()).collect();
        let command = next();
        let events = next().split(", ").filter_map(|event| event.split_once(':'));
        let events = events.map(|(letter, event)| (letter.chars().next().unwrap_or('?'), event)).collect();
        Case { line, before, command, events }
    });
    cases.collect()
}

/// The events that a case's command raises with these classes on, and its reply.
fn raised(case: &Case, shards: usize, classes: i64) -> (Vec<String>, String) {
    let mut t = Tester::new(shards);
    for line in &case.before {
        t.run(line);
    }
    t.world.settings.notify_keyspace_events.set(classes);
    let reply = t.run(case.command);
    (t.events(), reply)
}

#[test]
fn every_command_raises_the_events_that_redis_raises() {
    let mut wrong = Vec::new();
    for case in cases() {
        for shards in [1, 4] {
            let mut expected: Vec<&str> = case.events.iter().map(|(_, event)| *event).collect();
            let (mut events, reply) = raised(&case, shards, (1 << LETTERS.len()) - 1);
            if shards > 1 {
                // Only the order within a shard is kept.
                expected.sort_unstable();
                events.sort();
            }
            if events != expected {
                wrong.push(format!("{} ({shards} shards): {events:?}, reply {reply:?}", case.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_event_is_of_the_class_that_redis_gives_it() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (bit, letter) in LETTERS.chars().enumerate() {
            let expected: Vec<&str> =
                case.events.iter().filter(|(class, _)| *class == letter).map(|(_, event)| *event).collect();
            let (events, _) = raised(&case, 1, 1 << bit);
            if events != expected {
                wrong.push(format!("{}: class {letter} has {events:?}", case.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
