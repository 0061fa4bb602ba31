//! Saving a hash in slices: its fields are walked where they have a table.

use super::{Form, Hash};
use crate::walk::{Leftover, Part, Visitor, Walk, Walkable};

impl Walkable for Hash {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        let Form::Table(fields) = &mut self.0 else { return false };
        let mut walk = Walk::new(visitor);
        walk.pass(Part::Plain);
        fields.walk = Some(walk);
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.timed_mut()?.walk.as_deref_mut().map(Walk::visitor)
    }

    fn take_bytes(&mut self) -> i64 {
        self.timed_mut().and_then(|fields| fields.walk.as_deref_mut()).map_or(0, Walk::take_bytes)
    }

    fn step(&mut self) -> bool {
        self.timed_mut().is_some_and(|fields| fields.step())
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        self.timed_mut()?.walk.take().map(|walk| walk as Leftover)
    }
}

impl Hash {
    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        self.timed().is_some_and(|fields| fields.walk.is_some())
    }

    /// Whether a walk through it is possible.
    pub fn is_walkable(&self) -> bool {
        self.timed().is_some()
    }
}
