//! Client-side caching as far as all shards and threads of a server know of it; what each shard remembers is in
//! [`crate::keyspace::tracking`].

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use super::reader_numbers::ReaderNumbers;

/// What a client's commands have to do for its tracking: a few bits, so that a command of a client without has one thing to look at.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tracks(u8);

impl Tracks {
    const READS: u8 = 1;
    const NO_LOOP: u8 = 2;
    const HEARS: u8 = 4;

    /// For a client whose reads are noted, or that wants to hear nothing of its own changes.
    pub fn new(reads: bool, no_loop: bool) -> Tracks {
        Tracks(if reads { Tracks::READS } else { 0 } | if no_loop { Tracks::NO_LOOP } else { 0 })
    }

    /// The same for one that is to hear of each own change right behind the reply to the command that has made it.
    pub fn hearing(self) -> Tracks {
        Tracks(self.0 | Tracks::HEARS)
    }

    /// From the number of [`Tracks::bits`].
    pub fn from_bits(bits: u8) -> Tracks {
        Tracks(bits)
    }

    /// As a number, for an atomic.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether there is anything to do.
    #[inline]
    pub fn is_any(self) -> bool {
        self.0 != 0
    }

    /// Whether its reads are noted.
    #[inline]
    pub fn notes_reads(self) -> bool {
        self.0 & Tracks::READS != 0
    }

    /// Whether it is to hear of each own change right behind the reply to the command that has made it.
    #[inline]
    pub fn hears_itself(self) -> bool {
        self.0 & Tracks::HEARS != 0
    }

    /// Whether it wants to hear nothing of its own changes.
    #[inline]
    pub fn is_silent(self) -> bool {
        self.0 & Tracks::NO_LOOP != 0
    }
}

/// What all shards and threads of a server know of tracking.
#[derive(Default)]
pub struct Tracking {
    clients: AtomicUsize,
    /// Those of them that are told of keys by prefix.
    pub(crate) broadcast: AtomicUsize,
    /// Keys that are remembered, in all shards.
    pub(crate) keys: AtomicUsize,
    pub readers: ReaderNumbers,
}

impl Tracking {
    /// A client begins to track.
    pub fn begin(&self, by_prefix: bool) {
        // Before the client is answered: who changes a key afterwards finds the count.
        self.broadcast.fetch_add(usize::from(by_prefix), SeqCst);
        self.clients.fetch_add(1, SeqCst);
    }

    /// A client tracks no longer.
    pub fn end(&self, by_prefix: bool) {
        self.clients.fetch_sub(1, SeqCst);
        self.broadcast.fetch_sub(usize::from(by_prefix), SeqCst);
    }

    /// Whether any client tracks.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.clients() != 0
    }

    /// Clients that track.
    #[inline]
    pub fn clients(&self) -> usize {
        self.clients.load(Relaxed)
    }

    /// Whether a shard that remembers so many keys is to forget some: there are more than there may be in all shards together,
    /// and it has more than its share; or nobody tracks any more.
    #[inline]
    pub fn is_too_much(&self, keys_max: usize, shards: usize, own: usize) -> bool {
        if !self.is_on() {
            return own > 0;
        }
        keys_max > 0 && own > keys_max / shards && self.keys.load(Relaxed) > keys_max
    }
}
