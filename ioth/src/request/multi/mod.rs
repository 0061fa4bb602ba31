//! MULTI, EXEC and WATCH.

pub mod exec;
