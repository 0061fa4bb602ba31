//! Time: cheap ticks for timing commands, and the wall clock.
//!
//! A tick read is one instruction where the processor has an invariant counter (7 ns against 25 ns for the system call's
//! fast path); its rate is measured against the monotonic clock once at start. Elsewhere a tick is a nanosecond.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the tick counter.
#[inline]
pub fn ticks() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: reading the time stamp counter has no preconditions in user mode on Linux.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    monotonic_nanoseconds()
}

/// Nanoseconds since the first call.
pub fn monotonic_nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Milliseconds on the monotonic clock, from 1 on: 0 can stand for no time.
#[inline]
pub fn monotonic_milliseconds() -> i64 {
    (monotonic_nanoseconds() / 1_000_000) as i64 + 1
}

/// Both clocks at one moment.
struct Reading {
    time: Instant,
    ticks: u64,
}

impl Reading {
    /// The closest of some readings: a thread that loses its core between the two clocks reads two moments, and a rate taken
    /// from them would be wrong for as long as the process lives.
    fn take() -> Reading {
        const ATTEMPTS: usize = 16;
        let readings = (0..ATTEMPTS).map(|_| {
            let before = ticks();
            let time = Instant::now();
            let taken = ticks().wrapping_sub(before);
            (taken, Reading { time, ticks: before.wrapping_add(taken / 2) })
        });
        readings.min_by_key(|&(taken, _)| taken).expect("some attempts").1
    }
}

/// Nanoseconds a tick, as a fraction of 2^32.
#[derive(Clone, Copy, Debug)]
pub struct TickRate(u64);

impl TickRate {
    /// The rate of this machine; measured once, which takes about two milliseconds.
    pub fn get() -> TickRate {
        static RATE: OnceLock<TickRate> = OnceLock::new();
        *RATE.get_or_init(|| {
            let begin = Reading::take();
            while begin.time.elapsed() < Duration::from_millis(2) {
                std::hint::spin_loop();
            }
            let end = Reading::take();
            let nanoseconds = end.time.duration_since(begin.time).as_nanos();
            let ticks = u128::from(end.ticks.wrapping_sub(begin.ticks).max(1));
            TickRate(((nanoseconds << 32) / ticks) as u64)
        })
    }

    /// The ticks in so many nanoseconds.
    pub fn ticks(self, nanoseconds: u64) -> u64 {
        ((u128::from(nanoseconds) << 32) / u128::from(self.0.max(1))) as u64
    }

    /// Converts a difference of ticks; a counter that went backwards gives 0.
    #[inline]
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        if (ticks as i64) < 0 {
            return 0;
        }
        ((u128::from(ticks) * u128::from(self.0)) >> 32) as u64
    }
}

/// Milliseconds since the Unix epoch.
#[inline]
pub fn unix_milliseconds() -> i64 {
    unix_time().as_millis() as i64
}

/// Microseconds since the Unix epoch.
#[inline]
pub fn unix_microseconds() -> i64 {
    unix_time().as_micros() as i64
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_convert_to_about_the_time_that_passed() {
        let rate = TickRate::get();
        let begin = Reading::take();
        std::thread::sleep(Duration::from_millis(20));
        let end = Reading::take();
        let measured = rate.nanoseconds(end.ticks - begin.ticks) as f64;
        let real = end.time.duration_since(begin.time).as_nanos() as f64;
        assert!((measured / real - 1.0).abs() < 0.05, "{measured} against {real}");
    }

    #[test]
    fn a_counter_that_went_backwards_is_no_time() {
        assert_eq!(TickRate::get().nanoseconds(0u64.wrapping_sub(5)), 0);
    }
}
