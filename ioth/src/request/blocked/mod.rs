//! Connections that wait for a key: their deadlines, and what ends their waiting.
//!
//! A wait ends by a message from whoever served it, or here, by [`Waiter`]'s state: see `sherd_shards::effects::waiter`. This thread
//! never waits for a shard: a waiter that has ended here leaves the shards' queues when their batons are next held, and a
//! connection whose waiter is just being served stays until its message has come, even if it is to be closed: what was taken
//! for it out of the keyspace is sent.
//!
//! What waits in the control plane ([`elsewhere`]) is blocked in the same sense, and ended by the same. What clients ask for, to end
//! others' waits, is in [`ended`].

pub mod elsewhere;
pub mod ended;
pub mod wait;
pub mod wake;
