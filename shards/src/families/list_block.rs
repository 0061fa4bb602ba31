//! Lists as queues that a client waits for: BLPOP, BRPOP, BLMOVE, BLMOVEM, BRPOPLPUSH, BLMPOP.
//!
//! Each first does what its sibling without the B does; only if there is nothing it waits. When it is run again for a
//! waiting client, it finds something or waits on; see `crate::effects::blocking`.

use super::list::{node_limit, pop_command, popped, write_item, LIST};
use super::list_move::{move_element, move_elements, parse_end, pop_from_first, MoveRequest, PopRequest};
use crate::effects::blocking::{self, Block, TimeoutReply};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::entry::object::Type;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, numbered_keys, one_key, CommandSpec, Plane};
use sherd_types::list::{End, List};
use sherd_types::number;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "blpop",
        summary: "Removes and returns the first element of the first of several lists that has one; waits if none has.",
        since: "2.0.0",
        history: &[("6.0.0", "Timeouts with fractions of a second.")],
        complexity: "O(N) in the number of keys",
        arity: -3,
        flags: WRITE | BLOCKING,
        keys: &[key_range("RW ACCESS DELETE", 1, -2, 1)],
        syntax: "key [key ...] timeout:double",
        plane: Plane::Data(|context, reply| block_pop(context, reply, End::Front)),
        ..LIST
    },
    CommandSpec {
        name: "brpop",
        summary: "Removes and returns the last element of the first of several lists that has one; waits if none has.",
        since: "2.0.0",
        history: &[("6.0.0", "Timeouts with fractions of a second.")],
        complexity: "O(N) in the number of keys",
        arity: -3,
        flags: WRITE | BLOCKING,
        keys: &[key_range("RW ACCESS DELETE", 1, -2, 1)],
        syntax: "key [key ...] timeout:double",
        plane: Plane::Data(|context, reply| block_pop(context, reply, End::Back)),
        ..LIST
    },
    CommandSpec {
        name: "blmove",
        summary: "Moves an element from one list to another and returns it; waits for one if there is none.",
        since: "6.2.0",
        arity: 6,
        flags: WRITE | DENYOOM | BLOCKING,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout:double",
        plane: Plane::Data(blmove),
        ..LIST
    },
    CommandSpec {
        name: "blmovem",
        summary: "Moves several elements from one list to another and returns them; waits until there are enough.",
        since: "8.10.0",
        complexity: "O(N) in the number of elements moved",
        arity: -6,
        flags: WRITE | DENYOOM | BLOCKING,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout:double \
                 [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
        plane: Plane::Data(blmovem),
        ..LIST
    },
    CommandSpec {
        name: "brpoplpush",
        summary: "Moves the last element of a list to the front of another and returns it; waits for one if there is none.",
        since: "2.2.0",
        history: &[("6.0.0", "Timeouts with fractions of a second.")],
        deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
        arity: 4,
        flags: WRITE | DENYOOM | BLOCKING,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        syntax: "source destination timeout:double",
        plane: Plane::Data(|context, reply| block_move(context, reply, End::Back, End::Front, 3)),
        ..LIST
    },
    CommandSpec {
        name: "blmpop",
        summary: "Removes and returns elements of the first of several lists that has some; waits if none has.",
        since: "7.0.0",
        complexity: "O(N+M) with N the number of keys and M the number of elements returned",
        arity: -5,
        flags: WRITE | BLOCKING | MOVABLE_KEYS,
        keys: &[numbered_keys("RW ACCESS DELETE", 2)],
        syntax: "timeout:double numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        plane: Plane::Data(blmpop),
        ..LIST
    },
];

/// A timeout, which is given in seconds, in milliseconds; `None`, which is given as 0, is for ever.
pub(super) fn parse_timeout(context: &Context<'_>, text: &[u8]) -> Result<Option<i64>, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::new("ERR timeout is out of range");
    // Redis reads it with a wider range than that of f64, beyond which only the sign matters.
    let beyond = || {
        let edge = if text.starts_with(b"-") { -f64::MAX } else { f64::MAX };
        number::LongDouble::parse(text).map(|_| edge)
    };
    let seconds = number::parse_f64(text)
        .or_else(beyond)
        .ok_or(CommandError::new("ERR timeout is not a float or out of range"))?;
    let milliseconds = (seconds * 1000.0).ceil();
    if milliseconds < 0.0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    if milliseconds >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    match milliseconds as i64 {
        0 => Ok(None),
        // As in Redis, where the end of the wait is a date.
        wait => context.now_ms.checked_add(wait).map(|_| Some(wait)).ok_or(OUT_OF_RANGE),
    }
}

/// What a client waits for in the keys with these argument numbers.
pub(super) fn wait_for(
    context: &Context<'_>,
    keys: impl Iterator<Item = usize>,
    wants: Type,
    timeout_ms: Option<i64>,
) -> Block {
    let deadline_ms = timeout_ms.map(|wait| context.deadline_after(wait));
    Block { keys: blocking::distinct(keys.map(|index| context.args[index])), deadline_ms, wants: Some(wants), on_timeout: TimeoutReply::NullArray, rewrites: Vec::new(), again_at_ms: None }
}

fn block_pop(context: &mut Context<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let last = context.args.len() - 1;
    let timeout_ms = parse_timeout(context, context.args[last])?;
    let limit = node_limit(context);
    for index in 1..last {
        let key = context.key(index);
        let Some(list) = context.write::<List>(&key)? else { continue };
        reply.array(2);
        reply.bulk(key.bytes);
        if let Some(item) = list.peek(end) {
            write_item(reply, item);
        }
        list.pop(end, limit);
        let emptied = list.is_empty();
        popped(context, &key, end, 1, emptied);
        context.effect(&[pop_command(end).as_bytes(), key.bytes]);
        return Ok(());
    }
    let block = wait_for(context, 1..last, Type::List, timeout_ms);
    context.block(reply, block);
    Ok(())
}

fn blmove(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (parse_end(context.args[3])?, parse_end(context.args[4])?);
    block_move(context, reply, from, to, 5)
}

fn block_move(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    from: End,
    to: End,
    timeout_at: usize,
) -> Outcome {
    let timeout_ms = parse_timeout(context, context.args[timeout_at])?;
    let source = context.key(1);
    if context.is_there::<List>(&source)? {
        return move_element(context, reply, from, to);
    }
    let mut block = wait_for(context, 1..2, Type::List, timeout_ms);
    if !context.origin.may_wait() {
        block.on_timeout = TimeoutReply::Null;
    }
    context.block(reply, block);
    Ok(())
}

fn blmovem(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let request = MoveRequest::parse(context.args, 6)?;
    let timeout_ms = parse_timeout(context, context.args[5])?;
    if !move_elements(context, reply, &request)? {
        let block = wait_for(context, 1..2, Type::List, timeout_ms);
        context.block(reply, block);
    }
    Ok(())
}

fn blmpop(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let timeout_ms = parse_timeout(context, context.args[1])?;
    let request = PopRequest::parse(context.args, 2)?;
    if !pop_from_first(context, reply, &request)? {
        let block = wait_for(context, request.keys, Type::List, timeout_ms);
        context.block(reply, block);
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/list_block.rs"]
mod tests;
