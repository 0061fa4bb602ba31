//! The latest part of the journal, kept once for all replicas: those that are connected read it where they are, those that come
//! back go on in it.
//!
//! It is a list of chunks that are shared with whoever sends them, so nothing is copied for a replica. Chunks that nobody needs
//! any more go when there is more than `repl-backlog-size`; those that a replica has still to get stay, and how far one may be
//! behind is the business of its output limit ([`crate::replication::feeder`]).

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sherd_shards::journal::{Block, Flushed, Sink};

/// Bytes of a chunk, after which another one is begun.
const CHUNK_BYTES: usize = 64 << 10;
/// How long the journal's thread waits for more, which costs the writers less than waking it for everything.
const GATHER: Duration = Duration::from_micros(200);

/// Bytes of the journal from an offset on.
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

#[derive(Default)]
struct State {
    chunks: VecDeque<Chunk>,
    begin: u64,
    end: u64,
    /// Where readers are, by the ids of their clients.
    readers: HashMap<u64, u64>,
}

impl State {
    /// Frees what is neither wanted by a reader nor within so many bytes of the end.
    fn trim(&mut self, size: u64) {
        let needed = self.readers.values().copied().min().unwrap_or(self.end);
        let keep = needed.min(self.end.saturating_sub(size));
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= keep) {
            self.chunks.pop_front();
        }
        self.begin = self.chunks.front().map_or(self.end, |chunk| chunk.begin);
    }

    fn append(&mut self, bytes: &[u8]) {
        match self.chunks.back_mut().and_then(|chunk| Arc::get_mut(&mut chunk.bytes)) {
            Some(last) if last.len() + bytes.len() <= CHUNK_BYTES => last.extend_from_slice(bytes),
            _ => {
                let mut chunk = Vec::with_capacity(bytes.len().max(CHUNK_BYTES / 16));
                chunk.extend_from_slice(bytes);
                self.chunks.push_back(Chunk { begin: self.end, bytes: Arc::new(chunk) });
            }
        }
        self.end += bytes.len() as u64;
    }
}

/// See the file's head.
pub struct Backlog {
    state: Mutex<State>,
    size: AtomicUsize,
    /// Bytes that a reader which cannot be sent anything yet may be behind before writers wait.
    held_bytes_max: AtomicU64,
    /// Readers that wait for their snapshot, whose bytes count as waiting.
    holds: Mutex<Vec<u64>>,
    is_on: AtomicBool,
    /// The database that a primary's stream has selected where it was applied last; -1 where there is none.
    stream_database: AtomicI64,
    /// Tells whoever sends that there is something.
    bell: Box<dyn Fn() + Send + Sync>,
}

impl Backlog {
    /// An empty one, of which nothing is kept until it is on.
    pub fn new(bell: Box<dyn Fn() + Send + Sync>) -> Backlog {
        Backlog {
            state: Mutex::default(),
            size: AtomicUsize::new(0),
            held_bytes_max: AtomicU64::new(u64::MAX),
            holds: Mutex::default(),
            is_on: AtomicBool::new(false),
            stream_database: AtomicI64::new(-1),
            bell,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, Vec<u64>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew at an offset, or ends.
    pub fn restart(&self, offset: u64, on: bool) {
        let mut state = self.state();
        state.chunks.clear();
        (state.begin, state.end) = (offset, offset);
        if !on {
            state.readers.clear();
        }
        self.is_on.store(on, Ordering::SeqCst);
    }

    /// Says which database a primary's stream has selected; `None` where there is no primary.
    pub fn set_stream_database(&self, database: Option<u16>) {
        self.stream_database.store(database.map_or(-1, i64::from), Ordering::SeqCst);
    }

    /// What was said last.
    pub fn stream_database(&self) -> Option<u16> {
        u16::try_from(self.stream_database.load(Ordering::SeqCst)).ok()
    }

    /// Whether the journal is kept.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    /// `repl-backlog-size`.
    pub fn set_size(&self, bytes: usize) {
        self.size.store(bytes, Ordering::Relaxed);
        self.state().trim(bytes as u64);
    }

    /// How much writers may write before they wait for a replica that is being sent a snapshot.
    pub fn set_held_bytes_max(&self, bytes: u64) {
        self.held_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// The offsets of its first byte and behind its last one.
    pub fn range(&self) -> (u64, u64) {
        let state = self.state();
        (state.begin, state.end)
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.state().chunks.iter().map(|chunk| chunk.bytes.capacity()).sum()
    }

    /// Keeps what a reader needs from a position on; false if that is not all there any more, or not yet.
    pub fn add_reader(&self, reader: u64, position: u64) -> bool {
        let mut state = self.state();
        let is_there = self.is_on() && (state.begin..=state.end).contains(&position);
        if is_there {
            state.readers.insert(reader, position);
        }
        is_there
    }

    /// Says that a reader gets nothing yet, so that writers are held back instead of cutting it; or that it does.
    pub fn hold(&self, reader: u64, hold: bool) {
        let mut holds = self.holds();
        holds.retain(|other| *other != reader);
        if hold {
            holds.push(reader);
        }
    }

    /// Keeps nothing for a reader any more.
    pub fn remove_reader(&self, reader: u64) {
        self.hold(reader, false);
        let mut state = self.state();
        state.readers.remove(&reader);
        state.trim(self.size.load(Ordering::Relaxed) as u64);
    }

    /// The chunk in which a reader is, and how much of it it has.
    pub fn next(&self, reader: u64) -> Option<(Chunk, usize)> {
        let state = self.state();
        let position = *state.readers.get(&reader)?;
        let at = state.chunks.partition_point(|chunk| chunk.end() <= position);
        let chunk = state.chunks.get(at)?;
        Some((chunk.clone(), (position - chunk.begin) as usize))
    }

    /// A reader has got some more.
    pub fn advance(&self, reader: u64, count: usize) {
        let mut state = self.state();
        if let Some(position) = state.readers.get_mut(&reader) {
            *position += count as u64;
        }
        state.trim(self.size.load(Ordering::Relaxed) as u64);
    }

    /// Bytes that a reader has still to get.
    pub fn behind(&self, reader: u64) -> u64 {
        let state = self.state();
        state.readers.get(&reader).map_or(0, |position| state.end - position)
    }

    /// Bytes that are only kept as a replica has still to get them.
    fn bytes_beyond_size(&self) -> usize {
        let state = self.state();
        let kept = usize::try_from(state.end - state.begin).unwrap_or(usize::MAX);
        kept.saturating_sub(self.size.load(Ordering::Relaxed))
    }

    /// Bytes beyond what may wait for those who get nothing yet.
    fn waiting_bytes(&self) -> usize {
        let max = self.held_bytes_max.load(Ordering::Relaxed);
        let holds = self.holds();
        let behind = holds.iter().map(|&reader| self.behind(reader)).max().unwrap_or(0);
        usize::try_from(behind.saturating_sub(max)).unwrap_or(usize::MAX)
    }
}

/// The backlog as the journal sees it.
pub struct BacklogSink(pub Arc<Backlog>);

impl Sink for BacklogSink {
    fn take(&mut self, block: &Block<'_>) {
        if block.files_only {
            return;
        }
        let mut state = self.0.state();
        debug_assert!(state.end == block.offset, "the journal has no gaps");
        state.append(block.bytes);
        state.trim(self.0.size.load(Ordering::Relaxed) as u64);
    }

    fn flush(&mut self) -> Flushed {
        (self.0.bell)();
        let pending_bytes = self.0.waiting_bytes();
        // Whether it is less by then is nobody's to tell but this.
        let again_in = (pending_bytes > 0).then_some(Duration::from_millis(10));
        let buffer_bytes = self.0.bytes_beyond_size();
        Flushed { pending_bytes, buffer_bytes, is_durable: true, again_in, gather: GATHER }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(offset: u64, bytes: &[u8]) -> Block<'_> {
        Block { offset, database: None, bytes, links_only: false, files_only: false }
    }

    fn backlog(size: usize) -> (Arc<Backlog>, BacklogSink) {
        let backlog = Arc::new(Backlog::new(Box::new(|| {})));
        backlog.set_size(size);
        backlog.restart(100, true);
        (Arc::clone(&backlog), BacklogSink(backlog))
    }

    fn read(backlog: &Backlog, reader: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((chunk, from)) = backlog.next(reader) {
            all.extend_from_slice(&chunk.bytes[from..]);
            backlog.advance(reader, chunk.bytes.len() - from);
        }
        all
    }

    #[test]
    fn a_reader_gets_every_byte_from_where_it_begins() {
        let (backlog, mut sink) = backlog(1 << 20);
        sink.take(&block(100, b"abc"));
        assert!(backlog.add_reader(1, 101));
        // A chunk that is being read is left as it is.
        let held = backlog.next(1);
        sink.take(&block(103, b"def"));
        drop(held);
        sink.take(&block(106, b"g"));
        assert_eq!(read(&backlog, 1), b"bcdefg");
        assert_eq!((backlog.behind(1), backlog.range()), (0, (100, 107)));
    }

    #[test]
    fn what_is_not_there_cannot_be_read() {
        let (backlog, mut sink) = backlog(0);
        assert!(!backlog.add_reader(1, 99));
        assert!(backlog.add_reader(1, 100));
        assert!(!backlog.add_reader(2, 101));
        sink.take(&block(100, &[b'x'; CHUNK_BYTES]));
        sink.take(&block(100 + CHUNK_BYTES as u64, b"y"));
        // The first reader still needs the first chunk.
        assert_eq!(backlog.range().0, 100);
        assert_eq!(read(&backlog, 1).len(), CHUNK_BYTES + 1);
        backlog.remove_reader(1);
        assert!(!backlog.add_reader(3, 100));
        assert!(backlog.add_reader(3, backlog.range().1));
    }

    #[test]
    fn who_waits_for_a_snapshot_holds_writers_back() {
        let (backlog, mut sink) = backlog(0);
        backlog.set_held_bytes_max(10);
        assert!(backlog.add_reader(1, 100));
        backlog.hold(1, true);
        sink.take(&block(100, &[b'x'; 15]));
        assert_eq!(sink.flush().pending_bytes, 5);
        backlog.hold(1, false);
        assert_eq!(sink.flush().pending_bytes, 0);
    }
}
