//! BITFIELD and BITFIELD_RO: a string as an array of integers of any width.
//!
//! All operations are read before the first one is executed, so that a mistake in the last leaves the string as it was.

use crate::handler::args::{self, is, Options};
use crate::handler::context::Context;
use crate::entry::Text;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::families::bitmap::parse_offset;
use crate::families::string_range::{edit, grow, length_for_write};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::bitfield::{Field, Overflow};

const FIELDS: CommandSpec =
    CommandSpec { complexity: "O(1) for each operation", group: Group::Bitmap, arity: -2, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "bitfield",
        summary: "Reads and writes integers of any width at any bit of a key's string.",
        since: "3.2.0",
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS UPDATE VARIABLE_FLAGS", 1)],
        tell_flags: Some(tell_flags),
        syntax: "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | \
                 INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
                 <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        plane: Plane::Data(bitfield),
        ..FIELDS
    },
    CommandSpec {
        name: "bitfield_ro",
        summary: "Reads integers of any width at any bit of a key's string.",
        since: "6.0.0",
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [GET encoding offset [GET encoding offset ...]]",
        plane: Plane::Data(bitfield_ro),
        ..FIELDS
    },
];

const FIELD_TYPE: CommandError = CommandError::new(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
const OVERFLOW_TYPE: CommandError = CommandError::new("ERR Invalid OVERFLOW type specified");
const ONLY_GET: CommandError = CommandError::new("ERR BITFIELD_RO only supports the GET subcommand");

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

#[derive(Clone, Copy)]
struct Step {
    field: Field,
    offset: u64,
    action: Action,
}

fn parse_steps(context: &Context<'_>) -> Result<Vec<Step>, CommandError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut options = Options::new(context.args, 2);
    while options.more() {
        if let Some(word) = options.take_value("OVERFLOW") {
            overflow = parse_overflow(word)?;
            continue;
        }
        let (is_get, is_set, is_add) = {
            let word = options.value()?;
            (is(word, "GET"), is(word, "SET"), is(word, "INCRBY"))
        };
        let arguments = if is_get { 2 } else { 3 };
        if !(is_get || is_set || is_add) || options.left() < arguments {
            return Err(SYNTAX);
        }
        let field = Field::parse(options.value()?).ok_or(FIELD_TYPE)?;
        let offset = match options.value()? {
            [b'#', index @ ..] => parse_offset(context, index, field.bits())?,
            offset => parse_offset(context, offset, 1)?,
        };
        let action = if is_get {
            Action::Get
        } else {
            let value = args::integer(options.value()?)?;
            if is_set {
                Action::Set(value, overflow)
            } else {
                Action::Add(value, overflow)
            }
        };
        steps.push(Step { field, offset, action });
    }
    Ok(steps)
}

/// BITFIELD writes unless all that it does is GET.
fn tell_flags(args: &[&[u8]], _: usize) -> &'static str {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let left = args.len() - at - 1;
        at += match left {
            2.. if is(word, "GET") => 3,
            1.. if is(word, "OVERFLOW") => 2,
            // It writes, or it will be refused.
            _ => return "RW ACCESS UPDATE",
        };
    }
    "RO ACCESS"
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    if is(word, "WRAP") {
        Ok(Overflow::Wrap)
    } else if is(word, "SAT") {
        Ok(Overflow::Saturate)
    } else if is(word, "FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(OVERFLOW_TYPE)
    }
}

fn bitfield(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let steps = parse_steps(context)?;
    let written = steps.iter().filter(|step| !matches!(step.action, Action::Get));
    let Some(length) = written.map(|step| step.field.bytes_needed(step.offset)).max() else {
        return read(context, reply, &steps);
    };
    let key = context.key(1);
    // What makes the string longer changes it, whatever it writes.
    let grows = length_for_write(context, &key)?.unwrap_or(0) < length as usize;
    let mut changes = 0;
    reply.array(steps.len());
    edit(context, &key, |bytes| {
        grow(bytes, length as usize);
        for step in &steps {
            changes += usize::from(match execute(bytes, step, reply) {
                Effect::Nothing => false,
                Effect::Rewritten => grows,
                Effect::Changed => true,
            });
        }
    });
    if changes > 0 {
        context.changed_by(changes, &key, class::STRING, "setbit");
    } else if grows {
        // By zeros alone, as every step would have overflowed: no event in Redis, where files and replicas are not told either.
        context.touched_by(1, &key);
    }
    Ok(())
}

/// What one step has done to the string.
enum Effect {
    Nothing,
    /// It wrote the value that was there.
    Rewritten,
    Changed,
}

/// Executes one step and writes its reply.
fn execute(bytes: &mut [u8], step: &Step, reply: &mut Reply<'_>) -> Effect {
    let old = step.field.get(bytes, step.offset);
    let (value, answer) = match step.action {
        Action::Get => {
            reply.int(old);
            return Effect::Nothing;
        }
        Action::Set(value, overflow) => (step.field.fit(value, overflow), Some(old)),
        Action::Add(increment, overflow) => (step.field.add(old, increment, overflow), None),
    };
    match value {
        Some(value) => {
            step.field.set(bytes, step.offset, value);
            reply.int(answer.unwrap_or(value));
            if value == old {
                Effect::Rewritten
            } else {
                Effect::Changed
            }
        }
        None => {
            reply.null();
            Effect::Nothing
        }
    }
}

fn bitfield_ro(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let steps = parse_steps(context)?;
    if steps.iter().any(|step| !matches!(step.action, Action::Get)) {
        return Err(ONLY_GET);
    }
    read(context, reply, &steps)
}

fn read(context: &mut Context<'_>, reply: &mut Reply<'_>, steps: &[Step]) -> Outcome {
    let key = context.key(1);
    let text = context.read_text(&key)?.unwrap_or(Text::Bytes(b""));
    reply.array(steps.len());
    text.with(|bytes| {
        for step in steps {
            reply.int(step.field.get(bytes, step.offset));
        }
    });
    Ok(())
}
