//! WATCH: registers a client with the shards of keys, and what has become of them by EXEC.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::memory;
use sherd_shards::command::registry::{self, Command};
use sherd_shards::effects::watch::Presence;
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::errand::Errand;
use sherd_shards::handler::access::Shards;
use sherd_shards::keyspace::db::Key;
use sherd_shards::server::world::World;
use sherd_types::table;

use crate::connection::transaction::Watch;
use crate::connection::Connection;
use crate::protocol::request::owned;
use crate::request::caller::Caller;
use crate::request::over_shards::leave_errand;
use crate::shared::message::{Message, Performed};
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

/// The errand of watching keys.
struct WatchKeys {
    caller: Caller,
    command: &'static Command,
    args: Vec<Vec<u8>>,
    needs: u64,
    watch: Box<Watch>,
}

impl Errand for WatchKeys {
    fn needs(&self) -> u64 {
        self.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let keys = self.args[1..].iter().map(Vec::as_slice);
        watch_keys(&mut self.watch, shards, world, self.caller.db, keys);
    }

    // What was not registered counts as changed.
    fn panicked(&mut self) {
        self.watch.flag.store(true, Relaxed);
    }

    fn end(self: Box<Self>) {
        self.caller.show(self.caller.db, self.command, &self.args);
        let performed = Performed { reply: b"+OK\r\n".to_vec(), watch: Some(self.watch), ..Performed::default() };
        self.caller.tell(Message::Performed { connection: self.caller.token, performed: Box::new(performed) });
    }
}

/// Registers keys with their shards, which are held.
fn watch_keys<'a>(
    watch: &mut Watch,
    shards: &mut Shards<'_>,
    world: &World,
    db: u16,
    keys: impl Iterator<Item = &'a [u8]>,
) {
    let map = world.slots;
    let now_ms = world.now_milliseconds();
    for bytes in keys {
        // The client's.
        if !memory::apart(|| watch.insert(db, bytes)) {
            continue;
        }
        let key = Key { bytes, hash: table::hash(bytes), slot: map.slot(bytes) };
        let shard = shards.of_slot(key.slot);
        let presence = shard.presence(db, &key, now_ms);
        shard.watches.add(db, bytes, &watch.flag, presence);
        watch.shards |= 1 << shard.index;
    }
}

/// WATCH: registers the client with the shards of the keys.
pub fn watch(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Dispatch {
    let keys = &args[1..];
    let map = io.shared.world.slots;
    let new = || Box::new(Watch::new(&io.shared.world));
    let mut watch = connection.session.watch.take().unwrap_or_else(new);
    let wanted = keys.iter().fold(0u64, |wanted, key| wanted | 1 << map.shard_of(map.slot(key)));
    let engine = Arc::clone(&io.shared.engine);
    match Engine::try_hold(engine, wanted) {
        Ok(mut held) => {
            let world = &io.shared.world;
            watch_keys(&mut watch, &mut held.shards(), world, connection.session.db, keys.iter().copied());
            drop(held);
            connection.record.watched.store(watch.keys.len(), Relaxed);
            connection.session.watch = Some(watch);
            connection.reply(|reply| reply.ok());
            Dispatch::Done
        }
        Err(busy) => {
            connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
            let command = registry::table().find(b"watch").expect("WATCH is in the table");
            let caller = Caller::of(&io.shared, connection);
            let errand = WatchKeys { caller, command, args: owned(args), needs: wanted, watch };
            leave_errand(io, connection, busy, Box::new(errand))
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
