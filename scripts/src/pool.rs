//! Runtimes for each thread that runs scripts or functions: one for each of the two, so that neither has to do with what the other
//! has left in memory, and what they take can be told apart.
//!
//! Only Python can make one, through lupa. A thread that needs its first asks for it here and waits; a thread of Python's own,
//! which waits here without the interpreter's lock and needs no shard, makes it and hands it over. That is a matter of
//! milliseconds, once a thread. What a thread leaves behind when it ends, the next one gets: a runtime is never closed.

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cache::Recent;
use crate::functions::table::Recent as RecentFunctions;
use crate::runtime::Runtime;

/// How long a thread waits for its runtime. Loading lupa takes some 10 ms on an idle machine.
const WAIT_MAX: Duration = Duration::from_secs(10);

static POOL: Pool = Pool {
    state: Mutex::new(State { idle: Vec::new(), missing: 0, has_maker: false, failure: None }),
    changed: Condvar::new(),
};

struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    idle: Vec<Runtime>,
    /// Threads that wait for one and for whom none is being made yet.
    missing: usize,
    /// Whether there is a thread that makes them.
    has_maker: bool,
    /// Why none can be made.
    failure: Option<String>,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Runtime, String> {
        let mut state = self.lock();
        if let Some(runtime) = state.idle.pop() {
            return Ok(runtime);
        }
        state.missing += 1;
        self.changed.notify_all();
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(runtime) = state.idle.pop() {
                return Ok(runtime);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if !state.has_maker {
                state.missing = 0;
                return Err("nothing makes runtimes".to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("no runtime was made in time".to_owned());
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Waits until runtimes are missing, and returns how many; none if nobody is to make any longer.
pub fn wait_for_demand() -> usize {
    let mut state = POOL.lock();
    while state.missing == 0 && state.has_maker {
        state = POOL.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::take(&mut state.missing)
}

/// Says that there is a thread which makes runtimes, or will be: who asks for one waits.
pub fn announce_maker() {
    let mut state = POOL.lock();
    state.has_maker = true;
    state.failure = None;
}

/// Says that nobody makes runtimes any longer.
pub fn dismiss_maker() {
    POOL.lock().has_maker = false;
    POOL.changed.notify_all();
}

/// Hands a runtime over.
pub fn add(runtime: Runtime) {
    POOL.lock().idle.push(runtime);
    POOL.changed.notify_all();
}

/// Says that runtimes cannot be made, to all who ask from now on.
pub fn fail(reason: String) {
    POOL.lock().failure = Some(reason);
    POOL.changed.notify_all();
}

/// What a runtime is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    Scripts = 0,
    Functions = 1,
}

/// What a thread has for scripts and functions.
#[derive(Default)]
struct Own {
    runtimes: [Option<Runtime>; 2],
    recent: Recent,
    functions: RecentFunctions,
}

impl Drop for Own {
    fn drop(&mut self) {
        for (number, runtime) in self.runtimes.iter_mut().enumerate() {
            if let Some(mut runtime) = runtime.take() {
                // Whoever gets it uses it for what it wants.
                BYTES[number].fetch_sub(std::mem::take(&mut runtime.told_bytes), Ordering::Relaxed);
                add(runtime);
            }
        }
    }
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::default();
}

/// Does something with this thread's scripts.
pub fn with_recent<R>(work: impl FnOnce(&mut Recent) -> R) -> R {
    OWN.with_borrow_mut(|own| work(&mut own.recent))
}

/// Does something with the functions that this thread has called lately.
pub fn with_recent_functions<R>(work: impl FnOnce(&mut RecentFunctions) -> R) -> R {
    OWN.with_borrow_mut(|own| work(&mut own.functions))
}

/// Bytes that all runtimes of a use have allocated, as of the last script of each; a runtime tells only when it has changed much.
static BYTES: [AtomicI64; 2] = [const { AtomicI64::new(0) }; 2];
/// A change that is worth telling.
const TOLD_BYTES_MIN: i64 = 4096;

/// Bytes that Lua has allocated in all runtimes of a use, of the whole process.
pub fn memory_bytes(of: Use) -> u64 {
    BYTES[of as usize].load(Ordering::Relaxed).max(0) as u64
}

/// Does something with this thread's runtime of a use. If that panics, the thread gets another one.
pub fn with_runtime<R>(of: Use, work: impl FnOnce(&mut Runtime) -> R) -> Result<R, String> {
    let own = OWN.with_borrow_mut(|own| own.runtimes[of as usize].take());
    let mut runtime = own.map_or_else(|| POOL.take(), Ok)?;
    let result = work(&mut runtime);
    let bytes = runtime.memory_bytes() as i64;
    let change = bytes - runtime.told_bytes;
    if change.abs() >= TOLD_BYTES_MIN {
        runtime.told_bytes = bytes;
        BYTES[of as usize].fetch_add(change, Ordering::Relaxed);
    }
    OWN.with_borrow_mut(|own| own.runtimes[of as usize] = Some(runtime));
    Ok(result)
}
