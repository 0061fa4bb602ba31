//! Entry ids: milliseconds and a sequence number, as text and as a number.
//!
//! Text is read exactly as leniently as Redis reads it, which takes plain numbers first and hands everything else to C's
//! `strtoull`: leading blanks, a sign and leading zeros pass there.

use std::fmt;

use crate::number;

/// Longer texts are no ids.
const TEXT_MAX_BYTES: usize = 127;

/// Two numbers of up to twenty digits and a dash.
pub const ID_TEXT_MAX_BYTES: usize = 41;

/// Room for the text of an id.
pub type IdBuffer = [u8; ID_TEXT_MAX_BYTES];

/// `milliseconds-sequence`; the order of ids is the order of entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct StreamId {
    pub milliseconds: u64,
    pub sequence: u64,
}

/// An id as a command gives it, where the sequence number may be left to the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestedId {
    /// `*`
    Next,
    /// `milliseconds-*`
    NextAt(u64),
    Exact(StreamId),
}

impl StreamId {
    /// Before every entry.
    pub const MIN: StreamId = StreamId::new(0, 0);
    /// The last one that there can be.
    pub const MAX: StreamId = StreamId::new(u64::MAX, u64::MAX);

    pub const fn new(milliseconds: u64, sequence: u64) -> Self {
        StreamId { milliseconds, sequence }
    }

    /// The next id, or none after the last.
    #[must_use]
    pub fn next(self) -> Option<StreamId> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(StreamId::new(self.milliseconds, sequence)),
            None => Some(StreamId::new(self.milliseconds.checked_add(1)?, 0)),
        }
    }

    /// The id before, or none before the first.
    #[must_use]
    pub fn previous(self) -> Option<StreamId> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(StreamId::new(self.milliseconds, sequence)),
            None => Some(StreamId::new(self.milliseconds.checked_sub(1)?, u64::MAX)),
        }
    }

    pub fn is_zero(self) -> bool {
        self == Self::MIN
    }

    /// `milliseconds-sequence`, or milliseconds alone with `missing` as the sequence number.
    pub fn parse(text: &[u8], missing: u64) -> Option<StreamId> {
        let (milliseconds, sequence) = split(text)?;
        let sequence = match sequence {
            Some(sequence) => parse_u64(sequence)?,
            None => missing,
        };
        Some(StreamId::new(parse_u64(milliseconds)?, sequence))
    }

    /// The same, and `-` and `+` for the ends of a stream.
    pub fn parse_bound(text: &[u8], missing: u64) -> Option<StreamId> {
        match text {
            b"-" => Some(Self::MIN),
            b"+" => Some(Self::MAX),
            _ => Self::parse(text, missing),
        }
    }

    /// The text.
    #[inline]
    pub fn format(self, buffer: &mut IdBuffer) -> &[u8] {
        let dash = format_u64(self.milliseconds, buffer);
        buffer[dash] = b'-';
        let end = dash + 1 + format_u64(self.sequence, &mut buffer[dash + 1..]);
        &buffer[..end]
    }

    /// As a key of the ordered map that Redis keeps: 16 bytes whose order is the order of ids.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.milliseconds) << 64 | u128::from(self.sequence)).to_be_bytes()
    }

    /// What [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let whole = u128::from_be_bytes(bytes);
        StreamId::new((whole >> 64) as u64, whole as u64)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.milliseconds, self.sequence)
    }
}

impl RequestedId {
    /// The id of an entry to be added.
    pub fn parse(text: &[u8]) -> Option<RequestedId> {
        if text == b"*" {
            return Some(RequestedId::Next);
        }
        match split(text)? {
            (milliseconds, Some(b"*")) => Some(RequestedId::NextAt(parse_u64(milliseconds)?)),
            _ => StreamId::parse(text, 0).map(RequestedId::Exact),
        }
    }
}

/// The parts before and after the first `-`. A zero byte ends the text, as it does in C.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_MAX_BYTES {
        return None;
    }
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = &text[..end];
    Some(match text.iter().position(|&byte| byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    })
}

/// See the module's description.
fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(value) = number::parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | 9..=13)).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Writes the digits to the front of `output` and gives how many there are.
#[inline]
fn format_u64(value: u64, output: &mut [u8]) -> usize {
    let mut digits = number::I64Buffer::default();
    let long;
    let text: &[u8] = match i64::try_from(value) {
        Ok(value) => number::format_i64(value, &mut digits),
        // Such ids are written by hand only: speed does not matter.
        Err(_) => {
            long = value.to_string();
            long.as_bytes()
        }
    };
    output[..text.len()].copy_from_slice(text);
    text.len()
}
