//! Looking into streams: XINFO.

use super::generic_object::write_help;
use super::stream::{bad_subcommand, write_entries, write_entry, write_id, STREAM};
use super::stream_group::no_group_of_key;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, NO_SUCH_KEY};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane, Scope};
use sherd_types::stream::{BoxedStream, Consumer, Group, Log, Stream, StreamId};

const INFO: CommandSpec = CommandSpec { flags: READONLY, keys: &[one_key("RO ACCESS", 2)], ..STREAM };

/// XINFO STREAM FULL: entries of the stream and of each list of pending entries unless COUNT says otherwise.
const FULL_COUNT_DEFAULT: usize = 10;
/// XINFO STREAM key FULL COUNT count.
const FULL_WORDS_MAX: usize = 6;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xinfo",
        summary: "Commands that tell about streams.",
        complexity: "Depends on the subcommand.",
        arity: -2,
        plane: Plane::Container,
        ..STREAM
    },
    CommandSpec {
        name: "xinfo|stream",
        summary: "Tells about a stream.",
        history: &[("6.0.0", "`FULL`."), ("7.0.0", "The fields `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`."), ("7.2.0", "The field `active-time`; `seen-time` means something else.")],
        arity: -3,
        syntax: "key [FULL [COUNT count]]",
        plane: Plane::Data(stream),
        ..INFO
    },
    CommandSpec {
        name: "xinfo|groups",
        summary: "Tells about the consumer groups of a stream.",
        history: &[("7.0.0", "The fields `entries-read` and `lag`.")],
        arity: 3,
        syntax: "key",
        plane: Plane::Data(groups),
        ..INFO
    },
    CommandSpec {
        name: "xinfo|consumers",
        summary: "Tells about the consumers in a group.",
        history: &[("7.2.0", "The field `inactive`; `idle` means something else.")],
        arity: 4,
        syntax: "key group",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(consumers),
        ..INFO
    },
    CommandSpec {
        name: "xinfo|help",
        summary: "Explains the XINFO commands.",
        arity: 2,
        flags: LOADING | STALE,
        scope: Scope::All,
        plane: Plane::Data(help),
        ..STREAM
    },
];

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_help(reply, HELP);
    Ok(())
}

fn write_name(reply: &mut Reply<'_>, name: &str) {
    reply.bulk(name.as_bytes());
}

fn write_int(reply: &mut Reply<'_>, name: &str, value: u64) {
    write_name(reply, name);
    reply.int(value as i64);
}

fn write_named_id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    write_name(reply, name);
    write_id(reply, id);
}

fn write_known(reply: &mut Reply<'_>, name: &str, value: Option<i64>) {
    write_name(reply, name);
    match value {
        Some(value) => reply.int(value),
        None => reply.null(),
    }
}

/// The count of FULL, if it is asked for; 0 is everything.
fn parse_full(args: &[&[u8]]) -> Result<Option<usize>, CommandError> {
    let mut options = Options::new(args, 3);
    if !options.more() {
        return Ok(None);
    }
    if !options.take("FULL") || args.len() > FULL_WORDS_MAX {
        return Err(bad_subcommand(args, "XINFO"));
    }
    let mut count = FULL_COUNT_DEFAULT;
    if options.more() {
        let text = options.take_value("COUNT").ok_or_else(|| bad_subcommand(args, "XINFO"))?;
        count = usize::try_from(args::integer(text)?).unwrap_or(FULL_COUNT_DEFAULT);
    }
    Ok(Some(if count == 0 { usize::MAX } else { count }))
}

fn stream(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (args, now_ms) = (context.args, context.now_ms);
    let key = context.key(2);
    // A missing key is told before arguments that are wrong.
    let stream = context.read::<BoxedStream>(&key)?.ok_or(NO_SUCH_KEY)?;
    match parse_full(args)? {
        Some(count) => write_full(reply, stream, count, now_ms),
        None => write_overview(reply, stream, now_ms),
    }
    Ok(())
}

fn write_overview(reply: &mut Reply<'_>, stream: &Stream, now_ms: i64) {
    let log = stream.log();
    reply.map(10 + producer_fields(stream));
    write_counters(reply, log);
    write_producers(reply, stream, now_ms);
    write_int(reply, "groups", stream.group_count() as u64);
    let ends = [
        ("first-entry", log.range(StreamId::MIN, StreamId::MAX).next()),
        ("last-entry", log.range_back(StreamId::MIN, StreamId::MAX).next()),
    ];
    for (name, entry) in ends {
        write_name(reply, name);
        match entry {
            Some(entry) => write_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

/// The seven numbers and ids that both forms begin with.
fn write_counters(reply: &mut Reply<'_>, log: &Log) {
    write_int(reply, "length", log.len());
    write_int(reply, "radix-tree-keys", log.block_count() as u64);
    write_int(reply, "radix-tree-nodes", log.radix_node_count() as u64);
    write_named_id(reply, "last-generated-id", log.last_id());
    write_named_id(reply, "max-deleted-entry-id", log.max_deleted_id());
    write_int(reply, "entries-added", log.entries_added());
    write_named_id(reply, "recorded-first-entry-id", log.first_id());
}

/// Fields of a stream that has or had producers with names: clients of others would have to skip them.
fn producer_fields(stream: &Stream) -> usize {
    stream.producers().map_or(0, |_| 6)
}

fn write_producers(reply: &mut Reply<'_>, stream: &Stream, now_ms: i64) {
    let Some(producers) = stream.producers() else { return };
    let (limits, (tracked, ids)) = (producers.limits(), producers.tracked(now_ms));
    write_int(reply, "idmp-duration", u64::from(limits.duration_seconds));
    write_int(reply, "idmp-maxsize", u64::from(limits.ids_max));
    write_int(reply, "pids-tracked", tracked as u64);
    write_int(reply, "iids-tracked", ids as u64);
    write_int(reply, "iids-added", producers.added);
    write_int(reply, "iids-duplicates", producers.duplicates);
}

fn write_full(reply: &mut Reply<'_>, stream: &Stream, count: usize, now_ms: i64) {
    let log = stream.log();
    reply.map(9 + producer_fields(stream));
    write_counters(reply, log);
    write_producers(reply, stream, now_ms);
    write_name(reply, "entries");
    write_entries(reply, log.range(StreamId::MIN, StreamId::MAX), count);
    write_name(reply, "groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        let given_back = group.unowned_count();
        reply.map(7 + usize::from(given_back > 0));
        write_name(reply, "name");
        reply.bulk(name);
        write_position(reply, log, group);
        write_int(reply, "pel-count", group.pending_count() as u64);
        write_name(reply, "pending");
        reply.array(group.pending_count().min(count));
        for (id, pending) in group.pending().take(count) {
            reply.array(4);
            write_id(reply, id);
            reply.bulk(pending.consumer().map_or(b"", |number| group.consumer(number).name()));
            reply.int(pending.delivered_ms());
            reply.int(pending.delivery_count() as i64);
        }
        write_name(reply, "consumers");
        reply.array(group.consumer_count());
        for consumer in group.consumers() {
            write_consumer_in_full(reply, group, consumer, count);
        }
        if given_back > 0 {
            write_int(reply, "nacked-count", given_back as u64);
        }
    }
}

/// How far a group has read.
fn write_position(reply: &mut Reply<'_>, log: &Log, group: &Group) {
    write_named_id(reply, "last-delivered-id", group.last_id);
    write_known(reply, "entries-read", group.entries_read.map(|read| read as i64));
    write_known(reply, "lag", log.lag(group));
}

fn write_consumer_in_full(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    write_name(reply, "name");
    reply.bulk(consumer.name());
    write_name(reply, "seen-time");
    reply.int(consumer.seen_ms);
    write_name(reply, "active-time");
    reply.int(consumer.active_ms.unwrap_or(-1));
    write_int(reply, "pel-count", consumer.pending_count() as u64);
    write_name(reply, "pending");
    reply.array(consumer.pending_count().min(count));
    for id in consumer.pending().take(count) {
        let Some(pending) = group.find_pending(id) else { continue };
        reply.array(3);
        write_id(reply, id);
        reply.int(pending.delivered_ms());
        reply.int(pending.delivery_count() as i64);
    }
}

fn groups(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    let stream = context.read::<BoxedStream>(&key)?.ok_or(NO_SUCH_KEY)?;
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        write_name(reply, "name");
        reply.bulk(name);
        write_int(reply, "consumers", group.consumer_count() as u64);
        write_int(reply, "pending", group.pending_count() as u64);
        write_position(reply, stream.log(), group);
    }
    Ok(())
}

fn consumers(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (args, now_ms) = (context.args, context.now_ms);
    let key = context.key(2);
    let stream = context.read::<BoxedStream>(&key)?.ok_or(NO_SUCH_KEY)?;
    let group = stream.group(args[3]).ok_or_else(|| no_group_of_key(args))?;
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply.map(4);
        write_name(reply, "name");
        reply.bulk(consumer.name());
        write_int(reply, "pending", consumer.pending_count() as u64);
        write_name(reply, "idle");
        reply.int((now_ms - consumer.seen_ms).max(0));
        write_name(reply, "inactive");
        reply.int(consumer.active_ms.map_or(-1, |active_ms| (now_ms - active_ms).max(0)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/stream_info.rs"]
mod tests;
