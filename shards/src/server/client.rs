//! What is known of a client outside its connection: read by CLIENT LIST, the slow log and MONITOR from any thread.

use std::any::Any;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicU8, AtomicUsize};
use std::sync::{Arc, Mutex, Weak};

use crate::rights::User;

use crate::protocol::reply::Protocol;
use crate::server::reader_numbers::ReaderNumbers;
use crate::server::settings::Settings;
use crate::server::tracking::Tracks;

/// What a command may know of its client.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub db: u16,
    pub protocol: Protocol,
    /// CLIENT NO-TOUCH is on: reads leave the access clock alone.
    pub no_touch: bool,
    /// What its commands have to do for its tracking of keys.
    pub tracks: Tracks,
    pub record: Option<&'a ClientRecord>,
    /// What a reply to it may have, in bytes: what is more it is not sent, and is cut ([`ClientRecord::dropped_reply_bytes`]).
    pub reply_bytes_max: usize,
}

/// One connected client. The connection's IO thread writes; others read, relaxed, what may be a moment old.
#[derive(Debug, Default)]
pub struct ClientRecord {
    pub id: u64,
    /// Itself, for whoever keeps it longer than a command lasts.
    pub own: Weak<ClientRecord>,
    /// The connection, in the IO layer's own terms.
    pub token: u64,
    pub address: String,
    pub local_address: String,
    pub descriptor: i32,
    pub io_thread: usize,
    /// Milliseconds on the monotonic clock.
    pub connected_at: i64,
    pub last_interaction_at: AtomicI64,
    pub name: Mutex<Vec<u8>>,
    pub library: Mutex<(Vec<u8>, Vec<u8>)>,
    pub user: Mutex<Arc<User>>,
    /// Whether there is anything that this user may not do, without the lock.
    pub is_restricted: AtomicBool,
    pub db: AtomicU32,
    /// 2 or 3.
    pub protocol: AtomicU32,
    /// Index of the last command in the command table; `u32::MAX` for none.
    pub last_command: AtomicU32,
    pub commands: AtomicU64,
    pub input_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
    pub query_buffer_bytes: AtomicUsize,
    pub output_buffer_bytes: AtomicUsize,
    /// All that it takes, as last accounted for.
    pub memory_bytes: AtomicUsize,
    /// Bytes of a reply that was dropped because it was more than the client may leave unread; 0 for none. Its IO thread ends the
    /// connection.
    pub dropped_reply_bytes: AtomicUsize,
    /// Queued commands of MULTI; -1 outside.
    pub queued: AtomicI64,
    /// What they take, in bytes.
    pub queued_bytes: AtomicUsize,
    /// What its name and that of its library take, in bytes.
    pub named_bytes: AtomicUsize,
    pub watched: AtomicUsize,
    /// Subscriptions to channels, patterns and channels of shards.
    pub channels: AtomicUsize,
    pub patterns: AtomicUsize,
    pub shard_channels: AtomicUsize,
    pub is_monitor: AtomicBool,
    pub no_evict: AtomicBool,
    pub no_touch: AtomicBool,
    pub tracking: TrackingRecord,
    /// CLIENT IMPORT-SOURCE: in import mode nothing expires for it.
    pub import_source: AtomicBool,
    /// CLIENT CAPA redirect: it understands being sent to the primary.
    pub takes_redirects: AtomicBool,
    pub blocked: AtomicBool,
    /// The `Waiter` in which it waits for a key, for whoever ends waits of other threads' clients.
    pub waiter: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
    /// CLIENT UNBLOCK has told the client's IO thread, which has not looked yet: once is enough however often it is asked.
    pub unblock_asked: AtomicBool,
    /// CLIENT PAUSE holds a command of it back.
    pub paused: AtomicBool,
    pub readonly: AtomicBool,
    pub unix_socket: bool,
    /// What is at the other end of a link of replication, as a [`LinkTo`]; 0 for an ordinary client.
    pub link_to: AtomicU8,
    /// Set by CLIENT KILL; the IO thread closes the connection at its next look.
    pub killed: AtomicBool,
}

/// Who is at the other end of a link of replication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkTo {
    Primary = 1,
    Replica = 2,
}

/// In place of its number: the client has gone.
const GONE: u32 = u32::MAX;

/// What others may know of how a client tracks keys.
#[derive(Debug, Default)]
pub struct TrackingRecord {
    pub is_on: AtomicBool,
    /// It is told of keys by prefix.
    pub is_broadcast: AtomicBool,
    /// The client that its invalidations go to has gone.
    pub is_broken: AtomicBool,
    /// The client that its invalidations go to; 0 is itself.
    pub redirect: AtomicU64,
    /// Invalidations may come for it, its own or another client's.
    pub hears: AtomicBool,
    tracks: AtomicU8,
    /// One more than the number under which it is remembered as a reader; 0 before it has read anything, and [`GONE`] at its end.
    number: AtomicU32,
}

impl TrackingRecord {
    /// What its next command has to do.
    #[inline]
    pub fn tracks(&self) -> Tracks {
        Tracks::from_bits(self.tracks.load(Relaxed))
    }

    /// Sets that.
    pub fn set_tracks(&self, tracks: Tracks) {
        self.tracks.store(tracks.bits(), Relaxed);
    }

    /// The number under which it is remembered as a reader; `None` if it has gone, so that there is nobody to remember.
    #[inline]
    pub fn number(&self, numbers: &ReaderNumbers, token: u64) -> Option<u32> {
        // Acquire: the era in which the number was given out is seen by whoever sees the number.
        match self.number.load(Acquire) {
            0 => self.new_number(numbers, token),
            GONE => None,
            number => Some(number - 1),
        }
    }

    /// Shards may ask for it at the same time.
    #[cold]
    fn new_number(&self, numbers: &ReaderNumbers, token: u64) -> Option<u32> {
        let new = numbers.take(token);
        match self.number.compare_exchange(0, new + 1, AcqRel, Acquire) {
            Ok(_) => Some(new),
            Err(earlier) => {
                numbers.give_back(new);
                (earlier != GONE).then(|| earlier - 1)
            }
        }
    }

    /// The client has gone. Somebody may still execute a transaction of it.
    pub fn end(&self, numbers: &ReaderNumbers) {
        let number = self.number.swap(GONE, AcqRel);
        if number != 0 && number != GONE {
            numbers.give_back(number - 1);
        }
    }
}

impl ClientRecord {
    /// Says that this is a link of replication.
    pub fn set_link(&self, to: LinkTo) {
        self.link_to.store(to as u8, Relaxed);
    }

    /// Whether it is a link of this kind.
    pub fn is_link(&self, to: LinkTo) -> bool {
        self.link_to.load(Relaxed) == to as u8
    }

    /// The client's name, empty if it has none.
    pub fn name(&self) -> Vec<u8> {
        self.name.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether it listens to channels.
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        [&self.channels, &self.patterns, &self.shard_channels].iter().any(|it| it.load(Relaxed) > 0)
    }

    /// What one reply may have, in bytes: no more than the client may leave unread at once.
    #[inline]
    pub fn reply_bytes_max(&self, settings: &Settings) -> usize {
        let limit = if self.is_subscriber() {
            &settings.pubsub_output_limit_hard_bytes
        } else {
            &settings.output_limit_hard_bytes
        };
        match limit.size() {
            0 => usize::MAX,
            bytes => bytes,
        }
    }

    /// Sums up what the names take; to be called when one of them has changed.
    pub fn note_names(&self) {
        let name = self.name.lock().unwrap_or_else(std::sync::PoisonError::into_inner).capacity();
        let library = self.library.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.named_bytes.store(name + library.0.capacity() + library.1.capacity(), Relaxed);
    }

    /// Who the client is.
    pub fn user(&self) -> Arc<User> {
        Arc::clone(&self.user.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Who the client is, if there is anything that it may not do.
    pub fn restricted_user(&self) -> Option<Arc<User>> {
        self.is_restricted.load(Relaxed).then(|| self.user())
    }

    /// The client is this user from now on.
    pub fn set_user(&self, user: &Arc<User>) {
        self.is_restricted.store(user.is_restricted(), Relaxed);
        *self.user.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_number_from_its_first_read_to_its_end() {
        let (numbers, record) = (ReaderNumbers::default(), TrackingRecord::default());
        std::thread::scope(|scope| {
            let ask = || scope.spawn(|| record.number(&numbers, 7));
            let asked = [ask(), ask(), ask()].map(|thread| thread.join().expect("an answer"));
            assert!(asked[0].is_some() && asked.iter().all(|number| *number == asked[0]), "{asked:?}");
        });
        record.end(&numbers);
        record.end(&numbers);
        assert_eq!(record.number(&numbers, 7), None);
        let others = [(); 4].map(|()| numbers.take(9));
        assert_eq!(others.iter().max(), Some(&3), "every number is used again: {others:?}");
    }
}
