//! What is counted for each command.

use crate::counter::Counter;
use crate::histogram::Histogram;

/// The counters of one command on one thread or shard.
#[derive(Default, Debug)]
pub struct CommandCell {
    /// Executions, failed ones included.
    pub calls: Counter,
    /// Time spent in them, in nanoseconds.
    pub nanoseconds: Counter,
    /// Refused before execution (arity, ACL, memory, state).
    pub rejected: Counter,
    /// Executions that answered an error.
    pub failed: Counter,
    /// Distribution of the times.
    pub latency: Histogram,
}

impl CommandCell {
    /// Counts one execution.
    #[inline]
    pub fn record(&self, nanoseconds: u64, failed: bool) {
        self.calls.increment();
        self.nanoseconds.add(nanoseconds);
        self.latency.record(nanoseconds);
        if failed {
            self.failed.increment();
        }
    }

    /// Counts so many executions, of which each took the same time.
    #[inline]
    pub fn record_alike(&self, nanoseconds: u64, times: u64) {
        self.calls.add(times);
        self.nanoseconds.add(nanoseconds * times);
        self.latency.record_times(nanoseconds, times);
    }

    /// Sets everything to zero.
    pub fn reset(&self) {
        self.calls.set(0);
        self.nanoseconds.set(0);
        self.rejected.set(0);
        self.failed.set(0);
        self.latency.reset();
    }
}

/// One cell a command, indexed by the command's number in the table.
#[derive(Default, Debug)]
pub struct CommandCells(Box<[CommandCell]>);

impl CommandCells {
    /// Cells for `count` commands.
    pub fn new(count: usize) -> Self {
        CommandCells((0..count).map(|_| CommandCell::default()).collect())
    }

    /// The cell of a command.
    #[inline]
    pub fn cell(&self, command: usize) -> &CommandCell {
        &self.0[command]
    }

    /// All cells in the order of the command table.
    pub fn iter(&self) -> impl Iterator<Item = &CommandCell> {
        self.0.iter()
    }

    /// Sets everything to zero (CONFIG RESETSTAT).
    pub fn reset(&self) {
        for cell in &self.0 {
            cell.reset();
        }
    }
}
