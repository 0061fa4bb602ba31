//! Consumer groups: who has been given which entries and has not acknowledged them.
//!
//! A group keeps its pending entries ordered by id; each consumer keeps the ids of its own, so that asking for one
//! consumer's entries does not walk through everybody's. Pending entries name their consumer by a number instead of a
//! name or a pointer: 4 bytes an entry, nothing to keep alive.
//!
//! XREADGROUP CLAIM wants the longest idle entries first. That order is an index of its own, made when the first such
//! command comes and kept up from then on: groups that never use it pay nothing for it.

mod parts;
mod walking;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use sherd_metrics::memory::size_class;

use super::super::btree_bytes::btree_bytes;
use super::id::StreamId;

pub(super) use walking::{Bytes, Walking};

/// A consumer's number in its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerNumber(u32);

/// The owner of entries that were given back (XNACK).
const NOBODY: u32 = u32::MAX;

/// The most consumers that a group ever has numbers for.
const CONSUMERS_MAX: usize = NOBODY as usize;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// When it was delivered last; for what nobody owns, its place among those.
    time: i64,
    delivery_count: u64,
    consumer: u32,
}

impl Pending {
    /// The number of its consumer; none if it was given back.
    pub fn consumer(&self) -> Option<ConsumerNumber> {
        (self.consumer != NOBODY).then_some(ConsumerNumber(self.consumer))
    }

    /// When it was delivered last, in milliseconds since the epoch; 0 if it was given back.
    pub fn delivered_ms(&self) -> i64 {
        if self.consumer == NOBODY {
            0
        } else {
            self.time
        }
    }

    pub fn delivery_count(&self) -> u64 {
        self.delivery_count
    }
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// The last attempt to do something, in milliseconds since the epoch.
    pub seen_ms: i64,
    /// The last time it got entries; none yet.
    pub active_ms: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has not acknowledged.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The ids that it has not acknowledged.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = StreamId> + '_ {
        self.pending.iter().copied()
    }

    /// Those from an id on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> + '_ {
        self.pending.range(start..).copied()
    }
}

/// See the module's description.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry that was delivered to anybody.
    pub last_id: StreamId,
    /// How many entries of the stream's whole life are up to `last_id`, if that is known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    /// By number; a consumer that was deleted leaves a gap that the next one takes.
    consumers: Vec<Option<Consumer>>,
    /// Numbers by name.
    names: BTreeMap<Box<[u8]>, u32>,
    /// Pending entries by time, once somebody has asked for that order.
    by_time: Option<BTreeSet<(i64, StreamId)>>,
    /// Pending entries that nobody owns, and the place of the next one.
    unowned: usize,
    next_unowned: i64,
    /// While the stream is saved in slices.
    pub(super) walking: Walking,
}

impl Group {
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group { last_id, entries_read, next_unowned: i64::MIN, ..Group::default() }
    }

    // ----- consumers -----

    pub fn consumer_count(&self) -> usize {
        self.names.len()
    }

    /// The number of a consumer.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.names.get(name).copied().map(ConsumerNumber)
    }

    /// The consumer of a number that this group gave.
    ///
    /// # Panics
    /// If the consumer was deleted.
    pub fn consumer(&self, number: ConsumerNumber) -> &Consumer {
        self.consumers[number.0 as usize].as_ref().expect("a consumer's number is in use")
    }

    /// The same for changing it.
    pub fn consumer_mut(&mut self, number: ConsumerNumber) -> &mut Consumer {
        self.before_consumer_changes(number.0);
        self.consumer_at(number.0)
    }

    fn consumer_at(&mut self, number: u32) -> &mut Consumer {
        self.consumers[number as usize].as_mut().expect("a consumer's number is in use")
    }

    /// All consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.names.values().map(|&number| self.consumer(ConsumerNumber(number)))
    }

    /// Adds a consumer whose name is not taken.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: i64) -> ConsumerNumber {
        let consumer = Consumer { name: name.into(), seen_ms, active_ms: None, pending: BTreeSet::new() };
        // Gaps are found by a walk, which is as long as the number of consumers; they come after deletions only.
        let gap = if self.names.len() == self.consumers.len() {
            None
        } else {
            self.consumers.iter().position(Option::is_none)
        };
        let number = gap.unwrap_or(self.consumers.len());
        assert!(number < CONSUMERS_MAX, "a group has fewer than four billion consumers");
        self.before_adding_consumer(number as u32, name);
        match gap {
            Some(gap) => self.consumers[gap] = Some(consumer),
            None => self.consumers.push(Some(consumer)),
        }
        self.names.insert(name.into(), number as u32);
        ConsumerNumber(number as u32)
    }

    /// Deletes a consumer with its pending entries; gives how many those were.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers[number as usize].take()?;
        for id in &consumer.pending {
            self.before_deletion(*id);
            if let (Some(pending), Some(by_time)) = (self.pending.remove(id), &mut self.by_time) {
                by_time.remove(&(pending.time, *id));
            }
        }
        let count = consumer.pending.len();
        self.after_deleting_consumer(number, consumer);
        Some(count)
    }

    // ----- pending entries -----

    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Pending entries that nobody owns.
    pub fn unowned_count(&self) -> usize {
        self.unowned
    }

    pub fn find_pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Pending entries in the order of their ids.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        self.pending.iter().map(|(&id, pending)| (id, pending))
    }

    /// Those of a range of ids.
    pub fn pending_in(
        &self,
        range: impl RangeBounds<StreamId>,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        self.pending.range(range).map(|(&id, pending)| (id, pending))
    }

    /// Makes an entry pending for a consumer, whoever had it before.
    pub fn assign(&mut self, id: StreamId, consumer: ConsumerNumber, delivered_ms: i64, delivery_count: u64) {
        self.before_assigning(id, consumer.0);
        let new = Pending { time: delivered_ms, delivery_count, consumer: consumer.0 };
        let old = self.set_pending(id, new);
        if old.map(|old| old.consumer) != Some(consumer.0) {
            self.leave_owner(id, old);
            self.consumer_at(consumer.0).pending.insert(id);
        }
    }

    /// Takes an entry from its consumer and puts it behind all others that nobody owns; makes it pending if it is not.
    pub fn release(&mut self, id: StreamId, delivery_count: u64) {
        self.before_release(id);
        let time = self.next_unowned;
        self.next_unowned += 1;
        let old = self.set_pending(id, Pending { time, delivery_count, consumer: NOBODY });
        self.leave_owner(id, old);
        self.unowned += 1;
    }

    /// Acknowledges an entry; false if it was not pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        self.before_acknowledging(id);
        let Some(old) = self.pending.remove(&id) else { return false };
        if let Some(by_time) = &mut self.by_time {
            by_time.remove(&(old.time, id));
        }
        self.leave_owner(id, Some(old));
        true
    }

    fn set_pending(&mut self, id: StreamId, new: Pending) -> Option<Pending> {
        let old = self.pending.insert(id, new);
        if let Some(by_time) = &mut self.by_time {
            if let Some(old) = old {
                by_time.remove(&(old.time, id));
            }
            by_time.insert((new.time, id));
        }
        old
    }

    fn leave_owner(&mut self, id: StreamId, old: Option<Pending>) {
        match old.map(|old| old.consumer) {
            None => {}
            Some(NOBODY) => self.unowned -= 1,
            Some(number) => {
                self.consumer_at(number).pending.remove(&id);
            }
        }
    }

    /// The pending entries delivered at `latest_ms` or before, longest ago first; those that nobody owns come before all.
    pub fn idle_since(&mut self, latest_ms: i64) -> impl Iterator<Item = StreamId> + '_ {
        self.by_time().range(..=(latest_ms, StreamId::MAX)).map(|&(_, id)| id)
    }

    /// The pending entries with the times of their last delivery, longest ago first.
    pub fn by_age(&mut self) -> impl Iterator<Item = (i64, StreamId)> + '_ {
        self.by_time().iter().copied()
    }

    fn by_time(&mut self) -> &BTreeSet<(i64, StreamId)> {
        let pending = &self.pending;
        self.by_time.get_or_insert_with(|| pending.iter().map(|(&id, pending)| (pending.time, id)).collect())
    }

    // ----- memory -----

    /// Bytes allocated, from the sizes of what is in it.
    pub fn allocated_bytes(&self) -> usize {
        let by_time = self.by_time.as_ref().map_or(0, |times| btree_bytes::<(i64, StreamId), ()>(times.len()));
        let consumers: usize = self
            .consumers()
            .map(|consumer| 2 * size_class(consumer.name.len()) + btree_bytes::<StreamId, ()>(consumer.pending.len()))
            .sum();
        let list = self.consumers.capacity() * size_of::<Option<Consumer>>();
        btree_bytes::<StreamId, Pending>(self.pending.len())
            + by_time
            + consumers
            + if list == 0 { 0 } else { size_class(list) }
            + btree_bytes::<Box<[u8]>, u32>(self.names.len())
    }

    /// How many allocations freeing it frees, about.
    pub fn free_effort(&self) -> usize {
        1 + self.names.len() * 3 + self.pending.len() / 4
    }
}
