//! What waits at a connection's socket: how replies come there, and leave.
//!
//! A large reply is not copied: the buffer in which it was written becomes the connection's, so that it takes memory once. What was
//! sent of it is given back while it is read.

use std::ops::Range;

use rustix::io::Errno;

use sherd_shards::handler::reply::make_room;

use crate::net::buffers::BUFFER_KEEP_MAX;
use crate::net::transport::Transport;

use super::Outbound;

/// What was sent is removed from the buffer when it is at least so much, and most of the buffer.
const REMOVE_BYTES_MIN: usize = 1 << 20;
/// Replies of so many bytes are not copied but taken over with the buffer that they came in.
pub(super) const TAKEN_BYTES_MIN: usize = 1 << 20;
/// Messages are sent once a round, or when there are so many bytes of them.
const PUSH_BYTES_MAX: usize = 64 << 10;

impl Outbound {
    /// Bytes that the buffers take.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity() + self.scratch.capacity() + self.large_bytes + self.pushed.capacity()
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
        let (unsent, bytes) = (self.unsent(), to - from);
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

    /// Sends `bytes` after what is waiting; what the stream does not take waits as well. Returns the number of bytes sent.
    fn send(&mut self, transport: &mut Transport, bytes: &[u8]) -> Result<usize, Errno> {
        if self.unsent() > 0 || !transport.is_writable() || self.held_until != 0 {
            self.buffer.extend_from_slice(bytes);
            return self.flush(transport);
        }
        let sent = transport.send(bytes)?;
        if sent < bytes.len() {
            self.buffer.extend_from_slice(&bytes[sent..]);
        }
        Ok(sent)
    }

    /// Sends what it can of all that waits and of a message behind it. Keeps the rest only if that leaves no more than `bytes_max`
    /// unread; returns the number of bytes sent, and whether it was kept.
    pub fn push_within(
        &mut self,
        transport: &mut Transport,
        bytes: &[u8],
        bytes_max: usize,
    ) -> Result<(usize, bool), Errno> {
        let mut sent = self.flush(transport)?;
        let mut rest = bytes;
        if self.unsent() == 0 && transport.is_writable() && self.held_until == 0 {
            let taken = transport.send(bytes)?;
            sent += taken;
            rest = &bytes[taken..];
        }
        if rest.len().saturating_add(self.unread()) > bytes_max {
            return Ok((sent, false));
        }
        self.extend(rest);
        Ok((sent, true))
    }

    /// Nothing more is sent: what waits is freed.
    pub fn drop_unsent(&mut self) {
        (self.buffer, self.sent) = (Vec::new(), 0);
        (self.scratch, self.large_bytes) = (Vec::new(), 0);
        (self.pushed, self.behind) = (Vec::new(), Vec::new());
        for pending in &mut self.pending {
            (pending.bytes, pending.large) = ((0, 0), None);
        }
        self.release();
    }

    /// Adds a message behind the replies that are there, before those that are to come. It is sent at once only if it is large,
    /// or what waits is; returns the number of bytes sent.
    pub fn push(&mut self, transport: &mut Transport, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.len() >= PUSH_BYTES_MAX {
            return self.send(transport, bytes);
        }
        self.buffer.extend_from_slice(bytes);
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
        Ok(sent)
    }
}
