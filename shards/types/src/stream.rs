//! Redis' stream: an append-only log of entries with consumer groups.
//!
//! Two parts that know nothing of each other's inside: the [`Log`], an ordered sequence of blocks of about a hundred
//! entries each ([`block`], [`blocks`]), and the [`Group`]s, which remember ids only. What concerns both, such as
//! deleting an entry together with every reference to it, is here and in [`trim`].
//!
//! Blocks are listpacks in Redis' own stream format: an entry of one field takes some 20 bytes more than its text, and
//! DUMP, RESTORE and RDB files carry blocks as they are. Redis keeps them in a radix tree by the id of their first
//! entry; a sorted sequence takes less and finds a block in as few steps. No operation does more than a block's worth
//! of work besides the entries that it returns or removes.
//!
//! A stream without entries stays, as it has its last id and its groups to remember.

mod block;
mod blocks;
mod group;
mod id;
mod lag;
mod load;
mod log;
mod producers;
mod radix;
mod range;
mod trim;
mod walking;

use std::collections::BTreeMap;

use sherd_metrics::memory::size_class;

use super::btree_bytes::btree_bytes;
use super::unaligned_box::UnalignedBox;
use crate::mover::{nodes_of, Mover};

pub use block::{Block, BlockLimits, Entry, Fields, BLOCK_BYTES_MAX};
pub use group::{Consumer, ConsumerNumber, Group, Pending};
pub use id::{IdBuffer, RequestedId, StreamId, ID_TEXT_MAX_BYTES};
pub use load::{ConsumerParts, Counters, GroupParts, LoadError};
pub use log::{IdRefused, Log};
pub use producers::{Limits as ProducerLimits, Producers};
pub use range::{Range, RangeBack};
pub use trim::{Deletion, Keep, References, Trim};

/// See the module's description.
#[derive(Clone, Default)]
pub struct Stream {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// There once an entry was added by a producer with a name, or limits for such ones were set.
    producers: Option<Box<Producers>>,
}

/// A stream in an allocation of its own, as it has a lot to remember.
pub type BoxedStream = UnalignedBox<Stream>;

impl Stream {
    pub fn new() -> Stream {
        Stream::default()
    }

    /// As [`crate::object::Collection::defragment`]; what groups remember stays where it is.
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        self.log.blocks.defragment(mover, at, nodes_of(limit))
    }

    /// The entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The entries, for changing them without regard to groups.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Sets the last id and what is remembered of entries that are gone (XSETID). No group has read more than there were.
    pub fn set_memory(&mut self, last_id: StreamId, entries_added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.log.set_memory(last_id, entries_added, max_deleted_id);
        let added = self.log.entries_added();
        for (name, group) in &mut self.groups {
            if group.entries_read.is_some_and(|read| read > added) {
                self.log.blocks.walking.before_lending(name, group);
                group.entries_read = Some(added);
            }
        }
    }

    // ----- producers -----

    pub fn producers(&self) -> Option<&Producers> {
        self.producers.as_deref()
    }

    /// What is kept of producers; begins with these limits.
    pub fn producers_or_new(&mut self, limits: ProducerLimits) -> &mut Producers {
        self.producers.get_or_insert_with(|| Box::new(Producers::new(limits)))
    }

    /// Takes over what another stream keeps of producers.
    pub fn take_producers(&mut self, from: &Stream) {
        self.producers.clone_from(&from.producers);
    }

    // ----- groups -----

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Whether its groups remember so many things: pending entries, consumers, and themselves.
    pub fn remembers(&self, count: usize) -> bool {
        let mut left = count;
        self.groups.values().any(|group| {
            left = left.saturating_sub(1 + group.pending_count() + group.consumer_count());
            left == 0
        })
    }

    /// All groups in the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// A group for changing it, beside the entries.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, &mut Group)> {
        let group = self.groups.get_mut(name)?;
        self.log.blocks.walking.before_lending(name, group);
        Some((&self.log, group))
    }

    /// Adds a group; false if there is one of this name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.log.blocks.walking.before_adding_group(name);
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a group with all that it remembers; false if there is none.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else { return false };
        self.log.blocks.walking.after_removing(name, group);
        true
    }

    // ----- memory -----

    /// Bytes allocated; blocks and groups are estimated from `samples` of them (0: from all).
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        let samples = if samples == 0 { usize::MAX } else { samples };
        let groups =
            self.groups.iter().take(samples).map(|(name, group)| size_class(name.len()) + group.allocated_bytes());
        let groups: usize = groups.sum();
        size_class(size_of::<Stream>())
            + self.log.allocated_bytes(samples)
            + self.producers.as_ref().map_or(0, |producers| producers.allocated_bytes(samples))
            + scaled(groups, self.groups.len(), samples)
            + btree_bytes::<Box<[u8]>, Group>(self.groups.len())
    }

    /// How many allocations freeing it frees, about.
    pub fn free_effort(&self) -> usize {
        let producers = self.producers.as_ref().map_or(0, |producers| producers.free_effort());
        producers + self.log.block_count() + self.groups.values().map(Group::free_effort).sum::<usize>()
    }
}

/// The sum over `count` things when `sum` is that of the first `samples`.
fn scaled(sum: usize, count: usize, samples: usize) -> usize {
    if count <= samples {
        return sum;
    }
    (sum as u128 * count as u128 / samples as u128) as usize
}

#[cfg(test)]
#[path = "tests/stream.rs"]
mod tests;
