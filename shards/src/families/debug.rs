//! DEBUG as far as it concerns the data: what tests of clients and of this server use.
//!
//! One command without subcommands in COMMAND, as in Redis. It is refused unless `enable-debug-command` allows it, as
//! it can stop the server from answering.

use std::time::Duration;

use crate::handler::args;
use crate::handler::context::{Context, Expiry};
use crate::handler::load_appended;
use crate::keyspace::db::Key;
use crate::rdb::Limits;
use crate::entry::{Entry, NewValue, Text, Value};
use crate::handler::error::{CommandError, Outcome, NO_SUCH_KEY};
use crate::families::generic_object::write_help;
use crate::families::{data_digest, reload};
use crate::families::string::check_length;
use crate::entry::object::ObjectRef;
use crate::entry::policy;
use crate::handler::reply::Reply;
use crate::server::settings::Settings;
use crate::command::spec::{flag::*, CommandSpec, Group, Plane, Scope};
use sherd_types::list::List;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "debug",
    summary: "Commands for testing clients and the server.",
    system: true,
    complexity: "Depends on the subcommand.",
    group: Group::Server,
    arity: -2,
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    syntax: "subcommand [argument ...]",
    scope: Scope::All,
    plane: Plane::Data(debug),
    ..CommandSpec::DEFAULT
}];

const NOT_ALLOWED: CommandError = CommandError::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
     local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);
const PROTOCOL_TYPE: CommandError = CommandError::new(
    "ERR Wrong protocol type name. Please use one of the following: \
     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
);
const RELOAD_OPTIONS: CommandError =
    CommandError::new("ERR DEBUG RELOAD only supports the MERGE and NOFLUSH options.");
const NO_FILES: CommandError = CommandError::new("ERR Error trying to load the AOF files: this server has none");
const NEEDS_RESP3: CommandError = CommandError::new("ERR RESP2 is not supported by this command");

/// What Redis answers, which is close to a famous number, but not meant to be it.
#[allow(clippy::approx_constant)]
const EXAMPLE_DOUBLE: f64 = 3.141;
/// `enable-debug-command local`.
const LOCAL_ONLY: i64 = 2;
/// The longest DEBUG SLEEP: long enough for any test, short enough to get the server back after a slip of the pen.
const SLEEP_MAX: Duration = Duration::from_secs(600);
/// The most keys that one DEBUG POPULATE makes.
const POPULATE_MAX: usize = 100_000_000;

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return an error reply with <string> as message.",
    "FAIL-COMMAND",
    "    Fail by a mistake in the program: the client is answered and cut, the",
    "    server goes on.",
    "FAIL-NEXT-WRITE",
    "    Fail the next write that is recorded in the same way, behind what it has",
    "    changed.",
    "LOADAOF",
    "    Flush the append-only file and load its content in place of all data.",
    "OBJECT <key>",
    "    Show how the value of <key> is stored.",
    "PANIC",
    "    End the server with a crash report.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>. If <prefix> is specified then",
    "    it is used instead of the 'key' prefix.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "RELOAD [MERGE] [NOFLUSH]",
    "    Write every value as a snapshot does and read it back. The options change",
    "    nothing, as there is no file that differs from what is there.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed. Setting it to 1 enables it again.",
    "SLEEP <seconds>",
    "    Stop executing commands for <seconds>. Decimals allowed.",
    "HELP",
    "    Print this help.",
];

fn debug(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_allowed(context)?;
    let args = context.args;
    match (args[1].to_ascii_lowercase().as_slice(), &args[2..]) {
        (b"help", []) => write_help(reply, HELP),
        (b"error", [message]) => {
            return Err(CommandError::with(String::from_utf8_lossy(message).into_owned()));
        }
        (b"object", [_]) => write_object(context, reply)?,
        (b"populate", [_] | [_, _] | [_, _, _]) => {
            populate(context)?;
            reply.ok();
        }
        (b"digest", []) => {
            let digest = data_digest::of_shards(context.all_shards()).hex();
            reply.simple(&digest);
        }
        (b"digest-value", keys) => write_digests(context, reply, keys),
        (b"reload", options) => {
            if !options.iter().all(|option| args::is(option, "MERGE") || args::is(option, "NOFLUSH")) {
                return Err(RELOAD_OPTIONS);
            }
            let limits = Limits::from_settings(context.settings());
            reload::reload(&mut context.shards, &limits)?;
            reply.ok();
        }
        (b"loadaof", []) => {
            // Everything that it does is in the file already.
            context.tells_effects();
            let load = load_appended::of(context.world).ok_or(NO_FILES)?;
            load(&mut context.shards, context.world)
                .map_err(|what| CommandError::with(format!("ERR Error trying to load the AOF files: {what}")))?;
            reply.ok();
        }
        (b"protocol", [name]) => write_example(reply, name)?,
        (b"set-active-expire", [value]) => {
            let on = sherd_types::number::parse_i64(value).is_some_and(|value| value != 0);
            context.settings().active_expire_enabled.set(i64::from(on));
            reply.ok();
        }
        // What no command does on purpose, so that what follows from it can be tested.
        (b"fail-command", []) => panic!("DEBUG FAIL-COMMAND was asked for"),
        (b"fail-next-write", []) => {
            context.settings().fails_next_write.set(1);
            reply.ok();
        }
        (b"panic", []) => sherd_types::invariant::broken("DEBUG PANIC was asked for", file!(), line!()),
        (b"sleep", [seconds]) => {
            std::thread::sleep(sleep_time(seconds));
            reply.ok();
        }
        _ => {
            let name = String::from_utf8_lossy(args[1]);
            return Err(CommandError::with(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name:.128}'. Try DEBUG HELP."
            )));
        }
    }
    Ok(())
}

fn check_allowed(context: &Context<'_>) -> Outcome {
    let local = context.client.record.is_none_or(|record| {
        record.unix_socket || record.address.starts_with("127.") || record.address.starts_with("[::1]")
    });
    match context.settings().enable_debug_command.get() {
        _ if context.origin.must_be_obeyed() => Ok(()),
        0 => Err(NOT_ALLOWED),
        LOCAL_ONLY if !local => Err(NOT_ALLOWED),
        _ => Ok(()),
    }
}

/// The digests of values, zeros for keys that are not there.
fn write_digests(context: &mut Context<'_>, reply: &mut Reply<'_>, keys: &[&[u8]]) {
    reply.array(keys.len());
    for bytes in keys {
        let key = context.key_of(bytes);
        let digest = context.peek(&key).map(data_digest::of_value).unwrap_or_default();
        reply.simple(&digest.hex());
    }
}

/// A time as C's `strtod` would read it: what is no number is 0.
fn sleep_time(text: &[u8]) -> Duration {
    let seconds = args::float(text).unwrap_or(0.0).max(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
}

fn write_object(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    let now = context.shard(&key).clock;
    let is_lfu = policy::is_lfu(context.settings().maxmemory_policy.get());
    let entry = context.peek(&key).ok_or(NO_SUCH_KEY)?;
    let clock = entry.clock();
    let idle = if is_lfu { 0 } else { policy::idle_seconds(clock, now) };
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{clock} lru_seconds_idle:{idle}",
        entry,
        entry.encoding(),
        serialized_length(entry),
    );
    if let Value::Object(ObjectRef::List(list)) = entry.value() {
        text.push_str(&list_details(list, context.settings()));
    }
    reply.simple(&text);
    Ok(())
}

/// What Redis tells of a quicklist. The limit is the one in force: a list does not remember that of its making. Nodes are
/// never compressed.
fn list_details(list: &List, settings: &Settings) -> String {
    let Some((nodes, bytes)) = list.quick_sizes() else { return String::new() };
    let limit = settings.list_max_listpack_size.get();
    let average = list.len() as f64 / nodes.max(1) as f64;
    format!(
        " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{limit} ql_compressed:0 \
         ql_uncompressed_size:{bytes}"
    )
}

/// What the value takes in a snapshot, without compression; for collections an estimate from the memory they take.
fn serialized_length(entry: &Entry) -> usize {
    match entry.value() {
        Value::Text(Text::Integer(value)) => match value {
            -0x80..=0x7F => 2,
            -0x8000..=0x7FFF => 3,
            -0x8000_0000..=0x7FFF_FFFF => 5,
            _ => 1 + sherd_types::number::i64_text_len(value),
        },
        Value::Text(Text::Bytes(bytes)) => {
            let header = match bytes.len() {
                0..=0x3F => 1,
                0x40..=0x3FFF => 2,
                _ => 5,
            };
            header + bytes.len()
        }
        Value::Object(object) => object.memory_bytes(5),
    }
}

/// Creates keys that are not there yet with values of a given size, filled up with zero bytes or cut.
fn populate(context: &mut Context<'_>) -> Outcome {
    let args = context.args;
    let count = args::non_negative(args[2])?.min(POPULATE_MAX);
    let prefix: &[u8] = args.get(3).copied().unwrap_or(b"key");
    let size = args.get(4).map(|text| args::non_negative(text)).transpose()?;
    check_length(context, size.unwrap_or(0))?;
    for number in 0..count {
        let mut name = prefix.to_vec();
        name.push(b':');
        sherd_types::number::append_i64(&mut name, number as i64);
        let key: Key<'_> = context.key_of(&name);
        if context.get_to_replace(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        value.resize(size.unwrap_or(value.len()), 0);
        context.insert(&key, NewValue::Text(&value), Expiry::None);
        context.touched_by(1, &key);
    }
    Ok(())
}

/// Writes the example of a reply type that clients test themselves with.
fn write_example(reply: &mut Reply<'_>, name: &[u8]) -> Outcome {
    match name.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(EXAMPLE_DOUBLE),
        b"bignum" if reply.is_resp3() => reply.raw(b"(1234567999999999999999999999999999999\r\n"),
        b"bignum" => reply.bulk(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|value| reply.int(value));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|value| reply.int(value));
        }
        b"map" => {
            reply.map(3);
            for value in 0..3 {
                reply.int(value);
                reply.boolean(value == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.raw(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return Err(NEEDS_RESP3);
            }
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => return Err(PROTOCOL_TYPE),
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/debug.rs"]
mod tests;
