//! Fields that expire: HEXPIRE, HTTL, HPERSIST and their relatives.
//!
//! Setting and reading values along with a time is in `hash_timed`.

use super::hash::{parse_fields, FIELDS_MISMATCH, FIELDS_MISSING, HASH};
use super::timed_access;
use crate::args;
use crate::context::Context;
use crate::db::Key;
use crate::error::{CommandError, Outcome};
use crate::notify::class;
use crate::reply::Reply;
use crate::spec::{flag::*, one_key, CommandSpec, Plane};
use crate::types::hash::{Hash, EXPIRY_MAX};

const NEGATIVE_TIME: CommandError = CommandError::new("ERR invalid expire time, must be >= 0");
const NUM_FIELDS: CommandError = CommandError::new("ERR Parameter `numFields` should be greater than 0");

/// What the commands answer for one field, and those of sets for one member.
pub(super) const NO_FIELD: i64 = -2;
pub(super) const NO_EXPIRY: i64 = -1;
pub(super) const REFUSED: i64 = 0;
pub(super) const DONE: i64 = 1;
pub(super) const REMOVED: i64 = 2;

const SETTING: CommandSpec = CommandSpec {
    since: "7.4.0",
    complexity: "O(N) in the number of fields given",
    arity: -6,
    flags: WRITE | FAST,
    keys: &[one_key("RW UPDATE", 1)],
    ..HASH
};

const ASKING: CommandSpec = CommandSpec {
    since: "7.4.0",
    complexity: "O(N) in the number of fields given",
    arity: -5,
    flags: READONLY | FAST,
    keys: &[one_key("RO ACCESS", 1)],
    syntax: "key FIELDS numfields field [field ...]",
    ..HASH
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hexpire",
        summary: "Has fields of a hash expire after a number of seconds.",
        syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Seconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "hpexpire",
        summary: "Has fields of a hash expire after a number of milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Milliseconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "hexpireat",
        summary: "Has fields of a hash expire at a Unix time in seconds.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Seconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "hpexpireat",
        summary: "Has fields of a hash expire at a Unix time in milliseconds.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "hpersist",
        summary: "Has fields of a hash no longer expire.",
        arity: -5,
        syntax: "key FIELDS numfields field [field ...]",
        plane: Plane::Data(hpersist),
        ..SETTING
    },
    CommandSpec {
        name: "httl",
        summary: "Returns for fields of a hash in how many seconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Seconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "hpttl",
        summary: "Returns for fields of a hash in how many milliseconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Milliseconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "hexpiretime",
        summary: "Returns for fields of a hash the Unix time in seconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Seconds, Base::Epoch)),
        ..ASKING
    },
    CommandSpec {
        name: "hpexpiretime",
        summary: "Returns for fields of a hash the Unix time in milliseconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..ASKING
    },
];

/// In what a command counts time.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    pub const fn in_ms(self) -> i64 {
        match self {
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
        }
    }
}

/// From when a command counts time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Now,
    Epoch,
}

impl Base {
    pub fn time_ms(self, context: &Context<'_>) -> i64 {
        match self {
            Base::Now => context.now_ms,
            Base::Epoch => 0,
        }
    }
}

/// The time that a text names, in milliseconds since the epoch.
pub(super) fn parse_time(context: &Context<'_>, text: &[u8], unit: Unit, base: Base) -> Result<u64, CommandError> {
    let value = args::integer(text)?;
    if value < 0 {
        return Err(NEGATIVE_TIME);
    }
    let time = value.checked_mul(unit.in_ms()).and_then(|value| value.checked_add(base.time_ms(context)));
    let time = time.map(|time| time as u64).filter(|&time| time <= EXPIRY_MAX);
    time.ok_or_else(|| CommandError::with(format!("ERR invalid expire time in '{}' command", context.spec.name)))
}

/// Under which condition a field gets a new time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    WithoutExpiry,
    WithExpiry,
    Later,
    Earlier,
}

impl Condition {
    pub fn parse(text: &[u8]) -> Option<Condition> {
        [
            ("NX", Condition::WithoutExpiry),
            ("XX", Condition::WithExpiry),
            ("GT", Condition::Later),
            ("LT", Condition::Earlier),
        ]
        .into_iter()
        .find_map(|(word, condition)| args::is(text, word).then_some(condition))
    }

    /// Whether `new` may replace `old`. A field without a time lasts for ever.
    pub fn allows(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::WithoutExpiry => old.is_none(),
            Condition::WithExpiry => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

/// What has become of fields that a command has timed.
#[derive(Default)]
pub(super) struct Timed {
    pub set: bool,
    pub persisted: bool,
    pub removed: bool,
}

impl Timed {
    /// Sets the time of a field that is there; one that has passed removes it.
    pub fn apply(&mut self, hash: &mut Hash, field: &[u8], time: u64, now: u64) {
        if time <= now {
            hash.remove(field);
            self.removed = true;
        } else {
            hash.set_expiry(field, Some(time));
            self.set = true;
        }
    }

    /// Takes the time of a field away; false if it has none.
    pub fn persist(&mut self, hash: &mut Hash, field: &[u8]) -> bool {
        let timed = hash.expiry(field).flatten().is_some();
        if timed {
            hash.set_expiry(field, None);
            self.persisted = true;
        }
        timed
    }

    /// Announces what was done; `emptied` if the hash has no field any more.
    pub fn finish(&self, context: &mut Context<'_>, key: &Key<'_>, emptied: bool) {
        for (done, event) in [(self.set, "hexpire"), (self.persisted, "hpersist"), (self.removed, "hdel")] {
            if done {
                context.changed(key, class::HASH, event);
            }
        }
        if emptied {
            context.remove_emptied(key);
        } else if self.set || self.persisted {
            context.announce_fields(key);
        }
    }
}

fn set_time(context: &mut Context<'_>, reply: &mut Reply<'_>, unit: Unit, base: Base) -> Outcome {
    let (key, args, now) = (context.key(1), context.args, timed_access::now(context));
    context.write::<Hash>(&key)?;
    let time = parse_time(context, args[2], unit, base)?;
    let (condition, first) = match Condition::parse(args[3]) {
        Some(condition) => (condition, 4),
        None => (Condition::Always, 3),
    };
    if !args::is(args[first], "FIELDS") {
        return Err(FIELDS_MISSING);
    }
    let count = args::non_negative(args[first + 1]).ok().filter(|&count| count > 0).ok_or(NUM_FIELDS)?;
    let fields = &args[first + 2..];
    if count != fields.len() {
        return Err(FIELDS_MISMATCH);
    }
    reply.array(count);
    let Some(hash) = timed_access::write::<Hash>(context, &key, fields.iter())? else {
        fields.iter().for_each(|_| reply.int(NO_FIELD));
        return Ok(());
    };
    hash.expect_expiries();
    let mut timed = Timed::default();
    for field in fields {
        reply.int(match hash.expiry(field) {
            None => NO_FIELD,
            Some(old) if !condition.allows(old, time) => REFUSED,
            Some(_) => {
                timed.apply(hash, field, time, now);
                if time <= now {
                    REMOVED
                } else {
                    DONE
                }
            }
        });
    }
    let emptied = hash.is_empty();
    timed.finish(context, &key, emptied);
    Ok(())
}

fn hpersist(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    context.write::<Hash>(&key)?;
    let fields = parse_fields(args, 2)?;
    reply.array(fields.len());
    let Some(hash) = timed_access::write::<Hash>(context, &key, fields.iter())? else {
        fields.iter().for_each(|_| reply.int(NO_FIELD));
        return Ok(());
    };
    let mut timed = Timed::default();
    for field in fields {
        reply.int(if !hash.contains(field) {
            NO_FIELD
        } else if timed.persist(hash, field) {
            DONE
        } else {
            NO_EXPIRY
        });
    }
    timed.finish(context, &key, false);
    Ok(())
}

fn get_time(context: &mut Context<'_>, reply: &mut Reply<'_>, unit: Unit, base: Base) -> Outcome {
    let (key, args, base_ms) = (context.key(1), context.args, base.time_ms(context));
    context.read::<Hash>(&key)?;
    let fields = parse_fields(args, 2)?;
    let hash = timed_access::read::<Hash>(context, &key, fields.iter())?;
    reply.array(fields.len());
    for field in fields {
        reply.int(match hash.and_then(|hash| hash.expiry(field)) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            // Seconds are rounded up: what has not expired has at least one left.
            Some(Some(time)) => (time as i64 - base_ms + unit.in_ms() - 1) / unit.in_ms(),
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/hash_expire.rs"]
mod tests;
