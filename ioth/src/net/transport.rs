//! What carries a connection's bytes: the only place that receives from a client's socket and sends to it.
//!
//! Polling is edge-triggered, so what the socket was last known to be able to do is kept here. What a short read or a short
//! write means differs by stream: a plain socket is empty after the one and full after the other, while an encrypted one may
//! have decrypted bytes left that no poll tells of. So nobody else draws such conclusions.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// The most that is asked for in one read.
pub const READ_BYTES_MAX: usize = 1 << 20;

/// The kinds of streams.
enum Stream {
    /// A TCP or Unix socket without encryption.
    Plain(Arc<OwnedFd>),
}

/// A stream and its state.
pub struct Transport {
    stream: Stream,
    /// There may be something to receive.
    readable: bool,
    /// The stream took all that it was given last.
    writable: bool,
    /// The other side has closed the stream, or its half of it.
    peer_closed: bool,
    /// Somebody else has the right to send, see [`Transport::lend`].
    lent: bool,
}

/// The right to send to a connection's stream, away from its thread.
pub struct Lent(Arc<OwnedFd>);

impl Lent {
    /// Sends what the stream takes at once; returns the number of bytes. What fails here fails again for the connection's thread,
    /// which then ends the connection.
    pub fn send(&self, bytes: &[u8]) -> usize {
        rustix::net::send(&self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).unwrap_or(0)
    }
}

/// What a read has brought.
#[derive(PartialEq, Eq, Debug)]
pub enum Received {
    Bytes(usize),
    Nothing,
    Closed,
}

impl Transport {
    /// A connected socket that does not block.
    pub fn plain(socket: OwnedFd) -> Transport {
        Transport {
            stream: Stream::Plain(Arc::new(socket)),
            readable: true,
            writable: true,
            peer_closed: false,
            lent: false,
        }
    }

    /// Takes the poller's word for what the socket can do.
    pub fn note_events(&mut self, flags: EventFlags) {
        self.readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        self.peer_closed |= flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP);
        self.writable |= flags.contains(EventFlags::OUT);
    }

    /// Whether there may be something to receive.
    #[inline]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether more may be sent now.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.writable && !self.lent
    }

    /// Gives the right to send away until [`Transport::take_back`], for one writer has it at a time. `None` where the stream has a
    /// state that belongs to its thread, as an encrypted one has.
    pub fn lend(&mut self) -> Option<Lent> {
        let Stream::Plain(socket) = &self.stream;
        self.lent = true;
        Some(Lent(Arc::clone(socket)))
    }

    /// Whoever had the right to send is done.
    pub fn take_back(&mut self) {
        self.lent = false;
    }

    /// Whether the other side has closed the stream, or its half of it.
    pub fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    /// Receives once, into the room that a buffer has.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> Received {
        let asked = (buffer.capacity() - buffer.len()).min(READ_BYTES_MAX);
        let Stream::Plain(socket) = &self.stream;
        match rustix::net::recv(socket, rustix::buffer::spare_capacity(buffer), RecvFlags::empty()) {
            Ok((0, _)) => Received::Closed,
            Ok((count, _)) => {
                // Less than asked for: the socket is empty, and the poller will tell when it is not.
                // Its end may have come with these bytes, and nothing will tell of that again.
                self.readable = count >= asked || self.peer_closed;
                Received::Bytes(count)
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Received::Nothing
            }
            Err(Errno::INTR) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    /// Sends what the stream takes; returns the number of bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        debug_assert!(!self.lent, "two writers to one stream");
        let Stream::Plain(socket) = &self.stream;
        match rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)) {
            Ok(sent) => {
                self.writable = sent == bytes.len();
                Ok(sent)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// The socket itself, for whoever takes the connection over.
    pub fn socket(&self) -> Arc<OwnedFd> {
        let Stream::Plain(socket) = &self.stream;
        Arc::clone(socket)
    }

    /// The descriptor's number, for CLIENT LIST.
    pub fn number(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// Has the next read tried whatever the poller has said.
    #[cfg(test)]
    pub fn assume_readable(&mut self) {
        self.readable = true;
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let Stream::Plain(socket) = &self.stream;
        socket.as_fd()
    }
}
