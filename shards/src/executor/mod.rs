//! Who executes when: batons, rings and threads, and the loop that runs commands in shards that are held.

pub mod batch;
#[cfg(test)]
mod batch_for_tests;
pub mod baton;
pub mod engine;
pub mod errand;
pub mod execute;
pub mod prefetch;
pub mod rest;
pub(crate) mod run;
mod salvage;
mod timer;
pub mod waiting;
