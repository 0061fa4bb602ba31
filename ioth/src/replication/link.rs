//! The connection to the primary: its socket, how far it has come, and what clients are shown of it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use sherd_shards::server::client::{ClientRecord, LinkTo};

use crate::connection::token::Token;
use crate::net::link_socket::LinkSocket;
use crate::net::listener::Peer;
use crate::observe::clients::new_record;
use crate::shared::Shared;

/// The most that is received at once.
const RECEIVE_BYTES: usize = 256 << 10;
/// How often a wait is interrupted to see whether the link is still wanted, and to acknowledge.
const LOOK_EVERY_MS: i64 = 1000;
/// How long nothing is taken where the journal is behind, before it is looked at again.
const HOLD_BACK_MS: i64 = 10;

/// Why a link has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost(pub String);

impl Lost {
    pub(super) fn because(reason: impl Into<String>) -> Lost {
        Lost(reason.into())
    }
}

/// See the [module](self).
pub struct Link {
    socket: LinkSocket,
    shared: Arc<Shared>,
    pub record: Arc<ClientRecord>,
    closed: AtomicBool,
    /// Silence after which the link is given up, in milliseconds.
    pub timeout_ms: AtomicI64,
    /// When something last came, on the monotonic clock.
    pub last_io_ms: AtomicI64,
    /// The offset up to which the stream was received, and that up to which it was applied; -1 until it begins.
    pub received: AtomicI64,
    pub applied: AtomicI64,
    /// The database that the stream has selected where it was applied last.
    pub db: AtomicI64,
    /// Bytes of the snapshot that is being received, so far and in all (0: not known).
    pub snapshot_bytes: AtomicU64,
    pub snapshot_total: AtomicU64,
    /// What was applied is not what the primary has, so that only a whole snapshot can mend it.
    pub diverged: AtomicBool,
    /// Commands of the primary that were answered with an error.
    pub failed_commands: AtomicU64,
    pub input_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
}

impl Link {
    /// Takes over a connected stream.
    pub fn new(shared: &Arc<Shared>, socket: LinkSocket, address: String, local_address: String) -> Link {
        // No IO thread has it.
        let token = Token { io_thread: u16::MAX, generation: 0, index: 0 };
        let now_ms = shared.world.monotonic_milliseconds();
        let peer = Peer { address, local_address, is_unix: false, is_tls: socket.is_encrypted(), is_local: false };
        let record = new_record(&shared.clients, (token, 0), socket.number(), now_ms, peer);
        record.set_link(LinkTo::Primary);
        shared.clients.add(&record, token);
        Link {
            socket,
            shared: Arc::clone(shared),
            record,
            closed: AtomicBool::new(false),
            timeout_ms: AtomicI64::new(60_000),
            last_io_ms: AtomicI64::new(now_ms),
            received: AtomicI64::new(-1),
            applied: AtomicI64::new(-1),
            db: AtomicI64::new(0),
            snapshot_bytes: AtomicU64::new(0),
            snapshot_total: AtomicU64::new(0),
            diverged: AtomicBool::new(false),
            failed_commands: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
        }
    }

    /// Ends the link: whoever waits for it learns of that at once, and it is shown no more, however long somebody holds it.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
        self.shared.clients.remove(self.record.id);
        self.socket.shut_down();
    }

    /// Says that bytes have come.
    fn note_received(&self, count: usize) {
        let now_ms = self.shared.world.monotonic_milliseconds();
        self.last_io_ms.store(now_ms, Relaxed);
        self.input_bytes.fetch_add(count as u64, Relaxed);
        self.record.input_bytes.fetch_add(count as u64, Relaxed);
        self.record.last_interaction_at.store(now_ms, Relaxed);
    }

    /// Whether the link is to end, and why.
    fn is_over(&self) -> Option<Lost> {
        if self.closed.load(Relaxed) {
            return Some(Lost::because("it was closed"));
        }
        if self.record.killed.load(Relaxed) {
            return Some(Lost::because("CLIENT KILL has ended it"));
        }
        if self.shared.stopping.load(Relaxed) {
            return Some(Lost::because("the server stops"));
        }
        let silent_ms = self.shared.world.monotonic_milliseconds() - self.last_io_ms.load(Relaxed);
        (silent_ms > self.timeout_ms.load(Relaxed)).then(|| Lost::because("the primary has been silent for too long"))
    }

    /// Receives what there is behind what is in the buffer; 0 if nothing has come for a moment.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> Result<usize, Lost> {
        self.receive_within(buffer, LOOK_EVERY_MS)
    }

    /// The same, where the moment has so many milliseconds.
    pub fn receive_within(&self, buffer: &mut Vec<u8>, milliseconds: i64) -> Result<usize, Lost> {
        if let Some(lost) = self.is_over() {
            return Err(lost);
        }
        buffer.reserve(RECEIVE_BYTES);
        match self.receive_now(buffer)? {
            0 => {
                self.wait(PollFlags::IN, milliseconds);
                self.receive_now(buffer)
            }
            count => Ok(count),
        }
    }

    /// Takes nothing for a moment while this server's own files and replicas are behind, so that what waits for them stays bounded.
    /// True if that was so. It is not the primary that is silent then.
    pub fn holds_back(&self) -> Result<bool, Lost> {
        let world = &self.shared.world;
        if !world.pause.is_behind() {
            return Ok(false);
        }
        self.last_io_ms.store(world.monotonic_milliseconds(), Relaxed);
        self.rest(HOLD_BACK_MS).map(|()| true)
    }

    fn receive_now(&self, buffer: &mut Vec<u8>) -> Result<usize, Lost> {
        match self.socket.receive(buffer) {
            Ok(None) => Err(Lost::because("the primary has closed it")),
            Ok(Some(0)) => Ok(0),
            Ok(Some(count)) => {
                self.note_received(count);
                Ok(count)
            }
            Err(error) => Err(Lost(error.to_string())),
        }
    }

    /// Waits for so many milliseconds without taking anything from the socket.
    pub fn rest(&self, milliseconds: i64) -> Result<(), Lost> {
        if let Some(lost) = self.is_over() {
            return Err(lost);
        }
        // Poll would return at once from a socket that was reset, for as long as nothing is taken from it.
        std::thread::sleep(Duration::from_millis(milliseconds as u64));
        Ok(())
    }

    fn wait(&self, wanted: PollFlags, milliseconds: i64) {
        let timeout = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
        // An interrupted poll is one that found nothing.
        let _ = poll(&mut [PollFd::new(&self.socket, wanted)], Some(&timeout));
    }

    /// Sends as much of something short as the socket takes now, and returns how much that is.
    pub fn send(&self, bytes: &[u8]) -> Result<usize, Lost> {
        let sent = self.socket.send(bytes).map_err(|error| Lost(error.to_string()))?;
        self.output_bytes.fetch_add(sent as u64, Relaxed);
        self.record.output_bytes.fetch_add(sent as u64, Relaxed);
        Ok(sent)
    }

    /// What the link belongs to.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.clients.remove(self.record.id);
    }
}
