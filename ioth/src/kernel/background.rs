//! Work that nobody waits for as long as others have something to do.

use std::panic::resume_unwind;
use std::thread;

use sherd_metrics::memory;

/// How much nicer the thread is than those that answer clients: of a core that these want as well it has a tenth.
const NICER: i32 = 10;

/// Runs something in a thread that leaves the cores to those that want them, and so do the threads which it begins. It holds
/// nothing that others wait for.
pub fn in_background<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let background = scope.spawn(|| {
            // Where that is forbidden it is as others are.
            let _ = rustix::process::nice(NICER);
            let result = work();
            memory::leave_place();
            result
        });
        background.join().unwrap_or_else(|panic| resume_unwind(panic))
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
