//! Requests as bytes: RESP arrays and inline commands.

pub mod parser;
