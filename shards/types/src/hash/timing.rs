//! When the fields of a hash expire, and the members of a set, which are pairs without a value here.
//!
//! Each pair carries its own time. The table knows how many do and a lower bound of their times, so that a command asks one
//! number whether anything can have expired, and a sweep in bounded steps removes what has and finds the bound anew. An
//! ordered index of the times would be exact, but cost more than most pairs.

use std::ops::{Deref, DerefMut};

use sherd_metrics::memory::size_class;

use super::super::hash::{Form, Hash, Limits};
use super::pair::Pair;
use crate::table::{self, Table};
use crate::walk::{Part, Walk};

/// The latest time at which something may expire, in milliseconds since the epoch: 46 bits, as Redis stores it.
pub const EXPIRY_MAX: u64 = (1 << 46) - 1;

/// Earlier than nothing: no field expires.
const NEVER: u64 = u64::MAX;

/// The table of a large hash, or of a hash in which something expires, or of a set's members that do.
#[derive(Default)]
pub struct Fields {
    table: Table<Pair>,
    /// From the first expiry on.
    timing: Option<Box<Timing>>,
    /// While it is saved in slices: it sees what is about to change. A set's goes through its plain members as well.
    pub(crate) walk: Option<Box<Walk>>,
}

/// See the [module](self). Times are milliseconds since the epoch.
struct Timing {
    /// Pairs that expire.
    volatile: usize,
    /// No pair expires before this; [`NEVER`] if none does.
    due: u64,
    /// What the keyspace was told last; [`NEVER`] if nothing.
    announced: u64,
    /// Where the sweep is (0: between two rounds), and what it has found on this round.
    sweep_at: usize,
    round: Round,
    /// It would be a listpack if nothing in it expired; Redis calls that `listpackex`.
    is_small: bool,
}

/// One round of a sweep.
struct Round {
    /// The earliest time of the pairs that stay.
    due: u64,
    /// Pairs may have been passed by: the table lost buckets, whose pairs move to others that were visited already, or the
    /// sweep removed something, which hides pairs behind it in the same bucket.
    is_inexact: bool,
}

impl Deref for Fields {
    type Target = Table<Pair>;

    #[inline]
    fn deref(&self) -> &Table<Pair> {
        &self.table
    }
}

impl DerefMut for Fields {
    #[inline]
    fn deref_mut(&mut self) -> &mut Table<Pair> {
        &mut self.table
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut table = Table::new();
        for pair in self.table.iter() {
            let (field, value) = pair.field_and_value();
            let mut slot = table.insert_new(table::hash(field), Pair::new(field, value, pair.expiry()));
            if pair.expiry().is_some() {
                slot.mark_volatile();
            }
        }
        let timing = self.timing.as_ref().map(|timing| {
            let copy = Timing { volatile: timing.volatile, due: timing.due, ..Timing::new(timing.is_small) };
            Box::new(copy)
        });
        Fields { table, timing, walk: None }
    }
}

impl Timing {
    fn new(is_small: bool) -> Self {
        let round = Round { due: NEVER, is_inexact: false };
        Timing { volatile: 0, due: NEVER, announced: NEVER, sweep_at: 0, round, is_small }
    }

    fn expect(&mut self, expiry: u64) {
        self.due = self.due.min(expiry);
        self.round.due = self.round.due.min(expiry);
    }

    /// Takes note that some pairs expire no longer, or are gone.
    fn forget(&mut self, pairs: usize) {
        self.volatile -= pairs;
        if self.volatile == 0 {
            self.due = NEVER;
        }
    }
}

impl Fields {
    pub fn encoding_name(&self) -> &'static str {
        match &self.timing {
            Some(timing) if timing.is_small => "listpackex",
            _ => "hashtable",
        }
    }

    /// Bytes asked of the allocator, estimated from `samples` pairs if that is not 0.
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        let timing = if self.timing.is_some() { size_class(size_of::<Timing>()) } else { 0 };
        let sampled = if samples == 0 { self.table.len() } else { samples.min(self.table.len()) };
        let pairs: usize = self.table.iter().take(sampled).map(Pair::allocated_bytes).sum();
        let all_pairs = (pairs as f64 * self.table.len() as f64 / sampled.max(1) as f64) as usize;
        size_class(size_of::<Fields>()) + timing + self.table.memory_bytes() + all_pairs
    }

    /// Takes note of a pair that was set, whose longer part has `bytes`, in a collection of `entries`.
    #[inline]
    pub fn note_size(&mut self, bytes: usize, entries: usize, limits: Limits) {
        if let Some(timing) = &mut self.timing {
            timing.is_small &= bytes <= limits.value_bytes && entries <= limits.entries;
        }
    }

    /// A pair is about to be added, or its value to change.
    #[inline]
    pub(crate) fn before_setting(&mut self, hash: u64, field: &[u8]) {
        if let Some(walk) = &mut self.walk {
            walk.before_change(Part::Fields, &self.table, hash, field);
        }
    }

    /// The earliest time at which something expires, if anything does; what is to expire earlier has been over for a while.
    pub fn due(&self) -> Option<u64> {
        self.timing.as_ref().map(|timing| timing.due).filter(|&due| due != NEVER)
    }

    /// Whether anything expires.
    #[inline]
    pub fn has_expiries(&self) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.volatile > 0)
    }

    /// Whether a pair may have expired at `now`.
    #[inline]
    pub fn is_due(&self, now: u64) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.due <= now)
    }

    /// Prepares for pairs that expire; `is_small` if a listpack would have done until now.
    pub fn expect_expiries(&mut self, is_small: bool) {
        self.timing.get_or_insert_with(|| Box::new(Timing::new(is_small)));
    }

    /// When the sweep should look here, if that is earlier than what was announced last; the caller notes it. With `again`,
    /// whatever was announced: that has come due.
    pub fn announce(&mut self, again: bool) -> Option<u64> {
        let timing = self.timing.as_deref_mut()?;
        if timing.due == NEVER {
            timing.announced = NEVER;
            return None;
        }
        if timing.due >= timing.announced && !again {
            return None;
        }
        timing.announced = timing.due;
        Some(timing.due)
    }

    /// Whether `due` is what was announced last. Older announcements are void.
    pub fn is_announced(&self, due: u64) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.announced == due)
    }

    /// Whether an announcement stands.
    pub fn has_announced(&self) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.announced != NEVER)
    }

    /// Makes what was announced void, as the key that it was announced for goes; true if there was anything.
    pub fn withdraw(&mut self) -> bool {
        let stood = self.has_announced();
        if let Some(timing) = &mut self.timing {
            timing.announced = NEVER;
        }
        stood
    }

    /// When `field` expires: `None` if it is not there, `Some(None)` if it does not expire.
    pub fn expiry(&self, field: &[u8]) -> Option<Option<u64>> {
        self.table.find(table::hash(field), field).map(Pair::expiry)
    }

    /// Sets or removes the expiry of `field`; false if it is not there. Expiries must be expected.
    pub fn set_expiry(&mut self, field: &[u8], expiry: Option<u64>) -> bool {
        let hash = table::hash(field);
        if self.walk.is_some() && self.table.find(hash, field).is_some() {
            self.before_setting(hash, field);
        }
        let Some(mut slot) = self.table.find_slot(hash, field) else { return false };
        // Nothing expires yet: there is nothing to remove.
        let Some(timing) = self.timing.as_deref_mut() else { return true };
        let was_volatile = slot.get().expiry().is_some();
        slot.get_mut().set_expiry(expiry);
        if let Some(expiry) = expiry {
            slot.mark_volatile();
            timing.volatile += usize::from(!was_volatile);
            timing.expect(expiry);
        } else if was_volatile {
            timing.forget(1);
        }
        true
    }

    /// A step of the walk; false at its end.
    pub(crate) fn step(&mut self) -> bool {
        let Fields { table, walk, .. } = self;
        walk.as_mut().is_some_and(|walk| {
            walk.step(Part::Fields, table);
            !walk.has_passed(Part::Fields)
        })
    }

    /// Removes `field`; false if it is not there.
    #[inline]
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let (buckets, hash) = (self.table.bucket_count(), table::hash(field));
        if let Some(walk) = &mut self.walk {
            walk.before_removal(Part::Fields, &self.table, hash, field);
        }
        let Some(pair) = self.table.remove(hash, field) else { return false };
        if let Some(timing) = &mut self.timing {
            timing.round.is_inexact |= self.table.bucket_count() < buckets;
            if pair.expiry().is_some() {
                timing.forget(1);
            }
        }
        true
    }

    /// Removes `field` if it has expired at `now`; true if so.
    pub fn remove_if_expired(&mut self, field: &[u8], now: u64) -> bool {
        let expired = self.expiry(field).flatten().is_some_and(|expiry| expiry <= now);
        expired && self.remove(field)
    }

    /// Removes the pairs that have expired at `now` from up to `limit` buckets, going on where the last call ended, and gives
    /// their fields to `removed`; true when a round is complete. The bound on all times is exact then, unless something was
    /// removed, which calls for another round.
    pub fn sweep_expired(&mut self, limit: usize, now: u64, mut removed: impl FnMut(&[u8])) -> bool {
        let Some(timing) = self.timing.as_deref_mut() else { return true };
        if timing.sweep_at == 0 {
            timing.round = Round { due: NEVER, is_inexact: false };
        }
        let (mut earliest, mut removed_count) = (timing.round.due, 0);
        let walk = &mut self.walk;
        let expired = |pair: &Pair| {
            let expiry = pair.expiry().unwrap_or(NEVER);
            if expiry > now {
                earliest = earliest.min(expiry);
            }
            expiry <= now
        };
        timing.sweep_at = self.table.sweep(timing.sweep_at, limit, expired, |pair| {
            removed_count += 1;
            if let Some(walk) = walk.as_mut() {
                walk.removed(Part::Fields, table::hash(pair.field()), &pair);
            }
            removed(pair.field());
        });
        timing.round.due = earliest;
        timing.round.is_inexact |= removed_count > 0;
        if timing.sweep_at == 0 {
            // What was passed by may have expired: still due, also for whoever asks in this millisecond.
            timing.due = if timing.round.is_inexact { timing.round.due.min(now) } else { timing.round.due };
        }
        timing.forget(removed_count);
        timing.sweep_at == 0
    }

    /// Removes all pairs that have expired at `now`, and gives their fields to `gone`.
    pub fn remove_all_expired(&mut self, now: u64, mut gone: impl FnMut(&[u8])) {
        loop {
            let mut removed = 0;
            let complete = self.sweep_expired(usize::MAX / 2, now, |field| {
                removed += 1;
                gone(field);
            });
            if complete && removed == 0 {
                return;
            }
        }
    }
}

impl Hash {
    /// What expires, or could: the table of a hash that has one.
    #[inline]
    pub fn timed(&self) -> Option<&Fields> {
        match &self.0 {
            Form::Packed(_) => None,
            Form::Table(fields) => Some(fields),
        }
    }

    #[inline]
    pub fn timed_mut(&mut self) -> Option<&mut Fields> {
        match &mut self.0 {
            Form::Packed(_) => None,
            Form::Table(fields) => Some(fields),
        }
    }

    /// Whether fields have an expiry.
    #[inline]
    pub fn has_expiries(&self) -> bool {
        self.timed().is_some_and(Fields::has_expiries)
    }

    /// Whether a field may have expired at `now`.
    #[inline]
    pub fn is_due(&self, now: u64) -> bool {
        self.timed().is_some_and(|fields| fields.is_due(now))
    }

    /// Prepares for fields that expire: a packed hash converts. Redis does so for every command that gives fields a time,
    /// whether it then takes effect or not, and `OBJECT ENCODING` shows it.
    pub fn expect_expiries(&mut self) {
        let was_packed = matches!(self.0, Form::Packed(_));
        self.convert_to_table();
        if let Form::Table(fields) = &mut self.0 {
            fields.expect_expiries(was_packed);
        }
    }

    /// When `field` expires: `None` if there is no such field, `Some(None)` if it does not expire.
    pub fn expiry(&self, field: &[u8]) -> Option<Option<u64>> {
        match &self.0 {
            Form::Packed(listpack) => listpack.find(field, 1).map(|_| None),
            Form::Table(fields) => fields.expiry(field),
        }
    }

    /// Sets or removes the expiry of `field`; false if there is no such field. A packed hash converts for its first expiry.
    pub fn set_expiry(&mut self, field: &[u8], expiry: Option<u64>) -> bool {
        if !self.contains(field) {
            return false;
        }
        if expiry.is_some() {
            self.expect_expiries();
        }
        self.timed_mut().is_none_or(|fields| fields.set_expiry(field, expiry))
    }
}
