//! The commands of this process: declarations with their handlers, and the table of all of them.

pub mod registry;
pub mod spec;

pub use crate::declaration::{category, origin};
