//! A snapshot that is sent to replicas while it is taken, without a file: the way of its bytes from the thread that writes it to the
//! one that feeds replicas.
//!
//! Nobody knows its length, so it is announced by 40 bytes that come behind it. All its replicas read it where they are, and it
//! is no further ahead of the slowest of them than [`WAITING_BYTES_MAX`] and a chunk: the writer, which holds nothing, waits for that
//! one, and the walks through the shards stop for the writer. The feeder never waits here: it takes what there is. A replica that
//! has gone is waited for no longer, and when all have, the writer is told so and gives the snapshot up.
//!
//! A pipe for each replica, as Redis has one for all, would copy the bytes once more for each and could not be told whose turn
//! it is.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sherd_shards::persistence::destination::Destination;

use super::chunks::{Chunk, Chunks};

/// Bytes that may wait for the slowest replica.
const WAITING_BYTES_MAX: u64 = if cfg!(test) { 1 << 10 } else { 4 << 20 };

/// Wakes who feeds replicas.
pub type Bell = Box<dyn Fn() + Send + Sync>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Going,
    /// Everything was written, the mark at the end as well.
    Complete,
    /// The rest will never come.
    Failed,
}

struct State {
    chunks: Chunks,
    progress: Progress,
}

struct Transfer {
    mark: Vec<u8>,
    state: Mutex<State>,
    /// A replica has got on, or has gone.
    moved: Condvar,
    bell: Bell,
}

impl Transfer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins one for some replicas, by their clients' ids; `mark` is what its end is known by.
pub fn begin(mark: Vec<u8>, ids: &[u64], bell: Bell) -> (TransferWriter, Vec<TransferReader>) {
    let mut chunks = Chunks::default();
    ids.iter().for_each(|&id| chunks.add_reader(id, 0));
    let state = Mutex::new(State { chunks, progress: Progress::Going });
    let transfer = Arc::new(Transfer { mark, state, moved: Condvar::new(), bell });
    let readers = ids.iter().map(|&id| TransferReader { transfer: Arc::clone(&transfer), id }).collect();
    (TransferWriter(transfer), readers)
}

/// The end of it that the snapshot is written into.
pub struct TransferWriter(Arc<Transfer>);

fn all_gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "all of its replicas have gone")
}

impl Destination for TransferWriter {
    fn await_room(&mut self, at_most: Duration) -> io::Result<bool> {
        let is_full = |state: &State| state.chunks.end - state.chunks.begin >= WAITING_BYTES_MAX;
        let mut state = self.0.state();
        if is_full(&state) && !at_most.is_zero() {
            // The readers notify under the lock, so nothing they do is missed.
            state = self.0.moved.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0;
        }
        match state.chunks.readers() {
            0 => Err(all_gone()),
            _ => Ok(!is_full(&state)),
        }
    }

    fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut state = self.0.state();
        state.chunks.push(bytes);
        // Nothing is kept for those who have gone.
        state.chunks.trim(0);
        drop(state);
        (self.0.bell)();
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        let mut state = self.0.state();
        if state.chunks.readers() == 0 {
            return Err(all_gone());
        }
        // Together: who has sent the mark knows that this was the end.
        state.chunks.push(self.0.mark.clone());
        state.progress = Progress::Complete;
        drop(state);
        (self.0.bell)();
        Ok(())
    }
}

impl Drop for TransferWriter {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.progress == Progress::Going {
            state.progress = Progress::Failed;
        }
        drop(state);
        (self.0.bell)();
    }
}

/// What is next for a replica.
pub enum Next {
    /// A chunk, and how much of it it has.
    Bytes(Chunk, usize),
    /// Nothing yet.
    Nothing,
    /// It has everything.
    End,
    Failed,
}

/// A replica's place in it, which ends with this.
pub struct TransferReader {
    transfer: Arc<Transfer>,
    pub id: u64,
}

impl TransferReader {
    /// What comes before the snapshot's bytes.
    pub fn announcement(&self) -> Vec<u8> {
        [b"$EOF:", self.transfer.mark.as_slice(), b"\r\n"].concat()
    }

    pub fn next(&self) -> Next {
        let state = self.transfer.state();
        match (state.progress, state.chunks.next(self.id)) {
            // Of no use, however much of it there is.
            (Progress::Failed, _) => Next::Failed,
            (_, Some((chunk, from))) => Next::Bytes(chunk, from),
            (Progress::Complete, None) => Next::End,
            (Progress::Going, None) => Next::Nothing,
        }
    }

    /// The replica was sent some more.
    pub fn advance(&self, count: usize) {
        let mut state = self.transfer.state();
        state.chunks.advance(self.id, count);
        state.chunks.trim(0);
        self.transfer.moved.notify_one();
    }

    /// Whether others get the same, and no more than this one lets them.
    pub fn is_shared(&self) -> bool {
        self.transfer.state().chunks.readers() > 1
    }
}

impl Drop for TransferReader {
    fn drop(&mut self) {
        let mut state = self.transfer.state();
        state.chunks.remove_reader(self.id);
        state.chunks.trim(0);
        self.transfer.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn silent() -> Bell {
        Box::new(|| {})
    }

    /// All that there is for a reader at the moment.
    fn read(reader: &TransferReader) -> Vec<u8> {
        let mut all = Vec::new();
        while let Next::Bytes(chunk, from) = reader.next() {
            all.extend_from_slice(&chunk.bytes[from..]);
            reader.advance(chunk.bytes.len() - from);
        }
        all
    }

    #[test]
    fn every_replica_gets_all_bytes_and_the_mark_behind_them() {
        let (mut writer, readers) = begin(b"mark".to_vec(), &[1, 2], silent());
        assert_eq!(readers[0].announcement(), b"$EOF:mark\r\n");
        writer.write(b"abc".to_vec()).unwrap();
        assert_eq!(read(&readers[0]), b"abc");
        assert!(matches!(readers[0].next(), Next::Nothing));
        writer.write(b"d".to_vec()).unwrap();
        writer.complete().unwrap();
        drop(writer);
        assert_eq!(read(&readers[0]), b"dmark");
        assert_eq!(read(&readers[1]), b"abcdmark");
        assert!(readers.iter().all(|reader| matches!(reader.next(), Next::End)));
    }

    #[test]
    fn the_writer_has_room_again_when_the_slowest_replica_gets_on_or_goes() {
        let (mut writer, mut readers) = begin(Vec::new(), &[1, 2, 3], silent());
        writer.write(vec![0; WAITING_BYTES_MAX as usize]).unwrap();
        read(&readers[0]);
        read(&readers[1]);
        assert!(!writer.await_room(Duration::ZERO).unwrap());
        drop(readers.pop());
        assert!(writer.await_room(Duration::ZERO).unwrap());
        assert_eq!(writer.0.state().chunks.bytes(), 0, "nothing is kept that all have");
    }

    #[test]
    fn a_snapshot_without_replicas_is_given_up_and_keeps_nothing() {
        let (mut writer, readers) = begin(Vec::new(), &[1], silent());
        drop(readers);
        writer.write(vec![0; 100]).unwrap();
        assert_eq!(writer.0.state().chunks.bytes(), 0);
        assert_eq!(writer.await_room(LONG).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(writer.complete().is_err());
    }

    #[test]
    fn replicas_learn_of_a_snapshot_that_was_not_completed() {
        let (mut writer, readers) = begin(b"mark".to_vec(), &[1], silent());
        writer.write(b"abc".to_vec()).unwrap();
        drop(writer);
        assert!(matches!(readers[0].next(), Next::Failed));
    }

    /// One thread writes, another one feeds readers of different speeds, of which some go in the middle.
    #[test]
    fn nothing_is_lost_between_threads_and_nobody_waits_for_ever() {
        for seed in 0..20_usize {
            let bells = Arc::new(AtomicUsize::new(0));
            let rung = Arc::clone(&bells);
            let feeder = std::thread::current();
            let bell = Box::new(move || {
                rung.fetch_add(1, Ordering::SeqCst);
                feeder.unpark();
            });
            let (mut writer, readers) = begin(b"mark".to_vec(), &[1, 2, 3], bell);
            let writing = std::thread::spawn(move || {
                let mut written = Vec::new();
                for number in 0..400 {
                    while !writer.await_room(LONG).unwrap() {}
                    let bytes = vec![number as u8; (number * 7 + seed) % 300 + 1];
                    written.extend_from_slice(&bytes);
                    writer.write(bytes).unwrap();
                    assert!(writer.0.state().chunks.bytes() < WAITING_BYTES_MAX as usize + 300);
                }
                writer.complete().unwrap();
                written
            });
            // How much each takes in a turn, and when the last one goes.
            let (shares, stays) = ([1 + seed * 11, 1000, 1 + seed], 20 + seed * 3);
            let mut links: Vec<_> =
                readers.into_iter().zip(shares).map(|(reader, share)| (reader, share, vec![])).collect();
            let mut turns = 0;
            loop {
                turns += 1;
                if turns == stays {
                    links.truncate(2);
                }
                let mut is_idle = true;
                for (reader, share, got) in &mut links {
                    if let Next::Bytes(chunk, from) = reader.next() {
                        let part = &chunk.bytes[from..];
                        let part = &part[..part.len().min(*share)];
                        got.extend_from_slice(part);
                        reader.advance(part.len());
                        is_idle = false;
                    }
                }
                if turns > stays && links.iter().all(|(reader, ..)| matches!(reader.next(), Next::End)) {
                    break;
                }
                if is_idle {
                    std::thread::park_timeout(LONG);
                }
            }
            let mut expected = writing.join().unwrap();
            expected.extend_from_slice(b"mark");
            assert!(links.iter().all(|(_, _, got)| *got == expected));
            assert!(bells.load(Ordering::SeqCst) > 400);
        }
    }
}
