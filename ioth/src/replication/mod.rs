//! Replication: the link to a primary, once the control plane has shaken hands, and links to replicas, once it has admitted
//! them. [`join`] makes a client a replica, [`feeder`] is the thread that feeds them.
//!
//! The control plane decides what is to be done (a whole snapshot, or the stream from where it was left), reconnects and watches;
//! what carries data is here, in a thread that the control plane lends and that may wait. [`link`] is the socket and what is
//! known of it, [`receive`] brings a snapshot into a file, [`apply`] executes the stream.
//!
//! The stream is applied by one thread, which holds all shards that a piece of it needs while it executes that piece: in order,
//! transactions whole, and what has been applied at any moment at which somebody holds all shards ends with a command or a
//! transaction. Rejected: a connection of an IO thread, whose commands for different shards are executed one shard after the
//! other. What is applied would have no one place in the stream then, and neither a snapshot taken meanwhile nor an
//! acknowledgement could say where it is.

pub mod apply;
pub mod feeder;
pub mod join;
pub mod link;
pub mod receive;
