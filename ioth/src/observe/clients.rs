//! All connected clients, by id: what CLIENT LIST shows and CLIENT KILL chooses from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sherd_shards::command::registry;
use sherd_shards::server::client::{ClientRecord, LinkTo};

use crate::connection::token::Token;
use crate::net::listener::Peer;

/// The connected clients.
#[derive(Default)]
pub struct Clients {
    next_id: AtomicU64,
    by_id: Mutex<BTreeMap<u64, (Arc<ClientRecord>, Token)>>,
}

impl Clients {
    /// The id of the next client; ids start at 1 and are never used again.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed) + 1
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<u64, (Arc<ClientRecord>, Token)>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client.
    pub fn add(&self, record: &Arc<ClientRecord>, token: Token) {
        self.map().insert(record.id, (Arc::clone(record), token));
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        self.map().remove(&id);
    }

    /// A client by its id.
    pub fn get(&self, id: u64) -> Option<(Arc<ClientRecord>, Token)> {
        self.map().get(&id).cloned()
    }

    /// Looks at all clients in the order of their ids, without keeping them; nobody connects meanwhile.
    pub fn for_each(&self, mut look: impl FnMut(&ClientRecord)) {
        self.map().values().for_each(|(record, _)| look(record));
    }

    /// All clients in the order of their ids.
    pub fn all(&self) -> Vec<(Arc<ClientRecord>, Token)> {
        self.map().values().cloned().collect()
    }
}

/// What other threads may know of a new client.
pub fn new_record(
    clients: &Clients,
    (token, io_thread): (Token, usize),
    descriptor: i32,
    now_ms: i64,
    peer: Peer,
) -> Arc<ClientRecord> {
    Arc::new_cyclic(|own| ClientRecord {
        own: own.clone(),
        id: clients.next_id(),
        token: token.to_bits(),
        address: peer.address,
        local_address: peer.local_address,
        descriptor,
        io_thread,
        connected_at: now_ms,
        last_interaction_at: now_ms.into(),
        name: Default::default(),
        library: Default::default(),
        user: Default::default(),
        is_restricted: false.into(),
        db: 0.into(),
        protocol: 2.into(),
        last_command: u32::MAX.into(),
        commands: 0.into(),
        input_bytes: 0.into(),
        output_bytes: 0.into(),
        query_buffer_bytes: 0.into(),
        output_buffer_bytes: 0.into(),
        memory_bytes: 0.into(),
        dropped_reply_bytes: 0.into(),
        queued: (-1).into(),
        queued_bytes: 0.into(),
        named_bytes: 0.into(),
        watched: 0.into(),
        channels: 0.into(),
        patterns: 0.into(),
        shard_channels: 0.into(),
        is_monitor: false.into(),
        no_evict: false.into(),
        no_touch: false.into(),
        tracking: Default::default(),
        import_source: false.into(),
        takes_redirects: false.into(),
        blocked: false.into(),
        waiter: Default::default(),
        unblock_asked: false.into(),
        paused: false.into(),
        readonly: false.into(),
        unix_socket: peer.is_unix,
        link_to: 0.into(),
        killed: false.into(),
    })
}

/// The words for the classes of clients, some of which have two, and the classes.
pub const CLIENT_TYPES: [(&str, &str); 6] = [
    ("normal", "normal"),
    ("master", "master"),
    ("primary", "master"),
    ("replica", "replica"),
    ("slave", "replica"),
    ("pubsub", "pubsub"),
];

/// Which of them a client is.
pub fn client_class(record: &ClientRecord) -> &'static str {
    if record.is_link(LinkTo::Primary) {
        "master"
    } else if record.is_link(LinkTo::Replica) {
        "replica"
    } else if record.is_subscriber() {
        "pubsub"
    } else {
        "normal"
    }
}

/// The letters that stand for what a client is and does, in the order of Redis.
pub fn flags(record: &ClientRecord) -> String {
    let mut flags = String::new();
    for (on, letter) in [
        (record.is_link(LinkTo::Replica), 'S'),
        (record.is_link(LinkTo::Primary), 'M'),
        (record.is_monitor.load(Relaxed), 'O'),
        (record.is_subscriber(), 'P'),
        (record.queued.load(Relaxed) >= 0, 'x'),
        (record.blocked.load(Relaxed) || record.paused.load(Relaxed), 'b'),
        (record.tracking.is_on.load(Relaxed), 't'),
        (record.tracking.is_broken.load(Relaxed), 'R'),
        (record.tracking.is_broadcast.load(Relaxed), 'B'),
        (record.unix_socket, 'U'),
        (record.readonly.load(Relaxed), 'r'),
        (record.no_evict.load(Relaxed), 'e'),
        (record.no_touch.load(Relaxed), 'T'),
        (record.import_source.load(Relaxed), 'I'),
    ] {
        if on {
            flags.push(letter);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    flags
}

/// The id of the client that a client's invalidations go to, 0 if that is itself; -1 if there are none.
fn redirect(record: &ClientRecord) -> i64 {
    let tracking = &record.tracking;
    if tracking.is_on.load(Relaxed) {
        tracking.redirect.load(Relaxed) as i64
    } else {
        -1
    }
}

/// A client as CLIENT LIST and CLIENT INFO write it, without a line's end.
pub fn describe(record: &ClientRecord, now_ms: i64) -> String {
    let locked = |text: &Mutex<Vec<u8>>| String::from_utf8_lossy(&lock(text)).into_owned();
    let library = lock(&record.library).clone();
    let idle = (now_ms - record.last_interaction_at.load(Relaxed)).max(0) / 1000;
    let command =
        registry::by_number(record.last_command.load(Relaxed) as usize).map_or("NULL", |command| command.spec.name);
    let (query, output) = (record.query_buffer_bytes.load(Relaxed), record.output_buffer_bytes.load(Relaxed));
    let mut line = String::with_capacity(360);
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} capa={} db={} sub={} psub={} ssub={} multi={} watch={} \
         qbuf={} qbuf-free=0 argv-mem=0 multi-mem={} rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} events={} cmd={} user={} \
         redir={} resp={} lib-name={} lib-ver={} io-thread={} tot-net-in={} tot-net-out={} tot-cmds={}",
        record.id,
        record.address,
        record.local_address,
        record.descriptor,
        locked(&record.name),
        (now_ms - record.connected_at).max(0) / 1000,
        idle,
        flags(record),
        if record.takes_redirects.load(Relaxed) { "r" } else { "" },
        record.db.load(Relaxed),
        record.channels.load(Relaxed),
        record.patterns.load(Relaxed),
        record.shard_channels.load(Relaxed),
        record.queued.load(Relaxed),
        record.watched.load(Relaxed),
        query,
        record.queued_bytes.load(Relaxed),
        output,
        output,
        record.memory_bytes.load(Relaxed).max(query + output + size_of::<ClientRecord>()),
        if output > 0 { "rw" } else { "r" },
        command,
        String::from_utf8_lossy(&record.user().name),
        redirect(record),
        record.protocol.load(Relaxed),
        String::from_utf8_lossy(&library.0),
        String::from_utf8_lossy(&library.1),
        record.io_thread,
        record.input_bytes.load(Relaxed),
        record.output_bytes.load(Relaxed),
        record.commands.load(Relaxed),
    );
    line
}

/// A mutex whose holder panicked holds a name at worst half set; it goes on being used.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
