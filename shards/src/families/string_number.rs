//! Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use crate::handler::args;
use crate::handler::context::{Context, Expiry};
use crate::entry::{NewValue, Text};
use crate::handler::error::{CommandError, Outcome, NAN_OR_INFINITY, NOT_FLOAT, NOT_INTEGER, OVERFLOW, WRONG_TYPE};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::number::{parse_i64, LongDouble};

const NUMBER: CommandSpec = CommandSpec {
    group: Group::String,
    flags: WRITE | DENYOOM | FAST,
    keys: &[one_key("RW ACCESS UPDATE", 1)],
    ..CommandSpec::DEFAULT
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "incr",
        summary: "Adds one to the integer value of a key. A key that is not there counts as 0.",
        arity: 2,
        syntax: "key",
        plane: Plane::Data(incr),
        ..NUMBER
    },
    CommandSpec {
        name: "decr",
        summary: "Takes one from the integer value of a key. A key that is not there counts as 0.",
        arity: 2,
        syntax: "key",
        plane: Plane::Data(decr),
        ..NUMBER
    },
    CommandSpec {
        name: "incrby",
        summary: "Adds a number to the integer value of a key. A key that is not there counts as 0.",
        arity: 3,
        syntax: "key increment",
        plane: Plane::Data(incrby),
        ..NUMBER
    },
    CommandSpec {
        name: "decrby",
        summary: "Takes a number from the integer value of a key. A key that is not there counts as 0.",
        arity: 3,
        syntax: "key decrement",
        plane: Plane::Data(decrby),
        ..NUMBER
    },
    CommandSpec {
        name: "incrbyfloat",
        summary: "Adds a number to the floating point value of a key. A key that is not there counts as 0.",
        since: "2.6.0",
        arity: 3,
        syntax: "key increment:double",
        plane: Plane::Data(incrbyfloat),
        ..NUMBER
    },
];

const DECREMENT_OVERFLOW: CommandError = CommandError::new("ERR decrement would overflow");

fn incr(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(context, reply, 1)
}

fn decr(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(context, reply, -1)
}

fn incrby(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let increment = args::integer(context.args[2])?;
    add(context, reply, increment)
}

fn decrby(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let decrement = args::integer(context.args[2])?;
    add(context, reply, decrement.checked_neg().ok_or(DECREMENT_OVERFLOW)?)
}

/// The integer that a string is.
pub(super) fn integer_of(text: Text<'_>) -> Result<i64, CommandError> {
    match text {
        Text::Integer(value) => Ok(value),
        Text::Bytes(bytes) => parse_i64(bytes).ok_or(NOT_INTEGER),
    }
}

/// The floating point number that a string is.
pub(super) fn float_of(text: Text<'_>) -> Result<LongDouble, CommandError> {
    match text {
        Text::Integer(value) => Ok(LongDouble::from_i64(value)),
        Text::Bytes(bytes) => LongDouble::parse(bytes).ok_or(NOT_FLOAT),
    }
}

/// Adds to an integer in place where it is stored as one.
fn add(context: &mut Context<'_>, reply: &mut Reply<'_>, increment: i64) -> Outcome {
    let key = context.key(1);
    let mut in_place = false;
    let value = match context.get_mut_inlined(&key) {
        None => increment,
        Some(entry) => {
            let old = integer_of(entry.text().ok_or(WRONG_TYPE)?)?;
            let value = old.checked_add(increment).ok_or(OVERFLOW)?;
            in_place = entry.set_integer(value);
            value
        }
    };
    if !in_place {
        context.insert(&key, NewValue::Integer(value), Expiry::Keep);
    }
    context.changed(&key, class::STRING, "incrby");
    reply.int(value);
    Ok(())
}

fn incrbyfloat(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let old = match context.get_to_replace(&key) {
        None => LongDouble::from_i64(0),
        Some(entry) => float_of(entry.text().ok_or(WRONG_TYPE)?)?,
    };
    let increment = LongDouble::parse(context.args[2]).ok_or(NOT_FLOAT)?;
    let value = old.plus(increment);
    if !value.is_finite() {
        return Err(NAN_OR_INFINITY);
    }
    let text = value.to_text();
    context.insert(&key, NewValue::Verbatim(&text), Expiry::Keep);
    context.changed(&key, class::STRING, "incrbyfloat");
    super::effects::string_set(context, &key, &text, Expiry::Keep);
    reply.bulk(&text);
    Ok(())
}
