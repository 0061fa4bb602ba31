//! EVAL, FCALL and their relatives: scripts and functions, run by whoever the server has for that.

use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::handler::reply::Reply;
use crate::handler::scripting::{self, Evaluation, Knowledge, Named};
use crate::command::registry::Command;
use crate::command::spec::{flag::*, Begin, CommandSpec, Find, Group, KeySpec, Plane};

pub(super) const NOT_HERE: CommandError = CommandError::new("ERR this server runs no scripts");

const KEYS: Find = Find::Number { number: 0, first: 1, step: 1 };

const SCRIPT: CommandSpec = CommandSpec {
    complexity: "that of the script",
    group: Group::Scripting,
    arity: -3,
    flags: NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MOVABLE_KEYS | MAY_REPLICATE,
    keys: &[KeySpec { flags: "RW access update", begin: Begin::Index(2), find: KEYS }],
    reaches_beyond: Some(reaches_beyond),
    ..CommandSpec::DEFAULT
};

const READER: CommandSpec = CommandSpec {
    flags: READONLY | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MOVABLE_KEYS,
    keys: &[KeySpec { flags: "RO access", begin: Begin::Index(2), find: KEYS }],
    ..SCRIPT
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "eval",
        summary: "Runs a Lua script.",
        since: "2.6.0",
        syntax: "script numkeys [key ...] [arg ...]",
        plane: Plane::Data(|context, reply| run(context, reply, Evaluation { named: Named::ByText, read_only: false })),
        ..SCRIPT
    },
    CommandSpec {
        name: "evalsha",
        summary: "Runs a Lua script that the server knows by its SHA1 digest.",
        since: "2.6.0",
        syntax: "sha1 numkeys [key ...] [arg ...]",
        plane: Plane::Data(|context, reply| run(context, reply, Evaluation { named: Named::ByDigest, read_only: false })),
        ..SCRIPT
    },
    CommandSpec {
        name: "eval_ro",
        summary: "Runs a Lua script that must not write.",
        since: "7.0.0",
        syntax: "script numkeys [key ...] [arg ...]",
        plane: Plane::Data(|context, reply| run(context, reply, Evaluation { named: Named::ByText, read_only: true })),
        ..READER
    },
    CommandSpec {
        name: "evalsha_ro",
        summary: "Runs a Lua script that the server knows by its SHA1 digest and that must not write.",
        since: "7.0.0",
        syntax: "sha1 numkeys [key ...] [arg ...]",
        plane: Plane::Data(|context, reply| run(context, reply, Evaluation { named: Named::ByDigest, read_only: true })),
        ..READER
    },
    CommandSpec {
        name: "fcall",
        summary: "Calls a function of a library.",
        complexity: "that of the function",
        since: "7.0.0",
        syntax: "function numkeys [key ...] [arg ...]",
        plane: Plane::Data(|context, reply| run(context, reply, Evaluation { named: Named::Function, read_only: false })),
        ..SCRIPT
    },
    CommandSpec {
        name: "fcall_ro",
        summary: "Calls a function of a library that must not write.",
        complexity: "that of the function",
        since: "7.0.0",
        syntax: "function numkeys [key ...] [arg ...]",
        plane: Plane::Data(|context, reply| run(context, reply, Evaluation { named: Named::Function, read_only: true })),
        ..READER
    },
];

/// What argument 1 of a command that runs a script or a function says of it.
pub fn named_by(command: &Command) -> Named {
    match command.spec.name {
        "evalsha" | "evalsha_ro" => Named::ByDigest,
        "fcall" | "fcall_ro" => Named::Function,
        _ => Named::ByText,
    }
}

/// Whether a script may touch other keys than those that it names.
fn reaches_beyond(args: &[&[u8]]) -> bool {
    !Knowledge::of(args).is_confined()
}

fn run(context: &mut Context<'_>, reply: &mut Reply<'_>, evaluation: Evaluation) -> Outcome {
    let world = context.world;
    scripting::of(world).ok_or(NOT_HERE)?.evaluate(context, reply, evaluation)
}
