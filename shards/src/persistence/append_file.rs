//! The append-only file as a sink of the journal: the increment that is being written, and when it is synced.
//!
//! Everything is written by the journal's thread, once a round. Under `always` it syncs there as well: all that has come while one
//! sync lasted is made durable by the next (group commit), and only replies wait for it. Under `everysec` a thread of its own
//! syncs, so that a slow disk holds up neither the journal nor replicas.
//!
//! **What fails.** A write that fails leaves its bytes here, in order, and is tried again; a write that was cut short goes on
//! where it stopped, and a loader cuts a torn end off. A sync that fails is another matter: the kernel may have dropped what it
//! could not write and says so once. From then on the file is not trusted: nothing counts as durable until a rewrite has put a
//! new base in its place ([`AppendFile::switch`], then [`AppendFile::base_is_durable`]). In both cases writes are refused
//! meanwhile, readers go on, and replies that were held back stay so.

use std::any::Any;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

pub use crate::journal::append_status::Status;
use crate::journal::{Audience, Block, Flushed, Sink};
use crate::server::pause::Refusal;
use crate::server::settings::SyncPolicy;
use crate::server::world::World;
use crate::threads;

/// How often a write or a sync that has failed is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(200);
/// How often the file is synced under `everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long the journal may gather where nobody waits for the file.
const GATHER: Duration = Duration::from_millis(2);
/// Bytes written at a time: so much of a big buffer is dropped when it was written.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// What a file does; tests have theirs fail.
pub trait Storage: Send + Sync {
    /// Appends some of the bytes.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes everything that was written durable.
    fn sync(&self) -> io::Result<()>;
}

impl Storage for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A sync for the thread that does them: what is to be synced, and how far it was written.
type SyncOrder = (Arc<dyn Storage>, u64);

/// See the [module](self).
pub struct AppendFile {
    world: Arc<World>,
    file: Arc<dyn Storage>,
    status: Arc<Status>,
    /// What is to be written, and the journal's offset behind it.
    buffer: Vec<u8>,
    offset: u64,
    /// The journal's offset at the last switch, up to which a base has everything.
    base_offset: u64,
    /// Something was written since the last sync began.
    is_unsynced: bool,
    last_sync: Instant,
    /// The second of the last time mark.
    marked_second: i64,
    syncs: mpsc::SyncSender<SyncOrder>,
    /// What was said to [`crate::server::pause::Pause::refuse_writes`].
    refuses: bool,
    /// Files before the last switch and what they have not taken, oldest first, until a new base makes them void. Several where
    /// one rewrite after the other has failed, as on a disk that stays full.
    old: VecDeque<Unwritten>,
}

/// A file, and what is still to be written to it.
struct Unwritten {
    file: Arc<dyn Storage>,
    buffer: Vec<u8>,
}

impl AppendFile {
    /// A file that is being appended to and has `size` bytes. Fails if there can be no thread that syncs it.
    pub fn new(world: Arc<World>, file: Arc<dyn Storage>, size: u64, status: Arc<Status>) -> io::Result<AppendFile> {
        let (syncs, orders) = mpsc::sync_channel(1);
        let of_thread = Arc::clone(&status);
        threads::start("sherd-sync", move || sync_in_background(&orders, &of_thread))?;
        status.size.store(size, Ordering::Relaxed);
        Ok(AppendFile {
            world,
            file,
            status,
            buffer: Vec::new(),
            offset: 0,
            base_offset: 0,
            is_unsynced: false,
            last_sync: Instant::now(),
            marked_second: 0,
            syncs,
            refuses: false,
            old: VecDeque::new(),
        })
    }

    /// Says where in the journal the file begins, and whether what was before that is on disk.
    pub fn begin_at(&mut self, offset: u64, is_on_disk: bool) {
        (self.offset, self.base_offset) = (offset, offset);
        self.status.written_offset.store(offset, Ordering::Release);
        if is_on_disk {
            self.status.synced_offset.store(offset, Ordering::Release);
        }
    }

    /// Goes on in another file, which is empty, with everything from now on; what came before is in the old one, and synced.
    pub fn switch(&mut self, file: Arc<dyn Storage>) {
        self.write_buffer();
        // Whatever the policy: nobody will have this file any more when all is to be on disk.
        if self.is_unsynced && !self.status.needs_base.load(Ordering::SeqCst) {
            self.sync();
        }
        // What could not be written is in the base that is being made. Should that fail, it is still missing here.
        if !self.buffer.is_empty() {
            self.old.push_back(Unwritten { file: Arc::clone(&self.file), buffer: std::mem::take(&mut self.buffer) });
        }
        let before = self.status.size.swap(0, Ordering::Relaxed);
        self.status.size_before.fetch_add(before, Ordering::Relaxed);
        self.file = file;
        self.base_offset = self.offset;
        self.is_unsynced = false;
        self.marked_second = 0;
    }

    /// A new base has come in the place of all that was before the last switch.
    pub fn base_is_durable(&mut self, base_bytes: u64) {
        self.status.size_before.store(base_bytes, Ordering::Relaxed);
        self.status.synced_offset.fetch_max(self.base_offset, Ordering::AcqRel);
        self.old.clear();
        if self.status.needs_base.swap(false, Ordering::SeqCst) {
            self.status.write_error.store(0, Ordering::SeqCst);
            // What was written since the switch has not been synced.
            self.is_unsynced = true;
        }
    }

    /// Writes and syncs what there is, whatever the policy.
    pub fn sync_now(&mut self) {
        self.write_buffer();
        if self.is_unsynced && !self.status.needs_base.load(Ordering::SeqCst) {
            self.sync();
        }
    }

    /// Writes what there is; whether the file has everything then.
    pub fn write_all(&mut self) -> bool {
        self.write_buffer();
        self.buffer.is_empty() && self.old.is_empty() && !self.status.has_failed()
    }

    fn policy(&self) -> SyncPolicy {
        self.world.settings.sync_policy()
    }

    /// Marks the time where that is wanted, once a second.
    fn mark_time(&mut self) {
        if !self.world.settings.aof_timestamp_enabled.on() {
            return;
        }
        let second = self.world.now_milliseconds() / 1000;
        if second > self.marked_second {
            self.marked_second = second;
            let _ = write!(self.buffer, "#TS:{second}\r\n");
        }
    }

    /// Writes what the files before have not taken; false while they do not take it.
    ///
    /// Nothing comes into a later file before that: so of files that one server leaves, only the last one with anything in it can
    /// end in the middle of a command.
    fn write_old(&mut self) -> bool {
        while let Some(Unwritten { file, buffer }) = self.old.front_mut() {
            while !buffer.is_empty() {
                match file.write(buffer) {
                    Ok(0) => self.status.fail(&io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        buffer.drain(..written);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => self.status.fail(&error),
                }
                return false;
            }
            if let Err(error) = file.sync() {
                self.status.distrust(&error);
            }
            self.old.pop_front();
        }
        true
    }

    /// Writes as much as can be written.
    fn write_buffer(&mut self) {
        if !self.write_old() {
            return;
        }
        let mut done = 0;
        while done < self.buffer.len() {
            let end = self.buffer.len().min(done + WRITE_BYTES_MAX);
            match self.file.write(&self.buffer[done..end]) {
                Ok(0) => return self.keep_rest(done, &io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    done += written;
                    self.status.size.fetch_add(written as u64, Ordering::Relaxed);
                    self.is_unsynced = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.keep_rest(done, &error),
            }
        }
        self.buffer.clear();
        self.buffer.shrink_to(WRITE_BYTES_MAX);
        self.status.written_offset.store(self.offset, Ordering::Release);
        if !self.status.needs_base.load(Ordering::SeqCst) {
            self.status.write_error.store(0, Ordering::SeqCst);
        }
    }

    fn keep_rest(&mut self, done: usize, error: &io::Error) {
        self.buffer.drain(..done);
        self.status.fail(error);
    }

    /// Syncs on this thread; false if that has failed.
    fn sync(&mut self) -> bool {
        self.last_sync = Instant::now();
        match self.file.sync() {
            Ok(()) => {
                self.is_unsynced = false;
                let written = self.status.written_offset.load(Ordering::Acquire);
                self.status.synced_offset.store(written, Ordering::Release);
                true
            }
            Err(error) => {
                self.status.distrust(&error);
                false
            }
        }
    }

    /// Has the file synced in the background if it is time to; returns when to look again.
    fn sync_every_second(&mut self) -> Option<Duration> {
        if !self.is_unsynced {
            return None;
        }
        let since = self.last_sync.elapsed();
        if since < SYNC_EVERY {
            return Some(SYNC_EVERY - since);
        }
        let written = self.status.written_offset.load(Ordering::Acquire);
        if self.status.is_syncing.swap(true, Ordering::SeqCst) {
            self.status.delayed_syncs.fetch_add(1, Ordering::Relaxed);
        } else if self.syncs.try_send((Arc::clone(&self.file), written)).is_ok() {
            self.is_unsynced = false;
        } else {
            self.status.is_syncing.store(false, Ordering::SeqCst);
        }
        self.last_sync = Instant::now();
        self.is_unsynced.then_some(SYNC_EVERY)
    }

    /// What goes to links only is in no file, so there is nothing to be synced where it ends.
    fn pass_what_is_for_others(&self) {
        // In this order: a sync that fails says so before it is over.
        let is_over = !self.is_unsynced && !self.status.is_syncing.load(Ordering::SeqCst);
        if is_over && !self.status.has_failed() && self.buffer.is_empty() && self.old.is_empty() {
            self.status.synced_offset.fetch_max(self.offset, Ordering::AcqRel);
        }
    }

    /// Refuses writes while the file cannot be written, or no longer.
    fn say_state(&mut self) {
        let refuses = self.status.has_failed();
        self.world.journal.set_failure(self.status.write_error.load(Ordering::SeqCst));
        if refuses != self.refuses {
            self.refuses = refuses;
            self.world.pause.refuse_writes(Refusal::JournalFailed, refuses);
        }
    }
}

/// The thread that syncs, until the file is closed.
fn sync_in_background(orders: &mpsc::Receiver<SyncOrder>, status: &Status) {
    while let Ok((file, offset)) = orders.recv() {
        match file.sync() {
            Ok(()) => _ = status.synced_offset.fetch_max(offset, Ordering::AcqRel),
            Err(error) => status.distrust(&error),
        }
        status.is_syncing.store(false, Ordering::SeqCst);
    }
}

impl Sink for AppendFile {
    fn take(&mut self, block: &Block<'_>) {
        self.offset = block.offset + if block.audience == Audience::Files { 0 } else { block.bytes.len() as u64 };
        if block.audience == Audience::Links {
            return;
        }
        self.mark_time();
        self.buffer.extend_from_slice(block.bytes);
    }

    fn flush(&mut self) -> Flushed {
        self.write_buffer();
        let policy = self.policy();
        let spared =
            self.status.is_rewriting.load(Ordering::Relaxed) && self.world.settings.no_appendfsync_on_rewrite.on();
        let mut again_in = None;
        let trusted = !self.status.needs_base.load(Ordering::SeqCst);
        if trusted && self.is_unsynced && !spared {
            match policy {
                SyncPolicy::Always => _ = self.sync(),
                SyncPolicy::EverySecond => again_in = self.sync_every_second(),
                SyncPolicy::No => {}
            }
        }
        self.pass_what_is_for_others();
        self.say_state();
        let old = || self.old.iter().map(|old| &old.buffer);
        let pending = self.buffer.len() + old().map(Vec::len).sum::<usize>();
        self.status.pending_bytes.store(pending as u64, Ordering::Relaxed);
        if self.refuses || self.status.is_syncing.load(Ordering::SeqCst) {
            // What the syncing thread finds out is to be told soon.
            again_in = Some(again_in.map_or(RETRY_EVERY, |other| other.min(RETRY_EVERY)));
        }
        Flushed {
            pending_bytes: pending,
            buffer_bytes: self.buffer.capacity() + old().map(Vec::capacity).sum::<usize>(),
            is_durable: policy != SyncPolicy::Always || !self.refuses && pending == 0,
            again_in,
            gather: if policy == SyncPolicy::Always { Duration::ZERO } else { GATHER },
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Drop for AppendFile {
    /// The end: everything is written and synced, if the disk takes it.
    fn drop(&mut self) {
        self.write_buffer();
        if self.is_unsynced {
            self.sync();
        }
        self.world.journal.set_has_file(false);
        self.world.pause.refuse_writes(Refusal::JournalFailed, false);
    }
}

#[cfg(test)]
#[path = "append_file_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "append_machine_tests.rs"]
mod machine_tests;
