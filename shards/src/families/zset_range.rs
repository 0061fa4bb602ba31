//! Ranges of sorted sets, by rank, score or member: reading, counting, storing and removing them.
//!
//! All the range commands are one walk: parse the bounds, turn them into ranks, visit the ranks. ZRANGE names everything
//! in its options; the older commands fix the kind of range or the direction by their name.

use std::ops::Range;

use super::zset::{begin_members, limits, write_member, SORTED_SET};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::zset::ZSet;
use sherd_types::zset_algebra::Builder;
use sherd_types::zset_range::{LexRange, ScoreRange};

pub(super) const NOT_SCORES: CommandError = CommandError::new("ERR min or max is not a float");
pub(super) const NOT_MEMBERS: CommandError = CommandError::new("ERR min or max not valid string range item");
const LIMIT_NEEDS_BY: CommandError =
    CommandError::new("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
const SCORES_BY_LEX: CommandError =
    CommandError::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

const LOG_PLUS_RANGE: &str = "O(log(N)+M), N being the size of the sorted set and M that of the range";
const READ_RANGE: CommandSpec = CommandSpec {
    complexity: LOG_PLUS_RANGE,
    arity: -4,
    flags: READONLY,
    keys: &[one_key("RO ACCESS", 1)],
    ..SORTED_SET
};
const COUNT_RANGE: CommandSpec = CommandSpec {
    complexity: "O(log(N)), N being the size of the sorted set",
    arity: 4,
    flags: READONLY | FAST,
    keys: &[one_key("RO ACCESS", 1)],
    ..SORTED_SET
};
const REMOVE_RANGE: CommandSpec =
    CommandSpec { complexity: LOG_PLUS_RANGE, arity: 4, flags: WRITE, keys: &[one_key("RW DELETE", 1)], ..SORTED_SET };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrange",
        summary: "Returns the members of a sorted set in a range of ranks, scores or members.",
        since: "1.2.0",
        history: &[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT`.")],
        syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        plane: Plane::Data(zrange),
        ..READ_RANGE
    },
    CommandSpec {
        name: "zrevrange",
        summary: "Returns the members of a sorted set in a range of ranks, from the highest score down.",
        since: "1.2.0",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        syntax: "key start stop [WITHSCORES]",
        plane: Plane::Data(zrevrange),
        ..READ_RANGE
    },
    CommandSpec {
        name: "zrangebyscore",
        summary: "Returns the members of a sorted set in a range of scores.",
        since: "1.0.5",
        history: &[("2.0.0", "`WITHSCORES`.")],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        syntax: "key min max [WITHSCORES] [LIMIT offset count]",
        plane: Plane::Data(zrangebyscore),
        ..READ_RANGE
    },
    CommandSpec {
        name: "zrevrangebyscore",
        summary: "Returns the members of a sorted set in a range of scores, from the highest score down.",
        since: "2.2.0",
        history: &[("2.1.6", "Ranges without their ends.")],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        syntax: "key max min [WITHSCORES] [LIMIT offset count]",
        plane: Plane::Data(zrevrangebyscore),
        ..READ_RANGE
    },
    CommandSpec {
        name: "zrangebylex",
        summary: "Returns the members of a sorted set of equal scores in a range of members.",
        since: "2.8.9",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        syntax: "key min:string max:string [LIMIT offset count]",
        plane: Plane::Data(zrangebylex),
        ..READ_RANGE
    },
    CommandSpec {
        name: "zrevrangebylex",
        summary: "Returns the members of a sorted set of equal scores in a range of members, in descending order.",
        since: "2.8.9",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        syntax: "key max:string min:string [LIMIT offset count]",
        plane: Plane::Data(zrevrangebylex),
        ..READ_RANGE
    },
    CommandSpec {
        name: "zrangestore",
        summary: "Stores a range of a sorted set under another key.",
        since: "6.2.0",
        complexity: LOG_PLUS_RANGE,
        arity: -5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("OW UPDATE", 1), one_key("RO ACCESS", 2)],
        syntax: "dst src min:string max:string [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
        plane: Plane::Data(zrangestore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zcount",
        summary: "Returns the number of members of a sorted set in a range of scores.",
        since: "2.0.0",
        syntax: "key min max",
        plane: Plane::Data(zcount),
        ..COUNT_RANGE
    },
    CommandSpec {
        name: "zlexcount",
        summary: "Returns the number of members of a sorted set of equal scores in a range of members.",
        since: "2.8.9",
        syntax: "key min:string max:string",
        plane: Plane::Data(zlexcount),
        ..COUNT_RANGE
    },
    CommandSpec {
        name: "zremrangebyrank",
        summary: "Removes the members of a sorted set in a range of ranks. Removes the key when none is left.",
        since: "2.0.0",
        syntax: "key start stop",
        plane: Plane::Data(zremrangebyrank),
        ..REMOVE_RANGE
    },
    CommandSpec {
        name: "zremrangebyscore",
        summary: "Removes the members of a sorted set in a range of scores. Removes the key when none is left.",
        since: "1.2.0",
        syntax: "key min max",
        plane: Plane::Data(zremrangebyscore),
        ..REMOVE_RANGE
    },
    CommandSpec {
        name: "zremrangebylex",
        summary:
            "Removes the members of a sorted set of equal scores in a range of members. Removes the key when none \
                  is left.",
        since: "2.8.9",
        syntax: "key min:string max:string",
        plane: Plane::Data(zremrangebylex),
        ..REMOVE_RANGE
    },
];

/// What a range is measured in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// What a command's name says already; `None` is for its options to say.
#[derive(Clone, Copy, Default)]
struct Fixed {
    by: Option<By>,
    reverse: Option<bool>,
    storing: bool,
}

/// A range with its bounds read.
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Bounds<'a>, CommandError> {
        Ok(match by {
            By::Rank => Bounds::Ranks(args::integer(min)?, args::integer(max)?),
            By::Score => Bounds::Scores(ScoreRange::parse(min, max).ok_or(NOT_SCORES)?),
            By::Lex => Bounds::Members(LexRange::parse(min, max).ok_or(NOT_MEMBERS)?),
        })
    }

    /// The ranks in the range, counted from the lowest score also when the command counts from the highest.
    fn ranks(&self, set: &ZSet, reverse: bool) -> Range<usize> {
        match self {
            Bounds::Ranks(start, stop) => {
                let len = set.len();
                let ranks = clamp(*start, *stop, len);
                if reverse {
                    len - ranks.end..len - ranks.start
                } else {
                    ranks
                }
            }
            Bounds::Scores(range) => set.ranks_by_score(range),
            Bounds::Members(range) if lies_outside(set, range) => 0..0,
            Bounds::Members(range) => set.ranks_by_lex(range, reverse),
        }
    }
}

/// Whether the last member is below a range or the first one above it. Redis looks at these first, which decides nothing
/// where scores are equal; where they are not, it makes ranges empty that a search would find something in.
fn lies_outside(set: &ZSet, range: &LexRange<'_>) -> bool {
    let mut outside = set.is_empty();
    set.visit(0..1, false, |first, _| outside |= range.is_above(first));
    set.visit(set.len().saturating_sub(1)..set.len(), false, |last, _| outside |= range.is_below(last));
    outside
}

/// Indexes from `start` to `stop`, both included and counted from the end if negative, as a range within `len`.
fn clamp(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_front = |index: i64| if index < 0 { index.saturating_add(len as i64) } else { index };
    let start = from_front(start).max(0) as usize;
    let end = (from_front(stop).saturating_add(1).max(0) as usize).min(len);
    start.min(end)..end
}

/// A whole range command.
struct RangeQuery<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
    with_scores: bool,
}

impl<'a> RangeQuery<'a> {
    /// Reads a query whose bounds are the arguments at `first` and behind it.
    fn parse(args: &'a [&'a [u8]], first: usize, fixed: Fixed) -> Result<RangeQuery<'a>, CommandError> {
        let (mut by, mut reverse) = (fixed.by, fixed.reverse);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut options = Options::new(args, first + 2);
        while options.more() {
            if !fixed.storing && options.take("withscores") {
                with_scores = true;
            } else if options.left() >= 3 && options.take("limit") {
                offset = args::integer(options.value()?)?;
                limit = args::integer(options.value()?)?;
            } else if reverse.is_none() && options.take("rev") {
                reverse = Some(true);
            } else if by.is_none() && options.take("bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && options.take("byscore") {
                by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(LIMIT_NEEDS_BY);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_BY_LEX);
        }
        let (mut min, mut max) = (args[first], args[first + 1]);
        if reverse && by != By::Rank {
            std::mem::swap(&mut min, &mut max);
        }
        if by == By::Rank {
            (offset, limit) = (0, -1);
        }
        Ok(RangeQuery { bounds: Bounds::parse(by, min, max)?, reverse, offset, limit, with_scores })
    }

    /// The ranks to return, offset and limit applied.
    fn ranks(&self, set: &ZSet) -> Range<usize> {
        let ranks = self.bounds.ranks(set, self.reverse);
        let skipped = match usize::try_from(self.offset) {
            Ok(offset) => offset.min(ranks.len()),
            // Redis has no meaning for a negative offset: it gives nothing in a listpack and counts from the other end of
            // the range in a skip list.
            Err(_) if set.packed().is_some() => ranks.len(),
            Err(_) => (ranks.len() as i64)
                .checked_add(self.offset)
                .filter(|&at| at >= 0)
                .map_or(ranks.len(), |at| at as usize),
        };
        let rest = ranks.len() - skipped;
        let count = usize::try_from(self.limit).unwrap_or(usize::MAX).min(rest);
        if self.reverse {
            let end = ranks.end - skipped;
            end - count..end
        } else {
            let start = ranks.start + skipped;
            start..start + count
        }
    }
}

fn read_range(context: &mut Context<'_>, reply: &mut Reply<'_>, fixed: Fixed) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let query = RangeQuery::parse(args, 2, fixed)?;
    let Some(set) = context.read::<ZSet>(&key)? else {
        reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(set);
    begin_members(reply, ranks.len(), query.with_scores);
    set.visit(ranks, query.reverse, |member, score| write_member(reply, member, score, query.with_scores));
    Ok(())
}

fn zrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read_range(context, reply, Fixed::default())
}

fn zrevrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read_range(context, reply, Fixed { by: Some(By::Rank), reverse: Some(true), storing: false })
}

fn zrangebyscore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read_range(context, reply, Fixed { by: Some(By::Score), reverse: Some(false), storing: false })
}

fn zrevrangebyscore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read_range(context, reply, Fixed { by: Some(By::Score), reverse: Some(true), storing: false })
}

fn zrangebylex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read_range(context, reply, Fixed { by: Some(By::Lex), reverse: Some(false), storing: false })
}

fn zrevrangebylex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read_range(context, reply, Fixed { by: Some(By::Lex), reverse: Some(true), storing: false })
}

fn zrangestore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (destination, source, args) = (context.key(1), context.key(2), context.args);
    let query = RangeQuery::parse(args, 3, Fixed { storing: true, ..Fixed::default() })?;
    let limits = limits(context);
    let mut builder = Builder::default();
    if let Some(set) = context.read::<ZSet>(&source)? {
        let ranks = query.ranks(set);
        // Redis fills a listpack until it has to convert, unless it knows the length before; the scores that went through
        // the listpack have lost the sign of a negative zero.
        let known_len = if matches!(query.bounds, Bounds::Ranks(..)) { ranks.len() } else { 0 };
        let (mut stored, mut packed) = (0, limits.allow(known_len, 0));
        set.visit(ranks, query.reverse, |member, score| {
            stored += 1;
            packed = packed && limits.allow(stored, member.len());
            builder.add(member, if packed { score + 0.0 } else { score });
        });
    }
    let stored = Stored { result: builder.finish(limits), event: "zrangestore", changes: 1 };
    store_result(context, reply, &destination, stored);
    Ok(())
}

/// A sorted set that a command stores.
pub(super) struct Stored {
    pub result: ZSet,
    pub event: &'static str,
    /// As how many changes it counts.
    pub changes: usize,
}

/// Stores a result under the destination, or removes that key if the result is empty, and replies with its size.
pub(super) fn store_result(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    destination: &crate::keyspace::db::Key<'_>,
    stored: Stored,
) {
    let len = stored.result.len();
    if len > 0 {
        context.store(destination, stored.result);
        context.changed_by(stored.changes, destination, class::ZSET, stored.event);
    } else if context.discard(destination) {
        context.changed(destination, class::GENERIC, "del");
    }
    reply.count(len);
}

fn count_range(context: &mut Context<'_>, reply: &mut Reply<'_>, by: By) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let bounds = Bounds::parse(by, args[2], args[3])?;
    reply.count(context.read::<ZSet>(&key)?.map_or(0, |set| bounds.ranks(set, false).len()));
    Ok(())
}

fn zcount(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    count_range(context, reply, By::Score)
}

fn zlexcount(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    count_range(context, reply, By::Lex)
}

fn remove_range(context: &mut Context<'_>, reply: &mut Reply<'_>, by: By, event: &'static str) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let bounds = Bounds::parse(by, args[2], args[3])?;
    let (removed, emptied) = match context.write::<ZSet>(&key)? {
        Some(set) => {
            let ranks = bounds.ranks(set, false);
            (set.remove_ranks(ranks, |_, _| ()), set.is_empty())
        }
        None => (0, false),
    };
    if removed > 0 {
        context.changed_by(removed, &key, class::ZSET, event);
        if emptied {
            context.remove_emptied(&key);
        }
    }
    reply.count(removed);
    Ok(())
}

fn zremrangebyrank(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_range(context, reply, By::Rank, "zremrangebyrank")
}

fn zremrangebyscore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_range(context, reply, By::Score, "zremrangebyscore")
}

fn zremrangebylex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_range(context, reply, By::Lex, "zremrangebylex")
}

#[cfg(test)]
#[path = "tests/zset_range.rs"]
mod tests;
