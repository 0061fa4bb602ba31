//! Saving a set in slices: its members are walked where they have a table, those that have had a time after the others.
//!
//! A member that gets a time meanwhile goes from the one table to the other: to the walk it is removed and added.

use super::{Form, Set};
use crate::walk::{Leftover, Visitor, Walk, Walkable};

impl Walkable for Set {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        let Some(place) = self.walk() else { return false };
        *place = Some(Walk::new(visitor));
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.walk()?.as_deref_mut().map(Walk::visitor)
    }

    fn take_bytes(&mut self) -> i64 {
        self.walk().and_then(Option::as_deref_mut).map_or(0, Walk::take_bytes)
    }

    fn step(&mut self) -> bool {
        match &mut self.0 {
            Form::Table(members) => members.step(),
            Form::Timed(timed) => timed.step(),
            _ => false,
        }
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        self.walk()?.take().map(|walk| walk as Leftover)
    }
}

impl Set {
    /// Where a walk is kept, if there can be one.
    fn walk(&mut self) -> Option<&mut Option<Box<Walk>>> {
        match &mut self.0 {
            Form::Table(members) => Some(&mut members.walk),
            Form::Timed(timed) => Some(&mut timed.fields.walk),
            _ => None,
        }
    }

    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        match &self.0 {
            Form::Table(members) => members.walk.is_some(),
            Form::Timed(timed) => timed.fields.walk.is_some(),
            _ => false,
        }
    }

    /// Whether a walk through it is possible.
    pub fn is_walkable(&self) -> bool {
        matches!(self.0, Form::Table(_) | Form::Timed(_))
    }
}
