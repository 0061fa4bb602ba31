//! What both kinds of node share: links between nodes, and what balancing needs to know about a node.

use crate::mover::Mover;
use crate::zset_element::Element;
use std::alloc::Layout;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

/// A copyable pointer to a node of the tree it is used in.
///
/// Dereferencing is sound because links never leave this module's tree: a node is freed only after every link to it
/// was dropped from the tree, nodes change only under `&mut Tree`, and no reference into a node outlives one statement
/// that uses another link to the same node.
pub struct Link<T>(*mut T);

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Link<T> {}

impl<T> PartialEq for Link<T> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl<T> Link<T> {
    pub fn new(node: T) -> Link<T> {
        Link(Box::into_raw(Box::new(node)))
    }

    pub const fn null() -> Link<T> {
        Link(std::ptr::null_mut())
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub fn pointer(self) -> *const T {
        self.0
    }

    /// Moves the node elsewhere if it is to be moved; where it is then. Every link to it is to be changed to that.
    pub fn relocate(self, mover: &mut Mover<'_>) -> Link<T> {
        let Some(node) = NonNull::new(self.0) else { return self };
        // SAFETY: every non-null link comes from `Box::into_raw`, so that the block has the node's layout; a node may be
        // moved, and the tree uses only the result.
        Link(unsafe { mover.relocate(node.cast(), Layout::new::<T>()) }.cast().as_ptr())
    }

    /// Frees the node; no link to it may remain in use.
    pub fn free(self) {
        // SAFETY: every non-null link comes from `Box::into_raw`, and the tree frees a node once, after unlinking it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl<T> Deref for Link<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        debug_assert!(!self.0.is_null());
        // SAFETY: see the type: a link used inside the tree points to a live node.
        unsafe { &*self.0 }
    }
}

impl<T> DerefMut for Link<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        debug_assert!(!self.0.is_null());
        // SAFETY: see the type: the tree is borrowed mutably and no other reference to this node is alive.
        unsafe { &mut *self.0 }
    }
}

/// A child of either kind; the tree knows from the height which.
#[derive(Clone, Copy, PartialEq)]
pub struct Child(*mut u8);

impl Child {
    pub const fn null() -> Child {
        Child(std::ptr::null_mut())
    }

    #[inline]
    pub fn link<T>(self) -> Link<T> {
        Link(self.0.cast())
    }
}

impl<T> From<Link<T>> for Child {
    fn from(link: Link<T>) -> Child {
        Child(link.0.cast())
    }
}

/// What balancing needs to know about a node of either kind.
pub trait Block {
    const CAPACITY: usize;
    /// Fewer entries than this and the node is merged or evened out with a neighbour.
    const MINIMUM: usize = Self::CAPACITY / 3;
    /// Two neighbours with at most this many entries become one; the slack keeps the next insert from splitting it.
    const MERGE_MAX: usize = Self::CAPACITY * 5 / 6;

    fn len(&self) -> usize;
    /// The smallest element below; the node must not be empty.
    fn first(&self) -> Element;
    /// Number of elements below.
    fn total(&self) -> usize;
    /// Moves the first `count` entries of `right` to the end of `self`.
    fn take_front_of(&mut self, right: &mut Self, count: usize);
    /// Moves the last `count` entries of `self` to the front of `right`.
    fn give_back_to(&mut self, right: &mut Self, count: usize);
    /// Takes the node out of its neighbours' links before it is freed.
    fn detach(&mut self) {}
}

/// First index of the range for which the test fails, or its end; the test holds for a prefix of the range.
#[inline]
pub fn partition_between(range: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start + (end - start) / 2;
        if holds(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}
