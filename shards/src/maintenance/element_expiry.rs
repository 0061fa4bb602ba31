//! Active expiry of fields and members: what the shard's [`crate::keyspace::ttl_index`] says is due, removed in bounded slices.

use std::time::{Duration, Instant};

use crate::keyspace::shard::Shard;
use crate::keyspace::ttl_index::Announcement;

/// Time that one slice may hold the shard.
const SLICE: Duration = Duration::from_micros(300);
/// Buckets of a hash or set between two looks at the clock.
const STEP: usize = 128;
/// Announcements looked at in one slice.
const KEYS_A_SLICE: usize = 256;

/// Removes fields and members that have expired, for one slice of time.
pub fn slice(shard: &mut Shard) {
    let begun = Instant::now();
    let now_ms = shard.world.now_milliseconds() as u64;
    for _ in 0..KEYS_A_SLICE {
        let Some(announcement) = shard.ttl_index.pop_due(now_ms) else { break };
        visit(shard, &announcement, now_ms, begun);
        if begun.elapsed() >= SLICE {
            break;
        }
    }
    shard.publish_ttl_index();
}

fn visit(shard: &mut Shard, announcement: &Announcement, now_ms: u64, begun: Instant) {
    let Announcement { db, key, .. } = announcement;
    let key = shard.key_of(key);
    let found = shard.db(*db).and_then(|database| database.find(&key));
    if found.is_none_or(|entry| entry.is_expired(now_ms as i64))
        || !announcement.stands(&shard.databases, &shard.world.slots)
    {
        return;
    }
    let stays = shard.expire_elements(*db, &key, |fields, gone| {
        let mut complete = false;
        while !complete && begun.elapsed() < SLICE {
            complete = fields.sweep_expired(STEP, now_ms, &mut *gone);
        }
    });
    if !stays {
        return;
    }
    if let Some(next_ms) = shard.next_announcement(*db, &key, true) {
        let next = Announcement::new(next_ms, *db, key.bytes);
        shard.ttl_index.enter(&shard.databases, &shard.world.slots, next);
    }
}
