//! What a stream remembers of its producers, so that an entry which is sent twice is added once (XADD IDMP).
//!
//! A producer names each entry by an idempotent id. The last ones of each producer are kept for a while with the ids that
//! their entries got; both bounds are the stream's ([`Limits`]). A producer whose ids are all too old is dropped: the one
//! that adds is looked at as a whole, and a few others in turn, so that no addition does more than a bounded work.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;

use sherd_metrics::memory::size_class;

use super::StreamId;
use crate::btree_bytes::btree_bytes;

/// Other producers that each addition looks at for ids that are too old.
const OTHERS_SWEPT: usize = 4;

/// How long ids are kept, and how many of each producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub duration_seconds: u32,
    pub ids_max: u32,
}

/// See the [module](self).
#[derive(Clone)]
pub struct Producers {
    limits: Limits,
    by_name: BTreeMap<Box<[u8]>, Producer>,
    /// The producer that was swept last.
    swept: Box<[u8]>,
    /// Additions with an idempotent id, and how many of them were repetitions, since the stream began.
    pub added: u64,
    pub duplicates: u64,
}

#[derive(Clone, Default)]
struct Producer {
    ids: VecDeque<(i64, Box<[u8]>)>,
    entries: HashMap<Box<[u8]>, StreamId>,
}

impl Producer {
    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.ids.pop_front() {
            self.entries.remove(&id);
        }
    }

    fn forget_before(&mut self, at_ms: i64) {
        while self.ids.front().is_some_and(|(added_ms, _)| *added_ms <= at_ms) {
            self.forget_oldest();
        }
    }

    fn live(&self, at_ms: i64) -> usize {
        self.ids.len() - self.ids.partition_point(|(added_ms, _)| *added_ms <= at_ms)
    }

    fn allocated_bytes(&self) -> usize {
        let ids: usize = self.ids.iter().map(|(_, id)| 2 * size_class(id.len())).sum();
        let queue = size_class(self.ids.capacity() * size_of::<(i64, Box<[u8]>)>());
        let table = size_class(self.entries.capacity() * 8 / 7 * (size_of::<(Box<[u8]>, StreamId)>() + 1));
        ids + queue + table
    }
}

impl Producers {
    /// Nothing was added yet.
    pub fn new(limits: Limits) -> Producers {
        Producers { limits, by_name: BTreeMap::new(), swept: Box::default(), added: 0, duplicates: 0 }
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets other limits: what was kept by the former ones is dropped, unless they are the same.
    pub fn set_limits(&mut self, limits: Limits) {
        if limits != self.limits {
            self.limits = limits;
            self.by_name.clear();
        }
    }

    /// The entry that a producer has added under an id; counts the repetition if there is one.
    pub fn find(&mut self, producer: &[u8], id: &[u8], now_ms: i64) -> Option<StreamId> {
        let too_old_ms = self.too_old_ms(now_ms);
        let found = self.by_name.get_mut(producer)?;
        found.forget_before(too_old_ms);
        let entry = found.entries.get(id).copied();
        self.duplicates += u64::from(entry.is_some());
        entry
    }

    /// Remembers the entry that a producer has added under an id.
    pub fn add(&mut self, producer: &[u8], id: &[u8], entry: StreamId, now_ms: i64) {
        let ids_max = self.limits.ids_max as usize;
        self.sweep_others(now_ms);
        let kept = self.by_name.entry(producer.into()).or_default();
        while kept.ids.len() >= ids_max {
            kept.forget_oldest();
        }
        kept.ids.push_back((now_ms, id.into()));
        kept.entries.insert(id.into(), entry);
        self.added += 1;
    }

    fn sweep_others(&mut self, now_ms: i64) {
        let too_old_ms = self.too_old_ms(now_ms);
        for _ in 0..OTHERS_SWEPT {
            let from = (Bound::Excluded(&*self.swept), Bound::Unbounded);
            let Some((name, producer)) = self.by_name.range_mut::<[u8], _>(from).next() else {
                self.swept = Box::default();
                return;
            };
            self.swept = name.clone();
            producer.forget_before(too_old_ms);
            if producer.ids.is_empty() {
                self.by_name.remove(&self.swept);
            }
        }
    }

    fn too_old_ms(&self, now_ms: i64) -> i64 {
        now_ms - i64::from(self.limits.duration_seconds) * 1000
    }

    /// The number of producers, and of their ids, that are not too old.
    pub fn tracked(&self, now_ms: i64) -> (usize, usize) {
        let too_old_ms = self.too_old_ms(now_ms);
        let live = self.by_name.values().map(|producer| producer.live(too_old_ms)).filter(|&ids| ids > 0);
        live.fold((0, 0), |(producers, ids), more| (producers + 1, ids + more))
    }

    /// Bytes allocated, estimated from `samples` producers.
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        let sampled: usize = self
            .by_name
            .iter()
            .take(samples)
            .map(|(name, producer)| size_class(name.len()) + producer.allocated_bytes())
            .sum();
        let producers = self.by_name.len();
        let all = if producers > samples { sampled / samples * producers } else { sampled };
        size_class(size_of::<Producers>())
            + size_class(self.swept.len())
            + all
            + btree_bytes::<Box<[u8]>, Producer>(producers)
    }

    /// How many allocations freeing it frees, about.
    pub fn free_effort(&self) -> usize {
        self.by_name.values().map(|producer| 2 * producer.ids.len() + 2).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { duration_seconds: 10, ids_max: 3 };

    fn entry(number: u64) -> StreamId {
        StreamId::new(number, 0)
    }

    #[test]
    fn an_id_is_known_until_it_is_too_old_or_others_have_come() {
        let mut producers = Producers::new(LIMITS);
        for number in 0..4 {
            producers.add(b"p", format!("{number}").as_bytes(), entry(number), 1000 * number as i64);
        }
        assert_eq!(producers.find(b"p", b"0", 4000), None, "three are kept");
        assert_eq!(producers.find(b"p", b"1", 4000), Some(entry(1)));
        assert_eq!(producers.find(b"other", b"1", 4000), None);
        assert_eq!(producers.tracked(10_999), (1, 3));
        assert_eq!(producers.find(b"p", b"1", 11_000), None, "ten seconds");
        assert_eq!(producers.find(b"p", b"2", 11_000), Some(entry(2)));
        assert_eq!(producers.tracked(13_000), (0, 0));
        assert_eq!((producers.added, producers.duplicates), (4, 2));
    }

    #[test]
    fn producers_that_come_no_more_are_left_out() {
        let mut producers = Producers::new(LIMITS);
        for number in 0..1000u64 {
            producers.add(format!("gone:{number}").as_bytes(), b"id", entry(number), 0);
        }
        for number in 0..300u64 {
            producers.add(b"here", format!("{number}").as_bytes(), entry(number), 20_000);
        }
        assert_eq!(producers.by_name.len(), 1);
        assert!(producers.free_effort() < 10);
    }

    #[test]
    fn other_limits_forget_and_the_same_ones_do_not() {
        let mut producers = Producers::new(LIMITS);
        producers.add(b"p", b"id", entry(1), 0);
        producers.set_limits(LIMITS);
        assert_eq!(producers.find(b"p", b"id", 0), Some(entry(1)));
        producers.set_limits(Limits { ids_max: 4, ..LIMITS });
        assert_eq!(producers.find(b"p", b"id", 0), None);
        assert_eq!((producers.added, producers.duplicates), (1, 1));
    }
}
