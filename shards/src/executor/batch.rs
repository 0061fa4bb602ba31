//! Commands on their way to a shard: what one IO thread has for one shard in one round.
//!
//! A batch is moved, never shared: the IO thread fills it, whoever holds the baton executes it, and it comes back with
//! the replies in it. Arguments point into the read buffers of the connections, which stay untouched until then.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use crate::command::registry::Command;
use crate::effects::blocking::Waiter;
use crate::handler::context::Client;
use crate::journal::Ticket;
use crate::protocol::error::CommandError;
use crate::protocol::reply::{Protocol, Reply};
use crate::server::client::ClientRecord;
use crate::server::tracking::Tracks;

/// One command of a batch.
pub struct Cmd {
    pub command: &'static Command,
    /// Hash and slot of the first key; hash 0 where there is none.
    pub hash: u64,
    /// Where the reply ends in the batch's `out`.
    pub end: usize,
    /// Where the arguments end in the batch's `args`; they begin where those of the command before end.
    pub args_end: u32,
    pub slot: u16,
    pub db: u16,
}

/// What holds for commands of one connection that follow each other. A connection has several segments in a batch only if a
/// command in between, as SELECT or HELLO, has changed what is said here.
#[derive(Clone)]
pub struct Segment {
    /// The first of its commands; they end where those of the next segment begin.
    pub first: usize,
    /// The connection, in the IO thread's own numbering.
    pub connection: u32,
    pub db: u16,
    pub protocol: Protocol,
    pub no_touch: bool,
    pub tracks: Tracks,
    /// What a reply may have, in bytes.
    pub reply_bytes_max: usize,
    /// Set by the executor when the connection shall be closed after the replies.
    pub close: Cell<bool>,
    /// Set by the executor when a command has changed something that is recorded. Cells: its client is borrowed meanwhile.
    pub has_written: Cell<bool>,
    pub client: ClientPointer,
}

/// The client's record, which its connection keeps alive while it has commands in flight.
#[derive(Clone, Copy)]
pub struct ClientPointer(*const ClientRecord);

// SAFETY: the record is Sync, and alive as long as a command refers to it (see the type).
unsafe impl Send for ClientPointer {}

impl ClientPointer {
    /// A pointer to a record that outlives the batch.
    pub fn new(record: &ClientRecord) -> ClientPointer {
        ClientPointer(record)
    }

    /// No client: what the server does of its own accord.
    pub fn none() -> ClientPointer {
        ClientPointer(std::ptr::null())
    }

    /// The record.
    pub fn get<'a>(self) -> Option<&'a ClientRecord> {
        // SAFETY: by the type's contract.
        unsafe { self.0.as_ref() }
    }
}

impl Segment {
    /// The client as its commands see it.
    #[inline]
    pub fn as_client(&self) -> Client<'_> {
        Client {
            db: self.db,
            protocol: self.protocol,
            no_touch: self.no_touch,
            tracks: self.tracks,
            record: self.client.get(),
            reply_bytes_max: self.reply_bytes_max,
        }
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Batch {
    pub shard: usize,
    /// The IO thread to give it back to.
    pub io_thread: usize,
    pub commands: Vec<Cmd>,
    pub segments: Vec<Segment>,
    pub args: Vec<&'static [u8]>,
    pub out: Vec<u8>,
    /// Commands that were executed. Those behind them wait for another thread, or for their client to read (`run.rs`).
    pub executed: usize,
    /// The journal's segment of what was written; 0 if nothing was, or nobody listens.
    pub ticket: Ticket,
    /// Commands that wait for a key instead of answering, by their place in `commands`, in order.
    pub waiters: Vec<(usize, Arc<Waiter>)>,
}

/// Reply bytes that a batch's buffer keeps when it is used again.
const OUT_KEEP_MAX: usize = 1 << 20;

impl Batch {
    /// An empty batch between an IO thread and a shard.
    pub fn new(io_thread: usize, shard: usize) -> Batch {
        Batch { shard, io_thread, ..Batch::default() }
    }

    /// Makes the batch empty for its next use.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.executed = 0;
        self.segments.clear();
        self.args.clear();
        self.waiters.clear();
        self.ticket = 0;
        self.out.clear();
        self.out.shrink_to(OUT_KEEP_MAX);
    }

    /// Notes the journal's segment of what the command has written that was executed last, if it has; its reply may have to wait
    /// for it.
    pub fn note_ticket(&mut self, ticket: Ticket) {
        if ticket != 0 {
            self.ticket = self.ticket.max(ticket);
            let segment = self.segment_of(self.executed - 1);
            self.segments[segment].has_written.set(true);
        }
    }

    /// Answers all commands that were not executed with an error.
    pub fn refuse(&mut self, error: &CommandError) {
        for at in self.executed..self.commands.len() {
            let protocol = self.segments[self.segment_of(at)].protocol;
            Reply::new(&mut self.out, protocol).error(error);
            self.commands[at].end = self.out.len();
        }
        self.executed = self.commands.len();
    }

    /// Begins a connection's segment: the commands that are pushed from now on are its own. A reply may have so many bytes.
    pub fn begin_segment(
        &mut self,
        connection: u32,
        client: &ClientRecord,
        (db, protocol): (u16, Protocol),
        reply_bytes_max: usize,
    ) {
        let no_touch = client.no_touch.load(Relaxed);
        let tracks = client.tracking.tracks();
        let client = ClientPointer::new(client);
        self.segments.push(Segment {
            first: self.commands.len(),
            connection,
            db,
            protocol,
            no_touch,
            tracks,
            reply_bytes_max,
            close: Cell::new(false),
            has_written: Cell::new(false),
            client,
        });
    }

    /// Adds a command to the segment that was begun last; `hash` and `slot` are its first key's.
    #[inline(always)]
    pub fn push(&mut self, command: &'static Command, args: &[&'static [u8]], hash: u64, slot: u16, db: u16) {
        // What nearly all commands have is copied without a call.
        match *args {
            [name, key] => self.args.extend_from_slice(&[name, key]),
            [name, key, value] => self.args.extend_from_slice(&[name, key, value]),
            _ => self.args.extend_from_slice(args),
        }
        let args_end = self.args.len() as u32;
        self.commands.push(Cmd { command, hash, end: 0, args_end, slot, db });
    }

    /// Adds commands of another batch that were not executed there, with what holds for them.
    pub fn push_from(&mut self, other: &Batch, commands: Range<usize>) {
        if commands.is_empty() {
            return;
        }
        for of in other.segment_of(commands.start)..=other.segment_of(commands.end - 1) {
            let segment = &other.segments[of];
            let (first, end) = (segment.first.max(commands.start), other.segment_end(of).min(commands.end));
            self.segments.push(Segment {
                first: self.commands.len(),
                close: Cell::new(false),
                has_written: Cell::new(false),
                ..segment.clone()
            });
            for at in first..end {
                let Cmd { command, hash, slot, db, .. } = other.commands[at];
                self.push(command, other.args_of(at), hash, slot, db);
            }
        }
    }

    /// The arguments of a command.
    pub fn args_of(&self, command: usize) -> &[&'static [u8]] {
        &self.args[self.args_start(command)..self.commands[command].args_end as usize]
    }

    /// The segment that a command belongs to.
    pub fn segment_of(&self, command: usize) -> usize {
        self.segments.partition_point(|segment| segment.first <= command) - 1
    }

    /// Where the commands of a segment end.
    #[inline]
    pub fn segment_end(&self, segment: usize) -> usize {
        self.segments.get(segment + 1).map_or(self.commands.len(), |next| next.first)
    }

    /// Where the arguments of a command begin in `args`.
    pub fn args_start(&self, command: usize) -> usize {
        command.checked_sub(1).map_or(0, |before| self.commands[before].args_end as usize)
    }

    /// Where the reply of a command begins in `out`.
    pub fn reply_start(&self, command: usize) -> usize {
        command.checked_sub(1).map_or(0, |before| self.commands[before].end)
    }
}
