//! What is asked of the operating system for a thread or the process.

pub mod background;
pub mod huge_pages;
pub mod schedule;
