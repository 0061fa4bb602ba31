//! What the extensions' threads are executing, and for how long: Python cannot be broken off, but its client need not wait for
//! it, and the operator is told.
//!
//! Each thread has a [`Slot`] with the replies that it has gathered for the connection whose commands it executes. A watch
//! ([`crate::extensions::watch`]) looks for one that is beyond its deadline, answers an error in its place and takes what is there
//! already; what the command answers later is dropped. It sleeps while nothing is executed: threads wake it only when it has
//! said that it sleeps, which it does after a whole period without work, so they hardly ever have to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::journal::Ticket;

use crate::connection::token::Token;
use crate::net::transport::Lent;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom the replies are for.
pub struct Recipient {
    pub token: Token,
    pub lent: Option<Lent>,
    pub protocol: Protocol,
}

/// What one thread is executing.
#[derive(Default)]
struct Running {
    /// `None` for what nobody waits for, and within transactions, which are answered as a whole.
    recipient: Option<Recipient>,
    replies: Vec<u8>,
    /// The journal's latest segment that the replies acknowledge.
    ticket: Ticket,
    name: String,
    /// On the monotonic clock; `None` between two commands.
    since_ms: Option<i64>,
    /// No other command follows for this recipient.
    is_last: bool,
    /// Its deadline is over, and its client was told where there is one.
    is_overdue: bool,
}

/// One thread's place.
#[derive(Default)]
pub struct Slot(Mutex<Running>);

/// What a connection gets.
pub struct Answer {
    pub token: Token,
    pub lent: Option<Lent>,
    pub replies: Vec<u8>,
    /// What must be durable before, where replies wait for that.
    pub ticket: Ticket,
    /// No more of its commands are being executed.
    pub is_all: bool,
    /// Requests that were not executed, as they came: their connection takes them anew.
    pub untaken: Box<[u8]>,
}

/// A command beyond its deadline.
pub struct Overdue {
    pub name: String,
    /// What its client gets now, the error at the end of it.
    pub answer: Option<Answer>,
}

/// The error of a command that is beyond its deadline.
pub fn overdue_error(name: &str, timeout_ms: i64) -> CommandError {
    CommandError::with(format!(
        "ERR {name} took longer than {timeout_ms} ms (python-command-timeout-ms) and has not ended yet"
    ))
}

impl Slot {
    /// Begins the commands of a connection.
    pub fn begin(&self, recipient: Recipient) {
        let mut running = lock(&self.0);
        running.recipient = Some(recipient);
        running.replies.clear();
        running.ticket = 0;
    }

    /// Begins one command.
    pub fn start(&self, name: &str, is_last: bool, now_ms: i64) {
        let mut running = lock(&self.0);
        running.name.clear();
        running.name.push_str(name);
        (running.since_ms, running.is_last, running.is_overdue) = (Some(now_ms), is_last, false);
    }

    /// Ends it, with the journal's segment that it is in. Returns whether it was overdue; if not, its reply is added to the others,
    /// and the buffer taken if there are none.
    pub fn end(&self, reply: &mut Vec<u8>, ticket: Ticket) -> bool {
        let mut running = lock(&self.0);
        running.since_ms = None;
        running.ticket = running.ticket.max(ticket);
        if !running.is_overdue && running.replies.is_empty() {
            std::mem::swap(&mut running.replies, reply);
        } else if !running.is_overdue {
            running.replies.extend_from_slice(reply);
        }
        running.is_overdue
    }

    /// Bytes of the replies that were gathered.
    pub fn bytes(&self) -> usize {
        lock(&self.0).replies.len()
    }

    /// Ends the commands of a connection; `None` if it was answered already.
    pub fn finish(&self) -> Option<Answer> {
        let mut running = lock(&self.0);
        let Recipient { token, lent, .. } = running.recipient.take()?;
        Some(Answer {
            token,
            lent,
            replies: std::mem::take(&mut running.replies),
            ticket: running.ticket,
            is_all: true,
            untaken: Box::default(),
        })
    }

    fn look(&self, now_ms: i64, timeout_ms: i64) -> Option<Overdue> {
        let mut running = lock(&self.0);
        let since_ms = running.since_ms.filter(|_| !running.is_overdue)?;
        if now_ms - since_ms < timeout_ms {
            return None;
        }
        running.is_overdue = true;
        let Running { recipient, replies, ticket, name, is_last, .. } = &mut *running;
        let answer = recipient.as_mut().map(|to| {
            Reply::new(replies, to.protocol).error(&overdue_error(name, timeout_ms));
            let (lent, replies) = (to.lent.take(), std::mem::take(replies));
            Answer { token: to.token, lent, replies, ticket: *ticket, is_all: *is_last, untaken: Box::default() }
        });
        if *is_last {
            *recipient = None;
        }
        Some(Overdue { name: name.clone(), answer })
    }

    /// When the command began that is executed now and is not overdue.
    fn since_ms(&self) -> Option<i64> {
        let running = lock(&self.0);
        running.since_ms.filter(|_| !running.is_overdue)
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Deadlines {
    slots: Mutex<Vec<Arc<Slot>>>,
    /// Times that a thread has begun to work.
    begun: AtomicU64,
    asleep: AtomicBool,
    bell: Mutex<bool>,
    heard: Condvar,
}

impl Deadlines {
    /// A place for a thread that begins.
    pub fn enter(&self) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        lock(&self.slots).push(Arc::clone(&slot));
        slot
    }

    /// A thread has ended.
    pub fn leave(&self, slot: &Arc<Slot>) {
        lock(&self.slots).retain(|other| !Arc::ptr_eq(other, slot));
    }

    /// A thread begins to work.
    #[inline]
    pub fn note_work(&self) {
        self.begun.fetch_add(1, SeqCst);
        if self.asleep.load(SeqCst) {
            self.wake();
        }
    }

    /// Has the watch look again: the deadline is another one, or the server ends.
    pub fn wake(&self) {
        self.asleep.store(false, SeqCst);
        *lock(&self.bell) = true;
        self.heard.notify_all();
    }

    /// Commands that are beyond their deadline now; each is told once.
    pub fn overdue(&self, now_ms: i64, timeout_ms: i64) -> Vec<Overdue> {
        let slots = lock(&self.slots);
        slots.iter().filter_map(|slot| slot.look(now_ms, timeout_ms)).collect()
    }

    /// Sleeps until the next deadline could be over, or until there is work if there was none since the last time (`seen`).
    pub fn sleep(&self, now_ms: i64, timeout_ms: i64, seen: &mut u64) {
        if timeout_ms == 0 {
            // Until there is a deadline.
            return self.wait(None);
        }
        let earliest_ms = lock(&self.slots).iter().filter_map(|slot| slot.since_ms()).min();
        let begun = self.begun.load(SeqCst);
        let is_idle = begun == *seen && earliest_ms.is_none();
        *seen = begun;
        if !is_idle {
            let until_ms = earliest_ms.unwrap_or(now_ms).saturating_add(timeout_ms);
            return self.wait(Some(Duration::from_millis((until_ms - now_ms).clamp(1, 60_000) as u64)));
        }
        self.asleep.store(true, SeqCst);
        // Either work that begins now is seen here, or who begins it sees that the watch sleeps.
        if self.begun.load(SeqCst) == begun {
            self.wait(None);
        }
        self.asleep.store(false, Relaxed);
    }

    fn wait(&self, at_most: Option<Duration>) {
        let mut rung = lock(&self.bell);
        match at_most {
            Some(time) if !*rung => {
                rung = self.heard.wait_timeout(rung, time).unwrap_or_else(PoisonError::into_inner).0;
            }
            Some(_) => {}
            None => {
                while !*rung {
                    rung = self.heard.wait(rung).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        *rung = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient() -> Recipient {
        Recipient { token: Token::from_bits(7), lent: None, protocol: Protocol::Resp2 }
    }

    #[test]
    fn a_command_beyond_its_deadline_is_answered_with_those_before_it_and_its_own_reply_is_dropped() {
        let deadlines = Deadlines::default();
        let slot = deadlines.enter();
        slot.begin(recipient());
        slot.start("first", false, 100);
        assert!(!slot.end(&mut b":1\r\n".to_vec(), 5));
        slot.start("second", false, 110);
        assert!(deadlines.overdue(159, 50).is_empty());
        let overdue = deadlines.overdue(160, 50);
        let answer = overdue[0].answer.as_ref().expect("there is a client");
        assert_eq!((answer.token.to_bits(), answer.is_all, overdue[0].name.as_str()), (7, false, "second"));
        assert!(answer.replies.starts_with(b":1\r\n-ERR second took longer than 50 ms"));
        assert_eq!(answer.ticket, 5);
        assert!(deadlines.overdue(1000, 50).is_empty(), "it is told once");
        assert!(slot.end(&mut b":2\r\n".to_vec(), 6));
        slot.start("third", true, 1000);
        assert!(!slot.end(&mut b":3\r\n".to_vec(), 0));
        let rest = slot.finish().map(|answer| (answer.replies, answer.ticket));
        assert_eq!(rest, Some((b":3\r\n".to_vec(), 6)));
    }

    #[test]
    fn a_client_whose_last_command_was_overdue_is_not_answered_twice() {
        let deadlines = Deadlines::default();
        let slot = deadlines.enter();
        slot.begin(recipient());
        slot.start("last", true, 0);
        assert!(deadlines.overdue(50, 50)[0].answer.as_ref().is_some_and(|answer| answer.is_all));
        assert!(slot.end(&mut b":1\r\n".to_vec(), 0));
        assert!(slot.finish().is_none());
        deadlines.leave(&slot);
        assert!(deadlines.overdue(1000, 50).is_empty());
    }

    #[test]
    fn the_watch_sleeps_only_when_there_was_no_work_for_a_whole_period() {
        let deadlines = Arc::new(Deadlines::default());
        let mut seen = 0;
        deadlines.note_work();
        deadlines.sleep(0, 1, &mut seen);
        assert_eq!((seen, deadlines.asleep.load(SeqCst)), (1, false), "it has waited for a period");
        let watch = {
            let deadlines = Arc::clone(&deadlines);
            std::thread::spawn(move || deadlines.sleep(0, 1, &mut seen))
        };
        while !deadlines.asleep.load(SeqCst) {
            std::thread::yield_now();
        }
        deadlines.note_work();
        watch.join().expect("it was woken");
    }
}
