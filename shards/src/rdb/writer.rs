//! Writing lengths and strings of the RDB format.

use super::lzf::Compressor;
use super::Dialect;
use crate::entry::Text;
use sherd_types::listpack::Item;
use sherd_types::number::{format_i64, parse_i64, I64Buffer};

/// Shorter strings are never compressed.
const COMPRESSED_BYTES_MIN: usize = 21;
/// The longest text of an integer that is written as one: `-2147483648`.
const INTEGER_TEXT_MAX: usize = 11;

/// Appends to bytes.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
    /// Strings are written as they are.
    uncompressed: bool,
    dialect: Dialect,
    compressor: Compressor,
    /// Room for what may turn out not to be shorter.
    compressed: Vec<u8>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// One that compresses strings only if that is wanted.
    pub fn compressing(compress: bool, dialect: Dialect) -> Self {
        Writer { uncompressed: !compress, dialect, ..Self::default() }
    }

    /// One that compresses strings.
    pub fn in_dialect(dialect: Dialect) -> Self {
        Writer { dialect, ..Self::default() }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Compresses strings from now on, or not any more.
    pub fn set_compressing(&mut self, compress: bool) {
        self.uncompressed = !compress;
    }

    /// Takes what was written so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub fn double(&mut self, value: f64) {
        self.raw(&value.to_le_bytes());
    }

    /// A time in milliseconds.
    pub fn milliseconds(&mut self, time: i64) {
        self.raw(&time.to_le_bytes());
    }

    pub fn number(&mut self, number: u64) {
        if number < 1 << 6 {
            self.out.push(number as u8);
        } else if number < 1 << 14 {
            self.raw(&(1 << 14 | number as u16).to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.out.push(0x80);
            self.raw(&number.to_be_bytes());
        } else {
            self.out.push(0x81);
            self.raw(&number.to_be_bytes());
        }
    }

    /// A number of things.
    pub fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// A string: as an integer or compressed where that is shorter.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INTEGER_TEXT_MAX {
            if let Some(integer) = parse_i64(bytes).and_then(|value| i32::try_from(value).ok()) {
                return self.integer(integer);
            }
        }
        if bytes.len() >= COMPRESSED_BYTES_MIN && !self.uncompressed {
            self.compressed.clear();
            if self.compressor.compress(bytes, &mut self.compressed) {
                let compressed = std::mem::take(&mut self.compressed);
                self.out.push(0xC3);
                self.count(compressed.len());
                self.count(bytes.len());
                self.raw(&compressed);
                self.compressed = compressed;
                return;
            }
        }
        self.count(bytes.len());
        self.raw(bytes);
    }

    fn integer(&mut self, value: i32) {
        if let Ok(value) = i8::try_from(value) {
            self.out.push(0xC0);
            self.raw(&value.to_le_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.out.push(0xC1);
            self.raw(&value.to_le_bytes());
        } else {
            self.out.push(0xC2);
            self.raw(&value.to_le_bytes());
        }
    }

    /// A string that may be stored as an integer.
    pub fn text(&mut self, text: Text<'_>) {
        match text {
            Text::Bytes(bytes) => self.string(bytes),
            Text::Integer(value) => self.string(format_i64(value, &mut I64Buffer::default())),
        }
    }

    /// An element of a packed value as a string of its own.
    pub fn item(&mut self, item: Item<'_>) {
        self.string(item.as_bytes(&mut I64Buffer::default()));
    }
}
