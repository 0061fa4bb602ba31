//! When the fields of a hash expire.
//!
//! Each pair carries its own time. The hash knows a lower bound of them all, so that a command asks one number whether
//! anything can have expired, and a sweep in bounded steps removes what has and finds the bound anew. An ordered index of
//! the times would be exact, but cost more than most pairs.

use std::ops::{Deref, DerefMut};

use sherd_metrics::memory::size_class;

use super::super::hash::{Form, Hash, Limits};
use super::pair::Pair;
use crate::table::{self, Table};

/// Earlier than nothing: no field expires.
const NEVER: u64 = u64::MAX;

/// The table of a large hash, or of one whose fields expire.
#[derive(Default)]
pub struct Fields {
    table: Table<Pair>,
    /// From the first expiry on.
    timing: Option<Box<Timing>>,
}

/// See the file's head. Times are milliseconds since the epoch.
struct Timing {
    /// No field expires before this.
    due: u64,
    /// What the keyspace was told last; [`NEVER`] if nothing.
    announced: u64,
    /// Where the sweep is (0: between two rounds), and what it has found on this round.
    sweep_at: usize,
    round: Round,
    /// The hash would be a listpack if its fields did not expire; Redis calls that `listpackex`.
    is_small: bool,
}

/// One round of a sweep.
struct Round {
    /// The earliest time of the pairs that stay.
    due: u64,
    /// The table when the round began: what it loses afterwards moves pairs to buckets that were visited already.
    buckets: usize,
    /// Something was removed, which may have hidden pairs behind it in the same bucket.
    removed: bool,
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
        let timing = self.timing.as_ref().map(|timing| Box::new(Timing::new(timing.due, timing.is_small)));
        Fields { table, timing }
    }
}

impl Timing {
    fn new(due: u64, is_small: bool) -> Self {
        let round = Round { due: NEVER, buckets: 0, removed: false };
        Timing { due, announced: NEVER, sweep_at: 0, round, is_small }
    }

    fn expect(&mut self, expiry: u64) {
        self.due = self.due.min(expiry);
        self.round.due = self.round.due.min(expiry);
    }
}

impl Fields {
    pub fn encoding_name(&self) -> &'static str {
        match &self.timing {
            Some(timing) if timing.is_small => "listpackex",
            _ => "hashtable",
        }
    }

    /// Bytes of the structure itself, the table's buckets and pairs not counted.
    pub fn own_bytes(&self) -> usize {
        let timing = if self.timing.is_some() { size_class(size_of::<Timing>()) } else { 0 };
        size_class(size_of::<Fields>()) + timing
    }

    /// Takes note of a pair that was set, whose longer part has `bytes`.
    #[inline]
    pub fn note_size(&mut self, bytes: usize, limits: Limits) {
        if let Some(timing) = &mut self.timing {
            timing.is_small &= bytes <= limits.value_bytes && self.table.len() <= limits.entries;
        }
    }
}

impl Hash {
    fn timing(&self) -> Option<&Timing> {
        match &self.0 {
            Form::Packed(_) => None,
            Form::Table(fields) => fields.timing.as_deref(),
        }
    }

    fn timing_mut(&mut self) -> Option<&mut Timing> {
        match &mut self.0 {
            Form::Packed(_) => None,
            Form::Table(fields) => fields.timing.as_deref_mut(),
        }
    }

    /// Whether fields may have an expiry.
    #[inline]
    pub fn has_expiries(&self) -> bool {
        self.timing().is_some_and(|timing| timing.due != NEVER)
    }

    /// Whether a field may have expired at `now`.
    #[inline]
    pub fn is_due(&self, now: u64) -> bool {
        self.timing().is_some_and(|timing| timing.due <= now)
    }

    /// Prepares for fields that expire: a packed hash converts. Redis does so for every command that gives fields a time,
    /// whether it then takes effect or not, and `OBJECT ENCODING` shows it.
    pub fn expect_expiries(&mut self) {
        let was_packed = matches!(self.0, Form::Packed(_));
        self.convert_to_table();
        if let Form::Table(fields) = &mut self.0 {
            fields.timing.get_or_insert_with(|| Box::new(Timing::new(NEVER, was_packed)));
        }
    }

    /// When the sweep should look at the hash, if that is earlier than what was announced last; the caller notes it. With
    /// `again`, whatever was announced: the hash has moved to another key.
    pub fn announce(&mut self, again: bool) -> Option<u64> {
        let timing = self.timing_mut()?;
        if timing.due == NEVER || (timing.due >= timing.announced && !again) {
            return None;
        }
        timing.announced = timing.due;
        Some(timing.due)
    }

    /// Whether `due` is what was announced last. Older announcements are void.
    pub fn is_announced(&self, due: u64) -> bool {
        self.timing().is_some_and(|timing| timing.announced == due)
    }

    /// When `field` expires: `None` if there is no such field, `Some(None)` if it does not expire.
    pub fn expiry(&self, field: &[u8]) -> Option<Option<u64>> {
        match &self.0 {
            Form::Packed(listpack) => listpack.find(field, 1).map(|_| None),
            Form::Table(fields) => fields.find(table::hash(field), field).map(Pair::expiry),
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
        let Form::Table(fields) = &mut self.0 else { return true };
        let Some(mut slot) = fields.table.find_slot(table::hash(field), field) else { return true };
        slot.get_mut().set_expiry(expiry);
        if let (Some(expiry), Some(timing)) = (expiry, &mut fields.timing) {
            slot.mark_volatile();
            timing.expect(expiry);
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
        let Form::Table(fields) = &mut self.0 else { return true };
        let Some(timing) = fields.timing.as_deref_mut() else { return true };
        if timing.sweep_at == 0 {
            timing.round = Round { due: NEVER, buckets: fields.table.bucket_count(), removed: false };
        }
        let Timing { round, sweep_at, .. } = timing;
        let (mut earliest, mut any_removed) = (round.due, false);
        let expired = |pair: &Pair| {
            let expiry = pair.expiry().unwrap_or(NEVER);
            if expiry > now {
                earliest = earliest.min(expiry);
            }
            expiry <= now
        };
        *sweep_at = fields.table.sweep(*sweep_at, limit, expired, |pair| {
            any_removed = true;
            removed(pair.field());
        });
        round.due = earliest;
        round.removed |= any_removed;
        if *sweep_at != 0 {
            return false;
        }
        let is_exact = !round.removed && fields.table.bucket_count() >= round.buckets;
        timing.due = if is_exact { timing.round.due } else { timing.round.due.min(now + 1) };
        true
    }

    /// Removes all pairs that have expired at `now`; returns how many.
    pub fn remove_all_expired(&mut self, now: u64) -> usize {
        let mut total = 0;
        loop {
            let mut removed = 0;
            let complete = self.sweep_expired(usize::MAX / 2, now, |_| removed += 1);
            total += removed;
            if complete && removed == 0 {
                return total;
            }
        }
    }
}
