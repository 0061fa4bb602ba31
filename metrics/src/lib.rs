//! Counters, histograms and clocks of the data plane.
//!
//! Every counter has one writer at a time (an IO thread, or whoever holds a shard's baton), so counting is a plain load
//! and store; readers on other threads see a value that is at most a moment old. Nothing here takes a lock or shares a
//! cache line between writers.
//!
//! # Layout
//! - [`counter`]: single-writer counters
//! - [`catalogue`]: declaring counters once, with what resets and what shows them
//! - [`histogram`]: latency histograms, four buckets an octave
//! - [`commands`]: the per-command cells: calls, time, failures, latency
//! - [`clock`]: cheap ticks for timing commands, and the wall clock
//! - [`allocator`], [`mapping`]: mimalloc, as the process uses it, and what is too large for it
//! - [`loading_thread`]: what mimalloc forgets when the thread that loaded it ends
//! - [`memory`]: the counting allocator, the source of `used_memory`
//! - [`pages`]: how full the allocator's pages are, and which are worth emptying

pub mod allocator;
pub mod catalogue;
pub mod clock;
pub mod commands;
pub mod counter;
pub mod histogram;
pub mod loading_thread;
pub mod mapping;
pub mod memory;
pub mod pages;

pub use commands::{CommandCell, CommandCells};
pub use counter::Counter;
pub use histogram::Histogram;
