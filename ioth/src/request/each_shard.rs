//! Commands that look at each shard by itself, as KEYS does: one shard is held at a time, so that the others go on.
//!
//! Like a command over shards ([`super::over_shards`]), such a command does not wait for a busy shard: it becomes an errand,
//! which goes from shard to shard. What the shards answer are arrays, and the reply is one of all their elements.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::errand::Errand;
use sherd_shards::executor::execute::{self, Call, Counts, Done, INTERNAL_ERROR};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::reply::Reply;
use sherd_shards::server::world::World;
use sherd_types::invariant::contain;
use sherd_types::number;

use crate::connection::Connection;
use crate::protocol::request::{borrowed, owned};
use crate::shared::message::{Message, Performed};
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::caller::Caller;
use super::over_shards::{end_over_shards, leave_errand};

/// A command on its way through the shards.
struct InEachShard {
    caller: Caller,
    command: &'static Command,
    args: Vec<Vec<u8>>,
    /// The shards that it has yet to look at, the lowest first.
    left: u64,
    /// What it has been answered so far.
    parts: Vec<Vec<u8>>,
    /// Bytes of that: all parts together are one reply.
    bytes: usize,
    ticks: u64,
    panicked: bool,
}

impl InEachShard {
    /// Writes the one reply.
    fn write_to(&mut self, out: &mut Vec<u8>) {
        let mut reply = Reply::new(out, self.caller.protocol);
        if self.panicked {
            return reply.error(&INTERNAL_ERROR);
        }
        let counts: Option<Vec<usize>> = self.parts.iter().map(|part| Some(split_array(part)?.0)).collect();
        let Some(counts) = counts else {
            // An error is the same in every shard.
            return self.parts.iter().take(1).for_each(|part| reply.raw(part));
        };
        reply.array(counts.iter().sum());
        // Each is freed when it was copied.
        for part in self.parts.drain(..) {
            reply.raw(split_array(&part).map_or(&[], |(_, elements)| elements));
        }
    }
}

/// The number of elements of an encoded array, and the elements; `None` for another reply.
fn split_array(reply: &[u8]) -> Option<(usize, &[u8])> {
    let end = reply.iter().position(|&byte| byte == b'\r')?;
    let count = number::parse_i64(reply[..end].strip_prefix(b"*")?)?;
    Some((usize::try_from(count).ok()?, &reply[end + 2..]))
}

impl Errand for InEachShard {
    fn needs(&self) -> u64 {
        self.left & self.left.wrapping_neg()
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let args = borrowed(&self.args);
        let (mut client, now_ms) = (self.caller.client(), world.now_milliseconds());
        if client.reply_bytes_max != usize::MAX {
            client.reply_bytes_max = client.reply_bytes_max.saturating_sub(self.bytes);
        }
        let call =
            Call { command: self.command, args: &args, first_key: (0, 0), client, now_ms, origin: Origin::Client };
        let first = shards.first();
        let (stats, cells) = (Arc::clone(&first.stats), Arc::clone(&first.cells));
        let mut part = Vec::new();
        let tick = clock::ticks();
        let (failed, _) = execute::call_or_block(shards.reborrow(), world, &call, &mut part);
        self.ticks += clock::ticks().wrapping_sub(tick);
        stats.discount_buffer(0, part.capacity());
        self.left &= self.left - 1;
        if self.left == 0 || failed {
            self.left = 0;
            // It is one command: counted where it ends.
            stats.commands.increment();
            let counts = Counts { cells: &cells, stats: &stats, rate: TickRate::get() };
            let done = Done {
                command: self.command,
                args: &args,
                client: client.record,
                ticks: self.ticks,
                failed,
                reply: &part,
            };
            execute::account(&counts, world, &done);
            let record = &self.caller.record;
            record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
        }
        self.bytes += part.len();
        self.parts.push(part);
        if client.record.is_some_and(|record| record.dropped_reply_bytes.load(Relaxed) > 0) {
            // It has become more than the client may leave unread, which is cut.
            self.parts.clear();
        }
    }

    fn panicked(&mut self) {
        self.left = 0;
        self.panicked = true;
    }

    fn end(mut self: Box<Self>) {
        if self.left != 0 {
            let shared = Arc::clone(&self.caller.shared);
            shared.engine.run_errand(self);
            return;
        }
        let mut reply = Vec::new();
        self.write_to(&mut reply);
        let performed = Box::new(Performed { reply, panicked: self.panicked, ..Performed::default() });
        self.caller.tell(Message::Performed { connection: self.caller.token, performed });
    }
}

/// Executes a command in each shard, now or when it is free.
pub fn run_in_each_shard(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: &[&[u8]],
) -> Dispatch {
    if connection.outbound.has_pending() {
        return Dispatch::Later;
    }
    connection.record.last_command.store(command.id as u32, Relaxed);
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    connection.session.advance_reply_mode();
    let engine = Arc::clone(&io.shared.engine);
    let mut work = Box::new(InEachShard {
        caller: Caller::of(&io.shared, connection),
        command,
        args: owned(args),
        left: engine.all_shards(),
        parts: Vec::new(),
        bytes: 0,
        ticks: 0,
        panicked: false,
    });
    // What usually takes long is left to the shards' threads: this one has connections with other work.
    let heavy = !command.spec.has(flag::FAST) && engine.is_heavy(engine.all_shards().ilog2() as usize, command.id);
    while work.left != 0 {
        let next = work.needs();
        let held = if heavy { Err(next.trailing_zeros() as usize) } else { Engine::try_hold(&*engine, next) };
        let mut held = match held {
            Ok(held) => held,
            Err(busy) => return leave_errand(io, connection, busy, work),
        };
        let world = &io.shared.world;
        if contain(|| work.run(&mut held.shards(), world)).is_err() {
            work.panicked();
            io.stats().panics.increment();
        }
    }
    let start = connection.outbound.buffer.len();
    work.write_to(&mut connection.outbound.buffer);
    end_over_shards(io, connection, start, None, work.panicked)
}
