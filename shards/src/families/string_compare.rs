//! Strings as conditions: DIGEST, DELEX, DELIFEQ, and the comparisons that SET takes.
//!
//! A digest is the 64-bit XXH3 of the value in 16 lower-case hexadecimal digits: a client that keeps only the digest of
//! what it read can still write "if nobody else has".

use xxhash_rust::xxh3::xxh3_64;

use crate::handler::args::is;
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::entry::Text;
use crate::handler::error::{CommandError, Outcome};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};

const STRING: CommandSpec = CommandSpec { group: Group::String, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "digest",
        summary: "Returns the XXH3 digest of the string value of a key in hexadecimal.",
        since: "8.4.0",
        complexity: "O(N) in the length of the value",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        plane: Plane::Data(digest),
        ..STRING
    },
    CommandSpec {
        name: "delex",
        summary: "Deletes a key if its string value or the digest of it compares as told.",
        since: "8.4.0",
        complexity: "O(1) for IFEQ and IFNE, O(N) in the length of the value for IFDEQ and IFDNE",
        arity: -2,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE VARIABLE_FLAGS", 1)],
        syntax: "key [IFEQ comparison-value | IFNE comparison-value | IFDEQ comparison-digest | \
                 IFDNE comparison-digest]",
        plane: Plane::Data(delex),
        ..STRING
    },
    CommandSpec {
        name: "delifeq",
        summary: "Deletes a key if its string value is the given one.",
        since: "9.0.0",
        arity: 3,
        flags: WRITE | FAST,
        keys: &[one_key("RM DELETE", 1)],
        syntax: "key value",
        plane: Plane::Data(delifeq),
        ..STRING
    },
];

const DIGEST_DIGITS: usize = 16;
const WRONG_DIGEST: CommandError = CommandError::new("ERR must be exactly 16 hexadecimal characters");
const UNKNOWN_CONDITION: CommandError = CommandError::new("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
const CONDITION_NEEDS_STRING: CommandError =
    CommandError::new("ERR Key should be of string type if conditions are specified");

/// A comparison with the value that a key has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison<'a> {
    Equal(&'a [u8]),
    NotEqual(&'a [u8]),
    DigestEqual(&'a [u8]),
    DigestNotEqual(&'a [u8]),
}

impl<'a> Comparison<'a> {
    /// The comparison that a word stands for.
    pub(super) fn parse(word: &[u8], value: &'a [u8]) -> Option<Comparison<'a>> {
        if is(word, "IFEQ") {
            Some(Comparison::Equal(value))
        } else if is(word, "IFNE") {
            Some(Comparison::NotEqual(value))
        } else if is(word, "IFDEQ") {
            Some(Comparison::DigestEqual(value))
        } else if is(word, "IFDNE") {
            Some(Comparison::DigestNotEqual(value))
        } else {
            None
        }
    }

    /// Whether it holds for the value of a key that is there.
    pub(super) fn holds(self, text: Text<'_>) -> Result<bool, CommandError> {
        match self {
            Comparison::Equal(value) => Ok(text.with(|bytes| bytes == value)),
            Comparison::NotEqual(value) => Ok(text.with(|bytes| bytes != value)),
            Comparison::DigestEqual(digest) => has_digest(text, digest),
            Comparison::DigestNotEqual(digest) => has_digest(text, digest).map(|same| !same),
        }
    }

    /// Whether it holds for a key that is not there: then nothing is equal to anything.
    pub(super) fn holds_without_key(self) -> bool {
        matches!(self, Comparison::NotEqual(_) | Comparison::DigestNotEqual(_))
    }
}

fn digest_of(bytes: &[u8]) -> [u8; DIGEST_DIGITS] {
    let hash = xxh3_64(bytes);
    std::array::from_fn(|place| b"0123456789abcdef"[(hash >> (60 - 4 * place)) as usize & 15])
}

fn has_digest(text: Text<'_>, digest: &[u8]) -> Result<bool, CommandError> {
    if digest.len() != DIGEST_DIGITS {
        return Err(WRONG_DIGEST);
    }
    Ok(digest.eq_ignore_ascii_case(&text.with(digest_of)))
}

fn digest(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    match context.read_text(&key)? {
        Some(text) => reply.bulk(&text.with(digest_of)),
        None => reply.null(),
    }
    Ok(())
}

fn delex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let key = context.key(1);
    let condition = match args.len() {
        2 => None,
        4 => Some((args[2], args[3])),
        _ => return Err(CommandError::arity("delex")),
    };
    let Some(entry) = context.get_mut(&key) else {
        reply.flag(false);
        return Ok(());
    };
    let holds = match condition {
        None => true,
        Some((word, value)) => {
            let text = entry.text().ok_or(CONDITION_NEEDS_STRING)?;
            Comparison::parse(word, value).ok_or(UNKNOWN_CONDITION)?.holds(text)?
        }
    };
    delete_if(context, reply, &key, holds);
    Ok(())
}

fn delifeq(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let value = context.args[2];
    let holds = match context.read_text(&key)? {
        Some(text) => Comparison::Equal(value).holds(text)?,
        None => false,
    };
    delete_if(context, reply, &key, holds);
    Ok(())
}

fn delete_if(context: &mut Context<'_>, reply: &mut Reply<'_>, key: &Key<'_>, holds: bool) {
    if holds {
        context.remove(key);
        context.changed(key, class::GENERIC, "del");
        super::effects::deleted(context, key);
    }
    reply.flag(holds);
}
