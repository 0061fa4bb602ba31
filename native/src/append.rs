//! The append-only file for the control plane, which decides what its files are called and when they are rewritten.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use sherd_ioth::shared::Shared;
use sherd_shards::journal::{Journal, SinkId};
use sherd_shards::persistence::append_file::{AppendFile, Status};
use sherd_shards::persistence::append_loader::{self, Loaded};
use sherd_shards::persistence::loader::Progress;
use sherd_shards::persistence::mapped;
use sherd_shards::server::world::World;

use crate::check_progress::CheckProgress;

/// The file that is being appended to, if there is one.
#[derive(Default)]
pub struct Append(Mutex<Option<Open>>);

struct Open {
    sink: SinkId,
    status: Arc<Status>,
}

/// A file that is open for appending, and how many bytes it has.
pub struct Increment {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
}

impl Increment {
    /// Opens it, and makes it where it is not there.
    pub fn open(path: &Path) -> io::Result<Increment> {
        let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
        if let Some(folder) = path.parent() {
            // Its name is on disk only with its folder.
            File::open(folder)?.sync_all()?;
        }
        let size = file.metadata()?.len();
        Ok(Increment { path: path.to_owned(), file: Arc::new(file), size })
    }
}

impl Append {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to append to a file, with everything from this moment on; all shards are held, or nobody executes yet.
    ///
    /// Fails where there can be no threads for it. Everything before that is on disk, or, without `has_all`, in a base that is to come.
    pub fn begin(&self, shared: &Shared, increment: Increment, size_before: u64, has_all: bool) -> io::Result<()> {
        let Increment { file, size, .. } = increment;
        let mut append = self.lock();
        let status = Arc::new(Status::default());
        status.size_before.store(size_before, Relaxed);
        let sink = AppendFile::new(Arc::clone(&shared.world), file, size, Arc::clone(&status))?;
        let journal = &shared.world.journal;
        let sink = journal.attach(Box::new(sink), |_| {})?;
        journal.set_has_file(true);
        journal.mark(move |feed| {
            let offset = feed.offset();
            if let Some(sink) = feed.sink::<AppendFile>(sink) {
                sink.begin_at(offset, has_all);
            }
        });
        shared.world.append_files.begin(sink, Arc::clone(&status));
        *append = Some(Open { sink, status });
        Ok(())
    }

    /// Goes on in another file with everything from this moment on, or begins to; all shards are held.
    pub fn go_on_in(&self, shared: &Shared, increment: Increment) -> io::Result<()> {
        let append = self.lock();
        let path = increment.path.clone();
        let Some(Open { sink, status }) = &*append else {
            drop(append);
            self.begin(shared, increment, 0, false)?;
            shared.world.append_files.add(path);
            return Ok(());
        };
        shared.world.append_files.add(path);
        let (sink, file) = (*sink, increment.file);
        status.is_rewriting.store(true, SeqCst);
        shared.world.journal.mark(move |feed| {
            if let Some(sink) = feed.sink::<AppendFile>(sink) {
                sink.switch(file);
            }
            feed.forget_database();
        });
        Ok(())
    }

    /// A rewrite is over; with the size of its base if it has one now.
    pub fn end_rewrite(&self, journal: &Journal, base_bytes: Option<u64>) {
        let append = self.lock();
        let Some(Open { sink, status }) = &*append else { return };
        status.is_rewriting.store(false, SeqCst);
        let sink = *sink;
        // Also without a base: what was not synced for the sake of the rewrite is now.
        journal.mark(move |feed| {
            if let (Some(bytes), Some(sink)) = (base_bytes, feed.sink::<AppendFile>(sink)) {
                sink.base_is_durable(bytes);
            }
        });
    }

    /// Waits until everything so far is written and synced, or the disk refuses it.
    pub fn sync(&self, journal: &Journal) {
        let Some(sink) = self.lock().as_ref().map(|open| open.sink) else { return };
        journal.ask(move |feed| feed.sink::<AppendFile>(sink).map(AppendFile::sync_now));
    }

    /// Writes and syncs everything so far. Where in the journal the file ends then, the database that is selected there, and how many
    /// bytes it has; `None` if there is no file that has everything.
    pub fn place(&self, journal: &Journal) -> Option<(u64, u16, u64)> {
        let (sink, status) = self.lock().as_ref().map(|open| (open.sink, Arc::clone(&open.status)))?;
        let place = journal.ask(move |feed| {
            let (offset, database) = (feed.offset(), feed.database().unwrap_or(0));
            let file = feed.sink::<AppendFile>(sink)?;
            file.sync_now();
            file.write_all().then(|| (offset, database, status.size.load(Relaxed)))
        });
        place.flatten()
    }

    /// Appends nothing more; everything so far is written and synced when this returns.
    pub fn end(&self, world: &World) {
        let Some(Open { sink, .. }) = self.lock().take() else { return };
        let journal = &world.journal;
        world.append_files.end();
        journal.detach(sink, |_, sink| drop(sink));
        // What was asked for later is done later.
        journal.ask(|_| ());
    }

    /// What is known of the file; `None` where there is none.
    pub fn shown<'py>(&self, py: Python<'py>, world: &World) -> PyResult<Option<Bound<'py, PyDict>>> {
        let append = self.lock();
        let Some(Open { status, .. }) = &*append else { return Ok(None) };
        let shown = PyDict::new(py);
        shown.set_item("size", status.size.load(Relaxed) + status.size_before.load(Relaxed))?;
        shown.set_item("increment", status.size.load(Relaxed))?;
        shown.set_item("pending", status.pending_bytes.load(Relaxed))?;
        shown.set_item("written", status.written_offset.load(Relaxed))?;
        // Without its base the rest is worth nothing.
        shown.set_item("synced", world.append_files.synced_offset())?;
        shown.set_item("error", status.write_error.load(SeqCst))?;
        shown.set_item("needs_base", status.needs_base.load(SeqCst))?;
        shown.set_item("delayed_syncs", status.delayed_syncs.load(Relaxed))?;
        shown.set_item("syncing", status.is_syncing.load(SeqCst))?;
        Ok(Some(shown))
    }
}

/// Loads one file of an append-only directory into the shards.
pub fn load(shared: &Shared, progress: &Progress, path: &Path) -> io::Result<Loaded> {
    let Some(map) = mapped::open(path)? else { return Ok(Loaded::default()) };
    Ok(append_loader::load(&shared.engine, &map, progress))
}

/// What was loaded or found, as a dictionary whose form the stub tells.
pub fn loaded<'py>(py: Python<'py>, loaded: &Loaded) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("commands", loaded.commands)?;
    shown.set_item("keys", loaded.keys)?;
    let functions: Vec<_> = loaded.functions.iter().map(|source| PyBytes::new(py, source)).collect();
    shown.set_item("functions", functions)?;
    let args = |args: &[Vec<u8>]| args.iter().map(|arg| PyBytes::new(py, arg)).collect::<Vec<_>>();
    let others: Vec<_> = loaded.others.iter().map(|other| (other.db, args(&other.args))).collect();
    shown.set_item("others", others)?;
    shown.set_item("valid", loaded.valid_bytes)?;
    shown.set_item("failed", loaded.failed)?;
    shown.set_item("first_error", loaded.first_error.as_deref())?;
    shown.set_item("truncated", loaded.is_truncated)?;
    shown.set_item("size", loaded.size)?;
    shown.set_item("snapshot", loaded.has_snapshot)?;
    shown.set_item("late", loaded.late_offset)?;
    let fault = loaded
        .fault
        .as_ref()
        .map(|fault| (fault.offset, fault.key.as_ref().map(|key| PyBytes::new(py, key)), fault.what.clone()));
    shown.set_item("fault", fault)?;
    Ok(shown)
}

/// Looks through one file of an append-only directory, and for where it is later than a time (Unix seconds).
#[pyfunction]
#[pyo3(signature = (path, progress, later_than=None))]
pub fn check_append<'py>(
    py: Python<'py>,
    path: std::path::PathBuf,
    progress: &Bound<'py, CheckProgress>,
    later_than: Option<i64>,
) -> PyResult<Bound<'py, PyDict>> {
    let progress = &progress.get().0;
    let found = py.detach(|| -> io::Result<Loaded> {
        let Some(map) = mapped::open(&path)? else { return Ok(Loaded::default()) };
        Ok(append_loader::check(&map, later_than, progress))
    })?;
    loaded(py, &found)
}
