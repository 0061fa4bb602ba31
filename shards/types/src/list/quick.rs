//! A long list: nodes in chunks of at most 128, the chunks in a deque.
//!
//! Two levels keep every step small. Finding an element of a list of five million passes over some hundred chunk
//! counts, at most 128 node counts and one node's entries; inserting a node in the middle moves at most 128 pointers
//! and the short chunk directory; growth copies a chunk or the directory, never the elements. Linked nodes would make
//! the search a walk over cold memory; one flat deque of nodes would copy megabytes when it grows, if the elements are
//! large.

use std::collections::VecDeque;

use super::limit::NodeLimit;
use super::node::Node;
use super::remaining::Walking;
use super::{Encoded, End, Item};
use crate::listpack::read_with_next;
use crate::mover::Mover;

const CHUNK_NODES: usize = 128;

#[derive(Clone, Default)]
struct Chunk {
    nodes: VecDeque<Node>,
    /// Elements in all its nodes.
    len: usize,
}

/// Which node: its chunk, and its place in the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    chunk: usize,
    node: usize,
}

/// See the [module](self). No node and no chunk is empty.
#[derive(Clone, Default)]
pub struct Quick {
    chunks: VecDeque<Chunk>,
    len: usize,
    node_count: usize,
    /// While the list is saved in slices.
    pub(super) walking: Walking,
}

/// What [`Quick::drop_elements`] took out: whole nodes, to be freed where it does not disturb.
#[derive(Default)]
pub struct Removed {
    chunks: Vec<Chunk>,
    nodes: Vec<Node>,
}

impl Removed {
    /// Adds a node, if there is one.
    pub(super) fn add(&mut self, node: Option<Node>) {
        self.nodes.extend(node);
    }

    /// How many nodes there are to free.
    pub fn node_count(&self) -> usize {
        self.nodes.len() + self.chunks.iter().map(|chunk| chunk.nodes.len()).sum::<usize>()
    }
}

impl Quick {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn node_count(&self) -> usize {
        self.node_count
    }

    /// Moves nodes of one chunk that are to be moved, up to `limit` from place `at` on, which is counted as if all chunks
    /// were full; where to go on, 0 at the end.
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        let (index, first) = (at / CHUNK_NODES, at % CHUNK_NODES);
        let Some(chunk) = self.chunks.get_mut(index) else { return 0 };
        let end = (first + limit).min(chunk.nodes.len());
        chunk.nodes.iter_mut().take(end).skip(first).for_each(|node| node.relocate(mover));
        if end < chunk.nodes.len() {
            index * CHUNK_NODES + end
        } else if index + 1 < self.chunks.len() {
            (index + 1) * CHUNK_NODES
        } else {
            0
        }
    }

    /// Bytes of all nodes as listpacks.
    pub fn listpack_bytes(&self) -> usize {
        self.chunks.iter().flat_map(|chunk| &chunk.nodes).map(Node::listpack_bytes).sum()
    }

    /// The place of the first or last node.
    #[inline]
    pub fn end_place(&self, end: End) -> Option<Place> {
        match end {
            End::Front => (!self.chunks.is_empty()).then_some(Place { chunk: 0, node: 0 }),
            End::Back => {
                let chunk = self.chunks.len().checked_sub(1)?;
                Some(Place { chunk, node: self.chunks[chunk].nodes.len() - 1 })
            }
        }
    }

    #[inline]
    pub fn node(&self, place: Place) -> &Node {
        &self.chunks[place.chunk].nodes[place.node]
    }

    /// The neighbour of `place` towards `end`.
    #[inline]
    pub fn neighbour(&self, place: Place, end: End) -> Option<Place> {
        let Place { chunk, node } = place;
        match end {
            End::Back if node + 1 < self.chunks[chunk].nodes.len() => Some(Place { chunk, node: node + 1 }),
            End::Back => (chunk + 1 < self.chunks.len()).then_some(Place { chunk: chunk + 1, node: 0 }),
            End::Front if node > 0 => Some(Place { chunk, node: node - 1 }),
            End::Front => {
                let chunk = chunk.checked_sub(1)?;
                Some(Place { chunk, node: self.chunks[chunk].nodes.len() - 1 })
            }
        }
    }

    /// The node of element `index` and the element's index in it; from the nearer end.
    pub fn locate(&self, index: usize) -> Option<(Place, usize)> {
        if index >= self.len {
            return None;
        }
        let (mut chunk, mut start);
        if index < self.len / 2 {
            (chunk, start) = (0, 0);
            while start + self.chunks[chunk].len <= index {
                start += self.chunks[chunk].len;
                chunk += 1;
            }
        } else {
            (chunk, start) = (self.chunks.len() - 1, self.len - self.chunks[self.chunks.len() - 1].len);
            while start > index {
                chunk -= 1;
                start -= self.chunks[chunk].len;
            }
        }
        let nodes = &self.chunks[chunk].nodes;
        let mut node = 0;
        while start + nodes[node].count() <= index {
            start += nodes[node].count();
            node += 1;
        }
        Some((Place { chunk, node }, index - start))
    }

    /// Calls with up to so many elements from an index on.
    pub fn visit(&self, index: usize, count: usize, mut visit: impl FnMut(Item<'_>)) {
        let Some((first, in_node)) = self.locate(index) else { return };
        let (mut place, mut left) = (Some(first), count);
        let mut offset = self.node(first).offset_of(in_node);
        while let Some(here) = place.filter(|_| left > 0) {
            let entries = self.node(here).entries();
            while left > 0 && offset < entries.len() {
                let (item, next) = read_with_next(entries, offset);
                visit(item);
                offset = next;
                left -= 1;
            }
            (place, offset) = (self.neighbour(here, End::Back), 0);
        }
    }

    /// Changes a node and keeps the counts; the node may be left empty only to be removed at once.
    #[inline]
    pub fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let chunk = &mut self.chunks[place.chunk];
        let node = &mut chunk.nodes[place.node];
        let before = node.count();
        let result = change(node);
        let after = node.count();
        chunk.len = chunk.len + after - before;
        self.len = self.len + after - before;
        result
    }

    /// Adds a node at one end.
    pub fn push_node(&mut self, end: End, node: Node) {
        let last = self.end_place(end);
        if last.is_none_or(|place| self.chunks[place.chunk].nodes.len() >= CHUNK_NODES) {
            match end {
                End::Front => self.chunks.push_front(Chunk::default()),
                End::Back => self.chunks.push_back(Chunk::default()),
            }
        }
        self.len += node.count();
        self.node_count += 1;
        let (chunk, push): (_, fn(&mut VecDeque<Node>, Node)) = match end {
            End::Front => (self.chunks.front_mut(), VecDeque::push_front),
            End::Back => (self.chunks.back_mut(), VecDeque::push_back),
        };
        let chunk = chunk.expect("a chunk was made if there was none");
        chunk.len += node.count();
        push(&mut chunk.nodes, node);
    }

    /// Inserts a node after `place`; returns its place. A full chunk is cut in two first, which changes the places of its
    /// nodes, `place` too.
    pub fn insert_node_after(&mut self, place: Place, node: Node) -> Place {
        let mut target = Place { chunk: place.chunk, node: place.node + 1 };
        if self.chunks[target.chunk].nodes.len() >= CHUNK_NODES {
            let half = CHUNK_NODES / 2;
            let nodes = self.chunks[target.chunk].nodes.split_off(half);
            let len = nodes.iter().map(Node::count).sum();
            self.chunks[target.chunk].len -= len;
            self.chunks.insert(target.chunk + 1, Chunk { nodes, len });
            if target.node > half {
                target = Place { chunk: target.chunk + 1, node: target.node - half };
            }
        }
        self.len += node.count();
        self.node_count += 1;
        let chunk = &mut self.chunks[target.chunk];
        chunk.len += node.count();
        chunk.nodes.insert(target.node, node);
        target
    }

    /// Takes a node out; returns the place of the one that followed it.
    pub fn remove_node(&mut self, place: Place) -> (Node, Option<Place>) {
        let chunk = &mut self.chunks[place.chunk];
        let node = chunk.nodes.remove(place.node).expect("a place names a node");
        chunk.len -= node.count();
        self.len -= node.count();
        self.node_count -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(place.chunk);
            return (node, (place.chunk < self.chunks.len()).then_some(Place { chunk: place.chunk, node: 0 }));
        }
        self.join_small_chunks(place.chunk);
        if place.node < self.chunks[place.chunk].nodes.len() {
            return (node, Some(place));
        }
        (node, (place.chunk + 1 < self.chunks.len()).then_some(Place { chunk: place.chunk + 1, node: 0 }))
    }

    /// Appends the following chunk to this one if both are small, so that removals do not leave a long directory.
    fn join_small_chunks(&mut self, chunk: usize) {
        let next_is_small = self.chunks.get(chunk + 1).is_some_and(|next| next.nodes.len() <= CHUNK_NODES / 2);
        if self.chunks[chunk].nodes.len() <= CHUNK_NODES / 8 && next_is_small {
            if let Some(mut next) = self.chunks.remove(chunk + 1) {
                self.chunks[chunk].nodes.append(&mut next.nodes);
                self.chunks[chunk].len += next.len;
            }
        }
    }

    /// Removes `count` elements (at most all) from one end; whole nodes go to `removed`.
    pub fn drop_elements(&mut self, end: End, mut count: usize, removed: &mut Removed) {
        while let Some(place) = self.end_place(end).filter(|_| count > 0) {
            let chunk = &self.chunks[place.chunk];
            if chunk.len <= count {
                self.len -= chunk.len;
                self.node_count -= chunk.nodes.len();
                count -= chunk.len;
                let chunk = if end == End::Front { self.chunks.pop_front() } else { self.chunks.pop_back() };
                removed.chunks.extend(chunk);
                continue;
            }
            let elements = self.node(place).count();
            if elements <= count {
                removed.nodes.push(self.remove_node(place).0);
                count -= elements;
                continue;
            }
            self.change(place, |node| {
                let cut = if end == End::Front { count } else { elements - count };
                let offset = node.offset_of(cut);
                let (from, to) = if end == End::Front { (0, offset) } else { (offset, node.used()) };
                node.remove(from, to, count);
            });
            count = 0;
        }
    }

    /// Adds an element at one end.
    pub fn push(&mut self, end: End, value: &Encoded<'_>, length: usize, limit: NodeLimit) {
        if let Some(place) = self.end_place(end) {
            if limit.admits(self.node(place), length) {
                self.change(place, |node| {
                    node.make_room_to_fill(end, value.len_bytes(), limit.fill_bytes());
                    node.push(end, value);
                });
                return;
            }
            self.change(place, Node::seal);
        }
        let room = if limit.is_plain(length) { 0 } else { limit.fresh_room() };
        let mut node = Node::with_room(value.len_bytes().max(room));
        node.push(end, value);
        self.push_node(end, node);
    }

    /// Inserts an element so that it becomes number `index` (0 to the node's count) of the node at `place`.
    pub fn insert(&mut self, place: Place, index: usize, value: &Encoded<'_>, length: usize, limit: NodeLimit) {
        let offset = self.node(place).offset_of(index);
        if limit.admits(self.node(place), length) {
            return self.change(place, |node| node.insert(offset, value));
        }
        let before = if index == 0 {
            self.neighbour(place, End::Front)
        } else if index == self.node(place).count() {
            Some(place)
        } else {
            let rest = self.change(place, |node| node.split_off(index, offset));
            // Cutting a full chunk in two moves the first part as well: find it from the second.
            let rest = self.insert_node_after(place, rest);
            self.neighbour(rest, End::Front)
        };
        self.insert_between(before, value, length, limit);
    }

    /// Inserts an element between the node at `before` (none: the front of the list) and the following one: into either
    /// if it has room, else into a node of its own.
    fn insert_between(&mut self, before: Option<Place>, value: &Encoded<'_>, length: usize, limit: NodeLimit) {
        let after = match before {
            Some(before) => self.neighbour(before, End::Back),
            None => self.end_place(End::Front),
        };
        for (place, end) in [(before, End::Back), (after, End::Front)] {
            if let Some(place) = place.filter(|&place| limit.admits(self.node(place), length)) {
                return self.change(place, |node| node.push(end, value));
            }
        }
        let mut node = Node::with_room(value.len_bytes());
        node.push(End::Back, value);
        match before {
            Some(before) => _ = self.insert_node_after(before, node),
            None => self.push_node(End::Front, node),
        }
    }

    /// Replaces element `index` of the node at `place`.
    pub fn replace(&mut self, place: Place, index: usize, value: &Encoded<'_>, length: usize, limit: NodeLimit) {
        let node = self.node(place);
        let offset = node.offset_of(index);
        let old_length = node.item_at(offset).text_len();
        let grown = node.listpack_bytes() + length.saturating_sub(old_length);
        if node.count() == 1 || !limit.is_exceeded_by(grown, node.count()) {
            return self.change(place, |node| node.replace(offset, value));
        }
        self.change(place, |node| node.remove_at(offset));
        self.insert(place, index, value, length, limit);
    }

    /// Joins the node at `place` with the one before it if both are small, or removes it if it is empty. Returns the
    /// place of the node that now comes last of the two, none if there is no node at or before it.
    pub fn tidy(&mut self, place: Place, limit: NodeLimit) -> Option<Place> {
        let previous = self.neighbour(place, End::Front);
        if self.node(place).count() == 0 {
            self.remove_node(place);
            return previous;
        }
        let Some(previous) = previous.filter(|&previous| limit.merges(self.node(previous), self.node(place))) else {
            return Some(place);
        };
        let (node, _) = self.remove_node(place);
        self.change(previous, |left| left.append(node.entries(), node.count()));
        Some(previous)
    }

    /// Bytes of the chunks and of the nodes; the latter from `samples` nodes if that is not 0.
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        let own = size_of::<Self>() + self.chunks.capacity() * size_of::<Chunk>();
        let pointers: usize = self.chunks.iter().map(|chunk| chunk.nodes.capacity() * size_of::<Node>()).sum();
        let all = self.chunks.iter().flat_map(|chunk| &chunk.nodes);
        let sampled = if samples == 0 { self.node_count } else { samples.min(self.node_count) };
        let sample_bytes: usize = all.take(sampled).map(Node::allocated_bytes).sum();
        own + pointers + (sample_bytes as f64 * self.node_count as f64 / sampled.max(1) as f64) as usize
    }

    #[cfg(test)]
    pub fn assert_counts(&self) {
        for chunk in &self.chunks {
            assert!((1..=CHUNK_NODES).contains(&chunk.nodes.len()));
            assert!(chunk.nodes.iter().all(|node| node.count() > 0));
            assert_eq!(chunk.len, chunk.nodes.iter().map(Node::count).sum::<usize>());
        }
        assert_eq!(self.len, self.chunks.iter().map(|chunk| chunk.len).sum::<usize>());
        assert_eq!(self.node_count, self.chunks.iter().map(|chunk| chunk.nodes.len()).sum::<usize>());
    }
}
