//! How a client tracks keys for a cache of its own (CLIENT TRACKING).

use std::collections::BTreeSet;
use std::sync::Arc;

use sherd_shards::server::tracking::Tracks;

/// A prefix of keys, shared by everybody who keeps it.
pub type Prefix = Arc<[u8]>;

/// Which keys a client is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Those that it reads.
    #[default]
    Reads,
    /// Those that it reads with a command behind CLIENT CACHING YES.
    OptIn,
    /// Those that it reads, but for commands behind CLIENT CACHING NO.
    OptOut,
    /// Those with its prefixes, whoever reads them.
    Broadcast,
}

/// What a prefix takes besides its bytes: its place with the client and in the table of all prefixes.
const PREFIX_BYTES: usize = 128;

/// A client's tracking. A client without any has none of this.
#[derive(Default)]
pub struct Tracking {
    pub mode: Mode,
    /// It is not told of its own changes.
    pub no_loop: bool,
    /// CLIENT CACHING was given, for the next command.
    pub caching: bool,
    /// The client that gets its invalidations; 0 is itself.
    pub redirect: u64,
    pub prefixes: BTreeSet<Prefix>,
}

impl Tracking {
    /// What the next command has to do.
    pub fn tracks(&self) -> Tracks {
        let reads = match self.mode {
            Mode::Reads => true,
            Mode::OptIn => self.caching,
            Mode::OptOut => !self.caching,
            Mode::Broadcast => false,
        };
        let tracks = Tracks::new(reads, self.no_loop);
        // The references tell who goes by prefix when they have taken all that there is to read.
        if self.no_loop || self.redirect != 0 || self.is_broadcast() {
            tracks
        } else {
            tracks.hearing()
        }
    }

    /// Whether it goes by prefix.
    pub fn is_broadcast(&self) -> bool {
        self.mode == Mode::Broadcast
    }

    /// What its prefixes take.
    pub fn bytes(&self) -> usize {
        self.prefixes.iter().map(|prefix| prefix.len() + PREFIX_BYTES).sum()
    }

    /// A prefix of those that there are with which another one overlaps.
    pub fn overlap(&self, prefix: &[u8]) -> Option<&Prefix> {
        use std::ops::Bound::{Included, Unbounded};
        // But for the empty one, which overlaps with all, those that there are do not overlap with one another. So one that is the
        // beginning of this prefix stands right before it, and those that it begins stand right behind it.
        if let Some(first) = self.prefixes.first().filter(|first| first.is_empty()) {
            return Some(first);
        }
        let before = self.prefixes.range::<[u8], _>((Unbounded, Included(prefix))).next_back();
        let behind = self.prefixes.range::<[u8], _>((Included(prefix), Unbounded)).next();
        let is_prefix = |other: &&Prefix| prefix.starts_with(other);
        before.filter(is_prefix).or(behind.filter(|other| other.starts_with(prefix)))
    }
}

/// Keys that have changed while a transaction was executed elsewhere which may have its client begin to track: it has read them in
/// that transaction, perhaps, and does not track yet.
#[derive(Default)]
pub struct Early {
    keys: Vec<Box<[u8]>>,
    /// So many have changed that it is to take all for changed.
    everything: bool,
}

/// Keys that are kept one by one.
const EARLY_MAX: usize = 1024;

impl Early {
    /// Keeps keys, or all of them.
    pub fn add<'a>(&mut self, keys: Option<impl Iterator<Item = &'a [u8]>>) {
        match keys {
            Some(keys) if self.keys.len() < EARLY_MAX => self.keys.extend(keys.map(Box::from)),
            _ => self.everything = true,
        }
    }

    /// What is to be told: nothing, `None` in place of all keys, or some keys.
    pub fn take(self) -> Option<Option<Vec<Box<[u8]>>>> {
        match self {
            Early { everything: true, .. } => Some(None),
            Early { keys, .. } if keys.is_empty() => None,
            Early { keys, .. } => Some(Some(keys)),
        }
    }
}

/// Two prefixes that overlap, the first of them as early as possible; for long lists any two.
pub fn overlapping<'a>(prefixes: &[&'a [u8]]) -> Option<(&'a [u8], &'a [u8])> {
    /// Prefixes that are compared one with another. The number is the client's, and the thread has others to serve.
    const COMPARED_MAX: usize = 512;
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    if prefixes.len() <= COMPARED_MAX {
        return prefixes.iter().enumerate().find_map(|(at, &one)| {
            prefixes[at + 1..].iter().find(|other| overlap(one, other)).map(|&other| (one, other))
        });
    }
    let mut sorted = prefixes.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| overlap(pair[0], pair[1])).map(|pair| (pair[0], pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracking(prefixes: &[&str]) -> Tracking {
        let prefixes = prefixes.iter().map(|prefix| Prefix::from(prefix.as_bytes())).collect();
        Tracking { mode: Mode::Broadcast, prefixes, ..Tracking::default() }
    }

    #[test]
    fn prefixes_that_overlap_are_found() {
        let there = tracking(&["a:", "b", "c:1:"]);
        let found =
            |prefix: &str| there.overlap(prefix.as_bytes()).map(|name| String::from_utf8_lossy(name).into_owned());
        for (prefix, expected) in [
            ("a:", Some("a:")),
            ("a", Some("a:")),
            ("a:x", Some("a:")),
            ("b:x", Some("b")),
            ("c:1", Some("c:1:")),
            ("c:2", None),
            ("", Some("a:")),
            ("d", None),
            ("aa", None),
        ] {
            assert_eq!(found(prefix).as_deref(), expected, "{prefix}");
        }
        assert!(tracking(&["", "x"]).overlap(b"y").is_some());
        assert!(tracking(&[]).overlap(b"").is_none());
    }

    #[test]
    fn a_list_that_overlaps_with_itself_is_found_whatever_its_length() {
        let list = |count: usize| (0..count).map(|number| format!("{number:06}")).collect::<Vec<_>>();
        for count in [3, 100, 2000] {
            let mut names = list(count);
            let of = |names: &[String]| {
                let bytes: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
                overlapping(&bytes).map(|(a, b)| (a.to_vec(), b.to_vec()))
            };
            assert_eq!(of(&names), None);
            names.push("000001:x".to_owned());
            assert_eq!(of(&names), Some((b"000001".to_vec(), b"000001:x".to_vec())));
        }
    }
}
