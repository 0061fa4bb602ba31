//! Lists at their ends and as a whole: pushing, popping, reading, trimming.
//!
//! Editing within a list is in `list_edit`, moving between lists in `list_move`.

use crate::handler::args;
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::list::{End, List, NodeLimit};
use sherd_types::listpack::Item;

pub(super) const LIST: CommandSpec = CommandSpec { group: Group::List, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lpush",
        summary: "Adds elements to the front of a list, each before the last one. Creates the list if it is not there.",
        history: &[("2.4.0", "Several elements.")],
        complexity: "O(N) in the number of elements added",
        arity: -3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key element [element ...]",
        plane: Plane::Data(|context, reply| push(context, reply, End::Front)),
        ..LIST
    },
    CommandSpec {
        name: "rpush",
        summary: "Adds elements to the back of a list. Creates the list if it is not there.",
        history: &[("2.4.0", "Several elements.")],
        complexity: "O(N) in the number of elements added",
        arity: -3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key element [element ...]",
        plane: Plane::Data(|context, reply| push(context, reply, End::Back)),
        ..LIST
    },
    CommandSpec {
        name: "lpushx",
        summary: "Adds elements to the front of a list, if the list is there.",
        since: "2.2.0",
        history: &[("4.0.0", "Several elements.")],
        complexity: "O(N) in the number of elements added",
        arity: -3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key element [element ...]",
        plane: Plane::Data(|context, reply| push_existing(context, reply, End::Front)),
        ..LIST
    },
    CommandSpec {
        name: "rpushx",
        summary: "Adds elements to the back of a list, if the list is there.",
        since: "2.2.0",
        history: &[("4.0.0", "Several elements.")],
        complexity: "O(N) in the number of elements added",
        arity: -3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key element [element ...]",
        plane: Plane::Data(|context, reply| push_existing(context, reply, End::Back)),
        ..LIST
    },
    CommandSpec {
        name: "lpop",
        summary: "Removes elements from the front of a list and returns them. The list goes with its last element.",
        history: &[("6.2.0", "`count`.")],
        complexity: "O(N) in the number of elements returned",
        arity: -2,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1)],
        syntax: "key [count]",
        plane: Plane::Data(|context, reply| pop(context, reply, End::Front)),
        ..LIST
    },
    CommandSpec {
        name: "rpop",
        summary: "Removes elements from the back of a list and returns them. The list goes with its last element.",
        history: &[("6.2.0", "`count`.")],
        complexity: "O(N) in the number of elements returned",
        arity: -2,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1)],
        syntax: "key [count]",
        plane: Plane::Data(|context, reply| pop(context, reply, End::Back)),
        ..LIST
    },
    CommandSpec {
        name: "llen",
        summary: "Returns the number of elements of a list.",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(llen),
        ..LIST
    },
    CommandSpec {
        name: "lindex",
        summary: "Returns one element of a list by its index.",
        complexity: "O(N) in the number of blocks between the element and the nearer end, and O(1) at the ends",
        arity: 3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key index",
        plane: Plane::Data(lindex),
        ..LIST
    },
    CommandSpec {
        name: "lrange",
        summary: "Returns the elements of a list from one index to another.",
        complexity: "O(S+N) with S the distance of the first element from the nearer end and N elements returned",
        arity: 4,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key start stop",
        plane: Plane::Data(lrange),
        ..LIST
    },
    CommandSpec {
        name: "ltrim",
        summary: "Removes the elements outside a range of indices from a list.",
        complexity: "O(N) in the number of elements removed",
        arity: 4,
        flags: WRITE,
        keys: &[one_key("RW DELETE", 1)],
        syntax: "key start stop",
        plane: Plane::Data(ltrim),
        ..LIST
    },
];

/// Writes an element, however it is stored.
#[inline]
pub(super) fn write_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(value) => reply.bulk_int(value),
        Item::Str(bytes) => reply.bulk(bytes),
    }
}

/// How large a block of a list may get.
#[inline]
pub(super) fn node_limit(context: &Context<'_>) -> NodeLimit {
    NodeLimit::from_setting(context.settings().list_max_listpack_size.get())
}

/// The event of adding at one end.
pub(super) const fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

/// The event of removing at one end.
pub(super) const fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

/// The elements from `start` to `stop`, both inclusive and counted from the back if negative, as first index and count.
pub(super) fn resolve_range(start: i64, stop: i64, length: usize) -> Option<(usize, usize)> {
    let length = length as i64;
    let from_front = |index: i64| if index < 0 { index + length } else { index };
    let start = from_front(start).max(0);
    let stop = from_front(stop).min(length - 1);
    (start <= stop).then(|| (start as usize, (stop - start + 1) as usize))
}

fn push(context: &mut Context<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let key = context.key(1);
    let (args, limit) = (context.args, node_limit(context));
    let list = context.upsert::<List>(&key)?;
    let length = push_values(list, end, &args[2..], limit);
    context.changed_by(args.len() - 2, &key, class::LIST, push_event(end));
    reply.count(length);
    Ok(())
}

fn push_existing(context: &mut Context<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let key = context.key(1);
    let (args, limit) = (context.args, node_limit(context));
    let Some(list) = context.write::<List>(&key)? else {
        reply.int(0);
        return Ok(());
    };
    let length = push_values(list, end, &args[2..], limit);
    context.changed_by(args.len() - 2, &key, class::LIST, push_event(end));
    reply.count(length);
    Ok(())
}

/// Adds the values and returns the length afterwards.
#[inline(always)]
fn push_values(list: &mut List, end: End, values: &[&[u8]], limit: NodeLimit) -> usize {
    match values {
        [value] => list.push(end, value, limit),
        _ => list.push_all(end, values.iter().copied(), limit),
    }
    list.len()
}

fn pop(context: &mut Context<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let key = context.key(1);
    let limit = node_limit(context);
    let count = match context.args {
        [_, _] => None,
        [_, _, count] => Some(args::non_negative(count)?),
        _ => return Err(CommandError::arity(context.spec.name)),
    };
    let Some(list) = context.write::<List>(&key)? else {
        match count {
            None => reply.null(),
            Some(_) => reply.null_array(),
        }
        return Ok(());
    };
    let (removed, emptied) = match count {
        None => {
            if let Some(item) = list.peek(end) {
                write_item(reply, item);
            }
            list.pop(end, limit);
            (1, list.is_empty())
        }
        Some(0) => {
            reply.array(0);
            return Ok(());
        }
        Some(count) => pop_array(list, reply, end, count, limit),
    };
    popped(context, &key, end, removed, emptied);
    Ok(())
}

/// Removes up to `count` elements and writes them as an array; returns how many they are and whether they are all. In that
/// case they stay in the list, which is to be removed as a whole: it may be large and is then freed elsewhere.
pub(super) fn pop_array(
    list: &mut List,
    reply: &mut Reply<'_>,
    end: End,
    count: usize,
    limit: NodeLimit,
) -> (usize, bool) {
    let length = list.len();
    let count = count.min(length);
    reply.array(count);
    let first = if end == End::Front { 0 } else { length - 1 };
    list.iter_from(first, end.opposite()).take(count).for_each(|item| write_item(reply, item));
    if count == length {
        return (count, true);
    }
    let start = if end == End::Front { count } else { 0 };
    list.trim(start, length - count, limit);
    (count, false)
}

/// The command that removes elements at one end.
pub(super) const fn pop_command(end: End) -> &'static str {
    match end {
        End::Front => "LPOP",
        End::Back => "RPOP",
    }
}

/// What follows the removal of elements at one end.
#[inline]
pub(super) fn popped(context: &mut Context<'_>, key: &Key<'_>, end: End, removed: usize, emptied: bool) {
    context.changed_by(removed, key, class::LIST, pop_event(end));
    if emptied {
        context.remove_emptied(key);
    }
}

fn llen(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    reply.count(context.read::<List>(&key)?.map_or(0, List::len));
    Ok(())
}

fn lindex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let index = context.args[2];
    let Some(list) = context.read::<List>(&key)? else {
        reply.null();
        return Ok(());
    };
    match list.get(args::integer(index)?) {
        Some(item) => write_item(reply, item),
        None => reply.null(),
    }
    Ok(())
}

fn lrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let (start, stop) = (args::integer(context.args[2])?, args::integer(context.args[3])?);
    let list = context.read::<List>(&key)?;
    let range = list.and_then(|list| Some((list, resolve_range(start, stop, list.len())?)));
    let Some((list, (first, count))) = range else {
        reply.array(0);
        return Ok(());
    };
    reply.array(count);
    list.iter_from(first, End::Back).take(count).for_each(|item| write_item(reply, item));
    Ok(())
}

fn ltrim(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let limit = node_limit(context);
    let (start, stop) = (args::integer(context.args[2])?, args::integer(context.args[3])?);
    if let Some(list) = context.write::<List>(&key)? {
        let length = list.len();
        let kept = resolve_range(start, stop, length);
        if let Some((first, count)) = kept {
            list.trim(first, count, limit);
        }
        let removed = length - kept.map_or(0, |(_, count)| count);
        context.changed_by(removed, &key, class::LIST, "ltrim");
        if kept.is_none() {
            context.remove_emptied(&key);
        }
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
#[path = "tests/list.rs"]
pub(super) mod tests;
