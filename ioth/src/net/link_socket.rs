//! The socket of a link between two servers, to a primary or to a replica: one writer and one reader, who may be elsewhere.
//!
//! It never blocks. Whoever uses it polls it, level-triggered, so nothing has to be remembered of what it could do.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// See the file's head.
#[derive(Clone)]
pub struct LinkSocket(Arc<OwnedFd>);

impl LinkSocket {
    /// Takes over a connected socket.
    pub fn new(socket: Arc<OwnedFd>) -> LinkSocket {
        LinkSocket(socket)
    }

    /// Receives once, into the room that a buffer has: `None` at the end of the stream, 0 if nothing is there now.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
        match rustix::net::recv(&self.0, rustix::buffer::spare_capacity(buffer), RecvFlags::DONTWAIT) {
            Ok((0, _)) => Ok(None),
            Ok((count, _)) => Ok(Some(count)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what the socket takes now.
    pub fn send(&self, bytes: &[u8]) -> std::io::Result<usize> {
        match rustix::net::send(&self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the stream in both directions: whoever polls it learns of that at once.
    pub fn shut_down(&self) {
        // One that has lost its peer already is no worse off.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Both);
    }

    /// The descriptor's number, for CLIENT LIST.
    pub fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
