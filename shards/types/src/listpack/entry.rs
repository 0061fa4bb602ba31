//! The coding of one listpack entry: a header that says what it is, the payload, and its length again for walking back.
//!
//! | first byte | meaning | payload |
//! |---|---|---|
//! | `0xxxxxxx` | integer 0..=127 | none |
//! | `10xxxxxx` | string of up to 63 bytes | the bytes |
//! | `110xxxxx` | integer of 13 bits, signed | 1 byte |
//! | `1110xxxx` | string of up to 4095 bytes | 1 byte of length, the bytes |
//! | `0xF0` | string | 4 bytes of length, the bytes |
//! | `0xF1..=0xF4` | integer of 16, 24, 32, 64 bits | little-endian |
//! | `0xFF` | end of the listpack | |
//!
//! The trailing length ("backlen") counts header and payload, in groups of seven bits, most significant group first;
//! every byte but the first has its top bit set, so that it can be read from its end.
//!
//! An integer spelled as text is always stored as an integer in the smallest form: bytes are then the same as Redis
//! writes. Used by [`super::Listpack`] and by the nodes of lists, which hold bare entries.

use super::super::number;

/// Ends every listpack.
pub const END: u8 = 0xFF;

const STRING_6_BIT: u8 = 0x80;
const INTEGER_13_BIT: u8 = 0xC0;
const STRING_12_BIT: u8 = 0xE0;
const STRING_32_BIT: u8 = 0xF0;
const INTEGER_16_BIT: u8 = 0xF1;
const INTEGER_24_BIT: u8 = 0xF2;
const INTEGER_32_BIT: u8 = 0xF3;
const INTEGER_64_BIT: u8 = 0xF4;

/// Header bytes of an integer with its payload, or of a string without it: at most 9.
const HEADER_MAX: usize = 9;
const BACKLEN_MAX: usize = 5;
/// What an entry has at least beside a string: header and backlen.
pub const STRING_OVERHEAD_MIN: usize = 2;

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Int(i64),
    Str(&'a [u8]),
}

impl<'a> Item<'a> {
    /// The bytes that a client sees; an integer is written into `buffer`.
    #[inline]
    pub fn as_bytes<'b>(&self, buffer: &'b mut number::I64Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Item::Int(value) => number::format_i64(value, buffer),
            Item::Str(bytes) => bytes,
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut [0; number::I64_TEXT_MAX_BYTES]).to_vec()
    }

    /// How many bytes a client sees.
    pub fn text_len(&self) -> usize {
        match *self {
            Item::Int(value) => number::i64_text_len(value),
            Item::Str(bytes) => bytes.len(),
        }
    }

    /// The value as an integer, if it is the canonical text of one.
    pub fn to_i64(&self) -> Option<i64> {
        match *self {
            Item::Int(value) => Some(value),
            Item::Str(bytes) => number::parse_i64(bytes),
        }
    }

    #[inline]
    pub fn equals(&self, needle: &Needle<'_>) -> bool {
        match *self {
            Item::Int(value) => needle.integer == Some(value),
            Item::Str(bytes) => bytes == needle.bytes,
        }
    }
}

/// Bytes to look for, with their integer value found once instead of once an entry.
#[derive(Clone, Copy)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Needle<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, integer: number::parse_i64(bytes) }
    }
}

/// A value ready to be written as an entry.
#[derive(Clone, Copy)]
pub struct Encoded<'a> {
    header: [u8; HEADER_MAX],
    header_len: u8,
    backlen: [u8; BACKLEN_MAX],
    backlen_len: u8,
    payload: &'a [u8],
}

impl<'a> From<&'a [u8]> for Encoded<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        match number::parse_i64(bytes) {
            Some(value) => Self::from(value),
            None => Self::from_string(bytes),
        }
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for Encoded<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'a> From<&'a Vec<u8>> for Encoded<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'a> From<Item<'a>> for Encoded<'a> {
    fn from(item: Item<'a>) -> Self {
        match item {
            Item::Int(value) => Self::from(value),
            Item::Str(bytes) => Self::from(bytes),
        }
    }
}

impl From<i64> for Encoded<'_> {
    #[inline]
    fn from(value: i64) -> Self {
        let mut header = [0; HEADER_MAX];
        let bytes = value.to_le_bytes();
        let header_len = if (0..=127).contains(&value) {
            header[0] = value as u8;
            1
        } else if (-4096..=4095).contains(&value) {
            let unsigned = value as u16 & 0x1FFF;
            header[0] = INTEGER_13_BIT | (unsigned >> 8) as u8;
            header[1] = unsigned as u8;
            2
        } else {
            let (kind, width) = if i16::try_from(value).is_ok() {
                (INTEGER_16_BIT, 2)
            } else if (-(1 << 23)..1 << 23).contains(&value) {
                (INTEGER_24_BIT, 3)
            } else if i32::try_from(value).is_ok() {
                (INTEGER_32_BIT, 4)
            } else {
                (INTEGER_64_BIT, 8)
            };
            header[0] = kind;
            header[1..=width].copy_from_slice(&bytes[..width]);
            1 + width
        };
        Self::assemble(header, header_len, &[])
    }
}

impl<'a> Encoded<'a> {
    /// `bytes` as a string even if they spell an integer.
    ///
    /// # Panics
    /// If `bytes` is longer than a 32-bit length says; callers bound their arguments far below.
    #[inline]
    pub fn from_string(bytes: &'a [u8]) -> Self {
        let mut header = [0; HEADER_MAX];
        let length = bytes.len();
        let header_len = if length < 64 {
            header[0] = STRING_6_BIT | length as u8;
            1
        } else if length < 4096 {
            header[0] = STRING_12_BIT | (length >> 8) as u8;
            header[1] = length as u8;
            2
        } else {
            assert!(u32::try_from(length).is_ok(), "a listpack string is below 4 GiB");
            header[0] = STRING_32_BIT;
            header[1..5].copy_from_slice(&(length as u32).to_le_bytes());
            5
        };
        Self::assemble(header, header_len, bytes)
    }

    #[inline]
    fn assemble(header: [u8; HEADER_MAX], header_len: usize, payload: &'a [u8]) -> Self {
        let (backlen, backlen_len) = encode_backlen(header_len + payload.len());
        Self { header, header_len: header_len as u8, backlen, backlen_len: backlen_len as u8, payload }
    }

    /// The whole entry's length in bytes.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        usize::from(self.header_len) + self.payload.len() + usize::from(self.backlen_len)
    }

    /// Writes the entry to the front of `target`, which has at least [`Self::len_bytes`]; returns that length.
    #[inline]
    pub fn write(&self, target: &mut [u8]) -> usize {
        let length = self.len_bytes();
        let header_len = usize::from(self.header_len);
        let target = &mut target[..length];
        if let (1, 1, [header, payload @ .., backlen]) = (self.header_len, self.backlen_len, &mut *target) {
            // Most entries; a call to copy memory costs more than the byte.
            *header = self.header[0];
            payload.copy_from_slice(self.payload);
            *backlen = self.backlen[0];
            return length;
        }
        let (header, rest) = target.split_at_mut(header_len);
        let (payload, backlen) = rest.split_at_mut(self.payload.len());
        header.copy_from_slice(&self.header[..header_len]);
        payload.copy_from_slice(self.payload);
        backlen.copy_from_slice(&self.backlen[..backlen.len()]);
        length
    }
}

/// How many bytes the backlen of an entry with `length` bytes of header and payload takes.
#[inline]
fn backlen_size(length: usize) -> usize {
    // 16383 would fit two bytes; the format gives it three.
    match length {
        0..=127 => 1,
        128..=16382 => 2,
        16383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

#[inline]
fn encode_backlen(length: usize) -> ([u8; BACKLEN_MAX], usize) {
    let mut bytes = [0; BACKLEN_MAX];
    if length <= 127 {
        bytes[0] = length as u8;
        return (bytes, 1);
    }
    let size = backlen_size(length);
    let mut rest = length;
    for index in (0..size).rev() {
        bytes[index] = (rest & 0x7F) as u8 | if index == 0 { 0 } else { 0x80 };
        rest >>= 7;
    }
    (bytes, size)
}

/// Reads the backlen that ends just before `end`: the length that it states and how many bytes it takes itself.
#[inline]
fn decode_backlen(bytes: &[u8], end: usize) -> Option<(usize, usize)> {
    let mut length = 0usize;
    for size in 1..=BACKLEN_MAX {
        let byte = *bytes.get(end.checked_sub(size)?)?;
        length |= usize::from(byte & 0x7F) << (7 * (size - 1));
        if byte & 0x80 == 0 {
            return Some((length, size));
        }
    }
    None
}

/// Header length and payload length of the string or integer that starts with `header`; `None` if it is cut or unknown.
#[inline]
fn body_layout(header: &[u8]) -> Option<(usize, usize)> {
    let first = *header.first()?;
    Some(match first {
        0x00..=0x7F => (1, 0),
        0x80..=0xBF => (1, usize::from(first & 0x3F)),
        0xC0..=0xDF => (2, 0),
        0xE0..=0xEF => (2, usize::from(first & 0x0F) << 8 | usize::from(*header.get(1)?)),
        STRING_32_BIT => {
            let length = u32::from_le_bytes(header.get(1..5)?.try_into().ok()?);
            (5, length as usize)
        }
        INTEGER_16_BIT => (3, 0),
        INTEGER_24_BIT => (4, 0),
        INTEGER_32_BIT => (5, 0),
        INTEGER_64_BIT => (9, 0),
        _ => return None,
    })
}

/// Where the entry at `offset` ends. `bytes` must be well formed.
///
/// # Panics
/// If they are not, which [`check`] excludes for every listpack that comes from outside.
#[inline]
pub fn next_offset(bytes: &[u8], offset: usize) -> usize {
    match bytes[offset] {
        0x00..=0x7F => return offset + 2,
        first @ 0x80..=0xBF => return offset + 2 + usize::from(first & 0x3F),
        _ => {}
    }
    let (header_len, payload_len) = body_layout(&bytes[offset..]).expect("a validated entry");
    let length = header_len + payload_len;
    offset + length + backlen_size(length)
}

/// Where the entry that ends at `offset` starts. Panics like [`next_offset`].
#[inline]
pub fn previous_offset(bytes: &[u8], offset: usize) -> usize {
    let (length, size) = decode_backlen(bytes, offset).expect("a validated backlen");
    offset - length - size
}

/// The value of the entry at `offset`. Panics like [`next_offset`].
#[inline]
pub fn read(bytes: &[u8], offset: usize) -> Item<'_> {
    read_with_next(bytes, offset).0
}

/// The value of the entry at `offset` and where it ends. Panics like [`next_offset`].
#[inline]
pub fn read_with_next(bytes: &[u8], offset: usize) -> (Item<'_>, usize) {
    // The two commonest kinds first: their lengths follow from one byte.
    match bytes[offset] {
        first @ 0x00..=0x7F => (Item::Int(i64::from(first)), offset + 2),
        first @ 0x80..=0xBF => {
            let end = offset + 1 + usize::from(first & 0x3F);
            (Item::Str(&bytes[offset + 1..end]), end + 1)
        }
        _ => read_long_with_next(bytes, offset),
    }
}

/// [`read_with_next`] for all kinds but integers of 7 and strings of 6 bits.
fn read_long_with_next(bytes: &[u8], offset: usize) -> (Item<'_>, usize) {
    let entry = &bytes[offset..];
    let (header_len, payload_len) = body_layout(entry).expect("a validated entry");
    let length = header_len + payload_len;
    let item = match entry[0] {
        first @ 0xC0..=0xDF => {
            let unsigned = i16::from(first & 0x1F) << 8 | i16::from(entry[1]);
            Item::Int(i64::from(unsigned << 3 >> 3))
        }
        INTEGER_16_BIT..=INTEGER_64_BIT => Item::Int(read_integer(&entry[1..header_len])),
        _ => Item::Str(&entry[header_len..length]),
    };
    (item, offset + length + backlen_size(length))
}

/// A little-endian, signed integer of 2, 3, 4 or 8 bytes.
#[inline]
fn read_integer(bytes: &[u8]) -> i64 {
    let mut wide = [0u8; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(wide) >> (64 - 8 * bytes.len())
}

/// Checks the entry at `offset` of untrusted `bytes`, of which entries may use only those before `end`; returns where
/// it ends. Both lengths must be inside and agree with each other.
pub fn check(bytes: &[u8], offset: usize, end: usize) -> Option<usize> {
    let (header_len, payload_len) = body_layout(bytes.get(offset..end)?)?;
    let length = header_len.checked_add(payload_len)?;
    let next = offset.checked_add(length)?.checked_add(backlen_size(length))?;
    if next > end {
        return None;
    }
    (decode_backlen(bytes, next)? == (length, backlen_size(length))).then_some(next)
}
