//! The entries of a stream and what it remembers of those that are gone.

use super::block::{Block, BlockLimits, Entry};
use super::blocks::Blocks;
use super::id::{RequestedId, StreamId};
use super::range::{Range, RangeBack};
use super::scaled;

/// See the module's description.
#[derive(Clone, Default)]
pub struct Log {
    /// By the id of the first entry that they were made for; each but the first surely has a live entry.
    pub(super) blocks: Blocks,
    pub(super) length: u64,
    /// The first live entry; zero without one.
    pub(super) first_id: StreamId,
    pub(super) last_id: StreamId,
    pub(super) max_deleted_id: StreamId,
    pub(super) entries_added: u64,
}

/// Why an entry cannot have the id that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdRefused {
    /// It is not after the last one.
    TooSmall,
    /// There is none after the last one.
    Exhausted,
}

impl Log {
    /// Live entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.length
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The first entry's id; zero without entries.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id that was given last, or set by XSETID.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The highest id that was deleted (not trimmed).
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries that were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Overwrites what the stream remembers (XSETID).
    pub fn set_memory(&mut self, last_id: StreamId, entries_added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
    }

    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks with their ids, as they are dumped.
    pub fn blocks(&self) -> impl Iterator<Item = (StreamId, &Block)> {
        self.blocks.iter()
    }

    /// How many nodes Redis' radix tree over the blocks would have: clients see the number in XINFO.
    pub fn radix_node_count(&self) -> usize {
        super::radix::node_count(self.blocks.len(), self.blocks.iter().map(|(id, _)| id))
    }

    /// The id of an entry that is added at `now_ms` (milliseconds since the epoch).
    #[inline]
    pub fn choose_id(&self, requested: RequestedId, now_ms: u64) -> Result<StreamId, IdRefused> {
        let last = self.last_id;
        if last == StreamId::MAX {
            return Err(IdRefused::Exhausted);
        }
        let id = match requested {
            RequestedId::Exact(id) => id,
            RequestedId::Next if now_ms > last.milliseconds => StreamId::new(now_ms, 0),
            RequestedId::Next => last.next().ok_or(IdRefused::Exhausted)?,
            RequestedId::NextAt(milliseconds) if milliseconds == last.milliseconds => {
                StreamId::new(milliseconds, last.sequence.checked_add(1).ok_or(IdRefused::TooSmall)?)
            }
            RequestedId::NextAt(milliseconds) => StreamId::new(milliseconds, 0),
        };
        if id > last {
            Ok(id)
        } else {
            Err(IdRefused::TooSmall)
        }
    }

    /// Adds an entry. `id` is one that [`Self::choose_id`] gave; `pairs` are fields and values, fewer bytes than
    /// [`super::BLOCK_BYTES_MAX`] in all.
    pub fn append(&mut self, id: StreamId, pairs: &[&[u8]], limits: BlockLimits) {
        debug_assert!(id > self.last_id && pairs.len() % 2 == 0);
        match self.blocks.last_mut() {
            Some((own, block)) if block.fits(pairs, limits) => block.append(own, id, pairs),
            _ => self.blocks.push_back(id, Block::new(pairs)),
        }
        if self.length == 0 {
            self.first_id = id;
        }
        self.length += 1;
        self.entries_added += 1;
        self.last_id = id;
    }

    /// The block that would have an id, with its own id.
    fn block_of(&self, id: StreamId) -> Option<(StreamId, &Block)> {
        self.blocks.holding(id)
    }

    /// A live entry.
    #[inline]
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (own, block) = self.block_of(id)?;
        block.entries(own).find(|entry| entry.id >= id).filter(|entry| entry.id == id && !entry.is_deleted())
    }

    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// Live entries from `start` to `end`, both included.
    #[inline]
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(&self.blocks, start, end)
    }

    /// The same, last first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack::new(&self.blocks, start, end)
    }

    /// The last entry's id; zero without entries.
    pub fn last_live_id(&self) -> StreamId {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// Deletes an entry; false if there is none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((own, block)) = self.blocks.holding_mut(id) else { return false };
        let Some(entry) = block.entries(own).find(|entry| entry.id >= id) else { return false };
        if entry.id != id || entry.is_deleted() {
            return false;
        }
        let offset = entry.offset();
        block.mark_deleted(offset);
        if block.count_deleted(1) <= 0 {
            self.blocks.remove(own);
        }
        self.length -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    /// Looks for the first entry again.
    pub(super) fn find_first(&mut self) {
        self.first_id = self.range(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id);
    }

    pub(super) fn allocated_bytes(&self, samples: usize) -> usize {
        let bytes: usize = self.blocks.iter().take(samples).map(|(_, block)| block.listpack().allocated_bytes()).sum();
        scaled(bytes, self.blocks.len(), samples) + self.blocks.index_bytes()
    }
}
