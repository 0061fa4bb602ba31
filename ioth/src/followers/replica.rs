//! A link to a replica, after its PSYNC: what is to be sent to it, and what it acknowledges.
//!
//! It is sent, in this order: what is answered to it, a snapshot if it needs one, and the backlog from there on, straight from
//! the chunks that all replicas share.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicU8, Ordering::Relaxed};
use std::sync::Arc;

use sherd_shards::handler::args;
use sherd_shards::server::client::ClientRecord;

use crate::connection::token::Token;
use crate::net::link_socket::LinkSocket;
use crate::protocol::parser::{Limits, Parsed, Parser};

use super::backlog::Backlog;
use super::transfer::{Next, TransferReader};

/// Bytes of a snapshot that are sent at once.
const PART_BYTES: usize = 128 << 10;
/// Bytes that one replica is sent in one turn, before others have theirs.
const TURN_BYTES: usize = 1 << 20;
/// The longest thing that a replica says.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Where a replica is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Its snapshot has not begun, or is being made.
    Waiting = 0,
    /// Its snapshot is being sent while it is made.
    Transfer = 1,
    /// Its snapshot is being sent.
    Snapshot = 2,
    /// It has its snapshot and is to say so before anything follows: it looks for the snapshot's end.
    Loading = 3,
    /// It gets what is written.
    Online = 4,
}

/// What anybody may know of a replica.
pub struct ReplicaView {
    pub record: Arc<ClientRecord>,
    /// Where clients reach it, as it has said; the address is empty if it has not.
    pub address: String,
    pub port: u16,
    phase: AtomicU8,
    pub acknowledged: AtomicU64,
    /// What its append-only file has on disk.
    pub synced: AtomicU64,
    /// When it last acknowledged something, or joined, on the monotonic clock.
    pub acknowledged_ms: AtomicI64,
    /// It wants the snapshot only, as backup tools do.
    pub wants_snapshot_only: bool,
}

impl ReplicaView {
    pub fn new(record: Arc<ClientRecord>, (address, port): (String, u16), now_ms: i64, snapshot_only: bool) -> Self {
        ReplicaView {
            record,
            address,
            port,
            phase: AtomicU8::new(Phase::Waiting as u8),
            acknowledged: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            acknowledged_ms: now_ms.into(),
            wants_snapshot_only: snapshot_only,
        }
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Waiting,
            1 => Phase::Transfer,
            2 => Phase::Snapshot,
            3 => Phase::Loading,
            _ => Phase::Online,
        }
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }
}

/// A client that is to become a replica.
pub struct Joining {
    pub connection: Token,
    pub client_id: u64,
    /// Where clients reach it, as it has said.
    pub address: String,
    pub port: u16,
    /// What it is answered.
    pub preamble: Vec<u8>,
    /// It goes on in the backlog, where it is a reader already.
    pub online: bool,
    pub snapshot_only: bool,
}

/// A snapshot on its way.
enum Sending {
    File { file: Arc<File>, at: u64, length: u64 },
    Transfer(TransferReader),
}

/// What became of an attempt to send a part of a snapshot.
enum Part {
    /// So many bytes were sent.
    Sent(usize),
    /// There is nothing more yet.
    Nothing,
    /// There is nothing more at all.
    End,
}

/// Why a link is given up.
pub enum Gone {
    Closed,
    Failed(String),
}

/// One link, which belongs to the thread that feeds replicas.
pub struct Replica {
    pub view: Arc<ReplicaView>,
    pub socket: LinkSocket,
    /// What comes before everything else.
    head: Vec<u8>,
    sending: Option<Sending>,
    /// Behind its snapshot there is more than its output limit may let it have: writers wait for it still.
    pub is_catching_up: bool,
    /// It has all that it wants, once its socket has taken that.
    is_served: bool,
    /// The socket took less than there was.
    pub is_blocked: bool,
    pub is_readable: bool,
    incoming: Vec<u8>,
    parser: Parser,
    /// When it last took something, on the monotonic clock.
    pub moved_ms: i64,
    /// Since when it is beyond the soft limit.
    pub over_soft_limit_since_ms: Option<i64>,
}

impl Replica {
    /// A link that nothing was sent over yet but what its IO thread had still to send, `head`.
    pub fn new(
        view: Arc<ReplicaView>,
        socket: LinkSocket,
        (head, incoming): (Vec<u8>, Vec<u8>),
        now_ms: i64,
    ) -> Replica {
        Replica {
            view,
            socket,
            head,
            sending: None,
            is_catching_up: false,
            is_served: false,
            is_blocked: false,
            is_readable: true,
            incoming,
            parser: Parser::default(),
            moved_ms: now_ms,
            over_soft_limit_since_ms: None,
        }
    }

    /// Its client's id.
    pub fn id(&self) -> u64 {
        self.view.record.id
    }

    /// Adds something that comes before the snapshot or the backlog.
    pub fn say(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    /// Begins to send a snapshot, whose length is told first.
    pub fn send_snapshot(&mut self, file: Arc<File>, length: u64) {
        self.say(format!("${length}\r\n").as_bytes());
        self.sending = Some(Sending::File { file, at: 0, length });
        self.view.set_phase(Phase::Snapshot);
    }

    /// Begins to send a snapshot that is being taken.
    pub fn send_transfer(&mut self, transfer: TransferReader) {
        self.say(&transfer.announcement());
        self.sending = Some(Sending::Transfer(transfer));
        self.view.set_phase(Phase::Transfer);
    }

    /// Whether other replicas get their snapshot no faster than this one.
    pub fn holds_others_up(&self) -> bool {
        matches!(&self.sending, Some(Sending::Transfer(transfer)) if transfer.is_shared())
    }

    /// Whether there is something for it that its socket may take.
    pub fn has_more(&self, backlog: &Backlog) -> bool {
        let is_there = match &self.sending {
            Some(Sending::Transfer(transfer)) => !matches!(transfer.next(), Next::Nothing),
            Some(Sending::File { .. }) => true,
            None => self.view.phase() == Phase::Online && backlog.behind(self.id()) > 0,
        };
        is_there && !self.is_blocked
    }

    /// Tells one that waits that somebody is still there.
    pub fn keep_alive(&mut self) {
        if self.view.phase() == Phase::Waiting && self.head.is_empty() {
            self.say(b"\n");
        }
    }

    /// Sends what there is, up to a turn's share; true if there is more to send and the socket may take it.
    pub fn pump(&mut self, backlog: &Backlog, now_ms: i64) -> Result<bool, Gone> {
        if !self.is_blocked {
            self.is_blocked = !self.flush()?;
        }
        let mut left = TURN_BYTES;
        while left > 0 && !self.is_blocked {
            let sent = if !self.head.is_empty() {
                let head = std::mem::take(&mut self.head);
                let result = self.send(&head);
                self.head = head;
                let sent = result?;
                self.head.drain(..sent);
                sent
            } else if self.sending.is_some() {
                match self.send_part()? {
                    Part::Sent(count) => {
                        // At once: what it says next may already be that it has everything.
                        if self.has_sent_snapshot() {
                            self.end_snapshot(backlog, now_ms);
                        }
                        count
                    }
                    Part::Nothing => return Ok(false),
                    Part::End => {
                        self.end_snapshot(backlog, now_ms);
                        continue;
                    }
                }
            } else if self.is_served {
                return Err(Gone::Failed("it has its snapshot".to_owned()));
            } else if self.view.phase() == Phase::Online {
                let Some((chunk, from)) = backlog.next(self.id()) else { return self.has_all(backlog) };
                let sent = self.send(&chunk.bytes[from..])?;
                backlog.advance(self.id(), sent);
                self.is_catching_up = self.is_catching_up && !backlog.let_go(self.id());
                sent
            } else {
                return Ok(false);
            };
            if sent > 0 {
                self.moved_ms = now_ms;
            }
            left = left.saturating_sub(sent);
        }
        Ok(!self.is_blocked)
    }

    /// There is nothing for it: as it has everything, or as what it had still to get is kept no longer. It would wait for ever then.
    fn has_all(&self, backlog: &Backlog) -> Result<bool, Gone> {
        if backlog.is_reader(self.id()) {
            return Ok(false);
        }
        Err(Gone::Failed("what it has still to get is not kept any more".to_owned()))
    }

    /// Sends what the link has encrypted earlier; whether nothing is left of that.
    fn flush(&self) -> Result<bool, Gone> {
        self.socket.flush().map_err(|error| Gone::Failed(error.to_string()))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        let sent = self.socket.send(bytes).map_err(|error| Gone::Failed(error.to_string()))?;
        self.is_blocked = sent < bytes.len() || !self.flush()?;
        self.view.record.output_bytes.fetch_add(sent as u64, Relaxed);
        Ok(sent)
    }

    fn send_part(&mut self) -> Result<Part, Gone> {
        match &self.sending {
            Some(Sending::File { file, at, length }) => {
                let mut buffer = vec![0; PART_BYTES.min((length - at) as usize)];
                if let Err(error) = file.read_exact_at(&mut buffer, *at) {
                    return Err(Gone::Failed(format!("its snapshot cannot be read: {error}")));
                }
                self.send_of_snapshot(&buffer)
            }
            Some(Sending::Transfer(transfer)) => match transfer.next() {
                Next::Bytes(chunk, from) => {
                    let part = &chunk.bytes[from..];
                    self.send_of_snapshot(&part[..part.len().min(PART_BYTES)])
                }
                Next::Nothing => Ok(Part::Nothing),
                Next::End => Ok(Part::End),
                Next::Failed => Err(Gone::Failed("its snapshot was given up".to_owned())),
            },
            None => Ok(Part::Nothing),
        }
    }

    fn send_of_snapshot(&mut self, bytes: &[u8]) -> Result<Part, Gone> {
        if bytes.is_empty() {
            return Ok(Part::End);
        }
        let sent = self.send(bytes)?;
        match &mut self.sending {
            Some(Sending::File { at, .. }) => *at += sent as u64,
            Some(Sending::Transfer(transfer)) => transfer.advance(sent),
            None => {}
        }
        Ok(Part::Sent(sent))
    }

    fn has_sent_snapshot(&self) -> bool {
        match &self.sending {
            Some(Sending::File { at, length, .. }) => at == length,
            Some(Sending::Transfer(transfer)) => matches!(transfer.next(), Next::End),
            None => false,
        }
    }

    /// All of its snapshot was sent.
    fn end_snapshot(&mut self, backlog: &Backlog, now_ms: i64) {
        let sent = self.sending.take();
        if self.view.wants_snapshot_only {
            self.is_served = true;
        } else if matches!(sent, Some(Sending::Transfer(_))) {
            // It could not tell the stream from the snapshot if that followed at once.
            self.view.acknowledged_ms.store(now_ms, Relaxed);
            self.view.set_phase(Phase::Loading);
        } else {
            self.go_online(backlog, now_ms);
        }
    }

    /// From now on it gets what is written.
    fn go_online(&mut self, backlog: &Backlog, now_ms: i64) {
        self.view.acknowledged_ms.store(now_ms, Relaxed);
        self.view.set_phase(Phase::Online);
        self.is_catching_up = !backlog.let_go(self.id());
    }

    /// Takes what the replica has sent; true if it has acknowledged something.
    pub fn receive(&mut self, backlog: &Backlog, now_ms: i64) -> Result<bool, Gone> {
        self.incoming.reserve(4096);
        match self.socket.receive(&mut self.incoming) {
            Ok(Some(0)) => return Ok(false),
            Ok(None) => return Err(Gone::Closed),
            Err(error) if self.socket.is_encrypted() => return Err(Gone::Failed(error.to_string())),
            Err(_) => return Err(Gone::Closed),
            Ok(Some(count)) => {
                let record = &self.view.record;
                record.input_bytes.fetch_add(count as u64, Relaxed);
                record.last_interaction_at.store(now_ms, Relaxed);
                // An empty line says that it is still there, as one that loads its snapshot does.
                self.view.acknowledged_ms.store(now_ms, Relaxed);
            }
        }
        self.take_requests(backlog, now_ms)
    }

    fn take_requests(&mut self, backlog: &Backlog, now_ms: i64) -> Result<bool, Gone> {
        let limits = Limits { bulk_bytes_max: REQUEST_BYTES_MAX, authenticated: true };
        let (mut at, mut has_acknowledged) = (0, false);
        loop {
            let rest = &self.incoming[at..];
            at += match self.parser.next(rest, limits) {
                Ok(Parsed::Command(length)) => {
                    let words: Vec<&[u8]> = self.parser.args().iter().map(|&(begin, end)| &rest[begin..end]).collect();
                    has_acknowledged |= acknowledge(&self.view, &words, (backlog.range().1, now_ms));
                    length
                }
                Ok(Parsed::Inline(length) | Parsed::Nothing(length)) => length,
                Ok(Parsed::Incomplete(_)) if rest.len() < REQUEST_BYTES_MAX => break,
                Ok(Parsed::Incomplete(_)) | Err(_) => {
                    return Err(Gone::Failed("what it says is no acknowledgement".to_owned()));
                }
            };
        }
        self.incoming.drain(..at);
        if has_acknowledged && self.view.phase() == Phase::Loading {
            self.go_online(backlog, now_ms);
        }
        Ok(has_acknowledged)
    }
}

/// `REPLCONF ACK offset [FACK offset]`; anything else means nothing here.
fn acknowledge(view: &ReplicaView, words: &[&[u8]], (end, now_ms): (u64, i64)) -> bool {
    let [name, pairs @ ..] = words else { return false };
    if !args::is(name, "REPLCONF") {
        return false;
    }
    let mut has_acknowledged = false;
    for pair in pairs.chunks_exact(2) {
        let offset = args::integer(pair[1]).ok().and_then(|offset| u64::try_from(offset).ok());
        // More than there is, nobody can have.
        let Some(offset) = offset.map(|offset| offset.min(end)) else { continue };
        if args::is(pair[0], "ACK") {
            view.acknowledged.fetch_max(offset, Relaxed);
            view.acknowledged_ms.store(now_ms, Relaxed);
            has_acknowledged = true;
        } else if args::is(pair[0], "FACK") {
            view.synced.fetch_max(offset, Relaxed);
        }
    }
    has_acknowledged
}
