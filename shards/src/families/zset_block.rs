//! Sorted sets as queues that a client waits for: BZPOPMIN, BZPOPMAX, BZMPOP.

use super::list_block::{parse_timeout, wait_for};
use super::zset_take::{after_pop, pop_command, pop_members, MultiPop};
use crate::handler::context::Context;
use crate::handler::error::Outcome;
use crate::entry::object::Type;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, numbered_keys, CommandSpec, Group, Plane};
use sherd_types::zset::ZSet;

const WAITING: CommandSpec = CommandSpec {
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(log N) in the number of members",
    arity: -3,
    flags: WRITE | BLOCKING | FAST,
    keys: &[key_range("RW ACCESS DELETE", 1, -2, 1)],
    syntax: "key [key ...] timeout:double",
    ..CommandSpec::DEFAULT
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "bzpopmin",
        summary: "Removes and returns the lowest member of the first of several sorted sets that has one; waits if none has.",
        history: &[("6.0.0", "Timeouts with fractions of a second.")],
        plane: Plane::Data(|context, reply| block_pop(context, reply, false)),
        ..WAITING
    },
    CommandSpec {
        name: "bzpopmax",
        summary: "Removes and returns the highest member of the first of several sorted sets that has one; waits if none has.",
        history: &[("6.0.0", "Timeouts with fractions of a second.")],
        plane: Plane::Data(|context, reply| block_pop(context, reply, true)),
        ..WAITING
    },
    CommandSpec {
        name: "bzmpop",
        summary: "Removes and returns members of the first of several sorted sets that has some; waits if none has.",
        since: "7.0.0",
        complexity: "O(K) + O(M*log N) with K the number of keys, M that of members removed, N that in the set",
        arity: -5,
        flags: WRITE | BLOCKING | MOVABLE_KEYS,
        keys: &[numbered_keys("RW ACCESS DELETE", 2)],
        syntax: "timeout:double numkeys key [key ...] <MIN | MAX> [COUNT count]",
        plane: Plane::Data(bzmpop),
        ..WAITING
    },
];

fn block_pop(context: &mut Context<'_>, reply: &mut Reply<'_>, highest: bool) -> Outcome {
    let last = context.args.len() - 1;
    let timeout_ms = parse_timeout(context, context.args[last])?;
    for index in 1..last {
        let key = context.key(index);
        let Some(set) = context.write::<ZSet>(&key)? else { continue };
        reply.array(3);
        reply.bulk(key.bytes);
        pop_members(set, 1, highest, false, reply);
        let emptied = set.is_empty();
        after_pop(context, &key, 1, highest, emptied);
        context.effect(&[pop_command(highest).as_bytes(), key.bytes]);
        return Ok(());
    }
    let block = wait_for(context, 1..last, Type::SortedSet, timeout_ms);
    context.block(reply, block);
    Ok(())
}

fn bzmpop(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let timeout_ms = parse_timeout(context, context.args[1])?;
    let pop = MultiPop::parse(context.args, 2)?;
    if !pop.run(context, reply)? {
        let block = wait_for(context, pop.keys.clone(), Type::SortedSet, timeout_ms);
        context.block(reply, block);
    }
    Ok(())
}
