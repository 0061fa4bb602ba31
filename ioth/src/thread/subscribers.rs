//! Who is subscribed to what, among the connections of one thread.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::BTreeMap;

use crate::connection::subscriptions::{Kind, Name, KINDS};

/// The subscribers of a name: the places of their connections, each with the stamp of the first message that is for it.
enum Places {
    /// As most names of which there are many have one subscriber, it takes no memory of its own.
    One(u32, u64),
    Many(BTreeMap<u32, u64>),
}

/// See the file's head.
#[derive(Default)]
pub struct Subscribers {
    kinds: [HashMap<Name, Places>; KINDS],
    /// Connections that were given messages since the last sending.
    pub fed: Vec<u32>,
}

impl Subscribers {
    /// Adds a subscriber.
    pub fn add(&mut self, kind: Kind, name: Name, index: u32, since: u64) {
        match self.kinds[kind as usize].entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Places::One(index, since));
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Places::Many(places) => {
                    places.insert(index, since);
                }
                Places::One(other, its) => {
                    let places = BTreeMap::from([(*other, *its), (index, since)]);
                    entry.insert(Places::Many(places));
                }
            },
        }
    }

    /// Removes a subscriber.
    pub fn remove(&mut self, kind: Kind, name: &Name, index: u32) {
        let names = &mut self.kinds[kind as usize];
        let is_last = match names.get_mut(name) {
            Some(Places::Many(places)) => {
                places.remove(&index);
                places.is_empty()
            }
            Some(Places::One(..)) => true,
            None => false,
        };
        if is_last {
            names.remove(name);
            if names.is_empty() {
                *names = HashMap::new();
            }
        }
    }

    /// Calls `with` for each connection that a message of this stamp is for.
    pub fn for_each(&self, kind: Kind, name: &Name, stamp: u64, mut with: impl FnMut(u32)) {
        match self.kinds[kind as usize].get(name) {
            Some(Places::Many(places)) => {
                places.iter().filter(|(_, &since)| stamp >= since).for_each(|(&index, _)| with(index));
            }
            Some(&Places::One(index, since)) if stamp >= since => with(index),
            _ => {}
        }
    }
}
