//! How large a node of a list may get: the setting `list-max-listpack-size`, by the rules of Redis 7.2 and later.

use super::node::Node;

/// Nodes that are limited by their number of elements still stay below this, unless they hold a single larger one.
const SAFE_BYTES_MAX: usize = 8192;

/// What Redis reckons with as the cost of an entry beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 8;

/// The limit of one node; also of a whole list that is one listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    /// Limited by size if this is set, else by `entries` and [`SAFE_BYTES_MAX`].
    bytes: Option<usize>,
    entries: usize,
}

impl NodeLimit {
    /// -1 to -5 stand for 4, 8, 16, 32 and 64 KiB, positive values for a number of elements.
    pub fn from_setting(setting: i64) -> Self {
        if setting >= 0 {
            Self { bytes: None, entries: usize::try_from(setting).unwrap_or(usize::MAX).max(1) }
        } else {
            Self { bytes: Some(2048 << setting.unsigned_abs().min(5)), entries: usize::MAX }
        }
    }

    /// Whether a listpack of `bytes` with `entries` elements is too large.
    #[inline]
    pub(super) fn is_exceeded_by(self, bytes: usize, entries: usize) -> bool {
        match self.bytes {
            Some(limit) => bytes > limit,
            None => bytes > SAFE_BYTES_MAX || entries > self.entries,
        }
    }

    /// Whether `node` may take one more element of `length` bytes.
    #[inline]
    pub(super) fn admits(self, node: &Node, length: usize) -> bool {
        !self.is_exceeded_by(node.listpack_bytes() + length + ENTRY_OVERHEAD_BYTES, node.count() + 1)
    }

    /// Whether a value of `length` bytes gets a node of its own, dumped as it is rather than as a listpack.
    pub(super) fn is_plain(self, length: usize) -> bool {
        length > self.fill_bytes()
    }

    /// Whether a list that is this one node may become a listpack again. While shrinking the limit is halved, so that a
    /// list at the limit does not convert back and forth.
    pub(super) fn allows_listpack(self, node: &Node, shrinking: bool) -> bool {
        let divisor = if shrinking { 2 } else { 1 };
        let single_large = node.count() == 1 && self.is_plain(node.first().text_len());
        !single_large
            && node.listpack_bytes() <= self.bytes.unwrap_or(usize::MAX) / divisor
            && node.count() <= self.entries / divisor
    }

    /// Whether two neighbours are so small that they are joined: together at most three quarters of a node.
    pub(super) fn merges(self, left: &Node, right: &Node) -> bool {
        let room = self.fill_bytes() / 4 * 3;
        left.listpack_bytes() + right.used() <= room && left.count() + right.count() <= self.entries / 4 * 3
    }

    /// The bytes up to which a node at the end of a list is filled, at most.
    #[inline]
    pub(super) fn fill_bytes(self) -> usize {
        self.bytes.unwrap_or(SAFE_BYTES_MAX)
    }

    /// The room that a new node at the end of a long list starts with: likely to be filled, unless nodes are tiny.
    pub(super) fn fresh_room(self) -> usize {
        if self.entries < 64 {
            0
        } else {
            512
        }
    }
}
