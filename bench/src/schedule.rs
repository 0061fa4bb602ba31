//! When batches are due. Open loop: at fixed distances from the start, whatever the server does.

/// Times are nanoseconds since the worker's start.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// A batch is due as soon as a connection is free.
    Closed,
    Open {
        interval_nanos: f64,
        taken: u64,
    },
}

impl Schedule {
    /// `rate` is this worker's requests a second.
    pub fn new(rate: Option<f64>, pipeline: usize) -> Schedule {
        match rate {
            None => Schedule::Closed,
            Some(rate) => Schedule::Open { interval_nanos: 1e9 * pipeline as f64 / rate, taken: 0 },
        }
    }

    /// The time at which the next batch is due.
    pub fn due(&self, now_nanos: u64) -> u64 {
        match self {
            Schedule::Closed => now_nanos,
            // From the count, not by adding up: rounding would drift.
            Schedule::Open { interval_nanos, taken } => (*taken as f64 * interval_nanos) as u64,
        }
    }

    pub fn advance(&mut self) {
        if let Schedule::Open { taken, .. } = self {
            *taken += 1;
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(self, Schedule::Open { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_schedule_keeps_its_times_however_late_it_is_asked() {
        let mut schedule = Schedule::new(Some(1000.0), 2);
        let mut due = Vec::new();
        for _ in 0..3 {
            due.push(schedule.due(999_999_999_999));
            schedule.advance();
        }
        assert_eq!(due, [0, 2_000_000, 4_000_000]);
    }

    #[test]
    fn a_closed_schedule_is_always_due() {
        let mut schedule = Schedule::new(None, 1);
        schedule.advance();
        assert_eq!(schedule.due(42), 42);
    }
}
