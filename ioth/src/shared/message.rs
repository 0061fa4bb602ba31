//! What is sent to an IO thread from outside, and from it to the control plane.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::Plane;
use sherd_shards::effects::blocking::{Waiter, Wake};
use sherd_shards::executor::batch::Batch;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::journal::Ticket;
use sherd_shards::rights::Denied;
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::tracking::Tracks;

use crate::connection::token::Token;
use crate::connection::transaction::{Executed, Transaction, Watch};
use crate::connection::wait::Share;
use crate::followers::replica::Joining;
use crate::net::listener::Peer;
use crate::net::transport::Lent;

use super::script_answer::ScriptAnswer;

/// What comes to an IO thread from outside.
pub enum Message {
    /// A batch that another thread executed.
    Batch(Box<Batch>),
    /// The control plane's answer, `sent` bytes of which the client has got already; `close`: the connection is to end.
    Reply { connection: Token, data: Vec<u8>, sent: usize, close: bool },
    /// Replies of extensions' commands, `sent` bytes of which the client has got already; more are to come unless these are all.
    /// `untaken` are requests that were not executed.
    Called { connection: Token, data: Vec<u8>, sent: usize, ticket: Ticket, is_all: bool, untaken: Box<[u8]> },
    /// A transaction that another thread has executed.
    Executed { connection: Token, executed: Box<Executed> },
    /// A command over shards that another thread has executed.
    Performed { connection: Token, performed: Box<Performed> },
    /// A connection to look after.
    Accept(OwnedFd, Box<Peer>),
    /// A key that a connection waits for is ready.
    WakeClient(Wake),
    /// CLIENT UNBLOCK; who has asked is told what has become of it, unless that is a transaction.
    Unblock { connection: Token, with_error: bool, asked_by: Option<Token> },
    /// Somebody who waits for no thread has ended the wait of a client, which is to be answered.
    WaitEnded { connection: Token, how: Ended },
    /// A client becomes a replica, of which another thread takes care.
    Join(Box<Joining>),
    /// The server has become a replica: nothing that clients wait for is theirs to take any more.
    EndWaits,
    /// The client was killed. Who has asked for that waits for its share of the answer to be let go, when nothing is taken for the client
    /// any more.
    Kill(Token, Option<Share>),
    /// A line for all monitors of this thread.
    Monitor(Arc<[u8]>),
    /// Look into the thread's box of published messages.
    Posts,
    /// The journal has become durable further on, or writers need not wait for it any more.
    Journal,
    /// Users have changed: look at what clients have that they may not have any more.
    UsersChanged,
    /// The message before this one was a change of this number, on which the thread has acted by now.
    ActedOn(u64),
    /// A pause has begun, and is to know when what the thread's connections have out is done.
    Share(Share),
    /// Look at the shared state again (stopping, unpaused).
    Wake,
}

/// How the wait of a client was ended by another thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// As if its time were over.
    Timeout,
    /// CLIENT UNBLOCK with ERROR.
    Unblocked,
    /// It was killed, or its user deleted: it is not answered.
    Killed,
    /// Its user has lost a right that its command needs.
    Refused(Denied),
}

/// Messages that may wait for an IO thread before what may be refused is. Batches, answers and wake-ups always arrive: they are
/// bounded by what is in flight, one for a connection or a waiting client.
pub const MAILBOX_CAPACITY: usize = 1024;

/// A request to the control plane.
pub struct ControlRequest {
    pub token: Token,
    pub args: Vec<Vec<u8>>,
    pub command: &'static Command,
    /// When it was sent up, and from when the control plane has it, that; its execution is timed from here.
    pub tick: u64,
    /// Where the answer may go at once: the client has nothing else to come, and its IO thread sends nothing before it has been
    /// told of the answer.
    pub lent: Option<Lent>,
    /// Which wait of its connection the request begins, if it is one of a command that blocks.
    pub wait: u64,
    /// Whose request it is.
    pub record: Arc<ClientRecord>,
    pub db: u16,
    pub protocol: Protocol,
    pub tracks: Tracks,
    pub in_multi: bool,
    /// The transaction that is to be executed; the command is EXEC then.
    pub transaction: Option<Arc<Transaction>>,
    /// The script that asks, which waits for the answer where it is.
    pub script: Option<Arc<ScriptAnswer>>,
}

/// Requests that may wait for the control plane; more have their connections deferred.
pub const INBOX_CAPACITY: usize = 1024;

impl ControlRequest {
    /// The transaction's commands of the control plane and of extensions, as requests; `None` if the request is no transaction.
    pub fn queued_requests(&self) -> Option<Vec<ControlRequest>> {
        let transaction = self.transaction.as_ref()?;
        let (mut db, mut protocol) = (self.db, self.protocol);
        let requests = transaction.multi.commands.iter().filter_map(|queued| {
            if queued.command.spec.name == "select" {
                // One that will be refused changes nothing; here it matters to nobody.
                db = std::str::from_utf8(&queued.args[1]).ok().and_then(|text| text.parse().ok()).unwrap_or(db);
            }
            protocol = queued.protocol_after().unwrap_or(protocol);
            let is_asked =
                matches!(queued.command.spec.plane, Plane::Control | Plane::Extension) && queued.denied.is_none();
            is_asked.then(|| ControlRequest {
                token: self.token,
                args: queued.args.clone(),
                command: queued.command,
                tick: self.tick,
                lent: None,
                wait: 0,
                record: Arc::clone(&self.record),
                db,
                protocol,
                tracks: self.tracks,
                in_multi: true,
                script: None,
                transaction: None,
            })
        });
        Some(requests.collect())
    }
}

/// What an errand over shards has done.
#[derive(Default)]
pub struct Performed {
    pub reply: Vec<u8>,
    /// What the command waits for, instead of a reply.
    pub waiter: Option<Arc<Waiter>>,
    /// The keys that WATCH has registered.
    pub watch: Option<Box<Watch>>,
    pub panicked: bool,
    /// The journal's segment of what it has written.
    pub ticket: Ticket,
}
