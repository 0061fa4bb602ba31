//! SCRIPT: the server's scripts.

use sherd_scripts::cache::Script;
use sherd_scripts::runtime::Versions;
use sherd_shards::command::spec::{flag::*, CommandSpec, Group};
use sherd_shards::handler::error::{CommandError, Outcome};
use sherd_shards::handler::reply::Reply;
use sherd_shards::threads;

use super::connection::REDIS_VERSION;
use super::{answer, container, declare, help as answer_help, ok, Declared};
use crate::connection::Connection;
use crate::scripts::{self, NO_SCRIPT};
use crate::shared::Shared;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

const SCRIPT: CommandSpec = CommandSpec { group: Group::Scripting, flags: NOSCRIPT, ..CommandSpec::DEFAULT };

pub(super) const COMMANDS: &[Declared] = &[
    container(CommandSpec {
        name: "script",
        summary: "The server's scripts.",
        since: "2.6.0",
        complexity: "that of the subcommand",
        arity: -2,
        flags: 0,
        ..SCRIPT
    }),
    declare(
        CommandSpec {
            name: "script|load",
            summary: "Compiles a script and keeps it without running it.",
            since: "2.6.0",
            complexity: "O(N) in the length of the script",
            arity: 3,
            flags: NOSCRIPT | STALE,
            syntax: "script",
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..SCRIPT
        },
        load,
    ),
    declare(
        CommandSpec {
            name: "script|exists",
            summary: "Says which scripts the server knows.",
            since: "2.6.0",
            complexity: "O(N) in the number of digests",
            arity: -3,
            syntax: "sha1 [sha1 ...]",
            tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
            ..SCRIPT
        },
        exists,
    ),
    declare(
        CommandSpec {
            name: "script|flush",
            history: &[("6.2.0", "`ASYNC` and `SYNC`.")],
            summary: "Forgets all scripts.",
            since: "2.6.0",
            complexity: "O(N) in the number of scripts",
            arity: -2,
            syntax: "[ASYNC | SYNC]",
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            ..SCRIPT
        },
        flush,
    ),
    declare(
        CommandSpec {
            name: "script|kill",
            summary: "Ends the scripts that are running and have not written.",
            since: "2.6.0",
            arity: 2,
            flags: NOSCRIPT | ALLOW_BUSY,
            tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
            ..SCRIPT
        },
        kill,
    )
    .at_once(),
    declare(
        CommandSpec {
            name: "script|show",
            summary: "Answers the text of a script.",
            since: "8.0.0",
            arity: 3,
            flags: NOSCRIPT | STALE,
            syntax: "sha1",
            ..SCRIPT
        },
        show,
    ),
    declare(
        CommandSpec {
            name: "script|debug",
            summary: "Sets the mode of the debugger, which does not exist here.",
            since: "3.2.0",
            arity: 3,
            syntax: "<YES | SYNC | NO>",
            ..SCRIPT
        },
        debug,
    ),
    declare(
        CommandSpec {
            name: "script|help",
            summary: "Answers what the subcommands do.",
            since: "5.0.0",
            arity: 2,
            flags: LOADING | STALE,
            ..SCRIPT
        },
        |io, connection, args| answer(io, connection, args, help),
    )
    .in_scripts(help),
];

/// What `redis.REDIS_VERSION` and the like say.
pub fn script_versions() -> Versions {
    Versions { redis: REDIS_VERSION.to_owned(), valkey: "9.1.0".to_owned(), server: "sherd".to_owned() }
}

fn load(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let known = &io.shared.scripts;
    let script = known.cache.of_text(args[2]).map_err(|text| scripts::error_of(&text))?;
    scripts::enter(known, &script, true)?;
    connection.reply(|reply| reply.bulk(&script.sha));
    Ok(Dispatch::Done)
}

fn exists(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let cache = &io.shared.scripts.cache;
    connection.reply(|reply| {
        reply.array(args.len() - 2);
        args[2..].iter().for_each(|sha| reply.flag(cache.find(sha).is_some()));
    });
    Ok(Dispatch::Done)
}

fn flush(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let lazily = match args.get(2) {
        None => io.shared.world.settings.lazyfree_lazy_user_flush.on(),
        Some(word) if args.len() == 3 && word.eq_ignore_ascii_case(b"async") => true,
        Some(word) if args.len() == 3 && word.eq_ignore_ascii_case(b"sync") => false,
        Some(_) => return Err(CommandError::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    };
    let forgotten: Vec<std::sync::Arc<Script>> = io.shared.scripts.cache.flush();
    if lazily && forgotten.len() > LAZILY_MIN {
        threads::start_or_run("sherd-scripts", move || drop(forgotten));
    }
    ok(connection)
}

/// Scripts whose freeing is worth a thread.
const LAZILY_MIN: usize = 1000;

fn kill(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    io.shared.scripts.running.kill(false)?;
    ok(connection)
}

fn show(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let script = io.shared.scripts.cache.find(args[2]).ok_or(NO_SCRIPT)?;
    connection.reply(|reply| reply.bulk(&script.source));
    Ok(Dispatch::Done)
}

fn debug(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    if args[2].eq_ignore_ascii_case(b"no") {
        return ok(connection);
    }
    if args[2].eq_ignore_ascii_case(b"yes") || args[2].eq_ignore_ascii_case(b"sync") {
        return Err(CommandError::new("ERR this server has no debugger for scripts"));
    }
    Err(CommandError::new("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

const HELP: &[&str] = &[
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
    "SHOW <sha1>",
    "    Show a script from the scripts cache.",
];

fn help(_: &Shared, _: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    answer_help(reply, "SCRIPT", HELP)
}
