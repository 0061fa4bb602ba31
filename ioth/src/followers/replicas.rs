//! The replicas of a server: what is known of them, and what the thread is told that feeds them ([`crate::replication::feeder`]).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::{eventfd, EventfdFlags};
use sherd_shards::journal::Journal;

use super::backlog::Backlog;
use super::replica::{Phase, Replica, ReplicaView};
use super::transfer::{Bell, TransferReader};

/// What the thread is told.
pub enum Order {
    /// A replica has joined.
    Attach(Box<Replica>),
    /// To be sent to these replicas before anything else.
    Say(Vec<u64>, Vec<u8>),
    /// The snapshot of these replicas, and its length.
    Snapshot(Vec<u64>, Arc<File>, u64),
    /// The snapshot of these replicas is being taken.
    Transfer(Vec<TransferReader>),
    /// These are to go, for a reason.
    Cut(Vec<u64>, String),
    /// All are to go.
    CutAll(String),
}

/// Starts the thread, or says why there can be none.
pub type Starter = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// See the [module](self).
pub struct Replicas {
    pub backlog: Arc<Backlog>,
    orders: Mutex<Vec<Order>>,
    views: Mutex<Vec<Arc<ReplicaView>>>,
    bell: Arc<OwnedFd>,
    /// The thread sleeps until the bell rings. Shared with whoever rings.
    asleep: Arc<AtomicBool>,
    started: Mutex<bool>,
    starter: OnceLock<Starter>,
    /// Replicas that count for `min-replicas-to-write`.
    pub good: AtomicUsize,
    /// Bytes that all replicas were sent.
    pub output_bytes: AtomicU64,
    /// Rung when a replica has acknowledged something, or has come or gone, if anybody wants to know.
    news: Arc<OwnedFd>,
    wants_news: AtomicBool,
}

fn ring(bell: &OwnedFd) {
    // Its counter cannot overflow, for it is read whenever it wakes.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

fn silence(bell: &OwnedFd) {
    let mut count = [0; 8];
    let _ = rustix::io::read(bell, &mut count);
}

fn ring_if_asleep(bell: &Arc<OwnedFd>, asleep: &Arc<AtomicBool>) -> Bell {
    let (bell, asleep) = (Arc::clone(bell), Arc::clone(asleep));
    Box::new(move || {
        if asleep.swap(false, Ordering::SeqCst) {
            ring(&bell);
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replicas {
    /// None yet.
    pub fn new() -> io::Result<Replicas> {
        let new_bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Arc::new);
        let (bell, asleep) = (new_bell()?, Arc::new(AtomicBool::new(false)));
        Ok(Replicas {
            backlog: Arc::new(Backlog::new(ring_if_asleep(&bell, &asleep))),
            orders: Mutex::default(),
            views: Mutex::default(),
            bell,
            asleep,
            started: Mutex::default(),
            starter: OnceLock::new(),
            good: AtomicUsize::new(0),
            output_bytes: AtomicU64::new(0),
            news: new_bell()?,
            wants_news: AtomicBool::new(false),
        })
    }

    /// Says how the thread is started; once.
    pub fn set_starter(&self, starter: Starter) {
        let _ = self.starter.set(starter);
    }

    /// Starts the thread if need be: before anybody becomes a replica, who would have nobody to be fed by.
    pub fn start(&self) -> io::Result<()> {
        let mut started = lock(&self.started);
        if !*started {
            self.starter.get().map_or(Ok(()), |start| start())?;
            *started = true;
        }
        Ok(())
    }

    /// Tells the thread something. There is one if there ever was a replica ([`Replicas::start`]).
    pub fn order(&self, order: Order) {
        if let Order::Attach(replica) = &order {
            lock(&self.views).push(Arc::clone(&replica.view));
        }
        lock(&self.orders).push(order);
        self.wake();
    }

    /// Has the thread look: at orders, at clients that were killed, at the server's end.
    pub fn wake(&self) {
        ring(&self.bell);
    }

    /// Wakes the thread if it sleeps: for who has something to send and shows that before.
    pub fn sender_bell(&self) -> Bell {
        ring_if_asleep(&self.bell, &self.asleep)
    }

    /// What is known of all of them, in the order in which they came.
    pub fn views(&self) -> Vec<Arc<ReplicaView>> {
        lock(&self.views).clone()
    }

    /// How many are online and have acknowledged something in the last seconds, now and for [`Replicas::good`].
    pub fn count_good(&self, now_ms: i64, lag_seconds_max: i64) -> usize {
        let lag_max_ms = lag_seconds_max.saturating_mul(1000);
        let is_good = |view: &&Arc<ReplicaView>| {
            let silent_ms = now_ms - view.acknowledged_ms.load(Ordering::Relaxed);
            view.phase() == Phase::Online && silent_ms <= lag_max_ms
        };
        let good = lock(&self.views).iter().filter(is_good).count();
        self.good.store(good, Ordering::SeqCst);
        good
    }

    /// A descriptor that becomes readable when there is news.
    pub fn news(&self) -> &OwnedFd {
        &self.news
    }

    /// Says whether somebody waits for acknowledgements.
    pub fn want_news(&self, wanted: bool) {
        self.wants_news.store(wanted, Ordering::SeqCst);
    }

    /// Takes notice of the news.
    pub fn silence_news(&self) {
        silence(&self.news);
    }

    /// Has replicas publish a message to their clients as well, behind what was written before it.
    pub fn publish(&self, journal: &Journal, is_sharded: bool, channel: &[u8], message: &[u8]) {
        if self.backlog.is_on() {
            let command: &[u8] = if is_sharded { b"SPUBLISH" } else { b"PUBLISH" };
            journal.append(0, &[command, channel, message], true);
        }
    }
}

/// For the thread.
impl Replicas {
    /// What the thread polls besides its sockets.
    pub fn bell(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.bell)
    }

    /// Says that the thread is going to sleep; true if there are orders.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.swap(true, Ordering::SeqCst);
        !lock(&self.orders).is_empty()
    }

    /// Says that the thread is awake.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        silence(&self.bell);
    }

    /// What the thread was told.
    pub fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut *lock(&self.orders))
    }

    /// A replica has gone.
    pub fn forget(&self, id: u64) {
        self.backlog.remove_reader(id);
        lock(&self.views).retain(|view| view.record.id != id);
    }

    /// Tells whoever wants to know that something has become of a replica.
    pub fn tell_news(&self) {
        if self.wants_news.load(Ordering::SeqCst) {
            ring(&self.news);
        }
    }
}
