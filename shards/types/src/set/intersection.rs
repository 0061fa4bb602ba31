//! The intersection of sets: walk the smallest, ask the others.
//!
//! In large tables nearly every question misses the cache twice, for the bucket and for the member. So members are
//! taken in batches, and a table is asked in three passes over a batch: fetch the buckets, fetch the members that may
//! match, compare. The misses of a batch then overlap.

use std::ops::ControlFlow;

use super::super::listpack::Item;
use super::{Form, Set};
use crate::table::{self, Prefetch};

/// Enough to overlap what a core can have under way, few enough that nothing fetched is evicted before use.
pub(super) const BATCH: usize = 16;

/// One member of the batch that no set asked so far has ruled out.
pub(super) struct Candidate<'a> {
    pub item: Item<'a>,
    hash: u64,
}

/// Visits every member that all of `sets` have at `now`, until `visit` breaks. No sets: no members.
pub fn intersect<'a>(sets: &[&'a Set], now: u64, mut visit: impl FnMut(Item<'a>) -> ControlFlow<()>) {
    let mut ascending = sets.to_vec();
    ascending.sort_by_key(|set| set.len());
    let Some((smallest, others)) = ascending.split_first() else { return };
    let needs_hash = need_hash(others);
    let mut members = smallest.iter_at(now);
    let mut batch: Vec<Candidate<'a>> = Vec::with_capacity(BATCH);
    loop {
        members.visit_next(BATCH, |item| batch.push(candidate(item, needs_hash)));
        if batch.is_empty() {
            return;
        }
        for other in others {
            keep(other, now, true, &mut batch);
        }
        for candidate in batch.drain(..) {
            if visit(candidate.item).is_break() {
                return;
            }
        }
    }
}

/// Whether one of the sets is asked by hash.
pub(super) fn need_hash(sets: &[&Set]) -> bool {
    sets.iter().any(|set| matches!(set.0, Form::Table(_) | Form::Timed(_)))
}

pub(super) fn candidate(item: Item<'_>, needs_hash: bool) -> Candidate<'_> {
    let hash = if needs_hash { table::hash(item.as_bytes(&mut Default::default())) } else { 0 };
    Candidate { item, hash }
}

/// Keeps the candidates that are in `set` at `now` (`members` is true) or those that are not.
pub(super) fn keep(set: &Set, now: u64, members: bool, batch: &mut Vec<Candidate<'_>>) {
    match &set.0 {
        Form::Integers(intset) => batch.retain(|candidate| {
            let found = candidate.item.to_i64().is_some_and(|value| intset.contains(value));
            found == members
        }),
        Form::Packed(listpack) => {
            batch.retain(|candidate| {
                let found = listpack.find(candidate.item.as_bytes(&mut Default::default()), 0).is_some();
                found == members
            });
        }
        Form::Table(table) => {
            batch.iter().for_each(|candidate| table.prefetch_bucket(candidate.hash));
            batch.iter().for_each(|candidate| table.prefetch_entry(candidate.hash));
            batch.retain(|candidate| {
                let found = table.find(candidate.hash, candidate.item.as_bytes(&mut Default::default())).is_some();
                found == members
            });
        }
        Form::Timed(timed) => {
            let (plain, fields) = (&timed.plain, &timed.fields);
            batch.iter().for_each(|candidate| plain.prefetch_bucket(candidate.hash));
            batch.iter().for_each(|candidate| fields.prefetch_bucket(candidate.hash));
            batch.retain(|candidate| {
                let mut text = Default::default();
                let member = candidate.item.as_bytes(&mut text);
                let is_member = plain.find(candidate.hash, member).is_some() || {
                    let found = fields.find(candidate.hash, member);
                    found.is_some_and(|pair| !pair.is_expired(now))
                };
                is_member == members
            });
        }
    }
}
