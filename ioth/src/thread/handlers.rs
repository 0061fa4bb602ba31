//! Commands that an IO thread executes itself, as it knows them: the table is made by [`crate::commands`], which stands above.

use sherd_shards::handler::error::{CommandError, Outcome};
use sherd_shards::handler::reply::Reply;

use crate::connection::Connection;
use crate::shared::Shared;

use super::IoThread;

/// What became of a request.
#[derive(PartialEq, Eq, Debug)]
pub enum Dispatch {
    /// It was taken: executed, refused, queued or sent to a shard.
    Done,
    /// It has to wait until what the connection has out is done; it is parsed again then.
    Later,
    /// It was taken, and what follows waits until it is answered.
    Wait,
}

/// A command's implementation: it answers through [`Connection::reply`].
pub type Handler = fn(&mut IoThread, &mut Connection, &[&[u8]]) -> Result<Dispatch, CommandError>;

/// The same of a command that needs nothing of its connection: it is answered in scripts as well.
pub type SharedHandler = fn(&Shared, &[&[u8]], &mut Reply<'_>) -> Outcome;

/// How a command stands to MULTI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InMulti {
    /// It is queued.
    Queued,
    /// It is executed at once.
    AtOnce,
    /// It is refused, as it takes shards to watch keys.
    Watch,
    /// It executes what was queued.
    Exec,
}

/// One command.
#[derive(Clone, Copy)]
pub struct ConnectionCommand {
    /// `None` for a container of subcommands.
    pub handler: Option<Handler>,
    /// How a script is answered, if a script may call it.
    pub in_script: Option<SharedHandler>,
    pub in_multi: InMulti,
    /// Whether it need not wait for what its connection has out.
    pub comes_at_once: bool,
    /// Whether what CLIENT CACHING has said before it is for the command behind it.
    pub keeps_caching: bool,
    /// Whether it answers and does nothing else: what was asked before it need not be asked again behind it.
    pub answers_only: bool,
}

/// All of them, by the numbers in their specifications.
pub type Handlers = &'static [ConnectionCommand];
