//! Commands of scripts that the control plane answers.
//!
//! A script holds shards while it waits for the answer. So it is not the control loop that is asked, which may wait for shards
//! itself, but a thread of Python's own that waits here and never does. That thread needs the interpreter's lock for as long as a
//! handler runs; whoever has that lock lets go of it before waiting for a shard. So nobody waits in a circle, and should it be a
//! handler's mistake that somebody does, the script is told so after a while and goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::message::ControlRequest;
use super::script_answer::ScriptAnswer;

/// See the [module](self). There are never more requests than threads that run scripts.
#[derive(Default)]
pub struct ScriptCalls {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<ControlRequest>,
    /// Whether there is a thread that answers.
    is_served: bool,
}

impl ScriptCalls {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a command answered; `None` where nobody answers it in time.
    pub fn ask(&self, mut request: ControlRequest) -> Option<Vec<u8>> {
        let answer = Arc::new(ScriptAnswer::default());
        request.script = Some(Arc::clone(&answer));
        let mut state = self.lock();
        if !state.is_served {
            return None;
        }
        state.waiting.push_back(request);
        drop(state);
        self.changed.notify_one();
        answer.wait()
    }

    /// Waits for a command that is to be answered; `None` when nobody is to answer any longer.
    pub fn next(&self) -> Option<ControlRequest> {
        let mut state = self.lock();
        while state.is_served {
            if let Some(request) = state.waiting.pop_front() {
                return Some(request);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Says whether there is, or will be, a thread in [`ScriptCalls::next`].
    pub fn set_served(&self, is_served: bool) {
        self.lock().is_served = is_served;
        self.changed.notify_all();
    }
}
