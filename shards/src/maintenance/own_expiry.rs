//! Active expiry on a replica: of nothing but the keys that its own clients have given an expiry, in bounded slices.

use std::time::{Duration, Instant};

use crate::keyspace::db::Key;
use crate::keyspace::own_volatile::OwnVolatile;
use crate::keyspace::shard::Shard;

/// Time that one slice may hold the shard.
const SLICE: Duration = Duration::from_micros(300);
/// Keys between two looks at the clock.
const STEP: usize = 32;

/// Removes those that have expired, for one slice of time; the next one goes on with the others.
pub fn slice(shard: &mut Shard) {
    let begun = Instant::now();
    let now_ms = shard.world.now_milliseconds();
    let mut left = shard.own_volatile.len();
    while left > 0 && begun.elapsed() < SLICE {
        for _ in 0..left.min(STEP) {
            look_at_next(shard, now_ms);
        }
        left -= left.min(STEP);
    }
    shard.publish_own();
}

/// The server follows nobody: all keys are its own.
pub fn end(shard: &mut Shard) {
    if !shard.own_volatile.is_empty() {
        shard.own_volatile = OwnVolatile::default();
        shard.publish_own();
    }
}

fn look_at_next(shard: &mut Shard, now_ms: i64) {
    let Some(name) = shard.own_volatile.take_turn() else { return };
    let (db, map) = (name.0, shard.world.slots);
    let key = Key::new(&name.1, &map);
    let expiry = shard.db(db).and_then(|database| database.find(&key)).and_then(|entry| entry.expiry());
    if expiry.is_some_and(|at_ms| at_ms <= now_ms) {
        shard.expire(db, &key);
    }
    // What has no expiry any more, or is not there, is the primary's affair, or nobody's.
    if expiry.is_none_or(|at_ms| at_ms <= now_ms) {
        shard.own_volatile.forget(&name);
    }
}
