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

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sherd_shards::glob;
use sherd_types::table::{hash, Table};

use crate::connection::name::{Name, Named};
use crate::connection::subscriptions::{Kind, KINDS};

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

/// The number of subscribers of a name in each thread that has some.
enum Counts {
    /// As most names of which there are many have subscribers in one thread, it takes no memory of its own.
    One((u16, u32)),
    // Seldom wanted: what it takes, every name would have room for.
    #[allow(clippy::box_collection)]
    Many(Box<Vec<(u16, u32)>>),
}

impl Counts {
    fn of_threads(&self) -> &[(u16, u32)] {
        match self {
            Counts::One(one) => std::slice::from_ref(one),
            Counts::Many(all) => all,
        }
    }

    fn add(&mut self, thread: u16) {
        match self {
            Counts::One((only, count)) if *only == thread => *count += 1,
            Counts::One(one) => *self = Counts::Many(Box::new(vec![*one, (thread, 1)])),
            Counts::Many(all) => match all.iter_mut().find(|(other, _)| *other == thread) {
                Some((_, count)) => *count += 1,
                None => all.push((thread, 1)),
            },
        }
    }

    /// Removes a subscriber; whether none is left.
    fn remove(&mut self, thread: u16) -> bool {
        match self {
            Counts::One((only, count)) if *only == thread => {
                *count -= 1;
                *count == 0
            }
            Counts::One(_) => false,
            Counts::Many(all) => {
                all.iter_mut().filter(|(other, _)| *other == thread).for_each(|(_, count)| *count -= 1);
                all.retain(|(_, count)| *count > 0);
                all.is_empty()
            }
        }
    }
}

#[derive(Default)]
struct Stripe {
    names: Table<Named<Counts>>,
    /// Messages that were published to names of this stripe.
    published: AtomicU64,
}

/// Names of one kind.
struct Names {
    stripes: Vec<RwLock<Stripe>>,
    count: AtomicUsize,
}

impl Names {
    fn new(stripes: usize) -> Names {
        Names { stripes: (0..stripes).map(|_| RwLock::default()).collect(), count: AtomicUsize::new(0) }
    }

    /// The stripe of a name with this hash, by bits that a table chooses its buckets by none of.
    fn stripe(&self, hash: u64) -> &RwLock<Stripe> {
        &self.stripes[(hash >> 32) as usize % self.stripes.len()]
    }
}

// Nothing that is done under a lock panics half way.
fn read(stripe: &RwLock<Stripe>) -> RwLockReadGuard<'_, Stripe> {
    stripe.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(stripe: &RwLock<Stripe>) -> RwLockWriteGuard<'_, Stripe> {
    stripe.write().unwrap_or_else(PoisonError::into_inner)
}

/// See the [module](self).
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
        let (names, hash) = (&self.kinds[kind as usize], hash(name));
        let mut stripe = write(names.stripe(hash));
        let since = *stripe.published.get_mut();
        if let Some(known) = stripe.names.find_mut(hash, name) {
            known.value_mut().add(thread);
            return (Name::clone(known.name()), since);
        }
        let name = Name::from(name);
        stripe.names.insert_new(hash, Named::new(Name::clone(&name), Counts::One((thread, 1))));
        names.count.fetch_add(1, Relaxed);
        (name, since)
    }

    /// Removes a subscriber in a thread.
    pub fn remove(&self, kind: Kind, name: &Name, thread: u16) {
        let (names, hash) = (&self.kinds[kind as usize], hash(name));
        let mut stripe = write(names.stripe(hash));
        let Some(known) = stripe.names.find_mut(hash, name) else { return };
        if known.value_mut().remove(thread) {
            drop(stripe.names.remove(hash, name));
            names.count.fetch_sub(1, Relaxed);
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
        let hash = hash(channel);
        let stripe = read(self.kinds[kind as usize].stripe(hash));
        let known = stripe.names.find(hash, channel)?;
        let mut audience = Audience::default();
        audience.add(known.value().of_threads());
        Some((Name::clone(known.name()), stripe.published.fetch_add(1, Relaxed), audience))
    }

    /// The patterns that match a channel, the stamp of a message to them, and who gets it.
    pub fn patterns(&self, channel: &[u8]) -> (Vec<Name>, u64, Audience) {
        let (mut matching, mut audience) = (Vec::new(), Audience::default());
        if self.count(Kind::Pattern) == 0 {
            return (matching, 0, audience);
        }
        let stripe = read(&self.kinds[Kind::Pattern as usize].stripes[0]);
        for known in stripe.names.iter().filter(|known| glob::matches(known.name(), channel)) {
            matching.push(Name::clone(known.name()));
            audience.add(known.value().of_threads());
        }
        (matching, stripe.published.fetch_add(1, Relaxed), audience)
    }

    /// How many clients are subscribed to a name.
    pub fn subscriber_count(&self, kind: Kind, name: &[u8]) -> u64 {
        let hash = hash(name);
        let stripe = read(self.kinds[kind as usize].stripe(hash));
        let mut audience = Audience::default();
        stripe.names.find(hash, name).into_iter().for_each(|known| audience.add(known.value().of_threads()));
        audience.receivers
    }

    /// The names of a kind that a pattern matches, or all.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Name> {
        let mut found = Vec::new();
        for stripe in &self.kinds[kind as usize].stripes {
            let stripe = read(stripe);
            let wanted = |name: &&Name| pattern.is_none_or(|pattern| glob::matches(pattern, name));
            found.extend(stripe.names.iter().map(Named::name).filter(wanted).cloned());
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
