//! From registers to a number: the improved estimator of Otmar Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches" (2017), which needs no tables of empirical corrections.

use super::histogram::Histogram;
use super::{REGISTERS, REST_BITS};

/// `1 / (2 ln 2)`.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate for a histogram of register values.
pub(super) fn from_histogram(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let full = f64::from(histogram[REST_BITS as usize + 1]);
    let mut sum = registers * tau((registers - full) / registers);
    for value in (1..=REST_BITS as usize).rev() {
        sum = (sum + f64::from(histogram[value])) * 0.5;
    }
    sum += registers * sigma(f64::from(histogram[0]) / registers);
    (ALPHA * registers * registers / sum).round() as u64
}

/// The correction for registers that cannot count further.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x).powi(2) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// The correction for registers that have counted nothing.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}
