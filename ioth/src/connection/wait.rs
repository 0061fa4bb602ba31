//! What a connection waits for before its next request is taken, besides replies from shards.

use std::any::Any;
use std::sync::Arc;

use sherd_shards::effects::blocking::Waiter;

use super::calls::Calls;
use super::token::Token;
use super::tracking::Early;

/// The reason of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WaitsFor {
    #[default]
    Nothing,
    /// The answer of the control plane, or of an extension's thread.
    Control,
    /// A transaction that the control plane, or an extension's thread, executes.
    Exec,
    /// An errand over shards that were busy.
    Errand,
    /// A key; see [`Wait::waiter`].
    Key,
    /// The end of all that a pause does not hold back.
    Quiet,
}

/// Whoever waits until all shares of something have been let go.
pub type Share = Arc<dyn Any + Send + Sync>;

/// A connection's wait, if it has one.
#[derive(Default)]
pub struct Wait {
    pub reason: WaitsFor,
    /// Commands of extensions that were taken from the read buffer and not sent yet.
    pub calls: Option<Box<Calls>>,
    /// The command that waits for a key.
    pub waiter: Option<Arc<Waiter>>,
    /// Its reply, when it has come before everything in front of it was sent.
    pub reply: Option<Vec<u8>>,
    /// The control plane waits with its answer for as long as the client likes (`request/blocked/elsewhere.rs`), and was told not to.
    pub is_elsewhere: bool,
    /// How many such waits there were: what ends one does not end the next.
    pub number: u64,
    pub is_interrupted: bool,
    /// Its answer if the wait was interrupted while it was being served and nothing was found.
    pub interrupt_reply: Option<Vec<u8>>,
    /// Who is to be told whether CLIENT UNBLOCK was what has ended it, when that is known.
    pub unblocked_by: Option<Token>,
    /// While a transaction that may have the client begin to track is executed elsewhere.
    pub early: Option<Box<Early>>,
    /// One for each pause that has begun while something was out for this connection; let go of when that is done.
    pub shares: Vec<Share>,
    /// CLIENT REPLY said not to send the answer.
    pub is_suppressed: bool,
}
