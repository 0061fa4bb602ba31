//! Scripts by their digest, shared by all threads.
//!
//! Scripts that came by EVAL are forgotten when there are more than 500 of them, those first that were used longest ago, as in
//! Valkey; what SCRIPT LOAD has brought stays until SCRIPT FLUSH. A thread keeps those that it uses, by what they are called with, in
//! a [`Recent`], so that running one of them takes neither the digest nor a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sherd_shards::command::registry::{self, Command};
use sherd_types::sha1::sha1;

use crate::digest::hexadecimal;
use crate::shebang::{self, Flags};

/// Scripts of EVAL that are kept.
pub const EVALUATED_MAX: usize = 500;

/// One script.
pub struct Script {
    /// Its number among all that there have been in this process, whichever cache they are in.
    pub id: i32,
    pub sha: [u8; 40],
    pub source: Box<[u8]>,
    pub flags: Flags,
    /// Where the text begins that is compiled, after the first line's flags.
    body: usize,
    /// The cache's clock when it was used last.
    used: AtomicU64,
    /// The command that its last run has called first, by its number from 1 on: the next run mostly does the same.
    first_command: AtomicU32,
}

impl Script {
    /// The text that is compiled.
    pub fn body(&self) -> &[u8] {
        &self.source[self.body..]
    }

    /// The command that a run is likely to call first, if one is known.
    #[inline]
    pub fn first_command(&self) -> Option<&'static Command> {
        let number = self.first_command.load(Ordering::Relaxed).checked_sub(1)?;
        registry::table().commands().get(number as usize)
    }

    /// Remembers the command that a run has called first, of the command table.
    pub fn set_first_command(&self, command: &Command) {
        self.first_command.store(command.id as u32 + 1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Known {
    scripts: HashMap<[u8; 40], (Arc<Script>, Kept)>,
    evaluated: usize,
    /// Bytes of all sources.
    bytes: usize,
    evicted: u64,
}

/// The number of the script that was made last.
static LAST_ID: AtomicI32 = AtomicI32::new(0);
/// The generation that was begun last: each is one of its own in all caches, as a thread's [`Recent`] may serve several.
static LAST_GENERATION: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// It came by SCRIPT LOAD.
    ByLoad,
    ByEval,
}

/// See the [module](self).
pub struct Cache {
    known: RwLock<Known>,
    /// Another one when scripts were forgotten: what threads have kept is no longer right then.
    generation: AtomicU64,
    /// Grows with every new script.
    clock: AtomicU64,
}

/// Numbers for INFO.
#[derive(Clone, Copy, Default, Debug)]
pub struct CacheNumbers {
    pub scripts: usize,
    pub bytes: usize,
    pub evicted: u64,
}

impl Default for Cache {
    fn default() -> Cache {
        let cache = Cache { known: RwLock::default(), generation: AtomicU64::new(0), clock: AtomicU64::new(0) };
        cache.begin_generation();
        cache
    }
}

impl Cache {
    fn begin_generation(&self) {
        self.generation.store(LAST_GENERATION.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The script of a digest, in whatever case its letters are.
    pub fn find(&self, sha: &[u8]) -> Option<Arc<Script>> {
        let mut lower: [u8; 40] = sha.try_into().ok()?;
        lower.make_ascii_lowercase();
        let script = self.read().scripts.get(&lower).map(|(script, _)| Arc::clone(script))?;
        script.used.store(self.clock.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(script)
    }

    /// The script of a text, which is new if it was not known. What compiles is entered by [`Cache::enter`].
    pub fn of_text(&self, source: &[u8]) -> Result<Arc<Script>, Vec<u8>> {
        let sha = hexadecimal(sha1(source));
        if let Some(script) = self.find(&sha) {
            return Ok(script);
        }
        let (flags, body) = shebang::parse(source)?;
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed));
        Ok(Arc::new(Script { id, sha, source: source.into(), flags, body, used, first_command: AtomicU32::new(0) }))
    }

    /// Keeps a script; one that was loaded stays until all are forgotten.
    pub fn enter(&self, script: &Arc<Script>, by_load: bool) {
        let mut known = self.write();
        let kept = if by_load { Kept::ByLoad } else { Kept::ByEval };
        if let Some((_, before)) = known.scripts.get_mut(&script.sha) {
            if by_load && *before == Kept::ByEval {
                *before = Kept::ByLoad;
                known.evaluated -= 1;
            }
            return;
        }
        if kept == Kept::ByEval {
            if known.evaluated >= EVALUATED_MAX {
                known.evict();
                self.begin_generation();
            }
            known.evaluated += 1;
        }
        known.bytes += script.source.len();
        known.scripts.insert(script.sha, (Arc::clone(script), kept));
    }

    /// Forgets all scripts, and returns them: freeing them may take long.
    pub fn flush(&self) -> Vec<Arc<Script>> {
        let mut known = self.write();
        let scripts = std::mem::take(&mut known.scripts);
        (known.evaluated, known.bytes) = (0, 0);
        self.begin_generation();
        scripts.into_values().map(|(script, _)| script).collect()
    }

    /// How many there are, and what their texts take.
    pub fn numbers(&self) -> CacheNumbers {
        let known = self.read();
        CacheNumbers { scripts: known.scripts.len(), bytes: known.bytes, evicted: known.evicted }
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&self) {
        self.write().evicted = 0;
    }

    /// What is another one when scripts were forgotten.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Known {
    /// Forgets the script of EVAL that was used longest ago.
    fn evict(&mut self) {
        let evaluated = self.scripts.values().filter(|(_, kept)| *kept == Kept::ByEval);
        let oldest = evaluated.min_by_key(|(script, _)| (script.used.load(Ordering::Relaxed), script.id));
        let Some(sha) = oldest.map(|(script, _)| script.sha) else { return };
        if let Some((script, _)) = self.scripts.remove(&sha) {
            self.bytes -= script.source.len();
            self.evaluated -= 1;
            self.evicted += 1;
        }
    }
}

/// The scripts that one thread has used lately, each in the place of the hash of what it was called with: its text or its digest.
#[derive(Default)]
pub struct Recent {
    scripts: Vec<Option<Arc<Script>>>,
    generation: u64,
}

/// Places for them; a script takes that of another with the same one.
const RECENT_MAX: usize = 512;

/// What a command line calls a script by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Text,
    Digest,
}

impl Script {
    fn is_called(&self, name: &[u8], by: By) -> bool {
        match by {
            By::Text => *self.source == *name,
            By::Digest => self.sha == *name,
        }
    }
}

fn place(hash: u64) -> usize {
    (hash >> 32) as usize % RECENT_MAX
}

impl Recent {
    /// The script that is called so, with the hash of that, if this thread has kept it and it is still known. It is taken out, for
    /// a count of references that threads share costs more than the look: [`Recent::keep`] puts it back when it has run.
    #[inline]
    pub fn take(&mut self, cache: &Cache, name: &[u8], by: By, hash: u64) -> Option<Arc<Script>> {
        let generation = cache.generation();
        if self.generation != generation {
            self.scripts.clear();
            self.generation = generation;
        }
        let script = self.scripts.get_mut(place(hash))?.take_if(|script| script.is_called(name, by))?;
        script.used.store(cache.clock.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(script)
    }

    /// Keeps a script that the cache has known since this was last asked for one, and that was looked for with this hash.
    #[inline]
    pub fn keep(&mut self, script: Arc<Script>, hash: u64) {
        if self.scripts.is_empty() {
            self.scripts.resize(RECENT_MAX, None);
        }
        self.scripts[place(hash)] = Some(script);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(cache: &Cache, source: &[u8], by_load: bool) -> Arc<Script> {
        let script = cache.of_text(source).expect("it has no flags");
        cache.enter(&script, by_load);
        script
    }

    #[test]
    fn scripts_of_eval_make_room_for_newer_ones_by_their_last_use() {
        let cache = Cache::default();
        let loaded = enter(&cache, b"return 'loaded'", true);
        let first = enter(&cache, b"return 'first'", false);
        let second = enter(&cache, b"return 'second'", false);
        for number in 2..EVALUATED_MAX {
            enter(&cache, format!("return {number}").as_bytes(), false);
        }
        assert!(cache.find(&first.sha).is_some());
        enter(&cache, b"return 'one too many'", false);
        assert!(cache.find(&second.sha).is_none(), "it was used longest ago");
        assert!(cache.find(&first.sha).is_some() && cache.find(&loaded.sha).is_some());
        assert_eq!((cache.numbers().scripts, cache.numbers().evicted), (EVALUATED_MAX + 1, 1));
        cache.reset_counts();
        assert_eq!((cache.numbers().scripts, cache.numbers().evicted), (EVALUATED_MAX + 1, 0));
    }

    #[test]
    fn a_thread_forgets_its_scripts_with_the_cache() {
        let (cache, mut recent) = (Cache::default(), Recent::default());
        let script = enter(&cache, b"return 1", false);
        for (name, by) in [(&b"return 1"[..], By::Text), (&script.sha, By::Digest)] {
            assert!(recent.take(&cache, name, by, 7).is_none());
            recent.keep(Arc::clone(&script), 7);
            assert!(recent.take(&cache, b"return 2", by, 7).is_none());
            // A text is not taken for a digest, nor the other way round.
            let other = if by == By::Text { By::Digest } else { By::Text };
            assert!(recent.take(&cache, name, other, 7).is_none());
            let taken = recent.take(&cache, name, by, 7).expect("it was kept");
            assert!(recent.take(&cache, name, by, 7).is_none(), "it was taken");
            recent.keep(taken, 7);
            enter(&cache, b"return 1", false);
            assert_eq!(cache.flush().len(), 1);
            assert!(recent.take(&cache, name, by, 7).is_none());
        }
    }

    #[test]
    fn a_script_that_was_loaded_stays_though_it_came_by_eval_first() {
        let cache = Cache::default();
        let script = enter(&cache, b"return 1", false);
        enter(&cache, b"return 1", true);
        for number in 2..EVALUATED_MAX + 10 {
            enter(&cache, format!("return {number}").as_bytes(), false);
        }
        assert!(cache.find(&script.sha).is_some());
        assert!(cache.find(&script.sha.to_ascii_uppercase()).is_some());
        assert!(cache.find(b"no digest").is_none());
    }
}
