//! How soon a thread runs that has something to do on a busy machine.
//!
//! A thread with connections that wait for the control plane asks for short time slices, so that an answer is not sent only after
//! other threads' slices of a few milliseconds. They cost some CPU time in switches between threads, so a thread that
//! has served data commands only for a while gives them up.

use std::time::Duration;

use crate::kernel::schedule::set_time_slice;

/// As long as the control plane's own slice.
const SLICE: Duration = Duration::from_micros(100);
/// How long after a request to the control plane.
const KEEP_MS: i64 = 2000;

/// Until when the thread has short slices, if it has them now.
#[derive(Default)]
pub struct Promptness {
    until_ms: Option<i64>,
}

impl Promptness {
    /// A request goes to the control plane.
    pub fn ask(&mut self, now_ms: i64) {
        if self.until_ms.is_none() {
            set_time_slice(SLICE);
        }
        self.until_ms = Some(now_ms + KEEP_MS);
    }

    /// Gives short slices up when nobody has needed them for a while.
    pub fn relax(&mut self, now_ms: i64) {
        if self.until_ms.is_some_and(|until_ms| now_ms > until_ms) {
            // No wish: what the system gives everybody.
            set_time_slice(Duration::ZERO);
            self.until_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_slices_are_given_up_when_nobody_has_needed_them_for_a_while() {
        let mut promptness = Promptness::default();
        promptness.relax(1000);
        promptness.ask(1000);
        promptness.ask(2000);
        promptness.relax(2000 + KEEP_MS);
        assert!(promptness.until_ms.is_some());
        promptness.relax(2001 + KEEP_MS);
        assert!(promptness.until_ms.is_none());
    }
}
