//! What waits at a connection's socket: how replies come there, and leave.
//!
//! A large reply is not copied: the buffer in which it was written becomes the connection's, so that it takes memory once. What was
//! sent of it is given back while it is read.

use std::ops::Range;

use rustix::io::Errno;

use sherd_shards::handler::reply::make_room;

use crate::connection::encoded::Push;
use crate::net::buffers::BUFFER_KEEP_MAX;
use crate::net::transport::Transport;

use super::ahead::Piece;
use super::Outbound;

/// What was sent is removed from the buffer when it is at least so much, and most of the buffer.
const REMOVE_BYTES_MIN: usize = 1 << 20;
/// Replies of so many bytes are not copied but taken over with the buffer that they came in.
pub(super) const TAKEN_BYTES_MIN: usize = 1 << 20;
/// Messages are sent once a round, or when there are so many bytes of them.
const PUSH_BYTES_MAX: usize = 64 << 10;
/// Messages of so many bytes are shared by those who are not sent them at once.
const SHARED_BYTES_MIN: usize = 4 << 10;

impl Outbound {
    /// Bytes that the buffers take.
    pub fn capacity(&self) -> usize {
        let ahead = self.ahead.as_ref().map_or(0, |ahead| ahead.capacity());
        self.buffer.capacity() + self.scratch.capacity() + self.large_bytes + self.pushed.capacity() + ahead
    }

    /// Puts what is in a buffer, from a place on, behind what is waiting; the buffer is taken if that is large. Returns where it
    /// begins in the buffer.
    pub fn append(&mut self, mut buffer: Vec<u8>, from: usize) -> usize {
        let (bytes, end) = (buffer.len() - from, buffer.len());
        self.append_from(&mut buffer, from, end);
        self.buffer.len() - bytes
    }

    fn extend(&mut self, bytes: &[u8]) {
        make_room(&mut self.buffer, bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// Puts a range of a buffer behind what is waiting. The buffer itself is taken if that is its end, and large.
    pub fn append_from(&mut self, buffer: &mut Vec<u8>, from: usize, to: usize) {
        let (unsent, bytes) = (self.buffer.len() - self.sent, to - from);
        if bytes < TAKEN_BYTES_MIN || to < buffer.len() || bytes < unsent {
            // What is empty may stand behind what was taken before.
            self.extend(buffer.get(from..to).unwrap_or_default());
            return;
        }
        let mut taken = std::mem::take(buffer);
        if unsent > 0 {
            make_room(&mut taken, unsent.saturating_sub(from));
            taken.splice(..from, self.buffer[self.sent..].iter().copied());
        }
        self.sent = if unsent > 0 { 0 } else { from };
        self.buffer = taken;
    }

    /// Sends a range of a buffer after what is waiting; what the stream does not take waits as well. Returns the number of bytes
    /// sent.
    // Always: there is one place where it matters.
    #[inline(always)]
    pub fn send_from(
        &mut self,
        transport: &mut Transport,
        buffer: &mut Vec<u8>,
        range: Range<usize>,
    ) -> Result<usize, Errno> {
        if self.unsent() > 0 || !transport.is_writable() || self.held_until != 0 {
            self.append_from(buffer, range.start, range.end);
            return self.flush(transport);
        }
        let sent = transport.send(&buffer[range.clone()])?;
        if sent < range.len() {
            self.append_from(buffer, range.start + sent, range.end);
        }
        Ok(sent)
    }

    /// Sends a message after what is waiting; what the stream does not take waits as well. Returns the number of bytes sent.
    fn send(&mut self, transport: &mut Transport, message: Push<'_>) -> Result<usize, Errno> {
        if self.unsent() > 0 || !transport.is_writable() || self.held_until != 0 {
            self.keep_message(message, 0);
            return self.flush(transport);
        }
        let sent = transport.send(message.bytes)?;
        if sent < message.bytes.len() {
            self.keep_message(message, sent);
        }
        Ok(sent)
    }

    /// Puts a message behind what is waiting, without its first bytes, which were sent: nothing is waiting then.
    fn keep_message(&mut self, message: Push<'_>, sent: usize) {
        let rest = &message.bytes[sent..];
        let shared = (rest.len() >= SHARED_BYTES_MIN).then(|| message.keep()).flatten();
        let Some(shared) = shared else { return self.extend(rest) };
        let ahead = self.ahead.get_or_insert_default();
        if self.sent < self.buffer.len() {
            ahead.push(Piece::Own(std::mem::take(&mut self.buffer)), self.sent);
        }
        self.buffer.clear();
        self.sent = 0;
        ahead.push(Piece::Shared(shared), sent);
    }

    /// Sends what it can of all that waits and of a message behind it. Keeps the rest only if that leaves no more than `bytes_max`
    /// unread; returns the number of bytes sent, and whether it was kept.
    pub fn push_within(
        &mut self,
        transport: &mut Transport,
        message: Push<'_>,
        bytes_max: usize,
    ) -> Result<(usize, bool), Errno> {
        let (mut sent, mut taken) = (self.flush(transport)?, 0);
        if self.unsent() == 0 && transport.is_writable() && self.held_until == 0 {
            taken = transport.send(message.bytes)?;
            sent += taken;
        }
        if (message.bytes.len() - taken).saturating_add(self.unread()) > bytes_max {
            return Ok((sent, false));
        }
        self.keep_message(message, taken);
        Ok((sent, true))
    }

    /// Nothing more is sent: what waits is freed.
    pub fn drop_unsent(&mut self) {
        (self.buffer, self.sent, self.ahead) = (Vec::new(), 0, None);
        (self.scratch, self.large_bytes) = (Vec::new(), 0);
        (self.pushed, self.behind) = (Vec::new(), Vec::new());
        for pending in &mut self.pending {
            (pending.bytes, pending.large) = ((0, 0), None);
        }
        self.release();
    }

    /// Adds a message behind the replies that are there, before those that are to come. It is sent at once only if it is large,
    /// or what waits is; returns the number of bytes sent.
    pub fn push(&mut self, transport: &mut Transport, message: Push<'_>) -> Result<usize, Errno> {
        let length = message.bytes.len();
        if length >= PUSH_BYTES_MAX || length >= SHARED_BYTES_MIN && !transport.is_writable() {
            return self.send(transport, message);
        }
        self.buffer.extend_from_slice(message.bytes);
        if self.unsent() >= PUSH_BYTES_MAX {
            return self.flush(transport);
        }
        Ok(0)
    }

    /// Sends what is waiting. Returns the number of bytes sent.
    pub fn flush(&mut self, transport: &mut Transport) -> Result<usize, Errno> {
        if !transport.is_writable() {
            return Ok(0);
        }
        transport.flush()?;
        if self.unsent() == 0 || !transport.is_writable() || self.held_until != 0 {
            return Ok(0);
        }
        let before = self.flush_ahead(transport)?;
        if self.sent == self.buffer.len() || !transport.is_writable() {
            return Ok(before);
        }
        let sent = transport.send(&self.buffer[self.sent..])?;
        self.sent += sent;
        if self.sent == self.buffer.len() {
            self.buffer.clear();
            self.sent = 0;
            // What a large reply left behind is not kept by an idle connection.
            self.buffer.shrink_to(BUFFER_KEEP_MAX);
        } else if self.sent > REMOVE_BYTES_MIN && self.sent * 2 > self.buffer.len() {
            self.buffer.drain(..self.sent);
            self.sent = 0;
            // A client that reads a long reply slowly does not keep all of it here until the end.
            self.buffer.shrink_to(self.buffer.len());
        }
        Ok(before + sent)
    }

    /// Sends what is ahead of the buffer. Returns the number of bytes sent; if not all were, the stream takes no more.
    fn flush_ahead(&mut self, transport: &mut Transport) -> Result<usize, Errno> {
        let Some(ahead) = &mut self.ahead else { return Ok(0) };
        let mut sent = 0;
        while let Some(bytes) = ahead.next().filter(|_| transport.is_writable()) {
            let taken = transport.send(bytes)?;
            ahead.note_sent(taken);
            sent += taken;
        }
        if ahead.unsent() == 0 {
            self.ahead = None;
        }
        Ok(sent)
    }
}
