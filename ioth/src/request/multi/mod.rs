//! MULTI, EXEC and WATCH.
//!
//! [`queue`] takes commands between MULTI and EXEC. [`exec`] decides who executes them, [`execution`] does it while the shards
//! are held, whoever holds them, and [`both_planes`] is for transactions with commands of the control plane.

pub mod both_planes;
pub mod exec;
pub mod execution;
pub mod queue;
pub mod watch;
