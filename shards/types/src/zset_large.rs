//! The large encoding of a sorted set: a hash table by member and a tree by (score, member) over the same elements.
//!
//! The set owns its elements: table and tree hold bare handles, and whoever takes one out of both frees it. Memory for a
//! member of 16 bytes: 32 for the element, about 12 in the table, about 11 in the tree.

use sherd_metrics::memory::size_class;

use super::zset_element::Element;
use super::zset_tree::Tree;
use crate::mover::Mover;
use crate::table::{hash, Entry, Prefetch, Table};
use crate::walk::{self, Part, Walk, Walked};

/// From this number on, places of [`Large::defragment`] are ranks: the tree comes after the table, whose buckets are fewer.
const TREE: usize = 1 << 33;
/// Leaves of the tree that one step moves.
const LEAVES_A_STEP: usize = 8;

/// An element as the table knows it: found by its member.
#[repr(transparent)]
pub struct Handle(Element);

impl Handle {
    pub fn new(element: Element) -> Handle {
        Handle(element)
    }

    pub fn element(&self) -> Element {
        self.0
    }
}

// SAFETY: `Element` is a transparent `NonNull<u8>`, and its member never changes. It does not own the block (the set
// does), so there is nothing for a `Drop` to free.
unsafe impl Entry for Handle {
    #[inline]
    fn key(&self) -> &[u8] {
        self.0.member()
    }
}

impl Walked for Handle {
    fn element(&self) -> walk::Element<'_> {
        walk::Element { score: self.0.score(), ..walk::Element::named(self.0.member()) }
    }
}

#[derive(Default)]
pub struct Large {
    table: Table<Handle>,
    tree: Tree,
    /// Bytes of all elements together.
    element_bytes: usize,
    /// While the set is saved in slices: it goes through the table, so that a score that changes moves nothing.
    pub(crate) walk: Option<Box<Walk>>,
}

impl Large {
    /// Takes over elements that are in order and whose members differ; `table` holds them all or none of them.
    pub fn from_sorted(elements: &[Element], mut table: Table<Handle>) -> Large {
        if table.is_empty() {
            for &element in elements {
                table.insert_new(hash(element.member()), Handle(element));
            }
        }
        assert_eq!(table.len(), elements.len(), "every element is in the table");
        let element_bytes = elements.iter().map(|element| element.allocated_bytes()).sum();
        let tree = Tree::from_sorted(elements.iter().copied(), elements.len());
        Large { table, tree, element_bytes, walk: None }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    #[inline]
    pub fn find(&self, member: &[u8]) -> Option<Element> {
        self.find_hashed(hash(member), member)
    }

    #[inline]
    pub fn find_hashed(&self, hash: u64, member: &[u8]) -> Option<Element> {
        self.table.find(hash, member).map(Handle::element)
    }

    /// Adds a member that is not in the set.
    pub fn insert(&mut self, hash: u64, member: &[u8], score: f64) {
        self.before_change(hash, member);
        let element = Element::new(score, member);
        self.element_bytes += element.allocated_bytes();
        self.table.insert_new(hash, Handle(element));
        self.tree.insert(element);
    }

    #[inline]
    fn before_change(&mut self, hash: u64, member: &[u8]) {
        if let Some(walk) = &mut self.walk {
            walk.before_change(Part::Plain, &self.table, hash, member);
        }
    }

    /// A step of the walk; false at its end.
    pub fn step(&mut self) -> bool {
        let Large { table, walk, .. } = self;
        walk.as_mut().is_some_and(|walk| {
            walk.step(Part::Plain, table);
            !walk.has_passed(Part::Plain)
        })
    }

    pub fn change_score(&mut self, element: Element, score: f64) {
        if self.walk.is_some() {
            self.before_change(hash(element.member()), element.member());
        }
        self.tree.change_score(element, score);
    }

    /// Moves what is to be moved: elements by buckets of the table, then the tree's nodes by the rank of their elements. `at`
    /// is where to go on; the result likewise, 0 at the end.
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, buckets: usize) -> usize {
        if let Some(mut rank) = at.checked_sub(TREE) {
            for _ in 0..LEAVES_A_STEP {
                rank = self.tree.relocate_nodes(rank, mover);
                if rank == 0 {
                    return 0;
                }
            }
            return TREE + rank;
        }
        match self.defragment_elements(mover, at, buckets) {
            0 => TREE,
            next => next,
        }
    }

    fn defragment_elements(&mut self, mover: &mut Mover<'_>, at: usize, buckets: usize) -> usize {
        let Large { table, tree, .. } = self;
        table.defragment(at, buckets, mover, |handle, mover| {
            let old = handle.0;
            if let Some(moved) = old.copy_to_move(mover) {
                let replaced = tree.replace(old, moved);
                assert!(replaced, "table and tree hold the same elements");
                handle.0 = moved;
                // SAFETY: table and tree hold the copy instead, nothing else holds the element.
                unsafe { old.free() };
            }
        })
    }

    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = hash(member);
        if let Some(walk) = &mut self.walk {
            walk.before_removal(Part::Plain, &self.table, hash, member);
        }
        let element = self.table.remove(hash, member)?.element();
        let found = self.tree.remove(element);
        assert!(found, "table and tree hold the same elements");
        self.element_bytes -= element.allocated_bytes();
        let score = element.score();
        // SAFETY: the element was just taken out of table and tree, nothing else holds it.
        unsafe { element.free() };
        Some(score)
    }

    /// Removes a run of ranks and calls with each of its members, in ascending order.
    pub fn remove_ranks(&mut self, rank: usize, count: usize, mut removed: impl FnMut(&[u8], f64)) -> usize {
        let Large { table, tree, element_bytes, walk } = self;
        tree.remove_ranks(rank, count, |element| {
            let member = element.member();
            removed(member, element.score());
            let hash = hash(member);
            if let Some(walk) = walk.as_mut() {
                walk.removed(Part::Plain, hash, &Handle(element));
            }
            let in_table = table.remove(hash, member);
            assert!(in_table.is_some(), "table and tree hold the same elements");
            *element_bytes -= element.allocated_bytes();
            // SAFETY: the element was just taken out of table and tree, nothing else holds it.
            unsafe { element.free() };
        })
    }

    /// Asks memory for what taking out the next members at one end will read: members are mostly popped one after the
    /// other, and each would wait for its bucket in the table.
    pub fn prefetch_outermost(&self, reverse: bool) {
        /// Elements that are asked for; the bucket is that of the second one, whose member has arrived since the last pop.
        const ELEMENTS: usize = 4;
        const BUCKET: usize = 1;
        let tree = &self.tree;
        let element = if reverse {
            tree.backward(tree.at(tree.len()), ELEMENTS).nth(BUCKET)
        } else {
            tree.forward(tree.at(0), ELEMENTS).nth(BUCKET)
        };
        if let Some(element) = element {
            self.table.prefetch_bucket(hash(element.member()));
        }
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    pub fn table(&self) -> &Table<Handle> {
        &self.table
    }

    /// Bytes of everything, counting nodes by estimate.
    pub fn memory_bytes(&self) -> usize {
        size_class(size_of::<Large>())
            + self.element_bytes
            + self.table.memory_bytes()
            + self.tree.node_bytes_estimate()
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        for element in self.tree.iter() {
            // SAFETY: table and tree do not look at elements any more when they are dropped after this.
            unsafe { element.free() };
        }
    }
}
