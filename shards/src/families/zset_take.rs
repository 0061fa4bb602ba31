//! Sorted sets from their ends, by chance and piece by piece: ZPOPMIN, ZMPOP, ZRANDMEMBER, ZSCAN.

use super::draw::Draw;
use super::effects;
use super::element_scan::{write_scan, Beside, ScanOptions};
use super::zset::{begin_members, write_member, SORTED_SET};
use crate::handler::args;
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome, OUT_OF_RANGE, SYNTAX};
use crate::keyspace::events::class;
use sherd_types::random::Random;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, numbered_keys, one_key, CommandSpec, Plane};
use sherd_types::number;
use sherd_types::zset::ZSet;

const NO_KEYS: CommandError = CommandError::new("ERR numkeys should be greater than 0");
const NO_COUNT: CommandError = CommandError::new("ERR count should be greater than 0");

const POP: CommandSpec = CommandSpec {
    since: "5.0.0",
    complexity: "O(log(N)*M), M members popped of a sorted set of size N",
    arity: -2,
    flags: WRITE | FAST,
    keys: &[one_key("RW ACCESS DELETE", 1)],
    syntax: "key [count]",
    ..SORTED_SET
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zpopmin",
        summary: "Removes and returns the members with the lowest scores. Removes the key when none is left.",
        plane: Plane::Data(zpopmin),
        ..POP
    },
    CommandSpec {
        name: "zpopmax",
        summary: "Removes and returns the members with the highest scores. Removes the key when none is left.",
        plane: Plane::Data(zpopmax),
        ..POP
    },
    CommandSpec {
        name: "zmpop",
        summary: "Removes and returns the members with the lowest or highest scores of the first sorted set that has \
                  any.",
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)), K keys and M members popped of a sorted set of size N",
        arity: -4,
        flags: WRITE | MOVABLE_KEYS,
        keys: &[numbered_keys("RW ACCESS DELETE", 1)],
        syntax: "numkeys key [key ...] (MIN | MAX) [COUNT count]",
        plane: Plane::Data(zmpop),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrandmember",
        summary: "Returns members chosen by chance: distinct ones, or with a negative count any.",
        since: "6.2.0",
        complexity: "O(N) in the number of members returned",
        arity: -2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [count [WITHSCORES]]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(zrandmember),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zscan",
        summary: "Returns some members of a sorted set and a cursor to go on from.",
        since: "2.8.0",
        complexity: "O(1) for a call, O(N) for a whole iteration over a sorted set of size N",
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(zscan),
        ..SORTED_SET
    },
];

fn zpopmin(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_one_key(context, reply, false)
}

fn zpopmax(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_one_key(context, reply, true)
}

/// ZPOPMIN and ZPOPMAX: pairs in one flat array, except that RESP3 with a count nests them.
fn pop_one_key(context: &mut Context<'_>, reply: &mut Reply<'_>, highest: bool) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    if args.len() > 3 {
        return Err(SYNTAX);
    }
    let count = args.get(2).map(|text| args::non_negative(text)).transpose()?;
    let nested = reply.is_resp3() && count.is_some();
    let Some(set) = context.write::<ZSet>(&key)? else {
        reply.array(0);
        return Ok(());
    };
    let count = count.unwrap_or(1).min(set.len());
    reply.array(if nested { count } else { count * 2 });
    pop_members(set, count, highest, nested, reply);
    let emptied = set.is_empty();
    after_pop(context, &key, count, highest, emptied);
    Ok(())
}

/// Takes members out and writes them, the outermost first, each as an array of its own if nested.
pub(super) fn pop_members(set: &mut ZSet, count: usize, highest: bool, nested: bool, reply: &mut Reply<'_>) {
    set.pop(count, highest, |member, score| {
        if nested {
            reply.array(2);
        }
        reply.bulk(member);
        reply.double(score);
    });
}

/// The events of a pop, and the end of the key if nothing is left.
pub(super) fn after_pop(context: &mut Context<'_>, key: &Key<'_>, popped: usize, highest: bool, emptied: bool) {
    if popped > 0 {
        context.changed_by(popped, key, class::ZSET, if highest { "zpopmax" } else { "zpopmin" });
        if emptied {
            context.remove_emptied(key);
        }
    }
}

/// The command that pops from one end.
pub(super) const fn pop_command(highest: bool) -> &'static str {
    if highest {
        "ZPOPMAX"
    } else {
        "ZPOPMIN"
    }
}

/// What ZMPOP and BZMPOP have in common after the key count: the keys, which end, and how many members.
pub(super) struct MultiPop {
    /// Argument numbers of the keys.
    pub keys: std::ops::Range<usize>,
    pub highest: bool,
    pub count: usize,
}

impl MultiPop {
    /// Reads the arguments from the one with the number of keys on.
    pub fn parse(args: &[&[u8]], number_at: usize) -> Result<MultiPop, CommandError> {
        let positive = |text: &[u8], error: CommandError| match number::parse_i64(text) {
            Some(value) if value > 0 => Ok(value as usize),
            _ => Err(error),
        };
        let first = number_at + 1;
        let keys = positive(args[number_at], NO_KEYS)?;
        let end = first.saturating_add(keys);
        let highest = match args.get(end) {
            Some(word) if args::is(word, "min") => false,
            Some(word) if args::is(word, "max") => true,
            _ => return Err(SYNTAX),
        };
        let count = match args.get(end + 1..).unwrap_or(&[]) {
            [] => 1,
            [word, count, rest @ ..] if args::is(word, "count") => {
                let count = positive(count, NO_COUNT)?;
                if !rest.is_empty() {
                    return Err(SYNTAX);
                }
                count
            }
            _ => return Err(SYNTAX),
        };
        Ok(MultiPop { keys: first..end, highest, count })
    }

    /// Pops from the first key that has members and writes its name with them; false if there is none.
    pub fn run(&self, context: &mut Context<'_>, reply: &mut Reply<'_>) -> Result<bool, CommandError> {
        for index in self.keys.clone() {
            let key = context.key(index);
            let Some(set) = context.write::<ZSet>(&key)? else { continue };
            let count = self.count.min(set.len());
            reply.array(2);
            reply.bulk(key.bytes);
            reply.array(count);
            pop_members(set, count, self.highest, true, reply);
            let emptied = set.is_empty();
            after_pop(context, &key, count, self.highest, emptied);
            effects::with_count(context, pop_command(self.highest), &key, count);
            return Ok(true);
        }
        Ok(false)
    }
}

fn zmpop(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pop = MultiPop::parse(context.args, 1)?;
    if !pop.run(context, reply)? {
        reply.null_array();
    }
    Ok(())
}

fn zrandmember(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let Some(count) = args.get(2) else { return random_member(context, reply, &key) };
    let draw = Draw::parse(count)?;
    let with_scores = match &args[3..] {
        [] => false,
        [word] if args::is(word, "withscores") => true,
        _ => return Err(SYNTAX),
    };
    let (Draw::Distinct(asked) | Draw::Repeated(asked)) = draw;
    if with_scores && asked > i64::MAX as usize / 2 {
        return Err(OUT_OF_RANGE);
    }
    let mut random = Random::fixed(context.random());
    let Some(set) = context.read::<ZSet>(&key)? else {
        reply.array(0);
        return Ok(());
    };
    let (len, count) = (set.len(), draw.size(set.len())?);
    begin_members(reply, count, with_scores);
    let mut write = |ranks| set.visit(ranks, false, |member, score| write_member(reply, member, score, with_scores));
    match draw {
        Draw::Distinct(_) if count == len => write(0..len),
        Draw::Distinct(_) => distinct_ranks(&mut random, count, len).into_iter().for_each(|rank| write(rank..rank + 1)),
        Draw::Repeated(_) => {
            for _ in 0..count {
                let rank = random.below(len);
                write(rank..rank + 1);
            }
        }
    }
    Ok(())
}

fn random_member(context: &mut Context<'_>, reply: &mut Reply<'_>, key: &Key<'_>) -> Outcome {
    let mut random = Random::fixed(context.random());
    match context.read::<ZSet>(key)? {
        None => reply.null(),
        Some(set) => {
            let rank = random.below(set.len());
            set.visit(rank..rank + 1, false, |member, _| reply.bulk(member));
        }
    }
    Ok(())
}

/// `count` different numbers below `len`, every choice being equally likely (Floyd's method), in random order.
fn distinct_ranks(random: &mut Random, count: usize, len: usize) -> Vec<usize> {
    let mut chosen = std::collections::HashSet::with_capacity(count);
    let mut ranks = Vec::with_capacity(count);
    for top in len - count..len {
        let rank = random.below(top + 1);
        let rank = if chosen.insert(rank) { rank } else { top };
        chosen.insert(rank);
        ranks.push(rank);
    }
    for index in (1..count).rev() {
        ranks.swap(index, random.below(index + 1));
    }
    ranks
}

fn zscan(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let cursor = args::cursor(args[2])?;
    let Some(set) = context.read::<ZSet>(&key)? else {
        write_scan(reply, 0, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(args, Beside::Scores)?;
    let (mut items, mut matching) = (Vec::new(), 0);
    let mut part = Reply::new(&mut items, reply.protocol());
    let is_packed = set.packed().is_some();
    let next = options.run(cursor, |cursor| {
        let mut visited = 0;
        let next = set.scan(cursor, |member, score| {
            visited += 1;
            if options.matches(member) {
                part.bulk(member);
                if !options.no_values {
                    write_scanned_score(&mut part, score, is_packed);
                }
                matching += 1;
            }
        });
        (visited, next)
    });
    write_scan(reply, next, if options.no_values { matching } else { matching * 2 }, &items);
    Ok(())
}

/// A score as ZSCAN shows it: a bulk string in both protocols, and with all 17 digits where the set is no listpack.
fn write_scanned_score(reply: &mut Reply<'_>, score: f64, is_packed: bool) {
    if is_packed {
        reply.bulk(number::format_f64(score, &mut [0; number::F64_TEXT_MAX_BYTES]));
    } else {
        reply.bulk(seventeen_digits(score).as_bytes());
    }
}

/// C's `%.17g`.
fn seventeen_digits(value: f64) -> String {
    const DIGITS: i32 = 17;
    if !value.is_finite() {
        return (if value > 0.0 { "inf" } else { "-inf" }).to_owned();
    }
    if value == 0.0 {
        return (if value.is_sign_negative() { "-0" } else { "0" }).to_owned();
    }
    let text = format!("{:.*e}", DIGITS as usize - 1, value);
    let (mantissa, exponent) = text.split_once('e').expect("the exponent format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let trim = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..DIGITS).contains(&exponent) {
        let decimals = (DIGITS - 1 - exponent) as usize;
        let fixed = format!("{value:.decimals$}");
        return if decimals == 0 { fixed } else { trim(&fixed) };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

#[cfg(test)]
#[path = "tests/zset_take.rs"]
mod tests;
