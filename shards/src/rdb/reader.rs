//! Reading lengths and strings of the RDB format from bytes that may be anything.

use std::borrow::Cow;

use super::{lzf, Corrupt};
use sherd_types::listpack::Listpack;
use sherd_types::number::{format_i64, I64Buffer};

/// A walk over bytes. Nothing is read beyond their end, and nothing is reserved for more than they can hold.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// A length, or the way in which a string is written instead of one.
enum Length {
    Plain(u64),
    Encoded(u8),
}

/// The listpack in a string.
pub(super) fn listpack(bytes: &[u8]) -> Result<Listpack, Corrupt> {
    Listpack::from_bytes_validated(bytes).ok_or(Corrupt)
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next bytes as they are.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Corrupt)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Corrupt)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn byte(&mut self) -> Result<u8, Corrupt> {
        Ok(self.array::<1>()?[0])
    }

    /// A double as its eight bytes.
    pub fn double(&mut self) -> Result<f64, Corrupt> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A time in milliseconds.
    pub fn milliseconds(&mut self) -> Result<i64, Corrupt> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<Length, Corrupt> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3F);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.byte()?)),
            (_, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (_, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (3, _) => Length::Encoded(first & 0x3F),
            _ => return Err(Corrupt),
        })
    }

    /// A number.
    pub fn number(&mut self) -> Result<u64, Corrupt> {
        match self.length()? {
            Length::Plain(number) => Ok(number),
            Length::Encoded(_) => Err(Corrupt),
        }
    }

    /// A number of things that take at least `bytes_min` bytes each; more than can follow is refused.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, Corrupt> {
        let count = self.number()?;
        if count > (self.left() / bytes_min) as u64 {
            return Err(Corrupt);
        }
        Ok(count as usize)
    }

    /// Passes a string, however it is written.
    pub fn skip_string(&mut self) -> Result<(), Corrupt> {
        let bytes = match self.length()? {
            Length::Plain(length) => usize::try_from(length).map_err(|_| Corrupt)?,
            Length::Encoded(width @ 0..=2) => 1 << width,
            Length::Encoded(3) => {
                let compressed = usize::try_from(self.number()?).map_err(|_| Corrupt)?;
                self.number()?;
                compressed
            }
            Length::Encoded(_) => return Err(Corrupt),
        };
        self.take(bytes).map(drop)
    }

    /// A string, however it is written.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Corrupt> {
        let integer = match self.length()? {
            Length::Plain(length) => {
                return self.take(usize::try_from(length).map_err(|_| Corrupt)?).map(Cow::Borrowed)
            }
            Length::Encoded(0) => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Encoded(1) => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Encoded(2) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Encoded(3) => {
                let compressed = usize::try_from(self.number()?).map_err(|_| Corrupt)?;
                let length = usize::try_from(self.number()?).map_err(|_| Corrupt)?;
                return lzf::decompress(self.take(compressed)?, length).map(Cow::Owned);
            }
            Length::Encoded(_) => return Err(Corrupt),
        };
        Ok(Cow::Owned(format_i64(integer, &mut I64Buffer::default()).to_vec()))
    }
}
