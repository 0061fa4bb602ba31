//! Redis' set: byte strings, each once.
//!
//! Three forms by content and size, with the conversion rules of Redis 7.2 and later: only integers, an [`Intset`]
//! (`intset`); few and short members, a listpack (`listpack`); else a hash table with one allocation a member
//! (`hashtable`). A set converts from left to right in this order and never back.
//!
//! When the first member gets a time to live, the set gets a second table for those that have one ([`timing`]). Members of
//! other sets have no room for a time and no question is asked of them.

mod difference;
mod intersection;
mod members;
mod timing;
mod walking;

use std::ops::ControlFlow;

use super::hash::{random_below, Limits, Pair};
use super::intset::Intset;
use super::listpack::{self, Item, Listpack};
use super::number;
use super::unaligned_box::UnalignedBox;
use crate::mover::Mover;
use crate::table::{self, buckets_of, NameEntry as Member, Prefetch, Table};

use members::Members;
use timing::Timed;

pub use difference::{subtract, unite};
pub use intersection::intersect;

/// How large a set may be in its small forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// `set-max-intset-entries`: members, as long as all are integers.
    pub integers: usize,
    /// `set-max-listpack-entries` and `set-max-listpack-value`.
    pub packed: Limits,
}

/// An intset's binary format would allow more; sets convert here at the latest.
const INTEGERS_MAX: usize = 1 << 26;

/// See the module's description.
pub struct Set(Form);

enum Form {
    Integers(Intset),
    Packed(Listpack),
    Table(UnalignedBox<Members>),
    /// Members expire, or have.
    Timed(UnalignedBox<Timed>),
}

/// How a set is stored, for dumping it as it is.
pub enum Stored<'a> {
    Integers(&'a Intset),
    Packed(&'a Listpack),
    /// Member by member; see [`Set::iter`].
    Table,
}

impl Set {
    /// An empty set. Commands delete the key of a set that becomes empty.
    pub fn new() -> Self {
        Self(Form::Integers(Intset::new()))
    }

    /// Adopts an intset from a file or a client.
    pub fn from_intset(intset: Intset, limits: SetLimits) -> Self {
        let mut set = Self(Form::Integers(intset));
        if set.len() > limits.integers.min(INTEGERS_MAX) {
            set.convert_to_table();
        }
        set
    }

    /// Adopts a listpack from a file or a client: not empty, every member once.
    pub fn from_listpack(listpack: Listpack, limits: SetLimits) -> Option<Self> {
        if listpack.is_empty() || listpack.has_duplicates(1) {
            return None;
        }
        let mut set = Self(Form::Packed(listpack));
        if set.len() > limits.packed.entries {
            set.convert_to_table();
        }
        Some(set)
    }

    pub fn stored(&self) -> Stored<'_> {
        match &self.0 {
            Form::Integers(intset) => Stored::Integers(intset),
            Form::Packed(listpack) => Stored::Packed(listpack),
            Form::Table(_) | Form::Timed(_) => Stored::Table,
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Integers(intset) => intset.len(),
            Form::Packed(listpack) => listpack.len(),
            Form::Table(table) => table.len(),
            Form::Timed(timed) => timed.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table of its members, if it has one; with times there are two, and which one a member is in is not known ahead.
    pub fn element_table(&self) -> Option<&dyn Prefetch> {
        match &self.0 {
            Form::Integers(_) | Form::Packed(_) | Form::Timed(_) => None,
            Form::Table(table) => Some(&***table),
        }
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding_name(&self) -> &'static str {
        match &self.0 {
            Form::Integers(_) => "intset",
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
            Form::Timed(timed) => timed.fields.encoding_name(),
        }
    }

    /// Bytes asked of the allocator, estimated from `samples` members if that is not 0.
    pub fn allocated_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Integers(intset) => intset.allocated_bytes(),
            Form::Packed(listpack) => listpack.allocated_bytes(),
            Form::Table(table) => size_of::<Members>() - size_of::<Table<Member>>() + table_bytes(table, samples),
            Form::Timed(timed) => table_bytes(&timed.plain, samples) + timed.fields.allocated_bytes(samples),
        }
    }

    /// As [`crate::object::Collection::defragment`].
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        match &mut self.0 {
            Form::Integers(intset) => {
                intset.relocate(mover);
                0
            }
            Form::Packed(listpack) => {
                listpack.relocate(mover);
                0
            }
            Form::Table(table) => {
                if at == 0 {
                    table.relocate(mover);
                }
                table.defragment(at, buckets_of(limit), mover)
            }
            Form::Timed(timed) => {
                if at == 0 {
                    timed.relocate(mover);
                }
                timed.defragment(mover, at, buckets_of(limit))
            }
        }
    }

    /// How many allocations freeing it frees.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Form::Table(table) => free_effort(table),
            Form::Timed(timed) => timed.free_effort(),
            _ => 1,
        }
    }

    /// Chooses the form for what one command is about to add: `count` members of which `first` is one. An empty set
    /// starts in the form that fits, another one converts at once if it cannot stay as it is.
    pub fn prepare(&mut self, first: &[u8], count: usize, limits: SetLimits) {
        let fits_packed = count <= limits.packed.entries;
        if self.is_empty() && !matches!(self.0, Form::Table(_) | Form::Timed(_)) {
            let fits_integers = count <= limits.integers && number::parse_i64(first).is_some();
            if fits_integers {
                self.0 = Form::Integers(Intset::new());
            } else if fits_packed {
                self.0 = Form::Packed(Listpack::new());
            } else {
                self.convert_to_table();
            }
            return;
        }
        let fits = match &self.0 {
            Form::Integers(_) => count <= limits.integers,
            Form::Packed(_) => fits_packed,
            Form::Table(_) | Form::Timed(_) => true,
        };
        if !fits {
            self.convert_to_table();
        }
    }

    /// Adds `member`; false if it is there already.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: SetLimits) -> bool {
        match &mut self.0 {
            Form::Integers(intset) => match number::parse_i64(member) {
                Some(value) => self.add_integer(value, limits),
                None => {
                    let longest = longest_text(intset).max(member.len());
                    let fits = intset.len() < limits.packed.entries && longest <= limits.packed.value_bytes;
                    if fits {
                        self.convert_to_listpack();
                    } else {
                        self.convert_to_table();
                    }
                    self.add(member, limits)
                }
            },
            Form::Packed(listpack) => {
                if listpack.find(member, 0).is_some() {
                    return false;
                }
                let fits = listpack.len() < limits.packed.entries && member.len() <= limits.packed.value_bytes;
                // 16 bytes are more than an entry needs beside its text.
                if fits && listpack.can_grow_by(member.len() + 16) {
                    listpack.push_back(member);
                    return true;
                }
                self.convert_to_table();
                self.add(member, limits)
            }
            Form::Table(table) => {
                let hash = table::hash(member);
                if table.find(hash, member).is_some() {
                    return false;
                }
                table.insert_new(hash, member);
                true
            }
            Form::Timed(timed) => timed.add(member, limits.packed),
        }
    }

    /// A table of members that are all different.
    pub fn table_of(members: &[listpack::Item<'_>]) -> Self {
        /// Members that are hashed at once: their buckets, and the next ones' bytes, arrive meanwhile.
        const TOGETHER: usize = 16;
        let mut table = Table::new();
        table.reserve(members.len());
        let mut chunks = members.chunks(TOGETHER).peekable();
        while let Some(chunk) = chunks.next() {
            for item in chunks.peek().copied().unwrap_or_default() {
                if let Item::Str(bytes) = item {
                    table::prefetch(bytes.as_ptr());
                }
            }
            let mut hashes = [0; TOGETHER];
            for (hash, item) in hashes.iter_mut().zip(chunk) {
                *hash = table::hash(item.as_bytes(&mut Default::default()));
                table.prefetch_bucket(*hash);
            }
            for (&hash, item) in hashes.iter().zip(chunk) {
                table.insert_new(hash, Member::new(item.as_bytes(&mut Default::default())));
            }
        }
        Self(Form::Table(UnalignedBox::new(Members::from(table))))
    }

    /// Adds a member that is known not to be there, which saves looking for it in a table.
    pub fn add_absent(&mut self, member: &[u8], limits: SetLimits) {
        match &mut self.0 {
            Form::Table(table) => table.insert_new(table::hash(member), member),
            _ => _ = self.add(member, limits),
        }
    }

    fn add_integer(&mut self, value: i64, limits: SetLimits) -> bool {
        let Form::Integers(intset) = &mut self.0 else { unreachable!("only called on integers") };
        let added = intset.insert(value);
        if intset.len() > limits.integers.min(INTEGERS_MAX) {
            self.convert_to_table();
        }
        added
    }

    /// Removes `member`; false if it is not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Integers(intset) => number::parse_i64(member).is_some_and(|value| intset.remove(value)),
            Form::Packed(listpack) => {
                let position = listpack.find(member, 0);
                if let Some(position) = position {
                    listpack.delete(position);
                }
                position.is_some()
            }
            Form::Table(table) => table.remove(table::hash(member), member),
            Form::Timed(timed) => timed.remove(member),
        }
    }

    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Integers(intset) => number::parse_i64(member).is_some_and(|value| intset.contains(value)),
            Form::Packed(listpack) => listpack.find(member, 0).is_some(),
            Form::Table(table) => table.find(table::hash(member), member).is_some(),
            Form::Timed(timed) => timed.expiry(member).is_some(),
        }
    }

    fn convert_to_listpack(&mut self) {
        if let Form::Integers(intset) = &self.0 {
            let members: Vec<_> = intset.iter().map(listpack::Encoded::from).collect();
            let mut listpack = Listpack::new();
            listpack.append(&members);
            self.0 = Form::Packed(listpack);
        }
    }

    fn convert_to_table(&mut self) {
        if matches!(self.0, Form::Table(_) | Form::Timed(_)) {
            return;
        }
        let mut table = UnalignedBox::new(Members::from(Table::new()));
        for item in self.iter() {
            let mut buffer = Default::default();
            let member = item.as_bytes(&mut buffer);
            table.insert_new(table::hash(member), member);
        }
        self.0 = Form::Table(table);
    }

    /// All members, those that have expired but were not removed yet included: integers ascending, others in no particular
    /// order.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_at(0)
    }

    /// The members that have not expired at `now`.
    pub fn iter_at(&self, now: u64) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Integers(intset) => IterForm::Integers(intset, 0),
            Form::Packed(listpack) => IterForm::Packed(listpack.iter()),
            Form::Table(table) => IterForm::Table(table.iter()),
            Form::Timed(timed) => IterForm::Timed(timed.plain.iter(), timed.fields.iter(), now),
        })
    }

    /// Visits the members that have not expired at `now`, as [`Self::iter_at`] but with one question for the form in all.
    fn visit_at<'a>(&'a self, now: u64, mut visit: impl FnMut(Item<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
        match &self.0 {
            Form::Table(table) => table.iter().try_for_each(|member| visit(Item::Str(member.bytes()))),
            _ => self.iter_at(now).try_for_each(visit),
        }
    }

    /// A member chosen with equal chances for all; `random` gives 64 random bits a call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Item<'_>> {
        match &self.0 {
            Form::Integers(intset) => intset.get(random_below(intset.len(), random())?).map(Item::Int),
            Form::Packed(listpack) => listpack.get_index(random_below(listpack.len(), random())? as i64),
            Form::Table(table) => table.random(random).map(|member| Item::Str(member.bytes())),
            Form::Timed(timed) => timed.random(random),
        }
    }

    /// Visits the members of one step of a scan that have not expired at `now`; returns the next cursor, 0 at the end. The
    /// small forms are one step.
    pub fn scan(&self, cursor: u64, now: u64, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match &self.0 {
            Form::Table(table) => table.scan(cursor, |member| visit(Item::Str(member.bytes()))),
            Form::Timed(timed) => timed.scan(cursor, now, visit),
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }
}

/// Bytes of a table of members; see [`Set::allocated_bytes`].
fn table_bytes(table: &Table<Member>, samples: usize) -> usize {
    let sampled = if samples == 0 { table.len() } else { samples.min(table.len()) };
    let members: usize = table.iter().take(sampled).map(Member::allocated_bytes).sum();
    let all_members = (members as f64 * table.len() as f64 / sampled.max(1) as f64) as usize;
    size_of::<Table<Member>>() + table.memory_bytes() + all_members
}

fn free_effort(table: &Table<Member>) -> usize {
    table.len() + table.bucket_count() / 64
}

fn copy_of(table: &Table<Member>) -> Table<Member> {
    let mut copy = Table::new();
    for member in table.iter() {
        copy.insert_new(table::hash(member.bytes()), Member::new(member.bytes()));
    }
    copy
}

/// The length of the longest member's text: the extremes have it.
fn longest_text(intset: &Intset) -> usize {
    let extremes = [intset.get(0), intset.len().checked_sub(1).and_then(|last| intset.get(last))];
    extremes.into_iter().flatten().map(number::i64_text_len).max().unwrap_or(0)
}

/// Members of a set; see [`Set::iter`].
pub struct Iter<'a>(IterForm<'a>);

enum IterForm<'a> {
    Integers(&'a Intset, usize),
    Packed(listpack::Iter<'a>),
    Table(table::Iter<'a, Member>),
    /// With the time at which expired members are passed over.
    Timed(table::Iter<'a, Member>, table::Iter<'a, Pair>, u64),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            IterForm::Integers(intset, index) => {
                *index += 1;
                intset.get(*index - 1).map(Item::Int)
            }
            IterForm::Packed(entries) => entries.next(),
            IterForm::Table(entries) => entries.next().map(|member| Item::Str(member.bytes())),
            IterForm::Timed(plain, entries, now) => match plain.next() {
                Some(member) => Some(Item::Str(member.bytes())),
                None => entries.find(|pair| !pair.is_expired(*now)).map(|pair| Item::Str(pair.field())),
            },
        }
    }
}

impl<'a> Iter<'a> {
    /// Visits up to `limit` members, with one question for the form in all.
    #[inline]
    fn visit_next(&mut self, limit: usize, mut visit: impl FnMut(Item<'a>)) {
        match &mut self.0 {
            IterForm::Table(entries) => entries.take(limit).for_each(|member| visit(Item::Str(member.bytes()))),
            _ => self.take(limit).for_each(visit),
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Set {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Form::Integers(intset) => Form::Integers(intset.clone()),
            Form::Packed(listpack) => Form::Packed(listpack.clone()),
            Form::Table(table) => Form::Table(UnalignedBox::new(Members::from(copy_of(table)))),
            Form::Timed(timed) => Form::Timed(timed.clone()),
        })
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "tests/set.rs"]
mod tests;
