//! Numbers as text, by the rules that clients of Redis rely on.
//!
//! Whether `"012"` is an integer, whether `"1e400"` is a double and how `0.1 + 0.2` is printed are part of the
//! protocol: encodings (`int`, `intset`, packed integers), error replies and persisted bytes all depend on them. So the
//! rules live in one place, as pure functions over bytes:
//!
//! - integers: strict decimal, the shortest spelling only, so that text -> `i64` -> text is the identity;
//! - doubles: what C's `strtod` accepts (decimal, hexadecimal, infinities), without leading blanks, NaN, overflow,
//!   underflow;
//! - doubles to text: `shortest`, plain integers where exact, exponents as clients see them;
//! - `LongDouble`: the 80-bit arithmetic behind INCRBYFLOAT and HINCRBYFLOAT, in software, so every processor agrees.
//!
//! `str::parse` alone is not enough: it accepts `+7` and `007` as integers, and turns overflow into infinity.

mod long_double;
mod powers_of_ten;
mod shortest;
mod wide;

pub use long_double::LongDouble;

/// Longest text of an `i64`: `-9223372036854775808`.
pub const I64_TEXT_MAX_BYTES: usize = 20;

/// Room for the longest text that [`format_f64`] produces.
pub const F64_TEXT_MAX_BYTES: usize = 32;

/// A stack buffer for [`format_i64`].
pub type I64Buffer = [u8; I64_TEXT_MAX_BYTES];

/// A stack buffer for [`format_f64`].
pub type F64Buffer = [u8; F64_TEXT_MAX_BYTES];

static DIGIT_PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// The integer that `text` spells in its one canonical form, or `None`.
///
/// No sign but `-`, no leading zeros, no blanks, no `-0`; the whole range of `i64`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19, which a u64 holds: no overflow here, the range is checked once at the end.
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Writes `value` into `buffer` and returns the written part.
#[inline]
pub fn format_i64(value: i64, buffer: &mut I64Buffer) -> &[u8] {
    let mut start = write_digits_backwards(value.unsigned_abs(), buffer);
    if value < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    &buffer[start..]
}

/// Appends `value` as text to `output`.
#[inline]
pub fn append_i64(output: &mut Vec<u8>, value: i64) {
    output.extend_from_slice(format_i64(value, &mut [0; I64_TEXT_MAX_BYTES]));
}

/// Appends `kind`, `value` as text and CRLF to `output`, in one piece.
#[inline]
pub fn append_line(output: &mut Vec<u8>, kind: u8, value: i64) {
    const END: usize = 1 + I64_TEXT_MAX_BYTES;
    let mut line = [0; END + 2];
    line[END] = b'\r';
    line[END + 1] = b'\n';
    let Some(digits) = line[1..].first_chunk_mut::<I64_TEXT_MAX_BYTES>() else { return };
    // Where they start in `digits` is the place before them in `line`.
    let mut start = write_digits_backwards(value.unsigned_abs(), digits);
    if value < 0 {
        line[start] = b'-';
        start -= 1;
    }
    line[start] = kind;
    output.extend_from_slice(&line[start..]);
}

/// Fills `buffer` from its end with the digits of `magnitude`; returns where they start. 20 digits hold any `u64`.
#[inline]
fn write_digits_backwards(mut magnitude: u64, buffer: &mut I64Buffer) -> usize {
    let mut start = I64_TEXT_MAX_BYTES;
    while magnitude >= 100 {
        let pair = (magnitude % 100) as usize * 2;
        magnitude /= 100;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
    }
    if magnitude >= 10 {
        let pair = magnitude as usize * 2;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
    } else {
        start -= 1;
        buffer[start] = b'0' + magnitude as u8;
    }
    start
}

/// How many bytes [`format_i64`] writes for `value`.
#[inline]
pub fn i64_text_len(value: i64) -> usize {
    let magnitude = value.unsigned_abs();
    let digits = magnitude.checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

/// The double that `text` spells, or `None` where Redis answers "not a valid float".
///
/// Accepts what `strtod` accepts when it consumes every byte, except: a leading blank, NaN, a value too large for a
/// double, and a non-zero value too small for one.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, unsigned) = split_sign(text);
    let magnitude = match unsigned {
        [b'0', b'x' | b'X', hexadecimal @ ..] => parse_hexadecimal(hexadecimal)?.to_f64()?,
        [b'0'..=b'9' | b'.', ..] => parse_decimal(unsigned)?,
        _ if is_infinity(unsigned) => f64::INFINITY,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn is_infinity(unsigned: &[u8]) -> bool {
    unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity")
}

/// A non-negative decimal. Most are short integers, which need no rounding; of others the standard library rounds correctly, and
/// this adds the range rule.
fn parse_decimal(unsigned: &[u8]) -> Option<f64> {
    if let Some(integer) = short_digits(unsigned) {
        return Some(integer as f64);
    }
    let value: f64 = std::str::from_utf8(unsigned).ok()?.parse().ok()?;
    let mantissa = unsigned.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or(unsigned);
    let underflowed = value == 0.0 && mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    (value.is_finite() && !underflowed).then_some(value)
}

/// What digits alone spell, if they are so few that a double holds every such number.
#[inline]
fn short_digits(text: &[u8]) -> Option<u64> {
    if text.len() > f64::DIGITS as usize {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + u64::from(digit))
    })
}

/// `significand * 2^exponent`, plus whether non-zero bits below the significand were dropped.
struct BinaryNumber {
    significand: u128,
    exponent: i64,
    sticky: bool,
}

/// What follows `0x`: digits with an optional point, then an optional `p` and a decimal power of two.
fn parse_hexadecimal(text: &[u8]) -> Option<BinaryNumber> {
    let split = text.iter().position(|byte| matches!(byte, b'p' | b'P'));
    let (mantissa, power) = match split {
        Some(at) => (&text[..at], parse_power(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut number = BinaryNumber { significand: 0, exponent: power, sticky: false };
    let (mut digits, mut after_point) = (0usize, false);
    for &byte in mantissa {
        if byte == b'.' && !after_point {
            after_point = true;
            continue;
        }
        let digit = u128::from((byte as char).to_digit(16)?);
        digits += 1;
        if number.significand >> 124 == 0 {
            number.significand = number.significand << 4 | digit;
            number.exponent -= if after_point { 4 } else { 0 };
        } else {
            number.sticky |= digit != 0;
            number.exponent += if after_point { 0 } else { 4 };
        }
    }
    (digits > 0).then_some(number)
}

/// A signed decimal exponent, clamped far outside every float's range so that absurd ones cannot overflow.
fn parse_power(text: &[u8]) -> Option<i64> {
    const CLAMP: i64 = 1 << 40;
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut power: i64 = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        power = (power * 10 + i64::from(byte - b'0')).min(CLAMP);
    }
    Some(if negative { -power } else { power })
}

impl BinaryNumber {
    /// Rounds to the nearest double, ties to even; `None` on overflow or when a non-zero value becomes zero.
    fn to_f64(&self) -> Option<f64> {
        if self.significand == 0 {
            return Some(0.0);
        }
        let shift_up = self.significand.leading_zeros();
        let significand = self.significand << shift_up | u128::from(self.sticky);
        let exponent = self.exponent - i64::from(shift_up);
        // The value is significand * 2^exponent with bit 127 set. A normal double keeps 53 bits; one whose lowest bit
        // would fall below 2^-1074 keeps fewer, down to none when it lies between zero and the smallest subnormal.
        let dropped_bits = (-1074 - exponent).max(75);
        if dropped_bits > 128 {
            return None;
        }
        let kept = significand.checked_shr(dropped_bits as u32).unwrap_or(0);
        let half = 1u128 << (dropped_bits - 1);
        let rest = significand & (half | (half - 1));
        let kept = kept + u128::from(rest > half || (rest == half && kept & 1 == 1));
        let lowest_bit = exponent + dropped_bits;
        let result = if lowest_bit > 1000 { f64::INFINITY } else { kept as f64 * power_of_two(lowest_bit) };
        (result.is_finite() && result != 0.0).then_some(result)
    }
}

/// `2^power` for -1074..=1000, subnormals included.
fn power_of_two(power: i64) -> f64 {
    if power >= -1022 {
        f64::from_bits(((power + 1023) as u64) << 52)
    } else {
        f64::from_bits(1u64 << (power + 1074))
    }
}

/// Writes `value` as replies show it: integers below 2^62 in full, else the shortest text that reads back the same.
#[inline]
pub fn format_f64(value: f64, buffer: &mut F64Buffer) -> &[u8] {
    let written = write_f64(value, buffer);
    &buffer[..written]
}

/// Appends `value` to `output` in the form of [`format_f64`].
#[inline]
pub fn append_f64(output: &mut Vec<u8>, value: f64) {
    output.extend_from_slice(format_f64(value, &mut [0; F64_TEXT_MAX_BYTES]));
}

fn write_f64(value: f64, buffer: &mut F64Buffer) -> usize {
    const INTEGER_LIMIT: f64 = (1u64 << 62) as f64;
    let mut put = |text: &[u8]| {
        buffer[..text.len()].copy_from_slice(text);
        text.len()
    };
    if value.is_nan() {
        return put(b"nan");
    }
    if value.is_infinite() {
        return put(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value == 0.0 {
        return put(if value.is_sign_negative() { b"-0" } else { b"0" });
    }
    let truncated = value as i64;
    if value.abs() <= INTEGER_LIMIT && truncated as f64 == value {
        return put(format_i64(truncated, &mut [0; I64_TEXT_MAX_BYTES]));
    }
    shortest::write(value, buffer)
}

#[cfg(test)]
#[path = "tests/number.rs"]
mod tests;
