//! Hashes as a whole: all of their pairs, some at random, a step of a scan.

use super::draw::{self, Draw};
use super::element_scan::{write_scan, Beside, ScanOptions};
use super::hash::HASH;
use super::timed_access;
use super::list::write_item;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, OUT_OF_RANGE, SYNTAX};
use sherd_types::random::Random;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::hash::Hash;
use sherd_types::listpack::Item;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hgetall",
        summary: "Returns all fields of a hash with their values.",
        since: "2.0.0",
        complexity: "O(N) in the size of the hash",
        arity: 2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(|context, reply| read_all(context, reply, Parts::Pairs)),
        ..HASH
    },
    CommandSpec {
        name: "hkeys",
        summary: "Returns all fields of a hash.",
        since: "2.0.0",
        complexity: "O(N) in the size of the hash",
        arity: 2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(|context, reply| read_all(context, reply, Parts::Fields)),
        ..HASH
    },
    CommandSpec {
        name: "hvals",
        summary: "Returns all values of a hash.",
        since: "2.0.0",
        complexity: "O(N) in the size of the hash",
        arity: 2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        plane: Plane::Data(|context, reply| read_all(context, reply, Parts::Values)),
        ..HASH
    },
    CommandSpec {
        name: "hrandfield",
        summary: "Returns fields of a hash, chosen at random.",
        since: "6.2.0",
        complexity: "O(N) in the number of fields returned",
        arity: -2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [(count [WITHVALUES])]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(hrandfield),
        ..HASH
    },
    CommandSpec {
        name: "hscan",
        summary: "Visits the fields of a hash in steps.",
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for a complete round over N fields",
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(hscan),
        ..HASH
    },
];

/// What of each pair is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Pairs,
    Fields,
    Values,
}

fn read_all(context: &mut Context<'_>, reply: &mut Reply<'_>, parts: Parts) -> Outcome {
    let key = context.key(1);
    let now = timed_access::now(context);
    let hash = context.read::<Hash>(&key)?;
    let length = match hash {
        Some(hash) if hash.is_due(now) => hash.iter_at(now).count(),
        hash => hash.map_or(0, Hash::len),
    };
    match parts {
        Parts::Pairs => reply.map(length),
        Parts::Fields | Parts::Values => reply.array(length),
    }
    for (field, value) in hash.into_iter().flat_map(|hash| hash.iter_at(now)) {
        if parts != Parts::Values {
            write_item(reply, field);
        }
        if parts != Parts::Fields {
            write_item(reply, value);
        }
    }
    Ok(())
}

/// What HRANDFIELD is asked for beside the key.
fn parse_draw(args: &[&[u8]]) -> Result<(Draw, bool), CommandError> {
    let draw = Draw::parse(args[2])?;
    match &args[3..] {
        [] => Ok((draw, false)),
        [word] if args::is(word, "WITHVALUES") => match draw {
            Draw::Distinct(count) | Draw::Repeated(count) if count > i64::MAX as usize / 2 => Err(OUT_OF_RANGE),
            _ => Ok((draw, true)),
        },
        _ => Err(SYNTAX),
    }
}

fn hrandfield(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let draw = if context.args.len() > 2 { Some(parse_draw(context.args)?) } else { None };
    let (mut random, now) = (Random::fixed(context.random()), timed_access::now(context));
    let keeps_expired = context.keeps_expired();
    let mut hash = context.read::<Hash>(&key)?;
    let is_due = hash.is_some_and(|hash| hash.is_due(now));
    let copy;
    if is_due && keeps_expired {
        copy = timed_access::without_expired::<Hash>(context, &key);
        hash = copy.as_ref();
    } else if is_due {
        if draw.is_some() {
            timed_access::expire_all::<Hash>(context, &key);
        } else {
            let draw = |hash: &Hash, random: &mut Random| hash.random(|| random.next()).map(|(field, _)| field.to_vec());
            timed_access::expire_drawn(context, &key, &mut random, draw);
        }
        hash = context.peek_typed(&key)?;
    }
    let Some((draw, with_values)) = draw else {
        match hash.and_then(|hash| hash.random(|| random.next())) {
            Some((field, _)) => write_item(reply, field),
            None => reply.null(),
        }
        return Ok(());
    };
    let Some(hash) = hash else {
        reply.array(0);
        return Ok(());
    };
    let count = draw.size(hash.len())?;
    // RESP3 nests each pair; RESP2 is flat.
    reply.array(if with_values && !reply.is_resp3() { 2 * count } else { count });
    draw_pairs(hash, draw, count, &mut random, |field, value| {
        if with_values && reply.is_resp3() {
            reply.array(2);
        }
        write_item(reply, field);
        if with_values {
            write_item(reply, value);
        }
    });
    Ok(())
}

/// Visits `count` pairs (as [`Draw::size`] gives it) at random.
fn draw_pairs<'h>(
    hash: &'h Hash,
    draw: Draw,
    count: usize,
    random: &mut Random,
    mut visit: impl FnMut(Item<'h>, Item<'h>),
) {
    match draw {
        Draw::Repeated(_) => {
            for _ in 0..count {
                if let Some((field, value)) = hash.random(|| random.next()) {
                    visit(field, value);
                }
            }
        }
        Draw::Distinct(_) if hash.as_listpack().is_some() || draw::prefers_walk(count, hash.len()) => {
            draw::walk(random, count, hash.len(), hash.iter(), |(field, value)| visit(field, value));
        }
        Draw::Distinct(_) => {
            // In a table every field has an address of its own.
            let draw_one = || hash.random(|| random.next()).map(|pair| (address(pair.0), pair));
            draw::distinct(count, draw_one, |(field, value)| visit(field, value));
        }
    }
}

/// Where a text lies in memory, which tells it from all others in the same table. (Integers are never in a table.)
pub(super) fn address(item: Item<'_>) -> usize {
    match item {
        Item::Int(value) => value as usize,
        Item::Str(bytes) => bytes.as_ptr() as usize,
    }
}

fn hscan(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args, now) = (context.key(1), context.args, timed_access::now(context));
    let cursor = args::cursor(args[2])?;
    let Some(hash) = context.read::<Hash>(&key)? else {
        write_scan(reply, 0, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(args, Beside::Values)?;
    let (mut elements, mut written) = (Vec::new(), 0);
    let mut part = Reply::new(&mut elements, reply.protocol());
    let next = options.run(cursor, |cursor| {
        let mut visited = 0;
        let next = hash.scan(cursor, now, |field, value| {
            visited += 1;
            if !options.matches(field.as_bytes(&mut Default::default())) {
                return;
            }
            write_item(&mut part, field);
            if !options.no_values {
                write_item(&mut part, value);
            }
            written += if options.no_values { 1 } else { 2 };
        });
        (visited, next)
    });
    write_scan(reply, next, written, &elements);
    Ok(())
}

#[cfg(test)]
#[path = "tests/hash_read.rs"]
pub(super) mod tests;
