//! A walk visits what was there at its beginning, each element once and as it was, whatever changes meanwhile.

use std::any::Any;
use std::collections::BTreeMap;

use super::{Element, StreamPart, Visitor, Walk, Walkable};
use crate::hash::{Hash, Limits};
use crate::list::{End, List, NodeLimit};
use crate::random::Random;
use crate::set::{Set, SetLimits};
use crate::zset::{self, ZSet};

const LIMITS: Limits = Limits { entries: 4, value_bytes: 64 };
const SET_LIMITS: SetLimits = SetLimits { integers: 4, packed: LIMITS };
const ZSET_LIMITS: zset::Limits = zset::Limits { entries_max: 4, member_bytes_max: 64 };

/// Value, expiry and score by name.
type State = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>, u64)>;

#[derive(Default)]
struct Collected {
    state: State,
    doubles: usize,
}

impl Visitor for Collected {
    fn visit(&mut self, element: Element<'_>) {
        let seen = (element.value.to_vec(), element.expiry, element.score.to_bits());
        self.doubles += usize::from(self.state.insert(element.name.to_vec(), seen).is_some());
    }

    fn visit_part(&mut self, _: &StreamPart<'_>) {
        unreachable!("it has elements");
    }
}

fn name(random: &mut Random, names: usize) -> Vec<u8> {
    format!("name:{}", random.below(names)).into_bytes()
}

/// Walks and changes in turns, and compares what was visited with what was there at the beginning.
fn check<C: Walkable>(
    collection: &mut C,
    random: &mut Random,
    state: impl Fn(&C) -> State,
    mut change: impl FnMut(&mut C, &mut Random),
) {
    let expected = state(collection);
    assert!(collection.begin_walk(Box::<Collected>::default()), "it has a table");
    let a_step = [0, 1, 7, 60][random.below(4)];
    loop {
        for _ in 0..random.below(a_step + 1) {
            change(collection, random);
        }
        if !collection.step() {
            break;
        }
    }
    let visitor: &mut dyn Any = collection.visitor().expect("a walk is there");
    let visited = std::mem::take(visitor.downcast_mut::<Collected>().expect("that is who took it"));
    assert_eq!(visited.doubles, 0);
    assert_eq!(visited.state, expected);
    let left = collection.end_walk().expect("a walk is there");
    let walk = left.downcast::<Walk>().expect("that is what is left");
    assert!(walk.excepted.is_empty(), "names are forgotten as the front passes them");
    assert!(collection.visitor().is_none());
}

/// Sizes between which a collection goes from seed to seed: it grows, shrinks into a table of few entries, or stays.
fn names(seed: u64) -> (usize, usize) {
    [(400, 400), (30, 3000), (3000, 20), (30, 1000), (2000, 2000)][seed as usize % 5]
}

fn state_of_hash(hash: &Hash) -> State {
    let pairs = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec()));
    pairs.map(|(field, value)| (field.clone(), (value, hash.expiry(&field).flatten(), 0))).collect()
}

fn change_hash(hash: &mut Hash, random: &mut Random, names: usize, now: &mut u64) {
    let field = name(random, 3000);
    let stays = random.below(3000) < names;
    match random.below(12) {
        0..=4 if stays => _ = hash.set(&field, &vec![b'v'; random.below(40)], LIMITS),
        5 => _ = hash.set_expiry(&field, Some(*now + random.below(50) as u64)),
        6 => _ = hash.set_expiry(&field, None),
        7 => {
            *now += 1;
            let now = *now;
            let fields = hash.timed_mut().expect("it has a table");
            fields.sweep_expired(1 + random.below(20), now, |_| {});
            fields.remove_if_expired(&field, now);
        }
        _ => _ = hash.remove(&field),
    }
}

#[test]
fn a_hash_is_walked_as_it_was() {
    for seed in 0..60 {
        let mut random = Random::fixed(seed);
        let (before, after) = names(seed);
        let (mut hash, mut now) = (Hash::new(), 1000);
        for _ in 0..before * 3 {
            hash.set(&name(&mut random, before), b"old", LIMITS);
        }
        hash.expect_expiries();
        for _ in 0..before / 5 * (seed as usize % 2) {
            hash.set_expiry(&name(&mut random, before), Some(1000 + random.below(100) as u64));
        }
        for _ in 0..2 {
            check(&mut hash, &mut random, state_of_hash, |hash, random| change_hash(hash, random, after, &mut now));
        }
    }
}

fn state_of_set(set: &Set) -> State {
    let members = set.iter().map(|member| member.to_vec());
    members.map(|member| (member.clone(), (Vec::new(), set.expiry(&member).flatten(), 0))).collect()
}

#[test]
fn a_set_is_walked_as_it_was_also_when_members_get_their_first_times_meanwhile() {
    let mut timed = 0;
    for seed in 0..60 {
        let mut random = Random::fixed(seed);
        let (before, after) = names(seed);
        let (mut set, mut now) = (Set::new(), 1000);
        for _ in 0..before * 3 {
            set.add(&name(&mut random, before), SET_LIMITS);
        }
        let is_timed = seed % 3 > 0;
        let mut has_had_times = false;
        for _ in 0..2 {
            check(&mut set, &mut random, state_of_set, |set, random| {
                let member = name(random, 3000);
                let stays = random.below(3000) < after;
                match random.below(12) {
                    0..=4 if stays => _ = set.add(&member, SET_LIMITS),
                    5 | 6 if is_timed => _ = set.set_expiry(&member, Some(now + random.below(50) as u64), SET_LIMITS),
                    7 if is_timed => _ = set.set_expiry(&member, None, SET_LIMITS),
                    8 => {
                        now += 1;
                        if let Some(fields) = set.timed_mut() {
                            fields.sweep_expired(1 + random.below(20), now, |_| {});
                            fields.remove_if_expired(&member, now);
                        }
                    }
                    9 => {
                        let drawn = set.random(|| random.next()).map(|member| member.to_vec());
                        drawn.into_iter().for_each(|member| assert!(set.remove(&member)));
                    }
                    _ => _ = set.remove(&member),
                }
                has_had_times |= set.timed().is_some();
            });
        }
        timed += usize::from(has_had_times);
    }
    // A few sets have no turn for it: their walks are over before the first member gets a time.
    assert!(timed > 10, "members have had times in {timed} sets");
}

fn state_of_zset(set: &ZSet) -> State {
    let mut state = State::new();
    set.visit_all(|member, score| _ = state.insert(member.to_vec(), (Vec::new(), None, score.to_bits())));
    state
}

#[test]
fn a_sorted_set_is_walked_as_it_was() {
    for seed in 0..60 {
        let mut random = Random::fixed(seed);
        let (before, after) = names(seed);
        let mut set = ZSet::new();
        for _ in 0..before * 3 {
            set.add(ZSET_LIMITS, &name(&mut random, before), random.below(1000) as f64);
        }
        for _ in 0..2 {
            check(&mut set, &mut random, state_of_zset, |set, random| {
                let member = name(random, 3000);
                let stays = random.below(3000) < after;
                match random.below(12) {
                    0..=5 if stays => _ = set.add(ZSET_LIMITS, &member, random.below(1000) as f64),
                    6 => _ = set.increment(ZSET_LIMITS, &member, 0.5),
                    7 => _ = set.pop(random.below(4), random.below(2) == 0, |_, _| ()),
                    8 => {
                        let first = random.below(set.len() + 1);
                        set.remove_ranks(first..first + random.below(6), |_, _| ());
                    }
                    _ => _ = set.remove(&member),
                }
            });
        }
    }
}

#[test]
fn a_packed_collection_has_nothing_to_walk_through() {
    let (mut hash, mut set, mut zset) = (Hash::new(), Set::new(), ZSet::new());
    hash.set(b"f", b"v", LIMITS);
    set.add(b"m", SET_LIMITS);
    zset.add(ZSET_LIMITS, b"m", 1.0);
    let all: [&mut dyn Walkable; 3] = [&mut hash, &mut set, &mut zset];
    for collection in all {
        assert!(!collection.begin_walk(Box::<Collected>::default()));
        assert!(!collection.step());
    }
}

#[test]
fn a_copy_is_not_walked() {
    let mut hash = Hash::new();
    (0..100).for_each(|number: u32| _ = hash.set(&number.to_le_bytes(), b"v", LIMITS));
    assert!(hash.begin_walk(Box::<Collected>::default()));
    assert!(hash.is_walked() && !hash.clone().is_walked());
}

/// What is visited, in that order.
#[derive(Default)]
pub(crate) struct InOrder(Vec<Vec<u8>>);

impl Visitor for InOrder {
    fn visit(&mut self, element: Element<'_>) {
        self.0.push(element.name.to_vec());
    }

    fn visit_part(&mut self, part: &StreamPart<'_>) {
        self.0.push(describe(part));
    }
}

/// A part of a stream as one that has an order of its own.
pub(crate) fn describe(part: &StreamPart<'_>) -> Vec<u8> {
    let text = match part {
        StreamPart::Block(id, bytes) => format!("{id:?} {bytes:?}"),
        StreamPart::Memory(memory) => format!("{memory:?}"),
        StreamPart::Group(group) => format!("{group:?}"),
        StreamPart::Pending(pending) => format!("{pending:?}"),
        StreamPart::Consumers(count) => format!("{count} consumers"),
        StreamPart::Consumer(consumer) => format!("{consumer:?}"),
        StreamPart::Owned(id) => format!("{id:?}"),
    };
    text.into_bytes()
}

fn in_order<C: Walkable>(collection: &mut C) -> &mut InOrder {
    let visitor: &mut dyn Any = collection.visitor().expect("a walk is there");
    visitor.downcast_mut().expect("that is who took it")
}

/// As [`check`], where the order counts. No change visits more than one element, no step more than a few.
pub(crate) fn check_in_order<C: Walkable>(
    collection: &mut C,
    random: &mut Random,
    state: impl Fn(&C) -> Vec<Vec<u8>>,
    mut change: impl FnMut(&mut C, &mut Random),
) {
    let expected = state(collection);
    assert!(collection.begin_walk(Box::<InOrder>::default()), "it can be walked");
    let a_step = [0, 1, 7, 60][random.below(4)];
    loop {
        for _ in 0..random.below(a_step + 1) {
            let before = in_order(collection).0.len();
            change(collection, random);
            let visited = in_order(collection).0.len() - before;
            assert!(visited <= 1, "a change visits what it takes from the front, not {visited} parts");
        }
        let before = in_order(collection).0.len();
        if !collection.step() {
            break;
        }
        let visited = in_order(collection).0.len() - before;
        assert!(visited <= 65, "a step visits few parts, not {visited}");
    }
    let visited = std::mem::take(in_order(collection));
    for (index, (visited, expected)) in visited.0.iter().zip(&expected).enumerate() {
        assert!(
            visited == expected,
            "number {index}: {} instead of {}",
            String::from_utf8_lossy(visited),
            String::from_utf8_lossy(expected)
        );
    }
    assert_eq!(visited.0.len(), expected.len());
    assert!(collection.end_walk().is_some() && collection.visitor().is_none());
}

fn change_list(list: &mut List, random: &mut Random, bias: usize, limit: NodeLimit) {
    let value = name(random, 50);
    let end = [End::Front, End::Back][random.below(2)];
    let index = random.below(list.len() + 1);
    match (bias, random.below(16)) {
        (0, 0..=5) | (_, 0) => list.push(end, &value, limit),
        (1, 0..=9) => _ = list.pop(End::Front, limit),
        (2, 0..=9) => _ = list.pop(End::Back, limit),
        (4, 0..=9) => _ = list.insert(end, &value, b"inserted", limit),
        (_, 1..=3) => _ = list.pop(end, limit),
        (_, 4..=6) => _ = list.set(index as i64, &value, limit),
        (_, 7) => list.rotate(end, limit),
        (_, 8) => {
            let front = random.below(5);
            let back = random.below(30);
            _ = list.trim(front, list.len().saturating_sub(front + back), limit);
        }
        (_, 9) => _ = list.take_from_end(end, random.below(9), limit),
        (_, 10) => _ = list.insert(end, &value, b"inserted", limit),
        (_, 11) => _ = list.remove(end, &value, 1 + random.below(3), limit),
        (3, 12) if random.below(20) == 0 => _ = list.remove(end, &value, 0, limit),
        (3, 13) if random.below(200) == 0 => _ = list.trim(index, random.below(40), limit),
        (4, 13) if random.below(50) == 0 => _ = list.trim(random.below(300), list.len(), limit),
        (_, _) => list.push_all(end, [value.as_slice(), b"two"].into_iter(), limit),
    }
}

#[test]
fn a_list_is_walked_as_it_was_in_its_order() {
    for seed in 0..250 {
        let mut random = Random::fixed(seed);
        let limit = NodeLimit::from_setting([7, 1, 40][seed as usize / 9 % 3]);
        let mut list = List::new();
        let length = [9, 200, 2000][seed as usize % 3];
        // What changes most: the ends, the front by pops, the back by pops, anything, or the middle.
        let bias = seed as usize / 3 % 5;
        for _ in 0..3 {
            while list.len() < length || !list.is_walkable() {
                list.push(End::Back, &name(&mut random, 50), limit);
            }
            let state = |list: &List| list.iter().map(|item| item.to_vec()).collect();
            check_in_order(&mut list, &mut random, state, |list, random| change_list(list, random, bias, limit));
        }
    }
}

#[test]
fn what_changes_a_list_as_a_whole_visits_nothing_of_it() {
    let limit = NodeLimit::from_setting(16);
    let mut random = Random::fixed(1);
    let mut list = List::new();
    for number in 0..20_000 {
        list.push(End::Back, &[b'a' + (number % 7) as u8], limit);
    }
    let state = |list: &List| list.iter().map(|item| item.to_vec()).collect();
    let mut changes = 0;
    check_in_order(&mut list, &mut random, state, |list, random| {
        changes += 1;
        match changes {
            9 => {
                let removed = list.trim(0, list.len() - 3000, limit).node_count();
                assert!(removed < 10, "nodes become the walk's, not {removed} of them");
            }
            10 => assert!(list.remove(End::Front, b"b", 0, limit) > 1000),
            11 => assert!(list.remove(End::Back, b"c", 1000, limit) == 1000),
            12 => _ = list.trim(2000, 5000, limit),
            13 => _ = list.trim(0, 0, limit),
            _ if list.is_empty() => list.push(End::Front, b"new", limit),
            _ => change_list(list, random, 4, limit),
        }
    });
    assert!(changes > 13);
}
