//! The socket of a link between two servers, to a primary or to a replica: one thread sends and receives, others may poll it and
//! end it.
//!
//! It never blocks. Whoever uses it polls it, level-triggered, so nothing has to be remembered of what it could do. An encrypted
//! one decrypts all that it has received, so that a poll tells of all that is there; what it has encrypted and its socket has
//! not taken is a backlog of its own, which [`LinkSocket::flush`] sends.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use super::tls::{Decrypted, TlsStream};

/// See the [module](self).
pub struct LinkSocket {
    socket: Arc<OwnedFd>,
    /// Taken by one thread at a time, which never waits while it has it.
    encrypted: Option<Mutex<Box<TlsStream>>>,
}

fn lock(stream: &Mutex<Box<TlsStream>>) -> MutexGuard<'_, Box<TlsStream>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LinkSocket {
    /// Takes over a connected socket.
    pub fn plain(socket: Arc<OwnedFd>) -> LinkSocket {
        LinkSocket { socket, encrypted: None }
    }

    /// Takes over an encrypted stream.
    pub fn encrypted(stream: Box<TlsStream>) -> LinkSocket {
        LinkSocket { socket: stream.socket(), encrypted: Some(Mutex::new(stream)) }
    }

    /// Receives once, into the room that a buffer has, or into as much as what comes decrypts to: `None` at the end of the stream,
    /// 0 if nothing is there now.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        if let Some(stream) = &self.encrypted {
            return receive_encrypted(&mut lock(stream), buffer);
        }
        match rustix::net::recv(&self.socket, rustix::buffer::spare_capacity(buffer), RecvFlags::DONTWAIT) {
            Ok((0, _)) => Ok(None),
            Ok((count, _)) => Ok(Some(count)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what the stream takes now. Of that some may have become its backlog.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(stream) = &self.encrypted {
            let mut stream = lock(stream);
            stream.flush()?;
            return Ok(stream.send(bytes)?);
        }
        match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what the socket takes of what the stream has taken; whether that was all.
    pub fn flush(&self) -> io::Result<bool> {
        let Some(stream) = &self.encrypted else { return Ok(true) };
        let mut stream = lock(stream);
        stream.flush()?;
        Ok(stream.backlog() == 0)
    }

    /// Lets the kernel gather what is sent into fewer, larger packets, which come later.
    pub fn gather_packets(&self) {
        // A socket of another family has no such packets.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&self.socket, false);
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted.is_some()
    }

    /// Ends the stream in both directions: whoever polls it learns of that at once.
    pub fn shut_down(&self) {
        // One that has lost its peer already is no worse off.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// The descriptor's number, for CLIENT LIST.
    pub fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn receive_encrypted(stream: &mut TlsStream, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    match stream.receive(buffer) {
        Decrypted::Bytes(count, _) => Ok(Some(count)),
        Decrypted::Nothing => Ok(Some(0)),
        Decrypted::Closed => match stream.take_trouble() {
            Some(reason) => Err(io::Error::other(reason)),
            None => Ok(None),
        },
    }
}

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
#[path = "link_socket_tests.rs"]
mod tests;
