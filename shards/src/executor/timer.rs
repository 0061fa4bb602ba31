//! How long each command of a batch takes, and how old the time is by which they are executed.
//!
//! Looking at the tick counter is the dearest part of a command that reads one key. So a few calls of the same command in a row are
//! timed together, where nothing can make one of them take long. What has held them up all the same, which is the machine, stays one
//! long call: that of the last.

use sherd_metrics::clock::{self, TickRate};

use crate::command::registry::Command;
use crate::executor::batch::Cmd;
use crate::executor::execute::Counts;
use crate::server::world::World;

/// How old the time of a batch may be when a command begins; after that the clocks are read again. The tick counter, which is
/// read anyway, tells: clocks are read once in a batch, or a thousand times a second in a long one.
const TIME_AGE_NANOSECONDS_MAX: u64 = 1_000_000;
/// So many calls at most are timed together.
const TOGETHER_MAX: u64 = 4;
/// What all but the last one of them are taken for at most.
const TOGETHER_NANOSECONDS_MAX: u64 = 500;
/// One with a longer reply is the last of those that are timed together.
const REPLY_BYTES_MAX: usize = 1024;

/// See the [module](self).
pub struct Timer {
    /// When the last command ended that was timed.
    tick: u64,
    /// No later than when the clocks were read.
    clocks_read: u64,
    /// [`TIME_AGE_NANOSECONDS_MAX`] in ticks.
    age_max: u64,
    /// Commands since `tick`.
    untimed: u64,
    untimed_max: u64,
}

impl Timer {
    /// Begins with the first command of a batch. The clocks are to be read after it.
    pub fn start(world: &World) -> Timer {
        let (tick, rate) = (clock::ticks(), TickRate::get());
        let untimed_max = if world.settings.times_each_command.on() { 0 } else { TOGETHER_MAX - 1 };
        Timer { tick, clocks_read: tick, age_max: rate.ticks(TIME_AGE_NANOSECONDS_MAX), untimed: 0, untimed_max }
    }

    /// Whether the command at a place in its batch, which has answered so many bytes and no error, is timed with the next one.
    #[inline(always)]
    pub fn leaves(&mut self, commands: &[Cmd], at: usize, reply_bytes: usize) -> bool {
        let command = commands[at].command;
        let leaves = command.quick
            && self.untimed < self.untimed_max
            && reply_bytes <= REPLY_BYTES_MAX
            && commands.get(at + 1).is_some_and(|next| std::ptr::eq(next.command, command));
        self.untimed += u64::from(leaves);
        leaves
    }

    /// The ticks that a command took which has ended. Counts those that were left to be timed with it.
    #[inline(always)]
    pub fn stop(&mut self, counts: &Counts<'_>, command: &Command) -> u64 {
        let now = clock::ticks();
        let mut ticks = now.wrapping_sub(self.tick);
        self.tick = now;
        if self.untimed > 0 {
            let each_max = self.age_max / (TIME_AGE_NANOSECONDS_MAX / TOGETHER_NANOSECONDS_MAX);
            let each = (ticks / (self.untimed + 1)).min(each_max);
            counts.cells.cell(command.id).record_alike(counts.rate.nanoseconds(each), self.untimed);
            ticks -= each * self.untimed;
            self.untimed = 0;
        }
        ticks
    }

    /// The next command begins now: there was something to do since the last one.
    pub fn restart(&mut self) {
        self.tick = clock::ticks();
    }

    /// Whether the clocks are to be read again.
    #[inline(always)]
    pub fn wants_clocks(&mut self) -> bool {
        let is_old = self.tick.wrapping_sub(self.clocks_read) >= self.age_max;
        if is_old {
            self.clocks_read = self.tick;
        }
        is_old
    }
}

#[cfg(test)]
#[path = "timer_tests.rs"]
mod tests;
