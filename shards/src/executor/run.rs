//! Executing a batch in its shard: command after command, with prefetching, and what follows from each of them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::memory;
use sherd_types::invariant::contain;

use crate::command::origin::Origin;
use crate::command::registry::Command;
use crate::command::spec::CommandSpec;
use crate::effects::blocking::{Block, Waiter};
use crate::executor::batch::{Batch, Cmd, Segment};
use crate::executor::execute::{account, call_or_block, is_refused, run, Call, Counts, Done, INTERNAL_ERROR};
use crate::executor::prefetch::Ahead;
use crate::executor::timer::Timer;
use crate::executor::waiting;
use crate::handler::access::Shards;
use crate::handler::context::{Client, Context};
use crate::handler::{scripting, tracking};
use crate::keyspace::shard::Shard;
use crate::protocol::reply::Reply;
use crate::server::client::ClientRecord;
use crate::server::world::World;

/// Bytes of replies with which a batch goes back, whatever of it was not executed. A pipeline may ask for more than the memory
/// holds, and only an IO thread knows what its client has left unread.
pub const REPLY_BYTES_MAX: usize = 1 << 20;

/// Executes a batch, up to a bound of its replies: how far it has come stands in `executed`. A command that panics is answered with
/// an error and its connection marked for closing.
///
/// Returns false where a script is to be left, with what follows it, to the shard's own thread; there, where it needs all shards.
#[must_use]
pub fn run_batch(shard: &mut Shard, batch: &mut Batch) -> bool {
    let world = Arc::clone(&shard.world);
    let _again = scripting::ExecutingAgain::begin();
    shard.evictor.begin_batch();
    let capacity = batch.out.capacity();
    let is_done = run_all(shard, &world, batch);
    // The replies leave with the batch, whose thread gives the buffer up when it likes.
    shard.stats.discount_buffer(capacity, batch.out.capacity());
    is_done
}

/// Executes all that is left of a batch, whatever panics; false as [`run_batch`] says.
fn run_all(shard: &mut Shard, world: &World, batch: &mut Batch) -> bool {
    let mut next = batch.executed;
    while next < batch.commands.len() {
        let first = next;
        let result = contain(|| run_from(shard, world, batch, &mut next));
        // Their keys are the batch's.
        shard.note_pending_reads();
        shard.stats.commands.add((next - first) as u64);
        if let Ok(hands_on) = result {
            batch.executed = next;
            return !hands_on;
        }
        batch.out.truncate(batch.reply_start(next));
        let segment = batch.segment_of(next);
        batch.segments[segment].close.set(true);
        Reply::new(&mut batch.out, batch.segments[segment].protocol).error(&INTERNAL_ERROR);
        shard.stats.panics.increment();
        batch.commands[next].end = batch.out.len();
        next += 1;
    }
    batch.executed = next;
    true
}

/// Executes the next command of a batch, a script that has left its shard, in all shards.
pub fn run_next_over(shards: &mut Shards<'_>, world: &World, batch: &mut Batch) {
    let at = batch.executed;
    let (segment, start) = (batch.segment_of(at), batch.reply_start(at));
    let args_begin = batch.args_start(at);
    let Batch { commands, segments, args, out, .. } = batch;
    let Cmd { command, args_end, .. } = commands[at];
    let args = &args[args_begin..args_end as usize];
    let client = segments[segment].as_client();
    if !(world.pause.may_be_on() && is_refused(world, command, client.protocol, out)) {
        let now_ms = world.now_milliseconds();
        let call = Call { command, args, first_key: (0, 0), client, now_ms, origin: Origin::Client };
        let (tick, capacity) = (clock::ticks(), out.capacity());
        let result = contain(|| call_or_block(shards.reborrow(), world, &call, out).0);
        let ticks = clock::ticks().wrapping_sub(tick);
        let first = shards.first();
        first.stats.discount_buffer(capacity, out.capacity());
        first.stats.commands.increment();
        match result {
            Ok(failed) => {
                let counts = Counts { cells: &first.cells, stats: &first.stats, rate: TickRate::get() };
                let done = Done { command, args, client: client.record, ticks, failed, reply: &out[start..] };
                account(&counts, world, &done);
                if failed && is_cut(client.record) {
                    segments[segment].close.set(true);
                }
            }
            Err(_) => {
                out.truncate(start);
                Reply::new(out, client.protocol).error(&INTERNAL_ERROR);
                first.stats.panics.increment();
                segments[segment].close.set(true);
            }
        }
    }
    commands[at].end = out.len();
    batch.executed += 1;
}

/// Executes commands from `next` on, which is the command that it has come to: the last one's end, one that panicked, the one behind
/// the bound of the replies, or a script that is to be handed on, which is returned.
fn run_from(shard: &mut Shard, world: &World, batch: &mut Batch, next: &mut usize) -> bool {
    let mut timer = Timer::start(world);
    shard.look_at_clock();
    let now_ms = world.now_milliseconds();
    let (cells, stats) = (Arc::clone(&shard.cells), Arc::clone(&shard.stats));
    let counts = Counts { cells: &cells, stats: &stats, rate: TickRate::get() };
    let mut ahead = Ahead::begin(shard, &batch.commands[*next..]);
    let (mut segment, is_restrained) = (batch.segment_of(*next), world.pause.may_be_on());
    let (mut args_begin, mut start) = (batch.args_start(*next), batch.reply_start(*next));
    let (mut end, mut reply_bytes_max) = (batch.segment_end(segment), REPLY_BYTES_MAX);
    let Batch { commands, segments, args, out, waiters, .. } = batch;
    // As slices: their lengths cannot change while handlers run.
    let (commands, args) = (commands.as_mut_slice(), args.as_slice());
    // One context for all: what differs from command to command is little.
    let spec = &commands[*next].command.spec;
    let mut context = context_of_client(spec, segments[segment].as_client(), world, shard, now_ms);
    for at in *next..commands.len() {
        *next = at;
        if at == end {
            segment += 1;
            context.client = segments[segment].as_client();
            end = segments.get(segment + 1).map_or(commands.len(), |segment| segment.first);
        }
        ahead.prefetch(context.shards.first(), commands, args, at);
        let Cmd { command, hash, slot, args_end, .. } = commands[at];
        let line = &args[args_begin..args_end as usize];
        (context.args, context.spec, context.first_key) = (line, &command.spec, (hash, slot));
        let refused = is_restrained && is_refused(world, command, context.client.protocol, out);
        let failed = refused || run_one(&mut context, command, (at, line), out);
        if failed {
            let Some(bytes_max) = after_failure(&segments[segment], (out, start)) else { return true };
            reply_bytes_max = bytes_max;
        }
        note_write(segments, segment, std::mem::take(&mut context.has_written));
        if failed || out.len() >= reply_bytes_max || !timer.leaves(commands, at, out.len() - start) {
            let ticks = timer.stop(&counts, command);
            match context.blocked.take() {
                // One that waits is a call when it ends.
                Some(block) => wait(&mut context, command, *block, (at, waiters)),
                None => {
                    let (args, client, reply) = (context.args, context.client.record, &out[start..]);
                    account(&counts, world, &Done { command, args, client, ticks, failed, reply });
                }
            }
            if has_served(context.shards.first()) {
                timer.restart();
            }
            if timer.wants_clocks() {
                context.look_at_clocks();
            }
        }
        (args_begin, start) = (args_end as usize, out.len());
        commands[at].end = start;
        if start >= reply_bytes_max {
            break;
        }
    }
    *next += 1;
    false
}

/// Whether a client is answered nothing any more, and has nothing more executed.
fn is_cut(client: Option<&ClientRecord>) -> bool {
    client.is_some_and(|record| record.dropped_reply_bytes.load(Relaxed) > 0)
}

/// With how many bytes of replies a batch goes back after a command of a segment that has failed: any, if its client is cut. `None` if
/// it was a script that is to be handed on.
#[cold]
fn after_failure(segment: &Segment, (out, start): (&mut Vec<u8>, usize)) -> Option<usize> {
    if scripting::takes_hand_on() {
        out.truncate(start);
        return None;
    }
    if !is_cut(segment.client.get()) {
        return Some(REPLY_BYTES_MAX);
    }
    segment.close.set(true);
    Some(0)
}

/// Notes whether a command of a segment has written.
#[inline(always)]
fn note_write(segments: &[Segment], of: usize, has_written: bool) {
    if has_written {
        segments[of].has_written.set(true);
    }
}

/// Executes a command at a place in its batch.
#[inline(always)]
fn run_one(context: &mut Context<'_>, command: &Command, place: (usize, &[&'static [u8]]), out: &mut Vec<u8>) -> bool {
    match context.client.tracks.is_any() {
        true => run_tracked(context, command, place, out),
        false => run(context, out),
    }
}

/// Executes a command of a client that tracks keys, at a place in its batch.
#[inline(never)]
fn run_tracked(
    context: &mut Context<'_>,
    command: &Command,
    (at, line): (usize, &[&'static [u8]]),
    out: &mut Vec<u8>,
) -> bool {
    tracking::begin_in_batch(context, at);
    let failed = run(context, out);
    tracking::end_in_batch(context, line.get(1).filter(|_| command.reads_first_key));
    failed
}

/// The context of a client's commands in one shard; which command it is is filled in.
#[inline(always)]
fn context_of_client<'a>(
    spec: &'static CommandSpec,
    client: Client<'a>,
    world: &'a World,
    shard: &'a mut Shard,
    now_ms: i64,
) -> Context<'a> {
    Context {
        args: &[],
        spec,
        now_ms,
        client,
        world,
        first_key: (0, 0),
        shards: Shards::one(world.slots, shard),
        origin: Origin::Client,
        blocked: None,
        has_written: false,
    }
}

/// Serves clients that wait for what the last command has changed, and returns whether there were any.
#[inline(always)]
fn has_served(shard: &mut Shard) -> bool {
    let has_ready = shard.blocking.has_ready();
    if has_ready {
        waiting::serve(shard);
    }
    has_ready
}

/// Puts a command that blocks into the queues of the keys that it waits for, and into its batch's list.
#[cold]
fn wait(
    context: &mut Context<'_>,
    command: &'static Command,
    block: Block,
    (at, waiters): (usize, &mut Vec<(usize, Arc<Waiter>)>),
) {
    let token = context.client.record.map_or(0, |record| record.token);
    let call = Call {
        command,
        args: context.args,
        first_key: context.first_key,
        client: context.client,
        now_ms: context.now_ms,
        origin: Origin::Client,
    };
    let waiter = waiting::register(&mut context.shards, context.world, &call, token, block);
    // The list leaves with the batch.
    memory::apart(|| waiters.push((at, waiter)));
}
