//! What a command of a client with a cache has to do for its tracking of keys: [`crate::keyspace::tracking`] remembers what was read.

use crate::handler::context::Context;
use crate::keyspace::invalidations::Cause;

/// Before a command of a client that tracks.
#[inline(never)]
pub fn begin(context: &mut Context<'_>) {
    if context.client.tracks.is_silent() {
        let token = context.client.record.map_or(0, |record| record.token);
        context.shards.iter_mut().for_each(|shard| shard.read_keys.silent = token);
    }
}

/// After it, whatever it has answered. One that panicked does not come here: its client, whose connection ends, stays the silent
/// one until the next of its kind.
#[inline(never)]
pub fn end(context: &mut Context<'_>) {
    if context.client.tracks.is_silent() {
        context.shards.iter_mut().for_each(|shard| shard.read_keys.silent = 0);
    }
    if context.client.tracks.notes_reads() && context.spec.reads_keys() {
        note_reads(context);
    }
}

/// Before a command of a batch, at a place there, whose client tracks: a change is its own, which it wants to hear nothing of, or
/// behind its reply.
#[inline]
pub fn begin_in_batch(context: &mut Context<'_>, at: usize) {
    let tracks = context.client.tracks;
    let Some(record) = context.client.record else { return };
    let shard = context.shards.first();
    if tracks.hears_itself() {
        shard.read_keys.cause = Some(Cause { client: record.token, shard: shard.index, at });
    }
    if tracks.is_silent() {
        shard.read_keys.silent = record.token;
    }
}

/// After it; `key` is what it has read, where that is its first argument and nothing else. Its bytes are the batch's.
#[inline]
pub fn end_in_batch(context: &mut Context<'_>, key: Option<&&'static [u8]>) {
    let shard = context.shards.first();
    (shard.read_keys.cause, shard.read_keys.silent) = (None, 0);
    if !context.client.tracks.notes_reads() {
        return;
    }
    match (context.client.record, key, context.first_key.0) {
        (Some(record), Some(key), hash) if hash != 0 => {
            if let Some(number) = record.tracking.number(&context.world.tracking.readers, record.token) {
                shard.note_read_later(hash, key, number);
            }
        }
        _ if context.spec.reads_keys() => note_reads(context),
        _ => {}
    }
}

#[inline(never)]
fn note_reads(context: &mut Context<'_>) {
    let Some(record) = context.client.record else { return };
    let Some(number) = record.tracking.number(&context.world.tracking.readers, record.token) else { return };
    if context.spec.has_one_key_in_front() {
        let key = context.key(1);
        return context.shard(&key).note_read(&key, number);
    }
    for at in context.spec.key_positions(context.args).unwrap_or_default() {
        let key = context.key(at);
        context.shard(&key).note_read(&key, number);
    }
}
