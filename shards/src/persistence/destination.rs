//! Where the bytes of a snapshot go: [`SnapshotFile`] is a file, and who sends them to replicas while they come brings its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{fadvise, Advice};

use crate::threads;

/// Bytes of a file that the system forgets at once: a tenth of a millisecond's work.
const FORGOTTEN_BYTES: u64 = 1 << 20;
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
        forget_cached(&self.path);
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

/// Has the system forget bit by bit what it has in memory of a file whose name goes. Else it does so in one go when the name goes,
/// ten milliseconds for 200 MB, and whoever wakes on the same processor waits. Who reads the file goes on reading what is on disk.
fn forget_cached(path: &Path) {
    // Whatever else has that name, a pipe say, has nothing to forget, and might not let itself be opened.
    let Some(metadata) = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file) else { return };
    let Ok(file) = File::open(path) else { return };
    for offset in (0..metadata.len()).step_by(FORGOTTEN_BYTES as usize) {
        // What cannot be forgotten goes with the name.
        let _ = fadvise(&file, offset, NonZeroU64::new(FORGOTTEN_BYTES), Advice::DontNeed);
        threads::give_way();
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_pipe_by_that_name_is_replaced_and_nobody_waits_for_its_other_end() {
        let folder = std::env::temp_dir().join(format!("sherd-pipe-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("dump.rdb");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        let mut file = SnapshotFile::create(path.clone(), true).expect("a file");
        file.write(b"data".to_vec()).and_then(|()| file.complete()).expect("it is written");
        assert_eq!(fs::read(&path).expect("it is a file"), b"data");
        fs::remove_dir_all(&folder).expect("it is removed");
    }

    #[test]
    fn who_has_the_former_snapshot_open_or_by_another_name_reads_all_of_it() {
        let folder = std::env::temp_dir().join(format!("sherd-destination-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (path, copy) = (folder.join("dump.rdb"), folder.join("copy.rdb"));
        let bytes_of = |seed: u8| (0..3 * FORGOTTEN_BYTES as usize + 7).map(|at| seed ^ at as u8).collect::<Vec<u8>>();
        let save = |bytes: Vec<u8>| {
            let mut file = SnapshotFile::create(path.clone(), true).expect("a file");
            file.write(bytes).and_then(|()| file.complete()).expect("it is written");
        };
        save(bytes_of(1));
        fs::hard_link(&path, &copy).expect("another name");
        let mut reader = File::open(&path).expect("it is there");
        let mut read = vec![0; 1000];
        reader.read_exact(&mut read).expect("its first bytes");
        save(bytes_of(2));
        reader.read_to_end(&mut read).expect("the others");
        assert!(read == bytes_of(1) && fs::read(&copy).expect("the copy") == bytes_of(1));
        assert!(fs::read(&path).expect("the new one") == bytes_of(2));
        assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 2);
        fs::remove_dir_all(&folder).expect("it is removed");
    }
}
