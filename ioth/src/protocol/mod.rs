//! Requests as bytes: RESP arrays and inline commands.

pub mod inline;
pub mod parser;
pub mod request;
