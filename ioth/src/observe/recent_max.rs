//! The largest value of the last seconds: a peak is to be seen by who looks every few seconds, and then to be over.

/// Seconds for which a peak is told.
const SECONDS: usize = 8;

/// A maximum for each of the last seconds.
#[derive(Default, Debug)]
pub struct RecentMax {
    by_second: [usize; SECONDS],
    second: i64,
}

impl RecentMax {
    /// Takes a value of the second that [`RecentMax::at`] was last called with.
    #[inline]
    pub fn note(&mut self, value: usize) {
        let place = &mut self.by_second[self.second as usize % SECONDS];
        if value > *place {
            *place = value;
        }
    }

    /// The largest value of the last seconds, the one given as the newest of them.
    pub fn at(&mut self, second: i64) -> usize {
        if second - self.second > SECONDS as i64 {
            // Nobody has asked for long.
            self.by_second = [0; SECONDS];
            self.second = second;
        }
        while self.second < second {
            self.second += 1;
            self.by_second[self.second as usize % SECONDS] = 0;
        }
        self.by_second.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_told_for_eight_seconds() {
        let mut peaks = RecentMax::default();
        peaks.at(1000);
        peaks.note(7);
        peaks.note(3);
        assert_eq!((peaks.at(1000), peaks.at(1007), peaks.at(1008)), (7, 7, 0));
    }

    #[test]
    fn the_larger_of_two_peaks_hides_the_smaller_one_only_as_long_as_it_is_told() {
        let mut peaks = RecentMax::default();
        peaks.at(5);
        peaks.note(9);
        peaks.at(7);
        peaks.note(4);
        assert_eq!((peaks.at(12), peaks.at(13), peaks.at(14), peaks.at(15)), (9, 4, 4, 0));
    }

    #[test]
    fn nothing_is_told_after_a_long_time() {
        let mut peaks = RecentMax::default();
        peaks.at(1000);
        peaks.note(7);
        assert_eq!(peaks.at(5000), 0);
    }
}
