//! A command over several shards, executed while all of them are held.
//!
//! The IO thread tries the batons of all shards involved. If all are free, it executes at once, from the connection's own
//! buffer into its own buffer. If one is not, it does not wait: the command becomes an errand with copies of what it needs, the
//! thread of the busy shard runs it, and the connection waits for the message that it is done. Either way the connection has
//! nothing else out at that moment, so its order is kept.
//!
//! Transactions are in [`super::multi`].

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;
use sherd_shards::effects::blocking::Waiter;
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::errand::Errand;
use sherd_shards::executor::execute::{self, is_refused, Call, INTERNAL_ERROR};
use sherd_shards::executor::waiting;
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Reply;
use sherd_shards::handler::scripting;
use sherd_shards::journal;
use sherd_shards::server::world::World;
use sherd_types::invariant::contain;

use crate::connection::token::Token;
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::protocol::request::{borrowed, owned};
use crate::shared::message::{Message, Performed};
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::blocked::wait::begin_wait;
use super::caller::Caller;
use super::durable::hold_for;
use super::gate::refuse;
use super::output::cut_if_dropped;
use super::settle::go_on_with;
use super::slots::check_one_slot;

/// The errand of one command over several shards.
struct OneCommand {
    caller: Caller,
    command: &'static Command,
    args: Vec<Vec<u8>>,
    needs: u64,
    /// It is a script that has left its shards, and is to be executed again with all of them.
    begins_again: bool,
    performed: Performed,
}

impl Errand for OneCommand {
    fn needs(&self) -> u64 {
        self.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let args = borrowed(&self.args);
        let (client, token) = (self.caller.client(), self.caller.token);
        let out = &mut self.performed.reply;
        let _again = scripting::ExecutingAgain::begin();
        self.performed.waiter = call(shards, world, client, token, (self.command, &args), out);
        if scripting::takes_hand_on() {
            self.performed.reply.clear();
            self.needs = world.slots.all_shards();
            self.begins_again = true;
        }
    }

    fn panicked(&mut self) {
        self.performed.reply.clear();
        Reply::new(&mut self.performed.reply, self.caller.protocol).error(&INTERNAL_ERROR);
        self.performed.panicked = true;
    }

    fn end(mut self: Box<Self>) {
        if std::mem::take(&mut self.begins_again) {
            let shared = Arc::clone(&self.caller.shared);
            shared.engine.leave_errand(self.needs.trailing_zeros() as usize, self);
            return;
        }
        self.performed.ticket = journal::last_ticket();
        let message = Message::Performed { connection: self.caller.token, performed: Box::new(self.performed) };
        self.caller.tell(message);
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
    if world.pause.may_be_on() && is_refused(world, command, client.protocol, out) {
        return None;
    }
    let now_ms = world.now_milliseconds();
    let call = Call { command, args, first_key: (0, 0), client, now_ms, origin: Origin::Client };
    let (_, block) = execute::call_counted(shards, world, &call, args, out);
    // Registered while everything is held, so that no change of the keys can be missed.
    block.map(|block| waiting::register(shards, world, &call, token.to_bits(), *block))
}

/// Executes one command over several shards, now or when they are free.
pub fn run_over_shards(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: &[&[u8]],
    wanted: u64,
) -> Dispatch {
    if connection.outbound.has_pending() {
        return Dispatch::Later;
    }
    connection.record.last_command.store(command.id as u32, Relaxed);
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    connection.session.advance_reply_mode();
    let engine = Arc::clone(&io.shared.engine);
    let first = wanted.trailing_zeros() as usize;
    // What usually takes long is left to another thread: this one has connections with work for other shards.
    let heavy = !command.spec.has(flag::FAST) && engine.is_heavy(first, command.id);
    let held = if heavy { Err(first) } else { Engine::try_hold(&*engine, wanted) };
    let mut held = match held {
        Ok(held) => held,
        Err(busy) => return leave_command(io, connection, (command, args), (wanted, busy)),
    };
    let start = connection.outbound.buffer.len();
    let (waiter, panicked) = call_now(io, connection, &mut held.shards(), (command, args));
    drop(held);
    let ticket = journal::last_ticket();
    if scripting::takes_hand_on() {
        connection.outbound.buffer.truncate(start);
        // More of them, if it has turned out to leave those that it was given.
        let needs = command.shards_of(args, &io.shared.world.slots);
        return leave_command(io, connection, (command, args), (needs, needs.trailing_zeros() as usize));
    }
    hold_for(io, connection, ticket);
    end_over_shards(io, connection, start, waiter, panicked)
}

/// Executes a command in shards that are held, and writes its reply behind the connection's others; returns what it waits for,
/// if it does, and whether it has panicked.
fn call_now(
    io: &IoThread,
    connection: &mut Connection,
    shards: &mut Shards<'_>,
    command: (&'static Command, &[&[u8]]),
) -> (Option<Arc<Waiter>>, bool) {
    let caller = Caller::of(&io.shared, connection);
    let out = &mut connection.outbound.buffer;
    let start = out.len();
    let world = &io.shared.world;
    let _again = scripting::ExecutingAgain::begin();
    let result = contain(|| call(shards, world, caller.client(), caller.token, command, out));
    let panicked = result.is_err();
    if panicked {
        out.truncate(start);
        Reply::new(out, connection.session.protocol).error(&INTERNAL_ERROR);
        io.stats().panics.increment();
    }
    (result.unwrap_or_default(), panicked)
}

/// Executes a script of which it is not known that it is over soon: in its shard's own thread, so that this one goes on.
pub fn run_unknown_script(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: &[&[u8]],
) -> Dispatch {
    if connection.outbound.has_pending() {
        return Dispatch::Later;
    }
    if io.shared.cluster {
        if let Err(error) = check_one_slot(command, args) {
            return refuse(io, connection, Some(command), &error);
        }
    }
    connection.record.last_command.store(command.id as u32, Relaxed);
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    connection.session.advance_reply_mode();
    let wanted = command.shards_of(args, &io.shared.world.slots);
    leave_command(io, connection, (command, args), (wanted, wanted.trailing_zeros() as usize))
}

/// Leaves a command to the thread of a shard, the first that it needs or one that was busy.
fn leave_command(
    io: &mut IoThread,
    connection: &mut Connection,
    (command, args): (&'static Command, &[&[u8]]),
    (needs, shard): (u64, usize),
) -> Dispatch {
    let caller = Caller::of(&io.shared, connection);
    let errand =
        OneCommand { caller, command, args: owned(args), needs, begins_again: false, performed: Performed::default() };
    leave_errand(io, connection, shard, Box::new(errand))
}

/// Leaves work to the thread of a shard that is busy; the connection waits until it is done.
pub fn leave_errand(io: &mut IoThread, connection: &mut Connection, busy: usize, errand: Box<dyn Errand>) -> Dispatch {
    connection.wait.reason = WaitsFor::Errand;
    io.shared.engine.leave_errand(busy, errand);
    Dispatch::Wait
}

/// A command over shards is done; its reply begins at `start`, unless it waits for a key.
pub fn end_over_shards(
    io: &mut IoThread,
    connection: &mut Connection,
    start: usize,
    waiter: Option<Arc<Waiter>>,
    panicked: bool,
) -> Dispatch {
    if connection.wait.is_suppressed {
        connection.outbound.buffer.truncate(start);
    }
    connection.close_after_reply |= panicked;
    if cut_if_dropped(io, connection) {
        return Dispatch::Wait;
    }
    let Some(waiter) = waiter else { return Dispatch::Done };
    begin_wait(io, connection, waiter);
    Dispatch::Wait
}

/// An errand of a connection is done.
pub fn take_performed(io: &mut IoThread, token: Token, performed: Performed) {
    // A connection with an errand out is not closed before this.
    let Some(mut connection) = io.connections.take(token.index) else { return };
    if connection.token != token || !matches!(connection.wait.reason, WaitsFor::Errand | WaitsFor::Quiet) {
        io.connections.put_back(connection);
        return;
    }
    connection.wait.reason = WaitsFor::Nothing;
    if let Some(watch) = performed.watch {
        connection.record.watched.store(watch.keys.len(), Relaxed);
        connection.session.watch = Some(watch);
    }
    hold_for(io, &mut connection, performed.ticket);
    let start = connection.outbound.append(performed.reply, 0);
    end_over_shards(io, &mut connection, start, performed.waiter, performed.panicked);
    go_on_with(io, connection);
}
