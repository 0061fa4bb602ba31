//! Lists within: finding, replacing, inserting and removing elements.

use super::list::{node_limit, LIST};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, INDEX_RANGE, NO_SUCH_KEY, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::list::{End, List};

const ZERO_RANK: CommandError = CommandError::new(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
     or use negative to start from the end of the list",
);
const NEGATIVE_COUNT: CommandError = CommandError::new("ERR COUNT can't be negative");
const NEGATIVE_MAXLEN: CommandError = CommandError::new("ERR MAXLEN can't be negative");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lset",
        summary: "Replaces one element of a list by its index.",
        complexity: "O(N) in the number of blocks between the element and the nearer end, and O(1) at the ends",
        arity: 4,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key index element",
        plane: Plane::Data(lset),
        ..LIST
    },
    CommandSpec {
        name: "linsert",
        summary: "Inserts an element before or after the first one that equals a pivot.",
        since: "2.2.0",
        complexity: "O(N) in the number of elements up to the pivot",
        arity: 5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key <BEFORE | AFTER> pivot element",
        plane: Plane::Data(linsert),
        ..LIST
    },
    CommandSpec {
        name: "lrem",
        summary: "Removes elements that equal a value. The list goes with its last element.",
        complexity: "O(N+M) with N the length of the list and M the number of elements removed",
        arity: 4,
        flags: WRITE,
        keys: &[one_key("RW DELETE", 1)],
        syntax: "key count element",
        plane: Plane::Data(lrem),
        ..LIST
    },
    CommandSpec {
        name: "lpos",
        summary: "Returns the indices of the elements that equal a value.",
        since: "6.0.6",
        complexity: "O(N) in the number of elements compared",
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        plane: Plane::Data(lpos),
        ..LIST
    },
];

fn lset(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let (args, limit) = (context.args, node_limit(context));
    let list = context.write::<List>(&key)?.ok_or(NO_SUCH_KEY)?;
    if !list.set(args::integer(args[2])?, args[3], limit) {
        return Err(INDEX_RANGE);
    }
    context.changed(&key, class::LIST, "lset");
    reply.ok();
    Ok(())
}

fn linsert(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let (args, limit) = (context.args, node_limit(context));
    let side = if args::is(args[2], "AFTER") {
        End::Back
    } else if args::is(args[2], "BEFORE") {
        End::Front
    } else {
        return Err(SYNTAX);
    };
    let Some(list) = context.write::<List>(&key)? else {
        reply.int(0);
        return Ok(());
    };
    if !list.insert(side, args[3], args[4], limit) {
        reply.int(-1);
        return Ok(());
    }
    let length = list.len();
    context.changed(&key, class::LIST, "linsert");
    reply.count(length);
    Ok(())
}

fn lrem(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let (args, limit) = (context.args, node_limit(context));
    let count = args::negatable(args[2])?;
    let from = if count < 0 { End::Back } else { End::Front };
    let Some(list) = context.write::<List>(&key)? else {
        reply.int(0);
        return Ok(());
    };
    let removed = list.remove(from, args[3], count.unsigned_abs() as usize, limit);
    let emptied = list.is_empty();
    if removed > 0 {
        context.changed_by(removed, &key, class::LIST, "lrem");
    }
    if emptied {
        context.remove_emptied(&key);
    }
    reply.count(removed);
    Ok(())
}

fn lpos(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let element = context.args[2];
    let (mut rank, mut count, mut compared) = (1, None, 0);
    let mut options = Options::new(context.args, 3);
    while options.more() {
        if let Some(value) = options.take_value("RANK") {
            rank = args::negatable(value)?;
            if rank == 0 {
                return Err(ZERO_RANK);
            }
        } else if let Some(value) = options.take_value("COUNT") {
            count = Some(args::non_negative(value).map_err(|_| NEGATIVE_COUNT)?);
        } else if let Some(value) = options.take_value("MAXLEN") {
            compared = args::non_negative(value).map_err(|_| NEGATIVE_MAXLEN)?;
        } else {
            return Err(SYNTAX);
        }
    }
    let from = if rank < 0 { End::Back } else { End::Front };
    let skipped = rank.unsigned_abs() as usize - 1;
    let found = match context.read::<List>(&key)? {
        Some(list) => list.positions(element, from, skipped, count.unwrap_or(1), compared),
        None => Vec::new(),
    };
    if count.is_some() {
        reply.array(found.len());
        found.iter().for_each(|&index| reply.count(index));
        return Ok(());
    }
    match found.first() {
        Some(&index) => reply.count(index),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/list_edit.rs"]
mod tests;
