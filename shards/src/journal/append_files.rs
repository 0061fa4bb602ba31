//! Which files hold what is appended, for whoever reads them again while the server runs (DEBUG LOADAOF).

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::append_status::Status;
use super::sink::SinkId;

/// See the [module](self); said by whoever begins and rewrites the files.
#[derive(Default)]
pub struct AppendFiles(Mutex<Option<Named>>);

struct Named {
    sink: SinkId,
    status: Arc<Status>,
    /// In the order in which they are loaded.
    paths: Vec<PathBuf>,
    /// They have all data: the first base is on disk.
    are_all: bool,
}

impl AppendFiles {
    fn lock(&self) -> MutexGuard<'_, Option<Named>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink has begun to append, at first to files that do not have all data.
    pub fn begin(&self, sink: SinkId, status: Arc<Status>) {
        *self.lock() = Some(Named { sink, status, paths: Vec::new(), are_all: false });
    }

    /// From now on there is one file more.
    pub fn add(&self, path: PathBuf) {
        if let Some(named) = &mut *self.lock() {
            named.paths.push(path);
        }
    }

    /// These have all data.
    pub fn set_all(&self, paths: Vec<PathBuf>) {
        if let Some(named) = &mut *self.lock() {
            (named.paths, named.are_all) = (paths, true);
        }
    }

    /// Nothing is appended any more.
    pub fn end(&self) {
        *self.lock() = None;
    }

    /// The journal's offset up to which everything is on disk; `None` while the files do not have all data.
    pub fn synced_offset(&self) -> Option<u64> {
        let named = self.lock();
        let named = named.as_ref().filter(|named| named.are_all)?;
        Some(named.status.synced_offset.load(Ordering::Acquire))
    }

    /// The sink that appends, and all files; `None` while they do not have all data.
    pub fn all(&self) -> Option<(SinkId, Vec<PathBuf>)> {
        let named = self.lock();
        named.as_ref().filter(|named| named.are_all).map(|named| (named.sink, named.paths.clone()))
    }
}
