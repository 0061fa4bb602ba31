//! The packed formats of Redis before 7.0, which are read but never written: ziplists and zipmaps.
//!
//! `total bytes (u32) | offset of the last entry (u32) | entries (u16, 65535: count them) | entries ... | 0xFF`; an entry is
//! the size of the one before it (1 byte, or 254 and 4 bytes), a header with type and length, and the data. Both are
//! turned into listpacks or single elements at once, so they are only ever walked from front to back.

use super::{Corrupt, Reader};
use crate::types::listpack::{Encoded, Listpack};

const HEADER_BYTES: usize = 10;
const END: u8 = 0xFF;
const FIVE_BYTE_SIZE: u8 = 0xFE;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// An element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
}

impl<'a> From<Element<'a>> for Encoded<'a> {
    fn from(element: Element<'a>) -> Encoded<'a> {
        match element {
            Element::Bytes(bytes) => Encoded::from_string(bytes),
            Element::Integer(value) => Encoded::from(value),
        }
    }
}

/// The elements of a ziplist.
pub fn elements(bytes: &[u8]) -> Result<Vec<Element<'_>>, Corrupt> {
    let [rest @ .., END] = bytes else { return Err(Corrupt) };
    if rest.len() < HEADER_BYTES {
        return Err(Corrupt);
    }
    let mut reader = Reader::new(rest);
    let stated_bytes = u32::from_le_bytes(reader.array()?);
    let tail = u32::from_le_bytes(reader.array()?) as usize;
    let stated_count = u16::from_le_bytes(reader.array()?);
    let mut found = Vec::new();
    let (mut previous_size, mut last_at) = (0, HEADER_BYTES);
    while reader.left() > 0 {
        last_at = rest.len() - reader.left();
        let stated_size = match reader.byte()? {
            END => return Err(Corrupt),
            FIVE_BYTE_SIZE => u32::from_le_bytes(reader.array()?) as usize,
            size => usize::from(size),
        };
        if stated_size != previous_size {
            return Err(Corrupt);
        }
        found.push(element(&mut reader)?);
        previous_size = rest.len() - reader.left() - last_at;
    }
    let count_agrees = stated_count == COUNT_UNKNOWN || usize::from(stated_count) == found.len();
    if stated_bytes as usize == bytes.len() && tail == last_at && count_agrees {
        Ok(found)
    } else {
        Err(Corrupt)
    }
}

fn element<'a>(reader: &mut Reader<'a>) -> Result<Element<'a>, Corrupt> {
    let header = reader.byte()?;
    let length = match header {
        0x00..=0x3F => usize::from(header),
        0x40..=0x7F => usize::from(header & 0x3F) << 8 | usize::from(reader.byte()?),
        0x80 => u32::from_be_bytes(reader.array()?) as usize,
        0xC0 => return Ok(Element::Integer(i64::from(i16::from_le_bytes(reader.array()?)))),
        0xD0 => return Ok(Element::Integer(i64::from(i32::from_le_bytes(reader.array()?)))),
        0xE0 => return Ok(Element::Integer(i64::from_le_bytes(reader.array()?))),
        0xF0 => {
            let [low, middle, high] = reader.array()?;
            return Ok(Element::Integer(i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)));
        }
        0xFE => return Ok(Element::Integer(i64::from(i8::from_le_bytes(reader.array()?)))),
        0xF1..=0xFD => return Ok(Element::Integer(i64::from(header) - 0xF1)),
        _ => return Err(Corrupt),
    };
    reader.take(length).map(Element::Bytes)
}

/// A ziplist as a listpack.
pub fn to_listpack(bytes: &[u8]) -> Result<Listpack, Corrupt> {
    let mut listpack = Listpack::new();
    // One append for all: appending one by one would move the growing block each time.
    let encoded: Vec<Encoded<'_>> = elements(bytes)?.into_iter().map(Encoded::from).collect();
    listpack.append(&encoded);
    Ok(listpack)
}

/// The elements of a zipmap, fields and values alternating: `count | (length, field, length, unused, value, spare) ...`.
pub fn zipmap_elements(bytes: &[u8]) -> Result<Vec<&[u8]>, Corrupt> {
    let [_, rest @ .., END] = bytes else { return Err(Corrupt) };
    let mut reader = Reader::new(rest);
    let mut found = Vec::new();
    while reader.left() > 0 {
        let length = zipmap_length(&mut reader)?;
        found.push(reader.take(length)?);
        let length = zipmap_length(&mut reader)?;
        let unused = usize::from(reader.byte()?);
        found.push(reader.take(length)?);
        reader.take(unused)?;
    }
    Ok(found)
}

fn zipmap_length(reader: &mut Reader<'_>) -> Result<usize, Corrupt> {
    match reader.byte()? {
        END => Err(Corrupt),
        FIVE_BYTE_SIZE => Ok(u32::from_le_bytes(reader.array()?) as usize),
        length => Ok(usize::from(length)),
    }
}
