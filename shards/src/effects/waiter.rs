//! A client that waits for a key, and how its waiting ends exactly once.
//!
//! Two kinds of threads can end a wait: the one that holds the waiter's shards and has its command find something, and the
//! client's IO thread when the time is over, the client is unblocked or killed or has gone. The first must own the waiter
//! *before* it executes, for what the command takes out of the keyspace cannot be put back; the second must not wait for a
//! shard. So the state is one word:
//!
//! ```text
//!            begin_serving               served
//!  WAITING ----------------> SERVING ----------------> ENDED     the server sends the reply
//!     |  ^    goes_on_waiting   |  \
//!     |  +----------------------+   | interrupt: Late
//!     |                             v          found something -> ENDED, the server sends the reply
//!     | interrupt: Ended       INTERRUPTED --> found nothing   -> ENDED, the server says so
//!     | end_unless_served
//!     v
//!   ENDED                                      the IO thread answers
//! ```
//!
//! A transaction, which waits for no thread, ends waits of clients of other IO threads with `end_unless_served`, and sends the message
//! that a thread which is too late gets.
//!
//! Invariants: a command is executed for a waiter only between `begin_serving` and its end, so nothing is taken for a client
//! that gets something else as its answer; exactly one side answers; an IO thread that is too late gets one more message
//! about the waiter, always. `shards/tests/loom.rs` checks them.

use std::sync::{Arc, PoisonError, Weak};

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicU8, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicU8, Ordering};

use crate::entry::object::Type;
use crate::protocol::reply::{Protocol, TimeoutReply};
use crate::server::client::{Client, ClientRecord};
use crate::server::tracking::Tracks;

/// What a command waits for.
#[derive(Clone, Debug)]
pub struct Block {
    /// Each key once.
    pub keys: Vec<Vec<u8>>,
    /// Milliseconds on the monotonic clock; `None` is for ever.
    pub deadline_ms: Option<i64>,
    /// A key of another type does not wake the client; `None`: whatever becomes of the key does.
    pub wants: Option<Type>,
    pub on_timeout: TimeoutReply,
    /// Arguments by number that are other ones when the command is run again: XREAD's `$` means the moment of the call.
    pub rewrites: Vec<(usize, Vec<u8>)>,
    /// When the command finds something although no key changes, in milliseconds on the monotonic clock.
    pub again_at_ms: Option<i64>,
}

const NEVER: i64 = i64::MAX;

/// The states of a waiter; see the [module](self).
#[derive(Debug)]
pub struct WaitState(AtomicU8);

const WAITING: u8 = 0;
const SERVING: u8 = 1;
const INTERRUPTED: u8 = 2;
const ENDED: u8 = 3;

/// What became of an attempt to end a wait from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupt {
    /// The wait has ended; the caller answers the client, and nobody else does.
    Ended,
    /// The waiter is being served or has been: one more message about it comes.
    Late,
}

impl Default for WaitState {
    fn default() -> WaitState {
        WaitState(AtomicU8::new(WAITING))
    }
}

impl WaitState {
    /// The holder of the waiter's shards is about to run its command; false if the wait has ended.
    pub fn begin_serving(&self) -> bool {
        self.change(WAITING, SERVING)
    }

    /// The command found nothing; false if the wait was interrupted meanwhile and has now ended.
    pub fn goes_on_waiting(&self) -> bool {
        let goes_on = self.change(SERVING, WAITING);
        if !goes_on {
            self.end();
        }
        goes_on
    }

    /// The command found something, and its reply is sent now.
    pub fn end(&self) {
        // AcqRel: whoever sees the end sees what was done before it. A swap, which costs what a store costs on such a path: loom
        // orders a plain store only loosely with the exchanges of others.
        self.0.swap(ENDED, Ordering::AcqRel);
    }

    /// Ends the wait from outside, unless a server was quicker.
    pub fn interrupt(&self) -> Interrupt {
        loop {
            if self.change(WAITING, ENDED) {
                return Interrupt::Ended;
            }
            // From SERVING the state may be back at WAITING by the next look, hence the loop; each turn of it means that a
            // server has run the command once more.
            if self.change(SERVING, INTERRUPTED) || self.0.load(Ordering::Acquire) >= INTERRUPTED {
                return Interrupt::Late;
            }
        }
    }

    /// Ends the wait from outside for the client's IO thread, which has to be told and answers; false if it is being served, or over.
    pub fn end_unless_served(&self) -> bool {
        self.change(WAITING, ENDED)
    }

    /// Whether the command is neither being run nor has been: nothing is on its way to the client.
    pub fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Acquire) == WAITING
    }

    /// Whether the wait is over.
    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) == ENDED
    }

    fn change(&self, from: u8, to: u8) -> bool {
        // AcqRel: what the next owner does happens after what the last one did.
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A client that waits, with the command that it waits in.
pub struct Waiter {
    /// The connection, in the IO layer's own terms.
    pub token: u64,
    /// What is known of the client, for the slow log.
    pub record: Option<Arc<ClientRecord>>,
    /// The command's number in the table of commands, which nothing down here knows.
    pub command: usize,
    pub args: Vec<Vec<u8>>,
    pub db: u16,
    pub protocol: Protocol,
    pub tracks: Tracks,
    /// Its `rewrites` are done; what they have replaced is in their place.
    pub block: Block,
    /// The shards that have it in their queues, and those that its command needs, as bit sets.
    pub queued_in: u64,
    pub needs: u64,
    /// Its place in the queues: lower is earlier. Given when it joins them, while all of `queued_in` is held, so that the
    /// order is that of arrival in every one of them.
    place: AtomicU64,
    /// When the command is to be run again; [`NEVER`] if no time is set.
    again_at_ms: AtomicI64,
    /// A run with all of its shards is on the way, and whoever stands behind it in a queue waits for that.
    run_is_due: AtomicBool,
    pub state: WaitState,
}

impl Waiter {
    /// A waiter that has joined no queue yet.
    pub fn new(
        (command, args): (usize, &[&[u8]]),
        client: Client<'_>,
        token: u64,
        mut block: Block,
        (queued_in, needs): (u64, u64),
    ) -> Arc<Waiter> {
        let mut args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        for (index, arg) in &mut block.rewrites {
            std::mem::swap(&mut args[*index], arg);
        }
        Arc::new(Waiter {
            token,
            record: client.record.and_then(|record| record.own.upgrade()),
            command,
            args,
            db: client.db,
            protocol: client.protocol,
            tracks: client.tracks,
            place: AtomicU64::new(0),
            again_at_ms: AtomicI64::new(block.again_at_ms.unwrap_or(NEVER)),
            block,
            queued_in,
            needs,
            run_is_due: AtomicBool::new(false),
            state: WaitState::default(),
        })
    }

    /// That in which a client waits, if it waits for a key.
    pub fn of_client(record: &ClientRecord) -> Option<Arc<Waiter>> {
        let waiter = record.waiter.lock().unwrap_or_else(PoisonError::into_inner);
        waiter.as_ref()?.upgrade()?.downcast().ok()
    }

    /// Its client waits from now on.
    pub fn announce(self: &Arc<Waiter>, record: &ClientRecord) {
        let waiter: Weak<Waiter> = Arc::downgrade(self);
        *record.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiter);
    }

    /// Its client waits no more.
    pub fn withdraw(record: &ClientRecord) {
        *record.waiter.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The command as the client has sent it.
    pub fn sent_args(&self) -> Vec<&[u8]> {
        let mut args: Vec<&[u8]> = self.args.iter().map(Vec::as_slice).collect();
        for (index, sent) in &self.block.rewrites {
            args[*index] = sent;
        }
        args
    }

    /// Whether the holder of one shard cannot run its command.
    pub fn needs_several(&self) -> bool {
        self.needs.count_ones() > 1
    }

    /// Its place in the queues.
    pub fn place(&self) -> u64 {
        // Relaxed: written before it is in any queue, under the batons that protect them.
        self.place.load(Ordering::Relaxed)
    }

    /// Gives it its place; all its shards are held.
    pub(crate) fn set_place(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// When the command is to be run again even if no key changes.
    pub fn again_at_ms(&self) -> Option<i64> {
        // Relaxed: whoever sets an earlier time also sends a message about it.
        Some(self.again_at_ms.load(Ordering::Relaxed)).filter(|&at_ms| at_ms != NEVER)
    }

    /// Has the command run again at a time; true if it would have been later or never.
    pub fn run_again_at(&self, at_ms: i64) -> bool {
        at_ms < self.again_at_ms.fetch_min(at_ms, Ordering::Relaxed)
    }

    /// Whether the time to run the command again has come, which is then forgotten.
    pub fn take_again(&self, now_ms: i64) -> bool {
        let due = self.again_at_ms.load(Ordering::Relaxed) <= now_ms;
        if due {
            self.again_at_ms.store(NEVER, Ordering::Relaxed);
        }
        due
    }

    /// Says that a run with all its shards is due; false if one was already, and will see what has changed.
    pub(crate) fn make_run_due(&self) -> bool {
        !self.run_is_due.swap(true, Ordering::AcqRel)
    }

    /// Whether a run is due, which those behind it in a queue wait for.
    pub(crate) fn run_is_due(&self) -> bool {
        self.run_is_due.load(Ordering::Acquire)
    }

    /// The run begins, with all shards held: what changes from now on makes another one due. Says whether one was.
    pub(crate) fn begin_run(&self) -> bool {
        self.run_is_due.swap(false, Ordering::AcqRel)
    }

    /// Whether the waiting ends when a key is no longer there.
    pub fn ends_without_key(&self) -> bool {
        self.block.wants.is_none()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_nobody_serves_is_ended_by_whoever_interrupts_it_first() {
        let state = WaitState::default();
        assert_eq!(state.interrupt(), Interrupt::Ended);
        assert!(state.has_ended());
        assert_eq!(state.interrupt(), Interrupt::Late);
        assert!(!state.begin_serving());
    }

    #[test]
    fn a_waiter_that_is_being_served_is_ended_by_its_server() {
        let state = WaitState::default();
        assert!(state.begin_serving());
        assert_eq!(state.interrupt(), Interrupt::Late);
        assert!(!state.has_ended());
        assert!(!state.goes_on_waiting(), "it was interrupted");
        assert!(state.has_ended());
    }

    #[test]
    fn a_waiter_that_found_nothing_can_be_served_again() {
        let state = WaitState::default();
        assert!(state.begin_serving() && state.goes_on_waiting() && state.begin_serving());
        state.end();
        assert_eq!(state.interrupt(), Interrupt::Late);
    }
}
