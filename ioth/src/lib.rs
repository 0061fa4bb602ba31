//! Sherd's IO: sockets, requests, routing to shards, replies, and the commands that concern a connection.
//!
//! Knows no data types and no Python.
//!
//! # Layout
//! - [`server`], [`shared`], [`listener`], [`accept`]: a server, what its threads share, where clients come in
//! - [`io_thread`]: a thread's loop over its connections
//! - [`parser`], [`connection`]: requests, and one client's state
//! - [`intake`]: from bytes to requests, and how many of them in a round
//! - [`dispatch`], [`gate`], [`renames`], [`restraints`]: from a request to a command on its way, what must hold for it, and what
//!   keeps it from that for now
//! - [`complete`]: from executed batches back to sockets
//! - [`transaction`], [`blocked`], [`control`], [`monitor`]: several shards, waiting for keys, the control plane, MONITOR
//! - [`each_shard`]: commands that look at one shard after the other
//! - [`exec`]: transactions with commands of both planes
//! - [`paused`]: who is held back, by CLIENT PAUSE or for lack of room
//! - [`commands`]: AUTH, HELLO, CLIENT, MULTI, ...
//! - [`schedule`], [`huge_pages`]: what is asked of the kernel
//! - [`client_eviction`] closes the largest clients over maxmemory-clients
//! - [`clients`], [`hot_keys`], [`log`], [`panics`], [`recent_max`]: what operators see

pub mod accept;
pub mod blocked;
pub mod client_eviction;
pub mod clients;
pub mod commands;
pub mod complete;
pub mod connection;
pub mod control;
pub mod dispatch;
pub mod each_shard;
pub mod exec;
pub mod gate;
pub mod hot_keys;
pub mod huge_pages;
pub mod intake;
pub mod io_thread;
pub mod listener;
pub mod log;
pub mod monitor;
pub mod panics;
pub mod parser;
pub mod paused;
pub mod recent_max;
pub mod renames;
pub mod restraints;
pub mod schedule;
pub mod server;
pub mod shared;
pub mod transaction;
