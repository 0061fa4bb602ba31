//! Saving a group in slices while it changes: its parts are visited in their order, as they were when the walk began.
//!
//! The group's pending entries and the ids of each consumer are walked by id, one after the other; each of these walks keeps
//! what was there under an id, or that nothing was, when that first changes ahead of it. A consumer that is deleted is kept
//! as it is. So what comes in the middle of a walk costs a few bytes for each entry that it concerns.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use sherd_metrics::memory::{size_class, thread_bytes};

use super::{Consumer, Group, Pending, NOBODY};
use crate::btree_bytes::btree_bytes;
use crate::stream::id::StreamId;
use crate::walk::{ConsumerHead, GroupHead, PendingPart, StreamPart, Visitor};

/// Pending entries, or ids, that one step visits.
const ENTRIES_A_STEP: usize = 64;

/// Bytes that were allocated for a walk; see [`crate::walk::Walkable::take_bytes`].
pub(in crate::stream) type Bytes = Arc<AtomicI64>;

/// What there was by id, where that has changed ahead of a walk.
type Old<T> = BTreeMap<StreamId, Option<T>>;

/// See the [module](self).
#[derive(Debug)]
pub(in crate::stream) struct Walk {
    stage: Stage,
    last_id: StreamId,
    entries_read: Option<u64>,
    pending: usize,
    consumers: usize,
    unowned: usize,
    /// The first consumer's name.
    adopter: Option<Box<[u8]>>,
    old: Old<Pending>,
    /// Consumers that have changed or come, by their numbers.
    members: BTreeMap<u32, Member>,
    /// Consumers that were deleted, by the numbers that they had, and those numbers by name.
    gone: BTreeMap<u32, (Consumer, Kept)>,
    gone_names: BTreeMap<Box<[u8]>, u32>,
    /// Consumers up to this name were visited.
    passed: Option<Box<[u8]>>,
    /// The pending entries that nobody owned, as they were visited.
    adopted: Vec<StreamId>,
    bytes: Bytes,
}

/// What is to be visited next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Head,
    /// Pending entries from this id on.
    Pending(StreamId),
    Consumers,
    /// The ids of the consumer with this number.
    Owned(u32),
    /// From this one on, what the first consumer takes besides.
    Adopted(usize),
}

#[derive(Debug)]
enum Member {
    /// It came after the walk had begun.
    New,
    Old(Kept),
}

/// What a consumer was.
#[derive(Debug)]
struct Kept {
    seen_ms: i64,
    active_ms: Option<i64>,
    owned: usize,
    /// Ids before this one were visited.
    next: StreamId,
    old: Old<()>,
}

/// Where a group keeps its walk. A copy of the group has none.
#[derive(Debug, Default)]
pub(in crate::stream) struct Walking(Option<Box<Walk>>);

impl Clone for Walking {
    fn clone(&self) -> Self {
        Walking(None)
    }
}

impl Kept {
    fn of(consumer: &Consumer) -> Kept {
        Kept {
            seen_ms: consumer.seen_ms,
            active_ms: consumer.active_ms,
            owned: consumer.pending.len(),
            next: StreamId::MIN,
            old: Old::new(),
        }
    }
}

/// Visits up to [`ENTRIES_A_STEP`] of what there was, which is what there is but for what is in `old`; where to go on.
fn visit_as_before<T>(
    now: impl Iterator<Item = (StreamId, T)>,
    old: &mut Old<T>,
    mut visit: impl FnMut(StreamId, T),
) -> Option<StreamId> {
    let mut now = now.peekable();
    let mut next = None;
    for _ in 0..ENTRIES_A_STEP {
        let (first, kept) = (now.peek().map(|&(id, _)| id), old.first_key_value().map(|(&id, _)| id));
        let id = first.into_iter().chain(kept).min()?;
        let is = now.next_if(|&(other, _)| other == id).map(|(_, value)| value);
        if let Some(was) = old.remove(&id).unwrap_or(is) {
            visit(id, was);
        }
        // Nothing is behind the last id that there can be.
        next = Some(id.next()?);
    }
    next
}

impl Walk {
    fn new(group: &Group, bytes: &Bytes) -> Walk {
        Walk {
            stage: Stage::Head,
            last_id: group.last_id,
            entries_read: group.entries_read,
            pending: group.saved_pending_count(),
            consumers: group.names.len(),
            unowned: group.unowned,
            adopter: group.adopter().map(Box::from),
            old: Old::new(),
            members: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_names: BTreeMap::new(),
            passed: None,
            adopted: Vec::new(),
            bytes: Arc::clone(bytes),
        }
    }

    /// Whether there is much in it to be freed.
    pub fn holds_much(&self) -> bool {
        !self.gone.is_empty() || !self.adopted.is_empty()
    }

    // ----- what the group is about to do -----

    fn has_passed(&self, name: &[u8]) -> bool {
        self.passed.as_deref().is_some_and(|passed| name <= passed)
    }

    fn keep_pending(&mut self, id: StreamId, was: Option<Pending>) {
        let is_ahead = match self.stage {
            Stage::Head => true,
            Stage::Pending(next) => id >= next,
            _ => false,
        };
        if is_ahead {
            self.old.entry(id).or_insert(was);
        }
    }

    /// What a consumer was, if it was there and the walk has not passed it.
    fn kept(&mut self, number: u32, consumer: &Consumer) -> Option<&mut Kept> {
        if self.has_passed(&consumer.name) {
            return None;
        }
        match self.members.entry(number).or_insert_with(|| Member::Old(Kept::of(consumer))) {
            Member::New => None,
            Member::Old(kept) => Some(kept),
        }
    }

    fn keep_owned(&mut self, group: &Group, number: u32, id: StreamId, was: Option<()>) {
        let consumer = group.consumers[number as usize].as_ref();
        let kept = consumer.and_then(|consumer| self.kept(number, consumer));
        if let Some(kept) = kept.filter(|kept| id >= kept.next) {
            kept.old.entry(id).or_insert(was);
        }
    }

    /// An entry becomes another consumer's, nobody's ([`NOBODY`]), or is pending no more.
    fn assigns(&mut self, group: &Group, id: StreamId, owner: u32) {
        let was = group.pending.get(&id).copied();
        self.keep_pending(id, was);
        let before = was.map_or(NOBODY, |was| was.consumer);
        if before != owner {
            if before != NOBODY {
                self.keep_owned(group, before, id, Some(()));
            }
            if owner != NOBODY {
                self.keep_owned(group, owner, id, None);
            }
        }
    }

    fn adds_consumer(&mut self, number: u32, name: &[u8]) {
        if !self.has_passed(name) {
            self.members.insert(number, Member::New);
        }
    }

    /// A consumer is deleted whose pending entries have gone already; one that is not to be visited is returned.
    fn deletes_consumer(&mut self, number: u32, consumer: Consumer) -> Option<Consumer> {
        let kept = match self.members.remove(&number) {
            Some(Member::New) => return Some(consumer),
            _ if self.has_passed(&consumer.name) => return Some(consumer),
            Some(Member::Old(kept)) => kept,
            None => Kept::of(&consumer),
        };
        // It is freed with the walk, not by the group.
        let own = size_class(consumer.name.len()) + btree_bytes::<StreamId, ()>(consumer.pending.len());
        self.bytes.fetch_add(own as i64, Ordering::Relaxed);
        self.gone_names.insert(consumer.name.clone(), number);
        self.gone.insert(number, (consumer, kept));
        None
    }

    // ----- steps -----

    /// Visits a few parts more; false when there is none.
    pub fn step(&mut self, group: &Group, name: &[u8], visitor: &mut dyn Visitor) -> bool {
        match self.stage {
            Stage::Head => {
                visitor.visit_part(&StreamPart::Group(GroupHead {
                    name,
                    last_id: self.last_id.to_bytes(),
                    entries_read: self.entries_read,
                    pending: self.pending,
                }));
                self.stage = Stage::Pending(StreamId::MIN);
            }
            Stage::Pending(next) => {
                let next = self.visit_pending(group, next, visitor);
                if next.is_none() {
                    visitor.visit_part(&StreamPart::Consumers(self.consumers));
                }
                self.stage = next.map_or(Stage::Consumers, Stage::Pending);
            }
            Stage::Consumers => return self.next_consumer(group, visitor),
            Stage::Owned(number) => self.visit_owned(group, number, visitor),
            Stage::Adopted(at) => {
                let ids = self.adopted.iter().skip(at).take(ENTRIES_A_STEP);
                ids.for_each(|&id| visitor.visit_part(&StreamPart::Owned(id.to_bytes())));
                let end = at + ENTRIES_A_STEP;
                self.stage = if end < self.adopted.len() { Stage::Adopted(end) } else { Stage::Consumers };
            }
        }
        true
    }

    fn visit_pending(&mut self, group: &Group, next: StreamId, visitor: &mut dyn Visitor) -> Option<StreamId> {
        let Walk { old, gone, adopter, adopted, .. } = self;
        let now = group.pending.range(next..).map(|(&id, &pending)| (id, pending));
        visit_as_before(now, old, |id, pending| {
            let owner = match (pending.consumer, gone.get(&pending.consumer)) {
                (NOBODY, _) => match adopter.as_deref() {
                    Some(adopter) => {
                        adopted.push(id);
                        adopter
                    }
                    None => return,
                },
                (_, Some((consumer, _))) => &consumer.name,
                (number, None) => group.name_of(number),
            };
            let (delivered_ms, delivery_count) = (pending.delivered_ms(), pending.delivery_count);
            visitor.visit_part(&StreamPart::Pending(PendingPart {
                id: id.to_bytes(),
                delivered_ms,
                delivery_count,
                owner,
            }));
        })
    }

    /// Visits the next consumer's head; false if there is none.
    fn next_consumer(&mut self, group: &Group, visitor: &mut dyn Visitor) -> bool {
        let from = self.passed.as_deref().map_or(Unbounded, Excluded);
        let now = group.names.range::<[u8], _>((from, Unbounded)).next();
        let gone = self.gone_names.first_key_value();
        let (name, number) = match (now, gone) {
            // A new one may have the name of one that has gone.
            (Some(now), Some(gone)) => now.min(gone),
            (Some(next), None) | (None, Some(next)) => next,
            (None, None) => return false,
        };
        let (name, number) = (name.clone(), *number);
        let is_gone = self.gone_names.contains_key(&name);
        let number = if is_gone { self.gone_names[&name] } else { number };
        if !is_gone {
            let Some(consumer) = group.consumers[number as usize].as_ref() else { return false };
            if self.kept(number, consumer).is_none() {
                self.pass(group, name);
                return true;
            }
        }
        let kept = match (self.gone.get(&number), self.members.get(&number)) {
            (Some((_, kept)), _) | (None, Some(Member::Old(kept))) => kept,
            _ => return false,
        };
        let adopted = if self.adopter.as_deref() == Some(&*name) { self.unowned } else { 0 };
        visitor.visit_part(&StreamPart::Consumer(ConsumerHead {
            name: &name,
            seen_ms: kept.seen_ms,
            active_ms: kept.active_ms,
            owned: kept.owned + adopted,
        }));
        self.stage = Stage::Owned(number);
        true
    }

    fn visit_owned(&mut self, group: &Group, number: u32, visitor: &mut dyn Visitor) {
        let (consumer, kept) = match (self.gone.get_mut(&number), self.members.get_mut(&number)) {
            (Some((consumer, kept)), _) => (Some(&*consumer), Some(kept)),
            (None, Some(Member::Old(kept))) => (group.consumers[number as usize].as_ref(), Some(kept)),
            _ => (None, None),
        };
        // Else more ids were told of than come, which the visitor sees.
        let (Some(consumer), Some(kept)) = (consumer, kept) else { return self.stage = Stage::Consumers };
        let now = consumer.pending.range(kept.next..).map(|&id| (id, ()));
        if let Some(next) =
            visit_as_before(now, &mut kept.old, |id, ()| visitor.visit_part(&StreamPart::Owned(id.to_bytes())))
        {
            kept.next = next;
            return;
        }
        let name = consumer.name.clone();
        let adopts = self.adopter.as_deref() == Some(&*name) && !self.adopted.is_empty();
        self.pass(group, name);
        self.stage = if adopts { Stage::Adopted(0) } else { Stage::Consumers };
    }

    /// Everything about consumers up to this name was visited.
    fn pass(&mut self, group: &Group, name: Box<[u8]>) {
        self.gone_names.remove(&name);
        if let Some(number) = group.names.get(&name) {
            self.members.remove(number);
        }
        self.passed = Some(name);
    }
}

impl Walking {
    /// Begins a walk, if none is going on.
    pub fn enter(group: &mut Group, bytes: &Bytes) {
        if group.walking.0.is_none() {
            group.walking.0 = Some(Box::new(Walk::new(group, bytes)));
        }
    }

    /// The walk, which goes on only when it is put back.
    pub fn take(&mut self) -> Option<Box<Walk>> {
        self.0.take()
    }

    pub fn put_back(&mut self, walk: Box<Walk>) {
        self.0 = Some(walk);
    }
}

impl Group {
    /// Calls with the walk that is going on, if one is, and the group as it is.
    #[inline]
    fn before(&mut self, note: impl FnOnce(&mut Walk, &Group)) {
        if self.walking.0.is_some() {
            self.note(note);
        }
    }

    #[cold]
    fn note<R>(&mut self, note: impl FnOnce(&mut Walk, &Group) -> R) -> Option<R> {
        let mut walk = self.walking.0.take()?;
        let before = thread_bytes();
        let result = note(&mut walk, self);
        walk.bytes.fetch_add(thread_bytes() - before, Ordering::Relaxed);
        self.walking.0 = Some(walk);
        Some(result)
    }

    /// An entry is about to become a consumer's.
    #[inline]
    pub(super) fn before_assigning(&mut self, id: StreamId, owner: u32) {
        self.before(|walk, group| walk.assigns(group, id, owner));
    }

    /// An entry is about to lose its owner.
    #[inline]
    pub(super) fn before_release(&mut self, id: StreamId) {
        self.before(|walk, group| walk.assigns(group, id, NOBODY));
    }

    /// An entry is about to be pending no more, if it is.
    #[inline]
    pub(super) fn before_acknowledging(&mut self, id: StreamId) {
        self.before(|walk, group| {
            if group.pending.contains_key(&id) {
                walk.assigns(group, id, NOBODY);
            }
        });
    }

    /// A consumer's times are about to change.
    #[inline]
    pub(super) fn before_consumer_changes(&mut self, number: u32) {
        self.before(|walk, group| {
            if let Some(consumer) = &group.consumers[number as usize] {
                walk.kept(number, consumer);
            }
        });
    }

    /// A consumer comes.
    #[inline]
    pub(super) fn before_adding_consumer(&mut self, number: u32, name: &[u8]) {
        self.before(|walk, _| walk.adds_consumer(number, name));
    }

    /// A consumer was deleted, and what was pending for it.
    #[inline]
    pub(super) fn after_deleting_consumer(&mut self, number: u32, consumer: Consumer) {
        if self.walking.0.is_some() {
            self.note(|walk, _| walk.deletes_consumer(number, consumer));
        }
    }

    /// An entry that was pending for a consumer is about to go with that.
    #[inline]
    pub(super) fn before_deletion(&mut self, id: StreamId) {
        self.before(|walk, group| walk.keep_pending(id, group.pending.get(&id).copied()));
    }
}
