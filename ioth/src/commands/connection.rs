//! PING, ECHO, AUTH, HELLO, SELECT, QUIT, RESET, MONITOR, and the cluster's connection flags.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use sherd_shards::command::category::{self, Categories};
use sherd_shards::command::spec::{database_at, flag::*, CommandSpec, Databases, Group, Secret};
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, Outcome, SYNTAX};
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::rights::user::{refuse_password, DEFAULT_NAME};

use super::client::set_name;
use super::{answer, declare, declare_in_multi, ok, Declared};
use crate::connection::session::ReplyMode;
use crate::connection::Connection;
use crate::observe::log::Level;
use crate::request::paused::defer_for;
use crate::request::rights::{become_user, begin_session, note_failed_login};
use crate::request::selected::database;
use crate::request::subscribe::unsubscribe_all;
use crate::request::track::track_no_longer;
use crate::shared::Shared;
use crate::thread::handlers::{Dispatch, InMulti};
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

/// The Redis version whose behaviour clients may rely on; what it does not have comes on top. Not 8, although most of that is
/// there: clients take modules for granted in it (search, JSON), and some then speak to a cluster in another way. Sidekiq and
/// others refuse what is older than 7.0.
pub const REDIS_VERSION: &str = "7.2.4";
/// What HELLO says. Client-side caches of redis-py and Jedis want 7.4 there, which brought nothing that is not here; they look
/// nowhere else, and INFO is what other programs judge by.
const GREETING_VERSION: &str = "7.4.0";

const CONNECTION: CommandSpec =
    CommandSpec { group: Group::Connection, categories: category::CONNECTION, ..CommandSpec::DEFAULT };

pub(super) const COMMANDS: &[Declared] = &[
    declare(
        CommandSpec {
            name: "ping",
            summary: "Answers PONG, or the message.",
            arity: -1,
            flags: FAST,
            syntax: "[message]",
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            ..CONNECTION
        },
        ping,
    )
    .that_answers_only(),
    declare(
        CommandSpec {
            name: "echo",
            summary: "Answers the message.",
            arity: 2,
            flags: LOADING | STALE | FAST,
            syntax: "message",
            ..CONNECTION
        },
        echo,
    )
    .that_answers_only(),
    declare(
        CommandSpec {
            name: "auth",
            summary: "Proves who the client is.",
            history: &[("6.0.0", "A user name.")],
            complexity: "O(N) in the number of passwords of the user",
            arity: -2,
            flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
            syntax: "[username] password",
            secrets: &[Secret::all_from(1)],
            ..CONNECTION
        },
        auth,
    ),
    declare(
        CommandSpec {
            name: "hello",
            summary: "Chooses the protocol version, and may authenticate and name the connection on the way.",
            since: "6.0.0",
            history: &[("6.2.0", "Without `protover` the protocol stays as it is.")],
            arity: -1,
            flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
            syntax: "[protover:integer [AUTH username password] [SETNAME clientname]]",
            secrets: &[Secret::behind("AUTH", 2, 2)],
            ..CONNECTION
        },
        hello,
    ),
    declare(
        CommandSpec {
            name: "select",
            summary: "Changes the database of this connection.",
            arity: 2,
            flags: LOADING | STALE | FAST,
            databases: Databases::Named(|args| database_at(args, 1).into_iter().collect()),
            syntax: "index",
            ..CONNECTION
        },
        select,
    )
    .at_once(),
    declare_in_multi(
        CommandSpec {
            name: "quit",
            summary: "Closes the connection.",
            deprecated: Some(("7.2.0", "just closing the connection")),
            arity: -1,
            flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
            ..CONNECTION
        },
        quit,
        InMulti::AtOnce,
    )
    .at_once(),
    declare_in_multi(
        CommandSpec {
            name: "reset",
            summary: "Puts the connection back into the state that it had when it was opened.",
            since: "6.2.0",
            arity: 1,
            flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
            ..CONNECTION
        },
        reset,
        InMulti::AtOnce,
    ),
    declare(
        CommandSpec {
            name: "monitor",
            summary: "Shows every command that the server takes.",
            group: Group::Server,
            categories: Categories::NONE,
            arity: 1,
            flags: ADMIN | NOSCRIPT | LOADING | STALE,
            ..CONNECTION
        },
        monitor,
    ),
    declare(
        CommandSpec {
            name: "asking",
            summary: "Lets the next command through during a slot's migration.",
            since: "3.0.0",
            group: Group::Cluster,
            arity: 1,
            flags: FAST,
            ..CONNECTION
        },
        |io, connection, args| answer(io, connection, args, asking),
    )
    .in_scripts(asking),
    declare(
        CommandSpec {
            name: "readonly",
            summary: "Allows reads from a replica of the slot.",
            since: "3.0.0",
            group: Group::Cluster,
            arity: 1,
            flags: LOADING | STALE | FAST,
            ..CONNECTION
        },
        readonly,
    ),
    declare(
        CommandSpec {
            name: "readwrite",
            summary: "Sends reads to the slot's primary again.",
            since: "3.0.0",
            group: Group::Cluster,
            arity: 1,
            flags: LOADING | STALE | FAST,
            ..CONNECTION
        },
        readwrite,
    ),
];

fn ping(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    match args {
        [_] | [_, _] if connection.session.is_restricted() => {
            // A subscriber in RESP2 gets nothing but arrays.
            connection.reply(|reply| {
                reply.array(2);
                reply.bulk(b"pong");
                reply.bulk(args.get(1).copied().unwrap_or_default());
            });
        }
        [_] => {
            connection.reply(|reply| reply.simple("PONG"));
        }
        [_, message] => {
            connection.reply(|reply| reply.bulk(message));
        }
        _ => return Err(CommandError::arity("ping")),
    }
    Ok(Dispatch::Done)
}

fn echo(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    connection.reply(|reply| reply.bulk(args[1]));
    Ok(Dispatch::Done)
}

fn auth(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let (user, password) = match args {
        [_, password] => {
            if io.shared.access.is_open() {
                return Err(CommandError::new(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                     your configuration is correct?",
                ));
            }
            (DEFAULT_NAME, *password)
        }
        [_, user, password] => (*user, *password),
        _ => return Err(SYNTAX),
    };
    log_in(io, connection, args[0], (user, password))?;
    ok(connection)
}

/// Wrong passwords in a row that are answered at once; after that the answer to the next request takes its time.
const FAILURES_FREE: u32 = 5;
/// How long that is at first; it doubles with each further one, up to the longest.
const FAILURE_PAUSE_MS: i64 = 50;
const FAILURE_PAUSE_MS_MAX: i64 = 2000;

/// The client becomes a user, if the password is right. `command` is what it has asked with.
fn log_in(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &[u8],
    (name, password): (&[u8], &[u8]),
) -> Result<()> {
    let wrong = CommandError::new("WRONGPASS invalid username-password pair or user is disabled.");
    if connection.is_deferred {
        // It has guessed too often in this very transaction.
        return Err(wrong);
    }
    let generation = io.shared.access.generation();
    let found = io.shared.access.find(name);
    let is_right = found.as_ref().map_or_else(|| refuse_password(password), |user| user.accepts(password));
    if let Some(user) = found.filter(|_| is_right) {
        become_user(connection, user, generation, true);
        connection.session.failed_logins = 0;
        return Ok(());
    }
    log_failure(io, connection, name);
    note_failed_login(&io.shared, connection, command, name);
    let failures = &mut connection.session.failed_logins;
    *failures = failures.saturating_add(1);
    if let Some(many) = failures.checked_sub(FAILURES_FREE + 1) {
        let pause_ms = (FAILURE_PAUSE_MS << many.min(16)).min(FAILURE_PAUSE_MS_MAX);
        defer_for(io, connection, pause_ms);
    }
    Err(wrong)
}

/// Who guesses passwords shall be seen, and shall not fill the log.
fn log_failure(io: &mut IoThread, connection: &Connection, user: &[u8]) {
    /// Bytes of the name that are shown.
    const USER_BYTES_MAX: usize = 64;
    let Some(untold) = io.auth_failures.note(io.clock.now_ms) else { return };
    let user = String::from_utf8_lossy(&user[..user.len().min(USER_BYTES_MAX)]).into_owned();
    let mut fields = vec![("client", connection.record.address.clone()), ("user", user)];
    if untold > 0 {
        fields.push(("failures_not_shown", untold.to_string()));
    }
    io.shared.log.add(Level::Warning, "a client failed to authenticate", fields);
}

fn hello(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let mut protocol = connection.session.protocol;
    if let Some(text) = args.get(1) {
        let error = CommandError::new("ERR Protocol version is not an integer or out of range");
        let unsupported = CommandError::new("NOPROTO unsupported protocol version");
        protocol = Protocol::from_number(args::integer_or(text, error)?).ok_or(unsupported)?;
    }
    let (mut credentials, mut name) = (None, None);
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args::is(args[at], "AUTH") && left >= 2 {
            credentials = Some((args[at + 1], args[at + 2]));
            at += 3;
        } else if args::is(args[at], "SETNAME") && left >= 1 {
            name = Some(args[at + 1]);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(args[at]).into_owned();
            return Err(CommandError::with(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = credentials {
        log_in(io, connection, args[0], (user, password))?;
    }
    if !connection.session.authenticated && io.shared.access.asks_for_password() {
        return Err(CommandError::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        set_name(connection, name)?;
    }
    connection.session.protocol = protocol;
    connection.record.protocol.store(protocol.number().into(), Relaxed);
    let id = connection.record.id;
    let (cluster, follows) = (io.shared.cluster, io.shared.primary().is_some());
    connection.reply(|reply| {
        reply.map(7);
        reply.bulk(b"server");
        reply.bulk(b"redis");
        reply.bulk(b"version");
        reply.bulk(GREETING_VERSION.as_bytes());
        reply.bulk(b"proto");
        reply.int(protocol.number().into());
        reply.bulk(b"id");
        reply.int(id as i64);
        reply.bulk(b"mode");
        reply.bulk(if cluster { b"cluster" } else { b"standalone" });
        reply.bulk(b"role");
        reply.bulk(if follows { &b"replica"[..] } else { b"master" });
        reply.bulk(b"modules");
        reply.array(0);
    });
    Ok(Dispatch::Done)
}

fn select(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    connection.session.db = database(&io.shared, args[1])?;
    connection.record.db.store(u32::from(connection.session.db), Relaxed);
    ok(connection)
}

fn quit(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    connection.close_after_reply = true;
    ok(connection)
}

fn reset(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    connection.discard();
    unsubscribe_all(io, connection);
    track_no_longer(io, connection);
    if connection.record.is_monitor.swap(false, Relaxed) {
        io.shared.monitors.fetch_sub(1, SeqCst);
    }
    connection.session.db = 0;
    connection.session.protocol = Protocol::Resp2;
    connection.session.reply_mode = ReplyMode::On;
    begin_session(&io.shared, connection);
    let record = &connection.record;
    record.db.store(0, Relaxed);
    record.protocol.store(2, Relaxed);
    record.readonly.store(false, Relaxed);
    record.no_evict.store(false, Relaxed);
    record.no_touch.store(false, Relaxed);
    record.import_source.store(false, Relaxed);
    record.takes_redirects.store(false, Relaxed);
    *crate::observe::clients::lock(&record.name) = Vec::new();
    record.note_names();
    connection.reply(|reply| reply.simple("RESET"));
    Ok(Dispatch::Done)
}

fn monitor(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    if connection.session.is_in_exec {
        return Err(CommandError::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if connection.record.is_monitor.swap(true, Relaxed) {
        // Who monitors already is told nothing, as in Redis: a reply would be taken for a line.
        return Ok(Dispatch::Done);
    }
    io.shared.monitors.fetch_add(1, SeqCst);
    ok(connection)
}

fn require_cluster(shared: &Shared) -> Result<()> {
    if shared.cluster {
        return Ok(());
    }
    Err(CommandError::new("ERR This instance has cluster support disabled"))
}

fn asking(shared: &Shared, _: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    require_cluster(shared)?;
    reply.ok();
    Ok(())
}

/// Outside a cluster as well for clients that replicas redirect; others get Redis' answer.
fn require_redirections(io: &IoThread, connection: &Connection) -> Result<()> {
    if connection.record.takes_redirects.load(Relaxed) {
        return Ok(());
    }
    require_cluster(&io.shared)
}

fn readonly(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    require_redirections(io, connection)?;
    connection.record.readonly.store(true, Relaxed);
    ok(connection)
}

fn readwrite(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    require_redirections(io, connection)?;
    connection.record.readonly.store(false, Relaxed);
    ok(connection)
}
