//! Snapshots: the whole keyspace as an RDB file, without a fork, and back.
//!
//! A snapshot begins with a **cut**: all batons are held for an instant, and every shard turns its mark over, so that exactly the
//! entries that exist then are to be saved ([`crate::keyspace::saving`]). Each shard's own thread walks through its keys in slices; whoever is
//! about to change or remove an entry that was not saved yet saves it first ([`crate::keyspace::edit`] sees to that). What is
//! written is therefore the state at the cut, though nobody waits for more than a slice. One thread ([`saver`]) gives the shards'
//! bytes to a [`destination`]: a temporary file, which takes the name of the old one when it is complete and on disk, or whoever
//! sends them to replicas.
//!
//! [`loader`] reads such a file, which may hold anything: one thread cuts it into its keys ([`walk`]) and others build them
//! ([`builders`], [`insert`]). [`crate::rdb::format`] has what both agree on. [`append_loader`] does the same with commands.

mod append_cut;
pub mod append_file;
pub mod append_loader;
pub mod append_reload;
mod append_replay;
mod append_report;
pub mod append_scan;
mod builders;
pub mod destination;
mod insert;
pub mod loader;
pub mod mapped;
mod report;
pub mod saver;
mod walk;
