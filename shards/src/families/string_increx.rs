//! INCREX: a counter with bounds and a lifetime in one command, for rate limiters.
//!
//! What would leave the bounds (or the type's range) is left undone and answered with the old value and 0, unless
//! SATURATE asks for the nearest bound. An expiry is set only together with a change of the value.

use std::cmp::Ordering;

use crate::handler::args::Options;
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::{Entry, NewValue};
use crate::handler::error::{CommandError, Outcome, SYNTAX, WRONG_TYPE};
use crate::families::effects;
use crate::families::lifetime::{Also, Lifetime};
use crate::families::string_number::{float_of, integer_of};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::number::{format_i64, parse_i64, LongDouble};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "increx",
    summary: "Adds to the number in a key within bounds and sets the key's expiry.",
    since: "8.8.0",
    group: Group::String,
    arity: -2,
    flags: WRITE | DENYOOM | FAST,
    keys: &[one_key("RW ACCESS UPDATE", 1)],
    syntax: "key [BYFLOAT float | BYINT integer] [LBOUND lowerbound] [UBOUND upperbound] [SATURATE] [EX seconds | \
             PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]",
    plane: Plane::Data(increx),
    ..CommandSpec::DEFAULT
}];

const BOUNDS: CommandError = CommandError::new("ERR LBOUND can't be greater than UBOUND");
const ENX_ALONE: CommandError = CommandError::new("ERR ENX flag requires an expiration");
const INFINITE_INCREMENT: CommandError = CommandError::new("ERR BYFLOAT increment cannot be Infinity");
const INFINITE_VALUE: CommandError = CommandError::new("ERR value cannot be Infinity");
const APPLIED_OVERFLOW: CommandError = CommandError::new("ERR applied increment would overflow");
const APPLIED_INFINITE: CommandError = CommandError::new("ERR applied increment would be Infinity");

/// The options as they were written.
#[derive(Default)]
struct Parsed<'a> {
    by_integer: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    low: Option<&'a [u8]>,
    high: Option<&'a [u8]>,
    saturate: bool,
    only_without_expiry: bool,
    lifetime: Lifetime<'a>,
}

impl<'a> Parsed<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let mut parsed = Parsed::default();
        let mut options = Options::new(args, 2);
        while options.more() {
            if let Some(text) = options.take_value("BYINT") {
                once(&mut parsed.by_integer, text)?;
            } else if let Some(text) = options.take_value("BYFLOAT") {
                once(&mut parsed.by_float, text)?;
            } else if let Some(text) = options.take_value("LBOUND") {
                once(&mut parsed.low, text)?;
            } else if let Some(text) = options.take_value("UBOUND") {
                once(&mut parsed.high, text)?;
            } else if !parsed.saturate && options.take("SATURATE") {
                parsed.saturate = true;
            } else if !parsed.only_without_expiry && options.take("ENX") {
                parsed.only_without_expiry = true;
            } else if parsed.lifetime != Lifetime::Unsaid || !parsed.lifetime.take(&mut options, Also::Persist)? {
                return Err(SYNTAX);
            }
        }
        let persists = parsed.lifetime == Lifetime::Persist;
        if parsed.by_integer.is_some() && parsed.by_float.is_some() || parsed.only_without_expiry && persists {
            return Err(SYNTAX);
        }
        if parsed.only_without_expiry && parsed.lifetime == Lifetime::Unsaid {
            return Err(ENX_ALONE);
        }
        Ok(parsed)
    }
}

fn once<'a>(place: &mut Option<&'a [u8]>, text: &'a [u8]) -> Outcome {
    match place.replace(text) {
        None => Ok(()),
        Some(_) => Err(SYNTAX),
    }
}

/// What becomes of the number.
struct Change<N> {
    value: N,
    applied: N,
    /// False when the bounds forbid it.
    done: bool,
}

fn increx(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let parsed = Parsed::parse(context.args)?;
    let time = parsed.lifetime.time(context.now_ms, "increx")?;
    if parsed.by_float.is_some() {
        return by_float(context, reply, &parsed, time);
    }
    by_integer(context, reply, &parsed, time)
}

fn by_integer(context: &mut Context<'_>, reply: &mut Reply<'_>, parsed: &Parsed<'_>, time: Option<i64>) -> Outcome {
    let read = |text: Option<&[u8]>, name: &str, default: i64| match text {
        None => Ok(default),
        Some(text) => {
            parse_i64(text).ok_or_else(|| CommandError::with(format!("ERR {name} is not an integer or out of range")))
        }
    };
    let increment = read(parsed.by_integer, "Increment", 1)?;
    let low = read(parsed.low, "LBOUND", i64::MIN)?;
    let high = read(parsed.high, "UBOUND", i64::MAX)?;
    if low > high {
        return Err(BOUNDS);
    }
    let key = context.key(1);
    let old = match context.get_to_replace(&key) {
        None => 0,
        Some(entry) => integer_of(entry.text().ok_or(WRONG_TYPE)?)?,
    };
    let wanted = i128::from(old) + i128::from(increment);
    // Both bounds are 64-bit numbers, so what lies between them is one as well.
    let value = wanted.clamp(i128::from(low), i128::from(high)) as i64;
    let change = if i128::from(value) == wanted || parsed.saturate {
        Change { value, applied: value.checked_sub(old).ok_or(APPLIED_OVERFLOW)?, done: true }
    } else {
        Change { value: old, applied: 0, done: false }
    };
    if change.done {
        store(context, &key, parsed, time, NewValue::Integer(change.value), "incrby");
    }
    reply.array(2);
    reply.int(change.value);
    reply.int(change.applied);
    Ok(())
}

fn by_float(context: &mut Context<'_>, reply: &mut Reply<'_>, parsed: &Parsed<'_>, time: Option<i64>) -> Outcome {
    let read = |text: Option<&[u8]>, name: &str| match text {
        None => Ok(None),
        Some(text) => LongDouble::parse(text)
            .map(Some)
            .ok_or_else(|| CommandError::with(format!("ERR {name} is not a valid float"))),
    };
    let increment = read(parsed.by_float, "Increment")?.unwrap_or_else(|| LongDouble::from_i64(1));
    if !increment.is_finite() {
        return Err(INFINITE_INCREMENT);
    }
    let low = read(parsed.low, "LBOUND")?.unwrap_or_else(|| LongDouble::MAX.negated());
    let high = read(parsed.high, "UBOUND")?.unwrap_or(LongDouble::MAX);
    if low.compare(high) == Ordering::Greater {
        return Err(BOUNDS);
    }
    let key = context.key(1);
    let old = match context.get_to_replace(&key) {
        None => LongDouble::from_i64(0),
        Some(entry) => float_of(entry.text().ok_or(WRONG_TYPE)?)?,
    };
    if !old.is_finite() {
        return Err(INFINITE_VALUE);
    }
    let wanted = old.plus(increment);
    let value = match (wanted.compare(low), wanted.compare(high)) {
        (Ordering::Less, _) => low,
        (_, Ordering::Greater) => high,
        _ => wanted,
    };
    let change = if value == wanted && wanted.is_finite() {
        // What was asked for was applied, whatever rounding makes of the difference.
        Change { value, applied: increment, done: true }
    } else if parsed.saturate {
        let applied = value.plus(old.negated());
        if !applied.is_finite() {
            return Err(APPLIED_INFINITE);
        }
        Change { value, applied, done: true }
    } else {
        Change { value: old, applied: LongDouble::from_i64(0), done: false }
    };
    if change.done {
        store(context, &key, parsed, time, NewValue::Verbatim(&change.value.to_text()), "incrbyfloat");
    }
    reply.array(2);
    write_float(reply, change.value);
    write_float(reply, change.applied);
    Ok(())
}

fn write_float(reply: &mut Reply<'_>, value: LongDouble) {
    let text = value.to_text();
    if reply.is_resp3() {
        reply.raw(b",");
        reply.raw(&text);
        reply.raw(b"\r\n");
    } else {
        reply.bulk(&text);
    }
}

/// A number as a string has it.
fn text_of(value: &NewValue<'_>) -> Vec<u8> {
    match value {
        NewValue::Integer(value) => format_i64(*value, &mut Default::default()).to_vec(),
        NewValue::Text(text) | NewValue::Verbatim(text) => text.to_vec(),
        NewValue::Editable(text) => text.clone(),
        NewValue::Object(_) => Vec::new(),
    }
}

/// Writes the new value and the expiry with their events. A time that has passed deletes the key instead.
fn store(
    context: &mut Context<'_>,
    key: &Key<'_>,
    parsed: &Parsed<'_>,
    time: Option<i64>,
    value: NewValue<'_>,
    event: &'static str,
) {
    let had_expiry = context.peek(key).and_then(Entry::expiry).is_some();
    let time = time.filter(|_| !(parsed.only_without_expiry && had_expiry));
    let expiry = match time {
        Some(time) if context.is_over(time) => {
            if context.remove(key) {
                context.changed(key, class::GENERIC, "del");
                effects::deleted(context, key);
            }
            return;
        }
        Some(time) => Expiry::At(time),
        None if parsed.lifetime == Lifetime::Persist => Expiry::None,
        None => Expiry::Keep,
    };
    let recorded = context.is_recorded().then(|| text_of(&value));
    context.insert(key, value, expiry);
    context.changed(key, class::STRING, event);
    if let Some(text) = recorded {
        effects::string_set(context, key, &text, expiry);
    }
    if time.is_some() {
        context.notify(key, class::GENERIC, "expire");
    } else if expiry == Expiry::None && had_expiry {
        context.notify(key, class::GENERIC, "persist");
    }
}
