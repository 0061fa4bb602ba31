//! Redis' hash: fields, each with a value.
//!
//! A small hash is a listpack in which fields and values alternate (`listpack`), a larger one a hash table with one
//! allocation a pair (`hashtable`). It converts when it has more pairs, or a longer field or value, than [`Limits`]
//! allow, and never back, as in Redis. Pairs of a table can carry an expiry; the packed form cannot, so a hash converts
//! when the first expiry is set.
//!
//! A table of two allocations a pair (as in Redis) would cost 24 bytes more each.

mod iter;
mod pair;
mod timing;
mod walking;

use super::listpack::{Encoded, Item, Listpack};
use super::unaligned_box::UnalignedBox;
use crate::mover::Mover;
use crate::table::{self, buckets_of, Prefetch};

pub(super) use pair::Pair;

pub use iter::Iter;
pub use timing::{Fields, EXPIRY_MAX};

/// How large a hash or a set may be in its packed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `hash-max-listpack-entries`, `set-max-listpack-entries`: pairs or members.
    pub entries: usize,
    /// `hash-max-listpack-value`, `set-max-listpack-value`: bytes of the longest one.
    pub value_bytes: usize,
}

/// See the module's description.
pub struct Hash(Form);

enum Form {
    Packed(Listpack),
    Table(UnalignedBox<Fields>),
}

/// What [`Hash::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Updated,
}

impl Hash {
    /// An empty hash. Commands delete the key of a hash that becomes empty.
    pub fn new() -> Self {
        Self(Form::Packed(Listpack::new()))
    }

    /// Adopts a listpack from a file or a client: pairs, not empty, every field once.
    pub fn from_listpack(listpack: Listpack, limits: Limits) -> Option<Self> {
        if listpack.is_empty() || listpack.len() % 2 == 1 || listpack.has_duplicates(2) {
            return None;
        }
        let pairs = listpack.len() / 2;
        let mut hash = Self(Form::Packed(listpack));
        if pairs > limits.entries {
            hash.convert_to_table();
        }
        Some(hash)
    }

    /// The listpack of a packed hash, for dumping it as it is.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(listpack) => Some(listpack),
            Form::Table(_) => None,
        }
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(listpack) => listpack.len() / 2,
            Form::Table(table) => table.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table of its fields, if it has one.
    pub fn element_table(&self) -> Option<&dyn Prefetch> {
        match &self.0 {
            Form::Packed(_) => None,
            Form::Table(fields) => Some(&***fields),
        }
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding_name(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Table(fields) => fields.encoding_name(),
        }
    }

    /// Bytes asked of the allocator, estimated from `samples` pairs if that is not 0.
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Packed(listpack) => listpack.allocated_bytes(),
            Form::Table(fields) => fields.allocated_bytes(samples),
        }
    }

    /// As [`crate::object::Collection::defragment`].
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        match &mut self.0 {
            Form::Packed(listpack) => {
                listpack.relocate(mover);
                0
            }
            Form::Table(fields) => {
                if at == 0 {
                    fields.relocate(mover);
                }
                fields.defragment(at, buckets_of(limit), mover, Pair::relocate)
            }
        }
    }

    /// How many allocations freeing it frees.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Table(table) => table.len() + table.bucket_count() / 64,
        }
    }

    /// The value of `field`.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match &self.0 {
            Form::Packed(listpack) => {
                let value = listpack.next(listpack.find(field, 1)?)?;
                Some(listpack.get(value))
            }
            Form::Table(table) => Some(Item::Str(table.find(table::hash(field), field)?.value())),
        }
    }

    #[inline]
    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.0 {
            Form::Packed(listpack) => listpack.find(field, 1).is_some(),
            Form::Table(table) => table.find(table::hash(field), field).is_some(),
        }
    }

    /// Converts at once if one command brings more pairs than a packed hash may have.
    pub fn expect_additions(&mut self, pairs: usize, limits: Limits) {
        if pairs > limits.entries {
            self.convert_to_table();
        }
    }

    /// Sets `field` to `value`. An expiry of the field stays; see [`Self::set_expiry`].
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: Limits) -> Change {
        if let Form::Packed(listpack) = &mut self.0 {
            let longest = field.len().max(value.len());
            // 32 bytes are more than two entries need beside their text.
            if longest <= limits.value_bytes && listpack.can_grow_by(field.len() + value.len() + 32) {
                return self.set_packed(field, value, limits);
            }
            self.convert_to_table();
        }
        let Form::Table(table) = &mut self.0 else { unreachable!("just converted") };
        let hash = table::hash(field);
        table.before_setting(hash, field);
        let change = match table.find_mut(hash, field) {
            Some(pair) => {
                pair.set_value(value);
                Change::Updated
            }
            None => {
                table.insert_new(hash, Pair::new(field, value, None));
                Change::Created
            }
        };
        let entries = table.len();
        table.note_size(field.len().max(value.len()), entries, limits);
        change
    }

    fn set_packed(&mut self, field: &[u8], value: &[u8], limits: Limits) -> Change {
        let Form::Packed(listpack) = &mut self.0 else { unreachable!("only called on a packed hash") };
        if let Some(position) = listpack.find(field, 1).and_then(|position| listpack.next(position)) {
            listpack.replace(position, value);
            return Change::Updated;
        }
        listpack.append(&[Encoded::from(field), Encoded::from(value)]);
        if self.len() > limits.entries {
            self.convert_to_table();
        }
        Change::Created
    }

    /// Removes `field`; false if it is not there.
    #[inline]
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(listpack) => {
                let position = listpack.find(field, 1);
                if let Some(position) = position {
                    listpack.delete_range(position, 2);
                }
                position.is_some()
            }
            Form::Table(fields) => fields.remove(field),
        }
    }

    /// Moves the pairs into a table, if they are not in one yet.
    fn convert_to_table(&mut self) {
        let Form::Packed(listpack) = &self.0 else { return };
        let mut table = UnalignedBox::<Fields>::default();
        for (field, value) in iter::pairs(listpack) {
            let (mut field_buffer, mut value_buffer) = Default::default();
            let (field, value) = (field.as_bytes(&mut field_buffer), value.as_bytes(&mut value_buffer));
            table.insert_new(table::hash(field), Pair::new(field, value, None));
        }
        self.0 = Form::Table(table);
    }

    /// All pairs, those that have expired but were not removed yet included.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_at(0)
    }

    /// The pairs that have not expired at `now`.
    pub fn iter_at(&self, now: u64) -> Iter<'_> {
        match &self.0 {
            Form::Packed(listpack) => Iter::packed(listpack),
            Form::Table(table) => Iter::table(table, now),
        }
    }

    /// A pair chosen with equal chances for all; `random` gives 64 random bits a call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<(Item<'_>, Item<'_>)> {
        match &self.0 {
            Form::Packed(listpack) => {
                let index = random_below(self.len(), random())?;
                let field = listpack.seek(index as i64 * 2)?;
                Some((listpack.get(field), listpack.get(listpack.next(field)?)))
            }
            Form::Table(table) => table.random(random).map(iter::items),
        }
    }

    /// Visits the pairs of one step of a scan that have not expired at `now`; returns the next cursor, 0 at the end. A packed
    /// hash is one step.
    pub fn scan(&self, cursor: u64, now: u64, mut visit: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        match &self.0 {
            Form::Packed(listpack) => {
                iter::pairs(listpack).for_each(|(field, value)| visit(field, value));
                0
            }
            Form::Table(table) => table.scan(cursor, |pair| {
                if !pair.is_expired(now) {
                    let (field, value) = iter::items(pair);
                    visit(field, value);
                }
            }),
        }
    }
}

/// A number below `bound` from 64 random bits; `None` if `bound` is 0.
pub(super) fn random_below(bound: usize, bits: u64) -> Option<usize> {
    (bound > 0).then(|| ((u128::from(bits) * bound as u128) >> 64) as usize)
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Form::Packed(listpack) => Form::Packed(listpack.clone()),
            Form::Table(table) => Form::Table(table.clone()),
        })
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "tests/hash.rs"]
mod tests;
