//! What a connection waits for before its next request is taken, besides replies from shards.

use std::sync::Arc;

use sherd_shards::effects::blocking::Waiter;

/// The reason of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WaitsFor {
    #[default]
    Nothing,
    /// The control plane's answer.
    Control,
    /// A transaction that the control plane executes.
    Exec,
    /// An errand over shards that were busy.
    Errand,
    /// A key; see [`Wait::waiter`].
    Key,
}

/// A connection's wait, if it has one.
#[derive(Default)]
pub struct Wait {
    pub reason: WaitsFor,
    /// The command that waits for a key.
    pub waiter: Option<Arc<Waiter>>,
    /// Its reply, when it has come before everything in front of it was sent.
    pub reply: Option<Vec<u8>>,
    /// Its answer if the wait was interrupted while it was being served and nothing was found.
    pub interrupt_reply: Option<Vec<u8>>,
    /// CLIENT REPLY said not to send the answer.
    pub is_suppressed: bool,
}
