//! Sherd's IO: sockets, requests, routing to shards, replies, and the commands that concern a connection.
//!
//! Knows no data types and no Python.
//!
//! # Layout
//! From the bottom to the top: a folder uses those above it in this list, and files never use each other in a circle
//! (`tests/house/test_cycles.py`).
//! - [`kernel`]: what is asked of the operating system: time slices, no huge pages
//! - [`protocol`]: requests as bytes: [`protocol::parser`] for RESP, [`protocol::inline`]
//! - [`net`]: [`net::listener`]; [`net::transport`], the only place that sends to and receives from clients; read buffers
//! - [`connection`]: one client: its bytes in both directions, its session, what it waits for, its transaction
//! - [`observe`]: what operators see: clients, statistics, log records, MONITOR's lines, hot keys, recent peaks, panics
//! - [`followers`]: the backlog, and the replicas that it is for
//! - [`shared`]: what the threads of a server share, and the messages between them
//! - [`thread`]: an IO thread's state: poller, connections, batches, deadlines, clock, ticks, limits
//! - [`request`]: the way of a request: intake, gate, dispatch, shards or control plane, delivery of the replies
//! - [`replication`]: the link to a primary, and the thread that feeds replicas
//! - [`scripts`]: the handler of EVAL: what scripts may do, where their commands are executed, how they are ended
//! - [`extensions`]: what commands in Python may do, where their data commands are executed, and who looks after their deadlines
//! - [`commands`]: AUTH, HELLO, CLIENT, MULTI, SCRIPT, ...
//! - [`event_loop`]: polling, the mailbox, accepting, ticks
//! - [`server`]: all of it, started and stopped

pub mod commands;
pub mod connection;
pub mod event_loop;
pub mod extensions;
pub mod followers;
pub mod kernel;
pub mod net;
pub mod observe;
pub mod protocol;
pub mod replication;
pub mod request;
pub mod scripts;
pub mod server;
pub mod shared;
pub mod thread;
