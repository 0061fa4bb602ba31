//! `sherd._native.Replicas`: the primary's side of replication for the control plane, which decides what a replica is sent.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use sherd_ioth::connection::token::Token;
use sherd_ioth::followers::backlog::BacklogSink;
use sherd_ioth::followers::replica::{Joining, Phase, ReplicaView};
use sherd_ioth::followers::replicas::Order;
use sherd_ioth::shared::message::Message;
use sherd_ioth::shared::Shared;
use sherd_shards::journal::{Feed, SinkId};

use crate::held;

/// A replica: client id, peer's address, its own address and port, phase, acknowledged and synced offset, seconds of silence.
type Row = (u64, String, String, u16, &'static str, u64, u64, i64);

/// See the [module](self).
#[pyclass(frozen, module = "sherd._native")]
pub struct Replicas {
    shared: Arc<Shared>,
    /// The backlog as a sink of the journal, if it is one.
    sink: Mutex<Option<SinkId>>,
}

/// What a snapshot for replicas has happen at its cut: they are readers of the backlog from there on. Returns the offset.
pub fn at_cut(feed: &mut Feed, shared: &Shared, ids: &[u64]) -> u64 {
    let offset = feed.offset();
    let backlog = &shared.replicas.backlog;
    for &id in ids {
        backlog.add_reader(id, offset);
        backlog.hold(id, true);
    }
    feed.forget_database();
    offset
}

impl Replicas {
    /// The replicas of a server.
    pub fn new(shared: &Arc<Shared>) -> Replicas {
        Replicas { shared: Arc::clone(shared), sink: Mutex::default() }
    }

    /// Keeps the journal from this moment on, at this offset if nobody else has counted it so far.
    fn begin(&self, offset: u64) -> io::Result<u64> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared, journal) = (&self.shared, &self.shared.world.journal);
        // Before anything is said to whoever wants to be fed.
        shared.replicas.start()?;
        if sink.is_none() {
            let backlog = Arc::clone(&shared.replicas.backlog);
            let counted = journal.is_on();
            let all = shared.engine.all_shards();
            let attached = held::with_shards(shared, all, |_| {
                let of_feed = Arc::clone(&backlog);
                journal.attach(Box::new(BacklogSink(backlog)), move |feed| {
                    if !counted {
                        // One further than any server could have come that has the old data.
                        feed.set_offset(feed.offset().max(offset) + 1);
                    }
                    of_feed.restart(feed.offset(), true);
                })
            });
            *sink = Some(attached?);
        }
        Ok(journal.ask(|feed| feed.offset()).unwrap_or(offset))
    }

    fn end(&self) -> u64 {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared, journal) = (&self.shared, &self.shared.world.journal);
        if let Some(id) = sink.take() {
            let backlog = Arc::clone(&shared.replicas.backlog);
            held::with_shards(shared, shared.engine.all_shards(), |_| {
                journal.detach(id, move |feed, _| backlog.restart(feed.offset(), false));
            });
        }
        journal.ask(|feed| feed.offset()).unwrap_or_default()
    }

    /// Goes on counting at an offset whose data this server has now. The stream has selected that database; without one the next
    /// command selects its own.
    fn restart(&self, offset: u64, database: Option<u16>) -> io::Result<()> {
        self.begin(offset)?;
        let backlog = Arc::clone(&self.shared.replicas.backlog);
        backlog.set_stream_database(database);
        self.shared.world.journal.ask(move |feed| {
            feed.set_offset(offset);
            match database {
                Some(database) => feed.set_database(database),
                None => feed.forget_database(),
            }
            backlog.restart(offset, true);
        });
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(Arc<File>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((Arc::new(file), length))
}

#[pymethods]
impl Replicas {
    fn start_backlog(&self, py: Python<'_>, offset: i64) -> PyResult<u64> {
        Ok(py.detach(|| self.begin(offset.max(0) as u64))?)
    }

    fn stop_backlog(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.end())
    }

    #[pyo3(signature = (offset, database))]
    fn restart_backlog(&self, py: Python<'_>, offset: i64, database: Option<u16>) -> PyResult<()> {
        Ok(py.detach(|| self.restart(offset.max(0) as u64, database))?)
    }

    fn set_backlog_size(&self, size: usize) {
        self.shared.replicas.backlog.set_size(size);
    }

    /// Whether it is kept, its first offset and the one behind its last, and what it takes.
    fn backlog(&self) -> (bool, u64, u64, usize) {
        let backlog = &self.shared.replicas.backlog;
        let (first, end) = backlog.range();
        (backlog.is_on(), first, end, backlog.bytes())
    }

    /// The end of the journal as of this moment.
    fn end_offset(&self, py: Python<'_>) -> u64 {
        let journal = &self.shared.world.journal;
        py.detach(|| journal.ask(|feed| feed.offset())).unwrap_or_default()
    }

    fn add_reader(&self, client_id: u64, position: i64) -> bool {
        u64::try_from(position).is_ok_and(|position| self.shared.replicas.backlog.add_reader(client_id, position))
    }

    fn has_readers(&self) -> bool {
        self.shared.replicas.backlog.has_readers()
    }

    #[pyo3(signature = (token, client_id, address, port, preamble, *, online, snapshot_only))]
    #[allow(clippy::too_many_arguments)]
    fn attach(
        &self,
        token: u64,
        client_id: u64,
        address: String,
        port: u16,
        preamble: Vec<u8>,
        online: bool,
        snapshot_only: bool,
    ) {
        let connection = Token::from_bits(token);
        let joining = Joining { connection, client_id, address, port, preamble, online, snapshot_only };
        self.shared.tell(connection, Message::Join(Box::new(joining)));
    }

    fn say(&self, ids: Vec<u64>, text: Vec<u8>) {
        self.shared.replicas.order(Order::Say(ids, text));
    }

    fn send_snapshot(&self, ids: Vec<u64>, path: PathBuf) -> PyResult<()> {
        let (file, length) = open(&path).map_err(|error| PyOSError::new_err(error.to_string()))?;
        self.shared.replicas.order(Order::Snapshot(ids, file, length));
        Ok(())
    }

    fn cut(&self, ids: Vec<u64>, reason: String) {
        self.shared.replicas.order(Order::Cut(ids, reason));
    }

    fn cut_all(&self, reason: String) {
        self.shared.replicas.order(Order::CutAll(reason));
    }

    /// Adds a command to what replicas get, and no file.
    fn append(&self, words: Vec<Vec<u8>>) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.shared.world.journal.append(0, &words, true);
    }

    fn rows(&self) -> Vec<Row> {
        let now_ms = self.shared.world.monotonic_milliseconds();
        let views = self.shared.replicas.views();
        let row = |view: &Arc<ReplicaView>| {
            let state = match view.phase() {
                // A snapshot that is being sent is being taken as well.
                Phase::Waiting | Phase::Transfer => "wait_bgsave",
                Phase::Snapshot => "send_bulk",
                // As in Redis, though it has still to say that it has its snapshot.
                Phase::Loading | Phase::Online => "online",
            };
            let lag_seconds = (now_ms - view.acknowledged_ms.load(Relaxed)).max(0) / 1000;
            let offsets = (view.acknowledged.load(Relaxed), view.synced.load(Relaxed));
            let (peer, address) = (view.record.address.clone(), view.address.clone());
            (view.record.id, peer, address, view.port, state, offsets.0, offsets.1, lag_seconds)
        };
        views.iter().map(row).collect()
    }

    /// Replicas that count for `min-replicas-to-write`, and bytes sent to all of them.
    fn totals(&self) -> (usize, u64) {
        let replicas = &self.shared.replicas;
        (replicas.good.load(SeqCst), replicas.output_bytes.load(Relaxed))
    }

    fn news_fd(&self) -> i32 {
        self.shared.replicas.news().as_raw_fd()
    }

    /// Begins the journal's thread, which remembers what the others say.
    fn prepare(&self) -> PyResult<()> {
        Ok(self.shared.world.journal.start()?)
    }

    /// Says whether what is written comes from a primary. Without the journal's thread it does not.
    fn set_follows(&self, follows: bool) {
        if !follows {
            self.shared.replicas.backlog.set_stream_database(None);
        }
        self.shared.world.journal.mark(move |feed| feed.set_follows(follows));
    }

    fn want_news(&self, wanted: bool) {
        self.shared.replicas.want_news(wanted);
    }

    fn silence_news(&self) {
        self.shared.replicas.silence_news();
    }
}
