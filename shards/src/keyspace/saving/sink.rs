//! The way of a snapshot's bytes from the shards to the thread that writes the file.
//!
//! Chunks come in any order of the shards, so each begins with its database and ends at the end of an entry. A big entry takes
//! many chunks: while one shard sends such *pieces*, the chunks of all others are held until it has come to its end. So the bytes of
//! one entry are contiguous in the file, and one shard at a time sends pieces.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that may wait for the file; when there are more, the walks stop. Those of what is changed still come.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// See the [module](self).
#[derive(Default)]
pub struct Sink {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Bytes that the file can take at once.
    ready_bytes: AtomicUsize,
    /// Bytes that wait for the end of a big entry.
    held_bytes: AtomicUsize,
    /// Nothing more is wanted: shards go on with their marks only.
    cancelled: AtomicBool,
    pub keys: AtomicU64,
    /// The shard that sends pieces, plus one; 0 if none does.
    in_pieces: AtomicUsize,
    /// By shard: it holds as much of a big entry as it may, and waits until it may send pieces.
    waits: Box<[AtomicBool]>,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    /// Chunks of whole entries that have come between pieces.
    held: VecDeque<Vec<u8>>,
    /// Shards that have not come to their end.
    open: usize,
}

impl Sink {
    /// A way for so many shards.
    pub fn new(shards: usize) -> Arc<Sink> {
        let queue = Mutex::new(Queue { open: shards, ..Queue::default() });
        let waits = (0..shards).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Sink { queue, waits, ..Sink::default() })
    }

    /// Whether the file has so much to take that nothing more is wanted at the moment.
    pub fn is_full(&self) -> bool {
        self.ready_bytes.load(Ordering::SeqCst) >= WAITING_BYTES_MAX
    }

    /// Bytes that wait although there is no room for them: of what was changed before the walks had come to it.
    pub fn excess_bytes(&self) -> usize {
        let waiting = self.ready_bytes.load(Ordering::Relaxed) + self.held_bytes.load(Ordering::Relaxed);
        waiting.saturating_sub(WAITING_BYTES_MAX)
    }

    /// Whether a shard's walk has to stop for now: for the file, or for the shard that sends pieces.
    pub fn stops(&self, shard: usize) -> bool {
        let in_pieces = self.in_pieces.load(Ordering::SeqCst);
        if self.is_cancelled() {
            return false;
        }
        if in_pieces == shard + 1 {
            // Not for what is held: that waits for this shard.
            return self.is_full();
        }
        let held = self.held_bytes.load(Ordering::SeqCst);
        let waits = self.waits.get(shard).is_some_and(|waits| waits.load(Ordering::SeqCst));
        self.ready_bytes.load(Ordering::SeqCst) + held >= WAITING_BYTES_MAX || in_pieces != 0 && waits
    }

    /// Makes the rest of the snapshot go nowhere.
    pub fn cancel(&self) {
        let mut queue = self.lock();
        self.cancelled.store(true, Ordering::SeqCst);
        queue.chunks.clear();
        queue.held.clear();
        self.ready_bytes.store(0, Ordering::SeqCst);
        self.held_bytes.store(0, Ordering::SeqCst);
    }

    /// Whether [`Sink::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// The next bytes, `None` when every shard has come to its end. An empty chunk says that nothing has come for a while.
    pub fn receive(&self, at_most: Duration) -> Option<Vec<u8>> {
        let mut queue = self.lock();
        if queue.chunks.is_empty() && queue.open > 0 {
            let waited = self.filled.wait_timeout(queue, at_most);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match queue.chunks.pop_front() {
            Some(chunk) => {
                self.ready_bytes.fetch_sub(chunk.len(), Ordering::SeqCst);
                Some(chunk)
            }
            None if queue.open == 0 => None,
            None => Some(Vec::new()),
        }
    }

    /// Sends a chunk of whole entries.
    pub(super) fn send(&self, chunk: Vec<u8>, is_last: bool) {
        let mut queue = self.lock();
        queue.open -= usize::from(is_last);
        if self.in_pieces.load(Ordering::SeqCst) == 0 {
            self.push(&mut queue, chunk);
        } else if !chunk.is_empty() && !self.is_cancelled() {
            self.held_bytes.fetch_add(chunk.len(), Ordering::SeqCst);
            queue.held.push_back(chunk);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// A shard that had come to its end has something to send again. Some other shard has not come to its end.
    pub(super) fn reopen(&self) {
        let mut queue = self.lock();
        assert!(queue.open > 0, "a big entry keeps the snapshot of its shard open");
        queue.open += 1;
    }

    /// Whether a shard may send pieces from now on; the last of them goes by [`Sink::end_pieces`].
    pub(super) fn begin_pieces(&self, shard: usize) -> bool {
        // Under the lock, so that no chunk is on its way into the queue that was meant for before.
        let _queue = self.lock();
        let may = self.in_pieces.compare_exchange(0, shard + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if may {
            self.set_waits(shard, false);
        }
        may
    }

    /// Whether a shard waits for [`Sink::begin_pieces`].
    pub(super) fn set_waits(&self, shard: usize, waits: bool) {
        if let Some(place) = self.waits.get(shard) {
            place.store(waits, Ordering::SeqCst);
        }
    }

    /// The entry that comes in pieces is in another shard now.
    pub(super) fn move_pieces(&self, shard: usize) {
        self.in_pieces.store(shard + 1, Ordering::SeqCst);
    }

    pub(super) fn send_piece(&self, piece: Vec<u8>) {
        self.push(&mut self.lock(), piece);
        self.filled.notify_one();
    }

    pub(super) fn end_pieces(&self, last: Vec<u8>) {
        let mut queue = self.lock();
        self.push(&mut queue, last);
        self.in_pieces.store(0, Ordering::SeqCst);
        let held = std::mem::take(&mut queue.held);
        queue.chunks.extend(held);
        self.ready_bytes.fetch_add(self.held_bytes.swap(0, Ordering::SeqCst), Ordering::SeqCst);
        drop(queue);
        self.filled.notify_one();
    }

    fn push(&self, queue: &mut Queue, chunk: Vec<u8>) {
        if !chunk.is_empty() && !self.is_cancelled() {
            self.ready_bytes.fetch_add(chunk.len(), Ordering::SeqCst);
            queue.chunks.push_back(chunk);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sink: &Sink) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| sink.receive(Duration::ZERO).filter(|chunk| !chunk.is_empty())).collect()
    }

    #[test]
    fn pieces_of_one_entry_are_contiguous_and_chunks_between_them_follow() {
        let sink = Sink::new(3);
        sink.send(b"a".to_vec(), false);
        assert!(sink.begin_pieces(1) && !sink.begin_pieces(2));
        sink.send_piece(b"1".to_vec());
        sink.send(b"b".to_vec(), false);
        sink.send(b"c".to_vec(), true);
        sink.send_piece(b"2".to_vec());
        assert_eq!(all(&sink), [b"a", b"1", b"2"]);
        sink.end_pieces(b"3".to_vec());
        sink.send(b"d".to_vec(), true);
        assert_eq!(all(&sink), [b"3", b"b", b"c", b"d"]);
        assert!(sink.begin_pieces(2));
        sink.end_pieces(Vec::new());
        sink.send(Vec::new(), true);
        assert_eq!(sink.receive(Duration::ZERO), None);
    }

    #[test]
    fn what_is_held_stops_everybody_but_the_shard_that_it_waits_for() {
        let sink = Sink::new(2);
        assert!(sink.begin_pieces(1));
        sink.send(vec![0; WAITING_BYTES_MAX], false);
        assert!(sink.stops(0) && !sink.stops(1) && !sink.is_full());
        sink.send_piece(vec![0; WAITING_BYTES_MAX]);
        assert!(sink.stops(1) && sink.is_full());
        all(&sink);
        assert!(sink.stops(0) && !sink.stops(1));
        sink.end_pieces(Vec::new());
        assert!(sink.stops(0) && sink.stops(1), "it is the file's now");
        all(&sink);
        assert!(!sink.stops(0));
    }

    #[test]
    fn a_shard_that_waits_for_its_turn_is_stopped_until_then() {
        let sink = Sink::new(2);
        assert!(sink.begin_pieces(1));
        assert!(!sink.stops(0));
        sink.set_waits(0, true);
        assert!(sink.stops(0));
        sink.end_pieces(Vec::new());
        assert!(!sink.stops(0));
        assert!(sink.begin_pieces(0));
        sink.end_pieces(Vec::new());
        assert!(sink.begin_pieces(1));
        assert!(!sink.stops(0), "it waits no more");
    }
}
