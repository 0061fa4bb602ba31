//! The way of a request, from the bytes of a connection to the reply on its socket.
//!
//! [`intake`] takes requests from the read buffer, [`gate`] and [`restraints`] say whether a command may be executed now, [`dispatch`]
//! sends it to whoever executes it: a shard's batch, several shards ([`over_shards`], [`each_shard`], [`multi`]), the control plane
//! ([`control`]) or the connection's own thread. [`deliver`] brings replies back. [`blocked`] and [`paused`] look after connections
//! that wait, [`monitor`] shows commands to those who asked.

pub mod blocked;
pub mod control;
pub mod deliver;
pub mod dispatch;
pub mod each_shard;
pub mod gate;
pub mod intake;
pub mod monitor;
pub mod multi;
pub mod over_shards;
pub mod paused;
pub mod restraints;
