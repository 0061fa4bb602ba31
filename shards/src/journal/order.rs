//! Putting what comes by its ticket into order: each ticket is taken by somebody who pushes at once, so a gap closes soon.

use std::collections::BTreeMap;

use super::{Numbered, Ticket};

/// See the [module](self).
#[derive(Default)]
pub struct Order {
    /// The last ticket that was given out.
    last: Ticket,
    /// What came before something with a lower ticket.
    early: BTreeMap<Ticket, Numbered>,
}

impl Order {
    /// Takes the next thing that came; returns it if it is its turn.
    #[inline]
    pub fn put(&mut self, numbered: Numbered) -> Option<Numbered> {
        if numbered.ticket == self.last + 1 {
            self.last += 1;
            return Some(numbered);
        }
        debug_assert!(numbered.ticket > self.last, "a ticket is used once");
        self.early.insert(numbered.ticket, numbered);
        None
    }

    /// What has come early and whose turn it is now.
    #[inline]
    pub fn take_next(&mut self) -> Option<Numbered> {
        if self.early.is_empty() {
            return None;
        }
        let next = self.early.remove(&(self.last + 1))?;
        self.last += 1;
        Some(next)
    }

    /// Everything up to this ticket was given out.
    pub fn last(&self) -> Ticket {
        self.last
    }

    /// Whether nothing waits for a lower ticket.
    pub fn is_empty(&self) -> bool {
        self.early.is_empty()
    }
}
