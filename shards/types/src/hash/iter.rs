//! Iteration over the pairs of a hash in either form.

use super::super::listpack::{self, Item, Listpack};
use super::pair::Pair;
use crate::table::{self, Table};

/// The pairs of a listpack.
pub fn pairs(listpack: &Listpack) -> impl Iterator<Item = (Item<'_>, Item<'_>)> {
    let mut items = listpack.iter();
    std::iter::from_fn(move || Some((items.next()?, items.next()?)))
}

/// The parts of a table's entry, as items.
#[inline]
pub fn items(pair: &Pair) -> (Item<'_>, Item<'_>) {
    let (field, value) = pair.field_and_value();
    (Item::Str(field), Item::Str(value))
}

/// Fields with their values; see [`super::Hash::iter`].
pub struct Iter<'a>(Form<'a>);

enum Form<'a> {
    Packed(listpack::Iter<'a>),
    /// With the time at which expired pairs are passed over.
    Table(table::Iter<'a, Pair>, u64),
}

impl<'a> Iter<'a> {
    pub(super) fn packed(listpack: &'a Listpack) -> Self {
        Self(Form::Packed(listpack.iter()))
    }

    pub(super) fn table(table: &'a Table<Pair>, now: u64) -> Self {
        Self(Form::Table(table.iter(), now))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Form::Packed(entries) => Some((entries.next()?, entries.next()?)),
            Form::Table(entries, now) => entries.find(|pair| !pair.is_expired(*now)).map(items),
        }
    }
}
