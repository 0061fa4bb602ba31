//! Commands of extensions that a connection has brought and waits for.

use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::tracking::Tracks;

use crate::net::transport::Lent;

use super::token::Token;

/// Commands of one connection that are called together, where its pipeline has them one behind the other.
pub const CALLS_MAX: usize = 128;
/// Bytes of replies with which they are answered though some were not executed: those are taken anew, when the client has little
/// enough unread.
pub const CALLS_REPLY_BYTES_MAX: usize = 1 << 20;

/// One command line of an extension.
pub struct CommandLine {
    pub command: &'static Command,
    pub args: Vec<Vec<u8>>,
}

/// Commands of one connection, which waits for all of their replies.
pub struct Calls {
    pub token: Token,
    pub record: Arc<ClientRecord>,
    pub db: u16,
    pub protocol: Protocol,
    pub tracks: Tracks,
    /// Where the replies may go at once: the client has nothing else to come, and its IO thread sends nothing before it has
    /// been told of them.
    pub lent: Option<Lent>,
    pub lines: Vec<CommandLine>,
}
