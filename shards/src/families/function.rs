//! FUNCTION: libraries of functions. Calling one is FCALL, in `scripting.rs`; STATS and KILL, which must not wait for any shard,
//! are the connection's thread's.
//!
//! All shards are held, as each change has its place among those of the data: a transaction or a snapshot has all of it or nothing.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use sherd_metrics::memory;

use super::generic_object::write_help;
use super::scripting::NOT_HERE;
use super::stream::bad_subcommand;
use crate::handler::args::is;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::glob;
use crate::rdb::functions::{self, NoFunctions};
use crate::handler::reply::Reply;
use crate::handler::scripting::{self, FunctionFacts, RestorePolicy, Scripting};
use crate::command::spec::{flag::*, CommandSpec, Group, Plane, Scope};

const FUNCTION: CommandSpec = CommandSpec {
    group: Group::Scripting,
    since: "7.0.0",
    flags: NOSCRIPT,
    scope: Scope::All,
    ..CommandSpec::DEFAULT
};
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "function",
        summary: "Libraries of functions.",
        complexity: "that of the subcommand",
        arity: -2,
        flags: 0,
        plane: Plane::Container,
        ..FUNCTION
    },
    CommandSpec {
        name: "function|load",
        summary: "Loads a library, which registers its functions.",
        complexity: "that of the library's code",
        arity: -3,
        flags: WRITE | DENYOOM | NOSCRIPT,
        syntax: "[REPLACE] function-code",
        tips: ALL_SHARDS,
        plane: Plane::Data(load),
        ..FUNCTION
    },
    CommandSpec {
        name: "function|delete",
        summary: "Deletes a library and its functions.",
        arity: 3,
        flags: WRITE | NOSCRIPT,
        syntax: "library-name",
        tips: ALL_SHARDS,
        plane: Plane::Data(delete),
        ..FUNCTION
    },
    CommandSpec {
        name: "function|flush",
        summary: "Deletes all libraries.",
        complexity: "O(N) in the number of functions",
        arity: -2,
        flags: WRITE | NOSCRIPT,
        syntax: "[ASYNC | SYNC]",
        tips: ALL_SHARDS,
        plane: Plane::Data(flush),
        ..FUNCTION
    },
    CommandSpec {
        name: "function|list",
        summary: "Answers what libraries there are.",
        complexity: "O(N) in the number of functions",
        arity: -2,
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(list),
        ..FUNCTION
    },
    CommandSpec {
        name: "function|dump",
        summary: "Answers all libraries as one payload.",
        complexity: "O(N) in the number of functions",
        arity: 2,
        plane: Plane::Data(dump),
        ..FUNCTION
    },
    CommandSpec {
        name: "function|restore",
        summary: "Loads the libraries of a payload.",
        complexity: "O(N) in the number of functions of the payload",
        arity: -3,
        flags: WRITE | DENYOOM | NOSCRIPT,
        syntax: "serialized-value [FLUSH | APPEND | REPLACE]",
        tips: ALL_SHARDS,
        plane: Plane::Data(restore),
        ..FUNCTION
    },
    CommandSpec {
        name: "function|help",
        summary: "Answers what the subcommands do.",
        arity: 2,
        flags: LOADING | STALE,
        plane: Plane::Data(help),
        ..FUNCTION
    },
];

const NO_CODE: CommandError = CommandError::new("ERR Function code is missing");
const NO_LIBRARY: CommandError = CommandError::new("ERR Library not found");
const BAD_FLUSH: CommandError = CommandError::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
const NO_PATTERN: CommandError = CommandError::new("ERR library name argument was not given");
const BAD_POLICY: CommandError =
    CommandError::new("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
const BAD_FOOTER: CommandError = CommandError::new("ERR DUMP payload version or checksum are wrong");
const BAD_KIND: CommandError = CommandError::new("ERR given type is not a function");
const BAD_SOURCE: CommandError = CommandError::new("ERR Failed loading library payload");

fn scripting<'a>(context: &Context<'a>) -> Result<&'a dyn Scripting, CommandError> {
    scripting::of(context.world).ok_or(NOT_HERE)
}

/// Changes libraries: what that allocates or frees is no shard's. It counts as a change since the last save.
fn change<T>(
    context: &mut Context<'_>,
    change: impl FnOnce(&dyn Scripting) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let scripting = scripting(context)?;
    let before = memory::data_bytes();
    let result = change(scripting);
    let stats = &context.shards().first().stats;
    stats.memory_bytes.fetch_sub(memory::data_bytes() - before, Relaxed);
    if result.is_ok() {
        stats.dirty.increment();
    }
    result
}

fn load(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (source, options) = context.args[2..].split_last().ok_or(NO_CODE)?;
    if let Some(option) = options.iter().find(|option| !is(option, "REPLACE")) {
        return Err(CommandError::with(format!("ERR Unknown option given: {}", String::from_utf8_lossy(option))));
    }
    let name = change(context, |scripting| scripting.load_library(source, !options.is_empty()))?;
    reply.bulk(&name);
    Ok(())
}

fn delete(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let name = context.args[2];
    change(context, |scripting| if scripting.delete_library(name) { Ok(()) } else { Err(NO_LIBRARY) })?;
    reply.ok();
    Ok(())
}

fn flush(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lazily = match context.args[2..] {
        [] => context.settings().lazyfree_lazy_user_flush.on(),
        [word] if is(word, "SYNC") => false,
        [word] if is(word, "ASYNC") => true,
        [_] => return Err(BAD_FLUSH),
        _ => return Err(bad_subcommand(context.args, "FUNCTION")),
    };
    change(context, |scripting| {
        scripting.flush_libraries(lazily);
        Ok(())
    })?;
    reply.ok();
    Ok(())
}

fn dump(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let libraries = scripting(context)?.libraries();
    reply.bulk(&functions::dump(libraries.iter().map(|library| library.source.as_slice())));
    Ok(())
}

fn restore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let policy = match context.args[3..] {
        [] => RestorePolicy::Append,
        [word] if is(word, "APPEND") => RestorePolicy::Append,
        [word] if is(word, "REPLACE") => RestorePolicy::Replace,
        [word] if is(word, "FLUSH") => RestorePolicy::Flush,
        [_] => return Err(BAD_POLICY),
        _ => return Err(bad_subcommand(context.args, "FUNCTION")),
    };
    let sources: Vec<Cow<'_, [u8]>> = functions::restore(context.args[2]).map_err(|refused| match refused {
        NoFunctions::Footer => BAD_FOOTER,
        NoFunctions::Kind => BAD_KIND,
        NoFunctions::Source => BAD_SOURCE,
    })?;
    change(context, |scripting| scripting.restore_libraries(&sources, policy))?;
    reply.ok();
    Ok(())
}

fn list(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = context.args[2..].iter();
    while let Some(word) = words.next() {
        if !with_code && is(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(word, "LIBRARYNAME") {
            pattern = Some(*words.next().ok_or(NO_PATTERN)?);
        } else {
            return Err(CommandError::with(format!("ERR Unknown argument {}", String::from_utf8_lossy(word))));
        }
    }
    let mut libraries = scripting(context)?.libraries();
    if let Some(pattern) = pattern {
        libraries.retain(|library| glob::matches_ignoring_case(pattern, &library.name));
    }
    reply.array(libraries.len());
    for library in &libraries {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(&library.name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        library.functions.iter().for_each(|function| write_function(reply, function));
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.source);
        }
    }
    Ok(())
}

fn write_function(reply: &mut Reply<'_>, function: &FunctionFacts) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    reply.bulk_or_null(function.description.as_deref());
    reply.bulk(b"flags");
    reply.set(function.flags.len());
    for flag in &function.flags {
        reply.simple(&String::from_utf8_lossy(flag));
    }
}

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_help(reply, HELP);
    Ok(())
}
