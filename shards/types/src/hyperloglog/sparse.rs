//! Registers as runs of equal values, for objects with few elements.
//!
//! ```text
//! 00llllll             l + 1 registers are 0
//! 01llllll llllllll    l + 1 registers are 0
//! 1vvvvvll             l + 1 registers are v + 1
//! ```
//!
//! The same elements in the same order must give the same bytes as in Redis, so a change splits a run, and joins its
//! neighbours, exactly as there: at most five runs are looked at, from the one before the changed one on.

use super::{Corrupt, REGISTERS};

/// One run of 16384 zeros.
pub(super) const EMPTY: [u8; 2] = [0x7F, 0xFF];

/// The largest value of a run that is not zero.
const VALUE_MAX: u8 = 32;
/// The longest run of a value.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of zeros in one byte.
const SHORT_RUN_MAX: usize = 64;
/// Runs that are looked at for joining them.
const JOIN_SCAN: usize = 5;

/// Registers of equal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub value: u8,
    pub length: usize,
    /// Zeros in the form of two bytes.
    pub is_long: bool,
}

impl Run {
    /// Bytes that it takes.
    pub fn size(self) -> usize {
        1 + usize::from(self.is_long)
    }

    fn read(bytes: &[u8]) -> Option<Run> {
        let &first = bytes.first()?;
        Some(if first & 0x80 != 0 {
            Run { value: (first >> 2 & 0x1F) + 1, length: usize::from(first & 3) + 1, is_long: false }
        } else if first & 0x40 != 0 {
            let length = usize::from(first & 0x3F) << 8 | usize::from(*bytes.get(1)?);
            Run { value: 0, length: length + 1, is_long: true }
        } else {
            Run { value: 0, length: usize::from(first & 0x3F) + 1, is_long: false }
        })
    }

    fn zeros(length: usize) -> Run {
        Run { value: 0, length, is_long: length > SHORT_RUN_MAX }
    }

    fn value(value: u8, length: usize) -> Run {
        Run { value, length, is_long: false }
    }

    fn write(self, out: &mut Vec<u8>) {
        let length = self.length - 1;
        if self.is_long {
            out.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]);
        } else if self.value == 0 {
            out.push(length as u8);
        } else {
            out.push(0x80 | (self.value - 1) << 2 | length as u8);
        }
    }
}

/// Iterator over runs; ends where the bytes end or make no sense.
pub(super) struct Runs<'a>(&'a [u8]);

impl<'a> Runs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Runs(bytes)
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let run = Run::read(self.0)?;
        self.0 = &self.0[run.size()..];
        Some(run)
    }
}

/// What became of raising a register.
pub(super) enum Raised {
    /// True if it was lower.
    Done(bool),
    /// The object has to become dense first.
    TooLarge,
}

/// Raises one register. The runs begin at `start`; `bytes_max` bounds the whole object.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    start: usize,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::TooLarge);
    }
    let (at, previous, first, run) = find(bytes, start, index)?;
    if run.value >= value {
        return Ok(Raised::Done(false));
    }
    let last = first + run.length - 1;
    let rest = |length| if run.value == 0 { Run::zeros(length) } else { Run::value(run.value, length) };
    let mut replacement = Vec::with_capacity(5);
    if index != first {
        rest(index - first).write(&mut replacement);
    }
    Run::value(value, 1).write(&mut replacement);
    if index != last {
        rest(last - index).write(&mut replacement);
    }
    if replacement.len() > run.size() && bytes.len() + replacement.len() - run.size() > bytes_max {
        return Ok(Raised::TooLarge);
    }
    bytes.splice(at..at + run.size(), replacement);
    join(bytes, previous);
    Ok(Raised::Done(true))
}

/// The run that has a register: where it is, where the one before it is, its first register, and the run.
fn find(bytes: &[u8], start: usize, index: usize) -> Result<(usize, usize, usize, Run), Corrupt> {
    let (mut at, mut previous, mut first) = (start, start, 0);
    loop {
        let run = Run::read(&bytes[at..]).ok_or(Corrupt)?;
        if index < first + run.length {
            // A run that goes on behind the last register would make another one of them when it is split.
            return if first + run.length <= REGISTERS { Ok((at, previous, first, run)) } else { Err(Corrupt) };
        }
        previous = at;
        at += run.size();
        first += run.length;
    }
}

/// Joins runs of the same value, from the byte `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_SCAN {
        let Some(run) = bytes.get(at..).and_then(Run::read) else { break };
        let next = bytes.get(at + run.size()..).and_then(Run::read);
        match next {
            Some(next) if run.value > 0 && next.value == run.value && run.length + next.length <= VALUE_RUN_MAX => {
                let mut joined = Vec::with_capacity(1);
                Run::value(run.value, run.length + next.length).write(&mut joined);
                bytes.splice(at..at + 2, joined);
            }
            _ => at += run.size(),
        }
    }
}
