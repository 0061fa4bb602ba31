//! Sherd's data: keyspace, commands, and the engine that executes them.
//!
//! Knows no sockets and no Python. Layers, upper may use lower: `executor` > `families` > `handler` > `keyspace`, `entry` >
//! `sherd_types`, the data types, which are a crate of their own and know no RESP, no clock and no keyspace.
//!
//! # Rooms
//! - [`command`]: declaring commands, the table of all of them, where an invocation comes from
//! - [`families`]: the commands, one file a family
//! - [`handler`]: what a handler works with, and the door to whoever runs scripts
//! - [`keyspace`]: databases, and the one door for changes ([`keyspace::edit`])
//! - [`entry`]: one key with its value
//! - [`effects`]: watching and waiting for keys
//! - [`maintenance`]: expiry, eviction, freeing, defragmentation, hot and big keys
//! - [`executor`]: who executes when
//! - [`journal`]: what writes have done, for whoever listens
//! - [`persistence`]: snapshots, and loading them; [`rdb`]: values as bytes, for DUMP, RESTORE and files
//! - [`rights`]: who may do what
//! - [`server`]: what the shards of a server share, and the state of each
//!
//! [`glob`] are patterns, used everywhere.

pub mod command;
pub mod declaration;
pub mod effects;
pub mod entry;
pub mod executor;
pub mod families;
pub mod glob;
pub mod handler;
pub mod journal;
pub mod keyspace;
pub mod maintenance;
pub mod persistence;
pub mod protocol;
pub mod queues;
pub mod rdb;
pub mod rights;
pub mod server;
pub mod slot;
// Integration tests take the file in as their own module and use other parts of it.
#[cfg(test)]
#[allow(dead_code)]
mod testing;
