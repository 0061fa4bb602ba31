//! A client's transaction as data: what MULTI has queued, what WATCH has registered, and what execution has made of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Release};
use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::effects::watch::DirtyFlag;
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::journal::Ticket;
use sherd_shards::server::tracking::Tracks;
use sherd_shards::server::world::World;

/// A command queued by MULTI.
pub struct QueuedCommand {
    pub command: &'static Command,
    pub args: Vec<Vec<u8>>,
    /// What is answered in its place: the client may not execute it any more.
    pub denied: Option<CommandError>,
}

impl QueuedCommand {
    /// The protocol of the commands after a HELLO; `None` if it does not change that.
    pub fn protocol_after(&self) -> Option<Protocol> {
        match self.args.get(1).filter(|_| self.command.spec.name == "hello")?.as_slice() {
            b"2" => Some(Protocol::Resp2),
            b"3" => Some(Protocol::Resp3),
            _ => None,
        }
    }
}

/// An open transaction.
#[derive(Default)]
pub struct Multi {
    pub commands: Vec<QueuedCommand>,
    /// What the client has sent of them.
    pub bytes: usize,
    /// What their arguments take.
    args_bytes: usize,
    /// The database of the commands that follow, where one was selected.
    pub db: Option<u16>,
    /// A command was refused while queueing; EXEC will abort.
    pub aborted: bool,
}

impl Multi {
    /// Adds one.
    pub fn push(&mut self, command: QueuedCommand) {
        self.args_bytes += command.args.capacity() * size_of::<Vec<u8>>();
        self.args_bytes += command.args.iter().map(|arg| block_bytes(arg.capacity())).sum::<usize>();
        self.commands.push(command);
    }

    /// What it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.args_bytes + self.commands.capacity() * size_of::<QueuedCommand>()
    }
}

/// What an allocation of so many bytes takes.
fn block_bytes(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

/// What a watched key takes beside its two copies: in the client's set and, with a reference to the client, in its shard's register.
const WATCHED_KEY_BYTES: usize = 208;

/// Watched keys.
pub struct Watch {
    pub flag: DirtyFlag,
    pub shards: u64,
    /// With their databases.
    pub keys: HashSet<(u16, Vec<u8>)>,
    /// What they take, in bytes.
    bytes: usize,
    /// Where it says in the end how many keys it has watched, so that shards clear their registers
    /// ([`World::watches_ended`](sherd_shards::server::world::World)).
    ended: Arc<AtomicU64>,
}

impl Watch {
    /// No keys yet.
    pub fn new(world: &World) -> Watch {
        let ended = Arc::clone(&world.watches_ended);
        Watch { flag: DirtyFlag::default(), shards: 0, keys: HashSet::new(), bytes: 0, ended }
    }

    /// Adds a key; false if it is watched already.
    pub fn insert(&mut self, db: u16, key: &[u8]) -> bool {
        let is_new = self.keys.insert((db, key.to_vec()));
        if is_new {
            self.bytes += WATCHED_KEY_BYTES + 2 * block_bytes(key.len());
        }
        is_new
    }

    /// What the keys take, in bytes, also in the registers of their shards.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Before the count: who reads it shall find the references dead.
        self.flag = DirtyFlag::default();
        self.ended.fetch_add(self.keys.len() as u64, Release);
    }
}

/// A transaction that is to be executed.
pub struct Transaction {
    /// EXEC as it was sent.
    pub args: Vec<Vec<u8>>,
    pub multi: Box<Multi>,
    pub watch: Option<Box<Watch>>,
}

/// A transaction as far as it was executed.
#[derive(Default)]
pub struct Executed {
    pub replies: Vec<u8>,
    /// The command that comes next; beyond the last one when the transaction is over.
    pub next: usize,
    /// Commands for the IO thread, with the places of their replies.
    pub left: Vec<(usize, &'static Command, Vec<Vec<u8>>)>,
    pub db: u16,
    pub protocol: Protocol,
    pub tracks: Tracks,
    /// The time that all its commands see, as in Redis, however long they take.
    pub now_ms: i64,
    /// Errors that were answered in place of commands.
    pub refused: Vec<CommandError>,
    pub panicked: bool,
    /// The replies were more by then than the client may leave unread; those behind it are not kept.
    pub too_much_from: Option<usize>,
    /// There is no room for what scripts of it may turn out to need.
    pub lacks_room: bool,
    /// The journal's segment of what it has written.
    pub ticket: Ticket,
}
