//! Fields that expire: HEXPIRE, HTTL, HPERSIST and their relatives.
//!
//! What they do is in `element_expire`; setting and reading values along with a time is in `hash_timed`.

use super::element_expire::{get_time, persist, set_time, Base, Condition, Expires, Names, Timed, Unit};
use super::hash::{parse_fields, FIELDS_MISMATCH, FIELDS_MISSING, HASH};
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::CommandError;
use crate::keyspace::events::class;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::hash::Hash;

const NUM_FIELDS: CommandError = CommandError::new("ERR Parameter `numFields` should be greater than 0");

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
        plane: Plane::Data(|context, reply| set_time::<Hash>(context, reply, Unit::Seconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "hpexpire",
        summary: "Has fields of a hash expire after a number of milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time::<Hash>(context, reply, Unit::Milliseconds, Base::Now)),
        ..SETTING
    },
    CommandSpec {
        name: "hexpireat",
        summary: "Has fields of a hash expire at a Unix time in seconds.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time::<Hash>(context, reply, Unit::Seconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "hpexpireat",
        summary: "Has fields of a hash expire at a Unix time in milliseconds.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        plane: Plane::Data(|context, reply| set_time::<Hash>(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..SETTING
    },
    CommandSpec {
        name: "hpersist",
        summary: "Has fields of a hash no longer expire.",
        arity: -5,
        syntax: "key FIELDS numfields field [field ...]",
        plane: Plane::Data(persist::<Hash>),
        ..SETTING
    },
    CommandSpec {
        name: "httl",
        summary: "Returns for fields of a hash in how many seconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time::<Hash>(context, reply, Unit::Seconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "hpttl",
        summary: "Returns for fields of a hash in how many milliseconds they expire.",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(|context, reply| get_time::<Hash>(context, reply, Unit::Milliseconds, Base::Now)),
        ..ASKING
    },
    CommandSpec {
        name: "hexpiretime",
        summary: "Returns for fields of a hash the Unix time in seconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time::<Hash>(context, reply, Unit::Seconds, Base::Epoch)),
        ..ASKING
    },
    CommandSpec {
        name: "hpexpiretime",
        summary: "Returns for fields of a hash the Unix time in milliseconds at which they expire.",
        plane: Plane::Data(|context, reply| get_time::<Hash>(context, reply, Unit::Milliseconds, Base::Epoch)),
        ..ASKING
    },
];

impl Expires for Hash {
    const CLASS: u32 = class::HASH;
    const COMMANDS: (&'static str, &'static str, &'static str) = ("HPEXPIREAT", "FIELDS", "HDEL");
    type Limits = ();

    fn limits(_: &Context<'_>) {}

    fn time_of(&self, field: &[u8]) -> Option<Option<u64>> {
        self.expiry(field)
    }

    fn set_time_of(&mut self, field: &[u8], time: Option<u64>, _: ()) {
        self.set_expiry(field, time);
    }

    fn remove_element(&mut self, field: &[u8]) {
        self.remove(field);
    }

    fn expect_times(&mut self) {
        self.expect_expiries();
    }

    fn events(timed: &Timed) -> [(usize, &'static str); 3] {
        [(timed.set, "hexpire"), (timed.persisted, "hpersist"), (timed.removed, "hdel")]
    }

    /// `[NX | XX | GT | LT] FIELDS numfields field [field ...]`, in this order.
    fn parse_setting<'a>(args: Names<'a>) -> Result<(Condition, Names<'a>), CommandError> {
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
        Ok((condition, fields))
    }

    fn parse_names<'a>(args: Names<'a>) -> Result<Names<'a>, CommandError> {
        parse_fields(args, 2)
    }
}

#[cfg(test)]
#[path = "tests/hash_expire.rs"]
mod tests;
