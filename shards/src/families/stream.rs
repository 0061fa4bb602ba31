//! Streams: what the commands over streams have in common, and their length and last id.
//!
//! Adding, reading, trimming, deleting, groups and their pending entries are in the files beside this one.

use crate::handler::args;
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome, NO_SUCH_KEY, SYNTAX};
use crate::families::list::write_item;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::stream::{BoxedStream, Entry, IdBuffer, Stream, StreamId, ID_TEXT_MAX_BYTES};

pub(super) const STREAM: CommandSpec = CommandSpec { group: Group::Stream, since: "5.0.0", ..CommandSpec::DEFAULT };

pub(super) const INVALID_ID: CommandError =
    CommandError::new("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: CommandError = CommandError::new("ERR invalid start ID for the interval");
const INVALID_END: CommandError = CommandError::new("ERR invalid end ID for the interval");
const SET_BELOW_DELETED: CommandError =
    CommandError::new("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
const SET_BELOW_GIVEN: CommandError =
    CommandError::new("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
const SET_BELOW_TOP: CommandError =
    CommandError::new("ERR The ID specified in XSETID is smaller than the target stream top item");
const ADDED_BELOW_LENGTH: CommandError =
    CommandError::new("ERR The entries_added specified in XSETID is smaller than the target stream length");
const ADDED_NEGATIVE: CommandError = CommandError::new("ERR entries_added must be positive");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xlen",
        summary: "Returns the number of entries in a stream.",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(xlen),
        ..STREAM
    },
    CommandSpec {
        name: "xsetid",
        summary: "Sets the last id of a stream, and what it remembers of entries that are gone.",
        history: &[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`.")],
        arity: -3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        plane: Plane::Data(xsetid),
        ..STREAM
    },
];

// ----- what the family shares -----

/// An id without the words for the ends of a stream; the sequence number may be missing.
pub(super) fn parse_id(text: &[u8]) -> Result<StreamId, CommandError> {
    StreamId::parse(text, 0).ok_or(INVALID_ID)
}

/// Ids, all of which are read before anything is done with the first.
pub(super) fn parse_ids(texts: &[&[u8]]) -> Result<Vec<StreamId>, CommandError> {
    texts.iter().map(|text| parse_id(text)).collect()
}

/// The start of a range; `(` leaves the id itself out.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => parse_id(id)?.next().ok_or(INVALID_START),
        _ => StreamId::parse_bound(text, 0).ok_or(INVALID_ID),
    }
}

/// The end of a range; milliseconds alone mean all their ids.
pub(super) fn parse_end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            StreamId::parse(id, u64::MAX).ok_or(INVALID_ID)?.previous().ok_or(INVALID_END)
        }
        _ => StreamId::parse_bound(text, u64::MAX).ok_or(INVALID_ID),
    }
}

/// The error for a group that is not there, or its stream.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::with(format!(
        "NOGROUP No such key '{}' or consumer group '{}'",
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(group)
    ))
}

/// The error of a subcommand whose arguments are wrong.
pub(super) fn bad_subcommand(args: &[&[u8]], container: &str) -> CommandError {
    let name = String::from_utf8_lossy(args[1]);
    CommandError::with(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name:.128}'. Try {container} HELP."
    ))
}

/// Writes an id.
#[inline]
pub(super) fn write_id(reply: &mut Reply<'_>, id: StreamId) {
    let mut buffer: IdBuffer = [0; ID_TEXT_MAX_BYTES];
    reply.bulk(id.format(&mut buffer));
}

/// Writes an entry's fields and values as a flat array.
#[inline]
pub(super) fn write_fields(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(entry.field_count() * 2);
    for (name, value) in entry.fields() {
        write_item(reply, name);
        write_item(reply, value);
    }
}

/// Writes an entry: its id, and its fields and values.
#[inline]
pub(super) fn write_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    write_fields(reply, entry);
}

/// Writes up to `count` entries as an array; gives how many.
pub(super) fn write_entries<'s>(
    reply: &mut Reply<'_>,
    entries: impl Iterator<Item = Entry<'s>>,
    count: usize,
) -> usize {
    let place = reply.deferred();
    let mut written = 0;
    for entry in entries.take(count) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.close_array(place, written);
    written
}

// ----- commands -----

fn xlen(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let length = context.read::<BoxedStream>(&key)?.map_or(0, |stream| stream.log().len());
    reply.int(length as i64);
    Ok(())
}

fn xsetid(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let last_id = parse_id(context.args[2])?;
    let (mut entries_added, mut max_deleted_id) = (None, None);
    let mut options = args::Options::new(context.args, 3);
    while options.more() {
        if let Some(text) = options.take_value("ENTRIESADDED") {
            entries_added = Some(u64::try_from(args::integer(text)?).map_err(|_| ADDED_NEGATIVE)?);
        } else {
            let id = parse_id(options.take_value("MAXDELETEDID").ok_or(SYNTAX)?)?;
            if last_id < id {
                return Err(SET_BELOW_GIVEN);
            }
            max_deleted_id = Some(id);
        }
    }
    let key = context.key(1);
    let stream = context.write::<BoxedStream>(&key)?.ok_or(NO_SUCH_KEY)?;
    let log = stream.log();
    if last_id < log.max_deleted_id() {
        return Err(SET_BELOW_DELETED);
    }
    if !log.is_empty() {
        if last_id < log.last_live_id() {
            return Err(SET_BELOW_TOP);
        }
        if entries_added.is_some_and(|added| added < log.len()) {
            return Err(ADDED_BELOW_LENGTH);
        }
    }
    stream.set_memory(last_id, entries_added, max_deleted_id.filter(|id| !id.is_zero()));
    reply.ok();
    // Its entries are the same.
    context.changed_aside(1, &key);
    context.notify(&key, class::STREAM, "xsetid");
    Ok(())
}

/// The stream of a key for a write, or the error for a group that is not there.
pub(super) fn stream_of_group<'c>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    group: &[u8],
) -> Result<&'c mut Stream, CommandError> {
    match context.write::<BoxedStream>(key)? {
        Some(stream) if stream.group(group).is_some() => Ok(stream),
        _ => Err(no_group(key.bytes, group)),
    }
}

/// Sees whether a group is there, as a reader does: it counts as a read, and a missing key is told of.
pub(super) fn look_for_group(context: &mut Context<'_>, key: &Key<'_>, group: &[u8]) -> Outcome {
    match context.read::<BoxedStream>(key)? {
        Some(stream) if stream.group(group).is_some() => Ok(()),
        _ => Err(no_group(key.bytes, group)),
    }
}

#[cfg(test)]
#[path = "tests/stream.rs"]
pub(super) mod tests;
