//! What the cursor walks over one collection have in common (SSCAN, HSCAN, ZSCAN): cursor, options, the bound on work a call.

use crate::glob::Pattern;
use crate::handler::args::{self, Options};
use crate::handler::error::{CommandError, SYNTAX};
use crate::handler::reply::Reply;

const NO_VALUES_ELSEWHERE: CommandError = CommandError::new("ERR NOVALUES option can only be used in HSCAN");

/// Elements a call visits unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;
/// Buckets visited for each element wanted, so that a sparse table does not make a call long.
const STEPS_AN_ELEMENT: usize = 10;

/// The options of one call.
pub(super) struct ScanOptions<'a> {
    pattern: Option<Pattern<'a>>,
    count: usize,
    /// HSCAN NOVALUES: fields only; ZSCAN NOSCORES: members only.
    pub no_values: bool,
}

/// What a collection has beside its elements, and can leave out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    Values,
    Scores,
}

impl<'a> ScanOptions<'a> {
    /// From argument 3 on.
    pub fn parse(args: &'a [&'a [u8]], beside: Beside) -> Result<Self, CommandError> {
        let mut parsed = ScanOptions { pattern: None, count: COUNT_DEFAULT, no_values: false };
        let mut options = Options::new(args, 3);
        while options.more() {
            if let Some(text) = options.take_value("COUNT") {
                let count = args::integer(text)?;
                parsed.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            } else if let Some(pattern) = options.take_value("MATCH") {
                parsed.pattern = Some(Pattern::new(pattern));
            } else if options.take("NOVALUES") {
                if beside != Beside::Values {
                    return Err(NO_VALUES_ELSEWHERE);
                }
                parsed.no_values = true;
            } else if beside == Beside::Scores && options.take("NOSCORES") {
                parsed.no_values = true;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(parsed)
    }

    /// Whether an element is wanted.
    #[inline]
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(element))
    }

    /// Runs `step`, which visits the elements at a cursor and gives their number and the next cursor, until enough were
    /// visited; returns the cursor to go on from.
    pub fn run(&self, mut cursor: u64, mut step: impl FnMut(u64) -> (usize, u64)) -> u64 {
        let mut visited = 0;
        for _ in 0..self.count.saturating_mul(STEPS_AN_ELEMENT) {
            let (elements, next) = step(cursor);
            visited += elements;
            cursor = next;
            if cursor == 0 || visited >= self.count {
                break;
            }
        }
        cursor
    }
}

/// Writes the reply: the cursor, then `count` elements that are written already.
pub(super) fn write_scan(reply: &mut Reply<'_>, cursor: u64, count: usize, elements: &[u8]) {
    reply.array(2);
    reply.bulk(cursor.to_string().as_bytes());
    reply.array(count);
    reply.raw(elements);
}
