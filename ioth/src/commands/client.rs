//! CLIENT and its subcommands, but those over many clients, which are in `client_list.rs`.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::category::Categories;
use sherd_shards::command::spec::{flag::*, CommandSpec};
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, Outcome, SYNTAX};
use sherd_shards::handler::reply::Reply;

use super::client_list::refresh;
use super::{answer, container, declare, help, ok, Declared, CLIENT};
use crate::connection::session::ReplyMode;
use crate::connection::Connection;
use crate::observe::clients::{describe, lock};
use crate::request::blocked::ended::ask_to_unblock;
use crate::shared::Shared;
use crate::thread::deferred::RequestedPause;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

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
    )
    .at_once(),
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
    )
    .at_once(),
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

fn info(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    refresh(connection);
    let line = describe(&connection.record, io.clock.now_ms) + "\n";
    connection.reply(|reply| reply.verbatim("txt", line.as_bytes()));
    Ok(Dispatch::Done)
}

/// Names a connection; names and library names have printable characters without spaces only.
pub(super) fn set_name(connection: &Connection, name: &[u8]) -> Result<()> {
    if !is_plain(name) {
        return Err(CommandError::new("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    *lock(&connection.record.name) = name.to_vec();
    connection.record.note_names();
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
    connection.record.note_names();
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
    let answer = match found.filter(|(record, _)| record.blocked.load(Relaxed)) {
        Some((record, token)) => ask_to_unblock(io, connection, (&record, token), with_error),
        None => Some(false),
    };
    let Some(has_ended) = answer else { return Ok(Dispatch::Wait) };
    connection.reply(|reply| reply.flag(has_ended));
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
            "    Kill connections by ID, TYPE, USER, ADDR, LADDR, IP, NAME, LIB-NAME, LIB-VER, DB, FLAGS or CAPA, any of them",
            "    after NOT- as well, by MAXAGE or IDLE in seconds, and with SKIPME no this one too.",
            "LIST [<option> <value> [...]]",
            "    Return information about client connections; options are those of KILL.",
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
