//! What the control plane has changed and IO threads have yet to act on, and the answers that wait for that.
//!
//! Some changes concern what connections have already: users whose clients subscribe or wait for a key, the role of the server. Only
//! their own threads can end that, so each is sent a message and then [`Message::ActedOn`](super::message::Message) with the
//! change's number. Until all have come to it, the change is not in force, and no answer of the control plane leaves: neither the one to
//! the change itself nor one that shows it to somebody else, of a single command or of a transaction. So who has an answer finds that
//! what it says is true of every connection.
//!
//! Nobody's thread waits: an answer is put down here, and the IO thread that comes to the change last sends it on. *In force at last*:
//! what an IO thread does for a change waits for nobody. Scripts are answered at once, for it may be an IO thread that waits for the answer; what
//! they may call changes nothing of this kind.
//!
//! Rejected: only the answer to the change waits; ACL GETUSER would show rules that are not in force.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the [module](self); `T` is an answer.
pub struct InForce<T> {
    /// The number of the last change.
    last: AtomicU64,
    /// By IO thread: the last change that it has acted on.
    acted_on: Box<[AtomicU64]>,
    /// Answers with the change that each waits for, in the order of the changes.
    answers: Mutex<VecDeque<(u64, T)>>,
    /// Held while a change is sent to the threads, so that all get changes in the order of their numbers.
    order: Mutex<()>,
}

impl<T> InForce<T> {
    /// Nothing was changed yet.
    pub fn new(io_threads: usize) -> InForce<T> {
        InForce {
            last: AtomicU64::new(0),
            acted_on: (0..io_threads).map(|_| AtomicU64::new(0)).collect(),
            answers: Mutex::default(),
            order: Mutex::default(),
        }
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<(u64, T)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a change, which `tell` sends to all IO threads with its number.
    pub fn begin(&self, tell: impl FnOnce(u64)) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        tell(self.last.fetch_add(1, SeqCst) + 1);
    }

    fn acted_on_by_all(&self) -> u64 {
        self.acted_on.iter().map(|number| number.load(SeqCst)).min().unwrap_or(u64::MAX)
    }

    /// Whether a change is not in force yet.
    pub fn is_pending(&self) -> bool {
        self.acted_on_by_all() < self.last.load(SeqCst)
    }

    /// Keeps an answer until everything is in force that was changed before; returns it if it is already.
    pub fn hold_back(&self, answer: T) -> Option<T> {
        if !self.is_pending() {
            return Some(answer);
        }
        let mut answers = self.answers();
        let last = self.last.load(SeqCst);
        // Looked at again with the lock: the thread that came last may have gone through the answers by now.
        if self.acted_on_by_all() >= last {
            return Some(answer);
        }
        answers.push_back((last, answer));
        None
    }

    /// An IO thread has acted on a change; returns the answers that waited for nobody else.
    pub fn act_on(&self, io_thread: usize, number: u64) -> Vec<T> {
        self.acted_on[io_thread].store(number, SeqCst);
        let mut answers = self.answers();
        let in_force = self.acted_on_by_all();
        let count = answers.iter().take_while(|(number, _)| *number <= in_force).count();
        answers.drain(..count).map(|(_, answer)| answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change<T>(in_force: &InForce<T>) -> u64 {
        let mut begun = 0;
        in_force.begin(|number| begun = number);
        begun
    }

    #[test]
    fn answers_wait_for_all_threads_and_for_all_changes_before_them() {
        let in_force = InForce::new(2);
        assert_eq!(in_force.hold_back("before"), Some("before"));
        let first = change(&in_force);
        assert_eq!(in_force.hold_back("first"), None);
        assert_eq!(in_force.act_on(0, first), [""; 0]);
        let second = change(&in_force);
        assert_eq!(in_force.hold_back("second"), None);
        assert_eq!(in_force.hold_back("shows it"), None);
        assert_eq!(in_force.act_on(1, first), ["first"]);
        assert_eq!(in_force.act_on(1, second), [""; 0]);
        assert!(in_force.is_pending());
        assert_eq!(in_force.act_on(0, second), ["second", "shows it"]);
        assert!(!in_force.is_pending());
        assert_eq!(in_force.hold_back("after"), Some("after"));
    }

    #[test]
    fn no_answer_is_left_behind() {
        const CHANGES: u64 = 20_000;
        let in_force = InForce::<u64>::new(2);
        let answered = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| std::sync::mpsc::channel::<u64>()).collect();
            let (senders, receivers): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
            for (index, numbers) in receivers.into_iter().enumerate() {
                let (in_force, answered) = (&in_force, &answered);
                scope.spawn(move || {
                    for number in numbers {
                        answered.fetch_add(in_force.act_on(index, number).len() as u64, SeqCst);
                    }
                });
            }
            for _ in 0..CHANGES {
                in_force.begin(|number| senders.iter().for_each(|sender| _ = sender.send(number)));
                answered.fetch_add(u64::from(in_force.hold_back(0).is_some()), SeqCst);
            }
        });
        assert_eq!(answered.load(SeqCst), CHANGES);
    }
}
