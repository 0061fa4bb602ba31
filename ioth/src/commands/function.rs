//! FUNCTION: what must be answered while a function runs and holds shards. Libraries are the data plane's.

use sherd_shards::command::spec::{flag::*, CommandSpec, Group};
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::Reply;

use super::{declare, ok, Declared};
use crate::connection::Connection;
use crate::shared::scripts::RunningFunction;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

const FUNCTION: CommandSpec = CommandSpec {
    group: Group::Scripting,
    since: "7.0.0",
    flags: NOSCRIPT | ALLOW_BUSY,
    arity: 2,
    ..CommandSpec::DEFAULT
};

pub(super) const COMMANDS: &[Declared] = &[
    declare(
        CommandSpec {
            name: "function|stats",
            summary: "Answers which function is running, and how many there are.",
            tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
            ..FUNCTION
        },
        stats,
    ),
    declare(
        CommandSpec {
            name: "function|kill",
            summary: "Ends the functions that are running and have not written.",
            tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
            ..FUNCTION
        },
        kill,
    )
    .at_once(),
];

fn stats(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    let scripts = &io.shared.scripts;
    let running = scripts.running.function()?;
    let numbers = scripts.libraries.numbers();
    connection.reply(|reply| {
        reply.map(2);
        reply.bulk(b"running_script");
        write_running(reply, running.as_ref());
        reply.bulk(b"engines");
        reply.map(1);
        reply.bulk(b"LUA");
        reply.map(2);
        reply.bulk(b"libraries_count");
        reply.count(numbers.libraries);
        reply.bulk(b"functions_count");
        reply.count(numbers.functions);
    });
    Ok(Dispatch::Done)
}

fn write_running(reply: &mut Reply<'_>, running: Option<&RunningFunction>) {
    let Some(running) = running else { return reply.null() };
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(running.command.get(1).map_or(&[], Vec::as_slice));
    reply.bulk(b"command");
    reply.array(running.command.len());
    running.command.iter().for_each(|word| reply.bulk(word));
    reply.bulk(b"duration_ms");
    reply.int(running.milliseconds as i64);
}

fn kill(io: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    io.shared.scripts.running.kill(true)?;
    ok(connection)
}
