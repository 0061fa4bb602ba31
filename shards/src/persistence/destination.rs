//! Where the bytes of a snapshot go: [`SnapshotFile`] is a file, and who sends them to replicas while they come brings its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes after which what was written is told to the disk, so that the last sync has little left to do.
const SYNC_BYTES: u64 = 4 << 20;

/// See the [module](self). All calls come from the thread that writes the snapshot, which has no shard. One that is dropped before it
/// is complete got a part of a snapshot, which is of no use.
pub trait Destination: Send {
    /// Waits so long at most until more may be written; whether it may. An error says that it never will.
    fn await_room(&mut self, at_most: Duration) -> io::Result<bool>;

    fn write(&mut self, bytes: Vec<u8>) -> io::Result<()>;

    /// Everything was written.
    fn complete(&mut self) -> io::Result<()>;
}

/// A file that gets its name when it is complete and synced. Whatever fails, the one that was there before stays.
pub struct SnapshotFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    /// Sync bit by bit while it is written.
    sync_in_passing: bool,
    unsynced: u64,
    is_complete: bool,
}

impl SnapshotFile {
    /// Opens a temporary file beside `path`.
    pub fn create(path: PathBuf, sync_in_passing: bool) -> io::Result<SnapshotFile> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = folder_of(&path).join(format!("temp-{}-{number}.rdb", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        Ok(SnapshotFile { path, temporary, file, sync_in_passing, unsynced: 0, is_complete: false })
    }
}

impl Destination for SnapshotFile {
    fn await_room(&mut self, _at_most: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.file.write_all(&bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.sync_in_passing && self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.is_complete = true;
        // The new name is on disk only with its folder.
        File::open(folder_of(&self.path))?.sync_all()
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if !self.is_complete {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
