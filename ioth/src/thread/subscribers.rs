//! Who is subscribed to what, among the connections of one thread.

use std::collections::BTreeMap;

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

/// See the file's head.
#[derive(Default)]
pub struct Subscribers {
    kinds: [Table<Named<Places>>; KINDS],
    /// Connections that were given messages since the last sending.
    pub fed: Vec<u32>,
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
