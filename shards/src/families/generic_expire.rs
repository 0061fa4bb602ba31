//! When keys expire: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST.

use crate::command::category;
use crate::handler::args;
use crate::handler::context::Context;
use crate::entry::Entry;
use crate::handler::error::{CommandError, Outcome};
use crate::families::effects;
use crate::families::lifetime::invalid;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};

const WRITES: CommandSpec = CommandSpec {
    group: Group::Generic,
    categories: category::KEYSPACE,
    arity: -3,
    flags: WRITE | FAST,
    keys: &[one_key("RW UPDATE", 1)],
    ..CommandSpec::DEFAULT
};
const READS: CommandSpec =
    CommandSpec { arity: 2, flags: READONLY | FAST, keys: &[one_key("RO ACCESS", 1)], syntax: "key", ..WRITES };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "expire",
        summary: "Lets a key expire after a number of seconds.",
        history: &[("7.0.0", "`NX`, `XX`, `GT` and `LT`.")],
        syntax: "key seconds [NX | XX | GT | LT]",
        plane: Plane::Data(expire),
        ..WRITES
    },
    CommandSpec {
        name: "pexpire",
        summary: "Lets a key expire after a number of milliseconds.",
        since: "2.6.0",
        history: &[("7.0.0", "`NX`, `XX`, `GT` and `LT`.")],
        syntax: "key milliseconds [NX | XX | GT | LT]",
        plane: Plane::Data(pexpire),
        ..WRITES
    },
    CommandSpec {
        name: "expireat",
        summary: "Lets a key expire at a Unix time in seconds.",
        since: "1.2.0",
        history: &[("7.0.0", "`NX`, `XX`, `GT` and `LT`.")],
        syntax: "key unix-time-seconds [NX | XX | GT | LT]",
        plane: Plane::Data(expireat),
        ..WRITES
    },
    CommandSpec {
        name: "pexpireat",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        since: "2.6.0",
        history: &[("7.0.0", "`NX`, `XX`, `GT` and `LT`.")],
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
        plane: Plane::Data(pexpireat),
        ..WRITES
    },
    CommandSpec {
        name: "ttl",
        summary: "Returns the seconds after which a key expires.",
        history: &[("2.8.0", "-2 for a key that is not there.")],
        tips: &["nondeterministic_output"],
        plane: Plane::Data(ttl),
        ..READS
    },
    CommandSpec {
        name: "pttl",
        summary: "Returns the milliseconds after which a key expires.",
        since: "2.6.0",
        history: &[("2.8.0", "-2 for a key that is not there.")],
        tips: &["nondeterministic_output"],
        plane: Plane::Data(pttl),
        ..READS
    },
    CommandSpec {
        name: "expiretime",
        summary: "Returns the Unix time in seconds at which a key expires.",
        since: "7.0.0",
        plane: Plane::Data(expiretime),
        ..READS
    },
    CommandSpec {
        name: "pexpiretime",
        summary: "Returns the Unix time in milliseconds at which a key expires.",
        since: "7.0.0",
        plane: Plane::Data(pexpiretime),
        ..READS
    },
    CommandSpec {
        name: "persist",
        summary: "Takes the expiry of a key away.",
        since: "2.2.0",
        arity: 2,
        syntax: "key",
        plane: Plane::Data(persist),
        ..WRITES
    },
];

const NX_ALONE: CommandError = CommandError::new("ERR NX and XX, GT or LT options at the same time are not compatible");
const GT_OR_LT: CommandError = CommandError::new("ERR GT and LT options at the same time are not compatible");

/// Under which conditions a new expiry is taken.
#[derive(Default)]
struct Conditions {
    only_without: bool,
    only_with: bool,
    only_later: bool,
    only_earlier: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Self, CommandError> {
        let mut conditions = Conditions::default();
        for word in words {
            let condition = match word.to_ascii_uppercase().as_slice() {
                b"NX" => &mut conditions.only_without,
                b"XX" => &mut conditions.only_with,
                b"GT" => &mut conditions.only_later,
                b"LT" => &mut conditions.only_earlier,
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(CommandError::with(format!("ERR Unsupported option {word}")));
                }
            };
            *condition = true;
        }
        if conditions.only_without && (conditions.only_with || conditions.only_later || conditions.only_earlier) {
            return Err(NX_ALONE);
        }
        if conditions.only_later && conditions.only_earlier {
            return Err(GT_OR_LT);
        }
        Ok(conditions)
    }

    /// Whether a key with expiry `old` may get `new`. No expiry is later than any.
    fn allow(&self, old: Option<i64>, new: i64) -> bool {
        match old {
            None => !self.only_with && !self.only_later,
            Some(_) if self.only_without => false,
            Some(old) if self.only_later => new > old,
            Some(old) if self.only_earlier => new < old,
            Some(_) => true,
        }
    }
}

fn expire(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(context, reply, 1000, context.now_ms)
}

fn pexpire(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(context, reply, 1, context.now_ms)
}

fn expireat(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(context, reply, 1000, 0)
}

fn pexpireat(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(context, reply, 1, 0)
}

/// Sets the expiry to so many units of `scale` milliseconds after `base`. A time that has passed deletes the key.
fn set_expiry(context: &mut Context<'_>, reply: &mut Reply<'_>, scale: i64, base: i64) -> Outcome {
    let conditions = Conditions::parse(&context.args[3..])?;
    let value = args::integer(context.args[2])?;
    let time = value.checked_mul(scale).and_then(|value| value.checked_add(base));
    let time = time.ok_or_else(|| invalid(context.spec.name))?;
    let key = context.key(1);
    let allowed = context.get_to_replace(&key).is_some_and(|entry| conditions.allow(entry.expiry(), time));
    if allowed && context.is_over(time) {
        context.remove(&key);
        context.changed(&key, class::GENERIC, "del");
        effects::deleted(context, &key);
    } else if allowed {
        context.set_expiry(&key, Some(time));
        context.changed(&key, class::GENERIC, "expire");
        effects::expires_at(context, &key, time);
    }
    reply.flag(allowed);
    Ok(())
}

/// Writes a time made from the key's expiry; -1 if it has none, -2 if the key is not there.
fn write_time(context: &mut Context<'_>, reply: &mut Reply<'_>, make: impl FnOnce(i64) -> i64) -> Outcome {
    let key = context.key(1);
    reply.int(match context.look(&key).map(Entry::expiry) {
        None => -2,
        Some(None) => -1,
        Some(Some(time)) => make(time),
    });
    Ok(())
}

/// Milliseconds as seconds, to the nearest.
fn to_seconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_add(500) / 1000
}

fn ttl(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = context.now_ms;
    write_time(context, reply, |time| to_seconds((time - now_ms).max(0)))
}

fn pttl(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = context.now_ms;
    write_time(context, reply, |time| (time - now_ms).max(0))
}

fn expiretime(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_time(context, reply, to_seconds)
}

fn pexpiretime(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_time(context, reply, |time| time)
}

fn persist(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let had_expiry = context.get_to_replace(&key).is_some_and(|entry| entry.expiry().is_some());
    crate::families::string::persist(context, &key);
    reply.flag(had_expiry);
    Ok(())
}

#[cfg(test)]
#[path = "tests/generic_expire.rs"]
mod tests;
