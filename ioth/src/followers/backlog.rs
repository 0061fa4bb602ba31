//! The latest part of the journal, kept once for all replicas: those that are connected read it where they are, those that come
//! back go on in it.
//!
//! It is a list of chunks that are shared with whoever sends them ([`super::chunks`]). Chunks that nobody needs any more go when there is more than `repl-backlog-size`; those that a replica has still to get stay, and how far one may be
//! behind is the business of its output limit ([`crate::replication::feeder`]).

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sherd_shards::journal::{Audience, Block, Flushed, Sink, WAITING_BYTES_MAX};

use super::chunks::{Chunk, Chunks};

/// How long the journal's thread waits for more, which costs the writers less than waking it for everything.
const GATHER: Duration = Duration::from_micros(200);

/// Tells how many bytes of a snapshot wait.
pub type SnapshotBytes = Box<dyn Fn() -> usize + Send + Sync>;

/// See the [module](self).
pub struct Backlog {
    state: Mutex<Chunks>,
    size: AtomicUsize,
    /// Bytes that a reader which cannot be sent anything yet may be behind before writers wait.
    held_bytes_max: AtomicU64,
    /// Writers wait for one of those. Of the journal's thread.
    is_holding: AtomicBool,
    /// Readers that wait for their snapshot, or for what was written since, for which writers wait.
    holds: Mutex<Vec<u64>>,
    /// Bytes of a snapshot that is being taken for readers and waits for them: what clients change is added to it, however
    /// slowly it is sent.
    snapshot: Mutex<Option<SnapshotBytes>>,
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
            is_holding: AtomicBool::new(false),
            holds: Mutex::default(),
            snapshot: Mutex::default(),
            is_on: AtomicBool::new(false),
            stream_database: AtomicI64::new(-1),
            bell,
        }
    }

    fn state(&self) -> MutexGuard<'_, Chunks> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, Vec<u64>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew at an offset, or ends. Where readers are is of no use to them in other bytes: who is one no longer is cut.
    pub fn restart(&self, offset: u64, on: bool) {
        let mut state = self.state();
        state.restart(offset);
        state.remove_all_readers();
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
        self.state().bytes()
    }

    /// Keeps what a reader needs from a position on; false if that is not all there any more, or not yet.
    pub fn add_reader(&self, reader: u64, position: u64) -> bool {
        let mut state = self.state();
        let is_there = self.is_on() && (state.begin..=state.end).contains(&position);
        if is_there {
            state.add_reader(reader, position);
        }
        is_there
    }

    /// Whether what a reader has to get is kept for it.
    pub fn is_reader(&self, reader: u64) -> bool {
        self.state().is_reader(reader)
    }

    /// Whether anything is kept for a reader, which need not be a replica yet.
    pub fn has_readers(&self) -> bool {
        self.state().readers() > 0
    }

    /// Says that a reader gets nothing yet, so that writers are held back instead of cutting it; or that it does.
    pub fn hold(&self, reader: u64, hold: bool) {
        let mut holds = self.holds();
        holds.retain(|other| *other != reader);
        if hold {
            holds.push(reader);
        }
    }

    /// A reader that writers wait for gets bytes now: it is waited for no longer if it is not far behind. Whether that is so.
    pub fn let_go(&self, reader: u64) -> bool {
        let has_caught_up = self.behind(reader) <= self.held_bytes_max.load(Ordering::Relaxed) / 2;
        if has_caught_up {
            self.hold(reader, false);
        }
        has_caught_up
    }

    /// Says what tells how many bytes of a snapshot for readers wait; `None` when it is over.
    pub fn watch_snapshot(&self, bytes: Option<SnapshotBytes>) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    fn snapshot_bytes(&self) -> usize {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |bytes| bytes())
    }

    /// Keeps nothing for a reader any more.
    pub fn remove_reader(&self, reader: u64) {
        self.hold(reader, false);
        let mut state = self.state();
        state.remove_reader(reader);
        state.trim(self.size.load(Ordering::Relaxed) as u64);
    }

    /// The chunk in which a reader is, and how much of it it has.
    pub fn next(&self, reader: u64) -> Option<(Chunk, usize)> {
        self.state().next(reader)
    }

    /// A reader has got some more.
    pub fn advance(&self, reader: u64, count: usize) {
        let mut state = self.state();
        state.advance(reader, count);
        state.trim(self.size.load(Ordering::Relaxed) as u64);
    }

    /// Bytes that a reader has still to get.
    pub fn behind(&self, reader: u64) -> u64 {
        self.state().behind(reader)
    }

    /// Memory that is only taken as a replica has still to get what is in it.
    fn bytes_beyond_size(&self) -> usize {
        self.bytes().saturating_sub(self.size.load(Ordering::Relaxed))
    }

    /// Whether writers are to wait for those who get nothing yet, beside so much of their snapshot. They go on when half of what
    /// may wait has gone.
    fn holds_writers(&self, snapshot: usize) -> bool {
        let max = self.held_bytes_max.load(Ordering::Relaxed);
        let limit = if self.is_holding.load(Ordering::Relaxed) { max / 2 } else { max };
        let holds = self.holds();
        let behind = holds.iter().map(|&reader| self.behind(reader)).max();
        let holds = behind.is_some_and(|behind| behind + snapshot as u64 > limit);
        self.is_holding.store(holds, Ordering::Relaxed);
        holds
    }
}

/// The backlog as the journal sees it.
pub struct BacklogSink(pub Arc<Backlog>);

impl Sink for BacklogSink {
    fn take(&mut self, block: &Block<'_>) {
        if block.audience == Audience::Files {
            return;
        }
        let mut state = self.0.state();
        debug_assert!(state.end == block.offset, "the journal has no gaps");
        state.append(block.bytes);
        state.trim(self.0.size.load(Ordering::Relaxed) as u64);
    }

    fn flush(&mut self) -> Flushed {
        (self.0.bell)();
        let snapshot_bytes = self.0.snapshot_bytes();
        let pending_bytes = if self.0.holds_writers(snapshot_bytes) { WAITING_BYTES_MAX + 1 } else { 0 };
        // Whether it is less by then is nobody's to tell but this.
        let again_in = (pending_bytes > 0).then_some(Duration::from_millis(10));
        let buffer_bytes = self.0.bytes_beyond_size() + snapshot_bytes;
        Flushed { pending_bytes, buffer_bytes, is_durable: true, again_in, gather: GATHER }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::CHUNK_BYTES;
    use super::*;

    fn block(offset: u64, bytes: &[u8]) -> Block<'_> {
        Block { offset, database: None, bytes, audience: Audience::All }
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
        assert!(!backlog.has_readers());
        assert!(backlog.add_reader(1, 100));
        assert!(backlog.has_readers());
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
    fn who_reads_when_it_begins_anew_is_a_reader_no_longer() {
        for offset in [50, 500] {
            let (backlog, mut sink) = backlog(1 << 20);
            sink.take(&block(100, b"abc"));
            assert!(backlog.add_reader(1, 101));
            assert!(backlog.is_reader(1));
            backlog.restart(offset, true);
            sink.take(&block(offset, b"other bytes"));
            assert!(!backlog.is_reader(1));
            assert!(backlog.next(1).is_none());
            assert_eq!(backlog.behind(1), 0);
        }
    }

    #[test]
    fn memory_is_counted_as_it_is_taken() {
        let (backlog, mut sink) = backlog(0);
        assert!(backlog.add_reader(1, 100));
        // Small blocks share a chunk, which takes more than what is in it; a big one has a chunk of its own.
        sink.take(&block(100, b"small"));
        sink.take(&block(105, &[b'x'; 5000]));
        sink.take(&block(5105, &[b'x'; CHUNK_BYTES]));
        let taken = backlog.bytes();
        assert!(taken > 5005 + CHUNK_BYTES, "{taken}");
        assert_eq!(taken, backlog.state().iter().map(|chunk| chunk.bytes.capacity()).sum::<usize>());
        assert_eq!(sink.flush().buffer_bytes, taken);
        backlog.advance(1, 5005 + CHUNK_BYTES);
        sink.take(&block(5105 + CHUNK_BYTES as u64, b"last"));
        assert_eq!(backlog.bytes(), backlog.state().iter().map(|chunk| chunk.bytes.capacity()).sum::<usize>());
        assert!(backlog.bytes() < taken);
    }

    #[test]
    fn who_waits_for_a_snapshot_holds_writers_back() {
        let (backlog, mut sink) = backlog(0);
        backlog.set_held_bytes_max(10);
        assert!(backlog.add_reader(1, 100));
        backlog.hold(1, true);
        sink.take(&block(100, &[b'x'; 10]));
        assert_eq!(sink.flush().pending_bytes, 0);
        sink.take(&block(110, b"x"));
        assert!(sink.flush().pending_bytes > WAITING_BYTES_MAX);
        backlog.hold(1, false);
        assert_eq!(sink.flush().pending_bytes, 0);
    }

    #[test]
    fn writers_wait_until_a_reader_has_half_of_what_was_too_much() {
        let (backlog, mut sink) = backlog(0);
        backlog.set_held_bytes_max(10);
        assert!(backlog.add_reader(1, 100));
        backlog.hold(1, true);
        sink.take(&block(100, &[b'x'; 11]));
        assert!(sink.flush().pending_bytes > 0);
        backlog.advance(1, 5);
        assert!(!backlog.let_go(1));
        assert!(sink.flush().pending_bytes > 0);
        backlog.advance(1, 1);
        assert!(backlog.let_go(1));
        assert_eq!(sink.flush().pending_bytes, 0);
        sink.take(&block(111, &[b'x'; 11]));
        assert_eq!(sink.flush().pending_bytes, 0, "its output limit is its own business now");
    }

    #[test]
    fn a_snapshot_that_waits_for_replicas_holds_writers_back_as_well() {
        let (backlog, mut sink) = backlog(0);
        backlog.set_held_bytes_max(10);
        assert!(backlog.add_reader(1, 100));
        backlog.hold(1, true);
        sink.take(&block(100, b"1234"));
        backlog.watch_snapshot(Some(Box::new(|| 9)));
        let flushed = sink.flush();
        assert!(flushed.pending_bytes > WAITING_BYTES_MAX);
        assert_eq!(flushed.buffer_bytes, backlog.bytes() + 9);
        backlog.watch_snapshot(None);
        assert_eq!(sink.flush().pending_bytes, 0);
    }
}
