//! Multi-word unsigned integers, just enough to read and print extended floats of extreme magnitude exactly.
//!
//! Little-endian 64-bit words without trailing zero words. Nothing here is fast: numbers with more than 19 digits or
//! huge exponents are rare, and the largest is bounded by the callers to some 10,000 decimal digits.

use std::cmp::Ordering;

/// Bits that a quotient must have so that 64 of them round correctly with a sticky bit below.
const QUOTIENT_BITS: i64 = 100;

#[derive(Clone)]
pub struct Wide {
    words: Vec<u64>,
}

impl Wide {
    pub fn from_u64(value: u64) -> Self {
        let mut wide = Self { words: vec![value] };
        wide.normalise();
        wide
    }

    /// Decimal digits (values 0 to 9), most significant first.
    pub fn from_digits(digits: &[u8]) -> Self {
        let mut wide = Self { words: Vec::new() };
        for chunk in digits.chunks(19) {
            let value = chunk.iter().fold(0u64, |value, &digit| value * 10 + u64::from(digit));
            wide.multiply_add(10u64.pow(chunk.len() as u32), value);
        }
        wide
    }

    pub fn multiply_by_power_of_ten(&mut self, power: u32) {
        for _ in 0..power / 19 {
            self.multiply_add(10u64.pow(19), 0);
        }
        self.multiply_add(10u64.pow(power % 19), 0);
    }

    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = u128::from(addend);
        for word in &mut self.words {
            let product = u128::from(*word) * u128::from(factor) + carry;
            *word = product as u64;
            carry = product >> 64;
        }
        if carry != 0 {
            self.words.push(carry as u64);
        }
    }

    fn normalise(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    fn bit_length(&self) -> i64 {
        match self.words.last() {
            Some(top) => self.words.len() as i64 * 64 - i64::from(top.leading_zeros()),
            None => 0,
        }
    }

    pub fn shifted_left(&self, bits: u32) -> Self {
        let (whole, part) = ((bits / 64) as usize, bits % 64);
        let mut words = vec![0; whole];
        let mut carry = 0u64;
        for &word in &self.words {
            words.push(word << part | carry);
            carry = if part == 0 { 0 } else { word >> (64 - part) };
        }
        words.push(carry);
        let mut wide = Self { words };
        wide.normalise();
        wide
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for word in self.words.iter_mut().rev() {
            let next_carry = *word << 63;
            *word = *word >> 1 | carry;
            carry = next_carry;
        }
        self.normalise();
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.words.len().cmp(&other.words.len());
        by_length.then_with(|| self.words.iter().rev().cmp(other.words.iter().rev()))
    }

    /// `self -= other`, which must not be larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, word) in self.words.iter_mut().enumerate() {
            let (partial, first) = word.overflowing_sub(other.words.get(index).copied().unwrap_or(0));
            let (result, second) = partial.overflowing_sub(u64::from(borrow));
            *word = result;
            borrow = first || second;
        }
        debug_assert!(!borrow);
        self.normalise();
    }

    /// The top 128 bits with a sticky lowest bit, and the power of two of that lowest bit.
    pub fn top_bits(&self) -> (u128, i64) {
        let length = self.bit_length();
        let mut top = 0u128;
        for bit in 0..128 {
            top = top << 1 | u128::from(self.bit(length - 1 - bit));
        }
        let sticky = (0..length - 128).any(|bit| self.bit(bit));
        (top | u128::from(sticky), length - 128)
    }

    fn bit(&self, index: i64) -> bool {
        index >= 0 && self.words[(index / 64) as usize] >> (index % 64) & 1 == 1
    }

    /// `self / divisor` as about 100 bits with a sticky lowest bit, and the power of two of that lowest bit.
    pub fn divide(&self, divisor: &Self) -> (u128, i64) {
        // Scale so that the quotient has QUOTIENT_BITS or one more, then subtract bit by bit.
        let shift = QUOTIENT_BITS - (self.bit_length() - divisor.bit_length());
        let mut rest = self.shifted_left(shift.max(0) as u32);
        let scaled_divisor = divisor.shifted_left((-shift).max(0) as u32);
        let mut step = scaled_divisor.shifted_left(QUOTIENT_BITS as u32 + 1);
        let mut quotient = 0u128;
        for _ in 0..=QUOTIENT_BITS + 1 {
            quotient <<= 1;
            if rest.compare(&step) != Ordering::Less {
                rest.subtract(&step);
                quotient |= 1;
            }
            step.halve();
        }
        let sticky = !rest.words.is_empty();
        (quotient << 1 | u128::from(sticky), -shift - 1)
    }

    /// Appends the decimal digits.
    pub fn append_decimal(mut self, text: &mut Vec<u8>) {
        const CHUNK: u64 = 10u64.pow(19);
        let mut chunks = Vec::new();
        while !self.words.is_empty() {
            let mut remainder = 0u128;
            for word in self.words.iter_mut().rev() {
                let value = remainder << 64 | u128::from(*word);
                *word = (value / u128::from(CHUNK)) as u64;
                remainder = value % u128::from(CHUNK);
            }
            self.normalise();
            chunks.push(remainder as u64);
        }
        let mut chunks = chunks.into_iter().rev();
        text.extend_from_slice(chunks.next().unwrap_or(0).to_string().as_bytes());
        for chunk in chunks {
            text.extend_from_slice(format!("{chunk:019}").as_bytes());
        }
    }
}
