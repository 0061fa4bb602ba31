//! Doubles to their shortest text, byte for byte as Redis 7.2 and later print them.
//!
//! The digits come from Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with
//! Integers", 2010): scale the value and the two halfway points to its neighbours by a cached power of ten, then cut
//! digits of the upper bound until what is left lies between the bounds. It always reads back as the same double, but
//! about one value in a thousand gets one digit more than needed. The standard library's printer is always shortest and
//! would therefore differ from a real server on those values; scores travel between servers as text, so the same bytes
//! matter more.

use super::powers_of_ten::{FIRST_POWER, POWERS, POWER_STEP};
use super::F64Buffer;

const FRACTION_BITS: u32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;

/// Scaled values have a binary exponent in this window: the integer part fits 32 bits, the fraction times ten fits 64.
const EXPONENT_WINDOW: std::ops::RangeInclusive<i32> = -60..=-32;

/// Digits beyond this never occur: 17 identify every double and Grisu2 stops at 18 at the latest.
const DIGITS_MAX: usize = 18;

/// Decimal digits and the power of ten of the last one.
struct Decimal {
    digits: [u8; DIGITS_MAX],
    count: usize,
    exponent: i32,
}

/// Writes a finite, non-zero `value`; returns the number of bytes.
pub fn write(value: f64, buffer: &mut F64Buffer) -> usize {
    let negative = value.is_sign_negative();
    let mut writer = Writer { buffer, at: 0 };
    if negative {
        writer.put(b"-");
    }
    let decimal = shortest_digits(value.abs());
    writer.put_decimal(&decimal, negative);
    writer.at
}

/// Grisu2 over a positive, finite `value`.
fn shortest_digits(value: f64) -> Decimal {
    let bits = value.to_bits();
    let biased_exponent = (bits >> FRACTION_BITS) as i32;
    let fraction = bits & (HIDDEN_BIT - 1);
    let (significand, exponent) =
        if biased_exponent == 0 { (fraction, -1074) } else { (fraction | HIDDEN_BIT, biased_exponent - 1075) };

    // The halfway points to the neighbours, all three brought to the exponent of the normalised upper one. Below a
    // power of two the lower neighbour is half as far away.
    let upper = significand * 2 + 1;
    let shift = upper.leading_zeros();
    let scaled_exponent = exponent - 1 - shift as i32;
    let lower_shift = if significand == HIDDEN_BIT { 2 } else { 1 };
    let lower = ((significand << lower_shift) - 1) << (shift + 1 - lower_shift);

    let (power, power_exponent, decimal_power) = cached_power(scaled_exponent);
    let scaled_value = multiply_rounded(significand << (shift + 1), power);
    // The cached power is inexact: pull the bounds in by one unit so that every number between them is safe.
    let scaled_upper = multiply_rounded(upper << shift, power) - 1;
    let scaled_lower = multiply_rounded(lower, power) + 1;
    let fraction_bits = -(scaled_exponent + power_exponent + 64) as u32;
    generate_digits(scaled_value, scaled_upper, scaled_lower, fraction_bits, -decimal_power)
}

/// A cached power of ten that brings `exponent` into the window, with its binary and decimal exponents.
fn cached_power(exponent: i32) -> (u64, i32, i32) {
    // Two rows can fit; the estimate decides which one is taken, and so which digits come out in rare cases.
    let estimate = (-f64::from(exponent + POWERS.len() as i32) * std::f64::consts::LOG10_2) as i32;
    let mut row = ((estimate - FIRST_POWER) / POWER_STEP) as usize;
    loop {
        let (significand, power_exponent) = POWERS[row];
        let result = exponent + power_exponent + 64;
        if result < *EXPONENT_WINDOW.start() {
            row += 1;
        } else if result > *EXPONENT_WINDOW.end() {
            row -= 1;
        } else {
            return (significand, power_exponent, FIRST_POWER + row as i32 * POWER_STEP);
        }
    }
}

/// The upper half of the 128-bit product, rounded.
fn multiply_rounded(left: u64, right: u64) -> u64 {
    ((u128::from(left) * u128::from(right) + (1 << 63)) >> 64) as u64
}

/// Cuts digits off `upper` until the rest is within the interval; all three are fixed-point with `fraction_bits`.
fn generate_digits(value: u64, upper: u64, lower: u64, fraction_bits: u32, exponent: i32) -> Decimal {
    let mut decimal = Decimal { digits: [0; DIGITS_MAX], count: 0, exponent };
    let mut interval = upper - lower;
    let distance = upper - value;
    let fraction_mask = (1u64 << fraction_bits) - 1;
    let mut integer = upper >> fraction_bits;
    let mut fraction = upper & fraction_mask;

    let mut position = 10;
    while position > 0 {
        position -= 1;
        let divisor = 10u64.pow(position);
        decimal.push_unless_leading_zero((integer / divisor) as u8);
        integer %= divisor;
        let rest = (integer << fraction_bits) + fraction;
        if rest <= interval {
            decimal.exponent += position as i32;
            decimal.move_towards(distance, rest, interval, divisor << fraction_bits);
            return decimal;
        }
    }
    let mut unit = 1u64;
    loop {
        fraction *= 10;
        interval *= 10;
        unit = unit.wrapping_mul(10);
        decimal.exponent -= 1;
        decimal.push_unless_leading_zero((fraction >> fraction_bits) as u8);
        fraction &= fraction_mask;
        if fraction < interval {
            decimal.move_towards(distance.wrapping_mul(unit), fraction, interval, 1 << fraction_bits);
            return decimal;
        }
    }
}

impl Decimal {
    fn push_unless_leading_zero(&mut self, digit: u8) {
        if digit != 0 || self.count != 0 {
            self.digits[self.count] = b'0' + digit;
            self.count += 1;
        }
    }

    /// Lowers the last digit while that brings the result, `rest` below the upper bound, closer to the true value,
    /// which lies `distance` below it, without leaving the interval.
    fn move_towards(&mut self, distance: u64, mut rest: u64, interval: u64, unit: u64) {
        while rest < distance
            && interval - rest >= unit
            && (rest + unit < distance || distance - rest > rest + unit - distance)
        {
            self.digits[self.count - 1] -= 1;
            rest += unit;
        }
    }
}

/// Appends to a fixed buffer.
struct Writer<'a> {
    buffer: &'a mut F64Buffer,
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn put_zeros(&mut self, count: usize) {
        self.buffer[self.at..self.at + count].fill(b'0');
        self.at += count;
    }

    /// Integers with fewer than seven added zeros in full, short fractions with a point, everything else with `e`.
    fn put_decimal(&mut self, decimal: &Decimal, negative: bool) {
        let digits = &decimal.digits[..decimal.count];
        let last_exponent = decimal.exponent;
        let first_exponent = last_exponent + digits.len() as i32 - 1;
        let magnitude = first_exponent.unsigned_abs();
        if last_exponent >= 0 && magnitude < digits.len() as u32 + 7 {
            self.put(digits);
            self.put_zeros(last_exponent as usize);
        } else if last_exponent < 0 && (last_exponent > -7 || magnitude < 4) {
            self.put_fraction(digits, last_exponent.unsigned_abs() as usize);
        } else {
            // A negative number has one character less for its digits: the servers' buffer of 24 is part of the format.
            let shown = digits.len().min(18 - usize::from(negative));
            self.put_scientific(&digits[..shown], first_exponent < 0, magnitude);
        }
    }

    fn put_fraction(&mut self, digits: &[u8], decimals: usize) {
        if digits.len() > decimals {
            let (whole, fraction) = digits.split_at(digits.len() - decimals);
            self.put(whole);
            self.put(b".");
            self.put(fraction);
        } else {
            self.put(b"0.");
            self.put_zeros(decimals - digits.len());
            self.put(digits);
        }
    }

    fn put_scientific(&mut self, digits: &[u8], small: bool, magnitude: u32) {
        self.put(&digits[..1]);
        if digits.len() > 1 {
            self.put(b".");
            self.put(&digits[1..]);
        }
        self.put(if small { b"e-" } else { b"e+" });
        self.put(super::format_i64(i64::from(magnitude), &mut [0; super::I64_TEXT_MAX_BYTES]));
    }
}
