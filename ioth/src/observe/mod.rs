//! What operators see of clients and of the threads.

pub mod clients;
pub mod hot_keys;
pub mod log;
pub mod monitor;
pub mod panics;
pub mod recent_max;
pub mod stats;
