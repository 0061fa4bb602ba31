//! The accepting thread: the first IO thread polls the listeners and hands connections to the thread that has the fewest.
//!
//! Listeners may come and go while the server runs ([`crate::net::listener::Stage`]): the control plane changes their list and wakes
//! the thread, which polls those that are new, and closes those that leave when it has accepted what waits there.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::net::listener::{Peer, Stage};
use crate::observe::log::Level;
use crate::shared::{Message, Shared};
use crate::thread::{IoThread, LISTENER};

/// Connections accepted in one round.
const ACCEPTS: usize = 64;
/// Rounds of accepting from a listener that leaves: its queue is no longer than the backlog, but somebody may keep knocking.
const LAST_ROUNDS_MAX: usize = 128;

/// Polls the listeners that are new.
pub fn watch_listeners(epoll: &OwnedFd, shared: &Shared) -> io::Result<()> {
    for listener in shared.listeners().iter_mut().filter(|listener| listener.stage == Stage::New) {
        match epoll::add(epoll, listener.descriptor(), EventData::new_u64(LISTENER | listener.id), EventFlags::IN) {
            // It was to be replaced, and stays.
            Ok(()) | Err(Errno::EXIST) => listener.stage = Stage::Open,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl IoThread {
    /// Takes a changed list of listeners into account.
    pub fn renew_listeners(&mut self) {
        if self.index != 0 {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let leaving = |listener: &crate::net::listener::Listener| listener.stage == Stage::Leaving;
        let ids: Vec<u64> = shared.listeners().iter().filter(|&it| leaving(it)).map(|listener| listener.id).collect();
        for id in ids {
            let mut rounds = 0;
            while rounds < LAST_ROUNDS_MAX && self.accept(id) {
                rounds += 1;
            }
            shared.listeners().retain(|listener| listener.id != id);
        }
        if let Err(error) = watch_listeners(&self.epoll, &shared) {
            shared.log.add(Level::Warning, "a listener cannot be polled", vec![("error", error.to_string())]);
        }
    }

    /// Accepts what waits at a listener, up to a bound; whether more may wait.
    pub fn accept(&mut self, id: u64) -> bool {
        let shared = Arc::clone(&self.shared);
        for _ in 0..ACCEPTS {
            let accepted = match shared.listeners().iter().find(|listener| listener.id == id) {
                Some(listener) => listener.accept(shared.world.settings.tcp_keepalive.get()),
                None => return false,
            };
            match accepted {
                Ok(Some((socket, peer))) => self.admit(socket, peer),
                Ok(None) => return false,
                Err(error) => {
                    // Out of descriptors, most likely: told once a second, and tried again at the next poll.
                    if self.now_ms - self.accept_error_logged_ms >= 1000 {
                        self.accept_error_logged_ms = self.now_ms;
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
    fn admit(&mut self, socket: OwnedFd, peer: Peer) {
        let shared = Arc::clone(&self.shared);
        let settings = &shared.world.settings;
        let refusal: &[u8] = if shared.connection_count() >= settings.maxclients.size() as u64 {
            b"-ERR max number of clients reached\r\n"
        } else if settings.protected_mode.on() && !shared.has_password.load(Relaxed) && !peer.is_local {
            b"-DENIED Sherd is running in protected mode because no password is set. Connections are accepted from the \
              loopback interface only. To let others connect, set a password (requirepass), or switch protected-mode \
              off if the network is trusted.\r\n"
        } else {
            b""
        };
        if !refusal.is_empty() {
            shared.rejected_connections.fetch_add(1, Relaxed);
            let _ = rustix::net::send(&socket, refusal, rustix::net::SendFlags::NOSIGNAL);
            return;
        }
        // Counted here: of many that come at once, most are still on their way to another thread.
        shared.admitted.fetch_add(1, Relaxed);
        let threads = shared.mailboxes.len();
        let start = self.next_thread;
        self.next_thread = (self.next_thread + 1) % threads;
        let load = |thread: usize| shared.io[thread].connections.get();
        let target =
            (0..threads).map(|i| (start + i) % threads).min_by_key(|&thread| load(thread)).unwrap_or(self.index);
        if target == self.index {
            self.add_connection(socket, peer);
        } else if let Err(Message::Accept(socket, peer)) = shared.send(target, Message::Accept(socket, Box::new(peer)))
        {
            self.add_connection(socket, *peer);
        } else {
            // Counted by the receiving thread when it takes the message.
        }
    }
}
