//! What others may know of the append-only file that is being written (`persistence/append_file.rs`).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// What others may know of the file.
#[derive(Default)]
pub struct Status {
    /// Bytes of the increment that is being written, and of everything before it that the manifest names.
    pub size: AtomicU64,
    pub size_before: AtomicU64,
    /// Bytes that could not be written yet.
    pub pending_bytes: AtomicU64,
    /// The journal up to here was written, and synced.
    pub written_offset: AtomicU64,
    pub synced_offset: AtomicU64,
    /// Why the last write or sync has failed: an error number, 0 if it has not.
    pub write_error: AtomicI64,
    /// A sync has failed: only a new base makes the file trustworthy again.
    pub needs_base: AtomicBool,
    /// Syncs that were due while the one before had not ended.
    pub delayed_syncs: AtomicU64,
    /// A sync is being done by the thread for that.
    pub is_syncing: AtomicBool,
    /// A rewrite is on its way: see `no-appendfsync-on-rewrite`.
    pub is_rewriting: AtomicBool,
}

impl Status {
    pub(crate) fn fail(&self, error: &io::Error) {
        self.write_error.store(i64::from(error.raw_os_error().unwrap_or(5)), Ordering::SeqCst);
    }

    /// A sync has failed: what the kernel has dropped is not told by a later one.
    pub(crate) fn distrust(&self, error: &io::Error) {
        self.fail(error);
        self.needs_base.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.write_error.load(Ordering::SeqCst) != 0 || self.needs_base.load(Ordering::SeqCst)
    }
}
