//! What a command of a client with a cache has to do for its tracking of keys: [`crate::keyspace::tracking`] remembers what was read.

use crate::declaration::spec::{flag, Group};
use crate::handler::context::{CommandSpec, Context};
use crate::keyspace::invalidations::Cause;

/// Before a command of a batch: its place there, if its client is to hear of what it changes.
#[inline(always)]
pub fn note_place(context: &mut Context<'_>, at: usize) {
    if context.client.tracks.hears_itself() {
        note_cause(context, at);
    }
}

#[inline(never)]
fn note_cause(context: &mut Context<'_>, at: usize) {
    if let Some(record) = context.client.record {
        let shard = context.shards.first();
        shard.read_keys.cause = Some(Cause { client: record.token, shard: shard.index, at });
    }
}

/// Before a command of a client that tracks.
#[inline]
pub fn begin(context: &mut Context<'_>) {
    if context.client.tracks.is_silent() {
        be_silent(context);
    }
}

#[cold]
fn be_silent(context: &mut Context<'_>) {
    let token = context.client.record.map_or(0, |record| record.token);
    context.shards.iter_mut().for_each(|shard| shard.read_keys.silent = token);
}

/// After it, whatever it has answered. One that panicked does not come here: its client, whose connection ends, stays the silent
/// one until the next of its kind.
#[inline(never)]
pub fn end(context: &mut Context<'_>) {
    if context.client.tracks.is_silent() {
        context.shards.iter_mut().for_each(|shard| shard.read_keys.silent = 0);
    }
    if context.client.tracks.hears_itself() {
        // It was noted in the one shard of a batch.
        context.shards.first().read_keys.cause = None;
    }
    if context.client.tracks.notes_reads() && is_read(context.spec) {
        if let Some(record) = context.client.record {
            if let Some(number) = record.tracking.number(&context.world.tracking.readers, record.token) {
                note_reads(context, number);
            }
        }
    }
}

/// Whether a command's keys are what its client has read. Of a script, its commands are looked at.
fn is_read(spec: &CommandSpec) -> bool {
    spec.has(flag::READONLY) && !spec.has(flag::PUBSUB) && spec.group != Group::Scripting && !spec.keys.is_empty()
}

fn note_reads(context: &mut Context<'_>, number: u32) {
    if context.spec.has_one_key_in_front() {
        let key = context.key(1);
        return context.shard(&key).note_read(&key, number);
    }
    for at in context.spec.key_positions(context.args).unwrap_or_default() {
        let key = context.key(at);
        context.shard(&key).note_read(&key, number);
    }
}
