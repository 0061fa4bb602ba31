//! Members that expire: the set's side of [`super::super::hash::Fields`].
//!
//! A member that gets a time moves from the table of members to one of the kind that hashes have, where it is a field
//! without a value. It stays there, also if it shall not expire any more. So a set never pays for more members than a
//! command names, those that cannot expire keep taking no room for a time, and a scan that goes through the table of
//! members first misses none of those that move meanwhile.

use super::super::hash::{random_below, Fields, Limits, Pair};
use super::super::listpack::Item;
use super::super::unaligned_box::UnalignedBox;
use super::{longest_text, Form, Member, Set, SetLimits};
use crate::mover::Mover;
use crate::table::{self, Table};
use crate::walk::Part;

/// A set of which a member has had a time. Each member is in one of the two tables.
#[derive(Default)]
pub struct Timed {
    /// Without a time, as ever.
    pub(super) plain: Table<Member>,
    pub(super) fields: Fields,
}

/// Cursors of a scan have 32 bits; this one says that they are of the second table.
const SECOND_TABLE: u64 = 1 << 32;

/// A member as the table of fields holds it.
fn pair(member: &[u8]) -> Pair {
    Pair::new(member, b"", None)
}

impl Timed {
    pub fn len(&self) -> usize {
        self.plain.len() + self.fields.len()
    }

    pub fn free_effort(&self) -> usize {
        super::free_effort(&self.plain) + self.fields.len() + self.fields.bucket_count() / 64
    }

    /// Moves members that are to be moved, of some buckets from `at` on; where to go on, 0 at the end.
    pub fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, buckets: usize) -> usize {
        const SECOND: usize = SECOND_TABLE as usize;
        if at < SECOND {
            let next = self.plain.defragment(at, buckets, mover, Member::relocate);
            return if next == 0 { SECOND } else { next };
        }
        match self.fields.defragment(at - SECOND, buckets, mover, Pair::relocate) {
            0 => 0,
            next => next + SECOND,
        }
    }

    /// When `member` expires: `None` if it is not there, `Some(None)` if it does not expire.
    #[inline(never)]
    pub fn expiry(&self, member: &[u8]) -> Option<Option<u64>> {
        let hash = table::hash(member);
        if self.plain.find(hash, member).is_some() {
            return Some(None);
        }
        self.fields.find(hash, member).map(Pair::expiry)
    }

    // Apart, as is what follows: sets without times shall not carry it about.
    #[cold]
    pub fn add(&mut self, member: &[u8], limits: Limits) -> bool {
        if self.expiry(member).is_some() {
            return false;
        }
        let hash = table::hash(member);
        if let Some(walk) = &mut self.fields.walk {
            walk.before_change(Part::Plain, &self.plain, hash, member);
        }
        self.plain.insert_new(hash, Member::new(member));
        self.fields.note_size(member.len(), self.len(), limits);
        true
    }

    #[inline(never)]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.remove_plain(table::hash(member), member) || self.fields.remove(member)
    }

    fn remove_plain(&mut self, hash: u64, member: &[u8]) -> bool {
        if let Some(walk) = &mut self.fields.walk {
            walk.before_removal(Part::Plain, &self.plain, hash, member);
        }
        self.plain.remove(hash, member).is_some()
    }

    /// A step of the walk; false at its end.
    pub fn step(&mut self) -> bool {
        let Some(walk) = &mut self.fields.walk else { return false };
        if !walk.has_passed(Part::Plain) {
            walk.step(Part::Plain, &self.plain);
            return true;
        }
        self.fields.step()
    }

    /// Sets or removes the expiry of a member; false if it is not there.
    fn set_expiry(&mut self, member: &[u8], expiry: Option<u64>) -> bool {
        let hash = table::hash(member);
        if self.plain.find(hash, member).is_some() {
            if expiry.is_none() {
                return true;
            }
            self.remove_plain(hash, member);
            self.fields.before_setting(hash, member);
            self.fields.insert_new(hash, pair(member));
        }
        self.fields.set_expiry(member, expiry)
    }

    #[inline(never)]
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Item<'_>> {
        if random_below(self.len(), random())? < self.plain.len() {
            self.plain.random(random).map(|member| Item::Str(member.bytes()))
        } else {
            self.fields.random(random).map(|pair| Item::Str(pair.field()))
        }
    }

    pub fn scan(&self, cursor: u64, now: u64, mut visit: impl FnMut(Item<'_>)) -> u64 {
        if cursor & SECOND_TABLE == 0 {
            return match self.plain.scan(cursor, |member| visit(Item::Str(member.bytes()))) {
                0 if self.fields.is_empty() => 0,
                0 => SECOND_TABLE,
                next => next,
            };
        }
        let next = self.fields.scan(cursor & !SECOND_TABLE, |pair| {
            if !pair.is_expired(now) {
                visit(Item::Str(pair.field()));
            }
        });
        match next {
            0 => 0,
            next => next | SECOND_TABLE,
        }
    }
}

impl Clone for Timed {
    fn clone(&self) -> Self {
        Timed { plain: super::copy_of(&self.plain), fields: self.fields.clone() }
    }
}

impl Set {
    /// What expires, or could: members that have had a time.
    #[inline]
    pub fn timed(&self) -> Option<&Fields> {
        match &self.0 {
            Form::Timed(timed) => Some(&timed.fields),
            _ => None,
        }
    }

    #[inline]
    pub fn timed_mut(&mut self) -> Option<&mut Fields> {
        match &mut self.0 {
            Form::Timed(timed) => Some(&mut timed.fields),
            _ => None,
        }
    }

    /// Whether members have an expiry.
    #[inline]
    pub fn has_expiries(&self) -> bool {
        self.timed().is_some_and(Fields::has_expiries)
    }

    /// Whether a member may have expired at `now`.
    #[inline]
    pub fn is_due(&self, now: u64) -> bool {
        self.timed().is_some_and(|fields| fields.is_due(now))
    }

    /// When `member` expires: `None` if there is no such member, `Some(None)` if it does not expire.
    pub fn expiry(&self, member: &[u8]) -> Option<Option<u64>> {
        match &self.0 {
            Form::Timed(timed) => timed.expiry(member),
            _ => self.contains(member).then_some(None),
        }
    }

    /// Sets or removes the expiry of `member`; false if there is no such member. A small set becomes a table with its first
    /// expiry.
    pub fn set_expiry(&mut self, member: &[u8], expiry: Option<u64>, limits: SetLimits) -> bool {
        if !self.contains(member) {
            return false;
        }
        if expiry.is_some() {
            self.expect_expiries(limits);
        }
        match &mut self.0 {
            Form::Timed(timed) => timed.set_expiry(member, expiry),
            _ => true,
        }
    }

    fn expect_expiries(&mut self, limits: SetLimits) {
        let is_small = match &self.0 {
            Form::Integers(intset) => {
                intset.len() <= limits.packed.entries && longest_text(intset) <= limits.packed.value_bytes
            }
            Form::Packed(_) => true,
            Form::Table(_) => false,
            Form::Timed(_) => return,
        };
        self.convert_to_table();
        let mut timed = UnalignedBox::<Timed>::default();
        timed.fields.expect_expiries(is_small);
        if let Form::Table(table) = &mut self.0 {
            (timed.plain, timed.fields.walk) = table.take();
        }
        self.0 = Form::Timed(timed);
    }
}
