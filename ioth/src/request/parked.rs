//! Commands of a pipeline that wait for their client to read: it has asked for more than shall lie in memory for it.
//!
//! A shard executes a batch up to a bound of its replies, whoever has asked for them (`REPLY_BYTES_MAX`), and what is behind it comes
//! back as it went. It is parked with its connections. One that has little unread goes on at once, one that has left too much unread
//! when it has read some of it, and one that is cut at its limit not at all. So what a client can have lie in memory is bounded,
//! whatever it has sent: by its limit, or where there is none by [`OUTPUT_PAUSE_BYTES`] and what one command answers.
//!
//! What is parked was let pass, perhaps long ago. Before it goes on it is asked again whether it may be executed; if not, it is
//! answered or paused in its place. Its connection takes no other request meanwhile, and its read buffer, in which the arguments are,
//! stays as it is.
//!
//! Rejected: taking the requests from the buffer once more. Commands behind them that went to other shards have been executed, and
//! SELECT or PING as well.

use std::iter;

use sherd_shards::command::spec::flag;
use sherd_shards::executor::batch::Batch;
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::Reply;

use crate::connection::outbound::{Parked, OUTPUT_PAUSE_BYTES};
use crate::connection::Connection;
use crate::shared::access::log::Setting;
use crate::thread::IoThread;

use super::deliver::go_on;
use super::gate::count_error;
use super::paused::defer_for_pause;
use super::restraints::{restraint, Restraint};
use super::rights::{check_in, keep_up};

/// Whether a connection goes on with nothing for now.
fn waits(connection: &Connection) -> bool {
    connection.closing || connection.is_deferred
}

/// Has parked commands executed, if their client has read enough of what was answered before.
#[cold]
pub fn go_on_with_parked(io: &mut IoThread, connection: &mut Connection) {
    keep_up(&io.shared, connection);
    if waits(connection) || connection.unsent() >= OUTPUT_PAUSE_BYTES {
        return;
    }
    for mut parked in connection.outbound.take_parked() {
        let shard = parked.batch.shard;
        let is_sent =
            !waits(connection) && connection.outbound.has_room_for(shard) && send_on(io, connection, &mut parked);
        match (is_sent, parked.done < parked.batch.commands.len()) {
            (true, false) => {}
            (true, true) => connection.outbound.keep_behind(parked),
            (false, true) => connection.outbound.park(parked),
            (false, false) => connection.outbound.received_from(shard),
        }
    }
    go_on(io, connection);
}

/// Puts commands into the batch of their shard up to one that may not be executed now. Those that may not be executed are answered if
/// they are the first. Returns whether there is anything in the batch.
fn send_on(io: &mut IoThread, connection: &mut Connection, parked: &mut Parked) -> bool {
    let Parked { batch, done } = parked;
    let shard = batch.shard;
    let is_asked = connection.session.is_checked || io.shared.world.pause.may_be_on();
    let mut end = if is_asked { *done } else { batch.commands.len() };
    while end < batch.commands.len() {
        let command = batch.commands[end].command;
        match look_again(io, connection, batch, end) {
            None => end += 1,
            Some(_) if end > *done => break,
            Some(Restraint::Refused(error)) => {
                refuse_parked(io, connection, batch, end, &error);
                end += 1;
                *done = end;
            }
            Some(Restraint::Paused) => {
                defer_for_pause(io, connection, command);
                break;
            }
        }
    }
    if end == *done {
        return false;
    }
    let first = batch.commands[*done].command;
    let heavy = io.batches.shards() > 1 && !first.spec.has(flag::FAST) && io.shared.engine.is_heavy(shard, first.id);
    let building = if heavy { &mut io.batches.heavy[shard] } else { &mut io.batches.building[shard] };
    building.push_from(batch, *done..end);
    *done = end;
    true
}

/// What keeps a command from being executed that was let pass before, if anything does by now.
fn look_again(io: &IoThread, connection: &Connection, batch: &Batch, at: usize) -> Option<Restraint> {
    let (command, args) = (batch.commands[at].command, batch.args_of(at));
    if connection.session.is_checked {
        let place = (batch.commands[at].db, Setting::TopLevel);
        if let Err(error) = check_in(&io.shared, connection, place, command, args) {
            return Some(Restraint::Refused(error));
        }
    }
    io.shared.world.pause.may_be_on().then(|| restraint(io, connection, command, args)).flatten()
}

/// Answers a parked command an error, in its place.
fn refuse_parked(io: &IoThread, connection: &mut Connection, batch: &Batch, at: usize, error: &CommandError) {
    io.stats().cells.cell(batch.commands[at].command.id).rejected.increment();
    count_error(io, error);
    let mut reply = Vec::new();
    Reply::new(&mut reply, batch.segments[batch.segment_of(at)].protocol).error(error);
    let end = reply.len();
    connection.outbound.keep(batch.shard, &mut reply, 0, iter::once(end));
}
