//! Strings as a whole: GET, SET and the commands that are forms of the two.
//!
//! Numbers, ranges, comparisons and commands over several keys are in the files beside this one.

use crate::handler::args::{self, Options};
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::{NewValue, Text};
use crate::handler::error::{CommandError, Outcome, STRING_TOO_LONG, SYNTAX, WRONG_TYPE};
use crate::families::effects;
use crate::families::lifetime::{time_after, Also, Lifetime};
use crate::families::string_compare::Comparison;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};

const STRING: CommandSpec = CommandSpec { group: Group::String, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        summary: "Returns the string value of a key.",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        plane: Plane::Data(get),
        ..STRING
    },
    CommandSpec {
        name: "set",
        summary: "Sets the string value of a key, whatever it held before. Creates the key if it is not there.",
        history: &[("2.6.12", "`EX`, `PX`, `NX` and `XX`."), ("6.0.0", "`KEEPTTL`."), ("6.2.0", "`GET`, `EXAT` and `PXAT`."), ("7.0.0", "`NX` together with `GET`."), ("8.1.0", "Valkey: `IFEQ`."), ("8.4.0", "`IFEQ`, `IFNE`, `IFDEQ` and `IFDNE`.")],
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS UPDATE VARIABLE_FLAGS", 1)],
        tell_flags: Some(tell_set_flags),
        syntax: "key value [NX | XX | IFEQ comparison-value | IFNE comparison-value | IFDEQ comparison-digest | \
                 IFDNE comparison-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | KEEPTTL]",
        plane: Plane::Data(set),
        ..STRING
    },
    CommandSpec {
        name: "setnx",
        summary: "Sets the string value of a key only if the key is not there.",
        deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("OW INSERT", 1)],
        syntax: "key value",
        plane: Plane::Data(setnx),
        ..STRING
    },
    CommandSpec {
        name: "setex",
        summary: "Sets the string value of a key and its time to live in seconds.",
        since: "2.0.0",
        deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
        arity: 4,
        flags: WRITE | DENYOOM,
        keys: &[one_key("OW UPDATE", 1)],
        syntax: "key seconds value",
        plane: Plane::Data(setex),
        ..STRING
    },
    CommandSpec {
        name: "psetex",
        summary: "Sets the string value of a key and its time to live in milliseconds.",
        since: "2.6.0",
        deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
        arity: 4,
        flags: WRITE | DENYOOM,
        keys: &[one_key("OW UPDATE", 1)],
        syntax: "key milliseconds value",
        plane: Plane::Data(psetex),
        ..STRING
    },
    CommandSpec {
        name: "getset",
        summary: "Sets the string value of a key and returns the one that it had.",
        deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        syntax: "key value",
        plane: Plane::Data(getset),
        ..STRING
    },
    CommandSpec {
        name: "getdel",
        summary: "Returns the string value of a key and deletes the key.",
        since: "6.2.0",
        arity: 2,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1)],
        syntax: "key",
        plane: Plane::Data(getdel),
        ..STRING
    },
    CommandSpec {
        name: "getex",
        summary: "Returns the string value of a key and sets or removes its expiry.",
        since: "6.2.0",
        arity: -2,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        plane: Plane::Data(getex),
        ..STRING
    },
];

/// Writes a string, however it is stored.
pub(super) fn write_text(reply: &mut Reply<'_>, text: Text<'_>) {
    match text {
        Text::Integer(value) => reply.bulk_int(value),
        Text::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Writes a key's string, or null, and says whether there was one.
fn write_old(context: &mut Context<'_>, reply: &mut Reply<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    match context.read_text(key)? {
        Some(text) => {
            write_text(reply, text);
            Ok(true)
        }
        None => {
            reply.null();
            Ok(false)
        }
    }
}

/// Refuses strings above `proto-max-bulk-len`.
pub(super) fn check_length(context: &Context<'_>, length: usize) -> Outcome {
    if length as u64 > context.settings().proto_max_bulk_len.size() as u64 {
        return Err(STRING_TOO_LONG);
    }
    Ok(())
}

fn get(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    match context.get_inlined(&key) {
        Some(entry) => match entry.text().ok_or(WRONG_TYPE)? {
            Text::Integer(value) => reply.bulk_int(value),
            Text::Bytes(bytes) => reply.bulk_inlined(bytes),
        },
        None => reply.null(),
    }
    Ok(())
}

/// The condition under which SET writes.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Condition<'a> {
    Always,
    IfAbsent,
    IfPresent,
    If(Comparison<'a>),
}

/// The options of SET.
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    lifetime: Lifetime<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let mut parsed = SetOptions { condition: Condition::Always, get: false, lifetime: Lifetime::Unsaid };
        let mut options = Options::new(args, 3);
        while options.more() {
            if options.take("GET") {
                parsed.get = true;
            } else if options.take("NX") {
                parsed.restrict(Condition::IfAbsent)?;
            } else if options.take("XX") {
                parsed.restrict(Condition::IfPresent)?;
            } else if !parsed.lifetime.take(&mut options, Also::KeepTtl)? {
                let (word, value) = (options.value()?, options.value()?);
                let comparison = Comparison::parse(word, value).ok_or(SYNTAX)?;
                if parsed.condition != Condition::Always {
                    return Err(SYNTAX);
                }
                parsed.condition = Condition::If(comparison);
            }
        }
        Ok(parsed)
    }

    /// NX and XX may be repeated, but not mixed with other conditions.
    fn restrict(&mut self, condition: Condition<'a>) -> Outcome {
        if self.condition != Condition::Always && self.condition != condition {
            return Err(SYNTAX);
        }
        self.condition = condition;
        Ok(())
    }
}

fn set(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let value = context.args[2];
    if context.args.len() == 3 {
        return set_plain(context, reply, &key, value);
    }
    let options = SetOptions::parse(context.args)?;
    let time = options.lifetime.time(context.now_ms, "set")?;
    let exists = if options.get {
        write_old(context, reply, &key)?
    } else {
        options.condition != Condition::Always && context.get_to_replace(&key).is_some()
    };
    let allowed = match options.condition {
        Condition::Always => true,
        Condition::IfAbsent => !exists,
        Condition::IfPresent => exists,
        Condition::If(comparison) => compare(context, &key, comparison)?,
    };
    if allowed {
        store(context, &key, value, options.lifetime, time);
    }
    match (options.get, allowed) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    Ok(())
}

fn compare(context: &mut Context<'_>, key: &Key<'_>, comparison: Comparison<'_>) -> Result<bool, CommandError> {
    match context.get_mut(key) {
        Some(entry) => comparison.holds(entry.text().ok_or(WRONG_TYPE)?),
        None => Ok(comparison.holds_without_key()),
    }
}

/// Sets a key's string and expiry with their events. A time that has passed is set like any other: the next look at the
/// key finds that it has expired.
pub(super) fn store(context: &mut Context<'_>, key: &Key<'_>, value: &[u8], lifetime: Lifetime<'_>, time: Option<i64>) {
    let expiry = match time {
        Some(time) => Expiry::At(time),
        None if lifetime == Lifetime::Keep => Expiry::Keep,
        None => Expiry::None,
    };
    context.insert(key, NewValue::Text(value), expiry);
    context.changed(key, class::STRING, "set");
    effects::string_set(context, key, value, expiry);
    if time.is_some() {
        context.notify(key, class::GENERIC, "expire");
    }
}

/// SET without options, the most frequent write there is.
#[inline]
fn set_plain(context: &mut Context<'_>, reply: &mut Reply<'_>, key: &Key<'_>, value: &[u8]) -> Outcome {
    context.insert_inlined(key, NewValue::Text(value), Expiry::None);
    context.changed(key, class::STRING, "set");
    reply.ok();
    Ok(())
}

fn setnx(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let absent = context.get_to_replace(&key).is_none();
    if absent {
        store(context, &key, context.args[2], Lifetime::Unsaid, None);
    }
    reply.flag(absent);
    Ok(())
}

/// SET reads the old value only with GET.
fn tell_set_flags(args: &[&[u8]], _: usize) -> &'static str {
    if args[3..].iter().any(|word| args::is(word, "GET")) {
        "RW ACCESS UPDATE"
    } else {
        "OW UPDATE"
    }
}

fn setex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_for(context, reply, 1000)
}

fn psetex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_for(context, reply, 1)
}

fn set_for(context: &mut Context<'_>, reply: &mut Reply<'_>, scale: i64) -> Outcome {
    let key = context.key(1);
    let time = time_after(context.args[2], scale, context.now_ms, context.spec.name)?;
    store(context, &key, context.args[3], Lifetime::Unsaid, Some(time));
    reply.ok();
    Ok(())
}

fn getset(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    write_old(context, reply, &key)?;
    store(context, &key, context.args[2], Lifetime::Unsaid, None);
    Ok(())
}

fn getdel(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    if write_old(context, reply, &key)? {
        context.remove(&key);
        context.changed(&key, class::GENERIC, "del");
        effects::deleted(context, &key);
    }
    Ok(())
}

fn getex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut lifetime = Lifetime::Unsaid;
    let mut options = Options::new(context.args, 2);
    while options.more() {
        if !lifetime.take(&mut options, Also::Persist)? {
            return Err(SYNTAX);
        }
    }
    let key = context.key(1);
    if !write_old(context, reply, &key)? {
        return Ok(());
    }
    match lifetime.time(context.now_ms, "getex")? {
        Some(time) if context.is_over(time) => {
            context.remove(&key);
            context.changed(&key, class::GENERIC, "del");
            effects::deleted(context, &key);
        }
        Some(time) => {
            context.set_expiry(&key, Some(time));
            context.changed(&key, class::GENERIC, "expire");
            effects::expires_at(context, &key, time);
        }
        None if lifetime == Lifetime::Persist => persist(context, &key),
        None => {}
    }
    Ok(())
}

/// Takes a key's expiry away, if it has one.
pub(super) fn persist(context: &mut Context<'_>, key: &Key<'_>) {
    if context.peek(key).is_some_and(|entry| entry.expiry().is_some()) {
        context.set_expiry(key, None);
        context.changed(key, class::GENERIC, "persist");
        context.effect(&[b"PERSIST", key.bytes]);
    }
}

#[cfg(test)]
#[path = "tests/string.rs"]
mod tests;
