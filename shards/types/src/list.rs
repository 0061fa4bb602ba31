//! Redis' list: a sequence of byte strings with cheap changes at both ends.
//!
//! A small list is one [`node::Node`], a block of listpack entries (`OBJECT ENCODING` says `listpack`); a larger one is
//! a deque of such blocks ([`quick::Quick`], `quicklist`). The setting `list-max-listpack-size` ([`NodeLimit`]) says
//! how large a block may get. Conversion follows Redis 7.2 and later: before an addition, counted by the bytes of all
//! values that one command adds; and back after a removal, when one block of at most half the limit is left.
//!
//! Every change takes the limit as an argument: the type knows no configuration.

mod frozen;
mod limit;
mod node;
mod quick;
mod remaining;
mod walk;
mod walking;

use super::listpack::{Encoded, Item, Listpack, Needle, HEADER_BYTES, STRING_OVERHEAD_MIN};
use super::unaligned_box::UnalignedBox;

use crate::mover::{nodes_of, Mover};
pub use limit::NodeLimit;
use node::Node;
pub use quick::Removed;
use quick::{Place, Quick};
pub use walk::Iter;

/// One end of a list; as a direction, towards that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

impl End {
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            End::Front => End::Back,
            End::Back => End::Front,
        }
    }
}

/// See the module's description.
#[derive(Clone)]
pub struct List(Form);

#[derive(Clone)]
enum Form {
    Packed(Node),
    Quick(UnalignedBox<Quick>),
}

/// A part of a list as it is dumped.
pub enum Part<'a> {
    /// A large element in a node of its own.
    Plain(&'a [u8]),
    Packed(PackedPart<'a>),
}

/// Elements that are dumped as one listpack.
pub struct PackedPart<'a>(&'a Node);

impl PackedPart<'_> {
    pub fn write_listpack(&self, output: &mut Vec<u8>) {
        self.0.write_listpack(output);
    }
}

impl List {
    /// An empty list. Commands delete the key of a list that becomes empty.
    pub fn new() -> Self {
        Self(Form::Packed(Node::with_room(0)))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(node) => node.count(),
            Form::Quick(quick) => quick.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding_name(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Quick(_) => "quicklist",
        }
    }

    /// As [`crate::object::Collection::defragment`].
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        match &mut self.0 {
            Form::Packed(node) => {
                node.relocate(mover);
                0
            }
            Form::Quick(quick) => {
                if at == 0 {
                    quick.relocate(mover);
                }
                quick.defragment(mover, at, nodes_of(limit))
            }
        }
    }

    /// Bytes asked of the allocator, estimated from `samples` nodes if that is not 0.
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Packed(node) => node.allocated_bytes(),
            Form::Quick(quick) => quick.allocated_bytes(samples),
        }
    }

    /// The nodes of a quicklist, and their bytes as listpacks; `None` for a list that is none.
    pub fn quick_sizes(&self) -> Option<(usize, usize)> {
        match &self.0 {
            Form::Packed(_) => None,
            Form::Quick(quick) => Some((quick.node_count(), quick.listpack_bytes())),
        }
    }

    /// How many allocations freeing it frees.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Quick(quick) => quick.node_count(),
        }
    }

    /// Converts to a quicklist if `count` more elements of `bytes` in all would exceed the limit of one listpack. The
    /// changing methods that take values call it themselves.
    #[inline]
    fn convert_for_growth(&mut self, bytes: usize, count: usize, limit: NodeLimit) {
        if let Form::Packed(node) = &mut self.0 {
            if limit.is_exceeded_by(node.listpack_bytes() + bytes, node.count() + count) {
                self.0 = Form::Quick(as_quick(node));
            }
        }
    }

    /// Converts back to a listpack if one node is left that is small enough.
    #[inline]
    fn convert_back(&mut self, shrinking: bool, limit: NodeLimit) {
        if let Form::Quick(quick) = &mut self.0 {
            // One that is being saved in slices stays as it is until the next change.
            if quick.node_count() != 1 || quick.walking.is_on() {
                return;
            }
            let place = quick.end_place(End::Front).expect("there is one node");
            if limit.allows_listpack(quick.node(place), shrinking) {
                self.0 = Form::Packed(quick.remove_node(place).0);
            }
        }
    }

    /// Adds one value at one end.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8], limit: NodeLimit) {
        self.convert_for_growth(value.len(), 1, limit);
        self.push_unconverted(end, value, limit);
    }

    /// Adds all values at one end, one after the other (at the front they end up in reverse).
    pub fn push_all<'a>(&mut self, end: End, values: impl Iterator<Item = &'a [u8]> + Clone, limit: NodeLimit) {
        let (mut bytes, mut count, mut only_strings) = (0, 0, true);
        for value in values.clone() {
            bytes += value.len();
            count += 1;
            only_strings &= !matches!(value, [b'-' | b'0'..=b'9', ..]);
        }
        self.convert_for_growth(bytes, count, limit);
        if let (Form::Packed(node), true) = (&mut self.0, only_strings) {
            // At once rather than value by value. What integers take is less, and not known yet.
            node.make_room(end, bytes + count * STRING_OVERHEAD_MIN);
        }
        for value in values {
            self.push_unconverted(end, value, limit);
        }
    }

    #[inline]
    fn push_unconverted(&mut self, end: End, value: &[u8], limit: NodeLimit) {
        self.before_change(|walk, _| walk.pushes(end));
        let encoded = Encoded::from(value);
        match &mut self.0 {
            Form::Packed(node) => node.push(end, &encoded),
            Form::Quick(quick) => quick.push(end, &encoded, value.len(), limit),
        }
    }

    /// The element at one end.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match &self.0 {
            Form::Packed(node) => (node.count() > 0).then(|| node.peek(end)),
            Form::Quick(quick) => quick.end_place(end).map(|place| quick.node(place).peek(end)),
        }
    }

    /// Removes the element at one end, which [`Self::peek`] shows; false if the list is empty.
    #[inline]
    pub fn pop(&mut self, end: End, limit: NodeLimit) -> bool {
        self.before_change(|walk, quick| walk.pops(quick, end));
        match &mut self.0 {
            Form::Packed(node) if node.count() == 0 => false,
            Form::Packed(node) => {
                node.pop(end);
                true
            }
            Form::Quick(quick) => {
                let Some(place) = quick.end_place(end) else { return false };
                if quick.node(place).count() == 1 {
                    quick.remove_node(place);
                } else {
                    quick.change(place, |node| node.pop(end));
                }
                self.convert_back(true, limit);
                true
            }
        }
    }

    /// Removes up to `count` elements at one end and gives them in the order in which they come off.
    pub fn take_from_end(&mut self, end: End, count: usize, limit: NodeLimit) -> Vec<Vec<u8>> {
        let length = self.len();
        let count = count.min(length);
        let first = if end == End::Front { 0 } else { length.saturating_sub(1) };
        let taken = self.iter_from(first, end.opposite()).take(count).map(|item| item.to_vec()).collect();
        let start = if end == End::Front { count } else { 0 };
        self.trim(start, length - count, limit);
        taken
    }

    /// Moves the element at `from` to the opposite end; nothing happens to an empty list. A quicklist is converted back only
    /// afterwards, as it does not get smaller.
    pub fn rotate(&mut self, from: End, limit: NodeLimit) {
        let Some(element) = self.peek(from).map(|item| item.to_vec()) else { return };
        if matches!(self.0, Form::Quick(_)) {
            self.push_unconverted(from.opposite(), &element, limit);
            self.pop(from, limit);
        } else {
            self.pop(from, limit);
            self.push(from.opposite(), &element, limit);
        }
    }

    /// The index from the front that `index`, negative from the back, stands for.
    fn resolve(&self, index: i64) -> Option<usize> {
        let length = self.len() as i64;
        let index = if index < 0 { index + length } else { index };
        (0..length).contains(&index).then_some(index as usize)
    }

    /// The element at `index`, counted from the back if negative.
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        let index = self.resolve(index)?;
        let (node, index) = match &self.0 {
            Form::Packed(node) => (node, index),
            Form::Quick(quick) => {
                let (place, index) = quick.locate(index)?;
                (quick.node(place), index)
            }
        };
        Some(node.item_at(node.offset_of(index)))
    }

    /// Replaces the element at `index`, counted from the back if negative; false if there is none.
    pub fn set(&mut self, index: i64, value: &[u8], limit: NodeLimit) -> bool {
        self.convert_for_growth(value.len(), 1, limit);
        let Some(index) = self.resolve(index) else { return false };
        self.before_change(|walk, quick| walk.replaces(quick, index));
        let encoded = Encoded::from(value);
        match &mut self.0 {
            Form::Packed(node) => node.replace(node.offset_of(index), &encoded),
            Form::Quick(quick) => {
                let (place, index) = quick.locate(index).expect("the index was resolved");
                quick.replace(place, index, &encoded, value.len(), limit);
            }
        }
        self.convert_back(true, limit);
        true
    }

    /// Inserts `value` next to the first element equal to `pivot`, on the side of `end`; false if there is none.
    pub fn insert(&mut self, end: End, pivot: &[u8], value: &[u8], limit: NodeLimit) -> bool {
        self.convert_for_growth(value.len(), 1, limit);
        let needle = Needle::new(pivot);
        let Some(found) = self.iter().position(|item| item.equals(&needle)) else { return false };
        let encoded = Encoded::from(value);
        let after = usize::from(end == End::Back);
        self.before_change(|walk, quick| walk.inserts(quick, found + after));
        match &mut self.0 {
            Form::Packed(node) => node.insert(node.offset_of(found + after), &encoded),
            Form::Quick(quick) => {
                let (place, index) = quick.locate(found).expect("just found");
                quick.insert(place, index + after, &encoded, value.len(), limit);
            }
        }
        true
    }

    /// Removes up to `count` elements equal to `value` (0: all), the first ones if `from` is the front; returns how
    /// many.
    pub fn remove(&mut self, from: End, value: &[u8], count: usize, limit: NodeLimit) -> usize {
        let count = if count == 0 { usize::MAX } else { count };
        let needle = Needle::new(value);
        self.before_removing(from, value, count);
        let removed = match &mut self.0 {
            Form::Packed(node) => node.remove_matches(&needle, count, from),
            Form::Quick(quick) => remove_from_nodes(quick, &needle, count, from, limit),
        };
        self.convert_back(true, limit);
        removed
    }

    /// Keeps the `count` elements from `start` on. What was removed is returned, to be dropped here or, if it is large,
    /// elsewhere.
    pub fn trim(&mut self, start: usize, count: usize, limit: NodeLimit) -> Removed {
        let length = self.len();
        let start = start.min(length);
        let end = start.saturating_add(count).min(length);
        let mut removed = Removed::default();
        match &mut self.0 {
            Form::Packed(node) => {
                let (from, to) = (node.offset_of(start), node.offset_of(end));
                node.remove(to, node.used(), length - end);
                node.remove(0, from, start);
            }
            Form::Quick(quick) if quick.walking.is_on() => {
                walking::drop_elements(quick, start, length - end, &mut removed);
            }
            Form::Quick(quick) => {
                quick.drop_elements(End::Back, length - end, &mut removed);
                quick.drop_elements(End::Front, start, &mut removed);
            }
        }
        self.convert_back(true, limit);
        removed
    }

    /// All elements from the front.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0, End::Back)
    }

    /// The elements from `index` on towards `direction`; none if there is no such index.
    pub fn iter_from(&self, index: usize, direction: End) -> Iter<'_> {
        Iter::new(self, index, direction)
    }

    /// LPOS: the indices of the elements equal to `value`, passing over the first `skipped` matches, at most `count`
    /// (0: all), comparing at most `compared` elements (0: all); from the back if `from` is the back.
    pub fn positions(&self, value: &[u8], from: End, skipped: usize, count: usize, compared: usize) -> Vec<usize> {
        let unlimited = |limit| if limit == 0 { usize::MAX } else { limit };
        let length = self.len();
        let start = if from == End::Front { 0 } else { length.saturating_sub(1) };
        let needle = Needle::new(value);
        let steps = self.iter_from(start, from.opposite()).take(unlimited(compared)).enumerate();
        let matches = steps.filter(|(_, item)| item.equals(&needle)).skip(skipped).take(unlimited(count));
        matches.map(|(step, _)| if from == End::Front { step } else { length - 1 - step }).collect()
    }

    /// The list as the parts in which it is dumped and saved.
    pub fn parts(&self, limit: NodeLimit) -> impl Iterator<Item = Part<'_>> {
        let mut next = self.first_node();
        std::iter::from_fn(move || {
            let (node, place) = next?;
            next = self.node_after(place);
            Some(match node.first() {
                Item::Str(bytes) if node.count() == 1 && limit.is_plain(bytes.len()) => Part::Plain(bytes),
                _ => Part::Packed(PackedPart(node)),
            })
        })
    }

    fn quick_mut(&mut self) -> Option<&mut Quick> {
        match &mut self.0 {
            Form::Packed(_) => None,
            Form::Quick(quick) => Some(quick),
        }
    }

    fn first_node(&self) -> Option<(&Node, Option<Place>)> {
        match &self.0 {
            Form::Packed(node) => (node.count() > 0).then_some((node, None)),
            Form::Quick(quick) => quick.end_place(End::Front).map(|place| (quick.node(place), Some(place))),
        }
    }

    fn node_after(&self, place: Option<Place>) -> Option<(&Node, Option<Place>)> {
        let Form::Quick(quick) = &self.0 else { return None };
        let place = quick.neighbour(place?, End::Back)?;
        Some((quick.node(place), Some(place)))
    }

    /// Adds a listpack from a dump to the back as it is, as a node. Call [`Self::finish_loading`] after the last part.
    pub fn load_listpack(&mut self, listpack: &Listpack) {
        if listpack.is_empty() {
            return;
        }
        let bytes = listpack.as_bytes();
        let node = Node::from_entries(&bytes[HEADER_BYTES..bytes.len() - 1], listpack.len());
        self.quick_for_loading().push_node(End::Back, node);
    }

    /// Adds a large element from a dump to the back, in a node of its own.
    pub fn load_plain(&mut self, value: &[u8]) {
        let encoded = Encoded::from(value);
        let mut node = Node::with_room(encoded.len_bytes());
        node.push_back(&encoded);
        self.quick_for_loading().push_node(End::Back, node);
    }

    fn quick_for_loading(&mut self) -> &mut Quick {
        if let Form::Packed(node) = &mut self.0 {
            let mut quick = UnalignedBox::<Quick>::default();
            if node.count() > 0 {
                quick.push_node(End::Back, std::mem::replace(node, Node::with_room(0)));
            }
            self.0 = Form::Quick(quick);
        }
        match &mut self.0 {
            Form::Quick(quick) => quick,
            Form::Packed(_) => unreachable!("just converted"),
        }
    }

    /// Chooses the encoding of a loaded list.
    pub fn finish_loading(&mut self, limit: NodeLimit) {
        self.convert_back(false, limit);
    }
}

/// A long list of what is in a node, which is empty then.
#[cold]
fn as_quick(node: &mut Node) -> UnalignedBox<Quick> {
    let mut quick = UnalignedBox::<Quick>::default();
    if node.count() > 0 {
        node.seal();
        quick.push_node(End::Back, std::mem::replace(node, Node::with_room(0)));
    }
    quick
}

fn remove_from_nodes(quick: &mut Quick, needle: &Needle<'_>, count: usize, from: End, limit: NodeLimit) -> usize {
    let mut removed = 0;
    let mut next = quick.end_place(from);
    while let Some(place) = next.filter(|_| removed < count) {
        let in_node = quick.change(place, |node| node.remove_matches(needle, count - removed, from));
        removed += in_node;
        next = match (in_node, from) {
            (0, _) => quick.neighbour(place, from.opposite()),
            (_, End::Front) => advance_tidied(quick, place, limit),
            (_, End::Back) => retreat_tidied(quick, place, limit),
        };
    }
    removed
}

/// Joins the changed node at `place` with the one before it, if they are small; returns the node after it.
fn advance_tidied(quick: &mut Quick, place: Place, limit: NodeLimit) -> Option<Place> {
    match quick.tidy(place, limit) {
        Some(place) => quick.neighbour(place, End::Back),
        // Nothing is left at or before the node: the rest starts at the front.
        None => quick.end_place(End::Front),
    }
}

/// Joins the changed node at `place` with the one after it, if they are small; returns the node before it, whose place
/// does not change thereby.
fn retreat_tidied(quick: &mut Quick, place: Place, limit: NodeLimit) -> Option<Place> {
    let previous = quick.neighbour(place, End::Front);
    if quick.node(place).count() == 0 {
        quick.remove_node(place);
    } else if let Some(following) = quick.neighbour(place, End::Back) {
        quick.tidy(following, limit);
    }
    previous
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "tests/list.rs"]
mod tests;
