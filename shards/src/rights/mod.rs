//! Who may do what: users as the data plane checks them.
//!
//! Rules are parsed, kept and reported by the control plane. What is here is made from them whenever a user changes: one bit
//! for each command and subcommand, patterns of keys with what may be done to them, patterns of channels, databases; and all of
//! it again for each selector. A [`User`] is immutable and shared by reference: a change makes another one, and connections
//! take it before they look at what they have received since.
//!
//! Rejected: rights that are changed in place, behind a lock that every command would take; and a cache of answers, for keys
//! rarely repeat and patterns are compared in a few nanoseconds.
//!
//! - [`user`]: a user, its passwords, and the one question: may it execute this command line?
//! - `selector`: one set of rights
//! - `keys`: what a command line does to which keys
//! - `key_patterns`: the patterns of keys of one set, compared together
//! - `pattern`: a pattern of keys or channels, ready for many of them

mod key_patterns;
mod keys;
mod pattern;
mod selector;
pub mod user;

pub use crate::declaration::uses::Uses;
pub use key_patterns::{KeyPattern, KeyPatterns};
pub use pattern::Pattern;
pub use selector::{AllowedDatabases, CommandSet, Denied, Selector};
pub use user::{Row, User};

#[cfg(test)]
mod tests;
