//! When a thread ticks: ten times a second as long as something happens, once a second when nothing does.

/// How often timeouts and limits are looked at, as long as something happens.
const TICK_MS: i64 = 100;
/// And how often when nothing does: the longest sleep. Limits over time are in seconds.
pub const QUIET_TICK_MS: i64 = 1000;

/// The ticks of one thread.
#[derive(Default)]
pub struct Ticks {
    pub next_ms: i64,
    /// Nothing has happened since the last tick.
    quiet: bool,
}

impl Ticks {
    /// Something has happened, or will need a look soon: out of a long sleep, that brings the next tick nearer.
    pub fn note_activity(&mut self, now_ms: i64) {
        self.quiet = false;
        self.look_at(now_ms + TICK_MS);
    }

    /// Ticks at this time at the latest.
    pub fn look_at(&mut self, at_ms: i64) {
        self.next_ms = self.next_ms.min(at_ms);
    }

    /// Whether to tick now; if so, the next tick is set. One in which nothing happens is followed by a longer sleep.
    pub fn take_due(&mut self, now_ms: i64) -> bool {
        if now_ms < self.next_ms {
            return false;
        }
        let quiet = std::mem::replace(&mut self.quiet, true);
        self.next_ms = now_ms + if quiet { QUIET_TICK_MS } else { TICK_MS };
        true
    }
}
