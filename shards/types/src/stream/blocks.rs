//! The blocks of a stream in the order of their ids.
//!
//! Ids only rise, so a new block always comes last, and a sorted sequence does: chunks of at most 128 blocks in a
//! deque. An entry is added without a search; a search halves the chunks, then the blocks of one; trimming takes from
//! the front; deleting a block moves half a chunk at most. A block costs 24 bytes beside its entries. In a B-tree that
//! grows in ascending order it costs twice that, as its nodes stay half full.

use std::collections::VecDeque;

use sherd_metrics::memory::size_class;

use super::block::Block;
use super::id::StreamId;
use super::walking::Walking;
use crate::mover::Mover;

const CHUNK_BLOCKS: usize = 128;

type Chunk = VecDeque<(StreamId, Block)>;

/// See the [module](self). No chunk is empty.
#[derive(Clone, Default)]
pub struct Blocks {
    chunks: VecDeque<Chunk>,
    len: usize,
    /// While the stream is saved in slices.
    pub(super) walking: Walking,
}

/// Where a block is: its chunk, and its place there. The end is the first place of the chunk behind the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chunk: usize,
    block: usize,
}

impl Blocks {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Moves blocks of one chunk that are to be moved, up to `limit` from place `at` on, which is counted as if all chunks
    /// were full; where to go on, 0 at the end.
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        let (index, first) = (at / CHUNK_BLOCKS, at % CHUNK_BLOCKS);
        let Some(chunk) = self.chunks.get_mut(index) else { return 0 };
        let end = (first + limit).min(chunk.len());
        chunk.iter_mut().take(end).skip(first).for_each(|(_, block)| block.relocate(mover));
        if end < chunk.len() {
            index * CHUNK_BLOCKS + end
        } else if index + 1 < self.chunks.len() {
            (index + 1) * CHUNK_BLOCKS
        } else {
            0
        }
    }

    /// Adds a block, whose id is after all others.
    pub fn push_back(&mut self, id: StreamId, block: Block) {
        debug_assert!(self.iter().next_back().is_none_or(|(last, _)| last < id));
        self.walking.before_adding(id);
        if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK_BLOCKS) {
            if self.chunks.is_empty() {
                // Most streams have few blocks; a deque would begin with four.
                self.chunks.reserve_exact(1);
            }
            self.chunks.push_back(VecDeque::with_capacity(1));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push_back((id, block));
            self.len += 1;
        }
    }

    /// The last block.
    #[inline]
    pub fn last_mut(&mut self) -> Option<(StreamId, &mut Block)> {
        let (id, block) = self.chunks.back_mut()?.back_mut()?;
        self.walking.before_change(*id, block);
        Some((*id, block))
    }

    /// The block that has an entry of this id if any has: the last one whose own is not after it.
    pub fn holding(&self, id: StreamId) -> Option<(StreamId, &Block)> {
        Some(self.get_at(self.before(self.place_after(id))?))
    }

    /// [`Self::holding`], for changing it.
    pub fn holding_mut(&mut self, id: StreamId) -> Option<(StreamId, &mut Block)> {
        let place = self.before(self.place_after(id))?;
        let (own, block) = &mut self.chunks[place.chunk][place.block];
        self.walking.before_change(*own, block);
        Some((*own, block))
    }

    /// The block of this very id.
    pub fn get(&self, id: StreamId) -> Option<&Block> {
        self.holding(id).filter(|&(own, _)| own == id).map(|(_, block)| block)
    }

    /// [`Self::get`], for changing it.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Block> {
        self.holding_mut(id).filter(|&(own, _)| own == id).map(|(_, block)| block)
    }

    /// Removes the block of this very id, if there is one.
    pub fn remove(&mut self, id: StreamId) {
        let Some(place) = self.before(self.place_after(id)).filter(|&place| self.get_at(place).0 == id) else { return };
        let chunk = &mut self.chunks[place.chunk];
        self.walking.before_change(id, &chunk[place.block].1);
        chunk.remove(place.block);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(place.chunk);
            give_back(&mut self.chunks);
            return;
        }
        give_back(chunk);
        self.join_small_chunks(place.chunk);
    }

    /// Appends the following chunk to this one if both are small, so that removals do not leave a long directory.
    fn join_small_chunks(&mut self, chunk: usize) {
        let next_is_small = self.chunks.get(chunk + 1).is_some_and(|next| next.len() <= CHUNK_BLOCKS / 2);
        if self.chunks[chunk].len() <= CHUNK_BLOCKS / 8 && next_is_small {
            if let Some(mut next) = self.chunks.remove(chunk + 1) {
                self.chunks[chunk].append(&mut next);
            }
        }
    }

    /// All blocks with their ids.
    pub fn iter(&self) -> Between<'_> {
        let end = Place { chunk: self.chunks.len(), block: 0 };
        Between { blocks: self, front: Place { chunk: 0, block: 0 }, back: end }
    }

    /// The blocks whose ids are in the range, the end included.
    pub fn between(&self, start: StreamId, end: StreamId) -> Between<'_> {
        let back = self.place_after(end);
        let mut front = self.place_after(start);
        if let Some(before) = self.before(front).filter(|&before| self.get_at(before).0 == start) {
            front = before;
        }
        Between { blocks: self, front: front.min(back), back }
    }

    /// Bytes of chunks and directory.
    pub fn index_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| size_class(chunk.capacity() * size_of::<(StreamId, Block)>()));
        let directory = self.chunks.capacity() * size_of::<Chunk>();
        chunks.sum::<usize>() + if directory == 0 { 0 } else { size_class(directory) }
    }

    /// Where the first block is whose id is after this one.
    fn place_after(&self, id: StreamId) -> Place {
        let next = self.chunks.partition_point(|chunk| chunk.front().is_some_and(|(own, _)| *own <= id));
        let Some(chunk) = next.checked_sub(1) else { return Place { chunk: 0, block: 0 } };
        let block = self.chunks[chunk].partition_point(|(own, _)| *own <= id);
        if block < self.chunks[chunk].len() {
            Place { chunk, block }
        } else {
            Place { chunk: next, block: 0 }
        }
    }

    fn before(&self, place: Place) -> Option<Place> {
        let Place { chunk, block } = place;
        match block.checked_sub(1) {
            Some(block) => Some(Place { chunk, block }),
            None => {
                let chunk = chunk.checked_sub(1)?;
                Some(Place { chunk, block: self.chunks[chunk].len() - 1 })
            }
        }
    }

    fn after(&self, place: Place) -> Place {
        let Place { chunk, block } = place;
        if block + 1 < self.chunks[chunk].len() {
            Place { chunk, block: block + 1 }
        } else {
            Place { chunk: chunk + 1, block: 0 }
        }
    }

    fn get_at(&self, place: Place) -> (StreamId, &Block) {
        let (id, block) = &self.chunks[place.chunk][place.block];
        (*id, block)
    }
}

/// Returns room that three quarters of a deque do not use.
fn give_back<T>(deque: &mut VecDeque<T>) {
    if deque.len() < deque.capacity() / 4 {
        deque.shrink_to(deque.len() * 2);
    }
}

/// Blocks with their ids, from either end.
#[derive(Clone)]
pub struct Between<'s> {
    blocks: &'s Blocks,
    front: Place,
    back: Place,
}

impl<'s> Iterator for Between<'s> {
    type Item = (StreamId, &'s Block);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let item = self.blocks.get_at(self.front);
        self.front = self.blocks.after(self.front);
        Some(item)
    }
}

impl DoubleEndedIterator for Between<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.blocks.before(self.back)?;
        Some(self.blocks.get_at(self.back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn id(number: u64) -> StreamId {
        StreamId::new(number / 3, number % 3)
    }

    fn ids<'s>(blocks: impl Iterator<Item = (StreamId, &'s Block)>) -> Vec<StreamId> {
        blocks.map(|(id, _)| id).collect()
    }

    /// The same as an ordered map of the standard library, after every tenth of many removals.
    #[test]
    fn blocks_are_found_by_their_ids_whatever_was_removed() {
        let (mut blocks, mut model) = (Blocks::default(), BTreeMap::new());
        for number in 0..1000 {
            blocks.push_back(id(number * 2), Block::new(&[b"f", b"v"]));
            model.insert(id(number * 2), ());
        }
        let mut state = 12345u64;
        for step in 0..1000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let number = state >> 40;
            // First from everywhere, then from the front, as trimming does.
            let gone = if step < 600 { id(number % 2000) } else { *model.keys().next().unwrap_or(&id(0)) };
            blocks.remove(gone);
            model.remove(&gone);
            assert_eq!(blocks.len(), model.len());
            let (start, end) = (id(number % 2000), id(number / 7 % 2000));
            let expected = model.range(..=start).next_back().map(|(&id, ())| id);
            assert_eq!(blocks.holding(start).map(|(id, _)| id), expected);
            assert_eq!(blocks.get(start).is_some(), model.contains_key(&start));
            if step % 10 == 0 {
                assert_eq!(ids(blocks.iter()), model.keys().copied().collect::<Vec<_>>());
                assert_eq!(ids(blocks.iter().rev()), model.keys().rev().copied().collect::<Vec<_>>());
                let expected: Vec<_> = model.keys().copied().filter(|&id| start <= id && id <= end).collect();
                assert_eq!(ids(blocks.between(start, end)), expected);
            }
            assert!(blocks.chunks.iter().all(|chunk| (1..=CHUNK_BLOCKS).contains(&chunk.len())));
        }
        assert!(blocks.chunks.len() <= 4, "small chunks are joined");
    }

    #[test]
    fn a_stream_of_one_block_has_room_for_one() {
        let mut blocks = Blocks::default();
        blocks.push_back(id(1), Block::new(&[b"f", b"v"]));
        assert_eq!(blocks.index_bytes(), size_of::<Chunk>() + size_of::<(StreamId, Block)>());
    }
}
