//! The transaction that a thread of the control plane is executing, if it is, and the shards that it holds for that.
//!
//! The handlers that run in between ask for shards as ever; they get those that their own thread holds, for it would wait
//! for itself otherwise.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use sherd_ioth::request::multi::both_planes::Running;
use sherd_ioth::shared::message::ControlRequest;
use sherd_ioth::shared::Shared;
use sherd_shards::handler::access::Shards;

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Begins a transaction; whether it waits for the answer of a control command. `None` if its shards are busy for so long, where that is bounded.
pub fn begin(shared: &Arc<Shared>, request: &ControlRequest, at_most: Option<Duration>) -> Option<bool> {
    RUNNING.with_borrow_mut(|running| {
        // A thread executes one at a time, and ends it.
        assert!(running.is_none(), "a transaction was begun in another one");
        let begun = running.insert(Running::begin(shared, request, at_most)?);
        Some(begun.wants_answer())
    })
}

/// Takes the answer of a control command; whether the transaction waits for another one.
pub fn answer(request: &ControlRequest, reply: &[u8]) -> bool {
    RUNNING.with_borrow_mut(|running| {
        let Some(running) = running else { return false };
        running.answer(request, reply);
        running.wants_answer()
    })
}

/// Ends the transaction of this thread, as far as it has come.
pub fn end(request: &ControlRequest) {
    let running = RUNNING.with_borrow_mut(Option::take);
    if let Some(running) = running {
        running.end(request);
    }
}

/// Runs `work` with this thread's transaction, which it has begun.
pub fn with_running<R>(work: impl FnOnce(&mut Running) -> R) -> R {
    RUNNING.with_borrow_mut(|running| work(running.as_mut().expect("the thread executes a transaction")))
}

/// The time that a command sees: that of this thread's transaction, else of this moment.
pub fn now_ms(shared: &Arc<Shared>) -> i64 {
    RUNNING.with_borrow(|running| match running {
        Some(running) if running.is_of(shared) => running.now_ms(),
        _ => shared.world.now_milliseconds(),
    })
}

/// Runs `work` with shards held: those of this thread's transaction, else the wanted ones.
pub fn with_shards<R>(shared: &Arc<Shared>, wanted: u64, work: impl FnOnce(Shards<'_>) -> R) -> R {
    RUNNING.with_borrow_mut(|running| match running {
        Some(running) if running.is_of(shared) => work(running.shards()),
        _ => shared.engine.with_shards(wanted, work),
    })
}
