//! One client's connection: its buffers, and what its commands have set up.
//!
//! Commands that were sent to shards are remembered as *runs*: so many replies to come from one source, in the order of
//! the requests. While any are out, the read buffer is not touched, for their arguments point into it, and neither are the
//! words of inline requests.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use sherd_shards::blocking::Waiter;
use sherd_shards::client::ClientRecord;
use sherd_shards::registry::Command;
use sherd_shards::reply::Reply;
use sherd_shards::watch::DirtyFlag;

use crate::protocol::parser::Parser;
use crate::shared::Token;

/// Bytes asked for in one read where nothing larger is known to come.
pub const READ_BYTES: usize = 16 * 1024;
/// The most that is asked for in one read.
const READ_BYTES_MAX: usize = 1 << 20;
/// A read buffer that has grown beyond this is given back when it is empty.
pub const BUFFER_KEEP_MAX: usize = 64 * 1024;
/// Unsent replies above which no further requests are read where no hard limit is configured. A client that sends a
/// whole pipeline before it reads anything must not be stopped by less than a sensible pipeline's replies.
pub const OUTPUT_PAUSE_BYTES: usize = 256 << 20;

/// The source of replies that the IO thread wrote itself.
pub const INLINE: u8 = u8::MAX;

/// So many replies in a row from one source.
pub struct Run {
    pub source: u8,
    /// CLIENT REPLY said not to send them.
    pub suppressed: bool,
    pub count: u32,
    /// Where their bytes are in the connection's `scratch`, once they have come.
    pub bytes: (usize, usize),
}

/// What CLIENT REPLY has set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyMode {
    On,
    Off,
    /// This command's reply and the next one's are not sent.
    SkipNext,
    /// This command's reply is not sent.
    Skip,
}

/// A command queued by MULTI.
pub struct QueuedCommand {
    pub command: &'static Command,
    pub args: Vec<Vec<u8>>,
}

/// An open transaction.
#[derive(Default)]
pub struct Multi {
    pub commands: Vec<QueuedCommand>,
    pub bytes: usize,
    /// A command was refused while queueing; EXEC will abort.
    pub aborted: bool,
}

/// Watched keys.
pub struct Watch {
    pub flag: DirtyFlag,
    pub shards: u64,
    /// With their databases.
    pub keys: HashSet<(u16, Vec<u8>)>,
}

/// What a connection waits for besides shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    Nothing,
    /// The control plane's answer.
    Control,
    /// A transaction that the control plane executes.
    Exec,
    /// An errand over shards that were busy.
    Errand,
    /// A key; see `waiter`.
    Blocked,
}

/// See the file's head.
pub struct Connection {
    /// Shared with the control plane while it answers.
    pub socket: Arc<OwnedFd>,
    pub token: Token,
    pub record: Arc<ClientRecord>,
    pub is_local: bool,
    pub buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    pub consumed: usize,
    pub parser: Parser,
    /// The words of inline requests that commands which are out may point to.
    pub inline_words: Vec<Vec<Vec<u8>>>,
    /// Bytes that are sure to come for the request that is being read.
    pub expected: usize,
    /// There may be something to read.
    pub readable: bool,
    pub peer_closed: bool,
    pub out: Vec<u8>,
    pub out_sent: usize,
    /// The socket took all that was given to it last.
    pub writable: bool,
    pub runs: Vec<Run>,
    pub scratch: Vec<u8>,
    /// Shards whose replies are to come, as a bit set.
    pub shards_out: u64,
    /// Those in whose batches the last turn is this connection's and says what holds now.
    pub turns_open: u64,
    pub waiting: Waiting,
    /// The command that waits for a key.
    pub waiter: Option<Arc<Waiter>>,
    /// Its reply, when it has come before everything in front of it was sent.
    pub wake_reply: Option<Vec<u8>>,
    /// Its answer if the wait was interrupted while it was being served and nothing was found.
    pub interrupt_reply: Option<Vec<u8>>,
    /// CLIENT REPLY said not to send it.
    pub wake_suppressed: bool,
    /// Nothing more is taken from it until its thread releases it; see [`crate::request::paused`].
    pub held: bool,
    /// The connection is in its thread's list of things to do.
    pub is_ready: bool,
    pub db: u16,
    pub resp3: bool,
    pub authenticated: bool,
    pub reply_mode: ReplyMode,
    pub multi: Option<Box<Multi>>,
    pub watch: Option<Box<Watch>>,
    pub last_command: Option<&'static Command>,
    /// The request that waits for its turn was shown to the monitors already.
    pub shown_to_monitors: bool,
    pub close_after_reply: bool,
    pub closing: bool,
    /// When the soft output limit was first exceeded (milliseconds), 0 if it is not.
    pub over_soft_limit_since_ms: i64,
}

/// What a read gave.
#[derive(PartialEq, Eq, Debug)]
pub enum Read {
    Some(usize),
    Nothing,
    Closed,
}

impl Connection {
    /// Whether requests may be parsed now.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.shards_out == 0 && self.waiting == Waiting::Nothing && !self.closing
    }

    /// Whether no shard and no errand has anything of this connection.
    pub fn has_nothing_out(&self) -> bool {
        self.shards_out == 0 && self.waiting != Waiting::Errand
    }

    /// Reads once. Only while nothing is out: the buffer may move.
    pub fn read(&mut self, pool: &mut Vec<Vec<u8>>) -> Read {
        debug_assert!(self.runs.is_empty());
        if self.buffer.capacity() == 0 {
            self.buffer = pool.pop().unwrap_or_else(|| Vec::with_capacity(READ_BYTES));
        }
        self.compact();
        let want = self.expected.clamp(READ_BYTES, READ_BYTES_MAX);
        if self.buffer.capacity() - self.buffer.len() < want.min(READ_BYTES / 4).max(self.expected.min(want)) {
            // A large argument is given its room at once, up to a bound, so that it is not copied at every doubling.
            let room = self.expected.clamp(READ_BYTES, 64 << 20);
            self.buffer.reserve(room);
        }
        let asked = (self.buffer.capacity() - self.buffer.len()).min(READ_BYTES_MAX);
        let result =
            rustix::net::recv(&self.socket, rustix::buffer::spare_capacity(&mut self.buffer), RecvFlags::empty());
        match result {
            Ok((0, _)) => Read::Closed,
            Ok((count, _)) => {
                // Less than asked for: the socket is empty, and the poller will tell when it is not.
                // Its end may have come with these bytes, and nothing will tell of that again.
                self.readable = count >= asked || self.peer_closed;
                Read::Some(count)
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Read::Nothing
            }
            Err(Errno::INTR) => Read::Nothing,
            Err(_) => Read::Closed,
        }
    }

    /// Moves what is left of the buffer to its beginning.
    fn compact(&mut self) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// Gives an empty read buffer back to the pool: an idle connection holds none.
    pub fn release_buffer(&mut self, pool: &mut Vec<Vec<u8>>) {
        if self.consumed < self.buffer.len() || self.buffer.capacity() == 0 || self.shards_out != 0 {
            return;
        }
        self.consumed = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        if buffer.capacity() <= BUFFER_KEEP_MAX && pool.len() < 256 {
            pool.push(buffer);
        }
    }

    /// Whether replies are to come from a shard.
    #[inline]
    pub fn expects_from(&self, shard: usize) -> bool {
        self.shards_out >> shard & 1 == 1
    }

    /// Remembers a reply to come from a shard.
    #[inline]
    pub fn expect_from(&mut self, shard: usize) {
        self.shards_out |= 1 << shard;
        let suppressed = self.reply_mode != ReplyMode::On;
        match self.runs.last_mut() {
            Some(run) if run.source == shard as u8 && run.suppressed == suppressed => run.count += 1,
            _ => self.runs.push(Run { source: shard as u8, suppressed, count: 1, bytes: (0, 0) }),
        }
    }

    /// Notes that a shard's replies have come.
    pub fn received_from(&mut self, shard: usize) {
        self.shards_out &= !(1 << shard);
        self.turns_open &= !(1 << shard);
    }

    /// Writes a reply in its place behind those that are still to come. Gives whether it was an error.
    #[inline]
    pub fn reply(&mut self, write: impl FnOnce(&mut Reply<'_>)) -> bool {
        if self.runs.is_empty() {
            let start = self.out.len();
            let mut reply = Reply::new(&mut self.out, self.resp3);
            write(&mut reply);
            let failed = reply.failed();
            if self.reply_mode != ReplyMode::On {
                self.out.truncate(start);
            }
            return failed;
        }
        let start = self.scratch.len();
        let mut reply = Reply::new(&mut self.scratch, self.resp3);
        write(&mut reply);
        let failed = reply.failed();
        let suppressed = self.reply_mode != ReplyMode::On;
        self.runs.push(Run { source: INLINE, suppressed, count: 1, bytes: (start, self.scratch.len()) });
        failed
    }

    /// Sends `bytes` after what is waiting; what the socket does not take waits as well. Gives the bytes sent.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.out_sent < self.out.len() || !self.writable {
            self.out.extend_from_slice(bytes);
            return self.flush();
        }
        let sent = self.send_now(bytes)?;
        if sent < bytes.len() {
            self.out.extend_from_slice(&bytes[sent..]);
        }
        Ok(sent)
    }

    /// Sends what is waiting. Gives the bytes sent.
    pub fn flush(&mut self) -> Result<usize, Errno> {
        if self.out_sent == self.out.len() || !self.writable {
            return Ok(0);
        }
        let out = std::mem::take(&mut self.out);
        let result = self.send_now(&out[self.out_sent..]);
        self.out = out;
        let sent = result?;
        self.out_sent += sent;
        if self.out_sent == self.out.len() {
            self.out.clear();
            self.out_sent = 0;
            // What a large reply left behind is not kept by an idle connection.
            self.out.shrink_to(BUFFER_KEEP_MAX);
        } else if self.out_sent > 1 << 20 && self.out_sent * 2 > self.out.len() {
            self.out.drain(..self.out_sent);
            self.out_sent = 0;
        }
        Ok(sent)
    }

    fn send_now(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        match rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL)) {
            Ok(sent) => {
                self.writable = sent == bytes.len();
                self.note_sent(sent);
                Ok(sent)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Counts bytes that the client was sent.
    pub fn note_sent(&self, count: usize) {
        self.record.output_bytes.store(self.record.output_bytes.load(Relaxed) + count as u64, Relaxed);
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.out_sent
    }

    /// Forgets the watched keys.
    pub fn unwatch(&mut self) {
        self.watch = None;
        self.record.watched.store(0, Relaxed);
    }

    /// Leaves the transaction.
    pub fn discard(&mut self) {
        self.multi = None;
        self.record.queued.store(-1, Relaxed);
        self.unwatch();
    }
}
