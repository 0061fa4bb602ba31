//! Snapshots for the control plane: saving and loading, each of which takes the calling thread for as long as it lasts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use sherd_ioth::followers::replicas::Order;
use sherd_ioth::followers::transfer::{self, TransferReader};
use sherd_ioth::shared::Shared;
use sherd_metrics::clock;
use sherd_shards::persistence::destination::{Destination, SnapshotFile};
use sherd_shards::persistence::loader::{self, Fault, Report};
use sherd_shards::persistence::mapped;
use sherd_shards::persistence::saver::{Job, Plan, Prepared, Progress};
use sherd_shards::rdb::Limits;
use sherd_shards::server::settings::Settings;

use crate::append::{Append, Increment};
use crate::check_progress::CheckProgress;
use crate::held;
use crate::replicas::at_cut;

/// The snapshot that is being taken, and how far loading has come.
#[derive(Default)]
pub struct Files {
    job: Mutex<Option<Begun>>,
    pub append: Append,
    /// Nobody waits for anything while it has this lock: who asks for it may hold shards.
    saving: Mutex<Option<Arc<Progress>>>,
    /// A snapshot is being begun or taken.
    is_taken: AtomicBool,
    pub loading: loader::Progress,
}

/// A snapshot that was begun, and where its cut is in the history of that id, if it is kept for replicas.
struct Begun {
    job: Job,
    history: Option<(String, Arc<Place>)>,
    /// Replicas that get it while it is taken.
    readers: Vec<TransferReader>,
}

/// The right to take a snapshot, which one has at a time; given back unless one is begun.
struct Turn<'f>(Option<&'f AtomicBool>);

impl Turn<'_> {
    fn take(is_taken: &AtomicBool) -> PyResult<Turn<'_>> {
        if is_taken.swap(true, SeqCst) {
            return Err(PyValueError::new_err("a snapshot is being taken already"));
        }
        Ok(Turn(Some(is_taken)))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(is_taken) = self.0 {
            is_taken.store(false, SeqCst);
        }
    }
}

/// Where a snapshot for replicas goes.
pub enum Way {
    File(PathBuf),
    /// To them at once, with this mark behind it.
    Transfer(Vec<u8>),
}

/// Where a cut is: the offset, which the journal's thread finds, and the database that a primary's stream has selected.
struct Place {
    offset: AtomicU64,
    database: u16,
}

impl Begun {
    /// The job, whose file tells where a replica that loads it may go on.
    fn into_job(self, shared: &Shared) -> Job {
        let Begun { mut job, history, .. } = self;
        let Some((id, place)) = history else { return job };
        // What was asked for before is done by then.
        shared.world.journal.ask(|_| ());
        let (offset, database) = (place.offset.load(SeqCst), place.database);
        let texts = [("repl-stream-db", database.to_string()), ("repl-id", id), ("repl-offset", offset.to_string())];
        job.add_aux(texts.map(|(name, text)| (name.to_owned(), text)));
        job
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn os_error(error: &io::Error) -> PyErr {
    PyOSError::new_err((error.raw_os_error().unwrap_or(0), error.to_string()))
}

impl Files {
    /// Begins a snapshot of this moment; one at a time. [`Files::finish`] follows. What is written from the same moment on is
    /// appended to `increment`, if there is to be one. `file`: its path, and whether to sync it in passing. It tells where in the history of that id it is, if there is one.
    pub fn begin(
        &self,
        shared: &Arc<Shared>,
        plan: Plan,
        file: (PathBuf, bool),
        increment: Option<&Path>,
        history: Option<String>,
    ) -> PyResult<()> {
        let turn = Turn::take(&self.is_taken)?;
        let engine = &shared.engine;
        // What can fail, or waits for the disk, does so before all shards are held.
        let increment = increment.map(Increment::open).transpose().map_err(|error| os_error(&error))?;
        let file = SnapshotFile::create(file.0, file.1).map_err(|error| os_error(&error))?;
        let prepared = Prepared::new(plan, Box::new(file));
        let begun = held::with_shards(shared, engine.all_shards(), |mut shards| {
            if let Some(increment) = increment {
                self.append.go_on_in(shared, increment)?;
            }
            let history = history.filter(|_| shared.replicas.backlog.is_on()).map(|id| (id, place_of_cut(shared)));
            Ok(Begun { job: prepared.begin(engine, &mut shards), history, readers: Vec::new() })
        });
        self.note(begun.map_err(|error: io::Error| os_error(&error))?, turn);
        Ok(())
    }

    /// Begins a snapshot for replicas, which get what is written from the same moment on. Returns the offset of that moment.
    pub fn begin_for(&self, shared: &Arc<Shared>, plan: Plan, replicas: Vec<u64>, way: Way) -> PyResult<u64> {
        let turn = Turn::take(&self.is_taken)?;
        let (engine, journal) = (&shared.engine, &shared.world.journal);
        let offset = Arc::new(AtomicU64::new(0));
        let (destination, readers): (Box<dyn Destination>, _) = match way {
            Way::File(path) => {
                let file = SnapshotFile::create(path, false).map_err(|error| os_error(&error))?;
                (Box::new(file), Vec::new())
            }
            Way::Transfer(mark) => {
                let (writer, readers) = transfer::begin(mark, &replicas, shared.replicas.sender_bell());
                (Box::new(writer), readers)
            }
        };
        let mut prepared = Prepared::new(plan, destination);
        let job = held::with_shards(shared, engine.all_shards(), |mut shards| {
            if let Some(database) = shared.replicas.backlog.stream_database() {
                prepared.add_aux("repl-stream-db", database.to_string());
            }
            let (of, found) = (Arc::clone(shared), Arc::clone(&offset));
            journal.mark(move |feed| found.store(at_cut(feed, &of, &replicas), SeqCst));
            prepared.begin(engine, &mut shards)
        });
        let sink = Arc::clone(&job.progress.sink);
        shared.replicas.backlog.watch_snapshot(Some(Box::new(move || sink.excess_bytes())));
        self.note(Begun { job, history: None, readers }, turn);
        // What was asked for before is done by then.
        journal.ask(|_| ());
        Ok(offset.load(SeqCst))
    }

    fn note(&self, begun: Begun, turn: Turn<'_>) {
        *lock(&self.saving) = Some(Arc::clone(&begun.job.progress));
        *lock(&self.job) = Some(begun);
        turn.keep();
    }

    /// Writes the snapshot that was begun; returns keys, bytes, and the changes that it saves.
    pub fn finish(&self, shared: &Shared) -> PyResult<(u64, u64, u64)> {
        let begun = lock(&self.job).take();
        let mut begun = begun.ok_or_else(|| PyValueError::new_err("no snapshot was begun"))?;
        if !begun.readers.is_empty() {
            shared.replicas.order(Order::Transfer(std::mem::take(&mut begun.readers)));
        }
        let job = begun.into_job(shared);
        let (progress, changes) = (Arc::clone(&job.progress), job.changes);
        let result = job.finish(&shared.engine);
        shared.replicas.backlog.watch_snapshot(None);
        *lock(&self.saving) = None;
        self.is_taken.store(false, SeqCst);
        result.map_err(|error| os_error(&error))?;
        Ok((progress.sink.keys.load(Relaxed), progress.bytes.load(Relaxed), changes))
    }

    /// Makes the snapshot that is being taken end without a file; false if there is none.
    pub fn cancel(&self) -> bool {
        lock(&self.saving).as_ref().map(|progress| progress.sink.cancel()).is_some()
    }

    /// Keys that are saved so far, keys in all, and bytes.
    pub fn progress(&self) -> Option<(u64, u64, u64)> {
        let progress = Arc::clone(lock(&self.saving).as_ref()?);
        Some((progress.sink.keys.load(Relaxed), progress.keys_total.load(Relaxed), progress.bytes.load(Relaxed)))
    }
}

/// Where the cut is, at which all shards are held.
fn place_of_cut(shared: &Arc<Shared>) -> Arc<Place> {
    // A primary's own stream selects its database anew for whoever goes on from here.
    let database = shared.replicas.backlog.stream_database().unwrap_or(0);
    let place = Arc::new(Place { offset: AtomicU64::new(0), database });
    let found = Arc::clone(&place);
    shared.world.journal.mark(move |feed| found.offset.store(feed.offset(), SeqCst));
    place
}

/// What a file told, and what is wrong with it.
pub type Checked = (Report, Option<Fault>);

/// Loads a file into the shards.
pub fn load(shared: &Shared, files: &Files, path: &Path, keep_expired: bool) -> io::Result<Checked> {
    let Some(map) = mapped::open(path)? else { return Ok(empty()) };
    Ok(match loader::load_into(&shared.engine, &map, keep_expired, &files.loading) {
        Ok(report) => (report, None),
        Err(fault) => (Report::default(), Some(fault)),
    })
}

fn empty() -> Checked {
    let fault = Fault { offset: 0, key: None, what: "the file is empty".to_owned() };
    (Report::default(), Some(fault))
}

/// What was found, as a dictionary whose form the stub tells.
pub fn shown<'py>(py: Python<'py>, (report, fault): &Checked) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("version", report.version)?;
    found.set_item("valkey", report.is_valkey)?;
    found.set_item("aux", report.aux.clone())?;
    let functions: Vec<_> = report.functions.iter().map(|source| PyBytes::new(py, source)).collect();
    found.set_item("functions", functions)?;
    found.set_item("keys", report.keys)?;
    found.set_item("volatile", report.volatile)?;
    found.set_item("expired", report.expired)?;
    found.set_item("empty", report.empty)?;
    found.set_item("checksum", report.has_checksum)?;
    let fault = fault
        .as_ref()
        .map(|fault| (fault.offset, fault.key.as_ref().map(|key| PyBytes::new(py, key)), fault.what.clone()));
    found.set_item("fault", fault)?;
    Ok(found)
}

/// Looks through an RDB file.
#[pyfunction]
pub fn check_rdb<'py>(
    py: Python<'py>,
    path: PathBuf,
    progress: &Bound<'py, CheckProgress>,
) -> PyResult<Bound<'py, PyDict>> {
    let progress = &progress.get().0;
    let checked = py.detach(|| -> io::Result<Checked> {
        let Some(map) = mapped::open(&path)? else { return Ok(empty()) };
        let limits = Limits::from_settings(&Settings::default());
        Ok(loader::check(&map, limits, clock::unix_milliseconds(), progress))
    })?;
    shown(py, &checked)
}
