//! What a shard has to tell others: gathered while its baton is held, told when all batons have been let go.

use sherd_metrics::memory;

use super::events::{Event, Events};
use super::invalidations::{Invalidation, Invalidations};
use crate::effects::blocking::Wake;
use crate::journal::Ticket;

/// See the module: one a shard, drained by whoever lets go of it.
#[derive(Default)]
pub struct Outbox {
    /// What has become of clients that waited for a key.
    wakes: Vec<Wake>,
    pub events: Events,
    /// What clients with caches are to be told.
    pub invalidations: Invalidations,
}

/// What was gathered in one or several shards.
#[derive(Default)]
pub struct Letters {
    pub wakes: Vec<Wake>,
    pub events: Vec<Event>,
    pub invalidations: Vec<Invalidation>,
    /// Events or invalidations were handed to the engine, which has to tell of them.
    pub has_news: bool,
    /// What the slice has written is in this segment of the journal; 0 if it has written nothing, or nobody listens.
    pub ticket: Ticket,
}

impl Outbox {
    /// Adds what has become of a waiting client.
    pub fn wake(&mut self, wake: Wake) {
        // Freed when it was told.
        memory::apart(|| self.wakes.push(wake));
    }

    /// Whether there is nothing to tell.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.events.is_empty() && self.invalidations.is_empty()
    }

    /// What was allocated for what is told since the last call, with the baton held: it is not the shard's.
    #[inline]
    pub fn take_bytes(&mut self) -> i64 {
        self.events.take_bytes() + self.invalidations.take_bytes()
    }

    /// Takes everything.
    #[inline]
    pub fn drain(&mut self) -> Letters {
        if self.is_empty() {
            return Letters::default();
        }
        Letters {
            wakes: std::mem::take(&mut self.wakes),
            events: self.events.take(),
            invalidations: self.invalidations.take(),
            ..Letters::default()
        }
    }
}

impl Letters {
    /// Whether there is nothing to tell.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.events.is_empty() && self.invalidations.is_empty() && !self.has_news
    }

    /// Adds what another shard has to tell.
    pub fn append(&mut self, mut others: Letters) {
        self.wakes.append(&mut others.wakes);
        self.events.append(&mut others.events);
        self.invalidations.append(&mut others.invalidations);
        self.has_news |= others.has_news;
        self.ticket = self.ticket.max(others.ticket);
    }
}
