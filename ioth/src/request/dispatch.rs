//! From requests to commands: which one a request names, whether it may be executed now, and who executes it.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::{self, Command, Route};
use sherd_shards::command::spec::{flag, Group, Plane};
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, CROSS_SLOT};
use sherd_shards::handler::scripting::Knowledge;
use sherd_shards::maintenance::evict;
use sherd_shards::slot::{slot_of, SLOTS};
use sherd_types::table;

use crate::connection::Connection;
use crate::observe::log::Level;
use crate::protocol::request::Request;
use crate::thread::handlers::{Dispatch, InMulti};
use crate::thread::IoThread;

use super::control::send_to_control;
use super::each_shard::run_in_each_shard;
use super::extension::begin_calls;
use super::gate::{find_command, gate, refuse, refuse_bytes, unknown_command};
use super::monitor;
use super::multi::queue::queue;
use super::over_shards::{run_over_shards, run_unknown_script};
use super::own_command::in_multi;
use super::own_requests::route_own;
use super::restraints::restrain;
use super::submit::{place_of, send_to_shard};

/// Takes one request.
#[inline]
pub fn take_command(io: &mut IoThread, connection: &mut Connection, request: &Request<'_>) -> Dispatch {
    let name = request.get(0).unwrap_or_default();
    let command = match connection.session.last_command {
        Some(last) if last.packed != 0 && last.packed == registry::packed_name(name) => Some(last),
        _ => find_command(io, connection, request),
    };
    let Some(command) = command else {
        if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
            return cut_browser(io, connection);
        }
        return refuse_bytes(io, connection, None, &unknown_command(request));
    };
    if let Err(error) = gate(io, connection, command, request) {
        // A container with a subcommand that does not exist is no command that could be counted.
        let known = !matches!(command.spec.plane, Plane::Container) || request.args.len() == 1;
        monitor::show_refused(&io.shared, connection, command, request.args);
        return refuse(io, connection, known.then_some(command), &error);
    }
    if io.shared.world.pause.may_be_on() {
        if let Some(dispatch) = restrain(io, connection, command, request) {
            return dispatch;
        }
    }
    if connection.session.multi.is_some() && in_multi(io, command) == InMulti::Queued {
        return queue(io, connection, command, request);
    }
    route(io, connection, command, request)
}

/// A browser was made to talk to this port by somebody else's page; what follows may be commands.
#[cold]
fn cut_browser(io: &mut IoThread, connection: &mut Connection) -> Dispatch {
    let fields = vec![("address", connection.record.address.clone())];
    io.shared.log.add(Level::Warning, "a client that speaks HTTP was cut: a possible attack", fields);
    connection.closing = true;
    Dispatch::Wait
}

/// Sends a command to whoever executes it, and shows it to those who asked.
#[inline]
fn route(io: &mut IoThread, connection: &mut Connection, command: &'static Command, request: &Request<'_>) -> Dispatch {
    if io.shared.monitors.load(Relaxed) > 0 {
        return route_shown(io, connection, command, request);
    }
    route_at_once(io, connection, command, request)
}

/// Sends a command on and shows it to the monitors, once even if it has to wait.
#[cold]
fn route_shown(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Dispatch {
    if connection.outbound.has_pending() && connection.outbound.has_script_out() {
        // A script is shown when it is executed, and this comes behind it.
        return Dispatch::Later;
    }
    let flags = io.shared.scripts.flags_of(command, request.get(1));
    if let Some(error) = monitor::refusal(connection, flags) {
        return refuse(io, connection, Some(command), &error);
    }
    // What the shard refuses for want of memory is not shown, as nothing is that is refused here.
    let lacks_room = flags & flag::DENYOOM != 0 && evict::is_hopeless(&io.shared.world);
    // What the connection's thread executes has been executed when it is shown: SELECT in its new database, EXEC behind
    // the commands of its transaction. One that waits for the control plane is shown where it ends.
    let is_own = matches!(command.spec.plane, Plane::Connection(_));
    if !is_own && !lacks_room && !connection.session.shown_to_monitors {
        monitor::show(&io.shared, &connection.record, connection.session.db, command, request.args);
    }
    let dispatch = route_at_once(io, connection, command, request);
    if is_own && dispatch == Dispatch::Done {
        monitor::show(&io.shared, &connection.record, connection.session.db, command, request.args);
    }
    connection.session.shown_to_monitors = !is_own && dispatch == Dispatch::Later;
    if command.route == Route::Script && dispatch != Dispatch::Later {
        connection.outbound.note_script();
    }
    dispatch
}

// Always: there is one place where it matters, and one that is cold.
#[inline(always)]
fn route_at_once(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Dispatch {
    match command.spec.plane {
        Plane::Data(_) => route_data(io, connection, command, request),
        Plane::Connection(number) => route_own(io, connection, command, number, request.args),
        Plane::Control => {
            if connection.outbound.has_pending() {
                return Dispatch::Later;
            }
            connection.record.last_command.store(command.id as u32, Relaxed);
            let dispatch = send_to_control(io, connection, command, request.owned_args());
            end_caching(connection, dispatch)
        }
        Plane::Extension => begin_calls(io, connection, command, request),
        Plane::Container => unreachable!("the gate refuses containers"),
    }
}

/// Notes that CLIENT CACHING was for this command, unless it has to be taken once more.
fn end_caching(connection: &mut Connection, dispatch: Dispatch) -> Dispatch {
    if dispatch != Dispatch::Later {
        connection.end_caching();
    }
    dispatch
}

#[inline]
fn route_data(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Dispatch {
    let map = io.shared.world.slots;
    let (mut hash, mut slot, mut shard) = (0, 0, 0);
    match command.route {
        Route::FirstKey => {
            (hash, slot, shard) = place_of(io, request.get(1).unwrap_or_default());
        }
        Route::Script if !Knowledge::of(request.args).is_quick() => {
            let dispatch = run_unknown_script(io, connection, command, request.args);
            return end_caching(connection, dispatch);
        }
        Route::Keys | Route::Script if map.uses_slots() => {
            let wanted;
            (hash, slot, wanted) = match places_of(io, command, request.args) {
                Ok(places) => places,
                Err(error) => return refuse(io, connection, Some(command), &error),
            };
            if wanted.count_ones() > 1 {
                let dispatch = run_over_shards(io, connection, command, request.args, wanted);
                return end_caching(connection, dispatch);
            }
            shard = if wanted == 0 { 0 } else { wanted.trailing_zeros() as usize };
        }
        Route::Keys | Route::Script => {
            // One shard has them all; the first key is worth prefetching. What is none costs a look at another bucket.
            if command.first_key != 0 {
                hash = request.get(command.first_key).map_or(0, table::hash);
            }
        }
        Route::Cursor if map.shards() > 1 => {
            // What is no cursor is refused in any shard.
            let cursor = request.get(1).map_or(Ok(0), args::cursor).unwrap_or(0);
            slot = (cursor % SLOTS as u64) as u16;
            shard = map.shard_of(slot);
        }
        Route::All if map.shards() > 1 => {
            let all = io.shared.engine.all_shards();
            let dispatch = run_over_shards(io, connection, command, request.args, all);
            return end_caching(connection, dispatch);
        }
        Route::Each if map.shards() > 1 => {
            let dispatch = run_in_each_shard(io, connection, command, request.args);
            return end_caching(connection, dispatch);
        }
        Route::Cursor | Route::All | Route::Each | Route::Nowhere => {}
    }
    if map.shards() > 1 && !keeps_order(connection, command, shard) {
        return Dispatch::Later;
    }
    send_to_shard(io, connection, command, request.args, hash, slot, shard);
    after_sending(connection, command, request)
}

/// Whether a command can go to one of several shards now, and is executed in its place among those that the connection has out.
/// Shards do not wait for each other; a script may turn to all of them.
#[inline]
fn keeps_order(connection: &mut Connection, command: &Command, shard: usize) -> bool {
    let outbound = &mut connection.outbound;
    let is_script = command.route == Route::Script;
    if (is_script || outbound.has_script_out()) && outbound.expects_from_others(shard) {
        return false;
    }
    if is_script {
        outbound.note_script();
    }
    true
}

/// What follows for a connection from a command that is on its way to a shard.
#[inline]
fn after_sending(connection: &mut Connection, command: &'static Command, request: &Request<'_>) -> Dispatch {
    let suppressed = connection.session.reply_mode.suppresses();
    if suppressed {
        connection.session.advance_reply_mode();
    }
    if command.spec.has(flag::BLOCKING) && may_wait(command, request) {
        // What follows waits, for this command may.
        connection.wait.is_suppressed = suppressed;
        return Dispatch::Wait;
    }
    Dispatch::Done
}

/// The hash and slot of a command's first key, and the shards of all that it needs as a bit set. The hash is 0 where there is none.
fn places_of(io: &IoThread, command: &Command, args: &[&[u8]]) -> Result<(u64, u16, u64), CommandError> {
    let map = io.shared.world.slots;
    if command.needs_all(args, &map) {
        return Ok((0, 0, map.all_shards()));
    }
    let keys = command.spec.key_positions(args).unwrap_or_default();
    let (mut hash, mut slot, mut wanted) = (0, 0, 0u64);
    for (number, &position) in keys.iter().enumerate() {
        let of = slot_of(args[position]);
        if io.shared.cluster && number > 0 && of != slot {
            return Err(CROSS_SLOT);
        }
        if number == 0 {
            slot = of;
            hash = if position == command.first_key { table::hash(args[position]) } else { 0 };
        }
        wanted |= 1 << map.shard_of(of);
    }
    Ok((hash, slot, wanted))
}

/// Whether a command that can wait is asked to: XREAD and XREADGROUP only where they say BLOCK.
fn may_wait(command: &Command, request: &Request<'_>) -> bool {
    let says_block = |at: usize| request.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"BLOCK"));
    command.spec.group != Group::Stream || (1..request.args.len()).any(says_block)
}
