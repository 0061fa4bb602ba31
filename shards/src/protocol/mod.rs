//! What comes from clients and goes to them: arguments, replies, and errors in Redis' words. Knows no keys and no commands.

pub mod args;
pub mod error;
pub mod reply;
