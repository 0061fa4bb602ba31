//! What CLIENT PAUSE waits for before it is answered: the end of all that was let pass before.
//!
//! A command that the gate has let pass may still wait in a ring, in an errand or with Python. Whoever is told that writes are paused
//! relies on none being executed any more, as in a server that executes one command at a time. So each IO thread looks at its
//! connections once, and those that have something out get a share of the pause's [`Quiet`], which they keep until that is done. With
//! the last share gone, all shards are held once, for what is executed in them without a connection, and the client is answered.
//! No thread waits meanwhile, and what is not paused goes on.
//!
//! Rejected: to refuse late what was let pass, as a server does that hands over, for here it is to be executed; and to put it off until
//! the pause is over, for what its client has sent behind it may have been executed in another shard.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use sherd_shards::executor::errand::Errand;
use sherd_shards::handler::access::Shards;
use sherd_shards::server::pause::Condition;
use sherd_shards::server::world::World;

use crate::connection::token::Token;
use crate::connection::wait::{Share, WaitsFor};
use crate::connection::Connection;
use crate::shared::message::{Message, Performed};
use crate::shared::Shared;
use crate::thread::IoThread;

/// A client that is answered when this is dropped.
struct Quiet {
    // Weak: it may be left in the mailbox of a thread that has ended.
    shared: Weak<Shared>,
    token: Token,
    reply: Vec<u8>,
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let (engine, is_loading) = (Arc::clone(&shared.engine), shared.world.pause.is(Condition::Loading));
        let reply = std::mem::take(&mut self.reply);
        let last_look = Box::new(LastLook { shared, token: self.token, reply, is_quiet: true });
        if is_loading {
            // Who loads may hold the shards for long, and nobody writes.
            return last_look.end();
        }
        engine.run_errand(last_look);
    }
}

/// Looks at all shards at once.
struct LastLook {
    shared: Arc<Shared>,
    token: Token,
    reply: Vec<u8>,
    is_quiet: bool,
}

impl Errand for LastLook {
    fn needs(&self) -> u64 {
        self.shared.engine.all_shards()
    }

    fn run(&mut self, _: &mut Shards<'_>, world: &World) {
        self.is_quiet = world.runs_due.load(Relaxed) == 0;
    }

    fn panicked(&mut self) {}

    fn end(self: Box<Self>) {
        let engine = Arc::clone(&self.shared.engine);
        if !self.is_quiet {
            // What a waiting client is to get is on its way to it.
            return engine.leave_errand(0, self);
        }
        let LastLook { shared, token, reply, .. } = *self;
        let performed = Box::new(Performed { reply, ..Performed::default() });
        shared.tell(token, Message::Performed { connection: token, performed });
    }
}

/// Answers a client when all is done that was let pass before this.
pub fn answer_when_quiet(io: &mut IoThread, connection: &mut Connection, reply: Vec<u8>) {
    connection.wait.reason = WaitsFor::Quiet;
    // There is no reply if none is wanted. What the last wait did with its own is not for this one.
    connection.wait.is_suppressed = false;
    let quiet: Share = Arc::new(Quiet { shared: Arc::downgrade(&io.shared), token: connection.token, reply });
    for (index, mailbox) in io.shared.mailboxes.iter().enumerate() {
        if index != io.index {
            mailbox.deliver(Message::Share(Arc::clone(&quiet)));
        }
    }
    share(io, &quiet);
}

/// Gives a share to each connection of the thread that has something out which may write.
pub fn share(io: &mut IoThread, quiet: &Share) {
    for index in io.connections.indexes_where(Connection::may_have_writes_out) {
        if let Some(connection) = io.connections.get_mut(index) {
            connection.wait.shares.push(Arc::clone(quiet));
        }
    }
}
