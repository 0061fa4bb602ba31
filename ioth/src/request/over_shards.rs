//! What needs shards held from outside: commands over several shards, WATCH, EXEC.
//!
//! The IO thread tries the batons of all shards involved. If all are free, it executes at once, from the connection's own
//! buffer into its own buffer. If one is not, it does not wait: the command becomes an errand with copies of what it needs, the
//! thread of the busy shard runs it, and the connection waits for the message that it is done. Either way the connection has
//! nothing else out at that moment, so its order is kept.
//!
//! Transactions are in [`crate::request::multi::exec`].

use std::collections::HashSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::access::Shards;
use sherd_shards::blocking::{self, Waiter};
use sherd_shards::client::ClientRecord;
use sherd_shards::context::Client;
use sherd_shards::engine::Engine;
use sherd_shards::errand::Errand;
use sherd_shards::error::CommandError;
use sherd_shards::execute::{self, Call, INTERNAL_ERROR};
use sherd_shards::keyspace::db::Key;
use sherd_shards::origin::Origin;
use sherd_shards::registry::{self, Command};
use sherd_shards::reply::Reply;
use sherd_shards::spec::{flag, Plane};
use sherd_shards::table;
use sherd_shards::watch::{DirtyFlag, Presence};
use sherd_shards::world::World;

use crate::connection::{Connection, QueuedCommand, ReplyMode, Waiting, Watch};
use crate::request::dispatch::{advance_reply_mode, same_slot, slots_of, Dispatch};
use crate::request::multi::exec::Exec;
use crate::shared::{Message, Shared, Token};
use crate::thread::IoThread;

const EXEC_ABORT: CommandError = CommandError::new("EXECABORT Transaction discarded because of previous errors.");

/// A command with copies of its arguments.
struct OwnedCommand {
    command: &'static Command,
    args: Vec<Vec<u8>>,
}

/// What an errand knows of its client: what is left of the connection while it waits.
pub struct Caller {
    pub shared: Arc<Shared>,
    pub token: Token,
    pub record: Arc<ClientRecord>,
    pub db: u16,
    pub resp3: bool,
}

impl Caller {
    /// The client of a connection.
    pub fn of(shared: &Arc<Shared>, connection: &Connection) -> Caller {
        Caller {
            shared: Arc::clone(shared),
            token: connection.token,
            record: Arc::clone(&connection.record),
            db: connection.db,
            resp3: connection.resp3,
        }
    }

    /// The client as its commands see it.
    pub fn client(&self) -> Client<'_> {
        Client {
            db: self.db,
            resp3: self.resp3,
            no_touch: self.record.no_touch.load(Relaxed),
            record: Some(&self.record),
        }
    }

    /// Shows a command of the client that has been executed to the monitors.
    pub fn show(&self, db: u16, command: &Command, args: &[Vec<u8>]) {
        self.shared.show_if_monitored(&self.record, db, command, args);
    }

    /// Sends a message to the client's IO thread.
    pub fn tell(&self, message: Message) {
        if let Some(mailbox) = self.shared.mailboxes.get(usize::from(self.token.io_thread)) {
            mailbox.deliver(message);
        }
    }
}

/// What an errand over shards has done.
#[derive(Default)]
pub struct Performed {
    reply: Vec<u8>,
    /// What the command waits for, instead of a reply.
    waiter: Option<Arc<Waiter>>,
    /// The keys that WATCH has registered.
    watch: Option<Box<Watch>>,
    panicked: bool,
}

impl Performed {
    /// A command has answered.
    pub fn answered(reply: Vec<u8>, panicked: bool) -> Performed {
        Performed { reply, panicked, ..Performed::default() }
    }
}

/// The errand of one command over several shards.
struct OneCommand {
    caller: Caller,
    owned: OwnedCommand,
    needs: u64,
    performed: Performed,
}

impl Errand for OneCommand {
    fn needs(&self) -> u64 {
        self.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let args: Vec<&[u8]> = self.owned.args.iter().map(Vec::as_slice).collect();
        let (client, token) = (self.caller.client(), self.caller.token);
        let out = &mut self.performed.reply;
        self.performed.waiter = call(shards, world, client, token, (self.owned.command, &args), out);
    }

    fn panicked(&mut self) {
        self.performed.reply.clear();
        Reply::new(&mut self.performed.reply, self.caller.resp3).error(&INTERNAL_ERROR);
        self.performed.panicked = true;
    }

    fn end(self: Box<Self>) {
        let message = Message::Performed { connection: self.caller.token, performed: Box::new(self.performed) };
        self.caller.tell(message);
    }
}

/// The errand of watching keys.
struct WatchKeys {
    caller: Caller,
    owned: OwnedCommand,
    needs: u64,
    watch: Box<Watch>,
}

impl Errand for WatchKeys {
    fn needs(&self) -> u64 {
        self.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let keys = self.owned.args[1..].iter().map(Vec::as_slice);
        watch_keys(&mut self.watch, shards, world, self.caller.db, keys);
    }

    // What was not registered counts as changed.
    fn panicked(&mut self) {
        self.watch.flag.store(true, Relaxed);
    }

    fn end(self: Box<Self>) {
        self.caller.show(self.caller.db, self.owned.command, &self.owned.args);
        let performed = Performed { reply: b"+OK\r\n".to_vec(), watch: Some(self.watch), ..Performed::default() };
        self.caller.tell(Message::Performed { connection: self.caller.token, performed: Box::new(performed) });
    }
}

/// Executes one command in shards that are held; returns what it waits for, if it does.
fn call(
    shards: &mut Shards<'_>,
    world: &World,
    client: Client<'_>,
    token: Token,
    (command, args): (&'static Command, &[&[u8]]),
    out: &mut Vec<u8>,
) -> Option<Arc<Waiter>> {
    let now_ms = world.now_milliseconds();
    let call = Call { command, args, first_key: (0, 0), client, now_ms, origin: Origin::Client };
    let (_, block) = execute::call_counted(shards, world, &call, args, out);
    // Registered while everything is held, so that no change of the keys can be missed.
    block.map(|block| blocking::register(shards, world, &call, token.to_bits(), *block))
}

/// Registers keys with their shards, which are held.
fn watch_keys<'a>(
    watch: &mut Watch,
    shards: &mut Shards<'_>,
    world: &World,
    db: u16,
    keys: impl Iterator<Item = &'a [u8]>,
) {
    let map = world.slots;
    let now_ms = world.now_milliseconds();
    for bytes in keys {
        if !watch.keys.insert((db, bytes.to_vec())) {
            continue;
        }
        let key = Key { bytes, hash: table::hash(bytes), slot: map.slot(bytes) };
        let shard = shards.of_slot(key.slot);
        let presence = shard.presence(db, &key, now_ms);
        shard.watches.add(db, bytes, &watch.flag, presence);
        watch.shards |= 1 << shard.index;
    }
}

impl IoThread {
    /// Executes one command over several shards, now or when they are free.
    pub fn run_over_shards(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        args: &[&[u8]],
        wanted: u64,
    ) -> Dispatch {
        if !connection.runs.is_empty() {
            return Dispatch::Later;
        }
        connection.record.last_command.store(command.id as u32, Relaxed);
        connection.wake_suppressed = connection.reply_mode != ReplyMode::On;
        advance_reply_mode(connection);
        let engine = Arc::clone(&self.shared.engine);
        let first = wanted.trailing_zeros() as usize;
        // What usually takes long is left to another thread: this one has connections with work for other shards.
        let heavy = !command.spec.has(flag::FAST) && engine.is_heavy(first, command.id);
        let held = if heavy { Err(first) } else { Engine::try_hold(&*engine, wanted) };
        let mut held = match held {
            Ok(held) => held,
            Err(busy) => {
                let errand = OneCommand {
                    caller: Caller::of(&self.shared, connection),
                    owned: OwnedCommand { command, args: args.iter().map(|arg| arg.to_vec()).collect() },
                    needs: wanted,
                    performed: Performed::default(),
                };
                return self.leave_errand(connection, busy, Box::new(errand));
            }
        };
        let start = connection.out.len();
        let mut out = std::mem::take(&mut connection.out);
        let caller = Caller::of(&self.shared, connection);
        let world = &self.shared.world;
        let result = catch_unwind(AssertUnwindSafe(|| {
            call(&mut held.shards(), world, caller.client(), caller.token, (command, args), &mut out)
        }));
        drop(held);
        let panicked = result.is_err();
        if panicked {
            out.truncate(start);
            Reply::new(&mut out, connection.resp3).error(&INTERNAL_ERROR);
            self.stats().panics.increment();
        }
        connection.out = out;
        self.end_over_shards(connection, start, result.unwrap_or_default(), panicked)
    }

    /// Leaves work to the thread of a shard that is busy; the connection waits until it is done.
    pub fn leave_errand(&mut self, connection: &mut Connection, busy: usize, errand: Box<dyn Errand>) -> Dispatch {
        connection.waiting = Waiting::Errand;
        self.shared.engine.leave_errand(busy, errand);
        Dispatch::Wait
    }

    /// A command over shards is done; its reply begins at `start`, unless it waits for a key.
    pub fn end_over_shards(
        &mut self,
        connection: &mut Connection,
        start: usize,
        waiter: Option<Arc<Waiter>>,
        panicked: bool,
    ) -> Dispatch {
        if connection.wake_suppressed {
            connection.out.truncate(start);
        }
        connection.close_after_reply |= panicked;
        let Some(waiter) = waiter else { return Dispatch::Done };
        self.begin_wait(connection, waiter);
        Dispatch::Wait
    }

    /// An errand of a connection is done.
    pub fn take_performed(&mut self, token: Token, performed: Performed) {
        // A connection with an errand out is not closed before this.
        let Some(mut connection) = self.connections.take(token.index) else { return };
        if connection.token != token || connection.waiting != Waiting::Errand {
            self.connections.put_back(connection);
            return;
        }
        connection.waiting = Waiting::Nothing;
        if let Some(watch) = performed.watch {
            connection.record.watched.store(watch.keys.len(), Relaxed);
            connection.watch = Some(watch);
        }
        let start = connection.out.len();
        connection.out.extend_from_slice(&performed.reply);
        self.end_over_shards(&mut connection, start, performed.waiter, performed.panicked);
        self.go_on_with(connection);
    }

    /// Sends the answer of what another thread has executed, and goes on with the connection. A client that was killed meanwhile
    /// gets it all the same: what a command took out of the keyspace is not lost on the way.
    pub fn go_on_with(&mut self, mut connection: Box<Connection>) {
        if self.flush(&mut connection).is_err() {
            connection.closing = true;
        }
        self.ready_again(&mut connection);
        self.settle(connection);
    }

    /// WATCH: registers the client with the shards of the keys.
    pub fn watch(&mut self, connection: &mut Connection, args: &[&[u8]]) -> Dispatch {
        let keys = &args[1..];
        let map = self.shared.world.slots;
        let mut watch = connection
            .watch
            .take()
            .unwrap_or_else(|| Box::new(Watch { flag: DirtyFlag::default(), shards: 0, keys: HashSet::new() }));
        let wanted = keys.iter().fold(0u64, |wanted, key| wanted | 1 << map.shard_of(map.slot(key)));
        let engine = Arc::clone(&self.shared.engine);
        match Engine::try_hold(engine, wanted) {
            Ok(mut held) => {
                let world = &self.shared.world;
                watch_keys(&mut watch, &mut held.shards(), world, connection.db, keys.iter().copied());
                drop(held);
                connection.record.watched.store(watch.keys.len(), Relaxed);
                connection.watch = Some(watch);
                connection.reply(|reply| reply.ok());
                Dispatch::Done
            }
            Err(busy) => {
                connection.wake_suppressed = connection.reply_mode != ReplyMode::On;
                let command = registry::table().find(b"watch").expect("WATCH is in the table");
                let owned = OwnedCommand { command, args: args.iter().map(|arg| arg.to_vec()).collect() };
                let errand = WatchKeys { caller: Caller::of(&self.shared, connection), owned, needs: wanted, watch };
                self.leave_errand(connection, busy, Box::new(errand))
            }
        }
    }

    /// EXEC: executes, or sends the transaction to the control plane if it has commands of it.
    pub fn exec(&mut self, connection: &mut Connection, args: &[&[u8]]) -> Result<Dispatch, CommandError> {
        let Some(multi) = &mut connection.multi else {
            return Err(CommandError::new("ERR EXEC without MULTI"));
        };
        if multi.aborted {
            connection.discard();
            return Err(EXEC_ABORT);
        }
        if self.shared.cluster {
            let queue: Vec<(&Command, Vec<&[u8]>)> = multi
                .commands
                .iter()
                .map(|queued| (queued.command, queued.args.iter().map(Vec::as_slice).collect()))
                .collect();
            let slots = queue.iter().flat_map(|(command, args)| slots_of(command, args));
            if let Err(error) = same_slot(slots) {
                connection.discard();
                return Err(error);
            }
        }
        if multi.commands.iter().any(|queued| matches!(queued.command.spec.plane, Plane::Control)) {
            return Ok(self.send_exec(connection, args));
        }
        Ok(self.exec_over_shards(connection, args))
    }

    fn exec_over_shards(&mut self, connection: &mut Connection, args: &[&[u8]]) -> Dispatch {
        let Some(multi) = connection.multi.take() else { return Dispatch::Done };
        let watch = connection.watch.take();
        let map = self.shared.world.slots;
        let of_data = multi.commands.iter().filter(|queued| matches!(queued.command.spec.plane, Plane::Data(_)));
        let wanted = of_data.fold(watch.as_ref().map_or(0, |watch| watch.shards), |wanted, queued| {
            let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
            wanted | queued.command.shards_of(&args, &map)
        });
        // A transaction needs some shard to be executed in.
        let wanted = wanted.max(1);
        connection.wake_suppressed = connection.reply_mode != ReplyMode::On;
        let exec = Exec::new(Caller::of(&self.shared, connection), args, (multi, watch), wanted);
        let engine = Arc::clone(&self.shared.engine);
        match Engine::try_hold(engine, wanted) {
            Ok(mut held) => {
                let executed = exec.run_all(&mut held.shards(), &mut |queued, replies| {
                    self.run_in_transaction(connection, queued, replies);
                    (connection.db, connection.resp3)
                });
                drop(held);
                self.end_exec(connection, executed);
                Dispatch::Done
            }
            Err(busy) => self.leave_errand(connection, busy, Box::new(exec)),
        }
    }

    /// Executes a command of the connection in its place among the others of a transaction.
    fn run_in_transaction(&mut self, connection: &mut Connection, queued: &QueuedCommand, replies: &mut Vec<u8>) {
        let Plane::Connection(number) = queued.command.spec.plane else { return };
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        // The connection's own buffer takes the reply; it is moved behind the others.
        let before = std::mem::take(&mut connection.out);
        self.run_connection_command(connection, queued.command, number, &args);
        replies.extend_from_slice(&std::mem::replace(&mut connection.out, before));
    }
}

/// Whether a watched key has changed. The watched shards are held.
pub fn has_changed(watch: &Watch, shards: &mut Shards<'_>, world: &World, now_ms: i64) -> bool {
    if watch.flag.load(Relaxed) {
        return true;
    }
    let map = world.slots;
    // A key that was found alive and has expired since has changed, though nobody has removed it yet.
    watch.keys.iter().any(|(db, bytes)| {
        let key = Key { bytes, hash: table::hash(bytes), slot: map.slot(bytes) };
        let shard = shards.of_slot(key.slot);
        shard.presence(*db, &key, now_ms) == Presence::Expired && shard.watches.found_alive(*db, bytes, &watch.flag)
    })
}
