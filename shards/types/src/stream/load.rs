//! Making a stream of what a file or a client brought: everything is checked before it is believed.

use super::block::Block;
use super::group::Group;
use super::id::StreamId;
use super::log::Log;
use super::Stream;
use crate::listpack::Listpack;

/// What is stored beside the blocks.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    pub length: u64,
    pub last_id: StreamId,
    /// Zero where the format does not have it.
    pub max_deleted_id: StreamId,
    /// None where the format does not have it: as many as there are.
    pub entries_added: Option<u64>,
}

/// A group as it is stored.
#[derive(Clone, Debug, Default)]
pub struct GroupParts {
    pub name: Vec<u8>,
    pub last_id: StreamId,
    pub entries_read: Option<u64>,
    /// Id, time of the last delivery (milliseconds since the epoch), number of deliveries.
    pub pending: Vec<(StreamId, i64, u64)>,
    pub consumers: Vec<ConsumerParts>,
    /// Pending entries that no consumer owns, in the order in which they are to be claimed.
    pub unowned: Vec<StreamId>,
}

/// A consumer as it is stored.
#[derive(Clone, Debug, Default)]
pub struct ConsumerParts {
    pub name: Vec<u8>,
    pub seen_ms: i64,
    pub active_ms: Option<i64>,
    /// The ids that it has not acknowledged.
    pub pending: Vec<StreamId>,
}

/// What is wrong with a stored stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// A block is not in the format, or not after the one before it.
    Block,
    /// The number of entries or the last id does not agree with the blocks.
    Counters,
    /// Two groups or two consumers have one name.
    DuplicateName,
    /// An id is pending twice, or in a consumer's list but not in the group's, or has no owner.
    Pending,
}

impl Stream {
    /// A stream without groups from its blocks.
    pub fn load(
        blocks: impl IntoIterator<Item = (StreamId, Listpack)>,
        counters: &Counters,
    ) -> Result<Stream, LoadError> {
        let mut log = Log::default();
        let mut previous: Option<StreamId> = None;
        for (id, listpack) in blocks {
            let (live, last) = Block::check(&listpack, id).ok_or(LoadError::Block)?;
            if previous.is_some_and(|previous| id <= previous) {
                return Err(LoadError::Block);
            }
            previous = Some(last);
            log.length += live as u64;
            // A block of deleted entries only serves nobody; the rest relies on there being none.
            if live > 0 {
                log.blocks.push_back(id, Block::from_listpack(listpack));
            }
        }
        let last_fits = previous.is_none_or(|last| last <= counters.last_id);
        if log.length != counters.length || !last_fits {
            return Err(LoadError::Counters);
        }
        log.last_id = counters.last_id;
        log.max_deleted_id = counters.max_deleted_id;
        log.entries_added = counters.entries_added.unwrap_or(log.length);
        log.find_first();
        Ok(Stream { log, ..Stream::default() })
    }

    /// Adds a stored group.
    pub fn load_group(&mut self, parts: GroupParts) -> Result<(), LoadError> {
        let mut group = Group::new(parts.last_id, parts.entries_read);
        let mut pending = std::collections::BTreeMap::new();
        for (id, delivered_ms, count) in parts.pending {
            if pending.insert(id, (delivered_ms, count)).is_some() {
                return Err(LoadError::Pending);
            }
        }
        for consumer in parts.consumers {
            if group.find_consumer(&consumer.name).is_some() {
                return Err(LoadError::DuplicateName);
            }
            let number = group.add_consumer(&consumer.name, consumer.seen_ms);
            group.consumer_mut(number).active_ms = consumer.active_ms;
            for id in consumer.pending {
                let (delivered_ms, count) = pending.remove(&id).ok_or(LoadError::Pending)?;
                group.assign(id, number, delivered_ms, count);
            }
        }
        for id in parts.unowned {
            let (_, count) = pending.remove(&id).ok_or(LoadError::Pending)?;
            group.release(id, count);
        }
        if !pending.is_empty() {
            return Err(LoadError::Pending);
        }
        if self.add_group(&parts.name, group) {
            Ok(())
        } else {
            Err(LoadError::DuplicateName)
        }
    }
}
