//! Executing one command in shards that are held, and counting it.

use std::panic::resume_unwind;
use std::sync::atomic::Ordering::Relaxed;

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::memory;
use sherd_metrics::CommandCells;

use crate::command::origin::Origin;
use crate::command::registry::Command;
use crate::command::spec::{flag, Group, Handler, Plane};
use crate::effects::blocking::Block;
use crate::executor::salvage;
use crate::handler::access::Shards;
use crate::handler::context::{Client, Context};
use crate::handler::scripting;
use crate::handler::tracking;
use crate::journal::recorder::Running;
use crate::keyspace::stats::ShardStats;
use crate::maintenance::evict;
use crate::protocol::error::{CommandError, Outcome, OUT_OF_MEMORY};
use crate::protocol::reply::{Protocol, Reply};
use crate::server::client::ClientRecord;
use crate::server::command_log::{self, COMMAND_LOGS};
use crate::server::world::World;
use sherd_types::invariant::contain;

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
    pub origin: Origin,
}

/// Where a command is counted.
pub struct Counts<'a> {
    pub cells: &'a CommandCells,
    pub stats: &'a ShardStats,
    pub rate: TickRate,
}

/// Answers a write that comes to its shard too late. Who restrains writes waits for the end of those that did not see it
/// ([`crate::executor::engine::Engine::await_begun`]).
#[cold]
pub fn is_refused(world: &World, command: &Command, protocol: Protocol, out: &mut Vec<u8>) -> bool {
    let refusal = world.pause.late_refusal().filter(|_| command.spec.has(flag::WRITE));
    refusal.is_some_and(|error| {
        Reply::new(out, protocol).error(error);
        true
    })
}

/// Executes a command that cannot block here; returns whether it answered an error.
#[inline]
pub fn call(shards: Shards<'_>, world: &World, call: &Call<'_>, out: &mut Vec<u8>) -> bool {
    call_or_block(shards, world, call, out).0
}

/// Executes a command in shards that are held and counts it, with the first one's counters: they are those of whoever holds it.
/// Returns whether it answered an error, and what it waits for. The slow log gets the arguments as they were `sent`.
pub fn call_counted(
    shards: &mut Shards<'_>,
    world: &World,
    call: &Call<'_>,
    sent: &[&[u8]],
    out: &mut Vec<u8>,
) -> (bool, Option<Box<Block>>) {
    let (start, capacity, tick) = (out.len(), out.capacity(), clock::ticks());
    let (failed, block) = call_or_block(shards.reborrow(), world, call, out);
    let ticks = clock::ticks().wrapping_sub(tick);
    let first = shards.first();
    first.stats.discount_buffer(capacity, out.capacity());
    if failed && scripting::is_handed_on() {
        // It counts where it is executed.
        return (failed, block);
    }
    let client = call.client.record;
    // One that has waited was counted among the commands when it came, and counts as a call when it ends.
    if call.origin != Origin::Waiter {
        first.stats.commands.increment();
        if let Some(record) = client {
            record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
        }
    }
    if block.is_none() {
        let counts = Counts { cells: &first.cells, stats: &first.stats, rate: TickRate::get() };
        let done = Done { command: call.command, args: sent, client, ticks, failed, reply: &out[start..] };
        account(&counts, world, &done);
    }
    (failed, block)
}

/// Executes a command; returns whether it answered an error, and what it waits for if it blocks instead of answering.
pub fn call_or_block(
    shards: Shards<'_>,
    world: &World,
    call: &Call<'_>,
    out: &mut Vec<u8>,
) -> (bool, Option<Box<Block>>) {
    let mut context = Context {
        args: call.args,
        spec: &call.command.spec,
        now_ms: call.now_ms,
        client: call.client,
        world,
        first_key: call.first_key,
        shards,
        origin: call.origin,
        blocked: None,
        has_written: false,
    };
    let tracks = context.client.tracks.is_any();
    if tracks {
        tracking::begin(&mut context);
    }
    let failed = run(&mut context, out);
    if tracks {
        tracking::end(&mut context);
    }
    (failed, context.blocked)
}

/// Executes the command that a context was made for; returns whether it answered an error. What its client's tracking of keys asks for
/// is the caller's to see to.
#[inline(always)]
pub(super) fn run(context: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
    let mut reply = Reply::bounded(out, context.client.protocol, context.client.reply_bytes_max);
    let spec = context.spec;
    let Plane::Data(handler) = spec.plane else { unreachable!("only data commands are sent to shards") };
    if spec.has(flag::DENYOOM) && context.origin.makes_room() && !evict::has_room(&mut context.shards, context.world) {
        reply.error(&OUT_OF_MEMORY);
        return true;
    }
    let outcome =
        if context.is_recorded() { run_recorded(context, handler, &mut reply) } else { handler(context, &mut reply) };
    if let Err(error) = outcome {
        reply.replace_by_error(&error);
    }
    let failed = reply.failed();
    if failed && reply.is_dropped() {
        note_dropped(context, &mut reply);
    }
    failed
}

/// The client has asked for more than it may leave unread: it is answered nothing any more.
#[cold]
fn note_dropped(context: &Context<'_>, reply: &mut Reply<'_>) {
    let bytes = reply.end_dropped();
    if let Some(record) = context.client.record {
        record.dropped_reply_bytes.store(bytes, Relaxed);
    }
}

/// Executes a command and records what it has done.
#[cold]
fn run_recorded(context: &mut Context<'_>, handler: Handler, reply: &mut Reply<'_>) -> Outcome {
    let running = Running::begin();
    let (db, before) = (context.client.db, context.shards.changes());
    context.has_written = false;
    let outcome = contain(|| {
        let outcome = handler(context, reply);
        if context.shards.changes() != before {
            context.world.settings.fail_if_wanted();
        }
        outcome
    });
    let changes = context.shards.changes() != before;
    let outcome = outcome.unwrap_or_else(|panic| {
        salvage::record_keys(context, db, changes);
        resume_unwind(panic)
    });
    // A script's changes are those of its commands; what changes libraries of functions counts no changes.
    let is_recorded = match context.spec.group {
        Group::Scripting => context.spec.has(flag::WRITE) && outcome.is_ok(),
        _ => changes || context.has_written,
    };
    if is_recorded {
        running.has_changed(db, context.spec.name, context.args);
    }
    context.has_written = changes || is_recorded;
    outcome
}

/// A command that was executed.
pub struct Done<'a> {
    pub command: &'static Command,
    pub args: &'a [&'a [u8]],
    pub client: Option<&'a ClientRecord>,
    /// How long it took.
    pub ticks: u64,
    pub failed: bool,
    pub reply: &'a [u8],
}

/// Counts a command; looks after slow log and latency monitor.
#[inline]
pub fn account(counts: &Counts<'_>, world: &World, done: &Done<'_>) {
    let nanoseconds = count(counts, world, done);
    note_command(world, done.command, done.args, done.client, (nanoseconds, done.reply.len()));
}

/// The same for a command of a script. What it is called with and answers is the script's own affair, however large.
#[inline]
pub fn account_nested(counts: &Counts<'_>, world: &World, done: &Done<'_>) {
    let nanoseconds = count(counts, world, done);
    if nanoseconds >= 1000 || world.settings.logs_quick_commands.on() {
        account_slow_nested(world, done, nanoseconds / 1000);
    }
}

#[inline(never)]
fn account_slow_nested(world: &World, done: &Done<'_>, microseconds: u64) {
    if microseconds >= world.settings.slowlog_log_slower_than.get() as u64 {
        memory::apart(|| log_command(world, done.command, done.args, done.client, &[microseconds]));
    }
    note_latency(world, done.command, microseconds);
}

/// Counts a command; returns how long it took, in nanoseconds.
#[inline(always)]
fn count(counts: &Counts<'_>, world: &World, done: &Done<'_>) -> u64 {
    let nanoseconds = counts.rate.nanoseconds(done.ticks);
    let cell = counts.cells.cell(done.command.id);
    if done.failed && was_refused(done) {
        cell.rejected.increment();
    } else {
        cell.record(nanoseconds, done.failed);
    }
    if done.failed && !done.reply.is_empty() && !scripting::takes_counted_error() {
        counts.stats.error_replies.increment();
        world.logs.count_error(done.reply);
    }
    if world.settings.unusual_accounting.on() {
        account_unusually(counts, world, done, nanoseconds);
    }
    nanoseconds
}

/// Whether a command was not executed, as there was no room: none that needs room answers so by itself.
#[cold]
fn was_refused(done: &Done<'_>) -> bool {
    let message = done.reply.strip_prefix(b"-").and_then(|rest| rest.strip_suffix(b"\r\n"));
    done.command.spec.has(flag::DENYOOM) && message == Some(OUT_OF_MEMORY.0.as_bytes())
}

/// Looks after the logs of commands and the latency monitor, for commands of every plane: with the time and the bytes of the
/// reply.
#[inline]
pub fn note_command(
    world: &World,
    command: &Command,
    args: &[&[u8]],
    client: Option<&ClientRecord>,
    (nanoseconds, reply_bytes): (u64, usize),
) {
    // Everything below a microsecond is ruled out by one comparison.
    if nanoseconds >= 1000 || world.settings.logs_quick_commands.on() {
        account_slow(world, command, args, client, (nanoseconds / 1000, reply_bytes));
    }
}

/// What is seldom wanted: costs by key, and no latency histograms.
#[cold]
fn account_unusually(counts: &Counts<'_>, world: &World, done: &Done<'_>, nanoseconds: u64) {
    if world.settings.heat_tracking.on() {
        let keys = done.command.spec.key_positions(done.args).unwrap_or_default();
        counts.stats.heat.note(&keys, done.args, nanoseconds, done.reply.len());
    }
    if !world.settings.latency_tracking.on() {
        counts.cells.cell(done.command.id).latency.take_back(nanoseconds);
    }
}

/// One that took a microsecond or more, which is nothing unusual where a client sends one at a time.
// Takes what it needs one by one: `Done` never has to be in memory where a command was quick.
#[inline(never)]
fn account_slow(
    world: &World,
    command: &Command,
    args: &[&[u8]],
    client: Option<&ClientRecord>,
    (microseconds, reply_bytes): (u64, usize),
) {
    let settings = &world.settings;
    // What a request has at most is soon added up; nearly always that is enough. A negative limit is none: as an unsigned number
    // nothing reaches it.
    let request_bytes_max = args.iter().map(|arg| arg.len()).sum::<usize>() + args.len() * command_log::FRAME_BYTES_MAX;
    let is_logged = microseconds >= settings.slowlog_log_slower_than.get() as u64
        || request_bytes_max as u64 >= settings.commandlog_request_larger_than.get() as u64
        || reply_bytes as u64 >= settings.commandlog_reply_larger_than.get() as u64;
    if is_logged {
        let values = [microseconds, command_log::request_bytes(args), reply_bytes as u64];
        memory::apart(|| log_command(world, command, args, client, &values));
    }
    note_latency(world, command, microseconds);
}

#[inline]
fn note_latency(world: &World, command: &Command, microseconds: u64) {
    let limit = world.settings.latency_monitor_threshold.get();
    if limit > 0 && microseconds / 1000 >= limit as u64 {
        let event = if command.spec.has(flag::FAST) { "fast-command" } else { "command" };
        memory::apart(|| world.logs.log_latency(event, microseconds / 1000));
    }
}

/// Adds a command to the logs of commands in which it belongs: by how long it took, its bytes and those of its reply.
#[cold]
fn log_command(world: &World, command: &Command, args: &[&[u8]], client: Option<&ClientRecord>, values: &[u64]) {
    let spec = &command.spec;
    for ((_, log), value) in COMMAND_LOGS.into_iter().zip(values.iter().copied()) {
        let (limit, max_len) = log.limits(&world.settings);
        if limit >= 0 && value >= limit as u64 && max_len > 0 && !spec.has(flag::SKIP_SLOWLOG) {
            let (address, name) =
                client.map_or((String::new(), Vec::new()), |record| (record.address.clone(), record.name()));
            world.logs.commands.add(log, value, &spec.shown(args), (&address, &name), max_len);
        }
    }
}
