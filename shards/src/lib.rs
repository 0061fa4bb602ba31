//! Sherd's data: keyspace, types, commands, and the engine that executes them.
//!
//! Knows no sockets and no Python. Layers, upper may use lower: `engine` > `execute` > `families` > `context` >
//! `keyspace`, `entry` > `types`; `types` know no RESP, no clock and no keyspace.
//!
//! # Layout
//! - [`spec`], [`category`], [`registry`]: declaring commands, and the table of all of them
//! - [`families`]: the commands, one file a family
//! - [`context`], [`origin`], [`reply`], [`error`], [`args`]: what a handler works with
//! - [`scripting`]: the door to whoever runs scripts
//! - [`types`], [`object`]: the data types
//! - [`rdb`]: values as bytes, for DUMP, RESTORE and files
//! - [`keyspace`], [`table`], [`entry`], [`shard`], [`slot`]: the keyspace, and the one door for changes ([`keyspace::edit`])
//! - [`persistence`]: snapshots, and loading them
//! - [`invariant`]: what ends the process
//! - [`ring`], [`queue`], [`baton`], [`mailbox`], [`batch`], [`errand`], [`engine`], [`rest`], [`execute`], `prefetch`: who
//!   executes when
//! - [`expire`], [`evict`], [`field_calendar`], [`lazyfree`], [`policy`], [`watch`], [`waiter`], [`blocking`]: what happens besides
//! - [`heat`], [`survey`]: which keys cost much, which are big
//! - [`defragment`], [`mover`]: moving values off pages that are nearly empty
//! - [`world`], [`clocks`], [`pause`], [`settings`], [`client`]: what is shared

#[macro_use]
pub mod object;
pub mod access;
pub mod args;
pub mod batch;
pub mod baton;
pub mod blocking;
pub mod category;
pub mod client;
pub mod clocks;
mod collections;
pub mod context;
pub mod defragment;
pub mod engine;
pub mod entry;
pub mod errand;
pub mod error;
pub mod evict;
pub mod execute;
pub mod expire;
pub mod families;
pub mod field_calendar;
pub mod glob;
pub mod heat;
pub mod invariant;
pub mod keyspace;
pub mod lazyfree;
pub mod mailbox;
pub mod mover;
pub mod origin;
pub mod pause;
pub mod persistence;
pub mod policy;
mod prefetch;
pub mod queue;
pub mod random;
pub mod rdb;
pub mod registry;
pub mod reply;
pub mod rest;
pub mod ring;
pub mod scripting;
pub mod settings;
pub mod shard;
pub mod slot;
pub mod spec;
pub mod survey;
pub mod table;
// Integration tests take the file in as their own module and use other parts of it.
#[cfg(test)]
#[allow(dead_code)]
mod testing;
pub mod types;
pub mod waiter;
pub mod watch;
pub mod world;
