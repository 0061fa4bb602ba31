//! Members of sets that expire: SEXPIRE, STTL, SPERSIST and their relatives, which do for members what HEXPIRE and its
//! relatives do for fields.
//!
//! Redis has them from 8.12 on. Unlike HEXPIRE here, which is that of Redis 8.0, SEXPIRE takes its condition and MEMBERS in
//! any order. Adding members along with a time is in `set_timed`.

use super::hash_expire::{parse_time, Base, Condition, Unit, DONE, NO_EXPIRY, NO_FIELD, REFUSED, REMOVED};
use super::set::{limits, SET};
use super::timed_access;
use crate::args;
use crate::context::Context;
use crate::db::Key;
use crate::error::{CommandError, Outcome};
use crate::notify::class;
use crate::reply::Reply;
use crate::spec::{flag::*, one_key, CommandSpec, Plane};
use crate::types::set::{Set, SetLimits};

pub(super) const MEMBERS_TWICE: CommandError = CommandError::new("ERR MEMBERS keyword specified multiple times");
pub(super) const MEMBERS_ABSENT: CommandError = CommandError::new("ERR missing MEMBERS argument");
pub(super) const TOO_FEW: CommandError = CommandError::new("ERR wrong number of arguments");
const MEMBERS_CUT_OFF: CommandError =
    CommandError::new("ERR MEMBERS requires at least nummembers and one member argument");
const NUM_MEMBERS: CommandError = CommandError::new("ERR Parameter `numMembers` should be greater than 0");
const TWO_CONDITIONS: CommandError = CommandError::new("ERR Multiple condition flags specified");
const MEMBERS_MISSING: CommandError =
    CommandError::new("ERR Mandatory argument MEMBERS is missing or not at the right position");
const MEMBERS_NOT_POSITIVE: CommandError = CommandError::new("ERR Number of members must be a positive integer");
const MEMBERS_MISMATCH: CommandError =
    CommandError::new("ERR The `nummembers` parameter must match the number of arguments");

const SETTING: CommandSpec = CommandSpec {
    since: "8.12.0",
    complexity: "O(N) in the number of members given; O(M) once for the first time in a set of M members",
    arity: -6,
    flags: WRITE | FAST,
    keys: &[one_key("RW UPDATE", 1)],
    ..SET
};

const ASKING: CommandSpec = CommandSpec {
    since: "8.12.0",
    complexity: "O(N) in the number of members given",
    arity: -5,
    flags: READONLY | FAST,
    keys: &[one_key("RO ACCESS", 1)],
    syntax: "key MEMBERS nummembers member [member ...]",
    ..SET
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sexpire",
        summary: "Has members of a set expire after a number of seconds.",
        syntax: "key seconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Seconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "spexpire",
        summary: "Has members of a set expire after a number of milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Milliseconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "sexpireat",
        summary: "Has members of a set expire at a Unix time in seconds.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Seconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "spexpireat",
        summary: "Has members of a set expire at a Unix time in milliseconds.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "spersist",
        summary: "Has members of a set no longer expire.",
        complexity: "O(N) in the number of members given",
        arity: -5,
        syntax: "key MEMBERS nummembers member [member ...]",
        plane: Plane::Data(spersist),
        ..SETTING
    },
    CommandSpec {
        name: "sttl",
        summary: "Returns for members of a set in how many seconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Seconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "spttl",
        summary: "Returns for members of a set in how many milliseconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Milliseconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "sexpiretime",
        summary: "Returns for members of a set the Unix time in seconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Seconds, Base::Epoch)),
        ..ASKING
    },
    CommandSpec {
        name: "spexpiretime",
        summary: "Returns for members of a set the Unix time in milliseconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..ASKING
    },
];

/// A word that means nothing where it stands.
pub(super) fn unknown(word: &[u8]) -> CommandError {
    CommandError::with(format!("ERR unknown argument: {}", String::from_utf8_lossy(word)))
}

/// How many members a text says, which must be at least one.
pub(super) fn member_count(text: &[u8], error: CommandError) -> Result<usize, CommandError> {
    args::non_negative(text).ok().filter(|count| (1..=i32::MAX as usize).contains(count)).ok_or(error)
}

/// What has become of members that a command has timed.
#[derive(Default)]
pub(super) struct Timed {
    pub set: bool,
    pub persisted: bool,
    pub removed: bool,
}

impl Timed {
    /// Sets the time of a member that is there; one that has passed removes it.
    pub fn apply(&mut self, set: &mut Set, member: &[u8], time: u64, now: u64, limits: SetLimits) {
        if time <= now {
            set.remove(member);
            self.removed = true;
        } else {
            set.set_expiry(member, Some(time), limits);
            self.set = true;
        }
    }

    /// Takes the time of a member away; false if it has none.
    pub fn persist(&mut self, set: &mut Set, member: &[u8], limits: SetLimits) -> bool {
        let timed = set.expiry(member).flatten().is_some();
        if timed {
            set.set_expiry(member, None, limits);
            self.persisted = true;
        }
        timed
    }

    /// Announces what was done; `emptied` if the set has no member any more.
    pub fn finish(&self, context: &mut Context<'_>, key: &Key<'_>, emptied: bool) {
        for (done, event) in [(self.removed, "srem"), (self.set, "sexpire"), (self.persisted, "spersist")] {
            if done {
                context.changed(key, class::SET, event);
            }
        }
        if emptied {
            context.remove_emptied(key);
        } else if self.set || self.persisted {
            context.announce_fields(key);
        }
    }
}

/// The condition and the members behind the time.
fn parse_setting<'a>(args: &'a [&'a [u8]]) -> Result<(Condition, &'a [&'a [u8]]), CommandError> {
    let (mut condition, mut conditions_differ) = (None, false);
    let mut members: Option<&[&[u8]]> = None;
    let mut at = 3;
    while let Some(word) = args.get(at) {
        at += 1;
        if let Some(new) = Condition::parse(word) {
            conditions_differ |= condition.is_some_and(|old| old != new);
            condition = Some(new);
            continue;
        }
        if !args::is(word, "MEMBERS") {
            return Err(unknown(word));
        }
        if members.is_some() {
            return Err(MEMBERS_TWICE);
        }
        if at + 1 >= args.len() {
            return Err(MEMBERS_CUT_OFF);
        }
        let count = member_count(args[at], NUM_MEMBERS)?;
        members = Some(args[at + 1..].get(..count).ok_or(TOO_FEW)?);
        at += 1 + count;
    }
    let members = members.ok_or(MEMBERS_ABSENT)?;
    if conditions_differ {
        return Err(TWO_CONDITIONS);
    }
    Ok((condition.unwrap_or(Condition::Always), members))
}

fn set_time(context: &mut Context<'_>, reply: &mut Reply<'_>, unit: Unit, base: Base) -> Outcome {
    let (key, args, now, limits) = (context.key(1), context.args, timed_access::now(context), limits(context));
    context.write::<Set>(&key)?;
    let time = parse_time(context, args[2], unit, base)?;
    let (condition, members) = parse_setting(args)?;
    reply.array(members.len());
    let Some(set) = timed_access::write::<Set>(context, &key, members.iter())? else {
        members.iter().for_each(|_| reply.int(NO_FIELD));
        return Ok(());
    };
    let mut timed = Timed::default();
    for member in members {
        reply.int(match set.expiry(member) {
            None => NO_FIELD,
            Some(old) if !condition.allows(old, time) => REFUSED,
            Some(_) => {
                timed.apply(set, member, time, now, limits);
                if time <= now {
                    REMOVED
                } else {
                    DONE
                }
            }
        });
    }
    let emptied = set.is_empty();
    timed.finish(context, &key, emptied);
    Ok(())
}

/// `MEMBERS nummembers member [member ...]` from argument 2 to the end.
fn parse_members<'a>(args: &'a [&'a [u8]]) -> Result<&'a [&'a [u8]], CommandError> {
    if !args::is(args[2], "MEMBERS") {
        return Err(MEMBERS_MISSING);
    }
    let count = args::non_negative(args[3]).ok().filter(|&count| count > 0).ok_or(MEMBERS_NOT_POSITIVE)?;
    let members = &args[4..];
    if count != members.len() {
        return Err(MEMBERS_MISMATCH);
    }
    Ok(members)
}

fn spersist(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args, limits) = (context.key(1), context.args, limits(context));
    context.write::<Set>(&key)?;
    let members = parse_members(args)?;
    reply.array(members.len());
    let Some(set) = timed_access::write::<Set>(context, &key, members.iter())? else {
        members.iter().for_each(|_| reply.int(NO_FIELD));
        return Ok(());
    };
    let mut timed = Timed::default();
    for member in members {
        reply.int(if !set.contains(member) {
            NO_FIELD
        } else if timed.persist(set, member, limits) {
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
    context.read::<Set>(&key)?;
    let members = parse_members(args)?;
    let set = timed_access::read::<Set>(context, &key, members.iter())?;
    reply.array(members.len());
    for member in members {
        reply.int(match set.and_then(|set| set.expiry(member)) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            // Seconds are rounded up: what has not expired has at least one left.
            Some(Some(time)) => (time as i64 - base_ms + unit.in_ms() - 1) / unit.in_ms(),
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/set_expire.rs"]
mod tests;
