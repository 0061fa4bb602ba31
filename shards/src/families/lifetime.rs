//! The options that say how long a key lives: EX, PX, EXAT, PXAT, KEEPTTL and PERSIST.
//!
//! SET, GETEX, MSETEX and INCREX share them. They are read in two steps, as Redis does: first all options are
//! recognised, so that a syntax error anywhere comes first, then the time is read, whose error names the command.

use crate::handler::args::{self, Options};
use crate::handler::error::{CommandError, SYNTAX};

/// What a command line says of a key's lifetime.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Lifetime<'a> {
    #[default]
    Unsaid,
    Keep,
    Persist,
    Until(Unit, &'a [u8]),
}

/// How a time is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

/// Which word, besides the four times, a command knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Also {
    KeepTtl,
    Persist,
}

impl<'a> Lifetime<'a> {
    /// Takes the next argument if it is one of the options; false if it is none of them. The same option may come
    /// again (the last one counts), another one is a syntax error.
    pub(super) fn take(&mut self, options: &mut Options<'a>, also: Also) -> Result<bool, CommandError> {
        let next = match also {
            Also::KeepTtl if options.take("KEEPTTL") => Lifetime::Keep,
            Also::Persist if options.take("PERSIST") => Lifetime::Persist,
            _ => {
                let units = [
                    ("EX", Unit::Seconds),
                    ("PX", Unit::Milliseconds),
                    ("EXAT", Unit::UnixSeconds),
                    ("PXAT", Unit::UnixMilliseconds),
                ];
                let found = units.iter().find_map(|(word, unit)| Some((*unit, options.take_value(word)?)));
                match found {
                    Some((unit, text)) => Lifetime::Until(unit, text),
                    None => return Ok(false),
                }
            }
        };
        let agrees = match (*self, next) {
            (Lifetime::Unsaid, _) => true,
            (Lifetime::Until(before, _), Lifetime::Until(unit, _)) => before == unit,
            (before, next) => before == next,
        };
        if !agrees {
            return Err(SYNTAX);
        }
        *self = next;
        Ok(true)
    }

    /// The time that was given, in milliseconds since the epoch.
    pub(super) fn time(self, now_ms: i64, command: &str) -> Result<Option<i64>, CommandError> {
        match self {
            Lifetime::Until(unit, text) => {
                let (scale, base) = match unit {
                    Unit::Seconds => (1000, now_ms),
                    Unit::Milliseconds => (1, now_ms),
                    Unit::UnixSeconds => (1000, 0),
                    Unit::UnixMilliseconds => (1, 0),
                };
                time_after(text, scale, base, command).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// A time that lies a positive number of units of `scale` milliseconds after `base`.
pub(super) fn time_after(text: &[u8], scale: i64, base: i64, command: &str) -> Result<i64, CommandError> {
    let value = args::integer(text)?;
    let time = (value > 0).then(|| value.checked_mul(scale)?.checked_add(base)).flatten();
    time.ok_or_else(|| invalid(command))
}

/// The error for a time that makes no sense.
pub(super) fn invalid(command: &str) -> CommandError {
    CommandError::with(format!("ERR invalid expire time in '{command}' command"))
}
