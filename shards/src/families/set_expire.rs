//! Members of sets that expire: SEXPIRE, STTL, SPERSIST and their relatives, which do for members what HEXPIRE and its
//! relatives do for fields.
//!
//! Redis has them from 8.12 on. Unlike HEXPIRE here, which is that of Redis 8.0, SEXPIRE takes its condition and MEMBERS in
//! any order. What they do is in `element_expire`; adding members along with a
//! time is in `set_timed`.

use super::element_expire::{get_time, persist, set_time, Base, Condition, Expires, Names, Timed, Unit};
use super::set::{limits, SET};
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::CommandError;
use crate::keyspace::events::class;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::set::{Set, SetLimits};

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
        plane: Plane::Data(|context, reply| set_time::<Set>(context, reply, Unit::Seconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "spexpire",
        summary: "Has members of a set expire after a number of milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time::<Set>(context, reply, Unit::Milliseconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "sexpireat",
        summary: "Has members of a set expire at a Unix time in seconds.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time::<Set>(context, reply, Unit::Seconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "spexpireat",
        summary: "Has members of a set expire at a Unix time in milliseconds.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] MEMBERS nummembers member [member ...]",
        plane: Plane::Data(|context, reply| set_time::<Set>(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "spersist",
        summary: "Has members of a set no longer expire.",
        complexity: "O(N) in the number of members given",
        arity: -5,
        syntax: "key MEMBERS nummembers member [member ...]",
        plane: Plane::Data(persist::<Set>),
        ..SETTING
    },
    CommandSpec {
        name: "sttl",
        summary: "Returns for members of a set in how many seconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time::<Set>(context, reply, Unit::Seconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "spttl",
        summary: "Returns for members of a set in how many milliseconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time::<Set>(context, reply, Unit::Milliseconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "sexpiretime",
        summary: "Returns for members of a set the Unix time in seconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time::<Set>(context, reply, Unit::Seconds, Base::Epoch)),
        ..ASKING
    },
    CommandSpec {
        name: "spexpiretime",
        summary: "Returns for members of a set the Unix time in milliseconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time::<Set>(context, reply, Unit::Milliseconds, Base::Epoch)),
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

impl Expires for Set {
    const CLASS: u32 = class::SET;
    const COMMANDS: (&'static str, &'static str, &'static str) = ("SPEXPIREAT", "MEMBERS", "SREM");
    type Limits = SetLimits;

    fn limits(context: &Context<'_>) -> SetLimits {
        limits(context)
    }

    fn time_of(&self, member: &[u8]) -> Option<Option<u64>> {
        self.expiry(member)
    }

    fn set_time_of(&mut self, member: &[u8], time: Option<u64>, limits: SetLimits) {
        self.set_expiry(member, time, limits);
    }

    fn remove_element(&mut self, member: &[u8]) {
        self.remove(member);
    }

    fn events(timed: &Timed) -> [(usize, &'static str); 3] {
        [(timed.removed, "srem"), (timed.set, "sexpire"), (timed.persisted, "spersist")]
    }

    /// `[NX | XX | GT | LT] MEMBERS nummembers member [member ...]`, in any order.
    fn parse_setting<'a>(args: Names<'a>) -> Result<(Condition, Names<'a>), CommandError> {
        let (mut condition, mut conditions_differ) = (None, false);
        let mut members: Option<Names<'a>> = None;
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

    /// `MEMBERS nummembers member [member ...]` from argument 2 to the end.
    fn parse_names<'a>(args: Names<'a>) -> Result<Names<'a>, CommandError> {
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
}

#[cfg(test)]
#[path = "tests/set_expire.rs"]
mod tests;
