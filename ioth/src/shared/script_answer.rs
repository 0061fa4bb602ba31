//! The answer to a control command that a script has called, on its way from the thread that answers to the one that waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a script waits for an answer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Where the answer to one command goes.
#[derive(Default)]
pub struct ScriptAnswer {
    reply: Mutex<Option<Vec<u8>>>,
    told: Condvar,
}

impl ScriptAnswer {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the script; one that has gone on meanwhile takes no notice.
    pub fn tell(&self, reply: Vec<u8>) {
        *self.lock() = Some(reply);
        self.told.notify_all();
    }

    /// Waits for it; `None` where nobody answers in time.
    pub fn wait(&self) -> Option<Vec<u8>> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut reply = self.lock();
        loop {
            if let Some(reply) = reply.take() {
                return Some(reply);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            reply = self.told.wait_timeout(reply, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
