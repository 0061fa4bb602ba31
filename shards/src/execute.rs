//! Executing commands in shards that are held: one, or a batch with prefetching.

use std::panic::{catch_unwind, AssertUnwindSafe};

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::CommandCells;

use crate::access::Shards;
use crate::batch::{Batch, Cmd};
use crate::blocking::{self, Block, Waiter};
use crate::context::{Client, Context};
use crate::error::{CommandError, OUT_OF_MEMORY};
use crate::evict;
use crate::policy;
use crate::registry::Command;
use crate::reply::Reply;
use crate::shard::{Shard, ShardStats};
use crate::spec::{flag, Plane};
use crate::world::World;

/// So many commands ahead of the one that is executed, the bucket of a command's key is asked for, and then its entry: as
/// far as it takes to cover memory latency, and near enough for the lines to stay in the first-level cache.
const BUCKETS_AHEAD: usize = 16;
const ENTRIES_AHEAD: usize = 8;

/// The reply of a command that panicked.
pub const INTERNAL_ERROR: CommandError =
    CommandError::new("ERR internal error: this command failed and was logged; the connection is closed");

/// One command, ready to be executed.
pub struct Call<'a> {
    pub command: &'static Command,
    pub args: &'a [&'a [u8]],
    pub first_key: (u64, u16),
    pub client: Client<'a>,
    pub now_ms: i64,
    pub in_transaction: bool,
}

/// Where a command is counted.
pub struct Counts<'a> {
    pub cells: &'a CommandCells,
    pub stats: &'a ShardStats,
    pub rate: TickRate,
}

/// Executes a command that cannot block here; gives whether it answered an error.
#[inline]
pub fn call(shards: Shards<'_>, world: &World, call: &Call<'_>, out: &mut Vec<u8>) -> bool {
    call_or_block(shards, world, call, out).0
}

/// Executes a command; gives whether it answered an error, and what it waits for if it blocks instead of answering.
#[inline]
pub fn call_or_block(
    mut shards: Shards<'_>,
    world: &World,
    call: &Call<'_>,
    out: &mut Vec<u8>,
) -> (bool, Option<Box<Block>>) {
    let mut reply = Reply::new(out, call.client.resp3);
    let spec = &call.command.spec;
    let Plane::Data(handler) = spec.plane else { unreachable!("only data commands are sent to shards") };
    // A transaction or a script has made room before it began: its commands are executed as one.
    if spec.has(flag::DENYOOM) && !call.in_transaction && !evict::has_room(&mut shards, world) {
        reply.error(&OUT_OF_MEMORY);
        return (true, None);
    }
    let mut context = Context {
        args: call.args,
        spec,
        now_ms: call.now_ms,
        client: call.client,
        world,
        first_key: call.first_key,
        shards,
        in_transaction: call.in_transaction,
        blocked: None,
    };
    if let Err(error) = handler(&mut context, &mut reply) {
        reply.replace_by_error(&error);
    }
    (reply.failed(), context.blocked)
}

/// Counts a command that began at `start` and ended at `end` (ticks); looks after slow log and latency monitor.
#[inline]
pub fn account(counts: &Counts<'_>, world: &World, call: &Call<'_>, ticks: u64, failed: bool, reply: &[u8]) {
    let nanoseconds = counts.rate.nanoseconds(ticks);
    counts.cells.cell(call.command.id).record(nanoseconds, failed);
    if failed {
        counts.stats.error_replies.increment();
        world.logs.count_error(reply);
    }
    if world.settings.heat_tracking.on() {
        counts.stats.heat.note(&call.command.spec, call.args, nanoseconds, reply.len());
    }
    // Everything below a microsecond is ruled out by one comparison.
    if nanoseconds >= 1000 {
        account_slow(world, call, nanoseconds / 1000);
    } else if world.settings.slowlog_log_slower_than.get() == 0 {
        account_slow(world, call, 0);
    }
}

#[cold]
fn account_slow(world: &World, call: &Call<'_>, microseconds: u64) {
    let settings = &world.settings;
    let threshold = settings.slowlog_log_slower_than.get();
    let spec = &call.command.spec;
    if threshold >= 0 && microseconds >= threshold as u64 && !spec.has(flag::SKIP_SLOWLOG) {
        let (address, name) =
            call.client.record.map_or((String::new(), Vec::new()), |record| (record.address.clone(), record.name()));
        world.logs.log_slow(microseconds, call.args, &address, &name, settings.slowlog_max_len.size());
    }
    let limit = settings.latency_monitor_threshold.get();
    if limit > 0 && microseconds / 1000 >= limit as u64 {
        world.logs.log_latency(if spec.has(flag::FAST) { "fast-command" } else { "command" }, microseconds / 1000);
    }
}

/// Executes a batch. A command that panics is answered with an error and its connection marked for closing.
pub fn run_batch(shard: &mut Shard, batch: &mut Batch) {
    let world = std::sync::Arc::clone(&shard.world);
    let now_ms = world.now_milliseconds();
    shard.clock = policy::clock_now(world.settings.maxmemory_policy.get(), now_ms);
    shard.evictor.begin_batch();
    let mut next = 0;
    while next < batch.commands.len() {
        let first = next;
        let result = catch_unwind(AssertUnwindSafe(|| run_from(shard, &world, batch, &mut next, now_ms)));
        shard.stats.commands.add((next - first) as u64);
        if result.is_err() {
            let start = if next == 0 { 0 } else { batch.commands[next - 1].end };
            batch.out.truncate(start);
            let resp3 = batch.commands[next].resp3;
            Reply::new(&mut batch.out, resp3).error(&INTERNAL_ERROR);
            shard.stats.panics.increment();
            batch.commands[next].close = true;
            batch.commands[next].end = batch.out.len();
            next += 1;
        }
    }
}

fn run_from(shard: &mut Shard, world: &World, batch: &mut Batch, next: &mut usize, now_ms: i64) {
    let Batch { commands, args, out, waiters, .. } = batch;
    let (cells, stats) = (std::sync::Arc::clone(&shard.cells), std::sync::Arc::clone(&shard.stats));
    let counts = Counts { cells: &cells, stats: &stats, rate: TickRate::get() };
    begin_prefetch(shard, &commands[*next..]);
    let mut tick = clock::ticks();
    while *next < commands.len() {
        if let Some(command) = commands.get(*next + BUCKETS_AHEAD) {
            prefetch_bucket(shard, command);
        }
        if let Some(command) = commands.get(*next + ENTRIES_AHEAD) {
            prefetch_entry(shard, command);
        }
        let command = &mut commands[*next];
        let start = out.len();
        let call_args: &[&[u8]] = &args[command.args.0 as usize..command.args.1 as usize];
        let one = Call {
            command: command.command,
            args: call_args,
            first_key: (command.hash, command.slot),
            client: Client {
                db: command.db,
                resp3: command.resp3,
                no_touch: command.no_touch,
                record: command.client.get(),
            },
            now_ms,
            in_transaction: false,
        };
        let (failed, block) = call_or_block(Shards::one(world.slots, shard), world, &one, out);
        if let Some(block) = block {
            let token = one.client.record.map_or(0, |record| record.token);
            let waiter = Waiter::new(token, &one, *block, false);
            for key in &waiter.block.keys {
                shard.blocking.add(key, &waiter);
            }
            waiters.push((*next, waiter));
        }
        if shard.blocking.has_ready() {
            blocking::serve(shard);
        }
        let now = clock::ticks();
        account(&counts, world, &one, now.wrapping_sub(tick), failed, &out[start..]);
        tick = now;
        command.end = out.len();
        *next += 1;
    }
}

/// Asks for what the first commands of a batch need; for the others that is done on the way.
fn begin_prefetch(shard: &Shard, commands: &[Cmd]) {
    if commands.len() > 1 {
        commands.iter().take(BUCKETS_AHEAD).for_each(|command| prefetch_bucket(shard, command));
        commands.iter().take(ENTRIES_AHEAD).for_each(|command| prefetch_entry(shard, command));
    }
}

/// The first of two stages: the bucket of the first key.
#[inline]
fn prefetch_bucket(shard: &Shard, command: &Cmd) {
    if command.hash != 0 {
        if let Some(db) = shard.db(command.db) {
            db.table(command.slot).prefetch_bucket(command.hash);
        }
    }
}

/// The second stage: its entry, which is known when the bucket has arrived.
#[inline]
fn prefetch_entry(shard: &Shard, command: &Cmd) {
    if command.hash != 0 {
        if let Some(db) = shard.db(command.db) {
            db.table(command.slot).prefetch_entry(command.hash);
        }
    }
}
