//! What a command is: its declaration, the table of all of them, and on whose behalf one is executed.

pub mod category;
pub mod origin;
pub mod registry;
pub mod spec;
