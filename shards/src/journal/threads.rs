//! What the journal's thread sleeps by: the standard library's, or in a model test (`shards/tests/loom.rs`) loom's, which knows no
//! time.

#[cfg(not(loom))]
pub use std::thread::{current, park, park_timeout, yield_now, JoinHandle, Thread};

#[cfg(loom)]
pub use loom::thread::{current, park, yield_now, JoinHandle, Thread};

/// A sleep that ends by itself may end at any moment.
#[cfg(loom)]
pub fn park_timeout(_: std::time::Duration) {
    yield_now();
}
