//! Members that expire: the set's side of [`super::super::hash::Fields`].

use super::super::hash::{Fields, Pair};
use super::super::unaligned_box::UnalignedBox;
use super::{longest_text, Form, Set, SetLimits};
use crate::table;

/// A member as the table of fields holds it.
pub(super) fn pair(member: &[u8]) -> Pair {
    Pair::new(member, b"", None)
}

impl Set {
    /// What expires, or could: the table of a set of which a member has had a time.
    #[inline]
    pub fn timed(&self) -> Option<&Fields> {
        match &self.0 {
            Form::Timed(fields) => Some(fields),
            _ => None,
        }
    }

    #[inline]
    pub fn timed_mut(&mut self) -> Option<&mut Fields> {
        match &mut self.0 {
            Form::Timed(fields) => Some(fields),
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
            Form::Timed(fields) => fields.expiry(member),
            _ => self.contains(member).then_some(None),
        }
    }

    /// Sets or removes the expiry of `member`; false if there is no such member. The first expiry makes the set another kind
    /// of table.
    pub fn set_expiry(&mut self, member: &[u8], expiry: Option<u64>, limits: SetLimits) -> bool {
        if !self.contains(member) {
            return false;
        }
        if expiry.is_some() {
            self.expect_expiries(limits);
        }
        self.timed_mut().is_none_or(|fields| fields.set_expiry(member, expiry))
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
        let mut fields = UnalignedBox::<Fields>::default();
        for item in self.iter() {
            let mut buffer = Default::default();
            let member = item.as_bytes(&mut buffer);
            fields.insert_new(table::hash(member), pair(member));
        }
        fields.expect_expiries(is_small);
        self.0 = Form::Timed(fields);
    }
}
