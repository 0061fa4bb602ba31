//! Executing commands in shards that are held: one, or a batch with prefetching.

use std::panic::{catch_unwind, AssertUnwindSafe};

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::CommandCells;

use crate::access::Shards;
use crate::batch::Batch;
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

/// Commands that are prefetched together: enough to cover memory latency, few enough to stay in the first-level cache.
const PREFETCH: usize = 16;

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
    counts.stats.commands.increment();
    counts.cells.cell(call.command.id).record(nanoseconds, failed);
    if failed {
        counts.stats.error_replies.increment();
        world.logs.count_error(reply);
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
        let result = catch_unwind(AssertUnwindSafe(|| run_from(shard, &world, batch, &mut next, now_ms)));
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
    let Batch { commands, args, out, .. } = batch;
    let (cells, stats) = (std::sync::Arc::clone(&shard.cells), std::sync::Arc::clone(&shard.stats));
    let counts = Counts { cells: &cells, stats: &stats, rate: TickRate::get() };
    let mut tick = clock::ticks();
    while *next < commands.len() {
        let end = (*next + PREFETCH).min(commands.len());
        if end - *next > 1 {
            prefetch(shard, &commands[*next..end]);
        }
        while *next < end {
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
                command.waiter = Some(waiter);
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
}

/// Two stages: the bucket of every key, then the entries, which are known when the buckets have arrived.
fn prefetch(shard: &Shard, commands: &[crate::batch::Cmd]) {
    // A batch is nearly always about one database; keys of another one simply are not prefetched.
    let number = commands[0].db;
    let Some(db) = shard.db(number) else { return };
    for command in commands.iter().filter(|command| command.hash != 0 && command.db == number) {
        db.table(command.slot).prefetch_bucket(command.hash);
    }
    for command in commands.iter().filter(|command| command.hash != 0 && command.db == number) {
        db.table(command.slot).prefetch_entry(command.hash);
    }
}
