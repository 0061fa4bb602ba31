//! Where a value ends, without building it: who cuts a file into its keys leaves their values to others.
//!
//! Nothing is checked but what tells lengths. Whatever [`super::load`] takes, this takes too, and comes to the same end.

use super::{kind, Corrupt, Reader};

const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 16;
const SCORE_BYTES: usize = 8;
/// Instead of the length of a score's text: not a number and the infinities.
const SCORE_WITHOUT_TEXT: u8 = 253;

/// Passes a value of this type.
pub fn skip(reader: &mut Reader<'_>, kind: u8) -> Result<(), Corrupt> {
    match kind {
        kind::STRING
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::SET_LISTPACK
        | kind::ZSET_ZIPLIST
        | kind::ZSET_LISTPACK
        | kind::HASH_LISTPACK
        | kind::HASH_ZIPLIST
        | kind::HASH_ZIPMAP => reader.skip_string(),
        kind::LIST | kind::LIST_QUICKLIST | kind::SET => each(reader, |reader| reader.skip_string()),
        kind::LIST_QUICKLIST_2 => each(reader, number_and_string),
        kind::ZSET => each(reader, member_and_text),
        kind::ZSET_2 => each(reader, |reader| strings_and_bytes(reader, 1, SCORE_BYTES)),
        kind::HASH => each(reader, |reader| strings_and_bytes(reader, 2, 0)),
        kind::HASH_2 => each(reader, |reader| strings_and_bytes(reader, 2, TIME_BYTES)),
        kind::HASH_METADATA => {
            reader.take(TIME_BYTES)?;
            each(reader, |reader| {
                number_and_string(reader)?;
                reader.skip_string()
            })
        }
        kind::SET_TIMED => {
            reader.take(TIME_BYTES)?;
            each(reader, number_and_string)
        }
        kind::HASH_LISTPACK_EX => {
            reader.take(TIME_BYTES)?;
            reader.skip_string()
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => skip_stream(reader, kind),
        _ => Err(Corrupt),
    }
}

/// A number of things, and the things. Each takes a byte at least, so a number that is a lie ends with the bytes.
fn each(reader: &mut Reader<'_>, mut one: impl FnMut(&mut Reader<'_>) -> Result<(), Corrupt>) -> Result<(), Corrupt> {
    for _ in 0..reader.number()? {
        one(reader)?;
    }
    Ok(())
}

fn number_and_string(reader: &mut Reader<'_>) -> Result<(), Corrupt> {
    reader.number()?;
    reader.skip_string()
}

fn strings_and_bytes(reader: &mut Reader<'_>, strings: usize, bytes: usize) -> Result<(), Corrupt> {
    for _ in 0..strings {
        reader.skip_string()?;
    }
    reader.take(bytes).map(drop)
}

fn member_and_text(reader: &mut Reader<'_>) -> Result<(), Corrupt> {
    reader.skip_string()?;
    match reader.byte()? {
        SCORE_WITHOUT_TEXT.. => Ok(()),
        length => reader.take(usize::from(length)).map(drop),
    }
}

fn numbers(reader: &mut Reader<'_>, count: usize) -> Result<(), Corrupt> {
    (0..count).try_for_each(|_| reader.number().map(drop))
}

fn skip_stream(reader: &mut Reader<'_>, kind: u8) -> Result<(), Corrupt> {
    each(reader, |reader| strings_and_bytes(reader, 2, 0))?;
    // Length and last id; then first id, greatest deleted id and the number of entries ever added.
    numbers(reader, if kind == kind::STREAM { 3 } else { 8 })?;
    each(reader, |reader| {
        reader.skip_string()?;
        // The last id, and how many entries were read.
        numbers(reader, if kind == kind::STREAM { 2 } else { 3 })?;
        each(reader, |reader| {
            reader.take(ID_BYTES + TIME_BYTES)?;
            reader.number().map(drop)
        })?;
        each(reader, |reader| skip_consumer(reader, kind))
    })
}

fn skip_consumer(reader: &mut Reader<'_>, kind: u8) -> Result<(), Corrupt> {
    let times = if kind == kind::STREAM_3 { 2 } else { 1 };
    strings_and_bytes(reader, 1, times * TIME_BYTES)?;
    each(reader, |reader| reader.take(ID_BYTES).map(drop))
}
