//! `string.find`, `match`, `gmatch` and `gsub`, as Lua 5.1 has them.
//!
//! Lua's own backtrack within one call of C, where no hook is run: a pattern of a few hundred bytes holds a thread for years, and
//! nothing ends it. These count the steps of [`crate::matching`] and ask whether they may go on. What they answer is the same, to the
//! texts of errors.
//!
//! - [`functions`], [`substitute`]: what scripts call
//! - [`captures`]: what a match leaves for a script
//! - [`buffer`]: what `gsub` makes, in Lua's own memory

mod buffer;
mod captures;
pub mod functions;
mod substitute;
