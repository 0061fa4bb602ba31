//! Hashes, field by field: HSET, HGET and their relatives.
//!
//! Commands that return all or some of the pairs are in `hash_read`.

use super::effects;
use super::timed_access;
use super::list::write_item;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, NAN_OR_INFINITY, NOT_FLOAT, OVERFLOW};
use crate::keyspace::db::Key;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::hash::{Change, Hash, Limits};
use sherd_types::listpack::Item;
use sherd_types::number::{self, LongDouble};

pub(super) const HASH: CommandSpec = CommandSpec { group: Group::Hash, ..CommandSpec::DEFAULT };

const VALUE_NOT_INTEGER: CommandError = CommandError::new("ERR hash value is not an integer");
const VALUE_NOT_FLOAT: CommandError = CommandError::new("ERR hash value is not a float");
const NOT_FINITE: CommandError = CommandError::new("ERR value is NaN or Infinity");
pub(super) const FIELDS_MISSING: CommandError =
    CommandError::new("ERR Mandatory argument FIELDS is missing or not at the right position");
const FIELDS_NOT_POSITIVE: CommandError = CommandError::new("ERR Number of fields must be a positive integer");
pub(super) const FIELDS_MISMATCH: CommandError =
    CommandError::new("ERR The `numfields` parameter must match the number of arguments");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hset",
        summary: "Sets fields of a hash to values. Creates the hash if it is not there.",
        since: "2.0.0",
        history: &[("4.0.0", "Several pairs of field and value.")],
        complexity: "O(N) in the number of fields set",
        arity: -4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        element: 2,
        syntax: "key (field value) [(field value) ...]",
        plane: Plane::Data(hset),
        ..HASH
    },
    CommandSpec {
        name: "hmset",
        summary: "Sets fields of a hash to values and returns OK. Creates the hash if it is not there.",
        since: "2.0.0",
        deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
        complexity: "O(N) in the number of fields set",
        arity: -4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        element: 2,
        syntax: "key (field value) [(field value) ...]",
        plane: Plane::Data(hmset),
        ..HASH
    },
    CommandSpec {
        name: "hsetnx",
        summary: "Sets a field of a hash to a value if the field is not there.",
        since: "2.0.0",
        arity: 4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        element: 2,
        syntax: "key field value",
        plane: Plane::Data(hsetnx),
        ..HASH
    },
    CommandSpec {
        name: "hget",
        summary: "Returns the value of a field of a hash.",
        since: "2.0.0",
        arity: 3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key field",
        plane: Plane::Data(hget),
        ..HASH
    },
    CommandSpec {
        name: "hmget",
        summary: "Returns the values of several fields of a hash.",
        since: "2.0.0",
        complexity: "O(N) in the number of fields asked for",
        arity: -3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key field [field ...]",
        plane: Plane::Data(hmget),
        ..HASH
    },
    CommandSpec {
        name: "hdel",
        summary: "Removes fields from a hash. The hash goes with its last field.",
        since: "2.0.0",
        history: &[("2.4.0", "Several fields.")],
        complexity: "O(N) in the number of fields to be removed",
        arity: -3,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE", 1)],
        element: 2,
        syntax: "key field [field ...]",
        plane: Plane::Data(hdel),
        ..HASH
    },
    CommandSpec {
        name: "hgetdel",
        summary: "Returns the values of fields of a hash and removes them. The hash goes with its last field.",
        since: "8.0.0",
        complexity: "O(N) in the number of fields given",
        arity: -5,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1)],
        syntax: "key FIELDS numfields field [field ...]",
        plane: Plane::Data(hgetdel),
        ..HASH
    },
    CommandSpec {
        name: "hexists",
        summary: "Tells whether a field is in a hash.",
        since: "2.0.0",
        arity: 3,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        element: 2,
        syntax: "key field",
        plane: Plane::Data(hexists),
        ..HASH
    },
    CommandSpec {
        name: "hlen",
        summary: "Returns the number of fields of a hash.",
        since: "2.0.0",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(hlen),
        ..HASH
    },
    CommandSpec {
        name: "hstrlen",
        summary: "Returns the length of the value of a field of a hash.",
        since: "3.2.0",
        arity: 3,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        element: 2,
        syntax: "key field",
        plane: Plane::Data(hstrlen),
        ..HASH
    },
    CommandSpec {
        name: "hincrby",
        summary: "Adds to the integer value of a field. A field that is not there counts as 0.",
        since: "2.0.0",
        arity: 4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        element: 2,
        syntax: "key field increment",
        plane: Plane::Data(hincrby),
        ..HASH
    },
    CommandSpec {
        name: "hincrbyfloat",
        summary: "Adds to the number in a field. A field that is not there counts as 0.",
        since: "2.6.0",
        arity: 4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        element: 2,
        syntax: "key field increment:double",
        plane: Plane::Data(hincrbyfloat),
        ..HASH
    },
];

/// How large a hash may be while it is packed.
#[inline]
pub(super) fn limits(context: &Context<'_>) -> Limits {
    let settings = context.settings();
    Limits { entries: settings.hash_max_listpack_entries.size(), value_bytes: settings.hash_max_listpack_value.size() }
}

fn hset(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let created = set_pairs(context)?;
    reply.count(created);
    Ok(())
}

fn hmset(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_pairs(context)?;
    reply.ok();
    Ok(())
}

/// Sets the pairs from argument 2 on; returns the number of new fields.
fn set_pairs(context: &mut Context<'_>) -> Result<usize, CommandError> {
    let pairs = &context.args[2..];
    if pairs.len() % 2 == 1 {
        return Err(CommandError::arity(context.spec.name));
    }
    let (key, limits) = (context.key(1), limits(context));
    let hash = timed_access::upsert::<Hash>(context, &key, pairs.iter().step_by(2))?;
    hash.expect_additions(pairs.len() / 2, limits);
    let mut created = 0;
    for pair in pairs.chunks_exact(2) {
        created += usize::from(hash.set(pair[0], pair[1], limits) == Change::Created);
    }
    if hash.has_expiries() {
        for field in pairs.iter().step_by(2) {
            hash.set_expiry(field, None);
        }
    }
    let fields = pairs.iter().step_by(2).copied();
    context.changed_elements(pairs.len() / 2, &key, (class::HASH, "hset"), fields);
    Ok(created)
}

fn hsetnx(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, args) = (context.key(1), limits(context), context.args);
    let hash = timed_access::upsert::<Hash>(context, &key, args[2..3].iter())?;
    let absent = !hash.contains(args[2]);
    if absent {
        hash.set(args[2], args[3], limits);
        context.changed_elements(1, &key, (class::HASH, "hset"), args[2..3].iter().copied());
    }
    reply.flag(absent);
    Ok(())
}

fn hget(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fields, now) = (context.key(1), &context.args[2..], timed_access::now(context));
    let hash = timed_access::read::<Hash>(context, &key, fields.iter())?;
    write_value(reply, timed_access::living(hash, fields[0], now), fields[0]);
    Ok(())
}

fn hmget(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fields, now) = (context.key(1), &context.args[2..], timed_access::now(context));
    let hash = timed_access::read::<Hash>(context, &key, fields.iter())?;
    reply.array(fields.len());
    fields.iter().for_each(|field| write_value(reply, timed_access::living(hash, field, now), field));
    Ok(())
}

#[inline]
pub(super) fn write_value(reply: &mut Reply<'_>, hash: Option<&Hash>, field: &[u8]) {
    match hash.and_then(|hash| hash.get(field)) {
        Some(value) => write_item(reply, value),
        None => reply.null(),
    }
}

fn hdel(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fields, are_named) = (context.key(1), &context.args[2..], context.names_elements(class::HASH));
    let Some(hash) = timed_access::write::<Hash>(context, &key, fields.iter())? else {
        reply.int(0);
        return Ok(());
    };
    let mut removed = Removed::new(are_named);
    fields.iter().filter(|field| hash.remove(field)).for_each(|field| removed.add(field));
    let emptied = hash.is_empty();
    removed.announce(context, &key);
    if emptied {
        context.remove_emptied(&key);
    }
    reply.count(removed.count);
    Ok(())
}

/// Fields that a command has removed.
struct Removed<'a> {
    count: usize,
    /// Their names, if anybody wants to know them.
    names: Option<Vec<&'a [u8]>>,
}

impl<'a> Removed<'a> {
    fn new(are_named: bool) -> Self {
        Self { count: 0, names: are_named.then(Vec::new) }
    }

    #[inline]
    fn add(&mut self, field: &'a [u8]) {
        self.count += 1;
        if let Some(names) = &mut self.names {
            names.push(field);
        }
    }

    fn announce(&self, context: &mut Context<'_>, key: &Key<'_>) {
        if self.count > 0 {
            let names = self.names.iter().flatten().copied();
            context.changed_elements(self.count, key, (class::HASH, "hdel"), names);
        }
    }
}

fn hgetdel(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args, are_named) = (context.key(1), context.args, context.names_elements(class::HASH));
    context.is_there::<Hash>(&key)?;
    let fields = parse_fields(args, 2)?;
    let hash = timed_access::write::<Hash>(context, &key, fields.iter())?;
    reply.array(fields.len());
    let Some(hash) = hash else {
        fields.iter().for_each(|_| reply.null());
        return Ok(());
    };
    let mut removed = Removed::new(are_named);
    for field in fields {
        write_value(reply, Some(&*hash), field);
        if hash.remove(field) {
            removed.add(field);
        }
    }
    let emptied = hash.is_empty();
    removed.announce(context, &key);
    if removed.count > 0 {
        effects::with_elements(context, "HDEL", &key, fields.iter().copied());
    }
    if emptied {
        context.remove_emptied(&key);
    }
    Ok(())
}

/// `FIELDS numfields field [field ...]` from argument `first` to the end, of which the number is there at least.
pub(super) fn parse_fields<'a>(args: &'a [&'a [u8]], first: usize) -> Result<&'a [&'a [u8]], CommandError> {
    if !args::is(args[first], "FIELDS") {
        return Err(FIELDS_MISSING);
    }
    let count = args::non_negative(args[first + 1]).ok().filter(|&count| count > 0).ok_or(FIELDS_NOT_POSITIVE)?;
    let fields = &args[first + 2..];
    if count != fields.len() {
        return Err(FIELDS_MISMATCH);
    }
    Ok(fields)
}

fn hexists(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fields, now) = (context.key(1), &context.args[2..], timed_access::now(context));
    let hash = timed_access::read::<Hash>(context, &key, fields.iter())?;
    reply.flag(timed_access::living(hash, fields[0], now).is_some_and(|hash| hash.contains(fields[0])));
    Ok(())
}

fn hlen(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    reply.count(context.read::<Hash>(&key)?.map_or(0, Hash::len));
    Ok(())
}

fn hstrlen(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fields, now) = (context.key(1), &context.args[2..], timed_access::now(context));
    let hash = timed_access::read::<Hash>(context, &key, fields.iter())?;
    let value = timed_access::living(hash, fields[0], now).and_then(|hash| hash.get(fields[0]));
    reply.count(value.map_or(0, |value| value.text_len()));
    Ok(())
}

fn hincrby(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, args) = (context.key(1), limits(context), context.args);
    let field = args[2];
    let increment = args::integer(args[3])?;
    let hash = timed_access::upsert::<Hash>(context, &key, args[2..3].iter())?;
    // A hash that was made just now has no value that could be refused, so it does not stay empty.
    let old = match hash.get(field) {
        None => 0,
        Some(value) => value.to_i64().ok_or(VALUE_NOT_INTEGER)?,
    };
    let value = old.checked_add(increment).ok_or(OVERFLOW)?;
    hash.set(field, number::format_i64(value, &mut Default::default()), limits);
    context.changed_elements(1, &key, (class::HASH, "hincrby"), args[2..3].iter().copied());
    reply.int(value);
    Ok(())
}

fn hincrbyfloat(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, args) = (context.key(1), limits(context), context.args);
    let field = args[2];
    let increment = LongDouble::parse(args[3]).ok_or(NOT_FLOAT)?;
    if !increment.is_finite() {
        return Err(NOT_FINITE);
    }
    let hash = timed_access::upsert::<Hash>(context, &key, args[2..3].iter())?;
    let old = match hash.get(field) {
        None => LongDouble::from_i64(0),
        Some(Item::Int(value)) => LongDouble::from_i64(value),
        Some(Item::Str(text)) => LongDouble::parse(text).ok_or(VALUE_NOT_FLOAT)?,
    };
    let value = old.plus(increment);
    if !value.is_finite() {
        return Err(NAN_OR_INFINITY);
    }
    let text = value.to_text();
    hash.set(field, &text, limits);
    let expiry = hash.expiry(field).flatten();
    context.changed_elements(1, &key, (class::HASH, "hincrbyfloat"), args[2..3].iter().copied());
    context.effect(&[b"HSET", key.bytes, field, &text]);
    if let Some(at_ms) = expiry {
        effects::elements_expire_at(context, ("HPEXPIREAT", "FIELDS"), &key, at_ms, &[field]);
    }
    reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
#[path = "tests/hash.rs"]
pub(super) mod tests;
