//! Removing entries with regard to groups: trimming, and deleting by id.
//!
//! Trimming goes block by block from the front. A block that goes as a whole is dropped without a look at its entries,
//! which makes trimming about as cheap as adding; in the last block, entries are marked one by one unless an
//! approximate result will do.

use super::block::Block;
use super::id::StreamId;
use super::log::Log;
use super::{Group, Stream};

/// What shall be left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// So many entries.
    Newest(u64),
    /// Entries from this id on.
    From(StreamId),
}

/// What happens to groups' pending entries that refer to a removed entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum References {
    /// They stay, and readers are told that the entry is gone.
    #[default]
    Keep,
    /// They go as well.
    Delete,
    /// An entry is removed only if every group has read and acknowledged it.
    Acknowledged,
}

/// How to trim.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    pub keep: Keep,
    /// Only whole blocks are removed.
    pub approximate: bool,
    /// Stop before more entries than this are removed; 0 is no limit.
    pub limit: u64,
    pub references: References,
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// There was none.
    Missing,
    Deleted,
    /// A group still needs it.
    Referenced,
}

impl Stream {
    /// Deletes an entry by id.
    pub fn delete(&mut self, id: StreamId, references: References) -> Deletion {
        match references {
            References::Keep => {}
            References::Delete => self.forget(id),
            References::Acknowledged => {
                if self.log.contains(id) && self.is_referenced(id) {
                    return Deletion::Referenced;
                }
            }
        }
        if self.log.delete(id) {
            Deletion::Deleted
        } else {
            Deletion::Missing
        }
    }

    /// Whether a group has not read an entry, or not acknowledged it.
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| needs(group, id))
    }

    /// Removes every group's reference to an entry.
    fn forget(&mut self, id: StreamId) {
        for (name, group) in &mut self.groups {
            if group.find_pending(id).is_some() {
                self.log.blocks.walking.before_lending(name, group);
                group.acknowledge(id);
            }
        }
    }

    /// Removes entries from the front; gives how many.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        if trim.references == References::Keep || self.groups.is_empty() {
            return self.log.trim(trim);
        }
        let mut removed = 0;
        let mut next = StreamId::MIN;
        while let Some((own, block)) = self.log.blocks.between(next, StreamId::MAX).next() {
            let live = block.live() as u64;
            let past_all = matches!(trim.keep, Keep::From(id) if own >= id);
            if past_all || self.log.is_trimmed(trim) || trim.limit != 0 && removed + live > trim.limit {
                break;
            }
            let whole = self.log.goes_whole(own, block, trim);
            if trim.approximate && !whole {
                break;
            }
            removed += self.trim_referenced(own, trim);
            let Some(after) = own.next() else { break };
            next = after;
            if !whole && trim.references == References::Delete {
                break;
            }
        }
        if removed > 0 {
            self.log.find_first();
        }
        removed
    }

    /// Removes the entries of one block that shall go, looking at each of them.
    fn trim_referenced(&mut self, own: StreamId, trim: &Trim) -> u64 {
        let Some(block) = self.log.blocks.get(own) else { return 0 };
        let mut excess = match trim.keep {
            Keep::Newest(count) => self.log.length.saturating_sub(count),
            Keep::From(_) => u64::MAX,
        };
        let groups = &self.groups;
        let mut offsets = Vec::new();
        let mut ids = Vec::new();
        for entry in block.entries(own).filter(|entry| !entry.is_deleted()) {
            let stays = match trim.keep {
                Keep::Newest(_) => excess == 0,
                Keep::From(id) => entry.id >= id,
            };
            if stays {
                break;
            }
            if trim.references == References::Acknowledged && groups.values().any(|group| needs(group, entry.id)) {
                continue;
            }
            excess -= 1;
            offsets.push(entry.offset());
            ids.push(entry.id);
        }
        if trim.references == References::Delete {
            ids.iter().for_each(|&id| self.forget(id));
        }
        self.log.delete_marked(own, &offsets);
        ids.len() as u64
    }
}

/// Whether a group has not read an entry, or not acknowledged it.
fn needs(group: &Group, id: StreamId) -> bool {
    group.last_id < id || group.find_pending(id).is_some()
}

impl Log {
    fn is_trimmed(&self, trim: &Trim) -> bool {
        matches!(trim.keep, Keep::Newest(count) if self.length <= count)
    }

    /// Whether every live entry of a block shall go.
    fn goes_whole(&self, own: StreamId, block: &Block, trim: &Trim) -> bool {
        match trim.keep {
            Keep::Newest(count) => self.length.saturating_sub(block.live() as u64) >= count,
            Keep::From(id) => block.last_id(own) < id,
        }
    }

    /// [`Stream::trim`] without regard to groups.
    fn trim(&mut self, trim: &Trim) -> u64 {
        let mut removed = 0;
        while let Some((own, block)) = self.blocks.iter().next() {
            let live = block.live() as u64;
            if self.is_trimmed(trim) || trim.limit != 0 && removed + live > trim.limit {
                break;
            }
            if self.goes_whole(own, block, trim) {
                self.blocks.remove(own);
                self.length -= live;
                removed += live;
                continue;
            }
            if !trim.approximate {
                removed += self.trim_within(own, trim.keep);
            }
            break;
        }
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    /// Removes the first entries of the first block. It stays even if deleted ones are all that is left, as in Redis: an
    /// entry at its end was deleted before, and the next trim takes the block.
    fn trim_within(&mut self, own: StreamId, keep: Keep) -> u64 {
        let Some(block) = self.blocks.get(own) else { return 0 };
        let live = block.entries(own).filter(|entry| !entry.is_deleted());
        let offsets: Vec<usize> = match keep {
            Keep::Newest(count) => {
                let excess = self.length.saturating_sub(count);
                live.take(usize::try_from(excess).unwrap_or(usize::MAX)).map(|entry| entry.offset()).collect()
            }
            Keep::From(id) => live.take_while(|entry| entry.id < id).map(|entry| entry.offset()).collect(),
        };
        self.mark_deleted(own, &offsets);
        offsets.len() as u64
    }

    /// Deletes live entries of one block by their offsets, in their order. The block goes with the last of them.
    fn delete_marked(&mut self, own: StreamId, offsets: &[usize]) {
        if self.mark_deleted(own, offsets) <= 0 {
            self.blocks.remove(own);
        }
    }

    /// Marks live entries of one block as deleted; gives how many are left in it.
    fn mark_deleted(&mut self, own: StreamId, offsets: &[usize]) -> i64 {
        let Some(block) = self.blocks.get_mut(own) else { return 0 };
        // From the back, so that a mark never moves an entry that is still to be marked.
        for &offset in offsets.iter().rev() {
            block.mark_deleted(offset);
        }
        self.length -= offsets.len() as u64;
        block.count_deleted(offsets.len() as i64)
    }
}
