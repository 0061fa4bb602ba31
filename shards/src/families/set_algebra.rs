//! The algebra of sets: intersection, union and difference, returned, counted or stored.
//!
//! Results are written or collected while the sets are walked; no intermediate set is built. The order in which the sets
//! are asked is theirs by size ([`sherd_types::set`]), so the cost depends on the sets alone.

use std::ops::ControlFlow;

use super::list::write_item;
use super::set::{limits, SET};
use super::timed_access;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, numbered_keys, one_key, CommandSpec, KeySpec, Plane};
use sherd_types::listpack::Item;
use sherd_types::set::{self, Set, SetLimits};

const NO_KEYS: CommandError = CommandError::new("ERR numkeys should be greater than 0");
const TOO_MANY_KEYS: CommandError = CommandError::new("ERR Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT: CommandError = CommandError::new("ERR LIMIT can't be negative");

const READ_KEYS: &[KeySpec] = &[key_range("RO ACCESS", 1, -1, 1)];
const STORE_KEYS: &[KeySpec] = &[one_key("OW UPDATE", 1), key_range("RO ACCESS", 2, -1, 1)];
const COUNT_KEYS: &[KeySpec] = &[numbered_keys("RO ACCESS", 1)];

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sinter",
        summary: "Returns the members that several sets have in common.",
        complexity: "O(N*M) with N the size of the smallest set and M the number of sets",
        arity: -2,
        flags: READONLY,
        keys: READ_KEYS,
        syntax: "key [key ...]",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(|context, reply| write_result(context, reply, Operation::Intersection)),
        ..SET
    },
    CommandSpec {
        name: "sunion",
        summary: "Returns the members that at least one of several sets has.",
        complexity: "O(N) in the number of members of all sets",
        arity: -2,
        flags: READONLY,
        keys: READ_KEYS,
        syntax: "key [key ...]",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(|context, reply| write_result(context, reply, Operation::Union)),
        ..SET
    },
    CommandSpec {
        name: "sdiff",
        summary: "Returns the members of the first set that no further set has.",
        complexity: "O(N) in the number of members of all sets",
        arity: -2,
        flags: READONLY,
        keys: READ_KEYS,
        syntax: "key [key ...]",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(|context, reply| write_result(context, reply, Operation::Difference)),
        ..SET
    },
    CommandSpec {
        name: "sinterstore",
        summary: "Stores the members that several sets have in common under a key.",
        complexity: "O(N*M) with N the size of the smallest set and M the number of sets",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: STORE_KEYS,
        syntax: "destination key [key ...]",
        plane: Plane::Data(|context, reply| store_result(context, reply, Operation::Intersection, "sinterstore")),
        ..SET
    },
    CommandSpec {
        name: "sunionstore",
        summary: "Stores the members that at least one of several sets has under a key.",
        complexity: "O(N) in the number of members of all sets",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: STORE_KEYS,
        syntax: "destination key [key ...]",
        plane: Plane::Data(|context, reply| store_result(context, reply, Operation::Union, "sunionstore")),
        ..SET
    },
    CommandSpec {
        name: "sdiffstore",
        summary: "Stores the members of the first set that no further set has under a key.",
        complexity: "O(N) in the number of members of all sets",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: STORE_KEYS,
        syntax: "destination key [key ...]",
        plane: Plane::Data(|context, reply| store_result(context, reply, Operation::Difference, "sdiffstore")),
        ..SET
    },
    CommandSpec {
        name: "sintercard",
        summary: "Counts the members that several sets have in common, up to a limit.",
        since: "7.0.0",
        complexity: "O(N*M) with N the size of the smallest set and M the number of sets",
        arity: -3,
        flags: READONLY | MOVABLE_KEYS,
        keys: COUNT_KEYS,
        syntax: "numkeys key [key ...] [LIMIT limit]",
        plane: Plane::Data(|context, reply| count_result(context, reply, Operation::Intersection)),
        ..SET
    },
    CommandSpec {
        name: "sunioncard",
        summary: "Counts the members that at least one of several sets has, up to a limit.",
        since: "8.10.0",
        complexity: "O(N) in the number of members of all sets",
        arity: -3,
        flags: READONLY | MOVABLE_KEYS,
        keys: COUNT_KEYS,
        syntax: "numkeys key [key ...] [APPROX] [LIMIT limit]",
        plane: Plane::Data(|context, reply| count_result(context, reply, Operation::Union)),
        ..SET
    },
    CommandSpec {
        name: "sdiffcard",
        summary: "Counts the members of the first set that no further set has, up to a limit.",
        since: "8.10.0",
        complexity: "O(N) in the number of members of all sets",
        arity: -3,
        flags: READONLY | MOVABLE_KEYS,
        keys: COUNT_KEYS,
        syntax: "numkeys key [key ...] [LIMIT limit]",
        plane: Plane::Data(|context, reply| count_result(context, reply, Operation::Difference)),
        ..SET
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// Visits the members of the result at `now`, until `visit` breaks. `None` is a key that is not there, an empty set.
    fn run<'s>(self, sets: &[Option<&'s Set>], now: u64, mut visit: impl FnMut(Item<'s>) -> ControlFlow<()>) {
        let present: Vec<&Set> = sets.iter().copied().flatten().collect();
        match (self, sets) {
            (Operation::Intersection, _) if present.len() == sets.len() => set::intersect(&present, now, visit),
            (Operation::Union, _) => set::unite(&present, now, visit),
            (Operation::Difference, [Some(first), ..]) => {
                // A break is for the visitor alone: there is nothing left to stop here.
                let _ = set::subtract(first, &present[1..], now, &mut visit);
            }
            _ => {}
        }
    }
}

/// The sets of the keys in a range of arguments; the accesses count as reads.
fn read_sets<'c>(
    context: &'c mut Context<'_>,
    keys: std::ops::Range<usize>,
) -> Result<Vec<Option<&'c Set>>, CommandError> {
    let keys: Vec<Key<'_>> = keys.map(|index| context.key(index)).collect();
    for key in &keys {
        context.read::<Set>(key)?;
    }
    keys.iter().map(|key| context.peek_typed::<Set>(key)).collect()
}

fn write_result(context: &mut Context<'_>, reply: &mut Reply<'_>, operation: Operation) -> Outcome {
    let (keys, now) = (1..context.args.len(), timed_access::now(context));
    let sets = read_sets(context, keys)?;
    let header = reply.deferred();
    let mut count = 0;
    operation.run(&sets, now, |member| {
        write_item(reply, member);
        count += 1;
        ControlFlow::Continue(())
    });
    reply.close_set(header, count);
    Ok(())
}

fn store_result(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    operation: Operation,
    event: &'static str,
) -> Outcome {
    let (key, limits, keys) = (context.key(1), limits(context), 2..context.args.len());
    let now = timed_access::now(context);
    for index in keys.clone() {
        let key = context.key(index);
        timed_access::renew::<Set>(context, &key);
    }
    let sets = read_sets(context, keys)?;
    let mut members = Vec::new();
    operation.run(&sets, now, |member| {
        members.push(member);
        ControlFlow::Continue(())
    });
    let result = collect(&members, operation, limits);
    let count = result.len();
    if count > 0 {
        context.store(&key, result);
        context.changed(&key, class::SET, event);
    } else if context.discard(&key) {
        context.changed(&key, class::GENERIC, "del");
    }
    reply.count(count);
    Ok(())
}

/// A set of the members, each of which comes once, in the form that Redis would choose: unions and differences grow member
/// by member, intersections become integers only if they fit and are a listpack before they are a table.
fn collect(members: &[Item<'_>], operation: Operation, limits: SetLimits) -> Set {
    if members.len() > limits.integers.max(limits.packed.entries) {
        // It becomes a table, at the latest on the way.
        return Set::table_of(members);
    }
    let mut result = Set::new();
    if operation == Operation::Intersection {
        let fits_integers = members.len() <= limits.integers && members.iter().all(|member| member.to_i64().is_some());
        let first: &[u8] = if fits_integers { b"0" } else { b"text" };
        result.prepare(first, members.len(), limits);
    }
    for member in members {
        result.add_absent(member.as_bytes(&mut Default::default()), limits);
    }
    result
}

/// What the counting commands are asked for.
struct CountRequest {
    keys: std::ops::Range<usize>,
    /// No more than this is counted.
    limit: usize,
}

impl CountRequest {
    fn parse(args: &[&[u8]], may_approximate: bool) -> Result<Self, CommandError> {
        let key_count = args::non_negative(args[1]).ok().filter(|&count| count > 0).ok_or(NO_KEYS)?;
        if key_count > args.len() - 2 {
            return Err(TOO_MANY_KEYS);
        }
        let mut limit = 0;
        let mut options = Options::new(args, 2 + key_count);
        while options.more() {
            if let Some(text) = options.take_value("LIMIT") {
                limit = args::non_negative(text).map_err(|_| NEGATIVE_LIMIT)?;
            } else if !(may_approximate && options.take("APPROX")) {
                return Err(SYNTAX);
            }
        }
        Ok(Self { keys: 2..2 + key_count, limit: if limit == 0 { usize::MAX } else { limit } })
    }
}

/// Counts without building or returning anything. APPROX allows a union's count to be an estimate, to save memory; it is
/// exact here, as a few sets are asked where they are and many take one reference a member.
fn count_result(context: &mut Context<'_>, reply: &mut Reply<'_>, operation: Operation) -> Outcome {
    let request = CountRequest::parse(context.args, operation == Operation::Union)?;
    let now = timed_access::now(context);
    let sets = read_sets(context, request.keys)?;
    let mut count = 0;
    operation.run(&sets, now, |_| {
        count += 1;
        if count < request.limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    reply.count(count);
    Ok(())
}

#[cfg(test)]
#[path = "tests/set_algebra.rs"]
mod tests;
