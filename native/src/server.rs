//! `sherd._native.Server`: a handle on one engine. What takes more than a line is in the files beside this one.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyPermissionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use sherd_ioth::server::{Server as Engine, Shape};
use sherd_ioth::shared::access::Change;
use sherd_ioth::shared::interruptions::Reason;
use sherd_ioth::shared::renames::Renames;
use sherd_metrics::allocator::give_back;
use sherd_metrics::pages;
use sherd_shards::maintenance::evict;
use sherd_shards::persistence::saver::{Contents, Plan};
use sherd_shards::rdb::Dialect;
use sherd_shards::server::command_log::CommandLog;
use sherd_shards::server::pause::{Condition, Refusal};
use sherd_shards::server::settings::{Settings, DATABASES_MAX};

use crate::access::{self, UserForm};
use crate::extensions::{self, Extensions};
use crate::persistence::{self, Files, Way};
use crate::replicas::Replicas;
use crate::replication::PrimaryLink;
use crate::request::Request;
use crate::tls_connection::TlsConnection;
use crate::{append, commands, execute, held, slots, snapshot, tls, transfer};

/// The longest that is waited for the end of what is being executed.
const AWAIT_SECONDS_MAX: f64 = 3600.0;

/// Level, time, target, message and fields of one entry of the data plane's log.
type LogEntry<'py> = (u8, f64, String, String, Bound<'py, PyDict>);

/// An error of the system with its number, which pyo3's own conversion leaves out.
fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, error.to_string())),
        None => PyOSError::new_err(error.to_string()),
    }
}

/// Id, time, value, arguments, address and name of the client.
type CommandLogEntry<'py> = (u64, i64, u64, Vec<Bound<'py, PyBytes>>, String, Bound<'py, PyBytes>);

fn log_named(name: &str) -> PyResult<CommandLog> {
    CommandLog::named(name).ok_or_else(|| PyValueError::new_err(format!("there is no log of commands called {name}")))
}

/// One engine: shards, IO threads, listeners.
#[pyclass(frozen, module = "sherd._native")]
pub struct Server {
    engine: Engine,
    files: Files,
    extensions: Extensions,
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (*, shards, io_threads, cluster, settings))]
    fn new(shards: usize, io_threads: usize, cluster: bool, settings: HashMap<String, i64>) -> PyResult<Server> {
        commands::table();
        let initial = Settings::default();
        for (name, value) in settings {
            if !initial.set(&name, value) {
                return Err(PyValueError::new_err(format!("the data plane has no setting {name} that may be {value}")));
            }
        }
        initial.cluster_enabled.set(i64::from(cluster));
        if cluster {
            // Slots are all that a cluster's clients choose by.
            initial.databases.set(1);
        }
        if !(1..=DATABASES_MAX as i64).contains(&initial.databases.get()) {
            return Err(PyValueError::new_err(format!("databases must be between 1 and {DATABASES_MAX}")));
        }
        let engine = Engine::new(Shape { shards, io_threads, cluster }, initial)?;
        // The control plane sleeps until the bell rings for the first time.
        engine.shared.inbox.fall_asleep();
        Ok(Server { engine, files: Files::default(), extensions: Extensions::default() })
    }

    fn rename_commands(&self, names: Vec<(Vec<u8>, Option<String>)>) {
        let renames = &self.engine.shared.renames;
        assert!(renames.set(Renames::new(names)).is_ok(), "commands are renamed once, before the server starts");
    }

    fn listen(&self, host: &str, port: u16, backlog: i32, tls: bool) -> PyResult<u16> {
        let address: IpAddr =
            host.parse().map_err(|_| PyOSError::new_err(format!("'{host}' is not an address of an interface")))?;
        self.engine.listen(SocketAddr::new(address, port), backlog, tls).map_err(os_error)
    }

    fn listen_unix(&self, path: PathBuf, mode: u32, backlog: i32) -> PyResult<()> {
        use std::os::unix::fs::PermissionsExt;
        self.engine.listen_unix(&path, backlog).map_err(os_error)?;
        if mode != 0 {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(os_error)?;
        }
        Ok(())
    }

    fn set_tls(&self, py: Python<'_>, directives: HashMap<String, String>) -> PyResult<()> {
        let options = tls::options(&directives);
        py.detach(|| self.engine.set_tls(&options)).map_err(PyValueError::new_err)
    }

    fn begin_rebind(&self) -> PyResult<()> {
        self.engine.begin_rebind().map_err(os_error)
    }

    fn end_rebind(&self, keep_new: bool) {
        self.engine.end_rebind(keep_new);
    }

    fn start(&self) -> PyResult<()> {
        Ok(self.engine.start()?)
    }

    fn stop(&self, py: Python<'_>, at_most_ms: u64) -> bool {
        py.detach(|| self.engine.stop(Duration::from_millis(at_most_ms)))
    }

    #[pyo3(signature = (path, *, compress, checksum, sync_in_passing, aux, as_commands=false, increment=None, history=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_save(
        &self,
        py: Python<'_>,
        path: PathBuf,
        compress: bool,
        checksum: bool,
        sync_in_passing: bool,
        aux: Vec<(String, String)>,
        as_commands: bool,
        increment: Option<PathBuf>,
        history: Option<String>,
    ) -> PyResult<()> {
        let dialect = Dialect::of(&self.engine.shared.world.settings);
        let plan = Plan { contents: Contents::ALL, compress, dialect, checksum, aux, as_commands };
        let file = (path, sync_in_passing);
        py.detach(|| self.files.begin(&self.engine.shared, plan, file, increment.as_deref(), history))
    }

    fn begin_append(&self, py: Python<'_>, path: PathBuf, size_before: u64) -> PyResult<()> {
        let increment = append::Increment::open(&path).map_err(os_error)?;
        let shared = &self.engine.shared;
        // Maintenance may be going on: what it does is in the file, or was done before.
        let begun = py.detach(|| {
            held::with_shards(shared, shared.engine.all_shards(), |_| {
                self.files.append.begin(shared, increment, size_before, true)
            })
        });
        begun.map_err(os_error)
    }

    fn set_append_files(&self, paths: Vec<PathBuf>) {
        self.engine.shared.world.append_files.set_all(paths);
    }

    #[pyo3(signature = (base_bytes))]
    fn end_rewrite(&self, base_bytes: Option<u64>) {
        self.files.append.end_rewrite(&self.engine.shared.world.journal, base_bytes);
    }

    fn end_append(&self, py: Python<'_>) {
        py.detach(|| self.files.append.end(&self.engine.shared.world));
    }

    fn sync_append(&self, py: Python<'_>) {
        py.detach(|| self.files.append.sync(&self.engine.shared.world.journal));
    }

    fn append_place(&self, py: Python<'_>) -> Option<(u64, u16, u64)> {
        py.detach(|| self.files.append.place(&self.engine.shared.world.journal))
    }

    fn append_status<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.files.append.shown(py, &self.engine.shared.world)
    }

    fn load_append<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
        let loaded = py.detach(|| append::load(&self.engine.shared, &self.files.loading, &path)).map_err(os_error)?;
        append::loaded(py, &loaded)
    }

    fn journal_offset(&self, py: Python<'_>) -> u64 {
        // Where everything is that was executed before this moment.
        let journal = &self.engine.shared.world.journal;
        py.detach(|| journal.ask(|feed| feed.offset())).unwrap_or_default()
    }

    fn finish_save(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        py.detach(|| self.files.finish(&self.engine.shared))
    }

    fn refuse_writes_after_failed_save(&self, refuse: bool) {
        self.engine.shared.world.pause.refuse_writes(Refusal::SnapshotFailed, refuse);
    }

    fn cancel_save(&self) -> bool {
        self.files.cancel()
    }

    fn save_progress(&self) -> Option<(u64, u64, u64)> {
        self.files.progress()
    }

    #[pyo3(signature = (path, *, keep_expired=false))]
    fn load<'py>(&self, py: Python<'py>, path: PathBuf, keep_expired: bool) -> PyResult<Bound<'py, PyDict>> {
        let checked = py.detach(|| persistence::load(&self.engine.shared, &self.files, &path, keep_expired))?;
        persistence::shown(py, &checked)
    }

    fn set_loading(&self, loading: bool) {
        self.engine.shared.world.pause.set_condition(Condition::Loading, loading);
    }

    fn load_progress(&self) -> (u64, u64, u64) {
        let progress = &self.files.loading;
        (progress.bytes.load(Relaxed), progress.keys.load(Relaxed), progress.used_memory.load(Relaxed))
    }

    fn break_off_load(&self) {
        self.files.loading.is_unwanted.store(true, Relaxed);
    }

    #[pyo3(signature = (replicas, *, path, mark, data, functions, for_valkey, compress, checksum, aux))]
    #[allow(clippy::too_many_arguments)]
    fn begin_sync(
        &self,
        py: Python<'_>,
        replicas: Vec<u64>,
        path: PathBuf,
        mark: Option<Vec<u8>>,
        data: bool,
        functions: bool,
        for_valkey: bool,
        compress: bool,
        checksum: bool,
        aux: Vec<(String, String)>,
    ) -> PyResult<u64> {
        // Not by the setting: a replica of another kind would not read it.
        let dialect = if for_valkey { Dialect::Valkey } else { Dialect::Redis };
        let contents = Contents { data, functions };
        let plan = Plan { contents, compress, dialect, checksum, aux, as_commands: false };
        let way = mark.map_or(Way::File(path), Way::Transfer);
        py.detach(|| self.files.begin_for(&self.engine.shared, plan, replicas, way))
    }

    fn replicas(&self) -> Replicas {
        Replicas::new(&self.engine.shared)
    }

    fn link_to_primary(&self, descriptor: i32, address: String, local_address: String) -> PrimaryLink {
        PrimaryLink::plain(&self.engine.shared, descriptor, address, local_address)
    }

    fn tls_to_server(&self, descriptor: i32, host: &str) -> PyResult<TlsConnection> {
        TlsConnection::new(&self.engine.shared, descriptor, host)
    }

    fn tls_link_to_primary(
        &self,
        connection: &TlsConnection,
        address: String,
        local_address: String,
    ) -> PyResult<PrimaryLink> {
        let (socket, received) = connection.take()?;
        Ok(PrimaryLink::new(&self.engine.shared, socket, received, (address, local_address)))
    }

    fn follow(&self, primary: Option<String>) {
        self.engine.shared.follow(primary);
    }

    fn refuse_writes_as_replica(&self, refuse: bool) {
        self.engine.shared.world.pause.refuse_writes(Refusal::ReadOnlyReplica, refuse);
    }

    fn hold_writers(&self, hold: bool) {
        self.engine.shared.world.pause.set_own(hold);
        if !hold {
            self.engine.shared.wake_all();
        }
    }

    fn await_begun(&self, py: Python<'_>, seconds: f64) -> bool {
        let at_most = Duration::from_secs_f64(seconds.clamp(0.0, AWAIT_SECONDS_MAX));
        py.detach(|| self.engine.shared.engine.await_begun(at_most))
    }

    fn hide_stale_data(&self, hide: bool) {
        self.engine.shared.world.pause.set_condition(Condition::Stale, hide);
    }

    fn busy_shards(&self) -> Vec<usize> {
        self.engine.shared.engine.busy_shards()
    }

    fn set_settings(&self, values: HashMap<String, i64>) -> bool {
        let shared = &self.engine.shared;
        // The shards have as many databases as they were made with.
        let values = values.iter().filter(|(name, _)| *name != "databases");
        let values: Vec<(&str, i64)> = values.map(|(name, value)| (name.as_str(), *value)).collect();
        if !shared.set_settings(&values) {
            return false;
        }
        shared.extensions.deadlines.wake();
        if evict::excess_bytes(&shared.world) > 0 {
            evict::ask(&shared.world);
        }
        true
    }

    fn settings(&self) -> HashMap<&'static str, i64> {
        let settings = &self.engine.shared.world.settings;
        let names = Settings::DECLARED.iter().map(|declaration| declaration.name);
        names.map(|name| (name, settings.get(name).unwrap_or_default())).collect()
    }

    fn change_users(&self, users: Vec<UserForm>, deleted: Vec<Vec<u8>>) -> PyResult<()> {
        let count = u32::try_from(self.engine.shared.world.settings.databases.get()).unwrap_or(u32::MAX);
        let users = users.into_iter().map(|user| user.into_user(count)).collect::<PyResult<_>>()?;
        self.engine.shared.change_users(Change { users, deleted });
        Ok(())
    }

    fn check_access(&self, user: Vec<u8>, args: Vec<Vec<u8>>, db: u16) -> PyResult<Option<(&'static str, usize)>> {
        access::check(&self.engine.shared, &user, &args, db)
    }

    fn access_log<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let now_ms = self.engine.shared.world.now_milliseconds();
        let entries = self.engine.shared.access.log.newest(count);
        entries.iter().map(|entry| access::row(py, entry, now_ms)).collect()
    }

    fn access_log_reset(&self) {
        self.engine.shared.access.log.clear();
    }

    fn request_fd(&self) -> i32 {
        self.engine.control_bell().as_raw_fd()
    }

    fn serve_scripts(&self, served: bool) {
        self.engine.shared.script_calls.set_served(served);
    }

    fn next_script_request(&self, py: Python<'_>) -> Option<Request> {
        py.detach(|| self.engine.shared.script_calls.next()).map(Request)
    }

    fn drain_requests(&self, limit: usize) -> Vec<Request> {
        let inbox = &self.engine.shared.inbox;
        self.engine.silence_control_bell();
        inbox.wake_up();
        let mut requests = Vec::new();
        loop {
            while requests.len() < limit {
                let Some(mut request) = inbox.receive() else { break };
                request.tick = sherd_metrics::clock::ticks();
                requests.push(Request(request));
            }
            if requests.len() >= limit {
                // More may wait: the bell stays audible.
                self.engine.ring_control_bell();
                break;
            }
            if inbox.fall_asleep() {
                break;
            }
        }
        requests
    }

    fn drain_interruptions(&self) -> Vec<(u64, u64, &'static str)> {
        let word = |reason| match reason {
            Reason::Timeout => "timeout",
            Reason::Unblocked => "unblocked",
            Reason::RoleChanged => "role changed",
            Reason::Gone => "gone",
        };
        let noted = self.engine.shared.interruptions.take();
        noted.into_iter().map(|(client, wait, reason)| (client, wait, word(reason))).collect()
    }

    fn take_emptied(&self) -> bool {
        self.engine.shared.world.emptied.take()
    }

    #[pyo3(signature = (request, data, close=false))]
    fn reply(&self, py: Python<'_>, request: &Bound<'_, Request>, data: &[u8], close: bool) {
        let (request, data) = (&request.get().0, data.to_vec());
        py.detach(|| self.engine.answer(request, data, close));
    }

    fn begin_exec(&self, py: Python<'_>, request: &Bound<'_, Request>, seconds: f64) -> Option<bool> {
        let request = &request.get().0;
        let at_most = Duration::from_secs_f64(seconds.clamp(0.0, AWAIT_SECONDS_MAX));
        py.detach(|| held::begin(&self.engine.shared, request, Some(at_most)))
    }

    fn answer_in_exec(&self, py: Python<'_>, request: &Bound<'_, Request>, reply: &[u8]) -> bool {
        let request = &request.get().0;
        py.detach(|| held::answer(request, reply))
    }

    fn end_exec(&self, py: Python<'_>, request: &Bound<'_, Request>) {
        let request = &request.get().0;
        py.detach(|| held::end(request));
    }

    #[pyo3(signature = (commands, tasks, *, types, failed))]
    fn set_extensions<'py>(
        &self,
        py: Python<'py>,
        commands: Vec<Bound<'py, PyDict>>,
        tasks: Vec<Bound<'py, PyDict>>,
        types: (Py<PyAny>, Py<PyAny>, Py<PyAny>),
        failed: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.extensions.set(py, &self.engine.shared, (commands, tasks), types, failed)
    }

    fn watch_extensions(&self) -> PyResult<()> {
        Ok(sherd_ioth::extensions::watch::begin(&self.engine.shared)?)
    }

    fn run_extensions(&self, py: Python<'_>, threads: usize) {
        extensions::runner::run(py, &self.engine.shared, &self.extensions, threads);
    }

    fn begin_job(&self, number: u64) -> bool {
        self.extensions.begin_job(&self.engine.shared, number)
    }

    fn call_in_exec<'py>(&self, py: Python<'py>, request: &Bound<'py, Request>) -> Bound<'py, PyBytes> {
        let reply = extensions::runner::run_in_exec(py, &self.engine.shared, &self.extensions, &request.get().0);
        PyBytes::new(py, &reply)
    }

    fn drain_logs<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<LogEntry<'py>>> {
        self.engine
            .shared
            .log
            .drain(limit)
            .into_iter()
            .map(|record| {
                let fields = PyDict::new(py);
                for (name, value) in record.fields {
                    fields.set_item(name, value)?;
                }
                Ok((record.level as u8, record.unix_time_ms as f64 / 1000.0, record.thread, record.event, fields))
            })
            .collect()
    }

    #[pyo3(signature = (args, db=0, resp=2))]
    fn execute<'py>(&self, py: Python<'py>, args: Vec<Vec<u8>>, db: u16, resp: u8) -> PyResult<Bound<'py, PyBytes>> {
        let out =
            py.detach(|| execute::execute(&self.engine.shared, &args, db, resp)).map_err(PyValueError::new_err)?;
        Ok(PyBytes::new(py, &out))
    }

    #[pyo3(signature = (*, commands=true))]
    fn snapshot<'py>(&self, py: Python<'py>, commands: bool) -> PyResult<Bound<'py, PyDict>> {
        snapshot::take(py, &self.engine.shared, commands)
    }

    #[allow(clippy::type_complexity)]
    fn command_log<'py>(&self, py: Python<'py>, log: &str, count: i64) -> PyResult<Vec<CommandLogEntry<'py>>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let entries = self.engine.shared.world.logs.commands.entries(log_named(log)?, count);
        let shown = entries.into_iter().map(|entry| {
            let args = entry.args.iter().map(|arg| PyBytes::new(py, arg)).collect();
            let name = PyBytes::new(py, &entry.client_name);
            (entry.id, entry.unix_time_seconds, entry.value, args, entry.client_address, name)
        });
        Ok(shown.collect())
    }

    fn command_log_len(&self, log: &str) -> PyResult<usize> {
        Ok(self.engine.shared.world.logs.commands.len(log_named(log)?).0)
    }

    fn command_log_reset(&self, log: &str) -> PyResult<()> {
        self.engine.shared.world.logs.commands.reset(log_named(log)?);
        Ok(())
    }

    #[allow(clippy::type_complexity)]
    fn latency(&self) -> Vec<(&'static str, u64, Vec<(i64, u64)>)> {
        let events = self.engine.shared.world.logs.latency();
        let pairs = |samples: Vec<sherd_shards::server::world::LatencySample>| {
            samples.into_iter().map(|sample| (sample.unix_time_seconds, sample.milliseconds)).collect()
        };
        events.into_iter().map(|(event, max, samples)| (event, max, pairs(samples))).collect()
    }

    fn latency_reset(&self, events: Vec<Vec<u8>>) -> usize {
        // What is no text names no event.
        let named: Vec<&str> = events.iter().filter_map(|event| std::str::from_utf8(event).ok()).collect();
        if named.is_empty() && !events.is_empty() {
            return 0;
        }
        self.engine.shared.world.logs.reset_latency(&named)
    }

    fn purge(&self, py: Python<'_>) {
        py.detach(|| {
            pages::ask_to_give_up();
            pages::give_up();
            give_back();
        });
    }

    fn reset_stats(&self) {
        self.engine.shared.reset_stats();
    }

    fn hot_keys<'py>(&self, py: Python<'py>, count: usize) -> Vec<(Bound<'py, PyBytes>, u64)> {
        let keys = self.engine.shared.hot_keys(count);
        keys.into_iter().map(|(key, hits)| (PyBytes::new(py, &key), hits)).collect()
    }

    fn dump_keys<'py>(&self, py: Python<'py>, keys: Vec<Vec<u8>>, db: u16) -> Vec<Option<(Bound<'py, PyBytes>, i64)>> {
        let payloads = py.detach(|| transfer::dump_keys(&self.engine.shared, db, &keys));
        let payload = |(bytes, expires_at_ms): transfer::Payload| (PyBytes::new(py, &bytes), expires_at_ms);
        payloads.into_iter().map(|found| found.map(payload)).collect()
    }

    fn delete_unchanged(&self, py: Python<'_>, keys: Vec<(Vec<u8>, Vec<u8>, i64)>, db: u16) -> PyResult<Vec<bool>> {
        let sent: Vec<_> = keys.into_iter().map(|(key, payload, at_ms)| (key, (payload, at_ms))).collect();
        let deleted = py.detach(|| transfer::delete_unchanged(&self.engine.shared, db, &sent));
        deleted.map_err(|error| PyPermissionError::new_err(error.0.as_ref().to_owned()))
    }

    #[allow(clippy::type_complexity)]
    fn big_keys<'py>(
        &self,
        py: Python<'py>,
    ) -> Vec<(Bound<'py, PyBytes>, usize, usize, u16, &'static str, usize, usize)> {
        let found = self.engine.shared.engine.big_keys();
        let row = |(shard, big): (usize, sherd_shards::keyspace::big_keys::BigKey)| {
            let slot = sherd_shards::slot::slot_of(&big.key);
            let key = PyBytes::new(py, &big.key);
            (key, shard, usize::from(big.db), slot, big.value_type, big.bytes, big.elements)
        };
        found.into_iter().map(row).collect()
    }

    #[pyo3(signature = (sample, slots))]
    fn start_hot_keys(&self, sample: u32, slots: Vec<u16>) {
        self.engine.shared.engine.start_heat(sample, &slots);
    }

    fn stop_hot_keys(&self) {
        self.engine.shared.world.settings.track_heat(false);
    }

    fn reset_hot_keys(&self) {
        self.engine.shared.engine.reset_heat();
    }

    fn hot_key_costs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sum = self.engine.shared.engine.heat();
        let part = PyDict::new(py);
        let keys = |map: std::collections::HashMap<Box<[u8]>, u64>| -> Vec<(Bound<'py, PyBytes>, u64)> {
            map.into_iter().map(|(key, weight)| (PyBytes::new(py, &key), weight)).collect()
        };
        part.set_item("nanoseconds", sum.nanoseconds)?;
        part.set_item("net_bytes", sum.net_bytes)?;
        part.set_item("sampled_nanoseconds", sum.sampled_nanoseconds)?;
        part.set_item("sampled_net_bytes", sum.sampled_net_bytes)?;
        part.set_item("by_nanoseconds", keys(sum.by_nanoseconds))?;
        part.set_item("by_net_bytes", keys(sum.by_net_bytes))?;
        Ok(part)
    }

    fn slot_key_counts(&self, py: Python<'_>, first: usize, last: usize) -> Vec<usize> {
        py.detach(|| slots::key_counts(&self.engine.shared, first, last))
    }

    fn keys_in_slot<'py>(&self, py: Python<'py>, slot: u16, count: usize) -> Vec<Bound<'py, PyBytes>> {
        let keys = py.detach(|| slots::keys(&self.engine.shared, slot, count));
        keys.iter().map(|key| PyBytes::new(py, key)).collect()
    }
}
