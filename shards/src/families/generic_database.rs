//! Databases as a whole: FLUSHDB, FLUSHALL, SWAPDB.
//!
//! All shards are held, so that no other client sees a database half emptied or half exchanged.

use crate::command::category;
use crate::handler::args::{self, is};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, DB_INDEX, SYNTAX};
use crate::handler::reply::Reply;
use crate::command::spec::{database_at, flag::*, CommandSpec, Databases, Group, Plane, Scope};

const SERVER: CommandSpec =
    CommandSpec { group: Group::Server, categories: category::KEYSPACE.with(category::DANGEROUS), scope: Scope::All, ..CommandSpec::DEFAULT };
const ALL_TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "flushdb",
        summary: "Deletes all keys of the database.",
        history: &[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")],
        complexity: "O(N) in the number of keys with SYNC, else O(1) with the work done in the background",
        arity: -1,
        flags: WRITE,
        syntax: "[ASYNC | SYNC]",
        tips: ALL_TIPS,
        plane: Plane::Data(flushdb),
        ..SERVER
    },
    CommandSpec {
        name: "flushall",
        summary: "Deletes all keys of all databases.",
        history: &[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")],
        complexity: "O(N) in the number of keys with SYNC, else O(1) with the work done in the background",
        arity: -1,
        flags: WRITE,
        databases: Databases::All,
        syntax: "[ASYNC | SYNC]",
        tips: ALL_TIPS,
        plane: Plane::Data(flushall),
        ..SERVER
    },
    CommandSpec {
        name: "swapdb",
        summary: "Exchanges two databases, for every client at once.",
        since: "4.0.0",
        arity: 3,
        flags: WRITE | FAST,
        databases: Databases::Named(|args| [1, 2].into_iter().filter_map(|at| database_at(args, at)).collect()),
        syntax: "index1 index2",
        plane: Plane::Data(swapdb),
        ..SERVER
    },
];

const SWAP_IN_CLUSTER: CommandError = CommandError::new("ERR SWAPDB is not allowed in cluster mode");
const FIRST_INDEX: CommandError = CommandError::new("ERR invalid first DB index");
const SECOND_INDEX: CommandError = CommandError::new("ERR invalid second DB index");

/// Whether the old contents are to be freed before the reply.
fn parse_sync(context: &Context<'_>) -> Result<bool, CommandError> {
    match context.args[1..] {
        [] => Ok(!context.settings().lazyfree_lazy_user_flush.on()),
        [word] if is(word, "SYNC") => Ok(true),
        [word] if is(word, "ASYNC") => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn flushdb(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sync = parse_sync(context)?;
    let db = context.client.db;
    flush(context, db..db + 1, sync);
    reply.ok();
    Ok(())
}

fn flushall(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sync = parse_sync(context)?;
    let count = context.settings().databases.get().clamp(1, i64::from(u16::MAX)) as u16;
    flush(context, 0..count, sync);
    context.world.emptied.note();
    reply.ok();
    Ok(())
}

fn flush(context: &mut Context<'_>, dbs: std::ops::Range<u16>, sync: bool) {
    for shard in context.all_shards() {
        let end = dbs.end.min(u16::try_from(shard.db_count()).unwrap_or(u16::MAX));
        for db in dbs.start..end {
            shard.flush(db, sync);
        }
    }
    // What is empty here need not be so on a replica that clients write to.
    context.is_to_be_repeated();
}

fn swapdb(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if context.settings().cluster_enabled.on() {
        return Err(SWAP_IN_CLUSTER);
    }
    let first = i32::try_from(args::integer_or(context.args[1], FIRST_INDEX)?).map_err(|_| FIRST_INDEX)?;
    let second = i32::try_from(args::integer_or(context.args[2], SECOND_INDEX)?).map_err(|_| SECOND_INDEX)?;
    let (first, second) = (i64::from(first), i64::from(second));
    let databases = 0..context.settings().databases.get();
    if !databases.contains(&first) || !databases.contains(&second) {
        return Err(DB_INDEX);
    }
    for shard in context.all_shards() {
        shard.swap(first as u16, second as u16);
    }
    if let Some(shard) = context.all_shards().next() {
        shard.stats.dirty.increment();
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
#[path = "tests/generic_database.rs"]
mod tests;
