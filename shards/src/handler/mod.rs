//! What a command handler works with: its arguments, its keys in the shards that it holds, and its reply.

pub mod access;
pub mod args;
pub mod context;
pub mod error;
pub mod reply;
pub mod scripting;
