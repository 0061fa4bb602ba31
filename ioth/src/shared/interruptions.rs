//! Clients for which the control plane waits, and need not any more: CLIENT UNBLOCK, the server's new role, or they have gone.
//!
//! WAIT and WAITAOF wait in the control plane, for as long as their client likes. What ends such a wait happens in IO threads, which
//! note it here and ring; the control plane looks at what it waits for. Bounded by the connections: each is noted twice at most for
//! a wait, once for an end and once when it goes.

use std::sync::{Mutex, OnceLock, PoisonError};

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

/// See the file's head; one a server.
#[derive(Default)]
pub struct Interruptions {
    list: Mutex<Vec<(u64, Reason)>>,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Interruptions {
    /// Says how the control plane is woken; once.
    pub fn set_bell(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.bell.set(bell);
    }

    /// Tells the control plane of a client, by its id.
    pub fn add(&self, client: u64, reason: Reason) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push((client, reason));
        if let Some(ring) = self.bell.get() {
            ring();
        }
    }

    /// What was noted since the last time, in its order.
    pub fn take(&self) -> Vec<(u64, Reason)> {
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
        interruptions.add(1, Reason::Gone);
        let counts = Arc::clone(&rung);
        interruptions.set_bell(Box::new(move || _ = counts.fetch_add(1, Ordering::SeqCst)));
        interruptions.add(2, Reason::Timeout);
        assert_eq!(interruptions.take(), [(1, Reason::Gone), (2, Reason::Timeout)]);
        assert_eq!((interruptions.take(), rung.load(Ordering::SeqCst)), (vec![], 1));
    }
}
