//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use sherd_shards::command::spec::{flag::*, key_range, CommandSpec, Group};
use sherd_shards::handler::error::CommandError;

use super::{declare, declare_in_multi, ok, Declared};
use crate::connection::transaction::Multi;
use crate::connection::Connection;
use crate::request::multi::exec as execution;
use crate::request::multi::watch as watching;
use crate::thread::handlers::{Dispatch, InMulti};
use crate::thread::IoThread;

const TRANSACTION: CommandSpec = CommandSpec { group: Group::Transactions, ..CommandSpec::DEFAULT };

pub(super) const COMMANDS: &[Declared] = &[
    declare_in_multi(
        CommandSpec {
            name: "multi",
            summary: "Begins a transaction: the commands that follow are queued.",
            since: "1.2.0",
            arity: 1,
            flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
            ..TRANSACTION
        },
        multi,
        InMulti::AtOnce,
    )
    .at_once(),
    declare_in_multi(
        CommandSpec {
            name: "exec",
            summary: "Executes the queued commands as one, unless a watched key has changed.",
            since: "1.2.0",
            complexity: "that of the queued commands",
            arity: 1,
            flags: NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG,
            ..TRANSACTION
        },
        exec,
        InMulti::Exec,
    ),
    declare_in_multi(
        CommandSpec {
            name: "discard",
            summary: "Forgets the queued commands and ends the transaction.",
            since: "2.0.0",
            complexity: "O(N) in the number of queued commands",
            arity: 1,
            flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
            ..TRANSACTION
        },
        discard,
        InMulti::AtOnce,
    )
    .at_once(),
    declare_in_multi(
        CommandSpec {
            name: "watch",
            summary: "Makes the next EXEC depend on these keys being unchanged.",
            since: "2.2.0",
            complexity: "O(1) for every key",
            arity: -2,
            flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
            keys: &[key_range("RO", 1, -1, 1)],
            syntax: "key [key ...]",
            ..TRANSACTION
        },
        watch,
        InMulti::Watch,
    ),
    declare(
        CommandSpec {
            name: "unwatch",
            summary: "Forgets all watched keys.",
            since: "2.2.0",
            arity: 1,
            flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
            ..TRANSACTION
        },
        unwatch,
    )
    .at_once(),
];

fn multi(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result<Dispatch, CommandError> {
    if connection.session.multi.is_some() {
        return Err(CommandError::new("ERR MULTI calls can not be nested"));
    }
    connection.session.multi = Some(Box::<Multi>::default());
    connection.record.queued.store(0, std::sync::atomic::Ordering::Relaxed);
    ok(connection)
}

fn exec(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result<Dispatch, CommandError> {
    execution::exec(io, connection, args)
}

fn discard(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result<Dispatch, CommandError> {
    if connection.session.multi.is_none() {
        return Err(CommandError::new("ERR DISCARD without MULTI"));
    }
    connection.discard();
    ok(connection)
}

fn watch(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result<Dispatch, CommandError> {
    if connection.session.multi.is_some() {
        return Err(CommandError::new("ERR WATCH inside MULTI is not allowed"));
    }
    Ok(watching::watch(io, connection, args))
}

fn unwatch(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result<Dispatch, CommandError> {
    connection.unwatch();
    ok(connection)
}
