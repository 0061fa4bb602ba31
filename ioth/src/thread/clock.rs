//! The time that a thread's work goes by: read once a round, and again where the round takes long.

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::server::world::World;

/// How old the time may be when a connection is looked at.
const AGE_NANOSECONDS_MAX: u64 = 1_000_000;

/// A thread's time.
pub struct RoundClock {
    /// Milliseconds on the monotonic clock.
    pub now_ms: i64,
    /// The tick counter when it was read.
    read_at: u64,
}

impl RoundClock {
    /// The time now.
    pub fn new(world: &World) -> RoundClock {
        RoundClock { now_ms: world.monotonic_milliseconds(), read_at: clock::ticks() }
    }

    /// Reads the clock.
    pub fn read(&mut self, world: &World) {
        *self = RoundClock::new(world);
    }

    /// Reads the clock again where what was done in this round took long enough to matter: a client is not idle, and its
    /// pause no shorter, because others have kept this thread busy.
    pub fn read_if_old(&mut self, world: &World) {
        let age = clock::ticks().wrapping_sub(self.read_at);
        if TickRate::get().nanoseconds(age) >= AGE_NANOSECONDS_MAX {
            self.read(world);
        }
    }
}
