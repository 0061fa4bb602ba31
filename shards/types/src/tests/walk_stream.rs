//! A walk visits the parts of a stream as they were at its beginning, in their order, whatever changes meanwhile.

use crate::random::Random;
use crate::stream::{BlockLimits, BoxedStream, Group, Keep, Pending, References, Stream, StreamId, Trim};
use crate::walk::tests::{check_in_order, describe};
use crate::walk::Walkable;

const LIMITS: BlockLimits = BlockLimits { bytes_max: 4096, entries_max: 5 };

fn parts(stream: &BoxedStream) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    stream.visit_parts(|part| parts.push(describe(part)));
    parts
}

fn add(stream: &mut Stream, random: &mut Random) {
    // Sequence numbers, too, so that blocks begin anywhere.
    let id = StreamId::new(stream.log().last_id().milliseconds + 1, random.below(3) as u64);
    stream.log_mut().append(id, &[b"field", &vec![b'v'; random.below(30)]], LIMITS);
}

fn change_entries(stream: &mut Stream, random: &mut Random) {
    let ids: Vec<_> = stream.log().range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    let references = [References::Keep, References::Delete, References::Acknowledged][random.below(3)];
    match random.below(12) {
        0..=3 => add(stream, random),
        4..=6 if !ids.is_empty() => _ = stream.delete(ids[random.below(ids.len())], references),
        7 => {
            let keep = Keep::Newest(stream.log().len().saturating_sub(random.below(12) as u64));
            let approximate = random.below(2) == 0;
            _ = stream.trim(&Trim { keep, approximate, limit: 0, references });
        }
        8 if random.below(60) == 0 => {
            // Emptied, and begun again with lower ids.
            for id in ids {
                stream.delete(id, References::Keep);
            }
            stream.set_memory(StreamId::new(1, 0), Some(1), None);
            add(stream, random);
        }
        _ => {}
    }
}

/// A name of few, so that those who come have the names of those who went.
fn name(letter: char, random: &mut Random, names: usize) -> Vec<u8> {
    format!("{letter}{}", random.below(names)).into_bytes()
}

/// Any id, or one that is pending.
fn some_id(group: &Group, random: &mut Random) -> StreamId {
    let any = StreamId::new(random.below(500) as u64, random.below(3) as u64);
    let pending = group.pending_in(any..).next().map(|(id, _)| id);
    pending.filter(|_| random.below(3) > 0).unwrap_or(any)
}

fn change_group(group: &mut Group, random: &mut Random) {
    let consumer = name('c', random, 6);
    let now_ms = random.below(1000) as i64;
    match random.below(16) {
        0 => _ = group.delete_consumer(&consumer),
        1 => group.last_id = StreamId::new(now_ms as u64, 1),
        2 => group.entries_read = Some(now_ms as u64).filter(|&read| read > 500),
        3..=5 => {
            let id = some_id(group, random);
            group.release(id, group.find_pending(id).map_or(7, Pending::delivery_count));
        }
        6..=9 => _ = group.acknowledge(some_id(group, random)),
        10 if random.below(3) == 0 => _ = group.by_age().count(),
        kind => {
            let known = group.find_consumer(&consumer);
            let number = known.unwrap_or_else(|| group.add_consumer(&consumer, now_ms));
            group.consumer_mut(number).seen_ms = now_ms;
            if kind > 11 {
                group.consumer_mut(number).active_ms = Some(now_ms);
                for _ in 0..random.below(6) {
                    let id = some_id(group, random);
                    group.assign(id, number, now_ms, random.below(4) as u64);
                }
            }
        }
    }
}

fn change_groups(stream: &mut Stream, random: &mut Random) {
    let group = name('g', random, 5);
    match random.below(24) {
        0 => _ = stream.remove_group(&group),
        1 => _ = stream.add_group(&group, Group::new(StreamId::MIN, Some(3))),
        2 => stream.set_memory(stream.log().last_id(), Some(stream.log().len() + random.below(900) as u64), None),
        _ => {
            if let Some((log, group)) = stream.group_mut(&group) {
                if random.below(6) == 0 {
                    if let Some(entry) = log.range(group.last_id, StreamId::MAX).next() {
                        log.note_delivery(group, entry.id);
                    }
                }
                change_group(group, random);
            }
        }
    }
}

#[test]
fn a_stream_is_walked_block_by_block_as_it_was() {
    for seed in 0..80 {
        let mut random = Random::fixed(seed);
        let mut stream = BoxedStream::default();
        for _ in 0..[40, 900][seed as usize % 2] {
            add(&mut stream, &mut random);
        }
        for _ in 0..2 {
            check_in_order(&mut stream, &mut random, parts, |stream, random| change_entries(stream, random));
        }
    }
}

#[test]
fn what_groups_remember_is_walked_as_it_was() {
    for seed in 0..80 {
        let mut random = Random::fixed(seed);
        let mut stream = BoxedStream::default();
        for _ in 0..[1, 60][seed as usize % 2] {
            add(&mut stream, &mut random);
        }
        for _ in 0..[100, 1000, 6000][seed as usize % 3] {
            change_groups(&mut stream, &mut random);
        }
        for _ in 0..3 {
            check_in_order(&mut stream, &mut random, parts, |stream, random| match random.below(8) {
                0 => change_entries(stream, random),
                _ => change_groups(stream, random),
            });
        }
        let copy = stream.clone();
        assert_eq!(parts(&copy), parts(&stream));
    }
}

/// A group with so many pending entries, of which every tenth was given back.
fn with_pending(stream: &mut Stream, name: &[u8], count: u64) {
    let mut group = Group::new(StreamId::new(count, 0), None);
    let consumers = [b"ann", b"bob"].map(|name| group.add_consumer(name, 5));
    for number in 1..=count {
        group.assign(StreamId::new(number, 0), consumers[(number % 2) as usize], 7, 1);
    }
    (1..=count / 10).for_each(|number| group.release(StreamId::new(number * 10, 0), 2));
    assert!(stream.add_group(name, group));
}

#[test]
fn a_group_that_is_destroyed_and_a_consumer_that_is_deleted_become_the_walks() {
    let mut stream = BoxedStream::default();
    with_pending(&mut stream, b"one", 5000);
    with_pending(&mut stream, b"two", 5000);
    let mut random = Random::fixed(1);
    let mut changes = 0;
    check_in_order(&mut stream, &mut random, parts, |stream, random| {
        changes += 1;
        if changes == 20 {
            assert!(stream.remove_group(b"one"));
            let of_group = stream.take_bytes();
            let (_, group) = stream.group_mut(b"two").expect("it is there");
            assert_eq!(group.delete_consumer(b"ann"), Some(2000));
            let of_consumer = stream.take_bytes();
            assert!(of_group > 5000 * 40 && of_consumer > 2000 * 16, "{of_group} {of_consumer}");
            assert!(stream.take_spent().is_none());
        }
        change_groups(stream, random);
    });
    assert!(changes > 20);
}

#[test]
fn a_walk_that_is_ended_early_leaves_nothing_in_groups() {
    let mut stream = BoxedStream::default();
    with_pending(&mut stream, b"one", 300);
    with_pending(&mut stream, b"two", 300);
    let mut random = Random::fixed(2);
    for _ in 0..3 {
        let visitor: Box<dyn crate::walk::Visitor> = Box::<crate::walk::tests::InOrder>::default();
        assert!(stream.begin_walk(visitor));
        for _ in 0..4 {
            (0..10).for_each(|_| change_groups(&mut stream, &mut random));
            stream.step();
        }
        assert!(stream.end_walk().is_some() && !stream.is_walked());
        check_in_order(&mut stream, &mut random, parts, |stream, random| change_groups(stream, random));
    }
}
