//! Replies on their way to a client: those that are to come, and those that wait for the socket.
//!
//! Replies are sent in the order of the requests, whoever executes them. What is to come is remembered as *pending replies*: so
//! many in a row from one source. Replies that come before others in front of them are kept in `scratch`.

mod ahead;
mod sending;

use sherd_shards::executor::batch::Batch;
use sherd_shards::handler::reply::{make_room, Protocol, Reply};
use sherd_shards::journal::Ticket;

use crate::net::buffers::BUFFER_KEEP_MAX;

use self::ahead::Ahead;
use self::sending::TAKEN_BYTES_MIN;

/// Unsent replies above which no further requests are read where no hard limit is configured. A client that sends a
/// whole pipeline before it reads anything must not be stopped by less than a sensible pipeline's replies.
pub const OUTPUT_PAUSE_BYTES: usize = 256 << 20;
/// Replies that one connection's requests of a round may have, the last one's not counted, where they are written as the requests
/// are taken. What shards execute has a bound of its own (`request/parked.rs`).
const ROUND_REPLY_BYTES_MAX: usize = 1 << 20;
/// Replies that wait for others in front of them, above which their shards execute no more until those are there.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// The source of replies that the IO thread wrote itself.
const OWN: u8 = u8::MAX;

/// So many replies in a row from one source.
struct PendingReplies {
    /// The shard, or [`OWN`].
    source: u8,
    /// CLIENT REPLY said not to send them.
    suppressed: bool,
    count: u32,
    /// They are in `scratch`.
    have_come: bool,
    /// Where they are there.
    bytes: (usize, usize),
    /// What came in a buffer of its own, because it is large, in place of that.
    large: Option<Box<Large>>,
}

/// The end of a buffer.
struct Large {
    buffer: Vec<u8>,
    from: usize,
}

impl PendingReplies {
    /// Replies that are to come from a shard.
    fn from(shard: usize, suppressed: bool, count: u32) -> PendingReplies {
        PendingReplies { source: shard as u8, suppressed, count, have_come: false, bytes: (0, 0), large: None }
    }
}

/// A message, and the command of a shard's batch whose reply it follows.
struct Behind {
    shard: usize,
    at: usize,
    bytes: Vec<u8>,
}

/// Commands of the connection that are to be executed when it has read more.
pub struct Parked {
    pub batch: Box<Batch>,
    /// How many of them have gone on.
    pub done: usize,
}

/// A connection's replies.
#[derive(Default)]
pub struct Outbound {
    /// Replies in their final order, of which the first bytes were sent already.
    pub buffer: Vec<u8>,
    sent: usize,
    /// What is sent before that: large messages that were not copied, and replies and messages in front of them.
    ahead: Option<Box<Ahead>>,
    /// Nothing is sent before this segment of the journal is durable; 0 if nothing is waited for.
    held_until: Ticket,
    pending: Vec<PendingReplies>,
    scratch: Vec<u8>,
    /// Bytes of those that have buffers of their own.
    large_bytes: usize,
    /// Messages that follow the reply which is being written.
    pushed: Vec<u8>,
    /// Messages that follow the reply to one command of a batch that is out; in their order.
    behind: Vec<Behind>,
    /// Shards whose replies are to come, as a bit set.
    shards: u64,
    /// A script is out at one of several shards, and nothing of this connection at any other one.
    has_script_out: bool,
    /// What shards have not executed, for its replies were too many. Replies to it are to come all the same.
    parked: Vec<Parked>,
    /// Their shards, which execute nothing of this connection.
    parked_in: u64,
    /// How many bytes of replies there may be when the next request of this round is taken.
    replied_bytes_max: usize,
    /// Those in whose batches the last segment is this connection's and says what holds now.
    open_segments: u64,
    /// When the soft limit was first exceeded (milliseconds), if it is.
    pub over_soft_limit_since_ms: Option<i64>,
}

impl Outbound {
    /// Whether replies of a shard are to come.
    #[inline]
    pub fn awaits_shards(&self) -> bool {
        self.shards != 0
    }

    /// Whether a shard has something of this connection that it executes, or will.
    #[inline]
    pub fn is_executing(&self) -> bool {
        self.shards & !self.parked_in != 0
    }

    /// Whether commands wait for the client to read.
    #[inline]
    pub fn has_parked(&self) -> bool {
        self.parked_in != 0
    }

    /// Keeps commands of a shard that executes nothing of this connection, until they may go on.
    pub fn park(&mut self, mut parked: Parked) {
        let shard = parked.batch.shard;
        if let Some(at) = self.parked.iter().position(|other| other.batch.shard == shard) {
            let behind = self.parked.swap_remove(at);
            parked.batch.push_from(&behind.batch, behind.done..behind.batch.commands.len());
        }
        self.shards |= 1 << shard;
        self.parked_in |= 1 << shard;
        self.parked.push(parked);
    }

    /// Keeps commands behind others that have gone on.
    pub fn keep_behind(&mut self, parked: Parked) {
        self.parked.push(parked);
    }

    /// Takes what is parked, each to go on or to be parked again, but for what stands behind other commands. Replies to it are to
    /// come.
    pub fn take_parked(&mut self) -> Vec<Parked> {
        let waiting = std::mem::take(&mut self.parked_in);
        let parked = std::mem::take(&mut self.parked).into_iter();
        let (taken, behind) = parked.partition(|it| waiting >> it.batch.shard & 1 == 1);
        self.parked = behind;
        taken
    }

    /// What is parked is not executed any more: the connection ends.
    pub fn forget_parked(&mut self) {
        self.shards &= !self.parked_in;
        self.parked_in = 0;
        self.parked.clear();
    }

    /// Whether a shard may go on: replies of others wait in front of its own as far as they have room, and for no others of it.
    pub fn has_room_for(&self, shard: usize) -> bool {
        let next = self.pending.iter().find(|pending| !pending.have_come);
        self.kept() < SCRATCH_BYTES_MAX || next.is_some_and(|next| next.source == shard as u8)
    }

    /// Whether replies are to come from a shard.
    #[inline]
    pub fn expects_from(&self, shard: usize) -> bool {
        self.shards >> shard & 1 == 1
    }

    /// Whether replies are to come from another shard than this one.
    #[inline]
    pub fn expects_from_others(&self, shard: usize) -> bool {
        self.shards & !(1 << shard) != 0
    }

    /// Notes that the command which goes to a shard next is a script. Scripts may turn to any shard, though they never have before:
    /// what the connection sends to others has to be executed before it, or sent behind its reply.
    #[inline]
    pub fn note_script(&mut self) {
        self.has_script_out = true;
    }

    /// Whether a script is out that what goes to other shards has to wait for.
    #[inline]
    pub fn has_script_out(&self) -> bool {
        self.has_script_out
    }

    /// Whether any reply is to come, or waits for one that is.
    #[inline]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Remembers a reply to come from a shard.
    #[inline]
    pub fn expect_from(&mut self, shard: usize, suppressed: bool) {
        self.expect_many_from(shard, suppressed, 1);
    }

    /// Remembers so many replies to come from a shard.
    #[inline]
    pub fn expect_many_from(&mut self, shard: usize, suppressed: bool, count: u32) {
        self.shards |= 1 << shard;
        match self.pending.last_mut() {
            Some(last) if last.source == shard as u8 && last.suppressed == suppressed => last.count += count,
            _ => self.pending.push(PendingReplies::from(shard, suppressed, count)),
        }
    }

    /// Whether the connection has to begin a segment in a shard's batch before it puts a command there. It has one from now on.
    #[inline]
    pub fn opens_segment(&mut self, shard: usize) -> bool {
        let is_new = self.open_segments >> shard & 1 == 0;
        self.open_segments |= 1 << shard;
        is_new
    }

    /// What holds for the connection's commands has changed: they are to be put into segments of their own.
    pub fn close_segments(&mut self) {
        self.open_segments = 0;
    }

    /// Notes that a shard's replies have come. What stands behind the commands that they answer may go on.
    pub fn received_from(&mut self, shard: usize) {
        self.shards &= !(1 << shard);
        self.open_segments &= !(1 << shard);
        self.has_script_out = false;
        if self.parked.iter().any(|behind| behind.batch.shard == shard) {
            self.shards |= 1 << shard;
            self.parked_in |= 1 << shard;
        }
    }

    /// Where all that is pending comes from one source, of which so many have come, forgets those, and returns whether they are
    /// suppressed: they are next, and need no putting in order.
    #[inline]
    pub fn take_only_pending(&mut self, come: usize) -> Option<bool> {
        let [only] = self.pending.as_mut_slice() else { return None };
        let suppressed = only.suppressed;
        if only.count as usize > come {
            only.count -= come as u32;
        } else {
            self.pending.clear();
        }
        Some(suppressed)
    }

    /// Bytes of replies that wait for others in front of them.
    fn kept(&self) -> usize {
        self.scratch.len() + self.large_bytes
    }

    /// Keeps replies of a shard that lie one behind the other in `bytes`, from `from` to each of the `ends`. The buffer itself is
    /// taken if what is last in it is large.
    pub fn keep(&mut self, shard: usize, bytes: &mut Vec<u8>, mut from: usize, ends: impl Iterator<Item = usize>) {
        let mut ends = ends.peekable();
        let mut at = 0;
        while at < self.pending.len() && ends.peek().is_some() {
            let pending = &mut self.pending[at];
            at += 1;
            if pending.source != shard as u8 || pending.have_come {
                continue;
            }
            let (mut to, mut come) = (from, 0);
            while let Some(end) = (come < pending.count).then(|| ends.next()).flatten() {
                (to, come) = (end, come + 1);
            }
            let left = pending.count - come;
            let start = self.scratch.len();
            if to == bytes.len() && to - from >= TAKEN_BYTES_MIN {
                self.large_bytes += to - from;
                pending.large = Some(Box::new(Large { buffer: std::mem::take(bytes), from }));
            } else {
                self.scratch.extend_from_slice(bytes.get(from..to).unwrap_or_default());
            }
            (pending.count, pending.have_come, pending.bytes) = (come, true, (start, self.scratch.len()));
            from = to;
            if left > 0 {
                let rest = PendingReplies::from(shard, pending.suppressed, left);
                self.pending.insert(at, rest);
            }
        }
    }

    /// Puts the replies in order that have come, up to the first that has not.
    pub fn put_in_order(&mut self) {
        let come = self.pending.iter().take_while(|pending| pending.have_come).count();
        // Out of the way, so that nothing is asked of the allocator.
        let mut pending = std::mem::take(&mut self.pending);
        pending.drain(..come).for_each(|next| self.put_next(next));
        self.pending = pending;
        let mut scratch = std::mem::take(&mut self.scratch);
        if self.pending.is_empty() {
            scratch.clear();
            scratch.shrink_to(BUFFER_KEEP_MAX);
            self.scratch = scratch;
            return;
        }
        for pending in self.pending.iter_mut().filter(|pending| pending.have_come) {
            let start = self.scratch.len();
            self.scratch.extend_from_slice(&scratch[pending.bytes.0..pending.bytes.1]);
            pending.bytes = (start, self.scratch.len());
        }
    }

    /// Puts replies behind the others: they are next.
    fn put_next(&mut self, pending: PendingReplies) {
        let Some(large) = pending.large else {
            if !pending.suppressed {
                make_room(&mut self.buffer, pending.bytes.1 - pending.bytes.0);
                self.buffer.extend_from_slice(&self.scratch[pending.bytes.0..pending.bytes.1]);
            }
            return;
        };
        self.large_bytes = self.large_bytes.saturating_sub(large.buffer.len() - large.from);
        if !pending.suppressed {
            self.append(large.buffer, large.from);
        }
    }

    /// Writes a reply in its place behind those that are still to come; returns whether it was an error.
    #[inline]
    pub fn reply(&mut self, protocol: Protocol, suppressed: bool, write: impl FnOnce(&mut Reply<'_>)) -> bool {
        let is_next = self.pending.is_empty();
        let buffer = if is_next { &mut self.buffer } else { &mut self.scratch };
        let start = buffer.len();
        let mut reply = Reply::new(buffer, protocol);
        write(&mut reply);
        let failed = reply.failed();
        if suppressed {
            buffer.truncate(start);
        }
        let bytes = (start, buffer.len());
        if !is_next {
            self.pending.push(PendingReplies {
                source: OWN,
                suppressed,
                count: 1,
                have_come: true,
                bytes,
                large: None,
            });
        }
        failed
    }

    /// A round begins, in which the connection may have so many bytes of replies written.
    #[inline]
    pub fn begin_round(&mut self) {
        self.replied_bytes_max = self.replied_bytes() + ROUND_REPLY_BYTES_MAX;
    }

    /// Whether that is reached: no further request is taken in this round.
    #[inline]
    pub fn has_replied_enough(&self) -> bool {
        self.replied_bytes() >= self.replied_bytes_max
    }

    /// Bytes of replies that wait to be sent, as far as they are the connection's own.
    #[inline]
    pub fn replied_bytes(&self) -> usize {
        self.buffer.len() + self.kept()
    }

    /// Sends nothing before a segment of the journal is durable. Returns whether nothing was held back until now.
    pub fn hold_until(&mut self, ticket: Ticket) -> bool {
        let is_first = self.held_until == 0;
        self.held_until = self.held_until.max(ticket);
        is_first
    }

    /// What is waited for before anything is sent; 0 for nothing.
    pub fn held_until(&self) -> Ticket {
        self.held_until
    }

    /// Nothing is held back any more.
    pub fn release(&mut self) {
        self.held_until = 0;
    }

    /// Bytes that wait to be sent.
    #[inline]
    pub fn unsent(&self) -> usize {
        self.buffer.len() - self.sent + self.ahead.as_ref().map_or(0, |ahead| ahead.unsent())
    }

    /// The same with replies and messages that wait for others in front of them.
    #[inline]
    pub fn unread(&self) -> usize {
        self.unsent() + self.kept() + self.pushed.len()
    }

    /// Takes what was not sent.
    pub fn take_unsent(&mut self) -> Vec<u8> {
        let mut unsent = std::mem::take(&mut self.buffer);
        unsent.drain(..std::mem::take(&mut self.sent));
        match self.ahead.take() {
            None => unsent,
            Some(ahead) => [ahead.into_bytes(), unsent].concat(),
        }
    }

    /// Keeps a message until the reply that is being written is complete.
    pub fn push_later(&mut self, bytes: &[u8]) {
        self.pushed.extend_from_slice(bytes);
    }

    /// Keeps a message until the reply to a command of a shard's batch comes.
    pub fn push_behind(&mut self, shard: usize, at: usize, bytes: Vec<u8>) {
        self.behind.push(Behind { shard, at, bytes });
    }

    /// Whether messages follow single replies of batches.
    #[inline]
    pub fn has_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// The replies to commands of a shard's batch, given with their places there, with the messages that follow them; and where each
    /// reply ends. Where replies are suppressed, messages follow all of them.
    pub fn join_behind<'a>(
        &mut self,
        shard: usize,
        replies: impl Iterator<Item = (usize, &'a [u8])>,
    ) -> (Vec<u8>, Vec<usize>) {
        let (here, elsewhere) =
            std::mem::take(&mut self.behind).into_iter().partition(|message| message.shard == shard);
        self.behind = elsewhere;
        let here: Vec<Behind> = here;
        let is_suppressed = self.pending.iter().any(|pending| pending.suppressed);
        if is_suppressed {
            here.iter().for_each(|message| self.pushed.extend_from_slice(&message.bytes));
        }
        let mut messages = here.into_iter().filter(|_| !is_suppressed).peekable();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (at, reply) in replies {
            bytes.extend_from_slice(reply);
            while let Some(message) = messages.next_if(|message| message.at <= at) {
                bytes.extend_from_slice(&message.bytes);
            }
            ends.push(bytes.len());
        }
        // None is left, unless it has come too late for its batch.
        messages.for_each(|message| self.pushed.extend_from_slice(&message.bytes));
        (bytes, ends)
    }

    /// Whether messages wait for the end of a reply.
    #[inline]
    pub fn has_pushed(&self) -> bool {
        !self.pushed.is_empty()
    }

    /// A reply is complete: the messages that have come meanwhile follow it.
    #[inline]
    pub fn end_reply(&mut self) {
        if !self.pushed.is_empty() {
            self.buffer.append(&mut self.pushed);
            self.pushed.shrink_to(BUFFER_KEEP_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
