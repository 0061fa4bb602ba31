//! One client's connection: its stream, its bytes in both directions, and what its commands have set up.
//!
//! While replies are to come from shards the read buffer is not touched, for the arguments of commands point into it, and
//! neither are the words of inline requests.

pub mod calls;
pub mod encoded;
pub mod inbound;
pub mod name;
pub mod outbound;
pub mod session;
pub mod subscriptions;
pub mod token;
pub mod tracking;
pub mod transaction;
pub mod wait;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::handler::reply::Reply;
use sherd_shards::server::client::ClientRecord;

use crate::net::transport::Transport;

use inbound::Inbound;
use outbound::Outbound;
use session::Session;
use token::Token;
use wait::{Wait, WaitsFor};

/// A connection, which belongs to one IO thread.
pub struct Connection {
    pub token: Token,
    /// What other threads may know of it.
    pub record: Arc<ClientRecord>,
    pub transport: Transport,
    pub inbound: Inbound,
    pub outbound: Outbound,
    pub session: Session,
    pub wait: Wait,
    /// No request is taken from it until its thread releases it: CLIENT PAUSE, or the control plane's inbox is full.
    pub is_deferred: bool,
    /// It is in its thread's list of connections with something to do.
    pub is_ready: bool,
    /// It is in its thread's list of subscribers that were given messages.
    pub is_fed: bool,
    /// It ends when all replies are sent.
    pub close_after_reply: bool,
    /// It ends as soon as nobody else works for it.
    pub closing: bool,
}

impl Connection {
    /// A new client, with a session that says who it is.
    pub fn new(token: Token, record: Arc<ClientRecord>, transport: Transport) -> Connection {
        Connection {
            token,
            record,
            transport,
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            session: Session::default(),
            wait: Wait::default(),
            is_deferred: false,
            is_ready: false,
            is_fed: false,
            close_after_reply: false,
            closing: false,
        }
    }

    /// Whether requests may be parsed now.
    #[inline]
    pub fn is_idle(&self) -> bool {
        !self.outbound.awaits_shards() && self.wait.reason == WaitsFor::Nothing && !self.closing
    }

    /// Whether it goes on as soon as its client has read more, and not before.
    pub fn waits_to_be_read(&self) -> bool {
        self.outbound.has_parked() && !self.outbound.is_executing() && self.wait.reason == WaitsFor::Nothing
    }

    /// Whether no shard and no errand has anything of this connection.
    pub fn has_nothing_out(&self) -> bool {
        !self.outbound.awaits_shards() && self.wait.reason != WaitsFor::Errand
    }

    /// Whether something is executed for this connection, or is going to be, that may write. A client that goes away meanwhile leaves
    /// its connection here until that is done, for whoever waits for all that was let pass ([`Wait::shares`]).
    pub fn may_have_writes_out(&self) -> bool {
        self.outbound.is_executing()
            || match self.wait.reason {
                // What is to be executed for who waits for a key is looked after by its shards.
                WaitsFor::Nothing | WaitsFor::Key | WaitsFor::Quiet => false,
                WaitsFor::Errand | WaitsFor::Exec => true,
                // Of the control plane's own commands most write nothing, and some wait for as long as their clients like.
                WaitsFor::Control => self.session.last_command.is_none_or(|command| {
                    matches!(command.spec.plane, Plane::Extension)
                        || command.spec.has(flag::WRITE | flag::MAY_REPLICATE)
                }),
            }
    }

    /// Whether an answer may go to the client without its IO thread: nothing else is on its way, or comes in between, and no write before
    /// it waits to be durable.
    pub fn may_be_answered_at_once(&self) -> bool {
        self.outbound.unsent() == 0
            && self.outbound.held_until() == 0
            && !self.session.reply_mode.suppresses()
            && !self.record.is_monitor.load(Relaxed)
            && self.session.subscriptions.is_none()
    }

    /// Writes a reply in its place behind those that are still to come; returns whether it was an error.
    #[inline]
    pub fn reply(&mut self, write: impl FnOnce(&mut Reply<'_>)) -> bool {
        self.outbound.reply(self.session.protocol, self.session.reply_mode.suppresses(), write)
    }

    /// Bytes that wait to be sent: in its own buffer, and encrypted behind it.
    #[inline]
    pub fn unsent(&self) -> usize {
        self.outbound.unsent() + self.transport.backlog()
    }

    /// Bytes that its client has yet to read, also those that wait for others in front of them: what limits are about.
    #[inline]
    pub fn unread(&self) -> usize {
        self.outbound.unread() + self.transport.backlog()
    }

    /// What its buffers take, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        let queued = self.session.multi.as_ref().map_or(0, |multi| multi.memory_bytes());
        let watched = self.session.watch.as_ref().map_or(0, |watch| watch.memory_bytes());
        let subscriptions = self.session.subscriptions.as_ref().map_or(0, |those| those.bytes());
        let prefixes = self.session.tracking.as_ref().map_or(0, |tracking| tracking.bytes());
        self.inbound.bytes()
            + self.outbound.capacity()
            + self.transport.capacity()
            + queued
            + watched
            + self.record.named_bytes.load(Relaxed)
            + subscriptions
            + prefixes
    }

    /// Whether anything is to be answered: what the answer says may have been read already.
    pub fn is_answering(&self) -> bool {
        self.outbound.has_pending()
            || match self.wait.reason {
                WaitsFor::Nothing => false,
                WaitsFor::Control | WaitsFor::Exec | WaitsFor::Errand | WaitsFor::Quiet => true,
                WaitsFor::Key => !self.wait.waiter.as_ref().is_some_and(|waiter| waiter.state.is_waiting()),
            }
    }

    /// A command is over, as far as CLIENT CACHING is concerned: it was said for this one, or for a transaction.
    pub fn end_caching(&mut self) {
        let Some(tracking) = &mut self.session.tracking else { return };
        if tracking.caching && self.session.multi.is_none() {
            tracking.caching = false;
            self.record.tracking.set_tracks(tracking.tracks());
            self.outbound.close_segments();
        }
    }

    /// Forgets the watched keys.
    pub fn unwatch(&mut self) {
        self.session.watch = None;
        self.record.watched.store(0, Relaxed);
    }

    /// Leaves the transaction.
    pub fn discard(&mut self) {
        self.session.multi = None;
        self.record.queued.store(-1, Relaxed);
        self.record.queued_bytes.store(0, Relaxed);
        self.unwatch();
    }
}
