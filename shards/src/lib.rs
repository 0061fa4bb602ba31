//! Sherd's data: keyspace, commands, and the engine that executes them.
//!
//! Knows no sockets and no Python. Below it are `sherd_types`, the data types, a crate of their own that knows no RESP, no clock and no
//! keyspace.
//!
//! # Rooms, from the bottom to the top
//! Each uses those above it in this list, and none below: `tests/house/test_cycles.py` holds it.
//! - [`threads`]: where they begin; [`glob`]: patterns; [`slot`]: hash slots, and which shard has which; [`queues`]: ways between threads
//! - [`protocol`]: arguments, replies and errors
//! - [`entry`]: one key with its value
//! - [`declaration`]: what a command says of itself, whoever executes it; [`rights`]: who may do what
//! - [`journal`]: what writes have done, for whoever listens
//! - [`server`]: what the shards of a server share
//! - [`effects`]: watching and waiting for keys
//! - [`rdb`]: values as bytes, for DUMP, RESTORE and files
//! - [`keyspace`]: a shard, its databases, and the one door for changes ([`keyspace::edit`])
//! - [`handler`]: what a handler works with, and the door to whoever runs scripts
//! - [`command`]: the table of all commands, with their handlers
//! - [`families`]: the commands, one file a family
//! - [`maintenance`]: expiry, eviction, defragmentation, big keys
//! - [`executor`]: who executes when
//! - [`persistence`]: snapshots and the append-only file, and loading them

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
pub mod threads;
// Integration tests take the file in as their own module and use other parts of it.
#[cfg(test)]
#[allow(dead_code)]
mod testing;
