//! The two clocks of a server, which tests stop and move.
//!
//! The wall clock is for what has a date: when keys and fields expire, ids of streams, times that people read. An operator or
//! NTP may set it at any moment, so no duration depends on it: timeouts, ticks, pauses, idle times and rates are taken from
//! the monotonic clock.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use sherd_metrics::clock;

/// See the [module](self).
#[derive(Default)]
pub struct Clocks {
    /// Where tests have stopped the clocks; 0 while they go.
    stopped_wall_ms: AtomicI64,
    stopped_monotonic_ms: AtomicI64,
}

impl Clocks {
    /// Milliseconds since the Unix epoch.
    #[inline]
    pub fn wall_ms(&self) -> i64 {
        match self.stopped_wall_ms.load(Relaxed) {
            0 => clock::unix_milliseconds(),
            stopped => stopped,
        }
    }

    /// Milliseconds on a clock that nobody sets; never 0.
    #[inline]
    pub fn monotonic_ms(&self) -> i64 {
        match self.stopped_monotonic_ms.load(Relaxed) {
            0 => clock::monotonic_milliseconds(),
            stopped => stopped,
        }
    }

    /// Stops both clocks.
    pub fn stop(&self) {
        self.stopped_wall_ms.store(self.wall_ms(), Relaxed);
        self.stopped_monotonic_ms.store(self.monotonic_ms(), Relaxed);
    }

    /// Lets time pass: both clocks go on by so much, and are stopped then.
    pub fn advance(&self, milliseconds: i64) {
        self.stop();
        self.stopped_wall_ms.fetch_add(milliseconds, Relaxed);
        self.stopped_monotonic_ms.fetch_add(milliseconds, Relaxed);
    }

    /// Sets the wall clock forward, or back, while no time passes; both clocks are stopped then.
    pub fn set_wall_by(&self, milliseconds: i64) {
        self.stop();
        self.stopped_wall_ms.fetch_add(milliseconds, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_wall_clock_back_takes_no_time() {
        let clocks = Clocks::default();
        clocks.stop();
        let (wall, monotonic) = (clocks.wall_ms(), clocks.monotonic_ms());
        clocks.set_wall_by(-3_600_000);
        clocks.advance(5);
        assert_eq!((clocks.wall_ms() - wall, clocks.monotonic_ms() - monotonic), (5 - 3_600_000, 5));
    }

    #[test]
    fn the_monotonic_clock_is_never_at_zero_which_means_no_time_elsewhere() {
        assert!(Clocks::default().monotonic_ms() > 0);
    }
}
