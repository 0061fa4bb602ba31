//! CLIENT LIST and CLIENT KILL: commands over many clients, and which of them they mean.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::spec::{flag::*, CommandSpec};
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::Reply;
use sherd_shards::server::client::LinkTo;

use super::client_filter::{Filter, For};
use super::{declare, Declared, CLIENT};
use crate::connection::Connection;
use crate::observe::clients::describe;
use crate::request::blocked::ended::end_killed;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

pub(super) const COMMANDS: &[Declared] = &[
    declare(
        CommandSpec {
            name: "client|list",
            summary: "Describes open connections.",
            since: "2.4.0",
            history: &[
                ("2.8.12", "The field `id`."),
                ("5.0.0", "`TYPE`."),
                ("6.0.0", "The field `user`."),
                ("6.2.0", "`ID`; the fields `argv-mem`, `tot-mem`, `laddr` and `redir`."),
                ("7.0.0", "The fields `resp`, `multi-mem`, `rbs` and `rbp`."),
                ("7.0.3", "The field `ssub`."),
                ("7.2.0", "The fields `lib-name` and `lib-ver`."),
                ("7.4.0", "The field `watch`."),
                ("8.0.0", "The field `io-thread`."),
                ("8.1.0", "Valkey: `USER`, `ADDR`, `LADDR`, `SKIPME` and `MAXAGE`."),
                ("9.0.0", "Valkey: all other filters, and `NOT-` before them."),
            ],
            complexity: "O(N) in the number of connections",
            arity: -2,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax: "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id:integer [client-id:integer ...]] \
                     [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO] [MAXAGE maxage:integer] \
                     [NAME client-name] [IDLE idle:integer] [FLAGS flags] [LIB-NAME libname] [LIB-VER libver] \
                     [DB db-id:integer] [CAPA capa] [IP ip] [NOT-TYPE NORMAL | MASTER | REPLICA | PUBSUB] \
                     [NOT-ID client-id:integer [client-id:integer ...]] [NOT-USER username] [NOT-ADDR ip:port] \
                     [NOT-LADDR ip:port] [NOT-NAME client-name] [NOT-FLAGS flags] [NOT-LIB-NAME libname] \
                     [NOT-LIB-VER libver] [NOT-DB db-id:integer] [NOT-CAPA capa] [NOT-IP ip]",
            tips: &["nondeterministic_output"],
            ..CLIENT
        },
        list,
    ),
    declare(
        CommandSpec {
            name: "client|kill",
            summary: "Closes connections.",
            since: "2.4.0",
            history: &[
                ("2.8.12", "Filters."),
                ("2.8.12", "`ID`."),
                ("3.2.0", "`TYPE master`."),
                ("5.0.0", "`TYPE replica`, formerly `slave`, which stays valid."),
                ("6.2.0", "`LADDR`."),
                ("7.4.0", "`MAXAGE`."),
                ("8.1.0", "Valkey: several ids."),
                (
                    "9.0.0",
                    "Valkey: `NAME`, `IDLE`, `FLAGS`, `LIB-NAME`, `LIB-VER`, `DB`, `CAPA` and `IP`, and `NOT-` before filters.",
                ),
            ],
            complexity: "O(N) in the number of connections",
            arity: -3,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax: "[ip:port] [ID client-id:integer [client-id:integer ...]] \
                     [TYPE NORMAL | MASTER | SLAVE | REPLICA | PUBSUB] [USER username] \
                     [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO] [MAXAGE maxage:integer] \
                     [NAME client-name] [IDLE idle:integer] [FLAGS flags] [LIB-NAME libname] [LIB-VER libver] \
                     [DB db-id:integer] [CAPA capa] [IP ip] [NOT-TYPE NORMAL | MASTER | SLAVE | REPLICA | PUBSUB] \
                     [NOT-ID client-id:integer [client-id:integer ...]] [NOT-USER username] [NOT-ADDR ip:port] \
                     [NOT-LADDR ip:port] [NOT-NAME client-name] [NOT-FLAGS flags] [NOT-LIB-NAME libname] \
                     [NOT-LIB-VER libver] [NOT-DB db-id:integer] [NOT-CAPA capa] [NOT-IP ip]",
            ..CLIENT
        },
        kill,
    ),
];

/// Brings the record up to date for a description of this very moment.
pub(super) fn refresh(connection: &Connection) {
    let record = &connection.record;
    record.query_buffer_bytes.store(connection.inbound.unparsed(), Relaxed);
    record.output_buffer_bytes.store(connection.unread(), Relaxed);
}

fn list(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    refresh(connection);
    let filter = Filter::parse(&io.shared, &args[2..], For::List)?;
    let mut lines = String::new();
    for (record, _) in io.shared.clients.all() {
        let is_left_out = filter.skips_me && record.id == connection.record.id;
        if !is_left_out && filter.matches(&record, io.clock.now_ms) {
            lines.push_str(&describe(&record, io.clock.now_ms));
            lines.push('\n');
        }
    }
    connection.reply(|reply| reply.verbatim("txt", lines.as_bytes()));
    Ok(Dispatch::Done)
}

fn kill(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let old_form = args.len() == 3;
    let filter = if old_form { Filter::of_address(args[2]) } else { Filter::parse(&io.shared, &args[2..], For::Kill)? };
    let (mut killed, mut ended) = (0, Vec::new());
    for (record, token) in io.shared.clients.all() {
        let me = record.id == connection.record.id;
        if me && filter.skips_me || !filter.matches(&record, io.clock.now_ms) {
            continue;
        }
        if me {
            killed += 1;
            connection.close_after_reply = true;
            continue;
        }
        // Once a client, however often it is killed.
        if !record.killed.swap(true, Relaxed) {
            killed += 1;
            if record.is_link(LinkTo::Primary) {
                // Whoever works for it notices within a second. It is no client from now on.
                io.shared.clients.remove(record.id);
            }
            ended.push((record, token));
        }
    }
    let mut reply = Vec::new();
    let mut writer = Reply::new(&mut reply, connection.session.protocol);
    match (old_form, killed) {
        (true, 0) => return Err(CommandError::new("ERR No such client")),
        (true, _) => writer.ok(),
        (false, _) => writer.int(killed),
    }
    Ok(end_killed(io, connection, &ended, reply))
}
