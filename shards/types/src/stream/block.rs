//! One block of a stream: a listpack in which entries share the names of their fields.
//!
//! ```text
//! master entry: live | deleted | number of fields | field ... | 0
//! entry:        flags | id - block's id (two numbers) | [number of fields | field | value | ...] or value ... | back
//! ```
//!
//! The format is that of Redis, byte for byte, so that blocks are dumped and loaded as they are. `back` counts the
//! elements of an entry before it, for walking backwards; the 0 that ends the master entry stops that walk. The names of
//! the first entry's fields are kept in the master entry, and an entry with the very same ones
//! (`SAME_FIELDS`) stores its values only. Deleting marks an entry; the last live one takes the block with it, so that
//! every block of a stream but the first has a live entry, and a search for the next one is bounded by two blocks.
//!
//! Positions are byte offsets in the listpack.

use super::id::StreamId;
use crate::listpack::{next_offset, previous_offset, read_with_next, Encoded, Item, Listpack, HEADER_BYTES};
use crate::mover::Mover;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Elements of an entry besides fields and values: flags and the two numbers of the id.
const ENTRY_HEAD_ELEMENTS: i64 = 3;

/// When a block is full.
#[derive(Clone, Copy, Debug)]
pub struct BlockLimits {
    /// `stream-node-max-bytes`; 0 is no limit.
    pub bytes_max: usize,
    /// `stream-node-max-entries`; 0 is no limit.
    pub entries_max: usize,
}

/// The most bytes a block may have whatever the settings, and the most one entry may bring.
pub const BLOCK_BYTES_MAX: usize = 1 << 30;

/// See the module's description.
#[derive(Clone)]
pub struct Block(Listpack);

/// What the master entry says of fields.
#[derive(Clone, Copy)]
pub(super) struct Master {
    field_count: usize,
    fields_at: usize,
    /// Where the first entry is.
    entries_at: usize,
}

/// An entry in a block.
#[derive(Clone, Copy)]
pub struct Entry<'b> {
    pub id: StreamId,
    bytes: &'b [u8],
    offset: usize,
    deleted: bool,
    field_count: usize,
    /// Where the names are, if the master entry has them.
    names_at: Option<usize>,
    data_at: usize,
}

impl<'b> Entry<'b> {
    /// How many pairs of field and value there are.
    #[inline]
    pub fn field_count(&self) -> usize {
        self.field_count
    }

    /// The pairs of field and value.
    #[inline]
    pub fn fields(&self) -> Fields<'b> {
        Fields { bytes: self.bytes, left: self.field_count, names_at: self.names_at, data_at: self.data_at }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Where the next entry is, or the block ends.
    #[inline]
    fn end(&self) -> usize {
        let elements = if self.names_at.is_some() { self.field_count } else { 2 * self.field_count };
        // And `back`.
        (0..=elements).fold(self.data_at, |offset, _| next_offset(self.bytes, offset))
    }
}

/// The pairs of field and value of an entry.
#[derive(Clone)]
pub struct Fields<'b> {
    bytes: &'b [u8],
    left: usize,
    names_at: Option<usize>,
    data_at: usize,
}

impl<'b> Iterator for Fields<'b> {
    type Item = (Item<'b>, Item<'b>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let name = match &mut self.names_at {
            Some(names_at) => {
                let (name, next) = read_with_next(self.bytes, *names_at);
                *names_at = next;
                name
            }
            None => {
                let (name, next) = read_with_next(self.bytes, self.data_at);
                self.data_at = next;
                name
            }
        };
        let (value, next) = read_with_next(self.bytes, self.data_at);
        self.data_at = next;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// The integer at `offset` and where the next element is; blocks are checked before, so anything else is 0.
#[inline]
fn read_integer(bytes: &[u8], offset: usize) -> (i64, usize) {
    let (item, next) = read_with_next(bytes, offset);
    (item.to_i64().unwrap_or(0), next)
}

impl Block {
    /// Moves the block elsewhere if it is to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        self.0.relocate(mover);
    }

    /// A block whose first entry has the block's id; `pairs` are its fields and values.
    pub(super) fn new(pairs: &[&[u8]]) -> Block {
        let field_count = pairs.len() / 2;
        let mut elements: Vec<Encoded<'_>> = Vec::with_capacity(field_count * 2 + 8);
        elements.extend([Encoded::from(1), Encoded::from(0), Encoded::from(field_count as i64)]);
        elements.extend(pairs.iter().step_by(2).map(|&name| Encoded::from(name)));
        elements.push(Encoded::from(0));
        push_entry(&mut elements, (0, 0), pairs, true);
        let mut listpack = Listpack::new();
        listpack.append(&elements);
        Block(listpack)
    }

    /// Adopts a listpack that [`Block::check`] found to be a block.
    pub(super) fn from_listpack(listpack: Listpack) -> Block {
        Block(listpack)
    }

    /// The block as it is dumped.
    pub fn listpack(&self) -> &Listpack {
        &self.0
    }

    #[inline]
    fn end_offset(&self) -> usize {
        self.0.byte_size() - 1
    }

    /// The master entry.
    #[inline]
    pub(super) fn master(&self) -> Master {
        let bytes = self.0.as_bytes();
        // Behind the two counts.
        let offset = next_offset(bytes, next_offset(bytes, HEADER_BYTES));
        let (field_count, fields_at) = read_integer(bytes, offset);
        let field_count = field_count as usize;
        // The names and the 0 behind them.
        let entries_at = (0..=field_count).fold(fields_at, |offset, _| next_offset(bytes, offset));
        Master { field_count, fields_at, entries_at }
    }

    /// Live entries.
    #[inline]
    pub(super) fn live(&self) -> i64 {
        read_integer(self.0.as_bytes(), HEADER_BYTES).0
    }

    /// The entry at `offset`; `id` is the block's.
    #[inline]
    fn entry_at(&self, id: StreamId, master: &Master, offset: usize) -> Entry<'_> {
        let bytes = self.0.as_bytes();
        let (flags, next) = read_integer(bytes, offset);
        let (milliseconds, next) = read_integer(bytes, next);
        let (sequence, next) = read_integer(bytes, next);
        let id =
            StreamId::new(id.milliseconds.wrapping_add(milliseconds as u64), id.sequence.wrapping_add(sequence as u64));
        let (field_count, names_at, data_at) = if flags & SAME_FIELDS != 0 {
            (master.field_count, Some(master.fields_at), next)
        } else {
            let (field_count, next) = read_integer(bytes, next);
            (field_count as usize, None, next)
        };
        Entry { id, bytes, offset, deleted: flags & DELETED != 0, field_count, names_at, data_at }
    }

    /// All entries in their order, deleted ones too.
    #[inline]
    pub(super) fn entries(&self, id: StreamId) -> Entries<'_> {
        let master = self.master();
        Entries { block: self, id, front: master.entries_at, back: self.end_offset(), master }
    }

    /// A block of these bytes; none if they are no listpack.
    pub fn of_bytes(bytes: &[u8]) -> Option<Block> {
        Listpack::from_bytes_validated(bytes).map(Block)
    }

    /// Live entries in their order; `own` is the block's id.
    pub fn live_entries(&self, own: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.entries(own).filter(|entry| !entry.is_deleted())
    }

    /// Whether there is room for an entry.
    pub(super) fn fits(&self, pairs: &[&[u8]], limits: BlockLimits) -> bool {
        let added: usize = pairs.iter().map(|text| text.len()).sum();
        let bytes_max = match limits.bytes_max {
            0 => BLOCK_BYTES_MAX,
            bytes => bytes.min(BLOCK_BYTES_MAX),
        };
        if self.0.byte_size() + added >= bytes_max {
            return false;
        }
        if limits.entries_max == 0 {
            return true;
        }
        let bytes = self.0.as_bytes();
        let (live, offset) = read_integer(bytes, HEADER_BYTES);
        let (deleted, _) = read_integer(bytes, offset);
        ((live + deleted) as u64) < limits.entries_max as u64
    }

    /// Whether an entry has the very fields of the master entry.
    fn has_fields(&self, pairs: &[&[u8]]) -> bool {
        let bytes = self.0.as_bytes();
        let offset = next_offset(bytes, next_offset(bytes, HEADER_BYTES));
        let (field_count, mut offset) = read_integer(bytes, offset);
        if field_count as usize != pairs.len() / 2 {
            return false;
        }
        pairs.iter().step_by(2).all(|&name| {
            let (item, next) = read_with_next(bytes, offset);
            offset = next;
            match item {
                Item::Str(own) => own == name,
                Item::Int(own) => crate::number::parse_i64(name) == Some(own),
            }
        })
    }

    /// Adds an entry after all others. `own` is the block's id.
    pub(super) fn append(&mut self, own: StreamId, id: StreamId, pairs: &[&[u8]]) {
        let same_fields = self.has_fields(pairs);
        let difference =
            (id.milliseconds.wrapping_sub(own.milliseconds) as i64, id.sequence.wrapping_sub(own.sequence) as i64);
        let mut elements: Vec<Encoded<'_>> = Vec::with_capacity(pairs.len() + 5);
        push_entry(&mut elements, difference, pairs, same_fields);
        self.0.append(&elements);
        let live = self.live();
        self.set_integer(HEADER_BYTES, live + 1);
    }

    /// Overwrites the integer at `offset`.
    fn set_integer(&mut self, offset: usize, value: i64) {
        self.0.replace(crate::listpack::Position::at(offset), value);
    }

    /// Marks the entry at `offset` as deleted without counting it.
    pub(super) fn mark_deleted(&mut self, offset: usize) {
        let (flags, _) = read_integer(self.0.as_bytes(), offset);
        self.set_integer(offset, flags | DELETED);
    }

    /// Counts entries that were marked as deleted; gives how many live ones are left.
    pub(super) fn count_deleted(&mut self, count: i64) -> i64 {
        let live = self.live() - count;
        self.set_integer(HEADER_BYTES, live);
        let deleted_at = next_offset(self.0.as_bytes(), HEADER_BYTES);
        let (deleted, _) = read_integer(self.0.as_bytes(), deleted_at);
        self.set_integer(deleted_at, deleted + count);
        live
    }

    /// The id of the last entry, deleted or not.
    pub(super) fn last_id(&self, id: StreamId) -> StreamId {
        self.entries(id).next_back().map_or(id, |entry| entry.id)
    }

    /// Checks that a listpack from outside is a block: every element where the format has it, counts that agree, ids
    /// that rise and are not before the block's own. Gives the number of live entries and the last id.
    pub(super) fn check(listpack: &Listpack, id: StreamId) -> Option<(i64, StreamId)> {
        let mut elements = listpack.iter();
        let mut integer = || match elements.next() {
            Some(Item::Int(value)) => Some(value),
            _ => None,
        };
        let (live, deleted, field_count) = (integer()?, integer()?, integer()?);
        // No count can exceed the number of elements, which also keeps sums from overflowing.
        let elements_max = listpack.len() as i64;
        let sane = |count: i64| (0..=elements_max).contains(&count);
        if !sane(live) || !sane(deleted) || !sane(field_count) {
            return None;
        }
        for _ in 0..field_count {
            elements.next()?;
        }
        if elements.next()? != Item::Int(0) {
            return None;
        }
        let (mut live_found, mut deleted_found) = (0, 0);
        let mut last: Option<StreamId> = None;
        while elements.position().is_some() {
            let mut integer = || match elements.next() {
                Some(Item::Int(value)) => Some(value),
                _ => None,
            };
            let (flags, milliseconds, sequence) = (integer()?, integer()?, integer()?);
            let (data, back) = if flags & SAME_FIELDS != 0 {
                (field_count, ENTRY_HEAD_ELEMENTS + field_count)
            } else {
                let own_count = integer()?;
                if !sane(own_count) {
                    return None;
                }
                (2 * own_count, ENTRY_HEAD_ELEMENTS + 1 + 2 * own_count)
            };
            for _ in 0..data {
                elements.next()?;
            }
            if elements.next()? != Item::Int(back) {
                return None;
            }
            let entry = StreamId::new(
                id.milliseconds.wrapping_add(milliseconds as u64),
                id.sequence.wrapping_add(sequence as u64),
            );
            if last.is_some_and(|last| entry <= last) || entry < id {
                return None;
            }
            last = Some(entry);
            if flags & DELETED != 0 {
                deleted_found += 1;
            } else {
                live_found += 1;
            }
        }
        ((live, deleted) == (live_found, deleted_found)).then_some((live, last.unwrap_or(id)))
    }
}

/// Adds the elements of an entry.
fn push_entry<'v>(elements: &mut Vec<Encoded<'v>>, difference: (i64, i64), pairs: &[&'v [u8]], same_fields: bool) {
    let flags = if same_fields { SAME_FIELDS } else { 0 };
    elements.extend([Encoded::from(flags), Encoded::from(difference.0), Encoded::from(difference.1)]);
    let fields = (pairs.len() / 2) as i64;
    if same_fields {
        elements.extend(pairs.iter().skip(1).step_by(2).map(|&value| Encoded::from(value)));
        elements.push(Encoded::from(ENTRY_HEAD_ELEMENTS + fields));
    } else {
        elements.push(Encoded::from(fields));
        elements.extend(pairs.iter().map(|&text| Encoded::from(text)));
        elements.push(Encoded::from(ENTRY_HEAD_ELEMENTS + 1 + 2 * fields));
    }
}

/// The entries of a block, from either end.
pub(super) struct Entries<'b> {
    block: &'b Block,
    id: StreamId,
    master: Master,
    front: usize,
    back: usize,
}

impl<'b> Iterator for Entries<'b> {
    type Item = Entry<'b>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'b>> {
        if self.front >= self.back {
            return None;
        }
        let entry = self.block.entry_at(self.id, &self.master, self.front);
        self.front = entry.end();
        Some(entry)
    }
}

impl DoubleEndedIterator for Entries<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let bytes = self.block.0.as_bytes();
        let back_at = previous_offset(bytes, self.back);
        let (elements, _) = read_integer(bytes, back_at);
        self.back = (0..elements).fold(back_at, |offset, _| previous_offset(bytes, offset));
        Some(self.block.entry_at(self.id, &self.master, self.back))
    }
}
