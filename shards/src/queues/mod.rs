//! Ways between threads on which nobody waits: a bounded ring, a queue that overflows, and a mailbox with a bell.

pub mod mailbox;
pub mod queue;
pub mod ring;
