//! What needs shards held from outside: commands over several shards, MULTI/EXEC, WATCH.
//!
//! The IO thread takes the batons of all shards involved, in ascending order, and executes at once. The connection has
//! nothing else out at that moment, so its order is kept.
//!
//! A transaction with commands of the control plane is executed by that plane's thread instead ([`crate::exec`]): nothing
//! that holds a shard waits for another thread.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::access::Shards;
use sherd_shards::blocking::Waiter;
use sherd_shards::context::Client;
use sherd_shards::db::Key;
use sherd_shards::error::CommandError;
use sherd_shards::evict;
use sherd_shards::execute::{self, Call, Counts, Done, INTERNAL_ERROR};
use sherd_shards::registry::Command;
use sherd_shards::reply::Reply;
use sherd_shards::spec::{flag, Plane};
use sherd_shards::table;
use sherd_shards::watch::{DirtyFlag, Presence};
use sherd_shards::world::World;

use crate::connection::{Connection, Multi, ReplyMode, Watch};
use crate::dispatch::{advance_reply_mode, same_slot, slots_of, Dispatch};
use crate::io_thread::IoThread;

pub const EXEC_OUT_OF_MEMORY: CommandError = CommandError::new(
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
);
const EXEC_ABORT: CommandError = CommandError::new("EXECABORT Transaction discarded because of previous errors.");

impl IoThread {
    /// Executes one command over several shards.
    pub fn run_over_shards(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        args: &[&[u8]],
        wanted: u64,
    ) -> Dispatch {
        if !connection.runs.is_empty() {
            return Dispatch::Later;
        }
        connection.record.last_command.store(command.id as u32, Relaxed);
        let start = connection.out.len();
        let mut out = std::mem::take(&mut connection.out);
        let engine = std::sync::Arc::clone(&self.shared.engine);
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.with_shards(wanted, |shards| self.call(shards, connection, command, args, None, &mut out))
        }));
        let waiter = match result {
            Ok(waiter) => waiter,
            Err(_) => {
                self.note_panic(connection, &mut out, start);
                None
            }
        };
        if connection.reply_mode != ReplyMode::On {
            out.truncate(start);
        }
        connection.out = out;
        connection.wake_suppressed = connection.reply_mode != ReplyMode::On;
        advance_reply_mode(connection);
        if let Some(waiter) = waiter {
            self.begin_wait(connection, waiter);
            return Dispatch::Wait;
        }
        Dispatch::Done
    }

    /// A command panicked: its client is told and will be closed; the server goes on.
    fn note_panic(&mut self, connection: &mut Connection, out: &mut Vec<u8>, start: usize) {
        out.truncate(start);
        Reply::new(out, connection.resp3).error(&INTERNAL_ERROR);
        connection.close_after_reply = true;
        self.stats().panics.increment();
    }

    /// Executes one command, in a transaction if its time is given; gives what it waits for, if it does.
    fn call(
        &self,
        shards: Shards<'_>,
        connection: &Connection,
        command: &'static Command,
        args: &[&[u8]],
        transaction_ms: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Option<Arc<Waiter>> {
        let world = &self.shared.world;
        let stats = self.stats();
        let call = Call {
            command,
            args,
            first_key: (0, 0),
            client: Client {
                db: connection.db,
                resp3: connection.resp3,
                no_touch: connection.record.no_touch.load(Relaxed),
                record: Some(&connection.record),
            },
            now_ms: transaction_ms.unwrap_or_else(|| world.now_milliseconds()),
            in_transaction: transaction_ms.is_some(),
        };
        let mut shards = shards;
        let shard_stats = std::sync::Arc::clone(&shards.first().stats);
        // Counted with this thread's cells: the shard's belong to whoever holds it, which may change in between.
        let counts = Counts { cells: &stats.cells, stats: &shard_stats, rate: TickRate::get() };
        let start = out.len();
        let tick = clock::ticks();
        let (failed, block) = execute::call_or_block(shards.reborrow(), world, &call, out);
        counts.stats.commands.increment();
        let (ticks, reply) = (clock::ticks().wrapping_sub(tick), &out[start..]);
        let client = call.client.record;
        execute::account(&counts, world, &Done { command, args, client, ticks, failed, reply });
        let record = &connection.record;
        record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
        // Registered while everything is held, so that no change of the keys can be missed.
        block.map(|block| {
            let map = world.slots;
            let waiter = Waiter::new(record.token, &call, *block, true);
            for key in &waiter.block.keys {
                shards.of_slot(map.slot(key)).blocking.add(key, &waiter);
            }
            waiter
        })
    }

    /// WATCH: registers the client with the shards of the keys.
    pub fn watch(&mut self, connection: &mut Connection, keys: &[&[u8]]) {
        let map = self.shared.world.slots;
        let mut watch = connection
            .watch
            .take()
            .unwrap_or_else(|| Box::new(Watch { flag: DirtyFlag::default(), shards: 0, keys: Vec::new() }));
        let mut wanted = 0u64;
        for key in keys {
            wanted |= 1 << map.shard_of(map.slot(key));
        }
        watch.shards |= wanted;
        let now_ms = self.shared.world.now_milliseconds();
        self.shared.engine.with_shards(wanted, |mut shards| {
            for bytes in keys {
                if watch.keys.iter().any(|(db, key)| *db == connection.db && key == bytes) {
                    continue;
                }
                let key = Key { bytes, hash: table::hash(bytes), slot: map.slot(bytes) };
                let shard = shards.of_slot(key.slot);
                let presence = shard.presence(connection.db, &key, now_ms);
                shard.watches.add(connection.db, bytes, &watch.flag, presence);
                watch.keys.push((connection.db, bytes.to_vec()));
            }
        });
        connection.record.watched.store(watch.keys.len(), Relaxed);
        connection.watch = Some(watch);
    }

    /// EXEC: executes, or sends the transaction to the control plane if it has commands of it.
    pub fn exec(&mut self, connection: &mut Connection, args: &[&[u8]]) -> Result<Dispatch, CommandError> {
        let Some(multi) = &mut connection.multi else {
            return Err(CommandError::new("ERR EXEC without MULTI"));
        };
        if multi.aborted {
            connection.discard();
            return Err(EXEC_ABORT);
        }
        if self.shared.cluster {
            let queue: Vec<(&Command, Vec<&[u8]>)> = multi
                .commands
                .iter()
                .map(|queued| (queued.command, queued.args.iter().map(Vec::as_slice).collect()))
                .collect();
            let slots = queue.iter().flat_map(|(command, args)| slots_of(command, args));
            if let Err(error) = same_slot(slots) {
                connection.discard();
                return Err(error);
            }
        }
        if multi.commands.iter().any(|queued| matches!(queued.command.spec.plane, Plane::Control)) {
            return Ok(self.send_exec(connection, args));
        }
        self.exec_now(connection);
        Ok(Dispatch::Done)
    }

    fn exec_now(&mut self, connection: &mut Connection) {
        let Some(multi) = connection.multi.take() else { return };
        let watch = connection.watch.take();
        let map = self.shared.world.slots;
        let mut wanted = watch.as_ref().map_or(0, |watch| watch.shards);
        let mut data = false;
        for queued in &multi.commands {
            if matches!(queued.command.spec.plane, Plane::Data(_)) {
                data = true;
                let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
                wanted |= queued.command.shards_of(&args, &map);
            }
        }
        if data && wanted == 0 {
            wanted = 1;
        }
        let start = connection.out.len();
        let mut out = std::mem::take(&mut connection.out);
        let engine = std::sync::Arc::clone(&self.shared.engine);
        let result = catch_unwind(AssertUnwindSafe(|| {
            if wanted == 0 {
                self.exec_queue(connection, &multi, None, &mut out);
                return;
            }
            engine.with_shards(wanted, |mut shards| {
                // As in Redis, all commands of a transaction see one time, however long they take.
                let now_ms = self.shared.world.now_milliseconds();
                // Room is made before the watches are looked at, for an evicted key has changed.
                if multi.commands.iter().any(|queued| queued.command.spec.has(flag::DENYOOM))
                    && !evict::has_room(&mut shards, &self.shared.world)
                {
                    self.count_error(&EXEC_OUT_OF_MEMORY);
                    Reply::new(&mut out, connection.resp3).error(&EXEC_OUT_OF_MEMORY);
                } else if watch
                    .as_ref()
                    .is_some_and(|watch| has_changed(watch, &mut shards, &self.shared.world, now_ms))
                {
                    Reply::new(&mut out, connection.resp3).null_array();
                } else {
                    self.exec_queue(connection, &multi, Some((shards, now_ms)), &mut out);
                }
            });
        }));
        if result.is_err() {
            self.note_panic(connection, &mut out, start);
        }
        if connection.reply_mode != ReplyMode::On {
            out.truncate(start);
        }
        connection.out = out;
        connection.discard();
    }

    fn exec_queue(
        &mut self,
        connection: &mut Connection,
        multi: &Multi,
        mut shards: Option<(Shards<'_>, i64)>,
        out: &mut Vec<u8>,
    ) {
        Reply::new(out, connection.resp3).array(multi.commands.len());
        for queued in &multi.commands {
            let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
            match queued.command.spec.plane {
                Plane::Data(_) => {
                    if let Some((shards, now_ms)) = &mut shards {
                        self.call(shards.reborrow(), connection, queued.command, &args, Some(*now_ms), out);
                    }
                }
                Plane::Connection(number) => {
                    // The connection's own buffer takes the reply; it is moved behind the others.
                    let before = std::mem::take(&mut connection.out);
                    self.run_connection_command(connection, queued.command, number, &args);
                    let reply = std::mem::replace(&mut connection.out, before);
                    out.extend_from_slice(&reply);
                }
                Plane::Control | Plane::Container => {}
            }
            self.shared.show_if_monitored(&connection.record, connection.db, queued.command, &queued.args);
        }
    }
}

/// Whether a watched key has changed. The watched shards are held.
pub fn has_changed(watch: &Watch, shards: &mut Shards<'_>, world: &World, now_ms: i64) -> bool {
    if watch.flag.load(Relaxed) {
        return true;
    }
    let map = world.slots;
    // A key that was found alive and has expired since has changed, though nobody has removed it yet.
    watch.keys.iter().any(|(db, bytes)| {
        let key = Key { bytes, hash: table::hash(bytes), slot: map.slot(bytes) };
        let shard = shards.of_slot(key.slot);
        shard.presence(*db, &key, now_ms) == Presence::Expired && shard.watches.found_alive(*db, bytes, &watch.flag)
    })
}

/// Whether a queued command changes data; for CLIENT PAUSE WRITE.
pub fn writes(multi: &Multi) -> bool {
    multi.commands.iter().any(|queued| queued.command.spec.has(flag::WRITE))
}
