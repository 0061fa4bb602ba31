//! The difference of sets, and with it their union: walk one set, ask others what they have not.
//!
//! A union is the first set, then of every further one what the sets before it do not have. So no set of the members seen
//! is built, which would cost an allocation or a copied reference a member; the sets themselves are asked, in batches whose
//! cache misses overlap (see [`super::intersection`]). With many sets the questions would be quadratic in their number,
//! so from [`ASKED_MAX`] sets on, a union collects what it has seen after all.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::super::listpack::Item;
use super::intersection::{candidate, keep, need_hash, Candidate, BATCH};
use super::Set;

/// Sets that a union asks about every member.
const ASKED_MAX: usize = 4;

/// Visits every member of `first` that none of `others` has at `now`, until `visit` breaks.
pub fn subtract<'a>(
    first: &'a Set,
    others: &[&Set],
    now: u64,
    mut visit: impl FnMut(Item<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    // The largest is the likeliest to rule a member out, so it is asked first.
    let mut descending: Vec<&Set> = others.iter().copied().filter(|other| !other.is_empty()).collect();
    if descending.is_empty() {
        return first.visit_at(now, visit);
    }
    descending.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let needs_hash = need_hash(&descending);
    let mut members = first.iter_at(now);
    let mut batch: Vec<Candidate<'a>> = Vec::with_capacity(BATCH);
    loop {
        members.visit_next(BATCH, |item| batch.push(candidate(item, needs_hash)));
        if batch.is_empty() {
            return ControlFlow::Continue(());
        }
        for other in &descending {
            if batch.is_empty() {
                break;
            }
            keep(other, now, false, &mut batch);
        }
        for candidate in batch.drain(..) {
            visit(candidate.item)?;
        }
    }
}

/// Visits every member that one of `sets` has at `now`, once, until `visit` breaks.
pub fn unite<'a>(sets: &[&'a Set], now: u64, mut visit: impl FnMut(Item<'a>) -> ControlFlow<()>) {
    // The largest set first: it is walked without a question.
    let mut descending: Vec<&'a Set> = sets.to_vec();
    descending.sort_by_key(|set| std::cmp::Reverse(set.len()));
    if descending.len() > ASKED_MAX {
        return unite_many(&descending, now, visit);
    }
    for (index, set) in descending.iter().enumerate() {
        if subtract(set, &descending[..index], now, &mut visit).is_break() {
            return;
        }
    }
}

fn unite_many<'a>(sets: &[&'a Set], now: u64, mut visit: impl FnMut(Item<'a>) -> ControlFlow<()>) {
    /// A member whichever form it is stored in.
    #[derive(PartialEq, Eq, Hash)]
    enum Seen<'a> {
        Integer(i64),
        Bytes(&'a [u8]),
    }
    let mut seen =
        HashSet::with_capacity_and_hasher(sets.first().map_or(0, |set| set.len()), ahash::RandomState::new());
    for item in sets.iter().flat_map(|set| set.iter_at(now)) {
        // A table holds integers as text, the small forms as numbers.
        let key = match (item.to_i64(), item) {
            (Some(value), _) => Seen::Integer(value),
            (None, Item::Str(bytes)) => Seen::Bytes(bytes),
            (None, Item::Int(value)) => Seen::Integer(value),
        };
        if seen.insert(key) && visit(item).is_break() {
            return;
        }
    }
}
