//! The one place where the program begins threads.
//!
//! The system may refuse one: a limit of processes is reached, or there is no memory for a stack. That is an operating failure,
//! which whoever wants the thread has to decide about: a start fails, a client or a replica is refused, or the work is done by
//! whoever brings it. `tests/house/test_threads.py` holds that nobody uses the standard library's functions that panic instead.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long a thread that has much to do keeps a processor from others. The system charges a whole slice for giving way: who did it more
/// often would have little left where all are busy.
const KEPT_MAX: Duration = Duration::from_millis(1);

/// Says which thread it was that could not be begun.
pub fn refused(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the thread {name} cannot be started: {error}"))
}

/// Begins a thread.
pub fn start<R: Send + 'static>(name: &str, work: impl FnOnce() -> R + Send + 'static) -> io::Result<JoinHandle<R>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|error| refused(name, &error))
}

/// Begins a thread that model tests follow (`shards/tests/loom.rs`).
#[cfg(not(loom))]
pub use start as start_modelled;

#[cfg(loom)]
pub fn start_modelled<R: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<loom::thread::JoinHandle<R>> {
    loom::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Begins a thread that ends before a scope does.
pub fn start_scoped<'scope, 'env, R: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    work: impl FnOnce() -> R + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, R>> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map_err(|error| refused(name, &error))
}

/// Does something in a thread of its own, or in this one where there can be no other.
pub fn start_or_run(name: &str, work: impl FnOnce() + Send + 'static) {
    run_unless_started(work, |work| start(name, work).map(drop));
}

/// `start` drops what it cannot begin: what is to be done lies where both can take it.
fn run_unless_started<W: FnOnce() + Send + 'static>(
    work: W,
    start: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<()>,
) {
    let shared = Arc::new(Mutex::new(Some(work)));
    let of_thread = Arc::clone(&shared);
    let take = |shared: &Mutex<Option<W>>| shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    let begun = start(Box::new(move || {
        if let Some(work) = take(&of_thread) {
            work();
        }
    }));
    if begun.is_err() {
        if let Some(work) = take(&shared) {
            work();
        }
    }
}

/// For work that goes on piece by piece without a wait, called between them: other threads, that answer clients, may have been woken on
/// this processor, and the system would have them wait for its clock, 4 ms with 250 ticks a second.
pub fn give_way() {
    thread_local! {
        static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    SINCE.with(|since| match since.get() {
        Some(begun) if now.duration_since(begun) < KEPT_MAX => {}
        Some(_) => {
            thread::yield_now();
            since.set(Some(Instant::now()));
        }
        None => since.set(Some(now)),
    });
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_for_which_there_is_no_thread_is_done_by_who_brings_it() {
        for refuses in [false, true] {
            let (sender, done) = channel();
            let here = std::thread::current().id();
            run_unless_started(
                move || sender.send(std::thread::current().id()).expect("the test waits"),
                |work| match refuses {
                    true => Err(io::ErrorKind::WouldBlock.into()),
                    false => start("sherd-test", work).map(drop),
                },
            );
            assert_eq!(done.recv().expect("it is done") == here, refuses);
        }
    }

    #[test]
    fn a_refusal_names_the_thread() {
        let error = refused("sherd-free", &io::Error::from_raw_os_error(11));
        assert!(error.to_string().starts_with("the thread sherd-free cannot be started: "), "{error}");
    }
}
