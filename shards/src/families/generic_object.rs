//! How values are stored: OBJECT and MEMORY USAGE. None of it counts as an access to the key.

use crate::command::category;
use crate::handler::args::{self, Options};
use crate::keyspace::db::Key;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::entry::policy;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane, Scope};

const INSPECTION: CommandSpec = CommandSpec {
    group: Group::Generic,
    categories: category::KEYSPACE,
    since: "2.2.3",
    arity: 3,
    flags: READONLY,
    keys: &[one_key("RO", 2)],
    syntax: "key",
    tips: &["nondeterministic_output"],
    ..CommandSpec::DEFAULT
};
const CONTAINER: CommandSpec = CommandSpec { arity: -2, plane: Plane::Container, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "object",
        summary: "Commands about how values are stored.",
        since: "2.2.3",
        complexity: "Depends on the subcommand.",
        group: Group::Generic,
        ..CONTAINER
    },
    CommandSpec {
        name: "object|encoding",
        summary: "Names the encoding of a key's value.",
        plane: Plane::Data(encoding),
        ..INSPECTION
    },
    CommandSpec {
        name: "object|freq",
        summary: "Returns the logarithmic count of accesses to a key.",
        since: "4.0.0",
        plane: Plane::Data(freq),
        ..INSPECTION
    },
    CommandSpec {
        name: "object|idletime",
        summary: "Returns the seconds since the last access to a key.",
        plane: Plane::Data(idletime),
        ..INSPECTION
    },
    CommandSpec {
        name: "object|refcount",
        summary: "Returns the number of references to a key's value.",
        plane: Plane::Data(refcount),
        ..INSPECTION
    },
    CommandSpec {
        name: "object|help",
        summary: "Explains the OBJECT commands.",
        since: "6.2.0",
        group: Group::Generic,
        categories: category::KEYSPACE,
        arity: 2,
        flags: LOADING | STALE,
        scope: Scope::All,
        plane: Plane::Data(help),
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "memory",
        summary: "Commands about the use of memory.",
        since: "4.0.0",
        complexity: "Depends on the subcommand.",
        group: Group::Server,
        ..CONTAINER
    },
    CommandSpec {
        name: "memory|usage",
        summary: "Returns the bytes of memory that a key and its value take.",
        since: "4.0.0",
        complexity: "O(N) in the number of samples",
        group: Group::Server,
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO", 2)],
        syntax: "key [SAMPLES count]",
        plane: Plane::Data(memory_usage),
        ..CommandSpec::DEFAULT
    },
];

const NEEDS_LFU: CommandError = CommandError::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.",
);
const NEEDS_LRU: CommandError = CommandError::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies \
     at runtime LRU and LFU data will take some time to adjust.",
);

/// Elements that MEMORY USAGE looks at when it is not told otherwise: below 100 us, for an estimate within a few per cent also
/// where lengths differ by factors.
const SAMPLES: usize = 1024;

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Print this help.",
];

/// OBJECT counts as a read, although it is no access and raises no event for a key that is not there.
fn count_read(context: &mut Context<'_>, key: &Key<'_>) {
    let found = context.peek(key).is_some();
    let stats = &context.shard(key).stats;
    if found { &stats.keyspace_hits } else { &stats.keyspace_misses }.increment();
}

fn encoding(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    count_read(context, &key);
    match context.peek(&key) {
        Some(entry) => reply.bulk(entry.encoding().as_bytes()),
        None => reply.null(),
    }
    Ok(())
}

fn freq(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_clock(context, reply, true)
}

fn idletime(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_clock(context, reply, false)
}

/// Writes what the access clock says under a policy that counts accesses, or under the others.
fn write_clock(context: &mut Context<'_>, reply: &mut Reply<'_>, counts: bool) -> Outcome {
    let key = context.key(2);
    count_read(context, &key);
    let Some(old) = context.peek(&key).map(crate::entry::Entry::clock) else {
        reply.null();
        return Ok(());
    };
    let settings = context.settings();
    let now = context.shard(&key).clock;
    match (policy::is_lfu(settings.maxmemory_policy.get()), counts) {
        (false, true) => Err(NEEDS_LFU),
        (true, false) => Err(NEEDS_LRU),
        (true, true) => {
            reply.int(i64::from(policy::decayed(old, now, settings.lfu_decay_time.get())));
            Ok(())
        }
        (false, false) => {
            reply.int(i64::from(policy::idle_seconds(old, now)));
            Ok(())
        }
    }
}

fn refcount(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    count_read(context, &key);
    // Values are never shared.
    match context.peek(&key) {
        Some(_) => reply.int(1),
        None => reply.null(),
    }
    Ok(())
}

/// Writes a help text as HELP subcommands do.
pub(super) fn write_help(reply: &mut Reply<'_>, lines: &[&str]) {
    reply.array(lines.len());
    for line in lines {
        reply.simple(line);
    }
}

fn help(_: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_help(reply, HELP);
    Ok(())
}

fn memory_usage(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut samples = SAMPLES;
    let mut options = Options::new(context.args, 3);
    while options.more() {
        let text = options.take_value("SAMPLES").ok_or(SYNTAX)?;
        samples = usize::try_from(args::integer(text)?).map_err(|_| SYNTAX)?;
    }
    let key = context.key(2);
    match context.peek(&key) {
        Some(entry) => reply.count(entry.memory_bytes(samples)),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/generic_object.rs"]
mod tests;
