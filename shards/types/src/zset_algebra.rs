//! Union, intersection and difference of sorted sets and plain sets, with weights and an aggregate.
//!
//! A union counts every member in a hash table of elements, then sorts the elements once and builds tree and leaves from
//! the sorted run; inserting them one by one would search the tree for each and again whenever a score grows. The
//! intersection walks the smallest source and asks the others; the difference walks the first.
//!
//! The rules for infinities are those of Redis: a weight times a score that gives NaN counts as 0, and so does the sum
//! of two infinities. Sources are taken from the smallest to the largest, which also fixes the order of summing.

use super::number::I64_TEXT_MAX_BYTES;
use super::set::Set;
use super::zset::{Limits, ZSet};
use super::zset_element::Element;
use super::zset_large::Handle;
use crate::table::{hash, Table};

/// What a member of a plain set counts.
const PLAIN_SCORE: f64 = 1.0;

/// How the scores of one member in several sources become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
    /// The scores do not count, only the weights of the sources that have the member: without weights, their number.
    Count,
}

impl Aggregate {
    /// What a member with a score in a source of a weight adds.
    fn weighted(self, weight: f64, score: f64) -> f64 {
        match self {
            Aggregate::Count => weight,
            _ => weight * score,
        }
    }

    fn combine(self, present: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum | Aggregate::Count => nan_as_zero(present + other),
            Aggregate::Min if other < present => other,
            Aggregate::Max if other > present => other,
            Aggregate::Min | Aggregate::Max => present,
        }
    }
}

fn nan_as_zero(score: f64) -> f64 {
    if score.is_nan() {
        0.0
    } else {
        score
    }
}

/// What algebra reads: a sorted set, or a plain set whose members all have the score 1.
pub trait Members {
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn score(&self, member: &[u8]) -> Option<f64>;
    /// Calls with every member as long as the callback says to go on.
    fn visit_while(&self, visit: &mut dyn FnMut(&[u8], f64) -> bool);
}

impl Members for ZSet {
    fn len(&self) -> usize {
        ZSet::len(self)
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        ZSet::score(self, member)
    }

    fn visit_while(&self, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        self.visit_all_while(visit);
    }
}

impl Members for Set {
    fn len(&self) -> usize {
        Set::len(self)
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        self.contains(member).then_some(PLAIN_SCORE)
    }

    fn visit_while(&self, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        let mut buffer = [0; I64_TEXT_MAX_BYTES];
        let _ = self.iter().all(|member| visit(member.as_bytes(&mut buffer), PLAIN_SCORE));
    }
}

/// One operand; a key that does not exist is an operand without members.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub members: Option<&'a dyn Members>,
    pub weight: f64,
}

impl<'a> Source<'a> {
    pub fn new(members: Option<&'a dyn Members>) -> Source<'a> {
        Source { members, weight: 1.0 }
    }

    fn len(&self) -> usize {
        self.members.map_or(0, Members::len)
    }

    fn visit_while(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        if let Some(members) = self.members {
            members.visit_while(&mut visit);
        }
    }
}

/// A result in order: to be read, or to become a set.
#[derive(Default)]
pub struct Ranking {
    elements: Vec<Element>,
    /// All elements, or none of them.
    table: Table<Handle>,
}

impl Ranking {
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Members and scores in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> {
        self.elements.iter().map(|element| (element.member(), element.score()))
    }

    pub fn into_set(mut self, limits: Limits) -> ZSet {
        ZSet::from_sorted(limits, std::mem::take(&mut self.elements), std::mem::take(&mut self.table))
    }

    fn push(&mut self, member: &[u8], score: f64) {
        self.elements.push(Element::new(score, member));
    }

    fn sorted(mut self) -> Ranking {
        sort(&mut self.elements);
        self
    }
}

impl Drop for Ranking {
    fn drop(&mut self) {
        for element in self.elements.drain(..) {
            // SAFETY: the ranking owns its elements; the table is dropped without looking at them.
            unsafe { element.free() };
        }
    }
}

/// Collects members in any order, the last score of a member counting, and makes a set of them at once.
#[derive(Default)]
pub struct Builder(Ranking);

impl Builder {
    pub fn with_capacity(members: usize) -> Builder {
        Builder(Ranking { elements: Vec::with_capacity(members), table: Table::new() })
    }

    /// Adds a member; false if it is there already, which then keeps its score.
    pub fn add(&mut self, member: &[u8], score: f64) -> bool {
        let hash = hash(member);
        let Ranking { elements, table } = &mut self.0;
        if table.find(hash, member).is_some() {
            return false;
        }
        let element = Element::new(score, member);
        elements.push(element);
        table.insert_new(hash, Handle::new(element));
        true
    }

    pub fn finish(self, limits: Limits) -> ZSet {
        self.0.sorted().into_set(limits)
    }
}

/// Members in any source.
pub fn union(sources: &[Source<'_>], aggregate: Aggregate) -> Ranking {
    let mut result = Ranking::default();
    // So many there are at least.
    let largest = sources.iter().map(Source::len).max().unwrap_or(0);
    result.elements.reserve(largest);
    result.table.reserve(largest);
    let mut first = true;
    for source in smallest_first(sources) {
        let Ranking { elements, table } = &mut result;
        source.visit_while(|member, score| {
            let score = nan_as_zero(aggregate.weighted(source.weight, score));
            let hash = hash(member);
            // The members of one source differ, so the first one need not ask.
            let present = if first { None } else { table.find(hash, member) };
            match present {
                Some(handle) => {
                    let element = handle.element();
                    element.set_score(aggregate.combine(element.score(), score));
                }
                None => {
                    let element = Element::new(score, member);
                    elements.push(element);
                    table.insert_new(hash, Handle::new(element));
                }
            }
            true
        });
        first = first && source.len() == 0;
    }
    result.sorted()
}

/// Members in every source.
pub fn intersection(sources: &[Source<'_>], aggregate: Aggregate) -> Ranking {
    let mut result = Ranking::default();
    let sources = smallest_first(sources);
    let Some((smallest, others)) = sources.split_first() else { return result };
    smallest.visit_while(|member, score| {
        let start = nan_as_zero(aggregate.weighted(smallest.weight, score));
        let combined = others.iter().try_fold(start, |present, other| {
            let score = other.members?.score(member)?;
            Some(aggregate.combine(present, aggregate.weighted(other.weight, score)))
        });
        if let Some(score) = combined {
            result.push(member, score);
        }
        true
    });
    result.sorted()
}

/// Number of members in every source, counting no further than the limit (0: no limit).
pub fn intersection_count(sources: &[Source<'_>], limit: usize) -> usize {
    let sources = smallest_first(sources);
    let Some((smallest, others)) = sources.split_first() else { return 0 };
    let mut count = 0;
    smallest.visit_while(|member, _| {
        let everywhere = others.iter().all(|other| other.members.is_some_and(|other| other.score(member).is_some()));
        count += usize::from(everywhere);
        limit == 0 || count < limit
    });
    count
}

/// Members of the first source that are in no other, with the first one's scores.
pub fn difference(sources: &[Source<'_>]) -> Ranking {
    let mut result = Ranking::default();
    let Some((first, others)) = sources.split_first() else { return result };
    first.visit_while(|member, score| {
        let elsewhere = others.iter().filter_map(|other| other.members).any(|other| other.score(member).is_some());
        if !elsewhere {
            result.push(member, score);
        }
        true
    });
    result.sorted()
}

fn smallest_first<'a>(sources: &[Source<'a>]) -> Vec<Source<'a>> {
    let mut sources = sources.to_vec();
    sources.sort_by_key(Source::len);
    sources
}

/// Sorts by score, then member. The scores are copied beside the handles, so that most comparisons stay in the array.
fn sort(elements: &mut [Element]) {
    let mut keyed: Vec<(f64, Element)> = elements.iter().map(|&element| (element.score(), element)).collect();
    let less = |a: &(f64, Element), b: &(f64, Element)| {
        if a.0 == b.0 {
            a.1.member().cmp(b.1.member())
        } else if a.0 < b.0 {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        }
    };
    // A walk over a sorted set comes in order, and a check costs nothing beside a sort.
    if !keyed.is_sorted_by(|a, b| less(a, b).is_le()) {
        keyed.sort_unstable_by(less);
    }
    for (place, (_, element)) in elements.iter_mut().zip(keyed) {
        *place = element;
    }
}

#[cfg(test)]
#[path = "tests/zset_algebra.rs"]
mod tests;
