//! Which threads have subscribers of a name, and how many: what PUBLISH looks at, and answers with.
//!
//! The subscribers themselves are known to their threads only. Names are spread over stripes, each with a lock of its own, so
//! that publishers of different channels do not meet; patterns, all of which every message is compared with, have one stripe.
//!
//! A message may still be on its way to a thread when somebody there subscribes, who must not get what was published before.
//! So each stripe counts its messages: a message is stamped with the count, and a subscription with what the count was when
//! it began.
//!
//! Rejected: an immutable map that is replaced with every change, which a million subscriptions would copy a million times.

use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sherd_shards::glob;

use crate::connection::subscriptions::{Kind, Name, KINDS};

/// Locks for the channels of a server.
const STRIPES: usize = 64;

/// The threads that a message goes to, as a bit set, and how many clients get it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Audience {
    pub threads: u64,
    pub receivers: u64,
}

impl Audience {
    fn add(&mut self, subscribers: &[(u16, u32)]) {
        for &(thread, count) in subscribers {
            self.threads |= 1 << thread;
            self.receivers += u64::from(count);
        }
    }
}

#[derive(Default)]
struct Stripe {
    /// The number of subscribers of a name in each thread that has some.
    names: HashMap<Name, Vec<(u16, u32)>>,
    /// Messages that were published to names of this stripe.
    published: AtomicU64,
}

/// Names of one kind.
struct Names {
    stripes: Vec<RwLock<Stripe>>,
    hasher: RandomState,
    count: AtomicUsize,
}

impl Names {
    fn new(stripes: usize) -> Names {
        Names {
            stripes: (0..stripes).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
        }
    }

    fn stripe(&self, name: &[u8]) -> &RwLock<Stripe> {
        match self.stripes.as_slice() {
            [only] => only,
            many => &many[self.hasher.hash_one(name) as usize % many.len()],
        }
    }
}

// Nothing that is done under a lock panics half way.
fn read(stripe: &RwLock<Stripe>) -> RwLockReadGuard<'_, Stripe> {
    stripe.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(stripe: &RwLock<Stripe>) -> RwLockWriteGuard<'_, Stripe> {
    stripe.write().unwrap_or_else(PoisonError::into_inner)
}

/// See the file's head.
pub struct Registry {
    kinds: [Names; KINDS],
}

impl Default for Registry {
    fn default() -> Registry {
        // In the order of `Kind`.
        Registry { kinds: [Names::new(STRIPES), Names::new(1), Names::new(STRIPES)] }
    }
}

impl Registry {
    /// Adds a subscriber in a thread. Returns the name to keep, and the stamp from which on messages are for it.
    pub fn add(&self, kind: Kind, name: &[u8], thread: u16) -> (Name, u64) {
        let names = &self.kinds[kind as usize];
        let mut stripe = write(names.stripe(name));
        let since = *stripe.published.get_mut();
        let known = stripe.names.get_key_value(name).map(|(name, _)| Name::clone(name));
        let name = known.unwrap_or_else(|| Name::from(name));
        let subscribers = stripe.names.entry(Name::clone(&name)).or_insert_with(|| {
            names.count.fetch_add(1, Relaxed);
            Vec::with_capacity(1)
        });
        match subscribers.iter_mut().find(|(other, _)| *other == thread) {
            Some((_, count)) => *count += 1,
            None => subscribers.push((thread, 1)),
        }
        (name, since)
    }

    /// Removes a subscriber in a thread.
    pub fn remove(&self, kind: Kind, name: &Name, thread: u16) {
        let names = &self.kinds[kind as usize];
        let mut stripe = write(names.stripe(name));
        let Entry::Occupied(mut entry) = stripe.names.entry(Name::clone(name)) else { return };
        let subscribers = entry.get_mut();
        let Some(place) = subscribers.iter().position(|(other, _)| *other == thread) else { return };
        subscribers[place].1 -= 1;
        if subscribers[place].1 == 0 {
            subscribers.swap_remove(place);
        }
        if subscribers.is_empty() {
            entry.remove();
            names.count.fetch_sub(1, Relaxed);
        }
        if stripe.names.is_empty() {
            stripe.names = HashMap::new();
        }
    }

    /// Names of a kind that have subscribers.
    #[inline]
    pub fn count(&self, kind: Kind) -> usize {
        self.kinds[kind as usize].count.load(Relaxed)
    }

    /// Who gets a message to a channel, and its stamp; `None` if nobody does.
    pub fn subscribers(&self, kind: Kind, channel: &[u8]) -> Option<(Name, u64, Audience)> {
        if self.count(kind) == 0 {
            return None;
        }
        let stripe = read(self.kinds[kind as usize].stripe(channel));
        let (name, subscribers) = stripe.names.get_key_value(channel)?;
        let mut audience = Audience::default();
        audience.add(subscribers);
        Some((Name::clone(name), stripe.published.fetch_add(1, Relaxed), audience))
    }

    /// The patterns that match a channel, the stamp of a message to them, and who gets it.
    pub fn patterns(&self, channel: &[u8]) -> (Vec<Name>, u64, Audience) {
        let (mut matching, mut audience) = (Vec::new(), Audience::default());
        if self.count(Kind::Pattern) == 0 {
            return (matching, 0, audience);
        }
        let stripe = read(&self.kinds[Kind::Pattern as usize].stripes[0]);
        for (pattern, subscribers) in &stripe.names {
            if glob::matches(pattern, channel) {
                matching.push(Name::clone(pattern));
                audience.add(subscribers);
            }
        }
        (matching, stripe.published.fetch_add(1, Relaxed), audience)
    }

    /// How many clients are subscribed to a name.
    pub fn subscriber_count(&self, kind: Kind, name: &[u8]) -> u64 {
        let stripe = read(self.kinds[kind as usize].stripe(name));
        stripe.names.get(name).into_iter().flatten().map(|(_, count)| u64::from(*count)).sum()
    }

    /// The names of a kind that a pattern matches, or all.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Name> {
        let mut found = Vec::new();
        for stripe in &self.kinds[kind as usize].stripes {
            let stripe = read(stripe);
            let wanted = |name: &&Name| pattern.is_none_or(|pattern| glob::matches(pattern, name));
            found.extend(stripe.names.keys().filter(wanted).cloned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_each_thread_that_has_subscribers_and_is_counted_by_them() {
        let registry = Registry::default();
        assert_eq!(registry.subscribers(Kind::Channel, b"c"), None);
        for thread in [3, 5, 5] {
            registry.add(Kind::Channel, b"c", thread);
        }
        let (name, _, audience) = registry.subscribers(Kind::Channel, b"c").expect("somebody is subscribed");
        assert_eq!(audience, Audience { threads: 1 << 3 | 1 << 5, receivers: 3 });
        assert_eq!((registry.count(Kind::Channel), registry.subscriber_count(Kind::Channel, b"c")), (1, 3));
        registry.remove(Kind::Channel, &name, 5);
        registry.remove(Kind::Channel, &name, 3);
        let (.., audience) = registry.subscribers(Kind::Channel, b"c").expect("somebody is subscribed");
        assert_eq!(audience, Audience { threads: 1 << 5, receivers: 1 });
        registry.remove(Kind::Channel, &name, 5);
        assert_eq!(registry.subscribers(Kind::Channel, b"c"), None);
        assert_eq!(registry.count(Kind::Channel), 0);
    }

    #[test]
    fn kinds_have_nothing_to_do_with_one_another() {
        let registry = Registry::default();
        registry.add(Kind::Channel, b"c*", 0);
        registry.add(Kind::ShardChannel, b"cat", 1);
        registry.add(Kind::Pattern, b"c*", 2);
        assert_eq!(registry.subscribers(Kind::Channel, b"cat"), None);
        let (patterns, _, audience) = registry.patterns(b"cat");
        assert_eq!((patterns.len(), audience), (1, Audience { threads: 1 << 2, receivers: 1 }));
        assert_eq!(registry.names(Kind::Channel, Some(b"c\\*")).len(), 1);
        assert_eq!(registry.names(Kind::ShardChannel, None), [Name::from(&b"cat"[..])]);
        assert!(registry.names(Kind::ShardChannel, Some(b"dog")).is_empty());
    }

    #[test]
    fn a_subscription_tells_what_was_published_before_it_from_what_came_after() {
        let registry = Registry::default();
        let (_, first) = registry.add(Kind::Channel, b"c", 0);
        let stamp = |registry: &Registry| registry.subscribers(Kind::Channel, b"c").expect("a subscriber").1;
        let before = stamp(&registry);
        let (_, second) = registry.add(Kind::Channel, b"c", 0);
        let after = stamp(&registry);
        assert!(before >= first && before < second && after >= second);
        registry.add(Kind::Pattern, b"*", 0);
        let before = registry.patterns(b"c").1;
        let (_, since) = registry.add(Kind::Pattern, b"*", 0);
        assert!(before < since && registry.patterns(b"c").1 >= since);
    }

    #[test]
    fn threads_that_subscribe_and_publish_at_once_leave_nothing_behind() {
        let registry = Registry::default();
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let registry = &registry;
                scope.spawn(move || {
                    for _ in 0..rounds {
                        let (name, since) = registry.add(Kind::Channel, b"c", thread);
                        let (_, stamp, audience) = registry.subscribers(Kind::Channel, b"c").expect("this thread");
                        assert!(stamp >= since && audience.threads >> thread & 1 == 1);
                        registry.remove(Kind::Channel, &name, thread);
                    }
                });
            }
        });
        assert_eq!((registry.count(Kind::Channel), registry.names(Kind::Channel, None).len()), (0, 0));
    }
}
