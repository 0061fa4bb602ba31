//! Runtimes for each thread that runs scripts or functions: one for each of the two, so that neither has to do with what the other
//! has left in memory, and what they take can be told apart.
//!
//! Only Python can make one, through lupa. A thread that needs its first asks for it here and waits; a thread of Python's own,
//! which waits here without the interpreter's lock and needs no shard, makes it and hands it over. That is a matter of
//! milliseconds, once a thread. What a thread leaves behind when it ends, the next one gets: a runtime is never closed.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cache::Recent;
use crate::functions::table::Recent as RecentFunctions;
use crate::runtime::Runtime;

/// How long a thread waits for its runtime. Loading lupa takes some 10 ms on an idle machine.
const WAIT_MAX: Duration = Duration::from_secs(10);

static POOL: Pool<Box<Runtime>> = Pool::new();

/// What is made here is handed from thread to thread. Invariant: for every thread that waits, one lies ready, is being made, or is
/// asked for, whoever takes what was made for another.
struct Pool<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

struct State<R> {
    idle: Vec<R>,
    /// Threads that wait for one.
    waiting: usize,
    /// Those that the maker has been asked for and has not handed over yet.
    making: usize,
    /// Whether there is a thread that makes them.
    has_maker: bool,
    /// Why none can be made.
    failure: Option<String>,
}

impl<R> State<R> {
    /// How many the maker is to be asked for.
    fn missing(&self) -> usize {
        self.waiting.saturating_sub(self.idle.len() + self.making)
    }
}

impl<R> Pool<R> {
    const fn new() -> Pool<R> {
        let state = State { idle: Vec::new(), waiting: 0, making: 0, has_maker: false, failure: None };
        Pool { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<R, String> {
        let mut state = self.lock();
        state.waiting += 1;
        let deadline = Instant::now() + WAIT_MAX;
        let taken = loop {
            if let Some(runtime) = state.idle.pop() {
                break Ok(runtime);
            }
            if let Some(failure) = &state.failure {
                break Err(failure.clone());
            }
            if !state.has_maker {
                break Err("nothing makes runtimes".to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Err("no runtime was made in time".to_owned());
            }
            if state.missing() > 0 {
                self.changed.notify_all();
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting -= 1;
        if state.missing() > 0 {
            // This one was made for another thread.
            self.changed.notify_all();
        }
        taken
    }

    fn wait_for_demand(&self) -> usize {
        let mut state = self.lock();
        while state.missing() == 0 && state.has_maker {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.has_maker {
            return 0;
        }
        let missing = state.missing();
        state.making += missing;
        missing
    }

    fn change(&self, change: impl FnOnce(&mut State<R>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// One that was made, or that its thread needs no longer.
    fn add(&self, runtime: R, was_made: bool) {
        self.change(|state| {
            state.making = state.making.saturating_sub(usize::from(was_made));
            state.idle.push(runtime);
        });
    }
}

/// Waits until runtimes are missing, and returns how many; none if nobody is to make any longer.
pub fn wait_for_demand() -> usize {
    POOL.wait_for_demand()
}

/// Says that there is a thread which makes runtimes, or will be: who asks for one waits.
pub fn announce_maker() {
    POOL.change(|state| (state.has_maker, state.making, state.failure) = (true, 0, None));
}

/// Says that nobody makes runtimes any longer.
pub fn dismiss_maker() {
    POOL.change(|state| state.has_maker = false);
}

/// Hands over a runtime that was made.
pub fn add(runtime: Runtime) {
    POOL.add(Box::new(runtime), true);
}

/// Says that runtimes cannot be made, to all who ask from now on.
pub fn fail(reason: String) {
    POOL.change(|state| (state.failure, state.making) = (Some(reason), 0));
}

/// What a runtime is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    Scripts = 0,
    Functions = 1,
}

/// What a thread has for scripts and functions.
#[derive(Default)]
pub struct Own {
    runtimes: [Cell<Option<Box<Runtime>>>; 2],
    recent: RefCell<Recent>,
    functions: RefCell<RecentFunctions>,
}

impl Drop for Own {
    fn drop(&mut self) {
        for (number, runtime) in self.runtimes.iter().enumerate() {
            if let Some(mut runtime) = runtime.take() {
                // Whoever gets it uses it for what it wants.
                BYTES[number].fetch_sub(std::mem::take(&mut runtime.told_bytes), Ordering::Relaxed);
                POOL.add(runtime, false);
            }
        }
    }
}

thread_local! {
    static OWN: Own = Own::default();
}

/// Does something with what this thread has.
pub fn with_own<R>(work: impl FnOnce(&Own) -> R) -> R {
    OWN.with(work)
}

/// Bytes that all runtimes of a use have allocated, as of the last script of each; a runtime tells only when it has changed much.
static BYTES: [AtomicI64; 2] = [const { AtomicI64::new(0) }; 2];
/// A change that is worth telling.
const TOLD_BYTES_MIN: i64 = 4096;

/// Bytes that Lua has allocated in all runtimes of a use, of the whole process.
pub fn memory_bytes(of: Use) -> u64 {
    BYTES[of as usize].load(Ordering::Relaxed).max(0) as u64
}

impl Own {
    /// Does something with this thread's scripts.
    #[inline]
    pub fn with_recent<R>(&self, work: impl FnOnce(&mut Recent) -> R) -> R {
        work(&mut self.recent.borrow_mut())
    }

    /// Does something with the functions that this thread has called lately.
    pub fn with_recent_functions<R>(&self, work: impl FnOnce(&mut RecentFunctions) -> R) -> R {
        work(&mut self.functions.borrow_mut())
    }

    /// Does something with this thread's runtime of a use. If that panics, the thread gets another one.
    #[inline]
    pub fn with_runtime<R>(&self, of: Use, work: impl FnOnce(&mut Runtime) -> R) -> Result<R, String> {
        let own = &self.runtimes[of as usize];
        let mut runtime = own.take().map_or_else(|| POOL.take(), Ok)?;
        let result = work(&mut runtime);
        let bytes = runtime.memory_bytes() as i64;
        let change = bytes - runtime.told_bytes;
        if change.abs() >= TOLD_BYTES_MIN {
            runtime.told_bytes = bytes;
            BYTES[of as usize].fetch_add(change, Ordering::Relaxed);
        }
        own.set(Some(runtime));
        Ok(result)
    }
}

/// See [`Own::with_runtime`].
pub fn with_runtime<R>(of: Use, work: impl FnOnce(&mut Runtime) -> R) -> Result<R, String> {
    with_own(|own| own.with_runtime(of, work))
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
