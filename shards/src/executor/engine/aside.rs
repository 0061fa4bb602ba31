//! Executing what others have brought, by a thread that has something which their work may wait for.
//!
//! Whoever lets go of a shard executes what came to it meanwhile. A thread of Python's does so with the interpreter's lock, which a
//! script needs that asks the control plane or has no runtime in this thread yet: it would wait for its own thread. So such a thread
//! says how it puts the lock aside. Rejected: leaving that work to the shard's thread, which would have to be woken after each command
//! that somebody waited for.
//!
//! A thread that lets go of one shard and holds others executes nothing for others ([`while_others_are_held`]), as that may need those.

use std::cell::Cell;

/// Does some work with something put aside, and takes that up again.
pub type Aside = fn(&mut (dyn FnMut() + Send));

thread_local! {
    static ASIDE: Cell<Option<Aside>> = const { Cell::new(None) };
}

#[cfg(not(loom))]
thread_local! {
    static HOLDS_OTHERS: Cell<bool> = const { Cell::new(false) };
}

// Threads of a model are no threads of the system.
#[cfg(loom)]
loom::thread_local! {
    static HOLDS_OTHERS: Cell<bool> = Cell::new(false);
}

/// Does something that may let go of shards, while this thread holds others. What has come to them meanwhile is left to their own
/// threads.
pub fn while_others_are_held<R>(work: impl FnOnce() -> R) -> R {
    struct Restored(bool);
    impl Drop for Restored {
        fn drop(&mut self) {
            HOLDS_OTHERS.with(|holds| holds.set(self.0));
        }
    }
    let _restored = Restored(HOLDS_OTHERS.with(|holds| holds.replace(true)));
    work()
}

/// Whether this thread must execute nothing for others.
pub fn holds_others() -> bool {
    HOLDS_OTHERS.with(Cell::get)
}

/// Does something that may let go of shards. What is executed for others then, in this thread, is executed `aside`.
pub fn with_aside<R>(aside: Aside, work: impl FnOnce() -> R) -> R {
    let _restored = Restored(ASIDE.replace(Some(aside)));
    work()
}

/// Executes something for others.
pub(super) fn for_others(work: &mut (dyn FnMut() + Send)) {
    // What this lets go of in turn is executed with the same put aside already.
    let _restored = Restored(ASIDE.take());
    match _restored.0 {
        Some(aside) => aside(work),
        None => work(),
    }
}

/// What held before, which holds again when this is dropped: work may panic.
struct Restored(Option<Aside>);

impl Drop for Restored {
    fn drop(&mut self) {
        ASIDE.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    static ASIDES: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn something_is_put_aside_once_however_deep_the_work_for_others_goes() {
        let twice_deep = || for_others(&mut || for_others(&mut || ()));
        let aside: Aside = |work| {
            ASIDES.fetch_add(1, Relaxed);
            work();
        };
        twice_deep();
        assert_eq!(ASIDES.load(Relaxed), 0);
        with_aside(aside, || [twice_deep(), twice_deep()]);
        assert_eq!(ASIDES.load(Relaxed), 2);
        twice_deep();
        assert_eq!(ASIDES.load(Relaxed), 2);
    }
}
