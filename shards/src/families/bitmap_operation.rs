//! BITOP: combining the strings of several keys bit by bit.

use std::borrow::Cow;

use crate::handler::args::is;
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::{Entry, NewValue, Text};
use crate::handler::error::{CommandError, Outcome, SYNTAX, WRONG_TYPE};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, one_key, CommandSpec, Group, Plane};
use sherd_types::bitmap::{combine, Operation};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "bitop",
    summary: "Combines the strings of several keys bit by bit and stores the result.",
    since: "2.6.0",
    history: &[("8.2.0", "`DIFF`, `DIFF1`, `ANDOR` and `ONE`.")],
    complexity: "O(N) in the sum of the lengths",
    group: Group::Bitmap,
    arity: -4,
    flags: WRITE | DENYOOM,
    keys: &[one_key("OW UPDATE", 2), key_range("RO ACCESS", 3, -1, 1)],
    syntax: "(AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE) destkey key [key ...]",
    plane: Plane::Data(bitop),
    ..CommandSpec::DEFAULT
}];

const NAMES: &[(&str, Operation)] = &[
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

const NOT_ONE: CommandError = CommandError::new("ERR BITOP NOT must be called with a single source key.");

fn parse_operation(word: &[u8], sources: usize) -> Result<Operation, CommandError> {
    let &(name, operation) = NAMES.iter().find(|(name, _)| is(word, name)).ok_or(SYNTAX)?;
    match operation {
        Operation::Not if sources != 1 => Err(NOT_ONE),
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources < 2 => {
            Err(CommandError::with(format!("ERR BITOP {name} must be called with at least two source keys.")))
        }
        operation => Ok(operation),
    }
}

/// Below this, memory from the allocator costs next to nothing; above, the kernel clears every page of it first.
const REUSE_BYTES_MIN: usize = 4096;

/// Takes the buffer of the string that is about to be replaced, if the new one fits well; empty if not.
fn take_buffer(context: &mut Context<'_>, target: &Key<'_>, length: usize) -> Vec<u8> {
    // What has expired is left alone: it is replaced without a word, as by other commands that overwrite.
    if length < REUSE_BYTES_MIN || !context.exists(target) {
        return Vec::new();
    }
    match context.get_mut(target).and_then(Entry::editable) {
        Some(bytes) if (length..=length + length / 4).contains(&bytes.capacity()) => std::mem::take(bytes),
        _ => Vec::new(),
    }
}

fn bitop(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let operation = parse_operation(context.args[1], context.args.len() - 3)?;
    let keys: Vec<_> = (3..context.args.len()).map(|index| context.key(index)).collect();
    let mut length = 0;
    for key in &keys {
        if let Some(entry) = context.get(key) {
            length = entry.text().ok_or(WRONG_TYPE)?.len().max(length);
        }
    }
    let target = context.key(2);
    let buffer = if keys.iter().any(|key| key.bytes == target.bytes) {
        Vec::new()
    } else {
        take_buffer(context, &target, length)
    };
    let strings: Vec<Cow<'_, [u8]>> = keys
        .iter()
        .map(|key| match context.peek(key).and_then(Entry::text) {
            None => Cow::Borrowed(b"".as_slice()),
            Some(Text::Bytes(bytes)) => Cow::Borrowed(bytes),
            Some(text @ Text::Integer(_)) => Cow::Owned(text.to_vec()),
        })
        .collect();
    let views: Vec<&[u8]> = strings.iter().map(AsRef::as_ref).collect();
    let result = combine(operation, &views, buffer);
    if length > 0 {
        context.insert(&target, NewValue::Editable(result), Expiry::None);
        context.changed(&target, class::STRING, "set");
    } else if context.discard(&target) {
        context.changed(&target, class::GENERIC, "del");
    }
    reply.count(length);
    Ok(())
}
