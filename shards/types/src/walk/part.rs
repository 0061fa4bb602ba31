//! A stream in the parts of which it is saved, in the order of Redis' format: its blocks, what it remembers of entries, and each
//! group with the entries that are pending in it, then its consumers with the ids of theirs.
//!
//! A pending entry that its consumer has given back has no owner, which formats have no place for: it counts as the first
//! consumer's, so that it is not lost, and is left out where the group has no consumer.

/// An entry's id as bytes, of which the order is the order of ids.
pub type IdBytes = [u8; 16];

/// See the [module](self).
#[derive(Clone, Copy)]
pub enum StreamPart<'a> {
    /// A block, as the bytes of its listpack, under its id.
    Block(IdBytes, &'a [u8]),
    Memory(Memory),
    Group(GroupHead<'a>),
    Pending(PendingPart<'a>),
    /// How many consumers follow.
    Consumers(usize),
    Consumer(ConsumerHead<'a>),
    /// The id of a pending entry that the consumer has.
    Owned(IdBytes),
}

/// What a stream remembers besides its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub length: u64,
    pub first_id: IdBytes,
    pub last_id: IdBytes,
    pub max_deleted_id: IdBytes,
    pub entries_added: u64,
    pub groups: usize,
}

/// A group, with how many pending entries follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHead<'a> {
    pub name: &'a [u8],
    pub last_id: IdBytes,
    pub entries_read: Option<u64>,
    pub pending: usize,
}

/// An entry that is pending in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingPart<'a> {
    pub id: IdBytes,
    pub delivered_ms: i64,
    pub delivery_count: u64,
    /// The name of the consumer that has it.
    pub owner: &'a [u8],
}

/// A consumer, with how many ids follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerHead<'a> {
    pub name: &'a [u8],
    pub seen_ms: i64,
    pub active_ms: Option<i64>,
    pub owned: usize,
}
