//! What a command handler works with: its arguments, its keys in the shards that it holds, and its reply.

pub mod access;
pub mod context;
pub mod load_appended;
pub mod scripting;
pub mod tracking;

// Whoever writes a handler finds everything here.
pub use crate::protocol::{args, error, reply};
