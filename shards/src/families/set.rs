//! Sets, member by member: SADD, SREM, SISMEMBER, SMOVE.
//!
//! Members at random are in `set_draw`, the algebra of sets in `set_algebra`.

use super::element_scan::{write_scan, Beside, ScanOptions};
use super::list::write_item;
use super::timed_access;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::Outcome;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::hash::Limits;
use sherd_types::set::{Set, SetLimits};

pub(super) const SET: CommandSpec = CommandSpec { group: Group::Set, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sadd",
        summary: "Adds members to a set. Creates the set if it is not there.",
        history: &[("2.4.0", "Several members.")],
        complexity: "O(N) in the number of members given",
        arity: -3,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        element: 2,
        syntax: "key member [member ...]",
        plane: Plane::Data(sadd),
        ..SET
    },
    CommandSpec {
        name: "srem",
        summary: "Removes members from a set. The set goes with its last member.",
        history: &[("2.4.0", "Several members.")],
        complexity: "O(N) in the number of members given",
        arity: -3,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE", 1)],
        element: 2,
        syntax: "key member [member ...]",
        plane: Plane::Data(srem),
        ..SET
    },
    CommandSpec {
        name: "smove",
        summary: "Moves a member from one set to another.",
        arity: 4,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("RW INSERT", 2)],
        element: 3,
        syntax: "source destination member",
        plane: Plane::Data(smove),
        ..SET
    },
    CommandSpec {
        name: "sismember",
        summary: "Tells whether a member is in a set.",
        arity: 3,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        element: 2,
        syntax: "key member",
        plane: Plane::Data(sismember),
        ..SET
    },
    CommandSpec {
        name: "smismember",
        summary: "Tells for each of several members whether it is in a set.",
        since: "6.2.0",
        complexity: "O(N) in the number of members asked for",
        arity: -3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key member [member ...]",
        plane: Plane::Data(smismember),
        ..SET
    },
    CommandSpec {
        name: "scard",
        summary: "Returns the number of members of a set.",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(scard),
        ..SET
    },
    CommandSpec {
        name: "smembers",
        summary: "Returns all members of a set.",
        complexity: "O(N) in the size of the set",
        arity: 2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(smembers),
        ..SET
    },
    CommandSpec {
        name: "sscan",
        summary: "Visits the members of a set in steps.",
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for a complete round over N members",
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(sscan),
        ..SET
    },
];

/// How large a set may be in its small forms.
#[inline]
pub(super) fn limits(context: &Context<'_>) -> SetLimits {
    let settings = context.settings();
    SetLimits {
        integers: settings.set_max_intset_entries.size(),
        packed: Limits {
            entries: settings.set_max_listpack_entries.size(),
            value_bytes: settings.set_max_listpack_value.size(),
        },
    }
}

fn sadd(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits) = (context.key(1), limits(context));
    let members = &context.args[2..];
    let set = timed_access::upsert::<Set>(context, &key, members.iter())?;
    set.prepare(members[0], members.len(), limits);
    let added = members.iter().filter(|member| set.add(member, limits)).count();
    if added > 0 {
        context.changed_by(added, &key, class::SET, "sadd");
    }
    reply.count(added);
    Ok(())
}

fn srem(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members) = (context.key(1), &context.args[2..]);
    let Some(set) = timed_access::write::<Set>(context, &key, members.iter())? else {
        reply.int(0);
        return Ok(());
    };
    let removed = members.iter().filter(|member| set.remove(member)).count();
    let emptied = set.is_empty();
    if removed > 0 {
        context.changed_by(removed, &key, class::SET, "srem");
    }
    if emptied {
        context.remove_emptied(&key);
    }
    reply.count(removed);
    Ok(())
}

fn smove(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (source_key, target_key, member) = (context.key(1), context.key(2), context.args[3]);
    let (named, limits) = (&context.args[3..], limits(context));
    if !context.is_there::<Set>(&source_key)? {
        reply.int(0);
        return Ok(());
    }
    // The target's type is checked before anything is changed.
    context.is_there::<Set>(&target_key)?;
    let Some(source) = timed_access::write::<Set>(context, &source_key, named.iter())? else {
        reply.int(0);
        return Ok(());
    };
    if source_key.bytes == target_key.bytes {
        reply.flag(source.contains(member));
        return Ok(());
    }
    let expiry = source.expiry(member).flatten();
    if !source.remove(member) {
        reply.int(0);
        return Ok(());
    }
    let emptied = source.is_empty();
    context.changed(&source_key, class::SET, "srem");
    if emptied {
        context.remove_emptied(&source_key);
    }
    let target = timed_access::upsert::<Set>(context, &target_key, named.iter())?;
    if target.add(member, limits) {
        // What was to last for a while in one set shall not last for ever in the other.
        if expiry.is_some() {
            target.set_expiry(member, expiry, limits);
            context.announce_fields(&target_key);
        }
        context.changed(&target_key, class::SET, "sadd");
    }
    reply.int(1);
    Ok(())
}

fn sismember(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members, now) = (context.key(1), &context.args[2..], timed_access::now(context));
    let set = timed_access::read::<Set>(context, &key, members.iter())?;
    reply.flag(timed_access::living(set, members[0], now).is_some_and(|set| set.contains(members[0])));
    Ok(())
}

fn smismember(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members, now) = (context.key(1), &context.args[2..], timed_access::now(context));
    let set = timed_access::read::<Set>(context, &key, members.iter())?;
    reply.array(members.len());
    for member in members {
        reply.flag(timed_access::living(set, member, now).is_some_and(|set| set.contains(member)));
    }
    Ok(())
}

fn scard(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    reply.count(context.read::<Set>(&key)?.map_or(0, Set::len));
    Ok(())
}

fn smembers(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (context.key(1), timed_access::now(context));
    match context.read::<Set>(&key)? {
        Some(set) => write_members(reply, set, now),
        None => reply.set(0),
    }
    Ok(())
}

/// Writes the members that have not expired at `now` as a set.
pub(super) fn write_members(reply: &mut Reply<'_>, set: &Set, now: u64) {
    reply.set(if set.is_due(now) { set.iter_at(now).count() } else { set.len() });
    set.iter_at(now).for_each(|member| write_item(reply, member));
}

fn sscan(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args, now) = (context.key(1), context.args, timed_access::now(context));
    let cursor = args::cursor(args[2])?;
    let Some(set) = context.read::<Set>(&key)? else {
        write_scan(reply, 0, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(args, Beside::Nothing)?;
    let (mut members, mut written) = (Vec::new(), 0);
    let mut part = Reply::new(&mut members, reply.protocol());
    let next = options.run(cursor, |cursor| {
        let mut visited = 0;
        let next = set.scan(cursor, now, |member| {
            visited += 1;
            if options.matches(member.as_bytes(&mut Default::default())) {
                write_item(&mut part, member);
                written += 1;
            }
        });
        (visited, next)
    });
    write_scan(reply, next, written, &members);
    Ok(())
}

#[cfg(test)]
#[path = "tests/set.rs"]
pub(super) mod tests;
