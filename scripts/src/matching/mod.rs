//! Matching texts against Lua's patterns, without Lua.
//!
//! - [`classes`]: which bytes are letters, digits, ...
//! - [`matcher`]: matching, with its choices on a stack of its own rather than on the thread's
//! - [`plain`]: looking for a text as it is

pub mod classes;
pub mod matcher;
pub mod plain;
