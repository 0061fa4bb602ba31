//! The door to whoever runs scripts, and what is known of a script before it runs.
//!
//! A script is executed as a data command like any other: in the shards that it is given, in its connection's turn, within
//! transactions and batches. Which shards these are depends on what its earlier runs have shown, as its keys may be made up while it
//! runs: one that has kept to the keys that it names gets their shards, any other gets all. How long it took decides who
//! executes it: one that has always been quick, the thread that brings it; any other, the shard's own, so that connections
//! and SCRIPT KILL do not wait for it.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::handler::context::Context;
use crate::protocol::error::{CommandError, Outcome};
use crate::protocol::reply::Reply;
use crate::server::world::World;
use sherd_types::table;

/// What argument 1 of a command line says of the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// It is its text.
    ByText,
    /// It is the digest of its text.
    ByDigest,
    /// It is the name of a function.
    Function,
}

/// How a script is named, and what it may do.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    pub named: Named,
    /// It must not write.
    pub read_only: bool,
}

/// What becomes of libraries that are there already when others are restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestorePolicy {
    /// All of them go.
    Flush,
    /// They stay; one of the same name is an error.
    Append,
    /// Those of the same name go.
    Replace,
}

/// A library of functions, as FUNCTION LIST tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryFacts {
    pub name: Vec<u8>,
    pub source: Vec<u8>,
    pub functions: Vec<FunctionFacts>,
}

/// One of its functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFacts {
    pub name: Vec<u8>,
    pub description: Option<Vec<u8>>,
    pub flags: Vec<&'static [u8]>,
}

/// Runs scripts and functions, and keeps libraries of functions.
///
/// Commands that change libraries hold all shards, so that they have one place among the changes of the data.
pub trait Scripting: Send + Sync {
    /// Runs the script of a command line in the context's shards, and writes its reply.
    fn evaluate(&self, context: &mut Context<'_>, reply: &mut Reply<'_>, evaluation: Evaluation) -> Outcome;

    /// Loads a library, and returns its name.
    fn load_library(&self, source: &[u8], replace: bool) -> Result<Vec<u8>, CommandError>;

    /// Loads libraries of a payload or a file, all or none, without a bound on the time.
    fn restore_libraries(&self, sources: &[Cow<'_, [u8]>], policy: RestorePolicy) -> Outcome;

    /// Removes a library; false if there is none of the name.
    fn delete_library(&self, name: &[u8]) -> bool;

    /// Removes all libraries; `lazily`: they are freed in the background.
    fn flush_libraries(&self, lazily: bool);

    /// All libraries, by name.
    fn libraries(&self) -> Vec<LibraryFacts>;
}

/// Says who runs a server's scripts; once, where the server is made.
pub fn install(world: &World, scripting: Box<dyn Scripting>) {
    // Boxed twice: `World` is below the context that a script is run with, and keeps what it does not know.
    let _ = world.scripting.set(Box::new(scripting));
}

/// Who runs a server's scripts, if anybody does.
pub fn of(world: &World) -> Option<&dyn Scripting> {
    world.scripting.get()?.downcast_ref::<Box<dyn Scripting>>().map(|scripting| &**scripting)
}

/// It has kept to the shards of the keys that it names.
const CONFINED: u64 = 1;
/// It has left them once.
const ROAMING: u64 = 2;
/// It was quick.
const QUICK: u64 = 4;
/// It has taken long once.
const LONG: u64 = 8;
const MARKS: u64 = 15;

/// Scripts that are remembered. What two of them share a place for is only remembered of the last one.
const REMEMBERED: usize = 1024;

/// By the hash of what names the script in a command line. A hint that is wrong costs time and nothing else.
static KNOWN: [AtomicU64; REMEMBERED] = [const { AtomicU64::new(0) }; REMEMBERED];

/// An odd number without a pattern: the golden ratio's.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of what names a script. Digests are hashes already, in twice as many bytes.
#[inline]
fn hash_of(name: &[u8]) -> u64 {
    let Ok(digest) = <&[u8; 40]>::try_from(name) else { return table::hash(name) };
    let words = digest.chunks_exact(8).filter_map(<[u8]>::first_chunk).map(|word| u64::from_le_bytes(*word));
    let hash = words.fold(0u64, |hash, word| (hash.rotate_left(29) ^ word).wrapping_mul(SPREAD));
    // What differs in the last bytes only is in the highest bits until then.
    let hash = (hash ^ hash >> 32).wrapping_mul(SPREAD);
    hash ^ hash >> 32
}

/// What is known of the script that a command line names.
#[derive(Clone, Copy)]
pub struct Knowledge {
    place: usize,
    hash: u64,
    marks: u64,
}

impl Knowledge {
    /// Of a command line of EVAL or EVALSHA.
    pub fn of(args: &[&[u8]]) -> Knowledge {
        let hash = hash_of(args.get(1).copied().unwrap_or_default()) & !MARKS;
        let place = (hash >> 8) as usize % REMEMBERED;
        let known = KNOWN[place].load(Relaxed);
        Knowledge { place, hash, marks: if known & !MARKS == hash { known & MARKS } else { 0 } }
    }

    /// The hash of what the command line names it by.
    pub fn hash(self) -> u64 {
        self.hash
    }

    /// Whether it keeps to the shards of the keys that it names, as far as is known.
    pub fn is_confined(self) -> bool {
        self.marks & (CONFINED | ROAMING) == CONFINED
    }

    /// Whether it is over soon, as far as is known.
    pub fn is_quick(self) -> bool {
        self.marks & (QUICK | LONG) == QUICK
    }

    /// Remembers a run.
    pub fn note(self, confined: bool, quick: bool) {
        let marks = self.marks | if confined { CONFINED } else { ROAMING } | if quick { QUICK } else { LONG };
        if marks != self.marks {
            KNOWN[self.place].store(self.hash | marks, Relaxed);
        }
    }
}

/// What a script answers that is to be executed again: by the shard's own thread, or with all shards. No client sees it.
pub const HANDED_ON: CommandError = CommandError::new("ERR the script is executed again");

thread_local! {
    /// Whether this thread has connections, which must not wait for a script.
    static HAS_CONNECTIONS: Cell<bool> = const { Cell::new(false) };
    /// Whether what executes commands on this thread now executes scripts again that ask for it.
    static EXECUTES_AGAIN: Cell<bool> = const { Cell::new(false) };
    /// Whether the script that this thread executed last is to be handed on.
    static HANDS_ON: Cell<bool> = const { Cell::new(false) };
    /// Whether the error that the script has answered which this thread executed last was counted where it arose.
    static ERROR_IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread has connections.
pub fn announce_connections() {
    HAS_CONNECTIONS.set(true);
}

/// Until this is dropped, commands are executed by what executes scripts again that ask for it.
pub struct ExecutingAgain {
    before: bool,
}

impl ExecutingAgain {
    #[inline]
    pub fn begin() -> ExecutingAgain {
        ExecutingAgain { before: EXECUTES_AGAIN.replace(true) }
    }
}

impl Drop for ExecutingAgain {
    fn drop(&mut self) {
        EXECUTES_AGAIN.set(self.before);
    }
}

/// Whether a script that has left its shards may be executed again with all of them.
pub fn may_begin_again() -> bool {
    EXECUTES_AGAIN.get()
}

/// Whether a script that takes long may be left to another thread by this one.
pub fn may_hand_on() -> bool {
    HAS_CONNECTIONS.get()
}

/// Says that the script which answers [`HANDED_ON`] now is to be handed on.
pub fn hand_on() {
    HANDS_ON.set(true);
}

/// Says whether what a script answers is an error that one of its commands has answered before, and that was counted then.
pub fn note_counted_error(is_counted: bool) {
    ERROR_IS_COUNTED.set(is_counted);
}

/// Whether it is; asked once, by whoever counts errors.
pub fn takes_counted_error() -> bool {
    ERROR_IS_COUNTED.take()
}

/// Whether it is to be; asked by whoever has executed it, once.
pub fn takes_hand_on() -> bool {
    HANDS_ON.take()
}

/// The same, for who looks at it before that.
pub fn is_handed_on() -> bool {
    HANDS_ON.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_spread_as_texts_are() {
        let digest = |number: u64| {
            format!("{:040x}", u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
        };
        let name = |number: u64| if number % 2 == 0 { digest(number) } else { format!("return {number:033}") };
        let hashes: std::collections::HashSet<u64> = (0..2000).map(|number| hash_of(name(number).as_bytes())).collect();
        let places =
            |shift: u32| hashes.iter().map(|hash| hash >> shift & 511).collect::<std::collections::HashSet<_>>();
        assert_eq!((hashes.len(), name(1).len()), (2000, 40));
        assert!([8, 32].into_iter().all(|shift| places(shift).len() > 480));
    }

    #[test]
    fn a_script_is_trusted_until_it_leaves_its_shards_or_takes_long() {
        let args: &[&[u8]] = &[b"eval", b"return 'a script of this test alone'", b"0"];
        let known = || Knowledge::of(args);
        assert_eq!((known().is_confined(), known().is_quick()), (false, false));
        known().note(true, true);
        assert_eq!((known().is_confined(), known().is_quick()), (true, true));
        known().note(true, false);
        known().note(true, true);
        assert_eq!((known().is_confined(), known().is_quick()), (true, false));
        known().note(false, true);
        known().note(true, true);
        assert_eq!((known().is_confined(), known().is_quick()), (false, false));
    }
}
