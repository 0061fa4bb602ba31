//! What a mistake in the program costs: one client its connection, or everybody the process.
//!
//! A handler that panics is one client's misfortune: it is answered, logged and counted. Whoever executes a command for a client
//! says so with [`contain`], and answers if that fails. A table, ring or baton whose state contradicts itself is everybody's:
//! serving from it would give wrong answers or lose data, so the process writes a crash report to standard error and ends.
//!
//! So it is with a panic that nobody contains, in a thread of the data plane: the thread would be gone, with the baton, batches and
//! clients that it has, and the rest would go on without ever answering for them. [`is_contained`] tells the hook which it is.

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};

thread_local! {
    /// How many calls of [`contain`] this thread is in.
    static CONTAINED: Cell<u32> = const { Cell::new(0) };
    /// See [`answer_for_panics`].
    static IS_VITAL: Cell<bool> = const { Cell::new(false) };
}

/// Runs what a client has asked for; if it panics, the caller answers that client, and all others are served as before. Whatever
/// the work has borrowed must be of use in any state that it may leave it in.
#[inline]
pub fn contain<R>(work: impl FnOnce() -> R) -> std::thread::Result<R> {
    CONTAINED.set(CONTAINED.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(CONTAINED.get() - 1);
    result
}

/// Whether somebody answers for a panic of this thread.
pub fn is_contained() -> bool {
    CONTAINED.get() > 0
}

/// Says that the server needs this thread, which is not one of its own: a panic that nobody contains ends the process.
pub fn answer_for_panics() {
    IS_VITAL.set(true);
}

/// Whether a panic of this thread, which nobody contains, ends the process: it is one of the server's own, or has said so.
pub fn is_vital() -> bool {
    IS_VITAL.get() || std::thread::current().name().is_some_and(|name| name.starts_with("sherd-"))
}

/// Writes a crash report and ends the process.
#[cold]
#[inline(never)]
pub fn broken(what: &str, file: &str, line: u32) -> ! {
    let thread = std::thread::current();
    let report = format!(
        "\n=== SHERD CRASH REPORT ===\n\
         A broken invariant was found; the process ends, because going on could corrupt data.\n\
         what:    {what}\n\
         where:   {file}:{line}\n\
         thread:  {}\n\
         version: {}\n\
         pid:     {}\n\
         backtrace:\n{}\n\
         === END OF REPORT === Please report this with the lines above.\n",
        thread.name().unwrap_or("?"),
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        Backtrace::force_capture(),
    );
    use std::io::Write;
    // Nobody is left to tell if standard error is gone.
    let _ = std::io::stderr().write_all(report.as_bytes());
    std::process::abort();
}

/// Ends the process with a crash report unless the condition holds.
#[macro_export]
macro_rules! invariant {
    ($holds:expr, $what:expr) => {
        if !$holds {
            $crate::invariant::broken($what, file!(), line!());
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_within_is_contained_whether_it_panics_or_not() {
        assert!(!is_contained());
        assert_eq!(contain(|| (is_contained(), contain(is_contained).ok())).ok(), Some((true, Some(true))));
        assert!(contain(|| std::panic::resume_unwind(Box::new(()))).is_err());
        assert!(!is_contained());
    }

    #[test]
    fn the_servers_own_threads_are_vital_and_those_that_say_so() {
        let named = |name: &str, work: fn() -> bool| {
            let thread =
                std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread can be started");
            thread.join().expect("it has not panicked")
        };
        assert!(named("sherd-io-0", is_vital));
        assert!(!named("another", is_vital));
        assert!(named("another", || {
            answer_for_panics();
            is_vital()
        }));
    }
}
