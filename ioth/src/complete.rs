//! Replies on their way back: from executed batches to sockets, in the order of the requests.

use sherd_shards::batch::Batch;

use crate::connection::Connection;
use crate::io_thread::IoThread;

impl IoThread {
    /// Hands the replies of an executed batch to its connections.
    pub fn complete(&mut self, mut batch: Box<Batch>) {
        let commands = std::mem::take(&mut batch.commands);
        let mut waiters = std::mem::take(&mut batch.waiters).into_iter().peekable();
        let mut first = 0;
        let mut start = 0;
        while first < commands.len() {
            let index = commands[first].connection;
            let mut last = first;
            let mut close = commands[first].close;
            while last + 1 < commands.len() && commands[last + 1].connection == index {
                last += 1;
                close |= commands[last].close;
            }
            let end = commands[last].end;
            // Only the last command of a connection's round may wait.
            let waiter = waiters.next_if(|(number, _)| *number <= last).map(|(_, waiter)| waiter);
            if let Some(mut connection) = self.connections.take(index) {
                let record = &connection.record;
                record.last_command.store(commands[last].command.id as u32, std::sync::atomic::Ordering::Relaxed);
                record.commands.store(
                    record.commands.load(std::sync::atomic::Ordering::Relaxed) + (last - first + 1) as u64,
                    std::sync::atomic::Ordering::Relaxed,
                );
                connection.close_after_reply |= close;
                let ends = commands[first..=last].iter().map(|command| command.end);
                self.take_replies(&mut connection, batch.shard, &batch.out, start, end, ends);
                match waiter {
                    Some(waiter) => self.begin_wait(&mut connection, waiter),
                    None => self.settle_wait(&mut connection),
                }
                self.settle(connection);
            }
            start = end;
            first = last + 1;
        }
        batch.commands = commands;
        self.recycle(batch);
    }

    /// Takes a connection's replies out of a batch; `out[start..end]` is all of them, `ends` where each ends.
    fn take_replies(
        &mut self,
        connection: &mut Connection,
        shard: usize,
        out: &[u8],
        start: usize,
        end: usize,
        ends: impl Iterator<Item = usize>,
    ) {
        connection.shards_out &= !(1 << shard);
        if let [only] = connection.runs.as_slice() {
            // The usual case: everything came from one shard, and is sent from where it was written.
            let bytes = if only.suppressed { &[][..] } else { &out[start..end] };
            connection.runs.clear();
            self.finish(connection, bytes);
            return;
        }
        let mut ends = ends;
        let mut from = start;
        let Connection { runs, scratch, .. } = connection;
        for run in runs.iter_mut().filter(|run| run.source == shard as u8) {
            let mut to = from;
            for _ in 0..run.count {
                to = ends.next().unwrap_or(to);
            }
            let at = scratch.len();
            scratch.extend_from_slice(&out[from..to]);
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
