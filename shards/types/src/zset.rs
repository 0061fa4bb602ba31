//! The sorted set: members with scores, in order of score and, among equal scores, of the member's bytes.
//!
//! Two encodings behind one interface: a listpack while the set is small (`zset_packed`), then a hash table and a B+tree
//! over the same elements (`zset_large`). Like in Redis a set grows into the large encoding and does not come back by
//! removals. Every range, by rank, score or member, is first turned into ranks; reading, counting and removing then are
//! one operation each, and a reader knows the length of its answer before the first element.
//!
//! Callers keep NaN out: no method accepts one as a score.

use super::listpack::Listpack;
use super::number::I64_TEXT_MAX_BYTES;
use super::unaligned_box::UnalignedBox;
use super::zset_element::Element;
use super::zset_large::{Handle, Large};
use super::zset_packed as packed;
use super::zset_range::{LexRange, ScoreRange};
use crate::mover::Mover;
use crate::table::{buckets_of, hash, Prefetch, Table};
use crate::walk::{Leftover, Part, Visitor, Walk, Walkable};
use std::ops::Range;

/// Up to where a set stays in the small encoding.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `zset-max-listpack-entries`
    pub entries_max: usize,
    /// `zset-max-listpack-value`
    pub member_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { entries_max: 128, member_bytes_max: 64 }
    }
}

impl Limits {
    pub fn allow(&self, entries: usize, member_bytes: usize) -> bool {
        entries <= self.entries_max && member_bytes <= self.member_bytes_max
    }
}

/// Conditions of an update; those of ZADD.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// NX: leave present members alone.
    pub only_new: bool,
    /// XX: add no member.
    pub only_present: bool,
    /// GT: change a score only to a greater one.
    pub only_greater: bool,
    /// LT: change a score only to a smaller one.
    pub only_less: bool,
    /// INCR: the score is added to the present one.
    pub increment: bool,
}

/// What an update did, with the score that the member has now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Added(f64),
    Updated(f64),
    /// The member had that score already.
    Same(f64),
    /// A rule forbade it.
    Skipped,
    /// The sum of two infinities is no score.
    NotANumber,
}

enum Encoding {
    Packed(Listpack),
    Large(UnalignedBox<Large>),
}

pub struct ZSet(Encoding);

impl Clone for ZSet {
    fn clone(&self) -> ZSet {
        match &self.0 {
            Encoding::Packed(list) => ZSet(Encoding::Packed(list.clone())),
            Encoding::Large(large) => {
                let copy = |element: Element| Element::new(element.score(), element.member());
                let elements: Vec<Element> = large.tree().iter().map(copy).collect();
                ZSet(Encoding::Large(UnalignedBox::new(Large::from_sorted(&elements, Table::new()))))
            }
        }
    }
}

impl Default for ZSet {
    fn default() -> Self {
        ZSet::new()
    }
}

impl ZSet {
    pub fn new() -> ZSet {
        ZSet(Encoding::Packed(Listpack::new()))
    }

    /// Takes over a listpack from a file if it is a sorted set in order without doubles.
    pub fn from_packed(list: Listpack) -> Option<ZSet> {
        if !packed::is_well_formed(&list) {
            return None;
        }
        let mut names: Vec<Vec<u8>> = packed::pairs(&list).map(|pair| pair.member.to_vec()).collect();
        names.sort_unstable();
        let distinct = names.windows(2).all(|pair| pair[0] != pair[1]);
        distinct.then_some(ZSet(Encoding::Packed(list)))
    }

    /// Builds a set of elements in order whose members differ, choosing the encoding. `table` holds them all or none.
    pub(super) fn from_sorted(limits: Limits, elements: Vec<Element>, table: Table<Handle>) -> ZSet {
        let longest = elements.iter().map(|element| element.member().len()).max().unwrap_or(0);
        if !limits.allow(elements.len(), longest) {
            return ZSet(Encoding::Large(UnalignedBox::new(Large::from_sorted(&elements, table))));
        }
        let mut list = Listpack::new();
        for element in elements {
            packed::append(&mut list, element.member(), element.score());
            // SAFETY: the element was handed over; the table, which may hold it too, is dropped without looking at it.
            unsafe { element.free() };
        }
        ZSet(Encoding::Packed(list))
    }

    /// As [`crate::object::Collection::defragment`].
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        match &mut self.0 {
            Encoding::Packed(list) => {
                list.relocate(mover);
                0
            }
            Encoding::Large(large) => {
                if at == 0 {
                    large.relocate(mover);
                }
                large.defragment(mover, at, buckets_of(limit))
            }
        }
    }

    /// The name that OBJECT ENCODING shows.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Encoding::Packed(_) => "listpack",
            Encoding::Large(_) => "skiplist",
        }
    }

    /// The listpack, for those who write it as it is; `None` in the large encoding.
    pub fn packed(&self) -> Option<&Listpack> {
        match &self.0 {
            Encoding::Packed(list) => Some(list),
            Encoding::Large(_) => None,
        }
    }

    /// The table of its members, if it has one.
    pub fn element_table(&self) -> Option<&dyn Prefetch> {
        match &self.0 {
            Encoding::Packed(_) => None,
            Encoding::Large(large) => Some(large.table()),
        }
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Encoding::Packed(list) => packed::len(list),
            Encoding::Large(large) => large.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated for the set, its nodes counted by estimate.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Encoding::Packed(list) => list.allocated_bytes(),
            Encoding::Large(large) => large.memory_bytes(),
        }
    }

    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Encoding::Packed(list) => packed::find(list, member).map(|pair| pair.score()),
            Encoding::Large(large) => large.find(member).map(Element::score),
        }
    }

    /// Adds the member or changes its score, without conditions.
    pub fn add(&mut self, limits: Limits, member: &[u8], score: f64) -> Change {
        self.update(limits, member, score, Rules::default())
    }

    /// Adds `by` to the member's score, which starts at 0.
    pub fn increment(&mut self, limits: Limits, member: &[u8], by: f64) -> Change {
        self.update(limits, member, by, Rules { increment: true, ..Rules::default() })
    }

    /// Adds or changes a member as far as the rules allow it.
    pub fn update(&mut self, limits: Limits, member: &[u8], score: f64, rules: Rules) -> Change {
        match &mut self.0 {
            Encoding::Packed(list) => {
                if let Some(pair) = packed::find(list, member) {
                    let position = pair.position;
                    let change = decide(pair.score(), score, rules);
                    if let Change::Updated(score) = change {
                        packed::change_score(list, position, member, score);
                    }
                    return change;
                }
                if rules.only_present {
                    return Change::Skipped;
                }
                let fits = limits.allow(packed::len(list) + 1, member.len());
                if fits && list.can_grow_by(member.len() + ENTRY_BYTES_MAX) {
                    packed::insert(list, member, score);
                    return Change::Added(score);
                }
                self.unpack().insert(hash(member), member, score);
                Change::Added(score)
            }
            Encoding::Large(large) => {
                let hash = hash(member);
                if let Some(element) = large.find_hashed(hash, member) {
                    let change = decide(element.score(), score, rules);
                    if let Change::Updated(score) = change {
                        large.change_score(element, score);
                    }
                    return change;
                }
                if rules.only_present {
                    return Change::Skipped;
                }
                large.insert(hash, member, score);
                Change::Added(score)
            }
        }
    }

    /// Turns a packed set into a large one.
    fn unpack(&mut self) -> &mut Large {
        if let Encoding::Packed(list) = &self.0 {
            let elements: Vec<Element> =
                packed::pairs(list).map(|pair| Element::new(pair.score(), &pair.member.to_vec())).collect();
            self.0 = Encoding::Large(UnalignedBox::new(Large::from_sorted(&elements, Table::new())));
        }
        match &mut self.0 {
            Encoding::Large(large) => large,
            Encoding::Packed(_) => unreachable!("the set was unpacked above"),
        }
    }

    /// Removes the member; its score, if it was there.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Encoding::Packed(list) => {
                let pair = packed::find(list, member)?;
                let (position, score) = (pair.position, pair.score());
                packed::remove(list, position);
                Some(score)
            }
            Encoding::Large(large) => large.remove(member),
        }
    }

    /// The member's rank from the lowest (or, reversed, from the highest) and its score.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        let (rank, score) = match &self.0 {
            Encoding::Packed(list) => {
                let pair = packed::find(list, member)?;
                (packed::rank(list, pair.position), pair.score())
            }
            Encoding::Large(large) => {
                let element = large.find(member)?;
                (large.tree().rank(element)?, element.score())
            }
        };
        Some((if reverse { self.len() - 1 - rank } else { rank }, score))
    }

    /// The ranks of the members whose scores are in the range.
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        match &self.0 {
            Encoding::Packed(list) => packed::ranks_by_score(list, range),
            Encoding::Large(large) => {
                let start = large.tree().count_before(&range.start());
                start..large.tree().count_before(&range.end()).max(start)
            }
        }
    }

    /// The ranks of the members in the range, where all scores are equal. With different scores the answer depends on the
    /// encoding and the direction.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>, reverse: bool) -> Range<usize> {
        match &self.0 {
            Encoding::Packed(list) => packed::ranks_by_lex(list, range, reverse),
            Encoding::Large(large) => {
                let start = large.tree().count_before(&range.start());
                start..large.tree().count_before(&range.end()).max(start)
            }
        }
    }

    /// Calls with the members of the ranks and their scores, from the lowest up or, reversed, from the highest down.
    pub fn visit(&self, ranks: Range<usize>, reverse: bool, mut visit: impl FnMut(&[u8], f64)) {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match &self.0 {
            Encoding::Packed(list) => packed::visit(list, ranks, reverse, visit),
            Encoding::Large(large) => {
                let tree = large.tree();
                let mut each = |element: Element| visit(element.member(), element.score());
                if reverse {
                    tree.backward(tree.at(ranks.end), ranks.len()).for_each(&mut each);
                } else {
                    tree.forward(tree.at(ranks.start), ranks.len()).for_each(&mut each);
                }
            }
        }
    }

    /// Calls with every member in ascending order.
    pub fn visit_all(&self, visit: impl FnMut(&[u8], f64)) {
        self.visit(0..self.len(), false, visit);
    }

    /// Calls with every member in ascending order as long as the callback says to go on.
    pub fn visit_all_while(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        match &self.0 {
            Encoding::Packed(list) => {
                let mut buffer = [0; I64_TEXT_MAX_BYTES];
                let _ = packed::pairs(list).all(|pair| visit(pair.member.as_bytes(&mut buffer), pair.score()));
            }
            Encoding::Large(large) => {
                let _ = large.tree().iter().all(|element| visit(element.member(), element.score()));
            }
        }
    }

    /// Removes the members of the ranks, after calling with each of them in ascending order; returns how many there were.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, mut removed: impl FnMut(&[u8], f64)) -> usize {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match &mut self.0 {
            Encoding::Packed(list) => {
                packed::visit(list, ranks.clone(), false, &mut removed);
                packed::remove_ranks(list, ranks.clone());
                ranks.len()
            }
            Encoding::Large(large) => large.remove_ranks(ranks.start, ranks.len(), removed),
        }
    }

    /// Removes up to `count` members with the lowest (reversed: highest) scores; calls with the outermost first.
    pub fn pop(&mut self, count: usize, reverse: bool, mut popped: impl FnMut(&[u8], f64)) -> usize {
        let len = self.len();
        let count = count.min(len);
        if reverse {
            self.visit(len - count..len, true, &mut popped);
            self.remove_ranks(len - count..len, |_, _| ());
        } else {
            self.remove_ranks(0..count, popped);
        }
        if let Encoding::Large(large) = &self.0 {
            large.prefetch_outermost(reverse);
        }
        count
    }

    /// One step of a scan: calls with some members, returns the next cursor, 0 at the end. A small set is one step.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        match &self.0 {
            Encoding::Packed(_) => {
                self.visit_all(visit);
                0
            }
            Encoding::Large(large) => large.table().scan(cursor, |handle| {
                let element = handle.element();
                visit(element.member(), element.score());
            }),
        }
    }
}

impl Walkable for ZSet {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        let Encoding::Large(large) = &mut self.0 else { return false };
        let mut walk = Walk::new(visitor);
        walk.pass(Part::Fields);
        large.walk = Some(walk);
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.large_mut()?.walk.as_deref_mut().map(Walk::visitor)
    }

    fn take_bytes(&mut self) -> i64 {
        self.large_mut().and_then(|large| large.walk.as_deref_mut()).map_or(0, Walk::take_bytes)
    }

    fn step(&mut self) -> bool {
        self.large_mut().is_some_and(Large::step)
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        self.large_mut()?.walk.take().map(|walk| walk as Leftover)
    }
}

impl ZSet {
    fn large_mut(&mut self) -> Option<&mut Large> {
        match &mut self.0 {
            Encoding::Packed(_) => None,
            Encoding::Large(large) => Some(large),
        }
    }

    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        matches!(&self.0, Encoding::Large(large) if large.walk.is_some())
    }

    /// Whether a walk through it is possible.
    pub fn is_walkable(&self) -> bool {
        matches!(self.0, Encoding::Large(_))
    }
}

/// Room for the headers of a member and for a whole score entry.
const ENTRY_BYTES_MAX: usize = 64;

/// What an update does to a member that has the score `present`.
fn decide(present: f64, score: f64, rules: Rules) -> Change {
    if rules.only_new {
        return Change::Skipped;
    }
    let wanted = if rules.increment { present + score } else { score };
    if wanted.is_nan() {
        return Change::NotANumber;
    }
    if (rules.only_less && wanted >= present) || (rules.only_greater && wanted <= present) {
        return Change::Skipped;
    }
    if wanted == present {
        Change::Same(wanted)
    } else {
        Change::Updated(wanted)
    }
}

#[cfg(test)]
#[path = "tests/zset.rs"]
mod tests;
