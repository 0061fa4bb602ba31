//! Putting commands into the batches of their shards.

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;
use sherd_shards::executor::batch::Batch;
use sherd_shards::server::settings::Settings;
use sherd_types::table;

use crate::connection::Connection;
use crate::observe::hot_keys::SAMPLE;
use crate::protocol::parser::SHORT_ARGS_MAX;
use crate::request::output::reply_bytes_max;
use crate::thread::IoThread;

/// The hash, slot and shard of a key.
#[inline(always)]
pub fn place_of(io: &IoThread, key: &[u8]) -> (u64, u16, usize) {
    let map = io.shared.world.slots;
    let slot = map.slot(key);
    (table::hash(key), slot, map.shard_of(slot))
}

/// Puts a command into the batch of its shard.
#[inline(always)]
pub fn send_to_shard(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: &[&[u8]],
    hash: u64,
    slot: u16,
    shard: usize,
) {
    io.sampler.count = io.sampler.count.wrapping_add(1);
    if io.sampler.count % SAMPLE == 0 && command.first_key != 0 {
        note_hot_key(io, command, args);
    }
    let heavy = io.batches.shards() > 1 && is_for_the_thread(io, connection, command, shard);
    let batch = if heavy { &mut io.batches.heavy[shard] } else { &mut io.batches.building[shard] };
    let session = &connection.session;
    let is_new = connection.outbound.opens_segment(shard);
    if is_new {
        begin_segment(batch, &io.shared.world.settings, connection);
    }
    // SAFETY: the bytes are in the connection's read buffer or among its inline words, which are neither moved nor
    // changed nor freed while the connection has commands out (`Connection::is_idle`), and the batch is cleared before
    // they are again.
    let args = unsafe { std::mem::transmute::<&[&[u8]], &[&'static [u8]]>(args) };
    batch.push(command, args, hash, slot, session.db);
    let is_tracked = is_new && session.tracking.is_some();
    connection.outbound.expect_from(shard, session.reply_mode.suppresses());
    if is_tracked {
        // What CLIENT CACHING has said was for this command; the next one begins a segment of its own.
        connection.end_caching();
    }
}

/// Begins what a connection brings to a batch.
#[inline(always)]
fn begin_segment(batch: &mut Batch, settings: &Settings, connection: &Connection) {
    let (session, reply_bytes_max) = (&connection.session, reply_bytes_max(settings, connection));
    batch.begin_segment(connection.token.index, &connection.record, (session.db, session.protocol), reply_bytes_max);
}

/// Notes the first key of a command among the most used ones, if this one has keys.
#[inline(never)]
fn note_hot_key(io: &IoThread, command: &Command, args: &[&[u8]]) {
    let has_keys = command.spec.key_positions(args).is_some_and(|keys| !keys.is_empty());
    if let Some(key) = args.get(command.first_key).filter(|_| has_keys) {
        io.stats().hot_keys.note(key);
    }
}

/// Calls of one command that follow each other.
pub trait Row<'a> {
    /// Writes the arguments of the next one; false if there is none.
    // Implementations are always inlined: what they keep stays in registers then.
    fn next(&mut self, args: &mut [&'a [u8]; SHORT_ARGS_MAX]) -> bool;
}

/// Puts calls of one command that follow each other, of `count` arguments each, into batches. With one shard, what is the same for
/// all of them is looked at once.
#[inline]
pub fn send_row<'a>(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: &mut [&'a [u8]; SHORT_ARGS_MAX],
    count: usize,
    row: &mut impl Row<'a>,
) {
    if io.batches.shards() != 1 {
        while row.next(args) {
            let (hash, slot, shard) = place_of(io, args[1]);
            send_to_shard(io, connection, command, &args[..count], hash, slot, shard);
        }
        return;
    }
    let (slots, hot_keys) = (io.shared.world.slots, &io.shared.io[io.index].hot_keys);
    let (batch, session) = (&mut io.batches.building[0], &connection.session);
    let mut sampled = io.sampler.count;
    let mut sent = 0;
    while row.next(args) {
        sampled = sampled.wrapping_add(1);
        if sampled % SAMPLE == 0 {
            hot_keys.note(args[1]);
        }
        if sent == 0 && connection.outbound.opens_segment(0) {
            begin_segment(batch, &io.shared.world.settings, connection);
        }
        // SAFETY: as in `send_to_shard`.
        let whole = unsafe { std::mem::transmute::<&[&[u8]], &[&'static [u8]]>(&args[..count]) };
        batch.push(command, whole, table::hash(args[1]), slots.slot(args[1]), session.db);
        sent += 1;
    }
    io.sampler.count = sampled;
    if sent > 0 {
        connection.outbound.expect_many_from(0, session.reply_mode.suppresses(), sent);
    }
}

/// Whether a command goes to the batch that its shard's own thread executes.
fn is_for_the_thread(io: &IoThread, connection: &Connection, command: &Command, shard: usize) -> bool {
    if connection.outbound.expects_from(shard) {
        // What a connection brings to one shard in a round stays together: it is executed and answered in order.
        return io.batches.heavy[shard].segments.last().is_some_and(|last| last.connection == connection.token.index);
    }
    !command.spec.has(flag::FAST) && io.shared.engine.is_heavy(shard, command.id)
}
