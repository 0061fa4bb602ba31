//! Members of sets at random: SRANDMEMBER, SPOP.

use super::effects;
use super::draw::{self, Draw};
use super::hash_read::address;
use super::list::write_item;
use super::set::{limits, write_members, SET};
use super::timed_access;
use crate::handler::args;
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::NewValue;
use crate::handler::error::{Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::entry::object::Collection;
use sherd_types::random::Random;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::listpack::Item;
use sherd_types::set::{Set, SetLimits, Stored};

/// SPOP builds a new set of what remains, instead of removing one by one, when this many times the remainder is no more than
/// what goes: the rule of Redis, on which the encoding of the remainder depends.
const REBUILD_SHARE: usize = 5;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "srandmember",
        summary: "Returns members of a set, chosen at random.",
        history: &[("2.6.0", "`count`.")],
        complexity: "O(N) in the number of members returned",
        arity: -2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [count]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(srandmember),
        ..SET
    },
    CommandSpec {
        name: "spop",
        summary: "Removes members from a set, chosen at random, and returns them. The set goes with its last member.",
        history: &[("3.2.0", "`count`.")],
        complexity: "O(N) in the number of members returned",
        arity: -2,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1)],
        syntax: "key [count]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(spop),
        ..SET
    },
];

fn srandmember(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let draw = match context.args {
        [_, _] => None,
        [_, _, count] => Some(Draw::parse(count)?),
        _ => return Err(SYNTAX),
    };
    let (mut random, now) = (Random::fixed(context.random()), timed_access::now(context));
    let keeps_expired = context.keeps_expired();
    let mut set = context.read::<Set>(&key)?;
    let is_due = set.is_some_and(|set| set.is_due(now));
    let copy;
    if is_due && keeps_expired {
        copy = timed_access::without_expired::<Set>(context, &key);
        set = copy.as_ref();
    } else if is_due {
        expire(context, &key, draw.is_none(), &mut random);
        set = context.peek_typed(&key)?;
    }
    let Some(draw) = draw else {
        match set.and_then(|set| set.random(|| random.next())) {
            Some(member) => write_item(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let Some(set) = set else {
        reply.array(0);
        return Ok(());
    };
    let count = draw.size(set.len())?;
    reply.array(count);
    draw_members(set, draw, count, &mut random, |member| write_item(reply, member));
    Ok(())
}

/// Removes what has expired before members are drawn: one or several.
fn expire(context: &mut Context<'_>, key: &Key<'_>, only_one: bool, random: &mut Random) {
    if only_one {
        let draw = |set: &Set, random: &mut Random| set.random(|| random.next()).map(|member| member.to_vec());
        timed_access::expire_drawn(context, key, random, draw);
    } else {
        timed_access::expire_all::<Set>(context, key);
    }
}

/// Visits `count` members (as [`Draw::size`] gives it) at random.
fn draw_members<'s>(set: &'s Set, draw: Draw, count: usize, random: &mut Random, mut visit: impl FnMut(Item<'s>)) {
    match draw {
        Draw::Repeated(_) => {
            for _ in 0..count {
                if let Some(member) = set.random(|| random.next()) {
                    visit(member);
                }
            }
        }
        Draw::Distinct(_) if !matches!(set.stored(), Stored::Table) || draw::prefers_walk(count, set.len()) => {
            draw::walk(random, count, set.len(), set.iter(), visit);
        }
        Draw::Distinct(_) => {
            let draw_one = || set.random(|| random.next()).map(|member| (address(member), member));
            draw::distinct(count, draw_one, visit);
        }
    }
}

fn spop(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let limits = limits(context);
    let count = match context.args {
        [_, _] => None,
        [_, _, count] => Some(args::non_negative(count)?),
        _ => return Err(SYNTAX),
    };
    let (mut random, now) = (Random::fixed(context.random()), timed_access::now(context));
    let mut gone = if context.is_recorded() { Gone::Named(Vec::new()) } else { Gone::Unrecorded };
    let is_due = |set: &Set| count != Some(0) && set.is_due(now);
    let expire = |context: &mut Context<'_>| expire(context, &key, count.is_none(), &mut random);
    let Some(set) = context.write_renewed(&key, is_due, expire)? else {
        match count {
            None => reply.null(),
            Some(_) => reply.set(0),
        }
        return Ok(());
    };
    let length = set.len();
    let (removed, emptied) = match count {
        None => {
            pop_one(set, &mut random, reply, &mut gone);
            (1, set.is_empty())
        }
        Some(0) => {
            reply.set(0);
            return Ok(());
        }
        Some(count) if count >= set.len() => {
            write_members(reply, set, now);
            gone = Gone::All;
            (length, true)
        }
        // What stays keeps its time to live, so a set that has any is not built anew.
        Some(count) if set.timed().is_none() && (set.len() - count).saturating_mul(REBUILD_SHARE) <= count => {
            let remainder = split_off_remainder(set, count, limits, &mut random, reply, &mut gone);
            replace(context, &key, remainder);
            (count, false)
        }
        Some(count) => {
            reply.set(count);
            (0..count).for_each(|_| pop_one(set, &mut random, reply, &mut gone));
            (count, false)
        }
    };
    context.changed_by(removed, &key, class::SET, "spop");
    match gone {
        Gone::Unrecorded => {}
        Gone::All => effects::deleted(context, &key),
        Gone::Named(names) => effects::with_elements(context, "SREM", &key, names.iter().map(Vec::as_slice)),
    }
    if emptied {
        context.remove_emptied(&key);
    }
    Ok(())
}

/// Which members are gone, where somebody wants to know.
enum Gone {
    Unrecorded,
    All,
    Named(Vec<Vec<u8>>),
}

impl Gone {
    #[inline]
    fn add(&mut self, member: &[u8]) {
        if let Gone::Named(names) = self {
            names.push(member.to_vec());
        }
    }
}

/// Removes a member and writes it.
#[inline]
fn pop_one(set: &mut Set, random: &mut Random, reply: &mut Reply<'_>, gone: &mut Gone) {
    let Some(member) = set.random(|| random.next()) else { return };
    write_item(reply, member);
    let length = member.text_len();
    // The reply holds a copy of the member now, followed by a line break: no other is needed for removing it.
    let written = reply.written();
    let end = written.len() - b"\r\n".len();
    set.remove(&written[end - length..end]);
    gone.add(&written[end - length..end]);
}

/// Writes `count` members, chosen at random, as a set and returns the others as a new set.
fn split_off_remainder(
    set: &Set,
    count: usize,
    limits: SetLimits,
    random: &mut Random,
    reply: &mut Reply<'_>,
    gone: &mut Gone,
) -> Set {
    let remaining = set.len() - count;
    let mut remainder = Set::new();
    if !matches!(set.stored(), Stored::Integers(_)) {
        // As in Redis, what was a table starts small again, but not as integers.
        remainder.prepare(b"text", remaining, limits);
    }
    draw_members(set, Draw::Distinct(remaining), remaining, random, |member| {
        remainder.add(member.as_bytes(&mut Default::default()), limits);
    });
    reply.set(count);
    let goes = |member: &Item<'_>| !remainder.contains(member.as_bytes(&mut Default::default()));
    for member in set.iter().filter(goes) {
        write_item(reply, member);
        gone.add(member.as_bytes(&mut Default::default()));
    }
    remainder
}

/// Puts a set in the place of the key's old one, which may be large and is freed elsewhere then.
fn replace(context: &mut Context<'_>, key: &Key<'_>, set: Set) {
    context.insert(key, NewValue::Object(set.wrap()), Expiry::Keep);
}

#[cfg(test)]
#[path = "tests/set_draw.rs"]
mod tests;
