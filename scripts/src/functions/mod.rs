//! Functions: libraries that register them, and the one table of all libraries.
//!
//! - [`library`]: a library's first line, the names that are allowed, what it has registered
//! - [`table`]: all libraries of a server, with a version by which threads see that something has changed
//!
//! A library's code is run once in each thread's runtime, when that thread calls a function of it for the first time, so what
//! it keeps in local variables is kept by each thread for itself. Whether it can be loaded is found out once, by FUNCTION LOAD.

pub mod library;
pub mod table;
