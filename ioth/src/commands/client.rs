//! CLIENT and its subcommands.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::category::{self, Categories};
use sherd_shards::command::spec::{flag::*, CommandSpec, Group};
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, Outcome, SYNTAX};
use sherd_shards::handler::reply::Reply;
use sherd_shards::rights::User;
use sherd_shards::server::client::ClientRecord;

use super::{answer, container, declare, help, ok, Declared};
use crate::connection::session::ReplyMode;
use crate::connection::Connection;
use crate::observe::clients::{client_class, describe, lock, CLIENT_TYPES};
use crate::request::blocked::wake;
use crate::shared::message::Message;
use crate::shared::Shared;
use crate::thread::client_eviction::end_killed;
use crate::thread::deferred::RequestedPause;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

pub(super) const CLIENT: CommandSpec = CommandSpec {
    group: Group::Connection,
    categories: category::CONNECTION,
    flags: NOSCRIPT | LOADING | STALE,
    ..CommandSpec::DEFAULT
};

pub(super) const COMMANDS: &[Declared] = &[
    container(CommandSpec {
        name: "client",
        summary: "Commands about client connections.",
        since: "2.4.0",
        complexity: "depends on the subcommand",
        arity: -2,
        flags: 0,
        categories: Categories::NONE,
        ..CLIENT
    }),
    declare(
        CommandSpec { name: "client|id", summary: "Answers the connection's id.", since: "5.0.0", arity: 2, ..CLIENT },
        id,
    ),
    declare(
        CommandSpec {
            name: "client|info",
            summary: "Describes this connection.",
            since: "6.2.0",
            arity: 2,
            tips: &["nondeterministic_output"],
            ..CLIENT
        },
        info,
    ),
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
    declare(
        CommandSpec {
            name: "client|setname",
            summary: "Names this connection.",
            since: "2.6.9",
            arity: 3,
            syntax: "connection-name",
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..CLIENT
        },
        setname,
    ),
    declare(
        CommandSpec {
            name: "client|getname",
            summary: "Answers the connection's name.",
            since: "2.6.9",
            arity: 2,
            ..CLIENT
        },
        getname,
    ),
    declare(
        CommandSpec {
            name: "client|setinfo",
            summary: "Notes the client library's name or version.",
            since: "7.2.0",
            arity: 4,
            syntax: "LIB-NAME libname | LIB-VER libver",
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..CLIENT
        },
        setinfo,
    ),
    declare(
        CommandSpec {
            name: "client|no-evict",
            summary: "Exempts this connection from client eviction.",
            since: "7.0.0",
            arity: 3,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax: "ON | OFF",
            ..CLIENT
        },
        no_evict,
    ),
    declare(
        CommandSpec {
            name: "client|no-touch",
            summary: "Makes this connection's reads leave the keys' access times alone.",
            since: "7.2.0",
            arity: 3,
            syntax: "ON | OFF",
            ..CLIENT
        },
        no_touch,
    ),
    declare(
        CommandSpec {
            name: "client|import-source",
            summary: "Makes nothing expire for this connection, which brings data in import mode.",
            since: "8.1.0",
            arity: 3,
            syntax: "ON | OFF",
            ..CLIENT
        },
        import_source,
    ),
    declare(
        CommandSpec {
            name: "client|capa",
            summary: "Says what this client can do.",
            since: "8.0.0",
            arity: -3,
            flags: NOSCRIPT | LOADING | STALE | ALLOW_BUSY,
            syntax: "capability [capability ...]",
            ..CLIENT
        },
        capabilities,
    ),
    declare(
        CommandSpec {
            name: "client|reply",
            summary: "Switches replies on, off, or off for the next command.",
            since: "3.2.0",
            arity: 3,
            syntax: "ON | OFF | SKIP",
            ..CLIENT
        },
        reply_mode,
    ),
    declare(
        CommandSpec {
            name: "client|pause",
            summary: "Holds back commands of all clients for a while.",
            since: "3.0.0",
            history: &[("6.2.0", "`WRITE` and `ALL`.")],
            arity: -3,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax: "timeout:integer [WRITE | ALL]",
            ..CLIENT
        },
        pause,
    ),
    declare(
        CommandSpec {
            name: "client|unpause",
            summary: "Lets paused clients go on.",
            since: "6.2.0",
            complexity: "O(N) in the number of paused clients",
            arity: 2,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            ..CLIENT
        },
        unpause,
    ),
    declare(
        CommandSpec {
            name: "client|unblock",
            summary: "Ends the waiting of a client in a blocking command.",
            since: "5.0.0",
            complexity: "O(log N) in the number of connections",
            arity: -3,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            syntax: "client-id:integer [TIMEOUT | ERROR]",
            ..CLIENT
        },
        unblock,
    ),
    declare(
        CommandSpec {
            name: "client|help",
            summary: "Describes the subcommands.",
            since: "5.0.0",
            arity: 2,
            flags: LOADING | STALE,
            ..CLIENT
        },
        |io, connection, args| answer(io, connection, args, help_text),
    )
    .in_scripts(help_text),
];

fn id(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    let id = connection.record.id as i64;
    connection.reply(|reply| reply.int(id));
    Ok(Dispatch::Done)
}

/// Brings the record up to date for a description of this very moment.
fn refresh(connection: &Connection) {
    let record = &connection.record;
    record.query_buffer_bytes.store(connection.inbound.unparsed(), Relaxed);
    record.output_buffer_bytes.store(connection.unsent(), Relaxed);
}

fn info(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    refresh(connection);
    let line = describe(&connection.record, io.clock.now_ms) + "\n";
    connection.reply(|reply| reply.verbatim("txt", line.as_bytes()));
    Ok(Dispatch::Done)
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
    let mut killed = 0;
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
        // One message a client, however often it is killed.
        if record.killed.swap(true, Relaxed) {
            continue;
        }
        end_killed(io, token);
    }
    if !old_form {
        connection.reply(|reply| reply.int(killed));
        return Ok(Dispatch::Done);
    }
    if killed == 0 {
        return Err(CommandError::new("ERR No such client"));
    }
    ok(connection)
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

/// Names a connection; names and library names have printable characters without spaces only.
pub(super) fn set_name(connection: &Connection, name: &[u8]) -> Result<()> {
    if !is_plain(name) {
        return Err(CommandError::new("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    *lock(&connection.record.name) = name.to_vec();
    Ok(())
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn setname(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    set_name(connection, args[2])?;
    ok(connection)
}

fn getname(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    let name = connection.record.name();
    connection.reply(|reply| reply.bulk_or_null((!name.is_empty()).then_some(&name[..])));
    Ok(Dispatch::Done)
}

fn setinfo(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let (option, value) = (args[2], args[3]);
    let is_name = args::is(option, "LIB-NAME");
    let shown = String::from_utf8_lossy(option).into_owned();
    if !is_name && !args::is(option, "LIB-VER") {
        return Err(CommandError::with(format!("ERR Unrecognized option '{shown}'")));
    }
    if !is_plain(value) {
        return Err(CommandError::with(format!("ERR {shown} cannot contain spaces, newlines or special characters.")));
    }
    let mut library = lock(&connection.record.library);
    if is_name {
        library.0 = value.to_vec();
    } else {
        library.1 = value.to_vec();
    }
    drop(library);
    ok(connection)
}

fn on_off(text: &[u8]) -> Result<bool> {
    if args::is(text, "on") {
        Ok(true)
    } else if args::is(text, "off") {
        Ok(false)
    } else {
        Err(SYNTAX)
    }
}

fn no_evict(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    connection.record.no_evict.store(on_off(args[2])?, Relaxed);
    ok(connection)
}

fn no_touch(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    connection.record.no_touch.store(on_off(args[2])?, Relaxed);
    ok(connection)
}

fn import_source(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    if !io.shared.world.settings.import_mode.on() && !args::is(args[2], "off") {
        return Err(CommandError::new("ERR Server is not in import mode"));
    }
    connection.record.import_source.store(on_off(args[2])?, Relaxed);
    ok(connection)
}

/// Capabilities that this server does not know are left out, as a newer server's may be.
fn capabilities(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    if args[2..].iter().any(|word| args::is(word, "redirect")) {
        connection.record.takes_redirects.store(true, Relaxed);
    }
    ok(connection)
}

fn reply_mode(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    if args::is(args[2], "on") {
        connection.session.reply_mode = ReplyMode::On;
        return ok(connection);
    }
    if args::is(args[2], "off") {
        connection.session.reply_mode = ReplyMode::Off;
    } else if args::is(args[2], "skip") {
        if connection.session.reply_mode != ReplyMode::Off {
            connection.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(SYNTAX);
    }
    Ok(Dispatch::Done)
}

fn unblock(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let with_error = match args.get(3..).unwrap_or_default() {
        [] => false,
        [mode] if args::is(mode, "timeout") => false,
        [mode] if args::is(mode, "error") => true,
        _ => return Err(CommandError::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = args::integer(args[2])?;
    let found = u64::try_from(id).ok().and_then(|id| io.shared.clients.get(id));
    let blocked = found.filter(|(record, _)| record.blocked.load(Relaxed));
    let is_blocked = blocked.is_some();
    if let Some((record, token)) = blocked {
        if usize::from(token.io_thread) == io.index {
            wake::unblock(io, token, with_error);
        } else if !record.unblock_asked.swap(true, Relaxed) {
            let message = Message::Unblock { connection: token, with_error };
            io.shared.mailboxes[usize::from(token.io_thread)].deliver(message);
        }
    }
    connection.reply(|reply| reply.flag(is_blocked));
    Ok(Dispatch::Done)
}

fn pause(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let writes_only = match args.get(3..).unwrap_or_default() {
        [] => false,
        [mode] if args::is(mode, "write") => true,
        [mode] if args::is(mode, "all") => false,
        _ => return Err(CommandError::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let error = CommandError::new("ERR timeout is not an integer or out of range");
    let timeout = args::integer_or(args[2], error.clone())?;
    if timeout < 0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    if io.clock.now_ms.checked_add(timeout).is_none() {
        return Err(CommandError::new("ERR timeout is out of range"));
    }
    io.deferred.pauses.push(RequestedPause { timeout_ms: timeout, writes_only });
    ok(connection)
}

fn unpause(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    io.deferred.pauses.clear();
    io.shared.world.pause.end();
    io.shared.wake_all();
    ok(connection)
}

fn help_text(_: &Shared, _: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    help(
        reply,
        "CLIENT",
        &[
            "CACHING (YES|NO)",
            "    Say whether the next command's keys are tracked, in OPTIN or OPTOUT mode.",
            "GETNAME",
            "    Return the name of the current connection.",
            "GETREDIR",
            "    Return the ID of the client that gets this connection's invalidations.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "KILL <ip:port>",
            "    Kill connection made from <ip:port>.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Kill connections by ID, TYPE, USER, ADDR, LADDR, SKIPME or MAXAGE.",
            "LIST [options ...]",
            "    Return information about client connections; options are TYPE and ID.",
            "NO-EVICT (ON|OFF)",
            "    Protect the current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Leave access times of keys alone when reading.",
            "PAUSE <timeout> [WRITE|ALL]",
            "    Suspend all, or just write, clients for <timeout> milliseconds.",
            "REPLY (ON|OFF|SKIP)",
            "    Control the replies sent to the current connection.",
            "SETINFO <option> <value>",
            "    Set the client library's name or version (LIB-NAME, LIB-VER).",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
            "    Have the server tell when keys change that this client may have in a cache.",
            "TRACKINGINFO",
            "    Report how the current connection tracks keys.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Unblock the specified blocked client.",
            "UNPAUSE",
            "    Stop the current client pause, resuming traffic.",
        ],
    )
}
