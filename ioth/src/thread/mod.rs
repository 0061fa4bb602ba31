//! An IO thread's state. What it does with it is in [`crate::request`] and [`crate::event_loop`].

pub mod batches;
pub mod client_eviction;
pub mod clock;
pub mod connections;
pub mod deadlines;
pub mod deferred;
pub mod handlers;
pub mod neighbours;
pub mod poller;
pub mod subscribers;
pub mod ticks;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::connection::token::Token;
use crate::net::buffers::BufferPool;
use crate::observe::log::Occasional;
use crate::observe::recent_max::RecentMax;
use crate::observe::stats::IoStats;
use crate::shared::Shared;

use batches::Batches;
use clock::RoundClock;
use connections::Connections;
use deadlines::Deadlines;
use deferred::Deferred;
use handlers::Handlers;
use neighbours::{Neighbours, Untold};
use poller::Poller;
use subscribers::Subscribers;
use ticks::Ticks;

/// The fullest read buffer and the most unsent replies of a connection of late.
#[derive(Default)]
pub struct BufferPeaks {
    pub input: RecentMax,
    pub output: RecentMax,
}

/// Counts commands, for what looks at some of them only.
#[derive(Default)]
pub struct CommandSampler {
    pub count: u32,
    /// What it was at the last tick.
    pub count_at_tick: u32,
}

/// What the accepting thread, which is the first, remembers.
#[derive(Default)]
pub struct Acceptor {
    /// When a failure was last logged; the first may be at once.
    pub error_logged_ms: Option<i64>,
    /// The thread that is asked first whether it has the fewest connections.
    pub next_thread: usize,
}

/// One thread, with everything that only it touches, and what it shares.
pub struct IoThread {
    pub shared: Arc<Shared>,
    pub index: usize,
    /// The commands that it executes itself.
    pub handlers: Handlers,
    pub poller: Arc<Poller>,
    pub neighbours: Arc<Neighbours>,
    pub untold: Untold,
    pub connections: Connections,
    pub subscribers: Subscribers,
    pub batches: Batches,
    pub buffers: BufferPool,
    pub deferred: Deferred,
    /// Connections whose replies wait until their writes are durable.
    pub held: Vec<Token>,
    pub deadlines: Deadlines,
    pub clock: RoundClock,
    pub ticks: Ticks,
    pub peaks: BufferPeaks,
    pub sampler: CommandSampler,
    pub acceptor: Acceptor,
    /// Failed authentications that are logged one by one, or as a number.
    pub auth_failures: Occasional,
    /// The same for TLS.
    pub tls_failures: Occasional,
    /// Handshakes that may go on in this round.
    pub handshakes_left: usize,
    /// When it was told to stop (milliseconds).
    pub stopping_since_ms: Option<i64>,
}

impl IoThread {
    /// A thread's state; `bell` is the eventfd that its mailbox rings.
    pub fn new(shared: Arc<Shared>, index: usize, bell: Arc<OwnedFd>, handlers: Handlers) -> std::io::Result<IoThread> {
        Ok(IoThread {
            handlers,
            poller: Arc::new(Poller::new(&bell)?),
            neighbours: Arc::default(),
            untold: Untold::default(),
            connections: Connections::default(),
            subscribers: Subscribers::default(),
            batches: Batches::new(index, shared.world.slots.shards()),
            buffers: BufferPool::default(),
            deferred: Deferred::default(),
            held: Vec::new(),
            deadlines: Deadlines::default(),
            clock: RoundClock::new(&shared.world),
            ticks: Ticks::default(),
            peaks: BufferPeaks::default(),
            sampler: CommandSampler::default(),
            acceptor: Acceptor::default(),
            auth_failures: Occasional::default(),
            tls_failures: Occasional::default(),
            handshakes_left: 0,
            stopping_since_ms: None,
            shared,
            index,
        })
    }

    /// This thread's counters.
    #[inline]
    pub fn stats(&self) -> &IoStats {
        &self.shared.io[self.index]
    }
}
