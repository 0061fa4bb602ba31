//! An IO thread: polls its connections, reads, routes, executes what it can, sends.
//!
//! A round: poll; take what has come from outside; read and parse every ready connection, grouping its commands by
//! shard; submit one batch a shard; send the replies of what was executed. Polling is edge-triggered, so a connection
//! costs no system call besides its read and its write; what may have more to read stays in the `ready` list.

pub mod client_eviction;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::Timespec;

use sherd_metrics::clock;
use sherd_shards::batch::Batch;
use sherd_shards::client::ClientRecord;

use crate::connection::{Connection, ReplyMode, Waiting};
use crate::event_loop::accept::watch_listeners;
use crate::net::listener::Peer;
use crate::observe::log::Occasional;
use crate::observe::recent_max::RecentMax;
use crate::protocol::parser::Parser;
use crate::request::blocked::DEADLINES_MIN;
use crate::request::paused::AskedPause;
use crate::shared::{IoStats, Message, Shared, Token};
use crate::thread::client_eviction::account;

/// Events taken from one poll.
const EVENTS: usize = 256;
/// Messages taken from the mailbox in one round.
const MESSAGES: usize = 1024;
/// How often timeouts and limits are looked at, as long as something happens.
const TICK_MS: i64 = 100;
/// And how often when nothing does: the longest sleep. Limits over time are in seconds.
const QUIET_TICK_MS: i64 = 1000;
/// How old the time may be when a connection is looked at.
const TIME_AGE_NANOSECONDS_MAX: u64 = 1_000_000;
/// Batches that may be out at one shard; with more work than that the connections wait.
const IN_FLIGHT_MAX: usize = 4;
/// A batch of so many commands is not made larger: it holds its shard for a few hundred microseconds, and its replies are
/// sent while they are in the cache.
const BATCH_COMMANDS: usize = 1024;
/// Nor is one made larger that will give so many bytes of replies, as far as the one before tells: what does not fit in the
/// cache is written to memory and read from there.
const BATCH_REPLY_BYTES: usize = 512 * 1024;
/// Poll data of the bell and of the listeners; connections have their index.
const BELL: u64 = u64::MAX;
pub const LISTENER: u64 = 1 << 63;

/// Connections by index, with the number of times each place was used.
#[derive(Default)]
pub struct Connections {
    places: Vec<(u16, Option<Box<Connection>>)>,
    free: Vec<u32>,
}

impl Connections {
    /// Takes a connection out to work on it; [`Connections::put_back`] follows.
    pub fn take(&mut self, index: u32) -> Option<Box<Connection>> {
        self.places.get_mut(index as usize)?.1.take()
    }

    /// Puts a connection back.
    pub fn put_back(&mut self, connection: Box<Connection>) {
        let index = connection.token.index as usize;
        self.places[index].1 = Some(connection);
    }

    fn reserve(&mut self) -> (u32, u16) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.0 = place.0.wrapping_add(1);
        (index, place.0)
    }

    fn release(&mut self, index: u32) {
        self.free.push(index);
    }

    /// The connection that a token means, if it is still there.
    pub fn by_token(&mut self, token: Token) -> Option<&mut Box<Connection>> {
        let place = self.places.get_mut(token.index as usize)?;
        place.1.as_mut().filter(|connection| connection.token == token)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Box<Connection>> {
        self.places.get_mut(index as usize)?.1.as_mut()
    }

    /// The places of the connections for which `wanted` says so.
    pub fn indexes_where(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<u32> {
        let hit = |&index: &u32| self.places[index as usize].1.as_deref().is_some_and(&wanted);
        (0..self.places.len() as u32).filter(hit).collect()
    }

    fn indexes(&self) -> Vec<u32> {
        (0..self.places.len() as u32).filter(|&i| self.places[i as usize].1.is_some()).collect()
    }
}

/// See the file's head.
pub struct IoThread {
    pub shared: Arc<Shared>,
    pub index: usize,
    pub epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    pub connections: Connections,
    pub ready: Vec<u32>,
    /// The batch that is being filled for each shard.
    pub building: Vec<Box<Batch>>,
    /// The same for commands that usually take long: the shards' own threads execute them.
    pub heavy: Vec<Box<Batch>>,
    in_flight: Vec<usize>,
    /// Commands that make a batch large enough.
    batch_commands_max: usize,
    // Batches move by their boxes.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Batch>>,
    pub buffers: Vec<Vec<u8>>,
    /// Connections that are held back by CLIENT PAUSE or a full inbox; looked at again every tick.
    pub held_back: Vec<Token>,
    /// Connections that wait for a key and whose commands are to be run again when a pause is over.
    pub postponed: Vec<Token>,
    /// Pauses that the command being executed has asked for.
    pub asked_pauses: Vec<AskedPause>,
    /// When waits of connections end: milliseconds and token.
    pub deadlines: BinaryHeap<Reverse<(i64, u64)>>,
    /// How many of them there may be before the useless ones are removed.
    pub deadlines_max: usize,
    /// Milliseconds on the monotonic clock; see [`IoThread::look_at_clock`].
    pub now_ms: i64,
    clock_read: u64,
    /// The fullest read buffer and the most unsent replies of a connection of late.
    pub input_peaks: RecentMax,
    pub output_peaks: RecentMax,
    /// Counts commands, for sampling.
    pub sample: u32,
    /// What `sample` was at the last tick.
    sample_at_tick: u32,
    pub next_tick_ms: i64,
    /// Nothing has happened since the last tick.
    quiet: bool,
    pub accept_error_logged_ms: i64,
    /// The thread that gets the next connection if all have as many.
    pub next_thread: usize,
    /// When a failed authentication was last logged, and how many there were since.
    pub auth_failures: Occasional,
    stopping_since_ms: i64,
}

impl IoThread {
    /// A thread's state; `bell` is the eventfd that its mailbox rings.
    pub fn new(shared: Arc<Shared>, index: usize, bell: Arc<OwnedFd>) -> std::io::Result<IoThread> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        if index == 0 {
            watch_listeners(&epoll, &shared)?;
        }
        let shards = shared.world.slots.shards();
        Ok(IoThread {
            epoll,
            bell,
            connections: Connections::default(),
            ready: Vec::new(),
            building: (0..shards).map(|shard| Box::new(Batch::new(index, shard))).collect(),
            heavy: (0..shards).map(|shard| Box::new(Batch::new(index, shard))).collect(),
            in_flight: vec![0; shards],
            batch_commands_max: BATCH_COMMANDS,
            spare: Vec::new(),
            buffers: Vec::new(),
            held_back: Vec::new(),
            postponed: Vec::new(),
            asked_pauses: Vec::new(),
            deadlines: BinaryHeap::new(),
            deadlines_max: DEADLINES_MIN,
            now_ms: shared.world.monotonic_milliseconds(),
            clock_read: clock::ticks(),
            next_tick_ms: 0,
            quiet: false,
            input_peaks: RecentMax::default(),
            output_peaks: RecentMax::default(),
            sample: 0,
            sample_at_tick: 0,
            accept_error_logged_ms: -1000,
            next_thread: 0,
            auth_failures: Occasional::default(),
            stopping_since_ms: 0,
            shared,
            index,
        })
    }

    /// This thread's counters.
    #[inline]
    pub fn stats(&self) -> &IoStats {
        &self.shared.io[self.index]
    }

    /// Runs until the server stops.
    pub fn run(mut self) {
        let rate = clock::TickRate::get();
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            self.poll(&mut events);
            let start = clock::ticks();
            self.look_at_clock();
            self.take_events(&events);
            self.take_messages();
            self.end_overdue_waits();
            self.work();
            self.tick_in_time(!events.is_empty() || !self.ready.is_empty() || !self.held_back.is_empty());
            self.stats().busy_nanoseconds.add(rate.nanoseconds(clock::ticks().wrapping_sub(start)));
            if self.shared.stopping.load(SeqCst) && self.has_stopped() {
                return;
            }
        }
    }

    /// Ticks if it is time to. A tick in which nothing happens is followed by a longer sleep, out of which what happens then
    /// brings the next one nearer.
    fn tick_in_time(&mut self, something_happens: bool) {
        if something_happens {
            self.quiet = false;
            self.next_tick_ms = self.next_tick_ms.min(self.now_ms + TICK_MS);
        }
        if self.now_ms >= self.next_tick_ms {
            let quiet = std::mem::replace(&mut self.quiet, true);
            self.next_tick_ms = self.now_ms + if quiet { QUIET_TICK_MS } else { TICK_MS };
            self.tick();
        }
    }

    fn poll(&mut self, events: &mut Vec<epoll::Event>) {
        let mailbox = &self.shared.mailboxes[self.index];
        let sleep = self.ready.is_empty() && mailbox.fall_asleep();
        let deadline = self.deadlines.peek().map_or(i64::MAX, |Reverse((deadline, _))| *deadline);
        let wait_ms = if sleep { (self.next_tick_ms.min(deadline) - self.now_ms).clamp(1, QUIET_TICK_MS) } else { 0 };
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait_ms * 1_000_000 };
        events.clear();
        // An interrupted poll is an empty one.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout));
        if sleep {
            mailbox.wake_up();
        }
        self.stats().polls.increment();
    }

    fn take_events(&mut self, events: &[epoll::Event]) {
        for event in events {
            let data = event.data.u64();
            if data == BELL {
                let mut count = [0; 8];
                // The bell only wakes; what it rang for is in the mailbox.
                let _ = rustix::io::read(&self.bell, &mut count);
                continue;
            }
            if data & LISTENER != 0 {
                self.accept(data & !LISTENER);
                continue;
            }
            let flags = event.flags;
            let Some(connection) = self.connections.get_mut(data as u32) else { continue };
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
                connection.readable = true;
            }
            if flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP) {
                connection.peer_closed = true;
            }
            if flags.contains(EventFlags::OUT) {
                connection.writable = true;
            }
            self.make_ready(data as u32);
        }
    }

    /// Reads the clock.
    fn look_at_clock(&mut self) {
        self.clock_read = clock::ticks();
        self.now_ms = self.shared.world.monotonic_milliseconds();
    }

    /// Reads the clock again where what was done in this round took long enough to matter: a client is not idle, and its
    /// pause no shorter, because others have kept this thread busy.
    fn look_at_clock_if_old(&mut self) {
        let age = clock::ticks().wrapping_sub(self.clock_read);
        if clock::TickRate::get().nanoseconds(age) >= TIME_AGE_NANOSECONDS_MAX {
            self.look_at_clock();
        }
    }

    /// Puts a connection on the list of things to do.
    pub fn make_ready(&mut self, index: u32) {
        if let Some(connection) = self.connections.get_mut(index) {
            if !connection.is_ready {
                connection.is_ready = true;
                self.ready.push(index);
            }
        }
    }

    fn take_messages(&mut self) {
        for _ in 0..MESSAGES {
            let Some(message) = self.shared.mailboxes[self.index].receive() else { return };
            match message {
                Message::Batch(batch) => {
                    self.in_flight[batch.shard] -= 1;
                    self.complete(batch);
                }
                Message::Reply { connection, data, sent, close } => self.control_reply(connection, &data, sent, close),
                Message::Executed { connection, executed } => self.take_executed(connection, *executed),
                Message::Performed { connection, performed } => self.take_performed(connection, *performed),
                Message::Accept(socket, peer) => self.add_connection(socket, *peer),
                Message::WakeClient(wake) => self.wake_client(wake),
                Message::Unblock { connection, with_error } => self.unblock(connection, with_error),
                Message::Kill(token) => {
                    if self.connections.by_token(token).is_some() {
                        self.make_ready(token.index);
                    }
                }
                Message::Monitor(line) => self.feed_monitors(&line),
                Message::Wake => {
                    self.release_held_back(true);
                    self.renew_listeners();
                }
            }
        }
    }

    /// Processes the ready connections and submits what they brought.
    fn work(&mut self) {
        // Connections that become ready meanwhile wait for the next round, after a poll: nobody is starved.
        let ready = std::mem::take(&mut self.ready);
        for &index in &ready {
            let Some(mut connection) = self.connections.take(index) else { continue };
            connection.is_ready = false;
            self.look_at_clock_if_old();
            self.process(&mut connection);
            self.settle(connection);
            for shard in 0..self.building.len() {
                if self.building[shard].commands.len() >= self.batch_commands_max {
                    self.submit(shard);
                }
            }
        }
        if self.ready.is_empty() {
            self.ready = ready;
            self.ready.clear();
        }
        for shard in 0..self.building.len() {
            self.submit(shard);
            self.submit_heavy(shard);
        }
    }

    /// Submits what was gathered for a shard, unless too much is out there already.
    fn submit(&mut self, shard: usize) {
        if self.building[shard].commands.is_empty() || self.in_flight[shard] >= IN_FLIGHT_MAX {
            return;
        }
        let next = self.empty_batch(shard);
        let batch = std::mem::replace(&mut self.building[shard], next);
        self.in_flight[shard] += 1;
        let engine = Arc::clone(&self.shared.engine);
        if let Some(batch) = engine.submit(batch) {
            self.in_flight[shard] -= 1;
            self.complete(batch);
        }
    }

    /// Leaves what will take long to the shard's own thread: this one has connections with work for other shards.
    fn submit_heavy(&mut self, shard: usize) {
        if self.heavy[shard].commands.is_empty() || self.in_flight[shard] >= IN_FLIGHT_MAX {
            return;
        }
        let next = self.empty_batch(shard);
        let batch = std::mem::replace(&mut self.heavy[shard], next);
        self.in_flight[shard] += 1;
        let engine = Arc::clone(&self.shared.engine);
        engine.leave_to_thread(batch);
    }

    fn empty_batch(&mut self, shard: usize) -> Box<Batch> {
        let mut batch = self.spare.pop().unwrap_or_else(|| Box::new(Batch::new(self.index, shard)));
        batch.shard = shard;
        batch
    }

    /// After a connection was worked on: keeps it, or closes it.
    pub fn settle(&mut self, mut connection: Box<Connection>) {
        if connection.closing && connection.has_nothing_out() && self.abandon_wait(&mut connection) {
            self.close(connection);
            return;
        }
        let idle = connection.is_idle();
        let more = idle
            && !connection.held
            && connection.readable
            && connection.unsent() < crate::connection::OUTPUT_PAUSE_BYTES;
        if idle {
            connection.inline_words = Vec::new();
            connection.release_buffer(&mut self.buffers);
        }
        let index = connection.token.index;
        self.connections.put_back(connection);
        if more {
            self.make_ready(index);
        }
    }

    /// Gives a batch back for use.
    pub fn recycle(&mut self, mut batch: Box<Batch>) {
        let reply_bytes = (batch.out.len() / batch.commands.len().max(1)).max(1);
        self.batch_commands_max = (BATCH_REPLY_BYTES / reply_bytes).clamp(1, BATCH_COMMANDS);
        batch.clear();
        if self.spare.len() < 64 {
            self.spare.push(batch);
        }
    }

    pub fn add_connection(&mut self, socket: OwnedFd, peer: Peer) {
        use std::os::fd::AsRawFd;
        let (index, generation) = self.connections.reserve();
        let token = Token { io_thread: self.index as u16, generation, index };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if epoll::add(&self.epoll, socket.as_fd(), EventData::new_u64(u64::from(index)), flags).is_err() {
            self.connections.release(index);
            self.shared.admitted.fetch_sub(1, Relaxed);
            return;
        }
        let record = Arc::new_cyclic(|own| ClientRecord {
            own: own.clone(),
            id: self.shared.clients.next_id(),
            token: token.to_bits(),
            address: peer.address,
            local_address: peer.local_address,
            descriptor: socket.as_raw_fd(),
            io_thread: self.index,
            connected_at: self.now_ms,
            last_interaction_at: self.now_ms.into(),
            name: Default::default(),
            library: Default::default(),
            user: std::sync::Mutex::new("default".to_owned()),
            db: 0.into(),
            protocol: 2.into(),
            last_command: u32::MAX.into(),
            commands: 0.into(),
            input_bytes: 0.into(),
            output_bytes: 0.into(),
            query_buffer_bytes: 0.into(),
            output_buffer_bytes: 0.into(),
            memory_bytes: 0.into(),
            queued: (-1).into(),
            watched: 0.into(),
            is_monitor: false.into(),
            no_evict: false.into(),
            no_touch: false.into(),
            blocked: false.into(),
            unblock_asked: false.into(),
            paused: false.into(),
            readonly: false.into(),
            unix_socket: peer.is_unix,
            killed: false.into(),
        });
        self.shared.clients.add(&record, token);
        self.stats().connections.increment();
        self.stats().received.increment();
        let authenticated = !self.shared.has_password.load(Relaxed);
        self.connections.put_back(Box::new(Connection {
            socket: Arc::new(socket),
            token,
            record,
            is_local: peer.is_local,
            buffer: Vec::new(),
            consumed: 0,
            parser: Parser::default(),
            inline_words: Vec::new(),
            expected: 0,
            readable: true,
            peer_closed: false,
            out: Vec::new(),
            out_sent: 0,
            writable: true,
            runs: Vec::new(),
            scratch: Vec::new(),
            shards_out: 0,
            turns_open: 0,
            waiting: Waiting::Nothing,
            waiter: None,
            wake_reply: None,
            interrupt_reply: None,
            wake_suppressed: false,
            held: false,
            is_ready: false,
            db: 0,
            resp3: false,
            authenticated,
            reply_mode: ReplyMode::On,
            multi: None,
            watch: None,
            last_command: None,
            shown_to_monitors: false,
            close_after_reply: false,
            closing: false,
            over_soft_limit_since_ms: 0,
        }));
        self.make_ready(index);
    }

    /// Ends a connection that has nothing out any more.
    pub fn close(&mut self, mut connection: Box<Connection>) {
        let index = connection.token.index;
        self.unhold(&mut connection);
        if connection.record.is_monitor.load(Relaxed) {
            self.shared.monitors.fetch_sub(1, SeqCst);
        }
        self.shared.clients.remove(connection.record.id);
        self.shared.client_bytes.fetch_sub(connection.record.memory_bytes.load(Relaxed) as i64, Relaxed);
        self.stats().connections.subtract(1);
        self.shared.admitted.fetch_sub(1, Relaxed);
        // The control plane may keep the socket a moment longer, so that dropping it is not enough.
        let _ = epoll::delete(&self.epoll, &connection.socket);
        drop(connection);
        self.connections.release(index);
    }

    /// Frees batches and buffers that are kept for use again, after a tick without commands: what a burst needed shall
    /// not count as used memory for ever.
    fn release_unused(&mut self) {
        if self.sample == self.sample_at_tick {
            self.spare = Vec::new();
            self.buffers = Vec::new();
            for batch in self.building.iter_mut().chain(&mut self.heavy).filter(|batch| batch.commands.is_empty()) {
                batch.commands = Vec::new();
                batch.turns = Vec::new();
                batch.args = Vec::new();
                batch.out = Vec::new();
            }
        }
        self.sample_at_tick = self.sample;
    }

    /// Once every tick: timeouts, limits over time, those held back.
    fn tick(&mut self) {
        self.release_held_back(false);
        self.release_unused();
        let idle_max_ms = self.shared.world.settings.timeout.get() * 1000;
        let soft_ms = self.shared.world.settings.output_limit_soft_seconds.get() * 1000;
        let soft_bytes = self.shared.world.settings.output_limit_soft_bytes.size();
        let mut total = 0;
        for index in self.connections.indexes() {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            let record = &connection.record;
            record.query_buffer_bytes.store(connection.buffer.len() - connection.consumed, Relaxed);
            record.output_buffer_bytes.store(connection.unsent(), Relaxed);
            let idle_ms = self.now_ms - record.last_interaction_at.load(Relaxed);
            let mut cut = idle_max_ms > 0
                && idle_ms > idle_max_ms
                && connection.is_idle()
                && !record.is_monitor.load(Relaxed)
                && !record.blocked.load(Relaxed)
                && !record.paused.load(Relaxed);
            if soft_bytes > 0 && connection.unsent() > soft_bytes {
                if connection.over_soft_limit_since_ms == 0 {
                    connection.over_soft_limit_since_ms = self.now_ms;
                } else if self.now_ms - connection.over_soft_limit_since_ms > soft_ms {
                    cut = true;
                    self.shared.io[self.index].output_limit_disconnections.increment();
                }
            } else {
                connection.over_soft_limit_since_ms = 0;
            }
            connection.closing |= cut;
            total += account(&self.shared, connection);
            if cut {
                self.make_ready(index);
            }
        }
        self.evict_clients();
        let stats = &self.shared.io[self.index];
        stats.buffer_bytes.set(total as u64);
        let second = self.now_ms / 1000;
        stats.input_buffer_max.set(self.input_peaks.at(second) as u64);
        stats.output_buffer_max.set(self.output_peaks.at(second) as u64);
        sherd_metrics::memory::sample_peak();
    }

    /// Whether everything is done that was begun before the server was told to stop: replies are flushed, or half a
    /// second has passed.
    fn has_stopped(&mut self) -> bool {
        if self.stopping_since_ms == 0 {
            self.stopping_since_ms = self.now_ms;
        }
        let mut busy = self.in_flight.iter().sum::<usize>();
        for index in self.connections.indexes() {
            let Some(mut connection) = self.connections.take(index) else { continue };
            let idle = connection.has_nothing_out() && self.abandon_wait(&mut connection);
            if idle && connection.unsent() == 0 && connection.waiting == Waiting::Nothing {
                self.close(connection);
            } else {
                busy += 1;
                self.connections.put_back(connection);
            }
        }
        self.next_tick_ms = self.now_ms + 10;
        busy == 0 || self.now_ms - self.stopping_since_ms > 500
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
