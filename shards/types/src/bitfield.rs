//! Integers of any width at any bit of a string, as BITFIELD reads and writes them.

/// The type of a field: signed of 1 to 64 bits or unsigned of 1 to 63 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    signed: bool,
    bits: u32,
}

/// What happens to a value that does not fit its field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Field {
    /// The type that `i5` or `u12` names.
    pub fn parse(text: &[u8]) -> Option<Field> {
        let (signed, digits, most) = match text {
            [b'i', digits @ ..] => (true, digits, 64),
            [b'u', digits @ ..] => (false, digits, 63),
            _ => return None,
        };
        let bits = super::number::parse_i64(digits).filter(|bits| (1..=most).contains(bits))?;
        Some(Field { signed, bits: bits as u32 })
    }

    /// Its width.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// Bytes that a string needs to have the field at this bit.
    pub fn bytes_needed(self, offset: u64) -> u64 {
        (offset + u64::from(self.bits)).div_ceil(8)
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    /// Reads the field; what lies behind the end is zero.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        self.meaning(window(bytes, offset) >> (120 - offset % 8 - u64::from(self.bits)) & self.mask())
    }

    /// The number that the field's bits mean.
    fn meaning(self, raw: u128) -> i64 {
        let spare = 64 - self.bits;
        if self.signed {
            ((raw as u64) << spare) as i64 >> spare
        } else {
            raw as i64
        }
    }

    /// Writes the lowest bits of a value to the field, which lies within the bytes.
    pub fn set(self, bytes: &mut [u8], offset: u64, value: i64) {
        let shift = 120 - offset % 8 - u64::from(self.bits);
        let mask = self.mask() << shift;
        let all = window(bytes, offset) & !mask | (value as u128 & self.mask()) << shift;
        let begin = (offset / 8) as usize;
        let end = bytes.len().min(begin + WINDOW);
        bytes[begin..end].copy_from_slice(&all.to_be_bytes()[1..][..end - begin]);
    }

    /// What a SET stores for a value, or `None` if it fails.
    pub fn fit(self, value: i64, overflow: Overflow) -> Option<i64> {
        // An unsigned field takes the value's bits as a number without sign: -1 is a large one.
        let value = if self.signed { i128::from(value) } else { i128::from(value as u64) };
        self.fit_wide(value, overflow)
    }

    /// What an INCRBY stores, or `None` if it fails.
    pub fn add(self, old: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        self.fit_wide(i128::from(old) + i128::from(increment), overflow)
    }

    fn fit_wide(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (low, high) = if self.signed {
            (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        };
        if (low..=high).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.meaning(value as u128 & self.mask())),
            Overflow::Saturate => Some(value.clamp(low, high) as i64),
            Overflow::Fail => None,
        }
    }
}

/// Bytes of a window: 64 bits that begin at any bit of the first byte end within nine; fifteen keep the shifts simple.
const WINDOW: usize = 15;

/// The bytes from the one that has the bit on, as the lower 120 bits of a number; zeros behind the end.
fn window(bytes: &[u8], offset: u64) -> u128 {
    let begin = usize::try_from(offset / 8).unwrap_or(usize::MAX).min(bytes.len());
    let part = &bytes[begin..bytes.len().min(begin.saturating_add(WINDOW))];
    let mut buffer = [0; 16];
    buffer[1..=part.len()].copy_from_slice(part);
    u128::from_be_bytes(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field {
        Field::parse(text.as_bytes()).expect("a field type")
    }

    #[test]
    fn a_field_reads_back_what_was_written_and_leaves_its_neighbours_alone() {
        let mut random = crate::random::Random::fixed(5);
        for _ in 0..20_000 {
            let bits = 1 + random.below(64) as u32;
            let signed = bits == 64 || random.below(2) == 0;
            let field = Field { signed, bits };
            let offset = random.below(200) as u64;
            let mut bytes: Vec<u8> = (0..40).map(|_| random.next() as u8).collect();
            let before = bytes.clone();
            let value = field.fit(random.next() as i64, Overflow::Wrap).expect("wrapping never fails");
            field.set(&mut bytes, offset, value);
            assert_eq!(field.get(&bytes, offset), value, "{field:?} at {offset}");
            for bit in (0..320).filter(|bit| !(offset..offset + u64::from(bits)).contains(bit)) {
                let at = |bytes: &[u8]| bytes[(bit / 8) as usize] >> (7 - bit % 8) & 1;
                assert_eq!(at(&bytes), at(&before), "bit {bit} of {field:?} at {offset}");
            }
        }
    }

    #[test]
    fn a_field_at_the_very_end_needs_no_more_bytes_than_it_touches() {
        let mut bytes = vec![0; 9];
        field("i64").set(&mut bytes, 7, -1);
        assert_eq!((field("i64").get(&bytes, 7), field("i64").bytes_needed(7)), (-1, 9));
        assert_eq!(field("u8").get(&bytes, 1_000_000), 0, "behind the end is zero");
    }

    #[test]
    fn values_that_do_not_fit_wrap_saturate_or_fail() {
        assert_eq!(field("u8").add(255, 2, Overflow::Wrap), Some(1));
        assert_eq!(field("u8").add(255, 2, Overflow::Saturate), Some(255));
        assert_eq!(field("u8").add(5, -9, Overflow::Saturate), Some(0));
        assert_eq!(field("i8").add(-128, -1, Overflow::Wrap), Some(127));
        assert_eq!(field("i64").add(i64::MIN, -1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(field("i64").add(i64::MAX, 1, Overflow::Fail), None);
        assert_eq!(field("u5").fit(-1, Overflow::Saturate), Some(31));
        assert_eq!(field("i5").fit(100, Overflow::Saturate), Some(15));
    }

    #[test]
    fn types_beyond_64_bits_do_not_exist() {
        for text in ["u64", "i65", "u0", "i", "x8", "8", "U8", "u-1", "u+1"] {
            assert_eq!(Field::parse(text.as_bytes()), None, "{text}");
        }
    }
}
