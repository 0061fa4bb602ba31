//! A server's scripts, and those that take long: BUSY for those who need their shards, and SCRIPT KILL.
//!
//! A script is entered here with its first 100,000 instructions, so that those which are soon over cost nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sherd_scripts::cache::Cache;
use sherd_shards::handler::error::CommandError;

const NOT_BUSY: CommandError = CommandError::new("NOTBUSY No scripts in execution right now.");
const UNKILLABLE: CommandError = CommandError::new(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
     termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
);
/// What others are answered while a script takes too long.
pub const BUSY: CommandError =
    CommandError::new("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");

/// What a server has for scripts.
#[derive(Default)]
pub struct Scripts {
    pub cache: Cache,
    pub running: RunningScripts,
}

/// A script that takes long.
#[derive(Default)]
pub struct LongScript {
    /// SCRIPT KILL.
    pub killed: AtomicBool,
    /// It has changed something, and must come to its end.
    pub has_written: AtomicBool,
    /// The shards that it holds, once it has taken so long that others are told; else 0.
    pub busy_shards: AtomicU64,
}

/// See the file's head.
#[derive(Default)]
pub struct RunningScripts(Mutex<Vec<Arc<LongScript>>>);

impl RunningScripts {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<LongScript>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A script has turned out to take long.
    pub fn enter(&self) -> Arc<LongScript> {
        let script = Arc::new(LongScript::default());
        self.lock().push(Arc::clone(&script));
        script
    }

    /// It has ended. Returns whether others are still busy.
    pub fn leave(&self, script: &Arc<LongScript>) -> bool {
        let mut scripts = self.lock();
        scripts.retain(|other| !Arc::ptr_eq(other, script));
        scripts.iter().any(|other| other.busy_shards.load(Relaxed) != 0)
    }

    /// The shards of all scripts that are busy.
    pub fn busy_shards(&self) -> u64 {
        self.lock().iter().fold(0, |shards, script| shards | script.busy_shards.load(Relaxed))
    }

    /// SCRIPT KILL: ends those that may be ended.
    pub fn kill(&self) -> Result<(), CommandError> {
        let scripts = self.lock();
        if scripts.is_empty() {
            return Err(NOT_BUSY);
        }
        let mut any = false;
        for script in scripts.iter().filter(|script| !script.has_written.load(Relaxed)) {
            script.killed.store(true, Relaxed);
            any = true;
        }
        if any {
            Ok(())
        } else {
            Err(UNKILLABLE)
        }
    }
}
