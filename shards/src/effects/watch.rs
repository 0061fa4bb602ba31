//! Keys under WATCH in one shard.
//!
//! A watching client holds a flag; the shard holds weak references to the flags by key and raises them when the key
//! changes. A client that goes away drops its flag, and the dead references are cleared when the key is next touched, when
//! the register has doubled, or when so many keys are watched no more that they may be half of it. EXEC looks at the flag while it holds the batons of all watched keys, so nothing can
//! change in between.
//!
//! A key that had expired when it was watched counts as not there: that it is removed is no change. So each watcher of a key
//! is noted with whether it found the key expired, which is forgotten once the key is gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use sherd_metrics::memory;

/// Raised when a watched key has changed. Release and acquire are not needed: whoever raises or reads it holds the
/// baton of the key's shard.
pub type DirtyFlag = Arc<AtomicBool>;

/// One client's interest in a key.
struct Watcher {
    flag: Weak<AtomicBool>,
    /// The key is there but had expired when the client watched it.
    found_expired: bool,
}

impl Watcher {
    fn is_alive(&self) -> bool {
        self.flag.strong_count() > 0
    }

    fn raise(&self) {
        if let Some(flag) = self.flag.upgrade() {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// Takes out those who have gone. Their flags go with the last reference, and are not the shard's.
fn clear_dead(watchers: &mut Vec<Watcher>) {
    memory::apart(|| watchers.retain(Watcher::is_alive));
}

/// What a database has of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    Absent,
    Expired,
    Alive,
}

/// See the [module](self).
#[derive(Default)]
pub struct Watches {
    keys: HashMap<(u16, Box<[u8]>), Vec<Watcher>>,
    /// Dead references are swept when the register has grown to this size.
    sweep_at: usize,
    /// How many keys had been watched no more, in all shards, when they were last swept.
    ended_at_sweep: u64,
}

impl Watches {
    /// Whether no key is watched.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Registers a client's flag for a key, of which the database has this.
    pub fn add(&mut self, db: u16, key: &[u8], flag: &DirtyFlag, presence: Presence) {
        if self.keys.len() >= self.sweep_at.max(64) {
            self.sweep();
        }
        let watchers = self.keys.entry((db, key.into())).or_default();
        clear_dead(watchers);
        watchers.push(Watcher { flag: Arc::downgrade(flag), found_expired: presence == Presence::Expired });
    }

    fn sweep(&mut self) {
        self.keys.retain(|_, watchers| {
            clear_dead(watchers);
            !watchers.is_empty()
        });
        self.sweep_at = self.keys.len() * 2;
        self.keys.shrink_to(self.sweep_at);
    }

    /// Clears dead references if there may be many, going by how many keys were ever watched no more. A sweep looks at no more than
    /// twice as many keys as have ended since the last one, so each is paid for.
    pub fn sweep_after(&mut self, ended: u64) {
        if (ended.wrapping_sub(self.ended_at_sweep)).saturating_mul(2) >= self.keys.len() as u64 {
            self.ended_at_sweep = ended;
            self.sweep();
        }
    }

    /// Raises the flags of those who watch a key that was changed or removed. For who had found it expired, that it is gone is
    /// no change; `is_there` tells whether it still is.
    pub fn touch(&mut self, db: u16, key: &[u8], is_there: impl FnOnce() -> bool) {
        let Some((place, mut watchers)) = self.keys.remove_entry(&(db, Box::from(key))) else { return };
        let is_gone = watchers.iter().any(|watcher| watcher.found_expired) && !is_there();
        watchers.retain_mut(|watcher| {
            let unchanged = watcher.found_expired && is_gone;
            if !unchanged {
                watcher.raise();
            }
            watcher.found_expired = false;
            unchanged
        });
        if !watchers.is_empty() {
            self.keys.insert(place, watchers);
        }
    }

    /// Raises the flags of all watched keys that differ between the contents that a database had and those that it gets
    /// (FLUSHDB, SWAPDB); `look` tells what they have of a key. To have expired is as good as not to be there.
    pub fn replace_database(&mut self, db: u16, mut look: impl FnMut(&[u8]) -> (Presence, Presence)) {
        self.keys.retain(|(of, key), watchers| {
            if *of != db {
                return true;
            }
            let (old, new) = look(key);
            watchers.retain_mut(|watcher| {
                let was_there = old != Presence::Absent && !watcher.found_expired;
                let unchanged = !was_there && new != Presence::Alive;
                if unchanged {
                    watcher.found_expired = new == Presence::Expired;
                } else {
                    watcher.raise();
                }
                unchanged
            });
            !watchers.is_empty()
        });
    }

    /// Whether a client found a key alive that it watches, or found none.
    pub fn found_alive(&self, db: u16, key: &[u8], flag: &DirtyFlag) -> bool {
        let watchers = self.keys.get(&(db, Box::from(key))).map_or(&[][..], Vec::as_slice);
        let own = watchers.iter().find(|watcher| std::ptr::eq(watcher.flag.as_ptr(), Arc::as_ptr(flag)));
        own.is_none_or(|watcher| !watcher.found_expired)
    }

    /// Keys that somebody still watches.
    pub fn len(&self) -> usize {
        self.keys.values().filter(|watchers| watchers.iter().any(Watcher::is_alive)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_key_raises_its_watchers_and_no_others() {
        let (a, b) = (DirtyFlag::default(), DirtyFlag::default());
        let mut watches = Watches::default();
        watches.add(0, b"x", &a, Presence::Alive);
        watches.add(1, b"x", &b, Presence::Absent);
        watches.touch(0, b"x", || true);
        assert!(a.load(Ordering::Relaxed));
        assert!(!b.load(Ordering::Relaxed));
    }

    #[test]
    fn watchers_that_are_gone_do_not_pile_up() {
        let mut watches = Watches::default();
        for i in 0..10_000u32 {
            watches.add(0, &i.to_le_bytes(), &DirtyFlag::default(), Presence::Absent);
        }
        assert!(watches.keys.len() <= 128);
        assert_eq!(watches.len(), 0);
    }

    #[test]
    fn the_register_takes_nothing_when_all_have_gone() {
        let flag = DirtyFlag::default();
        let mut watches = Watches::default();
        for i in 0..1000u32 {
            watches.add(0, &i.to_le_bytes(), &flag, Presence::Absent);
        }
        watches.sweep_after(499);
        assert_eq!(watches.keys.len(), 1000, "few have ended");
        drop(flag);
        watches.sweep_after(1000);
        assert_eq!((watches.keys.len(), watches.keys.capacity()), (0, 0));
    }

    /// What becomes of a watcher that found a key like this when the database is replaced.
    fn replaced(found: Presence, old: Presence, new: Presence) -> bool {
        let flag = DirtyFlag::default();
        let mut watches = Watches::default();
        watches.add(0, b"x", &flag, found);
        watches.replace_database(0, |_| (old, new));
        flag.load(Ordering::Relaxed)
    }

    #[test]
    fn an_expired_key_counts_as_none_when_a_database_is_replaced() {
        use Presence::{Absent, Alive, Expired};
        for (found, old, new, changed) in [
            (Absent, Absent, Absent, false),
            (Absent, Absent, Expired, false),
            (Absent, Absent, Alive, true),
            (Expired, Expired, Absent, false),
            (Expired, Expired, Expired, false),
            (Expired, Expired, Alive, true),
            (Alive, Expired, Absent, true),
            (Alive, Expired, Expired, true),
            (Alive, Alive, Absent, true),
            (Alive, Alive, Alive, true),
        ] {
            assert_eq!(replaced(found, old, new), changed, "{found:?} {old:?} {new:?}");
        }
    }

    #[test]
    fn the_removal_of_an_expired_key_is_a_change_for_who_found_it_alive() {
        let (early, late) = (DirtyFlag::default(), DirtyFlag::default());
        let mut watches = Watches::default();
        watches.add(0, b"x", &early, Presence::Alive);
        watches.add(0, b"x", &late, Presence::Expired);
        assert!(watches.found_alive(0, b"x", &early) && !watches.found_alive(0, b"x", &late));
        watches.touch(0, b"x", || false);
        assert!(early.load(Ordering::Relaxed) && !late.load(Ordering::Relaxed));
        watches.touch(0, b"x", || false);
        assert!(late.load(Ordering::Relaxed), "what comes after the removal is a change for all");
    }
}
