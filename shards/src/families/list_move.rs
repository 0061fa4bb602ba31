//! Lists as queues: moving elements from one to another, popping from the first of several that has some.
//!
//! The commands that wait for an element build upon these.

use super::effects;
use super::list::{node_limit, pop_array, pop_command, popped, push_event, write_item, LIST};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, numbered_keys, one_key, CommandSpec, Plane};
use sherd_types::list::{End, List};

const NO_KEYS: CommandError = CommandError::new("ERR numkeys should be greater than 0");
const NO_COUNT: CommandError = CommandError::new("ERR count should be greater than 0");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lmove",
        summary: "Moves an element from an end of one list to an end of another or the same and returns it.",
        since: "6.2.0",
        arity: 5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        plane: Plane::Data(lmove),
        ..LIST
    },
    CommandSpec {
        name: "lmovem",
        summary: "Moves several elements from an end of one list to an end of another or the same and returns them.",
        since: "8.10.0",
        complexity: "O(N) in the number of elements moved",
        arity: -5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
        plane: Plane::Data(lmovem),
        ..LIST
    },
    CommandSpec {
        name: "rpoplpush",
        summary: "Moves the last element of a list to the front of another or the same and returns it.",
        since: "1.2.0",
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        arity: 3,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        syntax: "source destination",
        plane: Plane::Data(|context, reply| move_element(context, reply, End::Back, End::Front)),
        ..LIST
    },
    CommandSpec {
        name: "lmpop",
        summary: "Removes elements from the first of several lists that has some and returns them.",
        since: "7.0.0",
        complexity: "O(N+M) with N the number of keys and M the number of elements returned",
        arity: -4,
        flags: WRITE | MOVABLE_KEYS,
        keys: &[numbered_keys("RW ACCESS DELETE", 1)],
        syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        plane: Plane::Data(lmpop),
        ..LIST
    },
];

/// `LEFT` or `RIGHT`.
pub(super) fn parse_end(text: &[u8]) -> Result<End, CommandError> {
    if args::is(text, "LEFT") {
        Ok(End::Front)
    } else if args::is(text, "RIGHT") {
        Ok(End::Back)
    } else {
        Err(SYNTAX)
    }
}

/// The word for an end.
const fn end_word(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LEFT",
        End::Back => b"RIGHT",
    }
}

fn lmove(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (parse_end(context.args[3])?, parse_end(context.args[4])?);
    move_element(context, reply, from, to)
}

/// Moves an element of the list in argument 1 to the list in argument 2.
pub(super) fn move_element(context: &mut Context<'_>, reply: &mut Reply<'_>, from: End, to: End) -> Outcome {
    let (source_key, target_key) = (context.key(1), context.key(2));
    let limit = node_limit(context);
    if !context.is_there::<List>(&source_key)? {
        reply.null();
        return Ok(());
    }
    // The target's type is checked before anything is changed.
    context.is_there::<List>(&target_key)?;
    let Some(source) = context.write::<List>(&source_key)? else { return Ok(()) };
    let Some(item) = source.peek(from) else { return Ok(()) };
    write_item(reply, item);
    let mut emptied = false;
    if source_key.bytes == target_key.bytes {
        if from != to {
            source.rotate(from, limit);
        }
    } else {
        let element = item.to_vec();
        source.pop(from, limit);
        emptied = source.is_empty();
        context.upsert::<List>(&target_key)?.push(to, &element, limit);
    }
    // One element has moved: that is one change, which the source's removal does not count again.
    context.changed(&target_key, class::LIST, push_event(to));
    context.effect(&[b"LMOVE", source_key.bytes, target_key.bytes, end_word(from), end_word(to)]);
    popped(context, &source_key, from, 0, emptied);
    Ok(())
}

/// What LMOVEM and its waiting sibling are asked for.
pub(super) struct MoveRequest {
    from: End,
    to: End,
    count: usize,
    /// All of `count` or nothing.
    exactly: bool,
    /// One after the other, as repeated LMOVE would; otherwise the elements keep their order.
    one_by_one: bool,
}

impl MoveRequest {
    /// The ends are in arguments 3 and 4; how many to move is said from argument `options_at` on, or one is moved.
    pub fn parse(args: &[&[u8]], options_at: usize) -> Result<Self, CommandError> {
        let (from, to) = (parse_end(args[3])?, parse_end(args[4])?);
        let mut request = MoveRequest { from, to, count: 1, exactly: false, one_by_one: false };
        let [selector, count, order] = match args.get(options_at..).unwrap_or_default() {
            [] => return Ok(request),
            &[selector, count, order] => [selector, count, order],
            _ => return Err(SYNTAX),
        };
        request.exactly = args::is(selector, "EXACTLY");
        request.one_by_one = args::is(order, "OBO");
        if !(request.exactly || args::is(selector, "COUNT")) || !(request.one_by_one || args::is(order, "BULK")) {
            return Err(SYNTAX);
        }
        request.count = args::non_negative(count).ok().filter(|&count| count > 0).ok_or(NO_COUNT)?;
        Ok(request)
    }
}

fn lmovem(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let request = MoveRequest::parse(context.args, 5)?;
    if !move_elements(context, reply, &request)? {
        reply.null_array();
    }
    Ok(())
}

/// Moves elements of the list in argument 1 to the list in argument 2 and writes them in the order that they have there;
/// false if there are not as many as there must be.
pub(super) fn move_elements(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    request: &MoveRequest,
) -> Result<bool, CommandError> {
    let (source_key, target_key) = (context.key(1), context.key(2));
    let limit = node_limit(context);
    let MoveRequest { from, to, .. } = *request;
    let length = context.write::<List>(&source_key)?.map_or(0, |source| source.len());
    if length == 0 || request.exactly && length < request.count {
        return Ok(false);
    }
    // The target's type is checked before anything is changed.
    context.is_there::<List>(&target_key)?;
    let Some(source) = context.write::<List>(&source_key)? else { return Ok(false) };
    let count = request.count.min(length);
    let moved = source.take_from_end(from, count, limit);
    // As they come off the source one by one: pushed like that, or in such an order that they lie as they did.
    let keeps_sequence = request.one_by_one || from != to;
    let push_order: Vec<&[u8]> = if keeps_sequence {
        moved.iter().map(Vec::as_slice).collect()
    } else {
        moved.iter().rev().map(Vec::as_slice).collect()
    };
    let same = source_key.bytes == target_key.bytes;
    let emptied = source.is_empty() && !same;
    context.upsert::<List>(&target_key)?.push_all(to, push_order.iter().copied(), limit);
    reply.array(count);
    match to {
        End::Back => push_order.iter().for_each(|element| reply.bulk(element)),
        End::Front => push_order.iter().rev().for_each(|element| reply.bulk(element)),
    }
    context.changed_by(count, &target_key, class::LIST, push_event(to));
    effects::with_count(context, pop_command(from), &source_key, count);
    let push = if to == End::Front { "LPUSH" } else { "RPUSH" };
    effects::with_elements(context, push, &target_key, push_order.iter().copied());
    popped(context, &source_key, from, 0, emptied);
    Ok(true)
}

/// What LMPOP and its waiting sibling are asked for.
pub(super) struct PopRequest {
    /// The arguments that are keys.
    pub keys: std::ops::Range<usize>,
    pub end: End,
    pub count: usize,
}

impl PopRequest {
    /// From `numkeys` in argument `first` on.
    pub fn parse(args: &[&[u8]], first: usize) -> Result<Self, CommandError> {
        let key_count = args::non_negative(args[first]).ok().filter(|&count| count > 0).ok_or(NO_KEYS)?;
        let keys = first + 1..(first + 1).saturating_add(key_count);
        let end = parse_end(args.get(keys.end).ok_or(SYNTAX)?)?;
        let mut count = None;
        let mut options = Options::new(args, keys.end + 1);
        while options.more() {
            let value = options.take_value("COUNT").filter(|_| count.is_none()).ok_or(SYNTAX)?;
            count = Some(args::non_negative(value).ok().filter(|&count| count > 0).ok_or(NO_COUNT)?);
        }
        Ok(Self { keys, end, count: count.unwrap_or(1) })
    }
}

fn lmpop(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let request = PopRequest::parse(context.args, 1)?;
    if !pop_from_first(context, reply, &request)? {
        reply.null_array();
    }
    Ok(())
}

/// Pops from the first list that is there and writes its key and the elements; false if there is none.
pub(super) fn pop_from_first(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    request: &PopRequest,
) -> Result<bool, CommandError> {
    let limit = node_limit(context);
    for index in request.keys.clone() {
        let key = context.key(index);
        let Some(list) = context.write::<List>(&key)? else { continue };
        reply.array(2);
        reply.bulk(key.bytes);
        let (removed, emptied) = pop_array(list, reply, request.end, request.count, limit);
        popped(context, &key, request.end, removed, emptied);
        effects::with_count(context, pop_command(request.end), &key, removed);
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
#[path = "tests/list_move.rs"]
mod tests;
