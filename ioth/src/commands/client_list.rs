//! CLIENT LIST and CLIENT KILL: commands over many clients, and which of them they mean.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::spec::{flag::*, CommandSpec};
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, SYNTAX};
use sherd_shards::handler::reply::Reply;
use sherd_shards::rights::User;
use sherd_shards::server::client::ClientRecord;

use super::{declare, Declared, CLIENT};
use crate::connection::Connection;
use crate::observe::clients::{client_class, describe, CLIENT_TYPES};
use crate::request::blocked::ended::end_killed;
use crate::shared::Shared;
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
            ],
            complexity: "O(N) in the number of connections",
            arity: -2,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax: "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id:integer [client-id:integer ...]]",
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
            ],
            complexity: "O(N) in the number of connections",
            arity: -3,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax:
                "[ip:port] [ID client-id:integer] [TYPE NORMAL | MASTER | SLAVE | REPLICA | PUBSUB] [USER username] \
                     [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO] [MAXAGE maxage:integer]",
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
    let (mut kind, mut ids) = (None, None);
    match args.get(2..).unwrap_or_default() {
        [] => {}
        [option, name] if args::is(option, "TYPE") => kind = Some(client_type(name)?),
        [option, rest @ ..] if args::is(option, "ID") && !rest.is_empty() => {
            ids = Some(rest.iter().map(|text| client_id(text)).collect::<Result<Vec<i64>>>()?);
        }
        _ => return Err(SYNTAX),
    }
    let mut lines = String::new();
    for (record, _) in io.shared.clients.all() {
        let listed = ids.as_ref().is_none_or(|ids| ids.contains(&(record.id as i64)))
            && kind.is_none_or(|kind| kind == client_class(&record));
        if listed {
            lines.push_str(&describe(&record, io.clock.now_ms));
            lines.push('\n');
        }
    }
    connection.reply(|reply| reply.verbatim("txt", lines.as_bytes()));
    Ok(Dispatch::Done)
}

fn client_type(name: &[u8]) -> Result<&'static str> {
    CLIENT_TYPES
        .iter()
        .find(|(kind, _)| args::is(name, kind))
        .map(|(_, class)| *class)
        .ok_or_else(|| CommandError::with(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name))))
}

fn client_id(text: &[u8]) -> Result<i64> {
    args::integer_or(text, CommandError::new("ERR Invalid client ID"))
}

/// Which clients CLIENT KILL means.
#[derive(Default)]
struct Filter {
    ids: Option<Vec<u64>>,
    kind: Option<&'static str>,
    user: Option<Arc<User>>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    max_age_seconds: Option<i64>,
}

impl Filter {
    fn matches(&self, record: &ClientRecord, now_ms: i64) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&record.id))
            && self.kind.is_none_or(|kind| kind == client_class(record))
            && self.user.as_ref().is_none_or(|user| record.user().identity == user.identity)
            && self.address.as_ref().is_none_or(|address| record.address.as_bytes() == address)
            && self.local_address.as_ref().is_none_or(|address| record.local_address.as_bytes() == address)
            && self.max_age_seconds.is_none_or(|age| (now_ms - record.connected_at) / 1000 >= age)
    }
}

fn kill(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let (mut filter, mut skip_me) = (Filter::default(), true);
    let old_form = args.len() == 3;
    if old_form {
        filter.address = Some(args[2].to_vec());
        skip_me = false;
    } else {
        parse_filter(&io.shared, &args[2..], &mut filter, &mut skip_me)?;
    }
    let (mut killed, mut ended) = (0, Vec::new());
    for (record, token) in io.shared.clients.all() {
        let me = record.id == connection.record.id;
        if me && skip_me || !filter.matches(&record, io.clock.now_ms) {
            continue;
        }
        killed += 1;
        if me {
            connection.close_after_reply = true;
            continue;
        }
        // Once a client, however often it is killed.
        if !record.killed.swap(true, Relaxed) {
            ended.push(token);
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

fn parse_filter(shared: &Shared, options: &[&[u8]], filter: &mut Filter, skip_me: &mut bool) -> Result<()> {
    let mut at = 0;
    while at < options.len() {
        let option = options[at];
        let value = *options.get(at + 1).ok_or(SYNTAX)?;
        at += 2;
        if args::is(option, "ID") {
            let mut ids = vec![kill_id(value)?];
            while let Some(text) = options.get(at) {
                if sherd_types::number::parse_i64(text).is_none() {
                    break;
                }
                ids.push(kill_id(text)?);
                at += 1;
            }
            filter.ids = Some(ids);
        } else if args::is(option, "TYPE") {
            filter.kind = Some(client_type(value)?);
        } else if args::is(option, "ADDR") {
            filter.address = Some(value.to_vec());
        } else if args::is(option, "LADDR") {
            filter.local_address = Some(value.to_vec());
        } else if args::is(option, "USER") {
            let user = shared
                .access
                .find(value)
                .ok_or_else(|| CommandError::with(format!("ERR No such user '{}'", String::from_utf8_lossy(value))))?;
            filter.user = Some(user);
        } else if args::is(option, "MAXAGE") {
            let error = CommandError::new("ERR maxage is not an integer or out of range");
            let age = args::integer_or(value, error)?;
            if age <= 0 {
                return Err(CommandError::new("ERR maxage should be greater than 0"));
            }
            filter.max_age_seconds = Some(age);
        } else if args::is(option, "SKIPME") {
            *skip_me = if args::is(value, "yes") {
                true
            } else if args::is(value, "no") {
                false
            } else {
                return Err(SYNTAX);
            };
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(())
}

fn kill_id(text: &[u8]) -> Result<u64> {
    let id = args::integer_or(text, CommandError::new("ERR client-id should be greater than 0"))?;
    u64::try_from(id).ok().filter(|&id| id > 0).ok_or(CommandError::new("ERR client-id should be greater than 0"))
}
