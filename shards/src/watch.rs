//! Keys under WATCH in one shard.
//!
//! A watching client holds a flag; the shard holds weak references to the flags by key and raises them when the key
//! changes. A client that goes away drops its flag, and the dead references are cleared when the key is next touched or
//! when the register has doubled. EXEC looks at the flag while it holds the batons of all watched keys, so nothing can
//! change in between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Raised when a watched key has changed. Release and acquire are not needed: whoever raises or reads it holds the
/// baton of the key's shard.
pub type DirtyFlag = Arc<AtomicBool>;

/// The flags of those who watch one key.
type Watchers = Vec<Weak<AtomicBool>>;

/// See the file's head.
#[derive(Default)]
pub struct Watches {
    keys: HashMap<(u16, Box<[u8]>), Watchers>,
    /// Dead references are swept when the register has grown to this size.
    sweep_at: usize,
}

impl Watches {
    /// Whether no key is watched.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Registers a client's flag for a key.
    pub fn add(&mut self, db: u16, key: &[u8], flag: &DirtyFlag) {
        if self.keys.len() >= self.sweep_at.max(64) {
            self.keys.retain(|_, flags| {
                flags.retain(|flag| flag.strong_count() > 0);
                !flags.is_empty()
            });
            self.sweep_at = self.keys.len() * 2;
        }
        let flags = self.keys.entry((db, key.into())).or_default();
        flags.retain(|flag| flag.strong_count() > 0);
        flags.push(Arc::downgrade(flag));
    }

    /// Raises the flags of those who watch a key.
    pub fn touch(&mut self, db: u16, key: &[u8]) {
        if let Some(flags) = self.keys.remove(&(db, Box::from(key))) {
            raise(&flags);
        }
    }

    /// Raises the flags of all watched keys of a database for which `changed` says so (FLUSHDB, SWAPDB).
    pub fn touch_where(&mut self, db: u16, mut changed: impl FnMut(&[u8]) -> bool) {
        self.keys.retain(|(of, key), flags| {
            if *of != db || !changed(key) {
                return true;
            }
            raise(flags);
            false
        });
    }

    /// Keys that somebody still watches.
    pub fn len(&self) -> usize {
        self.keys.values().filter(|flags| flags.iter().any(|flag| flag.strong_count() > 0)).count()
    }
}

fn raise(flags: &[Weak<AtomicBool>]) {
    for flag in flags.iter().filter_map(Weak::upgrade) {
        flag.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_key_raises_its_watchers_and_no_others() {
        let (a, b) = (DirtyFlag::default(), DirtyFlag::default());
        let mut watches = Watches::default();
        watches.add(0, b"x", &a);
        watches.add(1, b"x", &b);
        watches.touch(0, b"x");
        assert!(a.load(Ordering::Relaxed));
        assert!(!b.load(Ordering::Relaxed));
    }

    #[test]
    fn watchers_that_are_gone_do_not_pile_up() {
        let mut watches = Watches::default();
        for i in 0..10_000u32 {
            watches.add(0, &i.to_le_bytes(), &DirtyFlag::default());
        }
        assert!(watches.keys.len() <= 128);
        assert_eq!(watches.len(), 0);
    }
}
