//! Bytes that several readers read where they are, each at its own position: what [`super::backlog`] and [`super::transfer`] are
//! made of.
//!
//! They are in chunks that are shared with whoever sends them, so nothing is copied for a reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bytes of a chunk, after which another one is begun.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Bytes from an offset on.
#[derive(Clone)]
pub struct Chunk {
    pub begin: u64,
    pub bytes: Arc<Vec<u8>>,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Chunks {
    chunks: VecDeque<Chunk>,
    pub begin: u64,
    pub end: u64,
    /// Memory that the chunks take.
    memory: usize,
    /// Where readers are, by the ids of their clients.
    readers: HashMap<u64, u64>,
}

impl Chunks {
    /// Nothing, from an offset on; readers are where they were.
    pub fn restart(&mut self, offset: u64) {
        self.chunks.clear();
        self.memory = 0;
        (self.begin, self.end) = (offset, offset);
    }

    /// Frees what is neither wanted by a reader nor within so many bytes of the end.
    pub fn trim(&mut self, size: u64) {
        let needed = self.readers.values().copied().min().unwrap_or(self.end);
        let keep = needed.min(self.end.saturating_sub(size));
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= keep) {
            self.memory -= self.chunks.pop_front().map_or(0, |chunk| chunk.bytes.capacity());
        }
        self.begin = self.chunks.front().map_or(self.end, |chunk| chunk.begin);
    }

    /// Adds a copy of some bytes, to the last chunk if nobody is sending that.
    pub fn append(&mut self, bytes: &[u8]) {
        match self.chunks.back_mut().and_then(|chunk| Arc::get_mut(&mut chunk.bytes)) {
            Some(last) if last.len() + bytes.len() <= CHUNK_BYTES => {
                let before = last.capacity();
                last.extend_from_slice(bytes);
                self.memory += last.capacity() - before;
                self.end += bytes.len() as u64;
            }
            _ => {
                let mut chunk = Vec::with_capacity(bytes.len().max(CHUNK_BYTES / 16));
                chunk.extend_from_slice(bytes);
                self.push(chunk);
            }
        }
    }

    /// Adds bytes as a chunk of their own.
    pub fn push(&mut self, bytes: Vec<u8>) {
        let begin = self.end;
        self.end += bytes.len() as u64;
        self.memory += bytes.capacity();
        self.chunks.push_back(Chunk { begin, bytes: Arc::new(bytes) });
    }

    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }

    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.memory
    }

    pub fn add_reader(&mut self, reader: u64, position: u64) {
        self.readers.insert(reader, position);
    }

    pub fn remove_reader(&mut self, reader: u64) {
        self.readers.remove(&reader);
    }

    pub fn remove_all_readers(&mut self) {
        self.readers.clear();
    }

    pub fn is_reader(&self, reader: u64) -> bool {
        self.readers.contains_key(&reader)
    }

    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// The chunk in which a reader is, and how much of it it has.
    pub fn next(&self, reader: u64) -> Option<(Chunk, usize)> {
        let position = *self.readers.get(&reader)?;
        let at = self.chunks.partition_point(|chunk| chunk.end() <= position);
        let chunk = self.chunks.get(at)?;
        Some((chunk.clone(), (position - chunk.begin) as usize))
    }

    /// A reader has got some more.
    pub fn advance(&mut self, reader: u64, count: usize) {
        if let Some(position) = self.readers.get_mut(&reader) {
            *position += count as u64;
        }
    }

    /// Bytes that a reader has still to get.
    pub fn behind(&self, reader: u64) -> u64 {
        self.readers.get(&reader).map_or(0, |position| self.end - position)
    }
}
