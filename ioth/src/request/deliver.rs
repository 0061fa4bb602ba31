//! Replies on their way back: from executed batches to sockets, in the order of the requests.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::batch::{Batch, Turn};

use crate::connection::Connection;
use crate::thread::IoThread;

impl IoThread {
    /// Hands the replies of an executed batch to its connections.
    pub fn complete(&mut self, mut batch: Box<Batch>) {
        let mut waiters = std::mem::take(&mut batch.waiters).into_iter().peekable();
        let mut turn = 0;
        while turn < batch.turns.len() {
            let Turn { first, connection: index, mut close, .. } = batch.turns[turn];
            while let Some(next) = batch.turns.get(turn + 1).filter(|next| next.connection == index) {
                close |= next.close;
                turn += 1;
            }
            let end = batch.turn_end(turn);
            // Only the last command of a connection's round may wait.
            let waiter = waiters.next_if(|(number, _)| *number < end).map(|(_, waiter)| waiter);
            if let Some(mut connection) = self.connections.take(index) {
                let record = &connection.record;
                record.last_command.store(batch.commands[end - 1].command.id as u32, Relaxed);
                record.commands.store(record.commands.load(Relaxed) + (end - first) as u64, Relaxed);
                connection.close_after_reply |= close;
                self.take_replies(&mut connection, &batch, first..end);
                match waiter {
                    Some(waiter) => self.begin_wait(&mut connection, waiter),
                    None => self.settle_wait(&mut connection),
                }
                self.settle(connection);
            }
            turn += 1;
        }
        self.recycle(batch);
    }

    /// Takes the replies to a connection's commands out of a batch.
    fn take_replies(&mut self, connection: &mut Connection, batch: &Batch, commands: Range<usize>) {
        let shard = batch.shard;
        connection.received_from(shard);
        let mut from = batch.reply_start(commands.start);
        if let [only] = connection.runs.as_slice() {
            // The usual case: everything came from one shard, and is sent from where it was written.
            let end = batch.commands[commands.end - 1].end;
            let bytes = if only.suppressed { &[][..] } else { &batch.out[from..end] };
            connection.runs.clear();
            self.finish(connection, bytes);
            return;
        }
        let mut ends = batch.commands[commands].iter().map(|command| command.end);
        let Connection { runs, scratch, .. } = connection;
        for run in runs.iter_mut().filter(|run| run.source == shard as u8) {
            let mut to = from;
            for _ in 0..run.count {
                to = ends.next().unwrap_or(to);
            }
            let at = scratch.len();
            scratch.extend_from_slice(&batch.out[from..to]);
            run.bytes = (at, scratch.len());
            from = to;
        }
        if connection.shards_out == 0 {
            self.assemble(connection);
        }
    }

    /// Puts the replies of a round in order, when all have come.
    fn assemble(&mut self, connection: &mut Connection) {
        let runs = std::mem::take(&mut connection.runs);
        let mut scratch = std::mem::take(&mut connection.scratch);
        for run in runs.iter().filter(|run| !run.suppressed) {
            connection.out.extend_from_slice(&scratch[run.bytes.0..run.bytes.1]);
        }
        scratch.clear();
        scratch.shrink_to(crate::connection::BUFFER_KEEP_MAX);
        connection.scratch = scratch;
        connection.runs = runs;
        connection.runs.clear();
        self.finish(connection, &[]);
    }

    /// The round is over for a connection: sends, and goes on with what it has left to parse.
    fn finish(&mut self, connection: &mut Connection, bytes: &[u8]) {
        let result = if bytes.is_empty() { connection.flush() } else { connection.send(bytes) };
        match result {
            Ok(sent) => self.note_written(connection, sent),
            Err(_) => connection.closing = true,
        }
        if connection.close_after_reply && connection.unsent() == 0 {
            connection.closing = true;
        }
        if connection.consumed < connection.buffer.len() && !connection.closing {
            self.ready_again(connection);
        }
    }
}
