//! What a command declares of itself, whoever executes it, and what follows from that: its categories, its keys, its shards.
//!
//! `H` is what executes a data command. Rooms between this one and the handlers, users' rights above all, look at declarations and
//! call nothing: they do not know what it is. [`crate::command`] is the same for everybody above the handlers, with `H` filled in.

pub mod category;
pub mod origin;
pub mod spec;
pub mod table;
pub mod uses;
