//! What carries a connection's bytes: the only place that receives from a client's socket and sends to it.
//!
//! Polling is edge-triggered, so what the socket was last known to be able to do is kept here. What a short read or a short
//! write means differs by stream: a plain socket is empty after the one and full after the other, while an encrypted one may
//! have taken more than its socket has. So nobody else draws such conclusions.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::link_socket::LinkSocket;
use super::tls::{Decrypted, TlsStream};

/// The most that is asked for in one read.
pub const READ_BYTES_MAX: usize = 1 << 20;

/// The kinds of streams.
enum Stream {
    /// A TCP or Unix socket without encryption.
    Plain(Arc<OwnedFd>),
    Tls(Box<TlsStream>),
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
        Transport::new(Stream::Plain(Arc::new(socket)))
    }

    /// The same with encryption.
    pub fn tls(stream: TlsStream) -> Transport {
        Transport::new(Stream::Tls(Box::new(stream)))
    }

    fn new(stream: Stream) -> Transport {
        Transport { stream, readable: true, writable: true, peer_closed: false, lent: false }
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
    /// state that belongs to its thread, as an encrypted one has: the answer then takes the way through that thread.
    pub fn lend(&mut self) -> Option<Lent> {
        let Stream::Plain(socket) = &self.stream else { return None };
        self.lent = true;
        Some(Lent(Arc::clone(socket)))
    }

    /// Whoever had the right to send is done.
    pub fn take_back(&mut self) {
        self.lent = false;
    }

    /// Whether the other side has closed the stream, or its half of it, as far as that can be told without taking what it has sent
    /// before: for a connection that is not read for as long as it waits.
    pub fn is_closed_by_peer(&mut self) -> bool {
        if let Stream::Tls(stream) = &mut self.stream {
            if self.readable && !self.peer_closed {
                self.peer_closed = stream.look_for_end();
                self.readable = self.peer_closed || stream.has_ahead();
                self.writable &= stream.backlog() == 0;
            }
        }
        self.peer_closed
    }

    /// Whether the stream is encrypted, and the two sides do not know one another yet.
    #[inline]
    pub fn is_handshaking(&self) -> bool {
        matches!(&self.stream, Stream::Tls(stream) if stream.is_handshaking())
    }

    /// The stream, if it is encrypted.
    pub fn encrypted(&mut self) -> Option<&mut TlsStream> {
        match &mut self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(stream),
        }
    }

    /// Bytes that the stream has taken and its socket has not, encrypted.
    #[inline]
    pub fn backlog(&self) -> usize {
        match &self.stream {
            Stream::Plain(_) => 0,
            Stream::Tls(stream) => stream.backlog(),
        }
    }

    /// Bytes that its buffers take.
    pub fn capacity(&self) -> usize {
        match &self.stream {
            Stream::Plain(_) => 0,
            Stream::Tls(stream) => stream.capacity() + size_of::<TlsStream>(),
        }
    }

    /// Receives once, into the room that a buffer has, or into as much as what comes decrypts to.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> Received {
        let asked = (buffer.capacity() - buffer.len()).min(READ_BYTES_MAX);
        let socket = match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => {
                let received = stream.receive(buffer);
                self.writable &= stream.backlog() == 0;
                return self.take_decrypted(received);
            }
        };
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

    fn take_decrypted(&mut self, received: Decrypted) -> Received {
        match received {
            Decrypted::Closed => Received::Closed,
            Decrypted::Nothing => {
                self.readable = false;
                Received::Nothing
            }
            Decrypted::Bytes(count, has_more) => {
                self.readable = has_more || self.peer_closed;
                if count == 0 {
                    Received::Nothing
                } else {
                    Received::Bytes(count)
                }
            }
        }
    }

    /// Sends what the stream takes; returns the number of bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        debug_assert!(!self.lent, "two writers to one stream");
        let socket = match &mut self.stream {
            Stream::Plain(socket) => &*socket,
            Stream::Tls(stream) => {
                let sent = stream.send(bytes)?;
                self.writable = stream.backlog() == 0;
                return Ok(sent);
            }
        };
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

    /// Ends the stream for both sides, also where somebody else has its socket still.
    pub fn hang_up(&self) {
        // It may have ended already.
        let _ = rustix::net::shutdown(self, rustix::net::Shutdown::Both);
    }

    /// The stream itself, for whoever takes the connection over. What stays here is the socket, to be shown and closed; nobody
    /// sends or receives here any more.
    pub fn take_link(&mut self) -> LinkSocket {
        let socket = match &self.stream {
            Stream::Plain(socket) => return LinkSocket::plain(Arc::clone(socket)),
            Stream::Tls(stream) => stream.socket(),
        };
        match std::mem::replace(&mut self.stream, Stream::Plain(socket)) {
            Stream::Plain(socket) => LinkSocket::plain(socket),
            Stream::Tls(stream) => LinkSocket::encrypted(stream),
        }
    }

    /// Sends of what the stream has taken what its socket takes now.
    pub fn flush(&mut self) -> Result<(), Errno> {
        if let Stream::Tls(stream) = &mut self.stream {
            if stream.backlog() > 0 && self.writable {
                stream.flush()?;
                self.writable = stream.backlog() == 0;
            }
        }
        Ok(())
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
        match &self.stream {
            Stream::Plain(socket) => socket.as_fd(),
            Stream::Tls(stream) => stream.as_fd(),
        }
    }
}
