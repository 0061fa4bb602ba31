//! IO threads that are not woken yet for answers that their clients have got already.
//!
//! Whoever executes commands of extensions sends the answers itself and tells the IO threads, so that these go on with the
//! connections. To wake one for each costs a system call, and often the processor, which the woken thread takes over to find
//! that its client has not sent anything yet. When it does, that wakes the thread as well. So the thread is woken once for the
//! answers of a short while; who has not got all of its answer, or may have something waiting, is not made to wait for others:
//! the bell is owed before anything that has taken long, and at the end.

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::queues::mailbox::Mailbox;

use crate::shared::message::Message;

/// How long an IO thread may not know of an answer. A command that has taken longer is not begun before it is told.
const UNRUNG_NANOSECONDS_MAX: u64 = 50_000;

/// See the [module](self). What is still owed is done when it is dropped.
pub struct Unrung<'a> {
    mailboxes: &'a [Mailbox<Message>],
    /// The threads, one time each.
    threads: Vec<usize>,
    /// When the first of the answers was given (ticks).
    since: u64,
}

impl<'a> Unrung<'a> {
    /// None yet; `mailboxes` are those of all IO threads.
    pub fn new(mailboxes: &'a [Mailbox<Message>]) -> Unrung<'a> {
        Unrung { mailboxes, threads: Vec::new(), since: 0 }
    }

    /// Puts a message into a thread's mailbox.
    pub fn tell(&mut self, thread: usize, message: Message) {
        let Some(mailbox) = self.mailboxes.get(thread) else { return };
        mailbox.deliver_unrung(message);
        if self.threads.is_empty() {
            self.since = clock::ticks();
        }
        if !self.threads.contains(&thread) {
            self.threads.push(thread);
        }
    }

    /// Wakes the threads before something is begun that takes so long, if they cannot wait for it.
    #[inline]
    pub fn ring_before(&mut self, nanoseconds: u64) {
        let waited = || TickRate::get().nanoseconds(clock::ticks().wrapping_sub(self.since));
        if !self.threads.is_empty() && nanoseconds.saturating_add(waited()) > UNRUNG_NANOSECONDS_MAX {
            self.ring();
        }
    }

    /// Wakes the threads that sleep.
    pub fn ring(&mut self) {
        self.threads.drain(..).for_each(|thread| self.mailboxes[thread].ring_if_asleep());
    }
}

impl Drop for Unrung<'_> {
    fn drop(&mut self) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::Arc;

    use super::*;

    /// Mailboxes of threads that sleep, and how often each was woken.
    fn asleep(count: usize) -> (Vec<Mailbox<Message>>, Arc<Vec<AtomicUsize>>) {
        let rung: Arc<Vec<AtomicUsize>> = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect());
        let mailboxes = (0..count).map(|thread| {
            let rung = Arc::clone(&rung);
            Mailbox::new(8, Box::new(move || _ = rung[thread].fetch_add(1, SeqCst)))
        });
        let mailboxes: Vec<_> = mailboxes.collect();
        assert!(mailboxes.iter().all(Mailbox::fall_asleep));
        (mailboxes, rung)
    }

    fn counts(rung: &[AtomicUsize]) -> Vec<usize> {
        rung.iter().map(|count| count.load(SeqCst)).collect()
    }

    #[test]
    fn threads_are_woken_once_and_before_what_takes_long() {
        let (mailboxes, rung) = asleep(3);
        let mut unrung = Unrung::new(&mailboxes);
        unrung.ring_before(u64::MAX);
        unrung.tell(0, Message::Wake);
        unrung.tell(2, Message::Wake);
        unrung.tell(0, Message::Wake);
        unrung.tell(7, Message::Wake);
        assert_eq!(counts(&rung), [0, 0, 0]);
        unrung.ring_before(UNRUNG_NANOSECONDS_MAX + 1);
        assert_eq!(counts(&rung), [1, 0, 1]);
        assert_eq!(mailboxes.iter().map(Mailbox::len).collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn threads_are_woken_when_an_answer_is_old_and_at_the_end() {
        let (mailboxes, rung) = asleep(2);
        let mut unrung = Unrung::new(&mailboxes);
        unrung.tell(0, Message::Wake);
        std::thread::sleep(std::time::Duration::from_nanos(2 * UNRUNG_NANOSECONDS_MAX));
        unrung.ring_before(0);
        assert_eq!(counts(&rung), [1, 0]);
        unrung.tell(1, Message::Wake);
        drop(unrung);
        assert_eq!(counts(&rung), [1, 1]);
    }
}
