//! Strings in part: APPEND, STRLEN, SETRANGE, GETRANGE, SUBSTR.
//!
//! What is edited moves to a buffer of its own that grows by doubling, so that a key that is appended to for ever costs
//! constant time a byte.

use crate::handler::args;
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::{NewValue, Text};
use crate::handler::error::{CommandError, Outcome, STRING_TOO_LONG, WRONG_TYPE};
use crate::families::string::check_length;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};

const STRING: CommandSpec = CommandSpec { group: Group::String, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "append",
        summary: "Adds bytes to the end of a key's string. Creates the key if it is not there.",
        since: "2.0.0",
        complexity: "O(1), amortized over appends to the same key",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key value",
        plane: Plane::Data(append),
        ..STRING
    },
    CommandSpec {
        name: "strlen",
        summary: "Returns the length of a key's string in bytes.",
        since: "2.2.0",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(strlen),
        ..STRING
    },
    CommandSpec {
        name: "setrange",
        summary: "Overwrites a part of a key's string, filled up with zero bytes where it is too short.",
        since: "2.2.0",
        complexity: "O(M) in the length of the value, and of the gap that is filled",
        arity: 4,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key offset value",
        plane: Plane::Data(setrange),
        ..STRING
    },
    CommandSpec {
        name: "getrange",
        summary: "Returns the part of a key's string between two offsets.",
        since: "2.4.0",
        complexity: "O(N) in the length of the part",
        arity: 4,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key start end",
        plane: Plane::Data(getrange),
        ..STRING
    },
    CommandSpec {
        name: "substr",
        summary: "Returns the part of a key's string between two offsets: the old name of GETRANGE.",
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        complexity: "O(N) in the length of the part",
        arity: 4,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key start end",
        plane: Plane::Data(getrange),
        ..STRING
    },
];

const OFFSET: CommandError = CommandError::new("ERR offset is out of range");

/// Edits a key's string in a buffer of its own, empty if the key is not there; the expiry stays.
///
/// Raises no event. The caller has checked the type and the length that will result.
pub(super) fn edit<R>(context: &mut Context<'_>, key: &Key<'_>, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut bytes = match context.get_mut(key) {
        None => Vec::new(),
        Some(entry) => {
            if let Some(bytes) = entry.editable() {
                return change(bytes);
            }
            entry.text().map_or_else(Vec::new, |text| text.to_vec())
        }
    };
    let result = change(&mut bytes);
    context.insert(key, NewValue::Editable(bytes), Expiry::Keep);
    result
}

/// Makes a string at least so long with zero bytes. A large growth takes pages that are zero already instead of writing
/// them: SETRANGE at the far end of an empty string must not take a tenth of a second.
pub(super) fn grow(bytes: &mut Vec<u8>, length: usize) {
    if length <= bytes.len() {
        return;
    }
    if length > 2 * bytes.capacity() {
        let mut larger = vec![0; length];
        larger[..bytes.len()].copy_from_slice(bytes);
        *bytes = larger;
    } else {
        bytes.resize(length, 0);
    }
}

/// The length of a key's string for a write, or `None` if the key is not there.
pub(super) fn length_for_write(context: &mut Context<'_>, key: &Key<'_>) -> Result<Option<usize>, CommandError> {
    match context.get_mut(key) {
        None => Ok(None),
        Some(entry) => Ok(Some(entry.text().ok_or(WRONG_TYPE)?.len())),
    }
}

fn append(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let value = context.args[2];
    let length = match length_for_write(context, &key)? {
        None => {
            context.insert(&key, NewValue::Text(value), Expiry::None);
            value.len()
        }
        Some(length) => {
            let length = length.checked_add(value.len()).ok_or(STRING_TOO_LONG)?;
            check_length(context, length)?;
            edit(context, &key, |bytes| bytes.extend_from_slice(value));
            length
        }
    };
    context.changed(&key, class::STRING, "append");
    reply.count(length);
    Ok(())
}

fn strlen(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let length = context.read_text(&key)?.map_or(0, |text| text.len());
    reply.count(length);
    Ok(())
}

fn setrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let value = context.args[3];
    let offset = args::integer(context.args[2])?;
    let offset = usize::try_from(offset).map_err(|_| OFFSET)?;
    let length = length_for_write(context, &key)?.unwrap_or(0);
    if value.is_empty() {
        reply.count(length);
        return Ok(());
    }
    let end = offset.checked_add(value.len()).ok_or(STRING_TOO_LONG)?;
    check_length(context, end)?;
    let length = edit(context, &key, |bytes| {
        grow(bytes, end);
        bytes[offset..end].copy_from_slice(value);
        bytes.len()
    });
    context.changed(&key, class::STRING, "setrange");
    reply.count(length);
    Ok(())
}

fn getrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let start = args::integer(context.args[2])?;
    let end = args::integer(context.args[3])?;
    match context.read_text(&key)? {
        None => reply.bulk(b""),
        Some(text @ Text::Integer(_)) => text.with(|bytes| reply.bulk(part(bytes, start, end))),
        Some(Text::Bytes(bytes)) => reply.bulk(part(bytes, start, end)),
    }
    Ok(())
}

/// The bytes from `start` to `end`, both inclusive and counted from the end when negative.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let length = bytes.len() as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    if length == 0 || (start < 0 && end < 0 && start > end) {
        return b"";
    }
    let start = from_end(start).max(0);
    let end = from_end(end).clamp(0, length - 1);
    if start > end {
        return b"";
    }
    &bytes[start as usize..=end as usize]
}
