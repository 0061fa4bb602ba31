//! `sherd._native.PrimaryLink`: a connected socket to a primary, which the control plane has shaken hands over.
//!
//! What takes long is done in the calling thread, without the GIL; another one ends it by closing the link.

use std::fs::File;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyConnectionError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use sherd_ioth::kernel::background;
use sherd_ioth::net::link_socket::LinkSocket;
use sherd_ioth::replication::apply::Applier;
use sherd_ioth::replication::link::{Link, Lost};
use sherd_ioth::replication::receive;
use sherd_ioth::shared::Shared;
use sherd_shards::persistence::loader::{self, Progress};
use sherd_shards::persistence::mapped;
use sherd_shards::server::pause::Condition;

use crate::persistence::{shown, Checked};

/// See the [module](self).
#[pyclass(frozen, module = "sherd._native")]
pub struct PrimaryLink {
    link: Arc<Link>,
    applier: Mutex<Applier>,
    loading: Progress,
}

fn lost(reason: Lost) -> PyErr {
    PyConnectionError::new_err(reason.0)
}

impl PrimaryLink {
    /// Takes over a socket that nobody else closes.
    pub fn plain(shared: &Arc<Shared>, descriptor: i32, address: String, local_address: String) -> PrimaryLink {
        // SAFETY: the control plane has detached it from its own socket object and hands it over here once.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        PrimaryLink::new(shared, LinkSocket::plain(Arc::new(socket)), Vec::new(), (address, local_address))
    }

    /// Takes over a stream, with what has come over it behind the handshake.
    pub fn new(shared: &Arc<Shared>, socket: LinkSocket, received: Vec<u8>, ends: (String, String)) -> PrimaryLink {
        let link = Arc::new(Link::new(shared, socket, ends.0, ends.1));
        let mut applier = Applier::new(&link);
        *applier.received() = received;
        PrimaryLink { link, applier: Mutex::new(applier), loading: Progress::default() }
    }

    fn with_applier<R>(&self, work: impl FnOnce(&mut Applier) -> R) -> R {
        work(&mut self.applier.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads a file in place of all data; see the stub.
    fn replace(&self, path: &Path, beside: bool, serves: bool) -> PyResult<Checked> {
        let opened = mapped::open(path).map_err(|error| PyOSError::new_err(error.to_string()))?;
        let Some(map) = opened else { return Err(lost(Lost("the snapshot is empty".to_owned()))) };
        if !loader::has_right_checksum(&map) {
            return Err(lost(Lost("the snapshot has a wrong checksum".to_owned())));
        }
        let shared = self.link.shared();
        let condition = if serves { Condition::LoadingBeside } else { Condition::Loading };
        shared.world.pause.set_condition(condition, true);
        let result = match beside {
            true => loader::exchange_for(&shared.engine, &map, &self.loading),
            // Where several servers share a machine, the others have clients to answer, and this one has none yet.
            false => background::in_background(|| loader::replace_by(&shared.engine, &map, &self.loading)),
        };
        // To load is no change, with which sizes would be published.
        let all = shared.engine.all_shards();
        shared.engine.with_shards(all, |mut shards| shards.iter_mut().for_each(|shard| shard.publish_sizes()));
        shared.world.pause.set_condition(condition, false);
        Ok(match result {
            Ok(report) => (report, None),
            Err(fault) => (Default::default(), Some(fault)),
        })
    }
}

#[pymethods]
impl PrimaryLink {
    /// The number that CLIENT LIST has for it.
    #[getter]
    fn client_id(&self) -> u64 {
        self.link.record.id
    }

    fn receive_snapshot(&self, py: Python<'_>, path: PathBuf) -> PyResult<u64> {
        py.detach(|| self.with_applier(|applier| receive::receive(&self.link, &path, applier.received()))).map_err(lost)
    }

    /// The same into a file that is open already.
    fn receive_snapshot_into(&self, py: Python<'_>, descriptor: i32) -> PyResult<u64> {
        // SAFETY: the control plane has it open until this returns.
        let mut file = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned().map(File::from)?;
        py.detach(|| self.with_applier(|applier| receive::receive_into(&self.link, &mut file, applier.received())))
            .map_err(lost)
    }

    #[pyo3(signature = (path, *, beside=false, serves=false))]
    fn load<'py>(&self, py: Python<'py>, path: PathBuf, beside: bool, serves: bool) -> PyResult<Bound<'py, PyDict>> {
        let checked = py.detach(|| self.replace(&path, beside, serves))?;
        shown(py, &checked)
    }

    fn empty(&self, py: Python<'_>) {
        py.detach(|| loader::empty_all(&self.link.shared().engine));
    }

    fn begin(&self, py: Python<'_>, offset: i64, db: u16) {
        py.detach(|| self.with_applier(|applier| applier.begin(offset, db)));
    }

    fn run<'py>(&self, py: Python<'py>) -> PyResult<Vec<Vec<Bound<'py, PyBytes>>>> {
        let commands = py.detach(|| self.with_applier(Applier::run)).map_err(lost)?;
        let words = |command: Vec<Vec<u8>>| command.iter().map(|word| PyBytes::new(py, word)).collect();
        Ok(commands.into_iter().map(words).collect())
    }

    fn close(&self) {
        self.loading.is_unwanted.store(true, Relaxed);
        self.link.close();
    }

    fn set_timeout(&self, seconds: i64) {
        self.link.timeout_ms.store(seconds.saturating_mul(1000), Relaxed);
    }

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (link, loading) = (&self.link, &self.loading);
        let idle_ms = link.shared().world.monotonic_milliseconds() - link.last_io_ms.load(Relaxed);
        let status = PyDict::new(py);
        status.set_item("applied", link.applied.load(Relaxed))?;
        status.set_item("received", link.received.load(Relaxed))?;
        status.set_item("db", link.db.load(Relaxed))?;
        status.set_item("idle_seconds", idle_ms.max(0) / 1000)?;
        status.set_item("snapshot_bytes", link.snapshot_bytes.load(Relaxed))?;
        status.set_item("snapshot_total", link.snapshot_total.load(Relaxed))?;
        status.set_item("loaded_bytes", loading.bytes.load(Relaxed))?;
        status.set_item("load_total", loading.total.load(Relaxed))?;
        status.set_item("diverged", link.diverged.load(Relaxed))?;
        status.set_item("failed_commands", link.failed_commands.load(Relaxed))?;
        status.set_item("input_bytes", link.input_bytes.load(Relaxed))?;
        status.set_item("output_bytes", link.output_bytes.load(Relaxed))?;
        Ok(status)
    }
}
