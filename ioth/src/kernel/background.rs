//! Work that nobody waits for as long as others have something to do.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use sherd_metrics::memory;
use sherd_shards::threads;

/// How much nicer the thread is than those that answer clients: of a core that these want as well it has a tenth.
const NICER: i32 = 10;

/// Runs something in a thread that leaves the cores to those that want them, and so do the threads which it begins. It holds
/// nothing that others wait for.
pub fn in_background<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    // One of the two takes it: where there can be no thread, the work is done with this one's priority.
    let work = Mutex::new(Some(work));
    let take = || work.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it is done once");
    thread::scope(|scope| {
        let background = threads::start_scoped(scope, "sherd-background", || {
            // Where that is forbidden it is as others are.
            let _ = rustix::process::nice(NICER);
            let result = take()();
            memory::leave_place();
            result
        });
        match background {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => take()(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_the_background_has_a_lower_priority_and_nothing_else_has() {
        let priority = || rustix::process::getpriority_process(None).expect("a thread may ask for its own");
        let before = priority();
        let (inside, begun_there) = in_background(|| (priority(), thread::spawn(priority).join().expect("no panic")));
        let nicer = (before + NICER).min(19);
        assert_eq!((inside, begun_there), (nicer, nicer));
        assert_eq!(priority(), before);
    }
}
