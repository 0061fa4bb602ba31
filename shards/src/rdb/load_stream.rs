//! Streams from bytes. Each release has added something: what an older one does not tell is taken as the newer ones take it.

use super::reader::listpack;
use super::{kind, Corrupt, Reader};
use sherd_types::listpack::Listpack;
use sherd_types::stream::{ConsumerParts, Counters, GroupParts, LoadError, Stream, StreamId};

/// Stands for a number or a time that is not known.
const UNKNOWN: u64 = u64::MAX;
const NEVER_MS: i64 = -1;

const ID_BYTES: usize = 16;
/// An id, a time and a number.
const PENDING_BYTES_MIN: usize = ID_BYTES + 8 + 1;

impl From<LoadError> for Corrupt {
    fn from(_: LoadError) -> Corrupt {
        Corrupt
    }
}

pub fn load_stream(reader: &mut Reader<'_>, kind: u8) -> Result<Stream, Corrupt> {
    let count = reader.count(1 + ID_BYTES)?;
    let blocks = (0..count).map(|_| load_block(reader)).collect::<Result<Vec<_>, _>>()?;
    let length = reader.number()?;
    let last_id = load_id(reader)?;
    let mut counters = Counters { length, last_id, max_deleted_id: StreamId::MIN, entries_added: None };
    if kind != kind::STREAM {
        // The first id follows from the blocks.
        load_id(reader)?;
        counters.max_deleted_id = load_id(reader)?;
        counters.entries_added = Some(load_counter(reader)?);
    }
    let mut stream = Stream::load(blocks, &counters)?;
    for _ in 0..reader.count(4)? {
        let mut group = load_group(reader, kind)?;
        if kind == kind::STREAM {
            group.entries_read = stream.log().count_up_to(group.last_id);
        }
        stream.load_group(group)?;
    }
    Ok(stream)
}

fn load_block(reader: &mut Reader<'_>) -> Result<(StreamId, Listpack), Corrupt> {
    let id: [u8; ID_BYTES] = (&*reader.string()?).try_into().map_err(|_| Corrupt)?;
    Ok((StreamId::from_bytes(id), listpack(&reader.string()?)?))
}

fn load_id(reader: &mut Reader<'_>) -> Result<StreamId, Corrupt> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

/// A number that goes on counting from here, so it must be far from its end.
fn load_counter(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    checked_counter(reader.number()?)
}

fn checked_counter(number: u64) -> Result<u64, Corrupt> {
    if number > i64::MAX as u64 {
        return Err(Corrupt);
    }
    Ok(number)
}

/// A time from which others are subtracted.
fn load_time(reader: &mut Reader<'_>) -> Result<i64, Corrupt> {
    checked_time(reader.milliseconds()?)
}

fn checked_time(time: i64) -> Result<i64, Corrupt> {
    Some(time).filter(|&time| time >= 0).ok_or(Corrupt)
}

fn load_group(reader: &mut Reader<'_>, kind: u8) -> Result<GroupParts, Corrupt> {
    let mut group =
        GroupParts { name: reader.string()?.into_owned(), last_id: load_id(reader)?, ..GroupParts::default() };
    if kind != kind::STREAM {
        group.entries_read = match reader.number()? {
            UNKNOWN => None,
            number => Some(checked_counter(number)?),
        };
    }
    for _ in 0..reader.count(PENDING_BYTES_MIN)? {
        let id = StreamId::from_bytes(reader.array()?);
        group.pending.push((id, load_time(reader)?, load_counter(reader)?));
    }
    for _ in 0..reader.count(10)? {
        group.consumers.push(load_consumer(reader, kind)?);
    }
    Ok(group)
}

fn load_consumer(reader: &mut Reader<'_>, kind: u8) -> Result<ConsumerParts, Corrupt> {
    let name = reader.string()?.into_owned();
    let seen_ms = load_time(reader)?;
    let active_ms = match kind {
        kind::STREAM_3 => match reader.milliseconds()? {
            NEVER_MS => None,
            time => Some(checked_time(time)?),
        },
        _ => Some(seen_ms),
    };
    let count = reader.count(ID_BYTES)?;
    let pending = (0..count).map(|_| reader.array().map(StreamId::from_bytes)).collect::<Result<_, _>>()?;
    Ok(ConsumerParts { name, seen_ms, active_ms, pending })
}
