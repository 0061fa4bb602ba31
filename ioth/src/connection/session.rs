//! What a client has set up: its database, protocol, rights and open transaction.

use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::rights::User;

use super::subscriptions::Subscriptions;
use super::tracking::Tracking;
use super::transaction::{Multi, Watch};

/// What CLIENT REPLY has set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// This command's reply and the next one's are not sent.
    SkipNext,
    /// This command's reply is not sent.
    Skip,
}

impl ReplyMode {
    /// Whether a reply is not to be sent.
    #[inline]
    pub fn suppresses(self) -> bool {
        self != ReplyMode::On
    }

    /// What holds for the next command: SKIP takes effect on it and wears off after it.
    fn after_command(self) -> ReplyMode {
        match self {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        }
    }
}

/// A client's state between its commands.
#[derive(Default)]
pub struct Session {
    pub db: u16,
    pub protocol: Protocol,
    /// Who the client is; the default user as long as it has not said.
    pub user: Arc<User>,
    /// The generation of the table of users in which this user was looked up.
    pub users_generation: u64,
    /// It has logged in, or did not have to when it connected.
    pub authenticated: bool,
    /// It may have to log in, or its user may not do everything: each command is checked.
    pub is_checked: bool,
    /// The place of the pattern of keys that has allowed a request of late, which is asked first about the next one.
    pub likely_pattern: usize,
    /// Wrong passwords since the last right one.
    pub failed_logins: u32,
    /// Nothing is taken from the client before this time (milliseconds on the monotonic clock).
    pub deferred_until_ms: i64,
    pub reply_mode: ReplyMode,
    pub multi: Option<Box<Multi>>,
    pub watch: Option<Box<Watch>>,
    /// Its command is one of a transaction that is being executed.
    pub is_in_exec: bool,
    /// `None` unless the client is subscribed to something.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// `None` unless the client tracks keys.
    pub tracking: Option<Box<Tracking>>,
    /// The command that was executed last, which is likely to be the next one again.
    pub last_command: Option<&'static Command>,
    /// The request that is to be parsed again was shown to the monitors already.
    pub shown_to_monitors: bool,
}

impl Session {
    /// Whether only few commands may be executed: in RESP2 a subscriber could not tell messages from replies.
    #[inline]
    pub fn is_restricted(&self) -> bool {
        self.subscriptions.is_some() && !self.protocol.is_resp3()
    }

    /// A command is over, as far as CLIENT REPLY SKIP is concerned.
    #[inline]
    pub fn advance_reply_mode(&mut self) {
        if self.reply_mode.suppresses() {
            self.reply_mode = self.reply_mode.after_command();
        }
    }
}
