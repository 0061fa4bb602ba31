//! The 80-bit extended arithmetic behind INCRBYFLOAT and HINCRBYFLOAT, in software.
//!
//! Redis parses the stored text into C's `long double`, adds, and prints `%.17Lf` without trailing zeros. On x86-64
//! that is the x87 format: 64 bits of significand, 15 of exponent. Doubles give visibly different results (`0.1 +
//! 0.2`), and so do exact decimals, so the format is emulated: parsing rounds to 64 bits, addition rounds to 64 bits,
//! both to nearest, ties to even, and printing is exact. Unlike C, the result does not depend on the processor.
//!
//! A value is a sign, a 64-bit significand with its top bit set (unless it is zero or subnormal) and the power of two
//! of the significand's lowest bit. Ordinary numbers stay in 128-bit integers; only exponents beyond about 19 digits
//! need the multi-word integers of [`super::wide`].

use std::cmp::Ordering;

use super::wide::Wide;
use super::{is_infinity, parse_hexadecimal, parse_power, split_sign};

/// The power of two of the lowest bit, at the two ends of the range.
const EXPONENT_MIN: i64 = -16445;
const EXPONENT_MAX: i64 = 16320;

/// What is printed after the point before zeros are cut.
const DECIMALS: u32 = 17;

/// Redis reads the text through a buffer of this size; longer text is "not a valid float".
const TEXT_LIMIT_BYTES: usize = 5 * 1024;

/// An extended-precision number. NaN does not occur in text; it arises only from adding opposite infinities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `significand * 2^exponent`; zero has significand 0 and exponent `EXPONENT_MIN`.
    Finite {
        significand: u64,
        exponent: i64,
    },
    Infinite,
    NotANumber,
}

impl LongDouble {
    /// The largest number that is not infinite.
    pub const MAX: Self =
        Self { negative: false, magnitude: Magnitude::Finite { significand: u64::MAX, exponent: EXPONENT_MAX } };

    /// The number that `text` spells, or `None` where Redis answers "not a valid float".
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_LIMIT_BYTES {
            return None;
        }
        let (negative, unsigned) = split_sign(text);
        let magnitude = match unsigned {
            [b'0', b'x' | b'X', hexadecimal @ ..] => {
                let number = parse_hexadecimal(hexadecimal)?;
                if number.significand == 0 {
                    Magnitude::ZERO
                } else {
                    // At least 61 + 64 bits are kept before any are dropped, so the lowest one is free to be sticky.
                    let wide = number.significand | u128::from(number.sticky);
                    Magnitude::round(wide, number.exponent).in_range()?
                }
            }
            [b'0'..=b'9' | b'.', ..] => parse_decimal(unsigned)?,
            _ if is_infinity(unsigned) => Magnitude::Infinite,
            _ => return None,
        };
        Some(Self { negative, magnitude })
    }

    /// An integer, exactly.
    pub fn from_i64(value: i64) -> Self {
        Self { negative: value < 0, magnitude: Magnitude::round(u128::from(value.unsigned_abs()), 0) }
    }

    /// False for infinity and NaN, which the commands refuse as a result.
    pub fn is_finite(self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// The sum, rounded to 64 bits, ties to even.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        use Magnitude::{Finite, Infinite, NotANumber};
        let (left, right) = match (self.magnitude, other.magnitude) {
            (Finite { significand: a, exponent: b }, Finite { significand: c, exponent: d }) => ((a, b), (c, d)),
            (NotANumber, _) | (_, NotANumber) => return Self { negative: false, magnitude: NotANumber },
            (Infinite, Infinite) if self.negative != other.negative => {
                return Self { negative: false, magnitude: NotANumber };
            }
            (Infinite, _) => return self,
            (_, Infinite) => return other,
        };
        if left.0 == 0 && right.0 == 0 {
            return Self { negative: self.negative && other.negative, magnitude: Magnitude::ZERO };
        }
        let ((high, high_negative), (low, low_negative)) = if (left.1, left.0) >= (right.1, right.0) {
            ((left, self.negative), (right, other.negative))
        } else {
            ((right, other.negative), (left, self.negative))
        };
        // 63 bits of room below the larger one's lowest bit: exact for close exponents, and for distant ones the bits
        // shifted out only need to be known as "some", for which one sticky bit is enough.
        let distance = (high.1 - low.1) as u32;
        let high_wide = u128::from(high.0) << 63;
        let low_wide = shift_right_sticky(u128::from(low.0) << 63, distance);
        let exponent = high.1 - 63;
        if high_negative == low_negative {
            return Self { negative: high_negative, magnitude: Magnitude::round(high_wide + low_wide, exponent) };
        }
        match high_wide.checked_sub(low_wide) {
            Some(0) => Self { negative: false, magnitude: Magnitude::ZERO },
            Some(rest) => Self { negative: high_negative, magnitude: Magnitude::round(rest, exponent) },
            None => Self { negative: low_negative, magnitude: Magnitude::round(low_wide - high_wide, exponent) },
        }
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// How two numbers compare; NaN, which no text spells, counts as equal to everything.
    pub fn compare(self, other: Self) -> Ordering {
        let rank = |number: Self| match number.magnitude {
            // The top bit of the significand is set unless the exponent is the lowest one, so this order is that of values.
            Magnitude::Finite { significand, exponent } => (0, exponent, significand),
            Magnitude::Infinite => (1, 0, 0),
            Magnitude::NotANumber => (2, 0, 0),
        };
        let is_zero = |number: Self| number.magnitude == Magnitude::ZERO;
        if self.magnitude == Magnitude::NotANumber || other.magnitude == Magnitude::NotANumber {
            return Ordering::Equal;
        }
        match (self.negative, other.negative) {
            _ if is_zero(self) && is_zero(other) => Ordering::Equal,
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => rank(self).cmp(&rank(other)),
            (true, true) => rank(other).cmp(&rank(self)),
        }
    }

    /// The text that a client sees: `%.17Lf` without trailing zeros, never `-0`.
    pub fn to_text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(24);
        if self.negative {
            text.push(b'-');
        }
        match self.magnitude {
            Magnitude::NotANumber => text.extend_from_slice(b"nan"),
            Magnitude::Infinite => text.extend_from_slice(b"inf"),
            Magnitude::Finite { significand, exponent } => append_fixed(&mut text, significand, exponent),
        }
        if text == b"-0" {
            text.remove(0);
        }
        text
    }
}

impl Magnitude {
    const ZERO: Self = Self::Finite { significand: 0, exponent: EXPONENT_MIN };

    /// Rounds `value * 2^exponent` to a 64-bit significand, ties to even, gradually below the normal range.
    fn round(value: u128, exponent: i64) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let shift_up = value.leading_zeros();
        let value = value << shift_up;
        let exponent = exponent - i64::from(shift_up);
        // Bit 127 is set. Keep the top 64 bits, fewer where the lowest would fall below the smallest subnormal's.
        let dropped_bits = (EXPONENT_MIN - exponent).max(64);
        if dropped_bits > 128 {
            return Self::ZERO;
        }
        let kept = value.checked_shr(dropped_bits as u32).unwrap_or(0);
        let half = 1u128 << (dropped_bits - 1);
        let rest = value & (half | (half - 1));
        let rounded = kept + u128::from(rest > half || (rest == half && kept & 1 == 1));
        let exponent = exponent + dropped_bits;
        let (significand, exponent) = match u64::try_from(rounded) {
            Ok(significand) => (significand, exponent),
            Err(_) => (1 << 63, exponent + 1),
        };
        if significand == 0 {
            Self::ZERO
        } else if exponent > EXPONENT_MAX {
            Self::Infinite
        } else {
            Self::Finite { significand, exponent }
        }
    }

    /// Refuses what `strtold` reports as out of range: infinity, and zero for text that is not zero.
    fn in_range(self) -> Option<Self> {
        (self != Self::Infinite && self != Self::ZERO).then_some(self)
    }
}

fn shift_right_sticky(value: u128, bits: u32) -> u128 {
    if bits >= 128 {
        return u128::from(value != 0);
    }
    let shifted = value >> bits;
    shifted | u128::from(shifted << bits != value)
}

/// A non-negative decimal with optional point and exponent, rounded to 64 bits.
fn parse_decimal(unsigned: &[u8]) -> Option<Magnitude> {
    let split = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, power) = match split {
        Some(at) => (&unsigned[..at], parse_power(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let mut digits = Vec::with_capacity(mantissa.len());
    let (mut decimals, mut after_point) = (0i64, false);
    for &byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte - b'0');
                decimals += i64::from(after_point);
            }
            b'.' if !after_point => after_point = true,
            _ => return None,
        }
    }
    if digits.is_empty() {
        return None;
    }
    let leading_zeros = digits.iter().take_while(|&&digit| digit == 0).count();
    let trailing_zeros = digits.iter().rev().take_while(|&&digit| digit == 0).count();
    if leading_zeros == digits.len() {
        return Some(Magnitude::ZERO);
    }
    let significant = &digits[leading_zeros..digits.len() - trailing_zeros];
    decimal_magnitude(significant, power - decimals + trailing_zeros as i64)
}

/// `digits * 10^power`, `digits` neither starting nor ending with zero.
fn decimal_magnitude(digits: &[u8], power: i64) -> Option<Magnitude> {
    // Outside 10^-4951..10^4933 the outcome is certain; inside, the multi-word integers stay below 10 KB.
    let top_power = power + digits.len() as i64;
    if !(-4960..=4940).contains(&top_power) {
        return None;
    }
    if digits.len() <= 19 && (-19..=19).contains(&power) {
        let number = digits.iter().fold(0u64, |number, &digit| number * 10 + u64::from(digit));
        let scale = 10u64.pow(power.unsigned_abs() as u32);
        if power >= 0 {
            return Magnitude::round(u128::from(number) * u128::from(scale), 0).in_range();
        }
        // 128 - 64 bits of quotient at least, and the remainder as the sticky bit.
        let shift = number.leading_zeros() + 64;
        let wide = u128::from(number) << shift;
        let (quotient, remainder) = (wide / u128::from(scale), wide % u128::from(scale));
        if quotient.leading_zeros() < 62 {
            return Magnitude::round(quotient | u128::from(remainder != 0), -i64::from(shift)).in_range();
        }
        // Fewer than 67 bits: the rounding bit is still in the remainder (below 2^64), so divide that on.
        let (more, remainder) = ((remainder << 62) / u128::from(scale), (remainder << 62) % u128::from(scale));
        let value = quotient << 62 | more | u128::from(remainder != 0);
        return Magnitude::round(value, -i64::from(shift) - 62).in_range();
    }
    let mut number = Wide::from_digits(digits);
    if power >= 0 {
        number.multiply_by_power_of_ten(power as u32);
        let (top, exponent) = number.top_bits();
        return Magnitude::round(top, exponent).in_range();
    }
    let mut divisor = Wide::from_u64(1);
    divisor.multiply_by_power_of_ten(power.unsigned_abs() as u32);
    let (quotient, exponent) = number.divide(&divisor);
    Magnitude::round(quotient, exponent).in_range()
}

/// `significand * 2^exponent` with up to 17 decimals, correctly rounded, trailing zeros cut.
fn append_fixed(text: &mut Vec<u8>, significand: u64, exponent: i64) {
    if exponent >= 0 {
        if exponent <= 64 {
            text.extend_from_slice((u128::from(significand) << exponent).to_string().as_bytes());
        } else {
            Wide::from_u64(significand).shifted_left(exponent as u32).append_decimal(text);
        }
        return;
    }
    let scale = 10u64.pow(DECIMALS);
    let bits = exponent.unsigned_abs();
    let (whole, fraction) =
        if bits < 64 { (significand >> bits, significand & ((1 << bits) - 1)) } else { (0, significand) };
    // fraction < 2^64 and 10^17 < 2^57: the product fits 121 bits, and the result is at most 10^17.
    let product = u128::from(fraction) * u128::from(scale);
    let rounded = match bits {
        0..=126 => {
            let (kept, rest, half) = ((product >> bits) as u64, product & ((1 << bits) - 1), 1u128 << (bits - 1));
            kept + u64::from(rest > half || (rest == half && kept & 1 == 1))
        }
        _ => 0,
    };
    let (whole, rounded) = if rounded == scale { (u128::from(whole) + 1, 0) } else { (u128::from(whole), rounded) };
    match i64::try_from(whole) {
        Ok(whole) => super::append_i64(text, whole),
        Err(_) => text.extend_from_slice(whole.to_string().as_bytes()),
    }
    if rounded != 0 {
        append_decimals(text, rounded);
    }
}

/// `.` and the 17 digits of `decimals`, trailing zeros cut.
fn append_decimals(text: &mut Vec<u8>, mut decimals: u64) {
    let mut count = DECIMALS as usize;
    while decimals % 10 == 0 {
        decimals /= 10;
        count -= 1;
    }
    text.push(b'.');
    text.extend(std::iter::repeat_n(b'0', count - super::i64_text_len(decimals as i64)));
    super::append_i64(text, decimals as i64);
}
