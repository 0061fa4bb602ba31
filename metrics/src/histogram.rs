//! Latency histograms: four buckets an octave of nanoseconds, so that a percentile is within 19 % at 1 KiB a histogram.
//!
//! The buckets are allocated with the first value. Every shard and IO thread counts some 400 commands, most of which a server
//! never sees: half a megabyte for each of those threads.
//!
//! Rejected: HdrHistogram's three significant digits, which costs 100 KiB a command and tells nobody more.

use std::sync::OnceLock;

use crate::counter::Counter;

/// Buckets: values up to 2^36 ns (69 s) in quarter octaves; the last one takes everything above.
pub const BUCKETS: usize = 36 * 4;

/// See the [module](self). Written by one thread at a time.
#[derive(Default, Debug)]
pub struct Histogram {
    buckets: OnceLock<Box<[Counter; BUCKETS]>>,
}

/// The bucket of a value in nanoseconds.
#[inline]
fn bucket_of(nanoseconds: u64) -> usize {
    let value = nanoseconds.max(4);
    let octave = 63 - value.leading_zeros() as usize;
    let quarter = (value >> (octave - 2)) as usize & 3;
    ((octave - 2) * 4 + quarter).min(BUCKETS - 1)
}

/// The exclusive upper bound of a bucket in nanoseconds.
pub fn upper_bound(bucket: usize) -> u64 {
    let octave = bucket / 4 + 2;
    let quarter = bucket as u64 % 4;
    (5 + quarter) << (octave - 2)
}

impl Histogram {
    /// Counts one value.
    #[inline]
    pub fn record(&self, nanoseconds: u64) {
        self.record_times(nanoseconds, 1);
    }

    /// Counts a value so many times.
    #[inline]
    pub fn record_times(&self, nanoseconds: u64, times: u64) {
        let buckets = self.buckets.get_or_init(|| Box::new([const { Counter::new() }; BUCKETS]));
        buckets[bucket_of(nanoseconds)].add(times);
    }

    /// Takes back a value that was counted.
    pub fn take_back(&self, nanoseconds: u64) {
        if let Some(buckets) = self.buckets.get() {
            buckets[bucket_of(nanoseconds)].subtract(1);
        }
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.buckets.get().into_iter().flat_map(|buckets| buckets.iter()).for_each(|bucket| bucket.set(0));
    }

    /// Adds the counts to `sums`, which has [`BUCKETS`] places.
    pub fn add_to(&self, sums: &mut [u64]) {
        let Some(buckets) = self.buckets.get() else { return };
        for (sum, bucket) in sums.iter_mut().zip(buckets.iter()) {
            *sum += bucket.get();
        }
    }
}

/// The value below which the fraction `quantile` of the counted values lies, in nanoseconds; 0 for no values.
pub fn quantile(counts: &[u64], quantile: f64) -> u64 {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return 0;
    }
    let rank = ((total as f64) * quantile).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return upper_bound(bucket);
        }
    }
    upper_bound(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_below_its_upper_bound_and_within_a_quarter_octave() {
        for value in (4..100_000u64).chain((1..40).map(|i| (1 << i) + 1)) {
            let bucket = bucket_of(value);
            if bucket < BUCKETS - 1 {
                assert!(value < upper_bound(bucket), "{value}");
                assert!(upper_bound(bucket) as f64 <= value.max(4) as f64 * 1.26, "{value}");
            }
        }
    }

    #[test]
    fn a_histogram_without_values_has_no_buckets() {
        let histogram = Histogram::default();
        let mut counts = vec![0; BUCKETS];
        histogram.reset();
        histogram.add_to(&mut counts);
        assert!(histogram.buckets.get().is_none());
        assert_eq!(counts, vec![0; BUCKETS]);
    }

    #[test]
    fn quantiles_come_from_the_right_bucket() {
        let histogram = Histogram::default();
        for value in 1..=1000 {
            histogram.record(value * 1000);
        }
        let mut counts = vec![0; BUCKETS];
        histogram.add_to(&mut counts);
        let median = quantile(&counts, 0.5);
        assert!((500_000..650_000).contains(&median), "{median}");
        assert_eq!(quantile(&vec![0; BUCKETS], 0.5), 0);
    }
}
