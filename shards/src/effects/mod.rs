//! Who is told when a key changes: transactions that watch it, clients that wait for it.

pub mod blocking;
pub mod waiter;
pub mod watch;
