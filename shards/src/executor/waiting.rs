//! Clients that wait for keys: how they join the queues of [`crate::effects::blocking`], and how they are served.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::memory;
use sherd_types::invariant::contain;

use crate::command::origin::Origin;
use crate::command::registry;
use crate::effects::blocking::{Block, Waiter, Wake};
use crate::executor::errand::Errand;
use crate::executor::execute::{call_counted, Call, INTERNAL_ERROR};
use crate::handler::access::Shards;
use crate::handler::context::Client;
use crate::keyspace::shard::Shard;
use crate::protocol::reply::Reply;
use crate::server::world::World;

/// Puts a command that blocks into the queues of the keys that it waits for. The shards of all its keys are held, so no
/// change of them can be missed.
pub fn register(shards: &mut Shards<'_>, world: &World, call: &Call<'_>, token: u64, block: Block) -> Arc<Waiter> {
    let map = world.slots;
    let shard_of = |key: &[u8]| 1u64 << map.shard_of(map.slot(key));
    let queued_in = block.keys.iter().fold(0, |set, key| set | shard_of(key));
    // Keys that the command writes to (BLMOVE's destination) are among its keys, not among those waited for.
    let keys = call.command.spec.key_positions(call.args).unwrap_or_default();
    let needs = keys.iter().fold(queued_in, |set, &at| set | shard_of(call.args[at]));
    // The client's, and freed by its thread; so what the handler has made of it, in the shards' account, is not kept.
    let new = || Waiter::new((call.command.id, call.args), call.client, token, block.clone(), (queued_in, needs));
    let waiter = memory::apart(new);
    waiter.set_place(world.next_wait_place());
    for key in &waiter.block.keys {
        shards.of_slot(map.slot(key)).blocking.join(key, &waiter);
    }
    waiter
}

/// Takes a waiter that has ended out of the queues of one shard.
pub fn forget(shard: &mut Shard, waiter: &Waiter) {
    let map = shard.world.slots;
    for key in waiter.block.keys.iter().filter(|key| map.shard_of(map.slot(key)) == shard.index) {
        shard.blocking.leave(key, waiter);
        // Those behind it may have been waiting for its run.
        if waiter.run_is_due() {
            shard.blocking.mark_ready(waiter.db, key);
        }
    }
}

/// Serves the waiters of all ready keys. Serving may make further keys ready; those are served as well.
pub fn serve(shard: &mut Shard) {
    while let Some((db, key)) = shard.blocking.next_ready() {
        serve_key(shard, db, &key, 0);
    }
}

/// Serves the queue of a key from a place on.
fn serve_key(shard: &mut Shard, db: u16, bytes: &[u8], mut from: u64) {
    let key = shard.key_of(bytes);
    while let Some(waiter) = shard.blocking.next(db, bytes, from) {
        from = waiter.place() + 1;
        if waiter.state.has_ended() {
            shard.blocking.leave(bytes, &waiter);
            continue;
        }
        let found = shard.db(db).and_then(|db| db.find(&key)).map(crate::entry::Entry::value_type);
        if found.is_none() && !shard.blocking.ends_without_key(db, bytes) {
            return;
        }
        if waiter.block.wants.is_some() && waiter.block.wants != found {
            continue;
        }
        if waiter.needs_several() {
            // Those behind it come after its run.
            if waiter.make_run_due() {
                shard.world.runs_due.fetch_add(1, Relaxed);
                shard.outbox.wake(Wake::Run(waiter));
            }
            return;
        }
        let world = Arc::clone(&shard.world);
        run(&mut Shards::one(world.slots, shard), &world, &waiter);
    }
}

/// Runs a waiter's command again; all shards that it needs are held. It leaves the queues unless it goes on waiting.
fn run(shards: &mut Shards<'_>, world: &World, waiter: &Arc<Waiter>) {
    if !waiter.state.begin_serving() {
        leave_all(shards, world, waiter);
        return;
    }
    let args: Vec<&[u8]> = waiter.args.iter().map(Vec::as_slice).collect();
    let call = Call {
        command: registry::command_of(waiter),
        args: &args,
        first_key: (0, 0),
        client: Client {
            db: waiter.db,
            protocol: waiter.protocol,
            no_touch: false,
            tracks: waiter.tracks,
            record: waiter.record.as_deref(),
            reply_bytes_max: waiter.record.as_ref().map_or(usize::MAX, |it| it.reply_bytes_max(&world.settings)),
        },
        now_ms: world.now_milliseconds(),
        origin: Origin::Waiter,
    };
    let (token, mut reply) = (waiter.token, Vec::new());
    let result = contain(|| call_counted(shards, world, &call, &waiter.sent_args(), &mut reply).1);
    let wake = match result {
        Ok(Some(block)) if waiter.state.goes_on_waiting() => {
            let earlier = block.again_at_ms.filter(|&at_ms| waiter.run_again_at(at_ms));
            let Some(at_ms) = earlier else { return };
            shards.first().outbox.wake(Wake::Later { token, at_ms });
            return;
        }
        Ok(Some(_)) => Wake::Interrupted { token },
        Ok(None) => Wake::Reply { token, reply, close: false, ticket: 0 },
        Err(_) => {
            shards.first().stats.panics.increment();
            reply.clear();
            Reply::new(&mut reply, waiter.protocol).error(&INTERNAL_ERROR);
            Wake::Reply { token, reply, close: true, ticket: 0 }
        }
    };
    waiter.state.end();
    leave_all(shards, world, waiter);
    shards.first().outbox.wake(wake);
}

fn leave_all(shards: &mut Shards<'_>, world: &World, waiter: &Waiter) {
    for key in &waiter.block.keys {
        shards.of_slot(world.slots.slot(key)).blocking.leave(key, waiter);
    }
}

/// The errand of running a waiter's command with all shards that it needs, and of serving those behind it.
pub struct Serve(pub Arc<Waiter>);

impl Errand for Serve {
    fn needs(&self) -> u64 {
        self.0.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let waiter = &self.0;
        if waiter.begin_run() {
            // Relaxed: whoever looks holds the same shards.
            world.runs_due.fetch_sub(1, Relaxed);
        }
        run(shards, world, waiter);
        let place = waiter.place() + 1;
        for key in &waiter.block.keys {
            serve_key(shards.of_slot(world.slots.slot(key)), waiter.db, key, place);
        }
    }

    // The client's command is guarded by itself.
    fn panicked(&mut self) {}

    fn end(self: Box<Self>) {}
}
