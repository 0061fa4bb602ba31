//! What the IO threads of one server share with one another and with the control plane.

pub mod access;
pub mod extensions;
pub mod in_force;
pub mod interruptions;
pub mod message;
pub mod pubsub;
pub mod renames;
pub mod script_answer;
pub mod script_calls;
pub mod scripts;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use rustls::{ClientConfig, ServerConfig};
use sherd_metrics::catalogue::Catalogue;
use sherd_shards::command::registry::command_of;
use sherd_shards::effects::blocking::{Waiter, Wake};
use sherd_shards::executor::batch::Batch;
use sherd_shards::executor::engine::Engine;
use sherd_shards::queues::mailbox::Mailbox;
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::pause::{Condition, Refusal};
use sherd_shards::server::world::World;

use crate::connection::token::Token;
use crate::net::listener::Listener;
use crate::observe::clients::Clients;
use crate::observe::log::Log;
use crate::observe::stats::{ControlStats, IoStats};

use crate::followers::replicas::Replicas;

use access::{Access, Change};
use extensions::Extensions;
use in_force::InForce;
use interruptions::Interruptions;
use message::{ControlRequest, Ended, Message, Performed};
use pubsub::PubSub;
use renames::Renames;
use script_calls::ScriptCalls;
use scripts::Scripts;

/// How much may be written while a replica is sent its snapshot before writers wait, where no output limit says so.
const HELD_BYTES_MAX: u64 = 256 << 20;

/// One server's state beyond its threads' own.
pub struct Shared {
    pub engine: Arc<Engine>,
    pub world: Arc<World>,
    pub mailboxes: Arc<Vec<Mailbox<Message>>>,
    pub inbox: Mailbox<ControlRequest>,
    pub interruptions: Interruptions,
    /// Answers of the control plane that wait for IO threads to act on what was changed.
    pub in_force: InForce<(Token, Message)>,
    pub pubsub: Arc<PubSub>,
    pub replicas: Arc<Replicas>,
    pub clients: Clients,
    /// Set before the server starts, if at all.
    pub renames: OnceLock<Renames>,
    pub io: Vec<IoStats>,
    pub control: ControlStats,
    pub log: Arc<Log>,
    pub scripts: Scripts,
    pub script_calls: ScriptCalls,
    /// By IO thread: it wants to be told when the journal has become durable further on.
    pub holds: Box<[AtomicBool]>,
    pub access: Access,
    pub extensions: Arc<Extensions>,
    /// Host and port of the server that this one follows.
    primary: RwLock<Option<String>>,
    /// What new connections to TLS ports are served by, and what new links to other servers speak, if any are encrypted.
    tls: RwLock<Option<Arc<ServerConfig>>>,
    tls_links: RwLock<Option<Arc<ClientConfig>>>,
    pub monitors: AtomicUsize,
    pub stopping: AtomicBool,
    pub rejected_connections: AtomicU64,
    /// What all clients take, as last accounted for.
    pub client_bytes: AtomicI64,
    pub evicted_clients: AtomicU64,
    /// Connections now, those among them that are still on their way to their thread.
    pub admitted: AtomicU64,
    pub cluster: bool,
    /// Held while settings change, or something follows from them.
    settings_order: Mutex<()>,
    /// When the server was made, on the monotonic clock and since the Unix epoch.
    pub started_at_ms: i64,
    pub started_unix_ms: i64,
    /// 40 hexadecimal digits that differ for every server.
    pub run_id: String,
    /// Memory in use when the server was made.
    pub startup_bytes: usize,
    listeners: Mutex<Vec<Listener>>,
    /// The id of the next listener.
    next_listener: AtomicU64,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(
        engine: Arc<Engine>,
        mailboxes: Arc<Vec<Mailbox<Message>>>,
        inbox: Mailbox<ControlRequest>,
        replicas: Arc<Replicas>,
        log: Arc<Log>,
        commands: usize,
        cluster: bool,
    ) -> Shared {
        let world = Arc::clone(&engine.world);
        let holds: Box<[AtomicBool]> = mailboxes.iter().map(|_| AtomicBool::new(false)).collect();
        Shared {
            io: (0..mailboxes.len()).map(|_| IoStats::new(commands)).collect(),
            control: ControlStats::new(commands),
            started_at_ms: world.monotonic_milliseconds(),
            started_unix_ms: world.now_milliseconds(),
            run_id: run_id(),
            startup_bytes: sherd_metrics::memory::used_bytes(),
            pubsub: Arc::new(PubSub::new(Arc::clone(&mailboxes))),
            engine,
            world,
            mailboxes,
            inbox,
            interruptions: Interruptions::default(),
            in_force: InForce::new(holds.len()),
            replicas,
            clients: Clients::default(),
            renames: OnceLock::new(),
            log,
            scripts: Scripts::default(),
            script_calls: ScriptCalls::default(),
            holds,
            access: Access::default(),
            extensions: Arc::default(),
            primary: RwLock::new(None),
            tls: RwLock::default(),
            tls_links: RwLock::default(),
            monitors: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            rejected_connections: AtomicU64::new(0),
            client_bytes: AtomicI64::new(0),
            evicted_clients: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            cluster,
            settings_order: Mutex::default(),
            listeners: Mutex::new(Vec::new()),
            next_listener: AtomicU64::new(0),
        }
    }

    /// Changes users, and has every IO thread look at what its clients have.
    pub fn change_users(&self, change: Change) {
        self.access.change(change);
        for (record, connection) in self.clients.all() {
            let Some(waiter) = Waiter::of_client(&record) else { continue };
            let how = match self.access.same_user(&record.user()) {
                None => Some(Ended::Killed),
                Some(user) => user.check(command_of(&waiter), &waiter.sent_args(), waiter.db).err().map(Ended::Refused),
            };
            if let Some(how) = how {
                // At once: a transaction may push next what it waits for.
                self.end_wait(&record, connection, how);
            }
        }
        self.have_all_act(|| Message::UsersChanged);
    }

    /// Ends the wait of a client for a key at this moment, and has its IO thread answer it. False if it waits for none, or is just
    /// being served.
    pub fn end_wait(&self, record: &ClientRecord, connection: Token, how: Ended) -> bool {
        let has_ended = Waiter::of_client(record).is_some_and(|waiter| waiter.state.end_unless_served());
        if has_ended {
            self.tell(connection, Message::WaitEnded { connection, how });
        }
        has_ended
    }

    /// Sends a message to all IO threads; no answer of the control plane leaves before each has acted on it.
    pub fn have_all_act(&self, message: impl Fn() -> Message) {
        self.in_force.begin(|number| {
            for mailbox in self.mailboxes.iter() {
                mailbox.deliver_unrung(message());
                mailbox.deliver(Message::ActedOn(number));
            }
        });
    }

    /// An IO thread has acted on a change.
    pub fn act_on(&self, io_thread: usize, number: u64) {
        for (connection, answer) in self.in_force.act_on(io_thread, number) {
            self.tell(connection, answer);
        }
    }

    /// Sends an answer of the control plane to a connection's IO thread, when all that was changed before is in force.
    pub fn tell_in_force(&self, connection: Token, answer: Message) {
        if let Some((connection, answer)) = self.in_force.hold_back((connection, answer)) {
            self.tell(connection, answer);
        }
    }

    /// Sets what new connections to TLS ports are served by, and what new links to other servers speak. Connections that there are
    /// keep what they have.
    pub fn set_tls(&self, ports: Option<Arc<ServerConfig>>, links: Option<Arc<ClientConfig>>) {
        if ports.is_some() {
            *self.tls.write().unwrap_or_else(PoisonError::into_inner) = ports;
        }
        *self.tls_links.write().unwrap_or_else(PoisonError::into_inner) = links;
    }

    /// What new links to other servers speak; `None` where none are encrypted.
    pub fn tls_links(&self) -> Option<Arc<ClientConfig>> {
        self.tls_links.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What new connections to TLS ports are served by.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a message that may be refused when the thread is far behind.
    pub fn send(&self, io_thread: usize, message: Message) -> Result<(), Message> {
        self.mailboxes[io_thread].send(message)
    }

    /// Sends a message that is never refused to a connection's IO thread. There are at most as many of them as connections that
    /// wait for one.
    pub fn tell(&self, connection: Token, message: Message) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(connection.io_thread)) {
            mailbox.deliver(message);
        }
    }

    /// Answers a client that waits for what is done elsewhere.
    pub fn answer(&self, connection: Token, reply: Vec<u8>) {
        let performed = Box::new(Performed { reply, ..Performed::default() });
        self.tell(connection, Message::Performed { connection, performed });
    }

    /// Makes the server a replica of a primary, or one no longer. What clients wait for is a replica's to take no more.
    pub fn follow(&self, primary: Option<String>) {
        let (pause, follows) = (&self.world.pause, primary.is_some());
        *self.primary.write().unwrap_or_else(PoisonError::into_inner) = primary;
        let began = follows && !pause.is(Condition::Follows);
        pause.set_condition(Condition::Follows, follows);
        if began {
            self.have_all_act(|| Message::EndWaits);
        }
        // What has expired meanwhile is to go, if that is this server's affair now.
        self.engine.wake_threads();
    }

    /// Host and port of the server that this one follows.
    pub fn primary(&self) -> Option<String> {
        self.primary.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes every IO thread.
    pub fn wake_all(&self) {
        for mailbox in self.mailboxes.iter() {
            let _ = mailbox.send(Message::Wake);
        }
    }

    /// Tells the IO threads that wait for it that the journal has got further, or all of them.
    pub fn tell_of_journal(&self, all: bool) {
        for (mailbox, holds) in self.mailboxes.iter().zip(&self.holds) {
            if holds.swap(false, Ordering::SeqCst) || all {
                mailbox.deliver(Message::Journal);
            }
        }
    }

    /// The listeners, for the thread that accepts.
    pub fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a listener, which is polled when the accepting thread has looked.
    pub fn add_listener(&self, mut listener: Listener) {
        listener.id = self.next_listener.fetch_add(1, Ordering::Relaxed);
        self.listeners().push(listener);
    }

    /// Changes settings together; false, and nothing is changed, if one of them cannot be.
    pub fn set_settings(&self, values: &[(&str, i64)]) -> bool {
        let _one = self.settings_order.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.world.settings.set_all(values) {
            return false;
        }
        let hard_bytes = self.world.settings.replica_output_limit_hard_bytes.size() as u64;
        // Where there is no limit, one is still needed on what waits for a snapshot.
        self.replicas.backlog.set_held_bytes_max(if hard_bytes == 0 { HELD_BYTES_MAX } else { hard_bytes });
        self.apply_replica_rule();
        true
    }

    /// Counts the replicas that `min-replicas-to-write` counts, and refuses writes or not.
    pub fn count_good_replicas(&self) {
        // What was counted by settings of before must not come behind what follows from those that have come.
        let _one = self.settings_order.lock().unwrap_or_else(PoisonError::into_inner);
        self.apply_replica_rule();
    }

    fn apply_replica_rule(&self) {
        let settings = &self.world.settings;
        let good = self.replicas.count_good(self.world.monotonic_milliseconds(), settings.min_replicas_max_lag.get());
        // A lag of 0 switches the rule off, as in Redis.
        let too_few = good < settings.min_replicas_to_write.size() && settings.min_replicas_max_lag.on();
        self.world.pause.refuse_writes(Refusal::TooFewReplicas, too_few);
    }

    /// The `count` most frequent keys over all IO threads, most frequent first.
    pub fn hot_keys(&self, count: usize) -> Vec<(Vec<u8>, u64)> {
        let mut sums = std::collections::HashMap::<Vec<u8>, u64>::new();
        for (key, hits) in self.io.iter().flat_map(|io| io.hot_keys.all()) {
            *sums.entry(key).or_default() += hits;
        }
        let mut keys: Vec<(Vec<u8>, u64)> = sums.into_iter().collect();
        keys.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        keys.truncate(count);
        keys
    }

    /// CONFIG RESETSTAT. A count that is added at this very moment may survive.
    pub fn reset_stats(&self) {
        self.world.pressure.reset();
        self.world.defragmentation.reset_time();
        self.world.reaper.reset_counts();
        for io in &self.io {
            io.reset_counters();
            io.cells.reset();
            io.hot_keys.reset();
        }
        self.control.reset_counters();
        self.control.cells.reset();
        self.extensions.reset_counts();
        self.scripts.cache.reset_counts();
        for shard in 0..self.world.slots.shards() {
            let (stats, cells, _) = self.engine.stats(shard);
            stats.reset();
            cells.reset();
        }
        self.rejected_connections.store(0, Ordering::Relaxed);
        self.evicted_clients.store(0, Ordering::Relaxed);
        self.access.reset_denials();
        self.world.logs.reset_errors();
        sherd_metrics::memory::reset_peak();
    }

    /// Connections now.
    pub fn connection_count(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }
}

fn run_id() -> String {
    let mut random = sherd_types::random::Random::seeded();
    let id: String = (0..3).map(|_| format!("{:016x}", random.next())).collect();
    id[..40].to_owned()
}

/// Tells an IO thread about one of its waiting clients; nobody ever waits for room there. There are at most as many of these
/// as clients that wait, but for times to look again, of which a client has few.
pub fn wake_client(mailboxes: &[Mailbox<Message>], wake: Wake) {
    if let Some(mailbox) = mailboxes.get(usize::from(Token::from_bits(wake.token()).io_thread)) {
        mailbox.deliver(Message::WakeClient(wake));
    }
}

/// Puts a completed batch into its IO thread's mailbox. What is in flight is bounded.
pub fn deliver(mailboxes: &[Mailbox<Message>], batch: Box<Batch>) {
    mailboxes[batch.io_thread].deliver(Message::Batch(batch));
}
