//! The packed formats of Redis before 7.0, which are read but never written: ziplists and zipmaps.
//!
//! `total bytes (u32) | offset of the last entry (u32) | entries (u16, 65535: count them) | entries ... | 0xFF`; an entry is
//! the size of the one before it (1 byte, or 254 and 4 bytes), a header with type and length, and the data. Both are
//! turned into listpacks or single elements at once, so they are only ever walked from front to back.

use super::{Corrupt, Reader};
use sherd_types::listpack::{Encoded, Listpack, SAFE_BYTES_MAX};

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

/// Elements that are appended to a listpack at once: one by one would move the growing block each time.
const APPENDED_AT_ONCE: usize = 256;

/// A ziplist as a listpack.
pub fn to_listpack(bytes: &[u8]) -> Result<Listpack, Corrupt> {
    let [rest @ .., END] = bytes else { return Err(Corrupt) };
    // What lengths take in a listpack differs a little.
    if bytes.len() > SAFE_BYTES_MAX / 2 {
        return Err(Corrupt);
    }
    let mut reader = Reader::new(rest);
    let stated_bytes = u32::from_le_bytes(reader.array()?);
    let tail = u32::from_le_bytes(reader.array()?) as usize;
    let stated_count = u16::from_le_bytes(reader.array()?);
    let mut listpack = Listpack::new();
    let mut waiting = Vec::new();
    let (mut count, mut previous_size, mut last_at) = (0usize, 0, HEADER_BYTES);
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
        waiting.push(Encoded::from(element(&mut reader)?));
        if waiting.len() == APPENDED_AT_ONCE {
            listpack.append(&waiting);
            waiting.clear();
        }
        count += 1;
        previous_size = rest.len() - reader.left() - last_at;
    }
    listpack.append(&waiting);
    let count_agrees = stated_count == COUNT_UNKNOWN || usize::from(stated_count) == count;
    if stated_bytes as usize == bytes.len() && tail == last_at && count_agrees {
        Ok(listpack)
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

/// Gives the pairs of a zipmap: `count | (length, field, length, spare, value, spare bytes) ... | 0xFF`.
pub fn visit_zipmap(bytes: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Corrupt>) -> Result<(), Corrupt> {
    let [_, rest @ .., END] = bytes else { return Err(Corrupt) };
    let mut reader = Reader::new(rest);
    while reader.left() > 0 {
        let length = zipmap_length(&mut reader)?;
        let field = reader.take(length)?;
        let length = zipmap_length(&mut reader)?;
        let spare = usize::from(reader.byte()?);
        let value = reader.take(length)?;
        reader.take(spare)?;
        visit(field, value)?;
    }
    Ok(())
}

fn zipmap_length(reader: &mut Reader<'_>) -> Result<usize, Corrupt> {
    match reader.byte()? {
        END => Err(Corrupt),
        FIVE_BYTE_SIZE => Ok(u32::from_le_bytes(reader.array()?) as usize),
        length => Ok(usize::from(length)),
    }
}
