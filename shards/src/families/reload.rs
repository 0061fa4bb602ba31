//! DEBUG RELOAD: every value is written as DUMP writes it and read back, as if the server had been saved and started again.
//!
//! Keys, expiries and access clocks stay. There is no file in between; what is shown is that nothing gets lost in the
//! encoding. What has expired and is still there stays as well: who removes it tells replicas and the append-only file.

use crate::entry::object::{Object, ObjectRef};
use crate::entry::{Entry, NewValue};
use crate::handler::access::Shards;
use crate::handler::error::{CommandError, Outcome};
use crate::handler::scripting::{self, RestorePolicy};
use crate::keyspace::db::Key;
use crate::keyspace::shard::Shard;
use crate::rdb::{self, dump, functions};
use crate::rdb::{Limits, Loaded};
use crate::server::world::World;
use sherd_types::table;

const NOT_LOADED: CommandError = CommandError::new("ERR Error trying to load the RDB dump, check server logs");

/// A time at which nothing has expired.
const NEVER: i64 = 0;

/// Reloads everything. A value that cannot be read back stays as it is, and the command fails.
pub(super) fn reload(shards: &mut Shards<'_>, limits: &Limits) -> Outcome {
    for shard in shards.iter_mut() {
        for number in 0..shard.dbs_touched() as u16 {
            let keys: Vec<Vec<u8>> =
                shard.db(number).into_iter().flat_map(|db| db.iter()).map(|entry| entry_key(entry).to_vec()).collect();
            for bytes in keys {
                let key = Key::new(&bytes, &shard.world.slots);
                reload_key(shard, number, &key, limits)?;
            }
        }
    }
    reload_functions(&shards.first().world)
}

/// The libraries of functions, by way of FUNCTION DUMP's payload.
fn reload_functions(world: &World) -> Outcome {
    let Some(scripting) = scripting::of(world) else { return Ok(()) };
    let libraries = scripting.libraries();
    if libraries.is_empty() {
        return Ok(());
    }
    let payload = functions::dump(libraries.iter().map(|library| library.source.as_slice()));
    let sources = functions::restore(&payload).map_err(|_| NOT_LOADED)?;
    scripting.restore_libraries(&sources, RestorePolicy::Flush)
}

/// What a stream keeps of producers is not in DUMP's payload, but would be in a snapshot.
fn keep_producers(old: &Entry, new: &mut Object) {
    if let (Some(ObjectRef::Stream(old)), Object::Stream(new)) = (old.object(), new) {
        new.take_producers(old);
    }
}

fn entry_key(entry: &Entry) -> &[u8] {
    table::Entry::key(entry)
}

fn reload_key(shard: &mut Shard, number: u16, key: &Key<'_>, limits: &Limits) -> Outcome {
    let Some(entry) = shard.db(number).and_then(|db| db.find(key)) else { return Ok(()) };
    let (expiry, clock) = (entry.expiry(), entry.clock());
    rdb::delay(shard.world.settings.rdb_key_save_delay.get());
    let payload = dump::dump(&entry.value());
    rdb::delay(shard.world.settings.key_load_delay.get());
    let value = match dump::restore(&payload, limits, NEVER).map_err(|_| NOT_LOADED)? {
        Loaded::Text(bytes) => Some(Entry::new(key.bytes, NewValue::Text(&bytes), expiry, clock)),
        Loaded::Object(mut object) => {
            keep_producers(entry, &mut object);
            Some(Entry::new(key.bytes, NewValue::Object(object), expiry, clock))
        }
        Loaded::Expired | Loaded::Empty => None,
    };
    shard.load(number, key, value);
    Ok(())
}
