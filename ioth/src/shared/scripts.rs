//! A server's scripts and libraries of functions, and what of them takes long: BUSY for those who need its shards, SCRIPT KILL and
//! FUNCTION KILL.
//!
//! A script or function is entered here with its first 100,000 instructions, so that one which is soon over costs nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sherd_metrics::clock::{self, TickRate};
use sherd_scripts::cache::Cache;
use sherd_scripts::functions::table::Libraries;
use sherd_scripts::shebang::{self, Flag, Flags};
use sherd_shards::command::registry::{Command, Route};
use sherd_shards::command::spec::flag;
use sherd_shards::families;
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::scripting::Named;

use crate::connection::transaction::QueuedCommand;

const NOT_BUSY: CommandError = CommandError::new("NOTBUSY No scripts in execution right now.");
const UNKILLABLE: CommandError = CommandError::new(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
     termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
);
static BUSY_SCRIPT: CommandError =
    CommandError::new("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
static BUSY_FUNCTION: CommandError =
    CommandError::new("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.");

/// What others are answered while a script or a function takes too long.
pub fn busy_error(is_function: bool) -> &'static CommandError {
    if is_function {
        &BUSY_FUNCTION
    } else {
        &BUSY_SCRIPT
    }
}

const RUNS: u8 = 0;
/// It has changed something, and must come to its end.
const HAS_WRITTEN: u8 = 1;
/// SCRIPT KILL or FUNCTION KILL.
const IS_KILLED: u8 = 2;

/// What a server has for scripts.
#[derive(Default)]
pub struct Scripts {
    pub cache: Cache,
    pub libraries: Libraries,
    pub running: RunningScripts,
}

impl Scripts {
    /// The flags of a command line with this first argument. Where it runs a script or a function that says what it does, that
    /// counts, and not what its command could do: such a one is refused, or let pass, before it begins.
    pub fn flags_of(&self, command: &Command, first: Option<&[u8]>) -> u32 {
        let flags = command.spec.flags;
        let Some(own) = first.filter(|_| command.route == Route::Script).and_then(|name| self.declared(command, name))
        else {
            return flags;
        };
        let says = |is_said: bool, flag: u32| if is_said { flag } else { 0 };
        let writes = !own.has(Flag::NoWrites);
        flags & !(flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE)
            | says(writes, flag::WRITE)
            | says(writes && !own.has(Flag::AllowOom), flag::DENYOOM)
            | says(own.has(Flag::AllowStale), flag::STALE)
    }

    /// The same for a queued command.
    pub fn flags_of_queued(&self, queued: &QueuedCommand) -> u32 {
        self.flags_of(queued.command, queued.args.get(1).map(Vec::as_slice))
    }

    /// What the script or function of a command line says of itself, if it does.
    fn declared(&self, command: &Command, name: &[u8]) -> Option<Flags> {
        let flags = match families::named_by(command) {
            Named::ByText => shebang::parse(name).ok().map(|(flags, _)| flags),
            Named::ByDigest => self.cache.find(name).map(|script| script.flags),
            Named::Function => self.libraries.flags_of(name),
        };
        flags.filter(|flags| !flags.has(Flag::Compatible))
    }
}

/// A script or function that takes long.
pub struct LongScript {
    /// The command line that has called it, if it is a function.
    function: Option<Vec<Vec<u8>>>,
    /// On the tick counter.
    begun: u64,
    /// [`RUNS`], [`HAS_WRITTEN`] or [`IS_KILLED`]: whichever of the two comes first excludes the other.
    fate: AtomicU8,
    /// The shards that it holds, once it has taken so long that others are told; else 0.
    pub busy_shards: AtomicU64,
}

impl LongScript {
    /// It is about to change something; false if it has been killed and must not.
    pub fn may_write(&self) -> bool {
        self.fate.compare_exchange(RUNS, HAS_WRITTEN, Relaxed, Relaxed) != Err(IS_KILLED)
    }

    /// Ends it soon; false if it has changed something.
    fn kill(&self) -> bool {
        self.fate.compare_exchange(RUNS, IS_KILLED, Relaxed, Relaxed) != Err(HAS_WRITTEN)
    }

    pub fn is_killed(&self) -> bool {
        self.fate.load(Relaxed) == IS_KILLED
    }

    fn has_written(&self) -> bool {
        self.fate.load(Relaxed) == HAS_WRITTEN
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct RunningScripts {
    scripts: Mutex<Vec<Arc<LongScript>>>,
    /// Nothing that scripts do is kept any more: see [`RunningScripts::abandon`].
    are_abandoned: AtomicBool,
}

/// A function that runs, as FUNCTION STATS tells of it.
pub struct RunningFunction {
    pub command: Vec<Vec<u8>>,
    pub milliseconds: u64,
}

impl RunningScripts {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<LongScript>>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has ended, as far as anybody can tell, and its journal: scripts that have written may be cut in two as well.
    pub fn abandon(&self) {
        self.are_abandoned.store(true, Relaxed);
    }

    pub fn are_abandoned(&self) -> bool {
        self.are_abandoned.load(Relaxed)
    }

    /// A script has turned out to take long, or a function, of which the command line is given.
    pub fn enter(&self, function: Option<Vec<Vec<u8>>>, begun: u64, has_written: bool) -> Arc<LongScript> {
        let script = Arc::new(LongScript {
            function,
            begun,
            fate: AtomicU8::new(if has_written { HAS_WRITTEN } else { RUNS }),
            busy_shards: AtomicU64::new(0),
        });
        self.lock().push(Arc::clone(&script));
        script
    }

    /// It has ended. Returns whether others are still busy.
    pub fn leave(&self, script: &Arc<LongScript>) -> bool {
        let mut scripts = self.lock();
        scripts.retain(|other| !Arc::ptr_eq(other, script));
        scripts.iter().any(|other| other.busy_shards.load(Relaxed) != 0)
    }

    /// What is answered to who needs one of these shards, if a script that takes too long holds it.
    pub fn error_for(&self, shards: impl Fn(u64) -> bool) -> Option<&'static CommandError> {
        let scripts = self.lock();
        let script = scripts.iter().find(|script| shards(script.busy_shards.load(Relaxed)))?;
        Some(busy_error(script.function.is_some()))
    }

    /// SCRIPT KILL, or FUNCTION KILL: ends those that may be ended. Each of the two says what the other one is for.
    pub fn kill(&self, functions: bool) -> Result<(), CommandError> {
        let scripts = self.lock();
        let (mine, others): (Vec<_>, Vec<_>) =
            scripts.iter().partition(|script| script.function.is_some() == functions);
        // All of them: `any` would be content with the first.
        if mine.iter().filter(|script| script.kill()).count() > 0 {
            return Ok(());
        }
        match (mine.is_empty(), others.iter().any(|script| !script.has_written())) {
            _ if scripts.is_empty() => Err(NOT_BUSY),
            (true, true) => Err(busy_error(!functions).clone()),
            _ => Err(UNKILLABLE),
        }
    }

    /// The function that has been running for longest, of those that take long; an error where a script is why others wait.
    pub fn function(&self) -> Result<Option<RunningFunction>, CommandError> {
        let scripts = self.lock();
        if let Some((script, command)) = scripts.iter().find_map(|script| Some((script, script.function.as_ref()?))) {
            let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(script.begun));
            return Ok(Some(RunningFunction { command: command.clone(), milliseconds: nanoseconds / 1_000_000 }));
        }
        if scripts.iter().any(|script| script.busy_shards.load(Relaxed) != 0) {
            return Err(BUSY_SCRIPT.clone());
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_says_of_itself_counts_and_not_what_its_command_could_do() {
        let table = sherd_shards::families::install(crate::commands::specs().into_iter());
        let scripts = Scripts::default();
        let told = flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE;
        let flags = |command: &str, first: &[u8]| {
            scripts.flags_of(table.by_name(command).expect("a command"), Some(first)) & told
        };
        let silent = flag::STALE | flag::MAY_REPLICATE;
        for (source, expected) in [
            (&b"return 1"[..], silent),
            (b"#!lua\nreturn 1", flag::WRITE | flag::DENYOOM),
            (b"#!lua flags=allow-oom\nreturn 1", flag::WRITE),
            (b"#!lua flags=no-writes\nreturn 1", 0),
            (b"#!lua flags=no-writes,allow-stale\nreturn 1", flag::STALE),
            (b"#!lua flags=nonsense\nreturn 1", silent),
        ] {
            assert_eq!(flags("eval", source), expected, "{}", String::from_utf8_lossy(source));
            assert_eq!(flags("evalsha", source), silent);
        }
        assert_eq!(flags("eval_ro", b"#!lua\nreturn 1"), flag::WRITE | flag::DENYOOM);
        assert_eq!(flags("fcall", b"nosuch"), silent);
        assert_eq!(flags("set", b"#!lua\n"), flag::WRITE | flag::DENYOOM);
    }

    #[test]
    fn what_has_written_is_not_killed_and_what_is_killed_does_not_write() {
        let running = RunningScripts::default();
        let (idle, writer) = (running.enter(None, 0, false), running.enter(None, 0, true));
        assert!(running.kill(false).is_ok() && idle.is_killed() && !writer.is_killed());
        assert!(!idle.may_write() && writer.may_write());
        // Again, as nothing has come of it yet.
        assert!(running.kill(false).is_ok());
        running.leave(&idle);
        assert_eq!(running.kill(false), Err(UNKILLABLE));
        running.leave(&writer);
        let function = running.enter(Some(Vec::new()), 0, false);
        assert_eq!(running.kill(false), Err(busy_error(true).clone()));
        assert!(function.may_write() && function.may_write());
        assert_eq!(running.kill(true), Err(UNKILLABLE));
    }

    #[test]
    fn of_a_kill_and_a_first_write_at_the_same_time_one_happens() {
        for _ in 0..2000 {
            let running = RunningScripts::default();
            let script = running.enter(None, 0, false);
            let (killed, wrote) = std::thread::scope(|scope| {
                let writer = scope.spawn(|| script.may_write());
                (running.kill(false).is_ok(), writer.join().expect("it ends well"))
            });
            assert!(killed != wrote && script.is_killed() == killed);
        }
    }
}
