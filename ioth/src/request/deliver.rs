//! Replies on their way back: from executed batches to sockets, in the order of the requests.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::executor::batch::{Batch, Segment};

use crate::connection::outbound::Parked;
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::thread::IoThread;

use super::blocked::wait::{begin_wait, settle_wait};
use super::durable::hold_for;
use super::output::{cut_if_dropped, flush, send_from};
use super::publish::take_posts;
use super::settle::settle;

/// Hands the replies of an executed batch to its connections.
pub fn complete(io: &mut IoThread, mut batch: Box<Batch>) {
    if io.shared.world.tracking.is_on() {
        // What the batch's clients hear of their own changes is there by now, and goes in between.
        take_posts(io, None);
    }
    let mut waiters = std::mem::take(&mut batch.waiters).into_iter().peekable();
    let mut segment = 0;
    while segment < batch.segments.len() {
        let Segment { first, connection: index, ref close, .. } = batch.segments[segment];
        let (mut close, mut has_written) = (close.get(), batch.segments[segment].has_written.get());
        while let Some(next) = batch.segments.get(segment + 1).filter(|next| next.connection == index) {
            close |= next.close.get();
            has_written |= next.has_written.get();
            segment += 1;
        }
        let end = batch.segment_end(segment);
        let done = end.min(batch.executed).max(first);
        // Only the last command that a connection has out may wait.
        let waiter = waiters.next_if(|(number, _)| *number < end).map(|(_, waiter)| waiter);
        if let Some(mut connection) = io.connections.take(index) {
            let record = &connection.record;
            // The last one of its pipeline, whichever shard was the last to answer.
            let last = connection.session.last_command.unwrap_or(batch.commands[end - 1].command);
            record.last_command.store(last.id as u32, Relaxed);
            record.commands.store(record.commands.load(Relaxed) + (done - first) as u64, Relaxed);
            if close && !cut_if_dropped(io, &mut connection) {
                connection.close_after_reply = true;
            }
            if has_written {
                hold_for(io, &mut connection, batch.ticket);
            }
            connection.outbound.received_from(batch.shard);
            if done < end {
                park(io, &mut connection, &batch, done..end);
            }
            take_replies(io, &mut connection, &mut batch, first..done);
            match waiter {
                Some(waiter) => begin_wait(io, &mut connection, waiter),
                None => settle_wait(io, &mut connection),
            }
            settle(io, connection);
        }
        segment += 1;
    }
    io.batches.recycle(batch);
}

/// Keeps commands of a connection that came back from a shard as they went (`parked.rs`).
#[cold]
fn park(io: &mut IoThread, connection: &mut Connection, batch: &Batch, commands: Range<usize>) {
    let mut rest = Box::new(Batch::new(io.index, batch.shard));
    rest.push_from(batch, commands);
    connection.outbound.park(Parked { batch: rest, done: 0 });
    io.connections.make_ready_again(connection);
}

/// Takes the replies to a connection's commands out of a batch.
fn take_replies(io: &mut IoThread, connection: &mut Connection, batch: &mut Batch, commands: Range<usize>) {
    let shard = batch.shard;
    let outbound = &mut connection.outbound;
    if commands.is_empty() {
        return go_on(io, connection);
    }
    if outbound.has_behind() {
        return take_replies_and_messages(io, connection, batch, commands);
    }
    let from = batch.reply_start(commands.start);
    if let Some(suppressed) = outbound.take_only_pending(commands.len()) {
        // The usual case: everything came from one shard, and is sent from where it was written.
        let end = batch.commands[commands.end - 1].end;
        finish(io, connection, &mut batch.out, if suppressed { 0..0 } else { from..end });
        return;
    }
    outbound.keep(shard, &mut batch.out, from, batch.commands[commands].iter().map(|command| command.end));
    go_on(io, connection);
}

/// The same with what the client hears of its own changes, each behind the reply to the command that has made it.
#[cold]
fn take_replies_and_messages(io: &mut IoThread, connection: &mut Connection, batch: &Batch, commands: Range<usize>) {
    let outbound = &mut connection.outbound;
    let count = commands.len();
    // What is empty may stand behind what another connection has taken.
    let reply_to = |at: usize| batch.out.get(batch.reply_start(at)..batch.commands[at].end).unwrap_or_default();
    let replies = commands.map(|at| (at, reply_to(at)));
    let (mut bytes, ends) = outbound.join_behind(batch.shard, replies);
    if let Some(suppressed) = outbound.take_only_pending(count) {
        let end = if suppressed { 0 } else { bytes.len() };
        finish(io, connection, &mut bytes, 0..end);
        return;
    }
    outbound.keep(batch.shard, &mut bytes, 0, ends.into_iter());
    go_on(io, connection);
}

/// Sends what has come, when no shard executes anything of the connection any more.
pub fn go_on(io: &mut IoThread, connection: &mut Connection) {
    if !connection.outbound.is_executing() {
        connection.outbound.put_in_order();
        finish(io, connection, &mut Vec::new(), 0..0);
    }
}

/// The round is over for a connection: sends a range of a buffer behind what it has, and goes on with what it has left to parse.
#[inline(always)]
fn finish(io: &mut IoThread, connection: &mut Connection, bytes: &mut Vec<u8>, range: Range<usize>) {
    let is_answered = !connection.outbound.has_pending();
    if connection.outbound.has_pushed() && connection.wait.reason == WaitsFor::Nothing && is_answered {
        // Messages that have come meanwhile follow the replies.
        connection.outbound.append_from(bytes, range.start, range.end);
        connection.outbound.end_reply();
        flush(io, connection);
    } else if range.is_empty() {
        flush(io, connection);
    } else {
        send_from(io, connection, bytes, range);
    }
    if connection.close_after_reply && is_answered && connection.unsent() == 0 {
        connection.closing = true;
    }
    if (connection.inbound.unparsed() > 0 || !is_answered) && !connection.closing {
        io.connections.make_ready_again(connection);
    }
}
