//! The accepting thread: the first IO thread polls the listeners and hands connections to the thread that has the fewest.
//!
//! Listeners may come and go while the server runs ([`Stage`]): the control plane changes their list and wakes
//! the thread, which polls those that are new, and closes those that leave when it has accepted what waits there.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use crate::connection::token::Token;
use crate::connection::Connection;
use crate::net::listener::{Listener, Peer, Stage};
use crate::net::tls::TlsStream;
use crate::net::transport::Transport;
use crate::observe::clients::new_record;
use crate::observe::log::Level;
use crate::request::rights::begin_session;
use crate::shared::message::Message;
use crate::shared::Shared;
use crate::thread::poller::Poller;
use crate::thread::IoThread;

/// Connections accepted in one round.
const ACCEPTS: usize = 64;
/// How long a failure to accept that goes on is not logged again.
const ERROR_PAUSE_MS: i64 = 1000;
/// Rounds of accepting from a listener that leaves: its queue is no longer than the backlog, but somebody may keep knocking.
const LAST_ROUNDS_MAX: usize = 128;

/// Polls the listeners that are new. One that was to be replaced, and stays, is polled already.
pub fn watch_listeners(poller: &Poller, shared: &Shared) -> io::Result<()> {
    for listener in shared.listeners().iter_mut().filter(|listener| listener.stage == Stage::New) {
        poller.add_listener(listener.descriptor(), listener.id)?;
        listener.stage = Stage::Open;
    }
    Ok(())
}

/// Takes a changed list of listeners into account.
pub fn renew_listeners(io: &mut IoThread) {
    if io.index != 0 {
        return;
    }
    let shared = Arc::clone(&io.shared);
    let leaving = |listener: &Listener| listener.stage == Stage::Leaving;
    let ids: Vec<u64> = shared.listeners().iter().filter(|&it| leaving(it)).map(|listener| listener.id).collect();
    for id in ids {
        let mut rounds = 0;
        while rounds < LAST_ROUNDS_MAX && accept(io, id) {
            rounds += 1;
        }
        shared.listeners().retain(|listener| listener.id != id);
    }
    if let Err(error) = watch_listeners(&io.poller, &shared) {
        shared.log.add(Level::Warning, "a listener cannot be polled", vec![("error", error.to_string())]);
    }
}

/// Accepts what waits at a listener, up to a bound; whether more may wait.
pub fn accept(io: &mut IoThread, id: u64) -> bool {
    let shared = Arc::clone(&io.shared);
    for _ in 0..ACCEPTS {
        let accepted = match shared.listeners().iter().find(|listener| listener.id == id) {
            Some(listener) => listener.accept(shared.world.settings.tcp_keepalive.get()),
            None => return false,
        };
        match accepted {
            Ok(Some((socket, peer))) => admit(io, socket, peer),
            Ok(None) => return false,
            Err(error) => {
                // Out of descriptors, most likely: told once a second, and tried again at the next poll.
                if io.acceptor.error_logged_ms.is_none_or(|at_ms| io.clock.now_ms - at_ms >= ERROR_PAUSE_MS) {
                    io.acceptor.error_logged_ms = Some(io.clock.now_ms);
                    let fields = vec![("error", error.to_string())];
                    shared.log.add(Level::Warning, "a connection could not be accepted", fields);
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
                return false;
            }
        }
    }
    true
}

/// Decides whether a new connection may stay, and which thread looks after it.
fn admit(io: &mut IoThread, socket: OwnedFd, peer: Peer) {
    let shared = Arc::clone(&io.shared);
    let settings = &shared.world.settings;
    let refusal: &[u8] = if shared.connection_count() >= settings.maxclients.size() as u64 {
        b"-ERR max number of clients reached\r\n"
    } else if settings.protected_mode.on() && shared.access.is_open() && !peer.is_local {
        b"-DENIED Sherd is running in protected mode because no password is set. Connections are accepted from the \
          loopback interface only. To let others connect, set a password (requirepass), or switch protected-mode \
          off if the network is trusted.\r\n"
    } else {
        b""
    };
    if !refusal.is_empty() {
        shared.rejected_connections.fetch_add(1, Relaxed);
        // Who speaks TLS could not read it.
        if !peer.is_tls {
            let _ = Transport::plain(socket).send(refusal);
        }
        return;
    }
    // Counted here: of many that come at once, most are still on their way to another thread.
    shared.admitted.fetch_add(1, Relaxed);
    let threads = shared.mailboxes.len();
    let start = io.acceptor.next_thread;
    io.acceptor.next_thread = (io.acceptor.next_thread + 1) % threads;
    let load = |thread: usize| shared.io[thread].connections.get();
    let target = (0..threads).map(|i| (start + i) % threads).min_by_key(|&thread| load(thread)).unwrap_or(io.index);
    if target == io.index {
        add_connection(io, socket, peer);
    } else if let Err(Message::Accept(socket, peer)) = shared.send(target, Message::Accept(socket, Box::new(peer))) {
        add_connection(io, socket, *peer);
    } else {
        // Counted by the receiving thread when it takes the message.
    }
}

/// Looks after a new connection from now on.
pub fn add_connection(io: &mut IoThread, socket: OwnedFd, peer: Peer) {
    let (index, generation) = io.connections.reserve();
    let token = Token { io_thread: io.index as u16, generation, index };
    if io.poller.add_connection(&socket, index).is_err() {
        io.connections.release(index);
        io.shared.admitted.fetch_sub(1, Relaxed);
        return;
    }
    let Some(transport) = transport(io, socket, &peer) else {
        io.connections.release(index);
        io.shared.admitted.fetch_sub(1, Relaxed);
        return;
    };
    let record = new_record(&io.shared.clients, (token, io.index), transport.number(), io.clock.now_ms, peer);
    io.shared.clients.add(&record, token);
    io.stats().connections.increment();
    io.stats().received.increment();
    let mut connection = Box::new(Connection::new(token, record, transport));
    begin_session(&io.shared, &mut connection);
    io.connections.put_back(connection);
    io.connections.make_ready(index);
}

/// What carries the bytes of a new client; `None` if nothing can.
fn transport(io: &IoThread, socket: OwnedFd, peer: &Peer) -> Option<Transport> {
    if !peer.is_tls {
        return Some(Transport::plain(socket));
    }
    // There is a configuration before there is a listener.
    let stream = io.shared.tls().and_then(|config| TlsStream::new(socket, config).ok())?;
    Some(Transport::tls(stream))
}
