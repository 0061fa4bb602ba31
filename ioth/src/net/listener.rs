//! Listening sockets and what is known of a peer when it connects.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

/// A bound socket.
pub struct Listener {
    pub socket: Socket,
    pub is_unix: bool,
    /// Its clients speak TLS.
    pub is_tls: bool,
    /// What the accepting thread knows it by; no other listener of the server ever has the same.
    pub id: u64,
    pub stage: Stage,
}

/// Where a listener is in its life. Addresses change while the server runs by opening all new ones before any old one is
/// closed, so that one that cannot be had leaves everything as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Bound, and to be polled if all that is to come with it can be had.
    Coming,
    /// Bound, and not polled yet.
    New,
    /// The accepting thread polls it.
    Open,
    /// Open, and to be replaced by the new ones if they can be had.
    Old,
    /// To be closed by the accepting thread, when it has accepted what waits.
    Leaving,
}

/// What is known of a client before it has said anything.
#[derive(Debug)]
pub struct Peer {
    pub address: String,
    pub local_address: String,
    pub is_unix: bool,
    pub is_tls: bool,
    /// It comes from this machine.
    pub is_local: bool,
}

impl Listener {
    /// Binds a TCP address; returns the port as well, for port 0. `shared` lets it overlap with listeners whose port is shared
    /// too (see [`Listener::share_port`]).
    pub fn tcp(address: SocketAddr, backlog: i32, is_tls: bool, shared: bool) -> io::Result<(Listener, u16)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
        Ok((Listener { socket, is_unix: false, is_tls, id: 0, stage: Stage::New }, port))
    }

    /// Its port, if it has one.
    pub fn port(&self) -> Option<u16> {
        self.socket.local_addr().ok()?.as_socket().map(|address| address.port())
    }

    /// Whether another listener may be bound to the same port, by this user. Only while addresses are replaced: at any other
    /// time a second server on the port is a mistake that must be told.
    pub fn share_port(&self, shared: bool) -> io::Result<()> {
        if self.is_unix {
            return Ok(());
        }
        self.socket.set_reuse_port(shared)
    }

    /// Binds a Unix socket, replacing one that is left over.
    pub fn unix(path: &Path, backlog: i32) -> io::Result<Listener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(backlog)?;
        Ok(Listener { socket, is_unix: true, is_tls: false, id: 0, stage: Stage::New })
    }

    /// Accepts one connection, if there is one.
    pub fn accept(&self, keepalive_seconds: i64) -> io::Result<Option<(OwnedFd, Peer)>> {
        let (socket, peer) = match self.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                return Ok(None)
            }
            Err(error) => return Err(error),
        };
        // A socket whose options cannot be set has been closed by its peer; it is served until that is noticed.
        let _ = socket.set_nonblocking(true);
        if self.is_unix {
            let path = self
                .socket
                .local_addr()
                .ok()
                .and_then(|address| address.as_pathname().map(|path| path.display().to_string()))
                .unwrap_or_default();
            let peer = Peer {
                address: format!("{path}:0"),
                local_address: format!("{path}:0"),
                is_unix: true,
                is_tls: false,
                is_local: true,
            };
            return Ok(Some((socket.into(), peer)));
        }
        let _ = socket.set_tcp_nodelay(true);
        if keepalive_seconds > 0 {
            let interval = std::time::Duration::from_secs((keepalive_seconds / 3).max(1) as u64);
            let keepalive = socket2::TcpKeepalive::new()
                .with_time(std::time::Duration::from_secs(keepalive_seconds as u64))
                .with_interval(interval)
                .with_retries(3);
            let _ = socket.set_tcp_keepalive(&keepalive);
        }
        let address = peer.as_socket();
        let local = socket.local_addr().ok().and_then(|address| address.as_socket());
        let show =
            |address: Option<SocketAddr>| address.map_or_else(|| "?:0".to_owned(), |address| address.to_string());
        let peer = Peer {
            address: show(address),
            local_address: show(local),
            is_unix: false,
            is_tls: self.is_tls,
            is_local: address.is_some_and(|address| address.ip().is_loopback()),
        };
        Ok(Some((socket.into(), peer)))
    }

    /// The descriptor, for polling.
    pub fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
