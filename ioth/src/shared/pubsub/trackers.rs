//! Clients with caches of their own, as far as other threads have to know them, and what is to be told to them.
//!
//! Which client has read which key the shards know (`sherd_shards::keyspace::tracking`); who is told of keys by prefix, and who
//! has its invalidations sent to another client, is known here. Whoever has changed a key puts what is to be told into the boxes
//! of the threads that the receivers belong to, before its own client is answered. It goes straight to the receiver's thread,
//! another client's or not: so a receiver that has heard of a change has its invalidation with its next reply.

use std::collections::hash_map::HashMap;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::keyspace::invalidations::{Cause, Invalidation, Told};

use crate::connection::token::Token;
use crate::connection::tracking::Prefix;

use super::{Post, PubSub};

/// A client that is to be told, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receiver {
    /// The client that tracks.
    pub client: Token,
    /// The connection that is told: its own, or another client's.
    pub to: Token,
    /// The id of that other client; 0 if it is its own.
    pub redirect: u64,
    /// It is told of keys by prefix.
    pub by_prefix: bool,
    /// It is not told of its own changes.
    pub no_loop: bool,
}

impl Receiver {
    /// A client that has read a key, and is told itself.
    fn own(client: Token) -> Receiver {
        Receiver { client, to: client, redirect: 0, by_prefix: false, no_loop: false }
    }
}

/// Keys that have changed, with those who have changed them, as clients are told of them.
pub struct Keys {
    keys: Vec<(Box<[u8]>, u64)>,
    encoded: Box<[u8]>,
}

impl Keys {
    /// Keys, each with the client that has changed it, or 0.
    pub fn new(keys: Vec<(Box<[u8]>, u64)>) -> Keys {
        let encoded = encode(keys.iter().map(|(key, _)| &**key));
        Keys { keys, encoded: encoded.into() }
    }

    /// The keys themselves.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|(key, _)| &**key)
    }

    /// The array of the keys, in both protocols.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Whether some of them were changed by a client.
    pub fn concern(&self, client: Token) -> bool {
        self.keys.iter().any(|(_, by)| *by == client.to_bits())
    }

    /// The array of those that others have changed, if there are any.
    pub fn encoded_without(&self, client: Token) -> Option<Vec<u8>> {
        let others: Vec<&[u8]> =
            self.keys.iter().filter(|(_, by)| *by != client.to_bits()).map(|(key, _)| &**key).collect();
        (!others.is_empty()).then(|| encode(others.into_iter()))
    }
}

fn encode<'a>(keys: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(keys.clone().map(|key| key.len() + 32).sum());
    let mut reply = Reply::new(&mut encoded, Protocol::Resp2);
    reply.array(keys.clone().count());
    keys.for_each(|key| reply.bulk(key));
    encoded
}

/// Receivers in one thread.
pub enum Receivers {
    These(Vec<Receiver>),
    Shared(Arc<[Receiver]>),
}

impl Deref for Receivers {
    type Target = [Receiver];

    fn deref(&self) -> &[Receiver] {
        match self {
            Receivers::These(receivers) => receivers,
            Receivers::Shared(receivers) => receivers,
        }
    }
}

/// What one thread is to tell some of its clients.
pub struct Invalidated {
    /// `None` is all keys, which is told to every client of the thread that tracks and is told itself, and to `to`.
    pub keys: Option<Arc<Keys>>,
    pub to: Receivers,
    /// It was the receiver's own command.
    pub cause: Option<Cause>,
}

impl Invalidated {
    /// What it takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Invalidated>()
            + self.keys.as_ref().map_or(0, |keys| 2 * keys.encoded.len())
            + self.to.len() * size_of::<Receiver>()
    }
}

#[derive(Default)]
struct Tables {
    /// Who is told of keys that begin like this, by the receivers' threads.
    prefixes: BTreeMap<Prefix, BTreeMap<u16, Arc<[Receiver]>>>,
    /// Clients that have another one told.
    redirected: HashMap<Token, Receiver>,
}

impl Tables {
    fn remove_from_prefix(&mut self, prefix: &Prefix, client: Token) {
        let Some(threads) = self.prefixes.get_mut(prefix) else { return };
        threads.retain(|_, receivers| {
            if receivers.iter().any(|receiver| receiver.client == client) {
                *receivers = receivers.iter().copied().filter(|receiver| receiver.client != client).collect();
            }
            !receivers.is_empty()
        });
        if threads.is_empty() {
            self.prefixes.remove(prefix);
        }
    }

    fn add_to_prefix(&mut self, prefix: &Prefix, receiver: Receiver) {
        let threads = self.prefixes.entry(Arc::clone(prefix)).or_default();
        let receivers = threads.entry(receiver.to.io_thread).or_insert_with(|| Arc::new([]));
        *receivers = receivers.iter().copied().chain([receiver]).collect();
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Trackers {
    tables: RwLock<Tables>,
    prefixes: AtomicUsize,
}

impl Trackers {
    fn change(&self, change: impl FnOnce(&mut Tables)) {
        // Nothing that is done under the lock panics half way.
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut tables);
        self.prefixes.store(tables.prefixes.len(), Relaxed);
    }

    /// A client tracks, or does so in another way. These are all of its prefixes; at no moment is it in none of them.
    pub fn set<'a>(&self, receiver: Receiver, prefixes: impl Iterator<Item = &'a Prefix>) {
        self.change(|tables| {
            if receiver.redirect == 0 {
                tables.redirected.remove(&receiver.client);
            } else {
                tables.redirected.insert(receiver.client, receiver);
            }
            for prefix in prefixes {
                tables.remove_from_prefix(prefix, receiver.client);
                tables.add_to_prefix(prefix, receiver);
            }
        });
    }

    /// A client tracks no longer.
    pub fn remove<'a>(&self, client: Token, prefixes: impl Iterator<Item = &'a Prefix>) {
        self.change(|tables| {
            tables.redirected.remove(&client);
            prefixes.for_each(|prefix| tables.remove_from_prefix(prefix, client));
        });
    }

    /// Prefixes that somebody is told of.
    pub fn prefix_count(&self) -> usize {
        self.prefixes.load(Relaxed)
    }
}

/// Parcels for the threads, as they are filled.
struct Parcels(Vec<Vec<Invalidated>>);

impl Parcels {
    fn add(&mut self, thread: usize, keys: Option<&Arc<Keys>>, to: Receivers) {
        // A token names a thread of this server.
        if let Some(parcel) = self.0.get_mut(thread) {
            parcel.push(Invalidated { keys: keys.cloned(), to, cause: None });
        }
    }

    /// Adds what is to be told to the client that has caused it.
    fn add_own(&mut self, keys: &Arc<Keys>, receiver: Receiver, cause: Cause) {
        if let Some(parcel) = self.0.get_mut(usize::from(receiver.to.io_thread)) {
            let to = Receivers::These(vec![receiver]);
            parcel.push(Invalidated { keys: Some(Arc::clone(keys)), to, cause: Some(cause) });
        }
    }

    /// Adds what is to be told to receivers, thread by thread.
    fn add_for(&mut self, keys: Option<&Arc<Keys>>, receivers: impl Iterator<Item = Receiver>) {
        let mut threads: Vec<(usize, Vec<Receiver>)> = Vec::new();
        for receiver in receivers {
            let of = usize::from(receiver.to.io_thread);
            match threads.iter_mut().find(|(thread, _)| *thread == of) {
                Some((_, those)) => those.push(receiver),
                None => threads.push((of, vec![receiver])),
            }
        }
        for (thread, receivers) in threads {
            self.add(thread, keys, Receivers::These(receivers));
        }
    }
}

impl PubSub {
    /// Has clients with caches told of keys that have changed.
    pub fn publish_invalidations(&self, invalidations: Vec<Invalidation>) {
        if invalidations.is_empty() {
            return;
        }
        let tables = self.trackers.tables.read().unwrap_or_else(PoisonError::into_inner);
        let mut parcels = Parcels((0..self.boxes.len()).map(|_| Vec::new()).collect());
        let mut changed = Vec::new();
        for invalidation in invalidations {
            match invalidation.told {
                Told::Everything => {
                    for thread in 0..self.boxes.len() {
                        let here = |receiver: &&Receiver| usize::from(receiver.to.io_thread) == thread;
                        let to = tables.redirected.values().filter(here).copied().collect();
                        parcels.add(thread, None, Receivers::These(to));
                    }
                }
                Told::Key { key, readers, has_changed, by } => {
                    if has_changed {
                        changed.push((key.clone(), by));
                    }
                    if !readers.is_empty() {
                        let keys = Arc::new(Keys::new(vec![(key, by)]));
                        let receiver = |token| {
                            let client = Token::from_bits(token);
                            tables.redirected.get(&client).copied().unwrap_or(Receiver::own(client))
                        };
                        let own = invalidation.cause.map(|cause| (Token::from_bits(cause.client), cause));
                        if let Some((client, cause)) = own {
                            parcels.add_own(&keys, receiver(client.to_bits()), cause);
                        }
                        // One that goes by prefix now has read the key before that.
                        let receivers = readers.into_iter().map(receiver).filter(|receiver| {
                            !receiver.by_prefix && own.is_none_or(|(client, _)| client != receiver.client)
                        });
                        parcels.add_for(Some(&keys), receivers);
                    }
                }
            }
        }
        add_changed(&tables, changed, &mut parcels);
        drop(tables);
        for (thread, parcel) in parcels.0.into_iter().enumerate().filter(|(_, parcel)| !parcel.is_empty()) {
            self.post(thread, Post::Invalidated(parcel));
        }
    }
}

/// Adds what is to be told by prefix: one message a prefix, with each key once and in order.
fn add_changed(tables: &Tables, mut changed: Vec<(Box<[u8]>, u64)>, parcels: &mut Parcels) {
    if changed.is_empty() || tables.prefixes.is_empty() {
        return;
    }
    changed.sort_by(|a, b| a.0.cmp(&b.0));
    changed.dedup_by(|later, first| {
        let is_same = later.0 == first.0;
        // Whom several have changed nobody has changed alone.
        if is_same && later.1 != first.1 {
            first.1 = 0;
        }
        is_same
    });
    for (prefix, threads) in &tables.prefixes {
        let first = changed.partition_point(|(key, _)| **key < **prefix);
        let matching: Vec<_> =
            changed[first..].iter().take_while(|(key, _)| key.starts_with(prefix)).cloned().collect();
        if matching.is_empty() {
            continue;
        }
        let keys = Arc::new(Keys::new(matching));
        for (&thread, receivers) in threads {
            parcels.add(usize::from(thread), Some(&keys), Receivers::Shared(Arc::clone(receivers)));
        }
    }
}

#[cfg(test)]
#[path = "trackers_tests.rs"]
mod tests;
