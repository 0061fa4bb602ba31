//! Clients for which the control plane waits, and need not any more: CLIENT UNBLOCK, the server's new role, or they have gone.
//!
//! WAIT and WAITAOF wait in the control plane, for as long as their client likes. What ends such a wait happens in IO threads, which
//! note it here and ring; the control plane looks at what it waits for. Bounded by the connections: each is noted twice at most for
//! a wait, once for an end and once when it goes.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use sherd_shards::server::client::ClientRecord;

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// As if its time were over.
    Timeout,
    /// CLIENT UNBLOCK with ERROR.
    Unblocked,
    /// The server is a replica from now on.
    RoleChanged,
    /// The client has gone.
    Gone,
}

/// The client's id, which of its waits, and why: the wait may have been answered meanwhile, and the next one begun.
pub type Interruption = (u64, u64, Reason);

/// Who waits, and what was noted; one a server.
#[derive(Default)]
pub struct Interruptions {
    list: Mutex<Vec<Interruption>>,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
    waiting: AtomicUsize,
}

impl Interruptions {
    /// Says how the control plane is woken; once.
    pub fn set_bell(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.bell.set(bell);
    }

    /// A client begins to wait, before its request is sent.
    pub fn begin(&self, client: &ClientRecord) {
        client.blocked.store(true, Relaxed);
        self.waiting.fetch_add(1, Relaxed);
    }

    /// It has its answer, or does not wait any more; said by whoever of both planes knows, more than once perhaps.
    pub fn end(&self, client: &ClientRecord) {
        if client.blocked.swap(false, Relaxed) {
            self.waiting.fetch_sub(1, Relaxed);
        }
    }

    /// How many clients wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Tells the control plane of a client's wait.
    pub fn add(&self, client: u64, wait: u64, reason: Reason) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push((client, wait, reason));
        if let Some(ring) = self.bell.get() {
            ring();
        }
    }

    /// What was noted since the last time, in its order.
    pub fn take(&self) -> Vec<Interruption> {
        std::mem::take(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_noted_rings_and_is_taken_once_in_its_order() {
        let rung = Arc::new(AtomicUsize::new(0));
        let interruptions = Interruptions::default();
        interruptions.add(1, 1, Reason::Gone);
        let counts = Arc::clone(&rung);
        interruptions.set_bell(Box::new(move || _ = counts.fetch_add(1, Ordering::SeqCst)));
        interruptions.add(2, 7, Reason::Timeout);
        assert_eq!(interruptions.take(), [(1, 1, Reason::Gone), (2, 7, Reason::Timeout)]);
        assert_eq!((interruptions.take(), rung.load(Ordering::SeqCst)), (vec![], 1));
    }
}
