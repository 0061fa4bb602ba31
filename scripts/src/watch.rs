//! Whether what runs may go on: asked every 100,000 instructions of Lua, by a hook, and every 100,000 steps of native functions
//! that run for as long as their arguments want, which no hook interrupts.
//!
//! An instruction that makes a text of hundreds of megabytes takes as long as a million others, so the hook looks at the time, and
//! comes after fewer instructions where these take long.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use crate::host::{Host, Interruption};

/// Steps of native functions after which the host is asked, and instructions, as in Redis.
const STEPS_MAX: i64 = 100_000;
/// Instructions until the first hook: most scripts have fewer, and are spared it.
pub const INSTRUCTIONS_FIRST: c_int = 5_000;
/// Instructions between two hooks, at the least and at the most.
const INSTRUCTIONS_MIN: c_int = 100;
const INSTRUCTIONS_MAX: c_int = 100_000;
/// By which they become more or fewer.
const INSTRUCTIONS_FACTOR: c_int = 10;
/// Instructions that take longer than that between two hooks are slow. A thread that has to wait for a core is rarely taken for one.
const SLOW: Duration = Duration::from_millis(50);

/// Why a script is being ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopping {
    /// The host will have it run again.
    ByHost,
    /// SCRIPT KILL.
    Killed,
    /// FUNCTION KILL.
    FunctionKilled,
    /// A library that is being loaded has taken too long.
    LoadsTooLong,
}

/// See the [module](self).
pub struct Watch {
    /// Who executes the commands of the script that runs; `None` while none does.
    host: Option<*mut (dyn Host + 'static)>,
    /// The script is to end: every command and every hook raises an error from now on.
    pub stopping: Option<Stopping>,
    /// What runs is a function, not a script.
    is_function: bool,
    /// When a library has taken too long to be loaded, if there is such a time.
    load_deadline: Option<Instant>,
    /// Steps that are left until the host is asked.
    steps: i64,
    /// Instructions until the next hook, when the last one was, and what was executed since the host was asked.
    instructions: c_int,
    hooked: Option<Instant>,
    executed: i64,
}

impl Watch {
    /// Nothing runs.
    pub fn new() -> Watch {
        Watch {
            host: None,
            stopping: None,
            is_function: false,
            load_deadline: None,
            steps: STEPS_MAX,
            instructions: INSTRUCTIONS_FIRST,
            hooked: None,
            executed: 0,
        }
    }

    /// A script, a function or a library begins.
    ///
    /// # Safety
    /// The host lives until [`Watch::end`].
    pub unsafe fn begin(&mut self, host: Option<&mut dyn Host>, is_function: bool, at_most: Option<Duration>) {
        let host = host.map(|host| std::mem::transmute::<*mut (dyn Host + '_), *mut (dyn Host + 'static)>(host));
        let load_deadline = at_most.map(|time| Instant::now() + time);
        *self = Watch { host, is_function, load_deadline, ..Watch::new() };
    }

    /// It has ended. Why it was ended is still known.
    pub fn end(&mut self) {
        self.host = None;
        self.load_deadline = None;
    }

    /// The host of the script that runs, if one does.
    #[inline(always)]
    pub fn host<'a>(&self) -> Option<&'a mut (dyn Host + 'static)> {
        // SAFETY: `begin` demands that it lives, and only the native function that runs uses it.
        self.host.map(|host| unsafe { &mut *host })
    }

    /// Counts steps of a native function; returns whether it may go on.
    #[inline(always)]
    #[must_use]
    pub fn count(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub_unsigned(steps as u64);
        self.steps >= 0 || self.ask()
    }

    /// A hook runs: returns after how many instructions the next one is to, or `None` if what runs is to end.
    pub fn hook(&mut self) -> Option<c_int> {
        let now = Instant::now();
        let is_slow = self.hooked.replace(now).map(|last| now.duration_since(last) > SLOW);
        self.executed += i64::from(self.instructions);
        self.instructions = match is_slow {
            // How long the first ones have taken is not known: no clock is read when a script begins.
            None => INSTRUCTIONS_MIN,
            Some(true) => (self.instructions / INSTRUCTIONS_FACTOR).max(INSTRUCTIONS_MIN),
            Some(false) => (self.instructions * INSTRUCTIONS_FACTOR).min(INSTRUCTIONS_MAX),
        };
        if is_slow == Some(true) || self.executed >= STEPS_MAX {
            self.executed = 0;
            return self.ask().then_some(self.instructions);
        }
        Some(self.instructions)
    }

    /// Asks whether what runs may go on; once it may not, it never may.
    #[cold]
    pub fn ask(&mut self) -> bool {
        self.steps = STEPS_MAX;
        if self.stopping.is_none() {
            self.stopping = self.interruption();
        }
        self.stopping.is_none()
    }

    fn interruption(&self) -> Option<Stopping> {
        if self.load_deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Some(Stopping::LoadsTooLong);
        }
        match self.host()?.interruption() {
            Interruption::None => None,
            Interruption::Kill if self.is_function => Some(Stopping::FunctionKilled),
            Interruption::Kill => Some(Stopping::Killed),
            Interruption::Stop => Some(Stopping::ByHost),
        }
    }
}
