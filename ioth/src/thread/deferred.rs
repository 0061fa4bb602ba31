//! Connections that are deferred by CLIENT PAUSE or a full inbox, and pauses that have not begun yet.

use crate::connection::token::Token;

/// A CLIENT PAUSE that has not begun yet.
pub struct RequestedPause {
    pub timeout_ms: i64,
    pub writes_only: bool,
}

/// What is put off in one thread.
#[derive(Default)]
pub struct Deferred {
    /// Connections whose next request is not taken; looked at again every tick.
    pub connections: Vec<Token>,
    /// Connections that wait for a key and whose commands are to be run again when a pause is over.
    pub waiting: Vec<Token>,
    /// Pauses that the command being executed has asked for.
    pub pauses: Vec<RequestedPause>,
}
