//! Who is subscribed to what, among the connections of one thread.

use std::collections::{BTreeMap, VecDeque};

use sherd_types::table::{hash, Table};

use crate::connection::name::{Name, Named};
use crate::connection::subscriptions::{Kind, KINDS};

/// The subscribers of a name: the places of their connections, each with the stamp of the first message that is for it.
enum Places {
    /// As most names of which there are many have one subscriber, it takes no memory of its own.
    One(u32, u64),
    // Seldom wanted: what it takes, every name would have room for.
    #[allow(clippy::box_collection)]
    Many(Box<BTreeMap<u32, u64>>),
}

/// Bytes of messages that may wait for their turn to be sent; from there on nobody waits for a turn.
const FED_BYTES_MAX: usize = 8 << 20;

/// Connections that were given messages and are to be sent them, each once, in the order of the first.
#[derive(Default)]
pub struct Fed {
    places: VecDeque<u32>,
    /// Bytes that were given since the queue was empty.
    bytes: usize,
}

impl Fed {
    /// Adds a connection; [`Fed::note`] tells of each of its messages.
    pub fn add(&mut self, index: u32) {
        self.places.push_back(index);
    }

    /// So many bytes were given to one of the connections.
    pub fn note(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Takes the connection that has waited longest.
    pub fn take(&mut self) -> Option<u32> {
        let next = self.places.pop_front();
        if self.places.is_empty() {
            self.bytes = 0;
        }
        next
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many are to be sent their messages now, where `turn` are a turn.
    pub fn due(&self, turn: usize) -> usize {
        if self.bytes > FED_BYTES_MAX {
            self.places.len()
        } else {
            turn.min(self.places.len())
        }
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Subscribers {
    kinds: [Table<Named<Places>>; KINDS],
    pub fed: Fed,
}

impl Subscribers {
    /// Adds a subscriber.
    pub fn add(&mut self, kind: Kind, name: Name, index: u32, since: u64) {
        let (names, hash) = (&mut self.kinds[kind as usize], hash(&name));
        let Some(known) = names.find_mut(hash, &name) else {
            names.insert_new(hash, Named::new(name, Places::One(index, since)));
            return;
        };
        match known.value_mut() {
            Places::Many(places) => {
                places.insert(index, since);
            }
            Places::One(other, its) => {
                let places = BTreeMap::from([(*other, *its), (index, since)]);
                *known.value_mut() = Places::Many(Box::new(places));
            }
        }
    }

    /// Removes a subscriber.
    pub fn remove(&mut self, kind: Kind, name: &Name, index: u32) {
        let (names, hash) = (&mut self.kinds[kind as usize], hash(name));
        let is_last = match names.find_mut(hash, name).map(Named::value_mut) {
            Some(Places::Many(places)) => {
                places.remove(&index);
                places.is_empty()
            }
            Some(Places::One(..)) => true,
            None => false,
        };
        if is_last {
            drop(names.remove(hash, name));
        }
    }

    /// Calls `with` for each connection that a message of this stamp is for.
    pub fn for_each(&self, kind: Kind, name: &Name, stamp: u64, mut with: impl FnMut(u32)) {
        match self.kinds[kind as usize].find(hash(name), name).map(Named::value) {
            Some(Places::Many(places)) => {
                places.iter().filter(|(_, &since)| stamp >= since).for_each(|(&index, _)| with(index));
            }
            Some(&Places::One(index, since)) if stamp >= since => with(index),
            _ => {}
        }
    }
}
