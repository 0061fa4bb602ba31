//! Sorted sets, member by member: ZADD, ZSCORE, ZRANK and their relatives.
//!
//! Ranges are in `zset_range.rs`, taking members out or drawing them in `zset_take.rs`, algebra in `zset_store.rs`.

use crate::handler::args;
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::zset::{Change, Limits, Rules, ZSet};

pub(super) const SORTED_SET: CommandSpec = CommandSpec { group: Group::SortedSet, ..CommandSpec::DEFAULT };

const NOT_A_NUMBER: CommandError = CommandError::new("ERR resulting score is not a number (NaN)");
const NX_WITH_XX: CommandError = CommandError::new("ERR XX and NX options at the same time are not compatible");
const GT_LT_NX: CommandError = CommandError::new("ERR GT, LT, and/or NX options at the same time are not compatible");
const SINGLE_INCREMENT: CommandError = CommandError::new("ERR INCR option supports a single increment-element pair");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zadd",
        summary: "Adds members to a sorted set, or changes their scores. Creates the key if it is not there.",
        since: "1.2.0",
        history: &[("2.4.0", "Several members."), ("3.0.2", "`XX`, `NX`, `CH` and `INCR`."), ("6.2.0", "`GT` and `LT`.")],
        complexity: "O(log(N)) for each member, N being the size of the sorted set",
        arity: -4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        element: 3,
        syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        plane: Plane::Data(zadd),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zincrby",
        summary: "Adds to the score of a member, which starts at 0. Creates member and key if they are not there.",
        since: "1.2.0",
        complexity: "O(log(N)), N being the size of the sorted set",
        arity: 4,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        element: 3,
        syntax: "key increment:double member",
        plane: Plane::Data(zincrby),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrem",
        summary: "Removes members from a sorted set. Removes the key when none is left.",
        since: "1.2.0",
        history: &[("2.4.0", "Several members.")],
        complexity: "O(M*log(N)), M members of a sorted set of size N",
        arity: -3,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE", 1)],
        element: 2,
        syntax: "key member [member ...]",
        plane: Plane::Data(zrem),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zcard",
        summary: "Returns the number of members of a sorted set.",
        since: "1.2.0",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(zcard),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zscore",
        summary: "Returns the score of a member.",
        since: "1.2.0",
        arity: 3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key member",
        plane: Plane::Data(zscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zmscore",
        summary: "Returns the scores of several members.",
        since: "6.2.0",
        complexity: "O(N) in the number of members asked for",
        arity: -3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key member [member ...]",
        plane: Plane::Data(zmscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrank",
        summary: "Returns the rank of a member in ascending order of scores, counted from 0.",
        since: "2.0.0",
        history: &[("7.2.0", "`WITHSCORE`.")],
        complexity: "O(log(N)), N being the size of the sorted set",
        arity: -3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key member [WITHSCORE]",
        plane: Plane::Data(zrank),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrevrank",
        summary: "Returns the rank of a member in descending order of scores, counted from 0.",
        since: "2.0.0",
        history: &[("7.2.0", "`WITHSCORE`.")],
        complexity: "O(log(N)), N being the size of the sorted set",
        arity: -3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        element: 2,
        syntax: "key member [WITHSCORE]",
        plane: Plane::Data(zrevrank),
        ..SORTED_SET
    },
];

/// Up to where sorted sets stay listpacks.
#[inline]
pub(super) fn limits(context: &Context<'_>) -> Limits {
    let settings = context.settings();
    Limits {
        entries_max: settings.zset_max_listpack_entries.size(),
        member_bytes_max: settings.zset_max_listpack_value.size(),
    }
}

/// Begins the reply of members, with or without their scores.
pub(super) fn begin_members(reply: &mut Reply<'_>, count: usize, with_scores: bool) {
    let flat = with_scores && !reply.is_resp3();
    reply.array(if flat { count * 2 } else { count });
}

/// Writes a member; with its score it is a pair of its own in RESP3.
#[inline]
pub(super) fn write_member(reply: &mut Reply<'_>, member: &[u8], score: f64, with_scores: bool) {
    if with_scores && reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(member);
    if with_scores {
        reply.double(score);
    }
}

/// Options of ZADD and where its pairs begin.
struct AddOptions {
    rules: Rules,
    /// CH: count changed members as well.
    count_changed: bool,
    pairs_at: usize,
}

fn parse_add_options(args: &[&[u8]]) -> Result<AddOptions, CommandError> {
    let mut options = AddOptions { rules: Rules::default(), count_changed: false, pairs_at: args.len() };
    for (index, arg) in args.iter().enumerate().skip(2) {
        let rules = &mut options.rules;
        let words = [
            ("nx", &mut rules.only_new),
            ("xx", &mut rules.only_present),
            ("ch", &mut options.count_changed),
            ("incr", &mut rules.increment),
            ("gt", &mut rules.only_greater),
            ("lt", &mut rules.only_less),
        ];
        match words.into_iter().find(|(word, _)| args::is(arg, word)) {
            Some((_, option)) => *option = true,
            None => {
                options.pairs_at = index;
                break;
            }
        }
    }
    let rules = options.rules;
    let pairs = args.len() - options.pairs_at;
    if pairs == 0 || pairs % 2 != 0 {
        return Err(SYNTAX);
    }
    if rules.only_new && rules.only_present {
        return Err(NX_WITH_XX);
    }
    if [rules.only_new, rules.only_greater, rules.only_less].into_iter().filter(|&set| set).count() > 1 {
        return Err(GT_LT_NX);
    }
    if rules.increment && pairs > 2 {
        return Err(SINGLE_INCREMENT);
    }
    Ok(options)
}

fn zadd(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = parse_add_options(context.args)?;
    let pairs = &context.args[options.pairs_at..];
    if let [score, member] = pairs {
        let score = args::float(score)?;
        return add_one(context, reply, member, score, &options);
    }
    // Every score is checked before the first member is added.
    let scores: Vec<f64> = pairs.iter().step_by(2).map(|score| args::float(score)).collect::<Result<_, _>>()?;
    let (key, limits) = (context.key(1), limits(context));
    let Some(set) = set_to_change(context, &key, options.rules)? else {
        reply.count(0);
        return Ok(());
    };
    let (mut added, mut updated) = (0, 0);
    for (pair, score) in pairs.chunks_exact(2).zip(scores) {
        match set.update(limits, pair[1], score, options.rules) {
            Change::Added(_) => added += 1,
            Change::Updated(_) => updated += 1,
            Change::Same(_) | Change::Skipped | Change::NotANumber => {}
        }
    }
    if added + updated > 0 {
        context.changed_by(added + updated, &key, class::ZSET, "zadd");
    }
    reply.count(if options.count_changed { added + updated } else { added });
    Ok(())
}

/// ZADD of one member, or ZINCRBY, without collecting anything.
fn add_one(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    member: &[u8],
    score: f64,
    options: &AddOptions,
) -> Outcome {
    let (key, limits) = (context.key(1), limits(context));
    let rules = options.rules;
    let change = match set_to_change(context, &key, rules)? {
        Some(set) => set.update(limits, member, score, rules),
        None => Change::Skipped,
    };
    if matches!(change, Change::Added(_) | Change::Updated(_)) {
        context.changed(&key, class::ZSET, if rules.increment { "zincr" } else { "zadd" });
    }
    match change {
        Change::NotANumber => return Err(NOT_A_NUMBER),
        Change::Skipped if rules.increment => reply.null(),
        Change::Added(score) | Change::Updated(score) | Change::Same(score) if rules.increment => reply.double(score),
        Change::Added(_) => reply.flag(true),
        Change::Updated(_) => reply.flag(options.count_changed),
        Change::Same(_) | Change::Skipped => reply.flag(false),
    }
    Ok(())
}

/// The set to change, made if it may be; an update with these rules then adds at least its first member.
fn set_to_change<'c>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    rules: Rules,
) -> Result<Option<&'c mut ZSet>, CommandError> {
    if rules.only_present {
        context.write::<ZSet>(key)
    } else {
        context.upsert::<ZSet>(key).map(Some)
    }
}

fn zincrby(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let increment = args::float(context.args[2])?;
    let rules = Rules { increment: true, ..Rules::default() };
    let options = AddOptions { rules, count_changed: false, pairs_at: 2 };
    add_one(context, reply, context.args[3], increment, &options)
}

fn zrem(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let (removed, emptied) = match context.write::<ZSet>(&key)? {
        Some(set) => {
            let removed = args[2..].iter().filter(|member| set.remove(member).is_some()).count();
            (removed, set.is_empty())
        }
        None => (0, false),
    };
    if removed > 0 {
        context.changed_by(removed, &key, class::ZSET, "zrem");
        if emptied {
            context.remove_emptied(&key);
        }
    }
    reply.count(removed);
    Ok(())
}

fn zcard(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    reply.count(context.read::<ZSet>(&key)?.map_or(0, ZSet::len));
    Ok(())
}

fn write_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, member) = (context.key(1), context.args[2]);
    write_score(reply, context.read::<ZSet>(&key)?.and_then(|set| set.score(member)));
    Ok(())
}

fn zmscore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members) = (context.key(1), &context.args[2..]);
    let set = context.read::<ZSet>(&key)?;
    reply.array(members.len());
    for member in members {
        write_score(reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn zrank(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(context, reply, false)
}

fn zrevrank(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(context, reply, true)
}

fn rank(context: &mut Context<'_>, reply: &mut Reply<'_>, reverse: bool) -> Outcome {
    let (key, member) = (context.key(1), context.args[2]);
    let with_score = match &context.args[3..] {
        [] => false,
        [word] if args::is(word, "withscore") => true,
        [_] => return Err(SYNTAX),
        _ => return Err(CommandError::arity(context.spec.name)),
    };
    match context.read::<ZSet>(&key)?.and_then(|set| set.rank(member, reverse)) {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.count(rank);
            reply.double(score);
        }
        Some((rank, _)) => reply.count(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/zset.rs"]
pub(super) mod tests;
