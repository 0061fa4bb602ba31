//! Union, intersection and difference of sorted sets and plain sets, read or stored.

use super::timed_access;
use super::zset::{begin_members, limits, write_member, SORTED_SET};
use super::zset_range::{store_result, Stored};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::entry::{Entry, Value};
use crate::handler::error::{CommandError, Outcome, SYNTAX, WRONG_TYPE};
use crate::entry::object::ObjectRef;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, numbered_keys, one_key, CommandSpec, Plane};
use sherd_types::number;
use sherd_types::set::Set;
use sherd_types::zset_algebra::{self, Aggregate, Members, Ranking, Source};

const NOT_A_WEIGHT: CommandError = CommandError::new("ERR weight value is not a float");
const NEGATIVE_LIMIT: CommandError = CommandError::new("ERR LIMIT can't be negative");

const UNION_COST: &str = "O(N)+O(M*log(M)), N being the sum of the sizes and M that of the result";
const INTERSECTION_COST: &str =
    "O(N*K)+O(M*log(M)), N being the size of the smallest of K sorted sets and M that of the result";
const DIFFERENCE_COST: &str = "O(L+M*log(M)), L being the sum of the sizes and M that of the result";

const READ: CommandSpec = CommandSpec {
    since: "6.2.0",
    arity: -3,
    flags: READONLY | MOVABLE_KEYS,
    keys: &[numbered_keys("RO ACCESS", 1)],
    ..SORTED_SET
};
const STORE: CommandSpec = CommandSpec {
    since: "2.0.0",
    arity: -4,
    flags: WRITE | DENYOOM | MOVABLE_KEYS,
    keys: &[one_key("OW UPDATE", 1), numbered_keys("RO ACCESS", 2)],
    ..SORTED_SET
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zunion",
        summary: "Returns the members of any of several sorted sets.",
        complexity: UNION_COST,
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | MAX | COUNT)] [WITHSCORES]",
        plane: Plane::Data(zunion),
        ..READ
    },
    CommandSpec {
        name: "zinter",
        summary: "Returns the members that are in all of several sorted sets.",
        complexity: INTERSECTION_COST,
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | MAX | COUNT)] [WITHSCORES]",
        plane: Plane::Data(zinter),
        ..READ
    },
    CommandSpec {
        name: "zdiff",
        summary: "Returns the members of the first of several sorted sets that are in none of the others.",
        complexity: DIFFERENCE_COST,
        syntax: "numkeys key [key ...] [WITHSCORES]",
        plane: Plane::Data(zdiff),
        ..READ
    },
    CommandSpec {
        name: "zintercard",
        summary: "Returns the number of members that are in all of several sorted sets.",
        since: "7.0.0",
        complexity: "O(N*K), N being the size of the smallest of K sorted sets",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        plane: Plane::Data(zintercard),
        ..READ
    },
    CommandSpec {
        name: "zunionstore",
        summary: "Stores the members of any of several sorted sets under a key.",
        complexity: UNION_COST,
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | MAX | COUNT)]",
        plane: Plane::Data(zunionstore),
        ..STORE
    },
    CommandSpec {
        name: "zinterstore",
        summary: "Stores the members that are in all of several sorted sets under a key.",
        complexity: INTERSECTION_COST,
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | MAX | COUNT)]",
        plane: Plane::Data(zinterstore),
        ..STORE
    },
    CommandSpec {
        name: "zdiffstore",
        summary: "Stores the members of the first of several sorted sets that are in none of the others under a key.",
        since: "6.2.0",
        complexity: DIFFERENCE_COST,
        syntax: "destination numkeys key [key ...]",
        plane: Plane::Data(zdiffstore),
        ..STORE
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
    /// ZINTERCARD.
    Count,
}

/// A command's arguments from the number of keys on.
struct Query {
    operation: Operation,
    /// Argument numbers of the keys.
    keys: std::ops::Range<usize>,
    /// Sets with members that have expired and cannot be removed now, by argument numbers: copies of what is left of them.
    copies: Vec<(usize, Option<Set>)>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: no limit.
    limit: usize,
}

impl Query {
    /// Reads the arguments, and the keys for their effects, in the order in which mistakes are reported.
    fn parse(context: &mut Context<'_>, number_at: usize, operation: Operation) -> Result<Query, CommandError> {
        let (args, now) = (context.args, timed_access::now(context));
        let number = args::integer(args[number_at])?;
        let Some(number) = usize::try_from(number).ok().filter(|&number| number > 0) else {
            let name = context.spec.name;
            return Err(CommandError::with(format!("ERR at least 1 input key is needed for '{name}' command")));
        };
        let first = number_at + 1;
        if number > args.len() - first {
            return Err(SYNTAX);
        }
        let keys = first..first + number;
        let mut copies = Vec::new();
        for index in keys.clone() {
            let key = context.key(index);
            let Some(entry) = context.get(&key) else { continue };
            members_of(entry)?;
            // Members of plain sets that have expired shall not be seen.
            if matches!(entry.object(), Some(ObjectRef::Set(set)) if set.is_due(now)) {
                if context.keeps_expired() {
                    copies.push((index, timed_access::without_expired(context, &key)));
                } else {
                    timed_access::expire_all::<Set>(context, &key);
                }
            }
        }
        let mut query = Query {
            operation,
            weights: vec![1.0; number],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
            keys,
            copies,
        };
        query.parse_options(Options::new(args, first + number), number_at == 1)?;
        Ok(query)
    }

    fn parse_options(&mut self, mut options: Options<'_>, reading: bool) -> Outcome {
        let counting = self.operation == Operation::Count;
        let combining = matches!(self.operation, Operation::Union | Operation::Intersection);
        while options.more() {
            if combining && options.left() > self.weights.len() && options.take("weights") {
                for weight in &mut self.weights {
                    *weight = number::parse_f64(options.value()?).ok_or(NOT_A_WEIGHT)?;
                }
            } else if combining && options.left() >= 2 && options.take("aggregate") {
                self.aggregate = match options.value()? {
                    word if args::is(word, "sum") => Aggregate::Sum,
                    word if args::is(word, "min") => Aggregate::Min,
                    word if args::is(word, "max") => Aggregate::Max,
                    word if args::is(word, "count") => Aggregate::Count,
                    _ => return Err(SYNTAX),
                };
            } else if reading && !counting && options.take("withscores") {
                self.with_scores = true;
            } else if counting && options.left() >= 2 && options.take("limit") {
                self.limit = args::non_negative(options.value()?).map_err(|_| NEGATIVE_LIMIT)?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(())
    }

    /// Gives the sources, in the order of the keys, to the callback.
    fn with_sources<R>(
        &self,
        context: &Context<'_>,
        use_sources: impl FnOnce(&[Source<'_>]) -> R,
    ) -> Result<R, CommandError> {
        let source = |(index, &weight): (usize, &f64)| {
            if let Some((_, copy)) = self.copies.iter().find(|(of, _)| *of == index) {
                return Ok(Source { members: copy.as_ref().map(|copy| copy as &dyn Members), weight });
            }
            let entry = context.peek(&context.key(index));
            Ok(Source { members: entry.map(members_of).transpose()?, weight })
        };
        let sources: Vec<Source<'_>> = self.keys.clone().zip(&self.weights).map(source).collect::<Result<_, _>>()?;
        Ok(use_sources(&sources))
    }

    fn run(&self, context: &Context<'_>) -> Result<Ranking, CommandError> {
        self.with_sources(context, |sources| match self.operation {
            Operation::Union => zset_algebra::union(sources, self.aggregate),
            Operation::Intersection | Operation::Count => zset_algebra::intersection(sources, self.aggregate),
            Operation::Difference => zset_algebra::difference(sources),
        })
    }
}

/// What algebra can read of a value.
fn members_of(entry: &Entry) -> Result<&dyn Members, CommandError> {
    match entry.value() {
        Value::Object(ObjectRef::SortedSet(set)) => Ok(set),
        Value::Object(ObjectRef::Set(set)) => Ok(set),
        _ => Err(WRONG_TYPE),
    }
}

fn read(context: &mut Context<'_>, reply: &mut Reply<'_>, operation: Operation) -> Outcome {
    let query = Query::parse(context, 1, operation)?;
    let ranking = query.run(context)?;
    begin_members(reply, ranking.len(), query.with_scores);
    for (member, score) in ranking.iter() {
        write_member(reply, member, score, query.with_scores);
    }
    Ok(())
}

fn store(context: &mut Context<'_>, reply: &mut Reply<'_>, operation: Operation, event: &'static str) -> Outcome {
    let (destination, limits) = (context.key(1), limits(context));
    let query = Query::parse(context, 2, operation)?;
    let result = query.run(context)?.into_set(limits);
    store_result(context, reply, &destination, Stored { result, event, changes: 1 });
    Ok(())
}

fn zunion(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(context, reply, Operation::Union)
}

fn zinter(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(context, reply, Operation::Intersection)
}

fn zdiff(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(context, reply, Operation::Difference)
}

fn zintercard(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let query = Query::parse(context, 1, Operation::Count)?;
    let count = query.with_sources(context, |sources| zset_algebra::intersection_count(sources, query.limit))?;
    reply.count(count);
    Ok(())
}

fn zunionstore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    store(context, reply, Operation::Union, "zunionstore")
}

fn zinterstore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    store(context, reply, Operation::Intersection, "zinterstore")
}

fn zdiffstore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    store(context, reply, Operation::Difference, "zdiffstore")
}

#[cfg(test)]
#[path = "tests/zset_store.rs"]
mod tests;
