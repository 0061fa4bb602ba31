//! Sherd's IO: sockets, requests, routing to shards, replies, and the commands that concern a connection.
//!
//! Knows no data types and no Python.
//!
//! # Layout
//! From the bottom to the top; a file uses what is above it in this list.
//! - [`kernel`]: what is asked of the operating system: time slices, no huge pages
//! - [`protocol`]: requests as bytes
//! - [`net`]: listening sockets
//! - [`observe`]: what operators see: clients, log records, hot keys, recent peaks, panics
//! - [`connection`]: one client's state
//! - [`shared`]: what the threads of a server share, and the messages between them
//! - [`thread`]: an IO thread's state, and the limit on what its clients take
//! - [`request`]: the way of a request: intake, gate, dispatch, shards or control plane, delivery of the replies
//! - [`commands`]: AUTH, HELLO, CLIENT, MULTI, ...
//! - [`event_loop`]: polling and accepting
//! - [`server`]: all of it, started and stopped

pub mod commands;
pub mod connection;
pub mod event_loop;
pub mod kernel;
pub mod net;
pub mod observe;
pub mod protocol;
pub mod request;
pub mod server;
pub mod shared;
pub mod thread;
