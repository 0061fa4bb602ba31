//! Streams against a plain model, and what comes from outside.

use std::collections::BTreeMap;

use super::*;
use crate::listpack::{Encoded, Item, Listpack};
use crate::random::Random;

const LIMITS: BlockLimits = BlockLimits { bytes_max: 300, entries_max: 5 };
const EVERYTHING: (StreamId, StreamId) = (StreamId::MIN, StreamId::MAX);

type Model = BTreeMap<StreamId, Vec<Vec<u8>>>;

fn id(milliseconds: u64, sequence: u64) -> StreamId {
    StreamId::new(milliseconds, sequence)
}

fn texts(entry: &Entry<'_>) -> Vec<Vec<u8>> {
    entry.fields().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).collect()
}

fn add(stream: &mut Stream, at: StreamId, pairs: &[&[u8]]) {
    assert_eq!(stream.log().choose_id(RequestedId::Exact(at), 0), Ok(at));
    stream.log_mut().append(at, pairs, LIMITS);
}

/// A stream of so many entries with ids `1-0`, `2-0`, ...
fn numbered(count: u64) -> Stream {
    let mut stream = Stream::new();
    for number in 1..=count {
        add(&mut stream, id(number, 0), &[b"field", number.to_string().as_bytes()]);
    }
    stream
}

fn ids(stream: &Stream) -> Vec<u64> {
    stream.log().range(EVERYTHING.0, EVERYTHING.1).map(|entry| entry.id.milliseconds).collect()
}

fn trim(keep: Keep) -> Trim {
    Trim { keep, approximate: false, limit: 0, references: References::Keep }
}

/// Everything that a stream can be asked agrees with the model, in both directions and for a range.
#[track_caller]
fn assert_same(stream: &Stream, model: &Model, random: &mut Random) {
    let log = stream.log();
    assert_eq!(log.len(), model.len() as u64);
    assert_eq!(log.first_id(), model.keys().next().copied().unwrap_or(StreamId::MIN));
    assert_eq!(log.last_live_id(), model.keys().next_back().copied().unwrap_or(StreamId::MIN));
    let (start, end) = (id(random.below(40) as u64, 1), id(random.below(40) as u64, 1));
    for (start, end) in [EVERYTHING, (start, end)] {
        let wanted: Vec<_> = if start <= end {
            model.range(start..=end).map(|(id, texts)| (*id, texts.clone())).collect()
        } else {
            vec![]
        };
        let forward: Vec<_> = log.range(start, end).map(|entry| (entry.id, texts(&entry))).collect();
        let mut backward: Vec<_> = log.range_back(start, end).map(|entry| (entry.id, texts(&entry))).collect();
        backward.reverse();
        assert_eq!(forward, wanted);
        assert_eq!(backward, wanted);
    }
    for (number, (block_id, block)) in log.blocks().enumerate() {
        let (live, _) = Block::check(block.listpack(), block_id).expect("every block is in the format");
        assert!(live > 0 || number == 0, "no block but the first is empty");
    }
    assert_eq!(reload(stream).expect("what is stored can be loaded").log().len(), log.len());
}

/// The stream made anew from what a dump would hold.
fn reload(stream: &Stream) -> Result<Stream, LoadError> {
    let log = stream.log();
    let counters = Counters {
        length: log.len(),
        last_id: log.last_id(),
        max_deleted_id: log.max_deleted_id(),
        entries_added: Some(log.entries_added()),
    };
    Stream::load(log.blocks().map(|(id, block)| (id, block.listpack().clone())), &counters)
}

#[test]
fn a_stream_agrees_with_a_model_through_thousands_of_changes() {
    let mut random = Random::fixed(7);
    for _ in 0..20 {
        let mut stream = Stream::new();
        let mut model = Model::new();
        for step in 0..300u64 {
            let near = id(random.below(30) as u64, random.below(3) as u64);
            match random.below(10) {
                0..=5 => {
                    let at = id(step / 8, step % 8 + 1);
                    let names = vec![vec!["a"], vec!["a", "b"], vec!["12"]].swap_remove(random.below(3));
                    let value = "v".repeat(random.below(70));
                    let pairs: Vec<&[u8]> = names.iter().flat_map(|name| [name.as_bytes(), value.as_bytes()]).collect();
                    add(&mut stream, at, &pairs);
                    model.insert(at, pairs.iter().map(|text| text.to_vec()).collect());
                }
                6 | 7 => {
                    let deletion = stream.delete(near, References::Keep);
                    let expected = if model.remove(&near).is_some() { Deletion::Deleted } else { Deletion::Missing };
                    assert_eq!(deletion, expected);
                }
                8 => {
                    let count = random.below(40);
                    let excess = model.len().saturating_sub(count);
                    assert_eq!(stream.trim(&trim(Keep::Newest(count as u64))), excess as u64);
                    for _ in 0..excess {
                        model.pop_first();
                    }
                }
                _ => {
                    let kept = model.split_off(&near);
                    assert_eq!(stream.trim(&trim(Keep::From(near))), model.len() as u64);
                    model = kept;
                }
            }
            assert_same(&stream, &model, &mut random);
        }
    }
}

#[test]
fn entries_with_the_fields_of_the_first_store_their_values_only() {
    let mut stream = Stream::new();
    add(&mut stream, id(5, 1), &[b"name", b"Ann", b"age", b"30"]);
    add(&mut stream, id(6, 0), &[b"name", b"Bob", b"age", b"-31"]);
    add(&mut stream, id(6, 2), &[b"x", b""]);
    let (own, block) = stream.log().blocks().next().expect("a block");
    assert_eq!(own, id(5, 1));
    let text = |bytes: &'static [u8]| Item::Str(bytes);
    let elements: Vec<Item<'_>> = block.listpack().iter().collect();
    #[rustfmt::skip]
    assert_eq!(elements, [
        // live, deleted, fields
        Item::Int(3), Item::Int(0), Item::Int(2), text(b"name"), text(b"age"), Item::Int(0),
        // same fields, the id's difference, values, elements before this one
        Item::Int(2), Item::Int(0), Item::Int(0), text(b"Ann"), Item::Int(30), Item::Int(5),
        Item::Int(2), Item::Int(1), Item::Int(-1), text(b"Bob"), Item::Int(-31), Item::Int(5),
        Item::Int(0), Item::Int(1), Item::Int(1), Item::Int(1), text(b"x"), text(b""), Item::Int(6),
    ]);
}

#[test]
fn a_block_is_full_after_so_many_entries_or_bytes() {
    let mut stream = numbered(11);
    assert_eq!(stream.log().block_count(), 3);
    add(&mut stream, id(20, 0), &[b"field", &[b'x'; 290]]);
    add(&mut stream, id(21, 0), &[b"field", &[b'x'; 250]]);
    assert_eq!(stream.log().block_count(), 5);
    let no_limits = BlockLimits { bytes_max: 0, entries_max: 0 };
    let before = stream.log().block_count();
    for number in 30..400 {
        stream.log_mut().append(id(number, 0), &[b"field", b"value"], no_limits);
    }
    assert_eq!(stream.log().block_count(), before);
}

#[test]
fn ids_follow_the_clock_and_never_go_back() {
    let mut stream = numbered(5);
    let log = stream.log();
    assert_eq!(log.choose_id(RequestedId::Next, 9), Ok(id(9, 0)));
    assert_eq!(log.choose_id(RequestedId::Next, 3), Ok(id(5, 1)));
    assert_eq!(log.choose_id(RequestedId::NextAt(5), 0), Ok(id(5, 1)));
    assert_eq!(log.choose_id(RequestedId::NextAt(6), 0), Ok(id(6, 0)));
    assert_eq!(log.choose_id(RequestedId::NextAt(4), 0), Err(IdRefused::TooSmall));
    assert_eq!(log.choose_id(RequestedId::Exact(id(5, 0)), 0), Err(IdRefused::TooSmall));
    stream.log_mut().set_memory(id(5, u64::MAX), None, None);
    assert_eq!(stream.log().choose_id(RequestedId::Next, 5), Ok(id(6, 0)));
    assert_eq!(stream.log().choose_id(RequestedId::NextAt(5), 0), Err(IdRefused::TooSmall));
    stream.log_mut().set_memory(StreamId::MAX, None, None);
    assert_eq!(stream.log().choose_id(RequestedId::Next, 5), Err(IdRefused::Exhausted));
}

#[test]
fn ids_are_read_as_c_reads_them_and_written_back() {
    let good: [(&str, StreamId); 9] = [
        ("1-2", id(1, 2)),
        ("1", id(1, 7)),
        (" 1-2", id(1, 2)),
        ("+1-02", id(1, 2)),
        ("1--01", id(1, u64::MAX)),
        ("1-\t 2", id(1, 2)),
        ("18446744073709551615-18446744073709551615", StreamId::MAX),
        ("1\0x-9", id(1, 7)),
        ("9223372036854775808-0", id(1 << 63, 0)),
    ];
    for (text, expected) in good {
        assert_eq!(StreamId::parse(text.as_bytes(), 7), Some(expected), "{text:?}");
    }
    let long = "0".repeat(128);
    for text in ["", "-", "+", "1-", "-1", "1-2-3", "1-2x", "x", "1 -2", "18446744073709551616", "1--1", "1-*", &long] {
        assert_eq!(StreamId::parse(text.as_bytes(), 0), None, "{text:?}");
    }
    for expected in [id(0, 0), id(12, 345), StreamId::MAX] {
        let mut buffer: IdBuffer = [0; ID_TEXT_MAX_BYTES];
        assert_eq!(expected.format(&mut buffer), expected.to_string().as_bytes());
        assert_eq!(StreamId::parse(expected.format(&mut buffer), 0), Some(expected));
        assert_eq!(StreamId::from_bytes(expected.to_bytes()), expected);
    }
    assert_eq!((id(1, u64::MAX).next(), StreamId::MAX.next()), (Some(id(2, 0)), None));
    assert_eq!((id(2, 0).previous(), StreamId::MIN.previous()), (Some(id(1, u64::MAX)), None));
}

#[test]
fn an_approximate_trim_takes_whole_blocks_within_its_limit() {
    let about = |keep, limit| Trim { keep, approximate: true, limit, references: References::Keep };
    let mut stream = numbered(23);
    assert_eq!(stream.trim(&about(Keep::Newest(20), 0)), 0);
    assert_eq!(stream.trim(&about(Keep::Newest(12), 9)), 5);
    assert_eq!(stream.trim(&about(Keep::Newest(12), 0)), 5);
    assert_eq!(stream.trim(&about(Keep::From(id(14, 0)), 0)), 0);
    assert_eq!(stream.trim(&about(Keep::From(id(16, 0)), 0)), 5);
    assert_eq!(ids(&stream), (16..=23).collect::<Vec<_>>());
}

/// Two groups that have read five of ten entries; the first has acknowledged the first two, the second the first.
fn with_groups() -> Stream {
    let mut stream = numbered(10);
    for (name, acknowledged) in [(b"g1", 2), (b"g2", 1)] {
        stream.add_group(name, Group::new(StreamId::MIN, Some(0)));
        let (log, group) = stream.group_mut(name).expect("the group");
        let consumer = group.add_consumer(b"c", 0);
        for number in 1..=5 {
            log.note_delivery(group, id(number, 0));
            group.assign(id(number, 0), consumer, 100, 1);
        }
        (1..=acknowledged).for_each(|number| assert!(group.acknowledge(id(number, 0))));
    }
    stream
}

#[test]
fn an_entry_that_a_group_needs_stays_where_that_is_asked_for() {
    let mut stream = with_groups();
    let trim = Trim { references: References::Acknowledged, ..trim(Keep::Newest(0)) };
    assert_eq!(stream.trim(&trim), 1);
    assert_eq!(ids(&stream), (2..=10).collect::<Vec<_>>());
    assert_eq!(stream.delete(id(2, 0), References::Acknowledged), Deletion::Referenced);
    assert_eq!(stream.delete(id(7, 0), References::Acknowledged), Deletion::Referenced, "not read yet");
    assert_eq!(stream.delete(id(99, 0), References::Acknowledged), Deletion::Missing);
    stream.remove_group(b"g2");
    assert_eq!(stream.delete(id(2, 0), References::Acknowledged), Deletion::Deleted);
    stream.remove_group(b"g1");
    assert_eq!(stream.trim(&trim), 8);
    assert!(stream.log().is_empty());
}

#[test]
fn references_go_with_the_entries_where_that_is_asked_for() {
    let mut stream = with_groups();
    let trim = Trim { references: References::Delete, ..trim(Keep::From(id(4, 0))) };
    assert_eq!(stream.trim(&trim), 3);
    let pending = |stream: &Stream| -> Vec<usize> { stream.groups().map(|(_, group)| group.pending_count()).collect() };
    assert_eq!(pending(&stream), [2, 2]);
    assert_eq!(stream.delete(id(4, 0), References::Keep), Deletion::Deleted);
    assert_eq!(pending(&stream), [2, 2]);
    assert_eq!(stream.delete(id(4, 0), References::Delete), Deletion::Missing);
    assert_eq!(pending(&stream), [1, 1], "references to what is gone go too");
}

#[test]
fn pending_entries_have_one_owner_and_are_found_by_time() {
    let mut group = Group::new(StreamId::MIN, None);
    let (ann, bob) = (group.add_consumer(b"ann", 0), group.add_consumer(b"bob", 0));
    group.assign(id(1, 0), ann, 300, 1);
    group.assign(id(2, 0), ann, 100, 1);
    group.assign(id(3, 0), bob, 200, 1);
    let order =
        |group: &mut Group, latest| -> Vec<u64> { group.idle_since(latest).map(|id| id.milliseconds).collect() };
    assert_eq!(order(&mut group, 250), [2, 3]);
    group.assign(id(2, 0), bob, 400, 2);
    group.release(id(1, 0), 5);
    group.release(id(9, 0), 0);
    assert_eq!(order(&mut group, 250), [1, 9, 3], "what nobody owns comes first, in the order of giving back");
    group.release(id(1, 0), 5);
    assert_eq!(order(&mut group, 250), [9, 1, 3]);
    assert_eq!((group.consumer(ann).pending_count(), group.consumer(bob).pending_count()), (0, 2));
    assert_eq!((group.unowned_count(), group.pending_count()), (2, 4));
    assert_eq!(
        group.find_pending(id(1, 0)).map(|pending| (pending.delivered_ms(), pending.delivery_count())),
        Some((0, 5))
    );
    assert!(group.acknowledge(id(1, 0)) && !group.acknowledge(id(1, 0)));
    assert_eq!(group.delete_consumer(b"bob"), Some(2));
    assert_eq!(group.delete_consumer(b"bob"), None);
    assert_eq!(order(&mut group, i64::MAX), [9]);
    let carol = group.add_consumer(b"carol", 0);
    assert_eq!(carol, bob, "a number is given again");
    assert_eq!(group.consumers().map(Consumer::name).collect::<Vec<_>>(), [b"ann".as_slice(), b"carol"]);
    group.assign(id(9, 0), carol, 500, 1);
    assert_eq!(group.unowned_count(), 0);
}

#[test]
fn a_group_is_loaded_only_if_every_pending_entry_has_one_owner() {
    let consumer = |pending: Vec<StreamId>| ConsumerParts { name: b"c".to_vec(), pending, ..Default::default() };
    let parts = |pending: &[u64], consumers: Vec<ConsumerParts>, unowned: Vec<StreamId>| GroupParts {
        name: b"g".to_vec(),
        pending: pending.iter().map(|&number| (id(number, 0), 5, 2)).collect(),
        consumers,
        unowned,
        ..Default::default()
    };
    let load = |parts| Stream::new().load_group(parts);
    assert_eq!(load(parts(&[1, 2], vec![consumer(vec![id(1, 0)])], vec![id(2, 0)])), Ok(()));
    assert_eq!(load(parts(&[1], vec![], vec![])), Err(LoadError::Pending));
    assert_eq!(load(parts(&[1, 1], vec![consumer(vec![id(1, 0)])], vec![])), Err(LoadError::Pending));
    assert_eq!(load(parts(&[], vec![consumer(vec![id(1, 0)])], vec![])), Err(LoadError::Pending));
    assert_eq!(load(parts(&[1], vec![consumer(vec![id(1, 0)])], vec![id(1, 0)])), Err(LoadError::Pending));
    assert_eq!(load(parts(&[], vec![consumer(vec![]), consumer(vec![])], vec![])), Err(LoadError::DuplicateName));
    let mut stream = Stream::new();
    assert_eq!(stream.load_group(parts(&[], vec![], vec![])), Ok(()));
    assert_eq!(stream.load_group(parts(&[], vec![], vec![])), Err(LoadError::DuplicateName));
}

#[test]
fn blocks_that_are_not_in_the_format_are_refused() {
    let good = numbered(3);
    let (own, block) = good.log().blocks().next().expect("a block");
    let counters = Counters { length: 3, last_id: id(3, 0), max_deleted_id: StreamId::MIN, entries_added: None };
    let elements: Vec<Item<'_>> = block.listpack().iter().collect();
    let listpack = |elements: &[Item<'_>]| {
        let mut made = Listpack::new();
        elements.iter().for_each(|&item| made.push_back(Encoded::from(item)));
        made
    };
    assert!(Stream::load([(own, listpack(&elements))], &counters).is_ok());
    for at in 0..elements.len() {
        for wrong in [Item::Int(-1), Item::Int(i64::MAX), Item::Int(1 << 40), Item::Str(b"text")] {
            let mut changed = elements.clone();
            changed[at] = wrong;
            // Names and values may be anything; all else is noticed. Nothing panics on what is accepted.
            if let Ok(stream) = Stream::load([(own, listpack(&changed))], &counters) {
                assert_eq!(stream.log().range(EVERYTHING.0, EVERYTHING.1).count(), 3);
                assert_eq!(stream.log().range_back(EVERYTHING.0, EVERYTHING.1).count(), 3);
            }
        }
        assert!(Stream::load([(own, listpack(&elements[..at]))], &counters).is_err(), "cut at {at}");
    }
    let twice = [(own, listpack(&elements)), (id(3, 0), listpack(&elements))];
    assert_eq!(Stream::load(twice, &counters).err(), Some(LoadError::Block), "blocks overlap");
    let late = Counters { last_id: id(2, 9), ..counters };
    assert_eq!(Stream::load([(own, listpack(&elements))], &late).err(), Some(LoadError::Counters));
    let long = Counters { length: 4, ..counters };
    assert_eq!(Stream::load([(own, listpack(&elements))], &long).err(), Some(LoadError::Counters));
}

#[test]
fn radix_nodes_are_counted_as_a_radix_tree_has_them() {
    // A tree built by hand: the nodes are the distinct prefixes after which keys part or end, and the runs between.
    fn expected(keys: &[StreamId]) -> usize {
        fn walk(keys: &[[u8; 16]], depth: usize) -> usize {
            if depth == 16 {
                return 1;
            }
            let mut end = depth;
            while end < 16 && keys.iter().all(|key| key[end] == keys[0][end]) {
                end += 1;
            }
            let run = usize::from(end > depth);
            if end == 16 {
                return run + 1;
            }
            let parts = keys.chunk_by(|left, right| left[end] == right[end]);
            run + 1 + parts.map(|part| walk(part, end + 1)).sum::<usize>()
        }
        let bytes: Vec<[u8; 16]> = keys.iter().map(|key| key.to_bytes()).collect();
        if bytes.is_empty() {
            1
        } else {
            walk(&bytes, 0)
        }
    }
    let mut random = Random::fixed(3);
    for round in 0..300 {
        let count = round % 40;
        let mut keys: Vec<StreamId> = (0..count)
            .map(|_| {
                id(random.next() >> random.below(64), random.next().checked_shr(random.below(65) as u32).unwrap_or(0))
            })
            .collect();
        keys.sort();
        keys.dedup();
        assert_eq!(radix::node_count(keys.len(), keys.iter().copied()), expected(&keys), "{keys:?}");
    }
}
