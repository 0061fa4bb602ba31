//! Putting the keys of a file into a shard that is held.

use super::report::Fault;
use super::walk::Record;
use crate::entry::policy;
use crate::entry::{Entry, NewValue};
use crate::keyspace::db::Key;
use crate::keyspace::shard::Shard;
use crate::rdb::{self, Loaded};
use crate::slot::SlotMap;
use sherd_types::table::Prefetch;

/// So many keys ahead of the one that is put in, its bucket is asked for: as far as it takes to cover memory latency.
const BUCKETS_AHEAD: usize = 8;

/// Where a key belongs.
#[derive(Clone, Copy)]
pub struct Place {
    hash: u64,
    pub slot: u16,
}

impl Place {
    pub fn of(record: &Record<'_>, map: &SlotMap) -> Place {
        let Key { hash, slot, .. } = Key::new(&record.key, map);
        Place { hash, slot }
    }
}

/// What became of a key.
#[derive(PartialEq, Eq)]
pub enum Inserted {
    Yes,
    /// Its time was over, or that of all that is in it.
    Expired,
    /// There is nothing in it.
    Empty,
}

/// Asks for the bucket of a key further on.
#[inline]
pub fn prefetch(shard: &Shard, batch: &[(Record<'_>, Place)], at: usize) {
    let Some((record, place)) = batch.get(at + BUCKETS_AHEAD) else { return };
    if let Some(database) = shard.db(record.db) {
        database.table(place.slot).prefetch_bucket(place.hash);
    }
}

/// Puts a key into its shard.
pub fn insert(shard: &mut Shard, record: &Record<'_>, place: Place, value: Loaded<'_>) -> Result<Inserted, Fault> {
    if record.expires_ms.is_some_and(|at| at <= record.now_ms) {
        return Ok(Inserted::Expired);
    }
    let settings = &shard.world.settings;
    rdb::delay(settings.key_load_delay.get());
    let policy = settings.maxmemory_policy.get();
    let clock = match (record.frequency, record.idle) {
        (Some(frequency), _) if policy::is_lfu(policy) => shard.clock & !0xFF | u32::from(frequency),
        (_, Some(seconds)) if !policy::is_lfu(policy) => {
            shard.clock.wrapping_sub(seconds.min(0x007F_FFFF) as u32) & 0x00FF_FFFF
        }
        _ => policy::initial(policy, shard.clock),
    };
    let entry = match value {
        Loaded::Text(bytes) => Entry::new(&record.key, NewValue::Text(&bytes), record.expires_ms, clock),
        Loaded::Object(object) => Entry::new(&record.key, NewValue::Object(object), record.expires_ms, clock),
        Loaded::Expired => return Ok(Inserted::Expired),
        Loaded::Empty => return Ok(Inserted::Empty),
    };
    let key = Key { bytes: &record.key, hash: place.hash, slot: place.slot };
    match shard.load_new(record.db, &key, entry) {
        true => Ok(Inserted::Yes),
        false => Err(record.fault("a key is there twice")),
    }
}
