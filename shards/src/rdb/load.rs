//! Bytes to values; hashes, sorted sets and streams are in the files beside this one.

use std::borrow::Cow;

use super::reader::listpack;
use super::{kind, load_hash, load_stream, load_zset, ziplist, Corrupt, Limits, Reader};
use crate::entry::object::{Collection, Object};
use sherd_types::hash::EXPIRY_MAX;
use sherd_types::intset::Intset;
use sherd_types::list::{End, List};
use sherd_types::set::Set;
use sherd_types::stream::BoxedStream;

/// A value that was read.
pub enum Loaded<'a> {
    Text(Cow<'a, [u8]>),
    Object(Object),
    /// A hash or a set in which everything has expired.
    Expired,
    /// A collection without elements. Before 7.0 Redis could keep such a key, and saved it.
    Empty,
}

/// A collection, or none where it is empty.
fn filled<T: Collection>(collection: T) -> Loaded<'static> {
    if collection.element_count() == 0 {
        return Loaded::Empty;
    }
    Loaded::Object(collection.wrap())
}

/// Reads a value of this type.
pub fn load<'a>(reader: &mut Reader<'a>, kind: u8, limits: &Limits, now_ms: i64) -> Result<Loaded<'a>, Corrupt> {
    Ok(match kind {
        kind::STRING => Loaded::Text(reader.string()?),
        kind::LIST => filled(load_list(reader, limits)?),
        kind::LIST_ZIPLIST => filled(load_ziplist(reader, limits)?),
        kind::LIST_QUICKLIST => filled(load_quicklist(reader, limits)?),
        kind::LIST_QUICKLIST_2 => filled(load_quicklist_2(reader, limits)?),
        kind::SET => filled(load_set(reader, limits)?),
        kind::SET_INTSET => {
            let intset = Intset::from_bytes_validated(&reader.string()?).ok_or(Corrupt)?;
            filled(Set::from_intset(intset, limits.set))
        }
        kind::SET_LISTPACK => filled(Set::from_listpack(listpack(&reader.string()?)?, limits.set).ok_or(Corrupt)?),
        kind::SET_TIMED => match load_timed_set(reader, limits, now_ms)? {
            Some(set) => filled(set),
            None => Loaded::Expired,
        },
        kind::ZSET => filled(load_zset::load_text_scores(reader, limits)?),
        kind::ZSET_2 => filled(load_zset::load_binary_scores(reader, limits)?),
        kind::ZSET_ZIPLIST => filled(load_zset::from_packed(ziplist::to_listpack(&reader.string()?)?, limits)?),
        kind::ZSET_LISTPACK => filled(load_zset::from_packed(listpack(&reader.string()?)?, limits)?),
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => {
            Loaded::Object(BoxedStream::new(load_stream::load_stream(reader, kind)?).wrap())
        }
        _ => match load_hash::load_hash(reader, kind, limits, now_ms)? {
            Some(hash) => filled(hash),
            None => Loaded::Expired,
        },
    })
}

fn load_list(reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Corrupt> {
    let mut list = List::new();
    for _ in 0..reader.count(1)? {
        list.push(End::Back, &reader.string()?, limits.list);
    }
    Ok(list)
}

fn load_ziplist(reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Corrupt> {
    let mut list = List::new();
    list.load_listpack(&ziplist::to_listpack(&reader.string()?)?);
    list.finish_loading(limits.list);
    Ok(list)
}

fn load_quicklist(reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Corrupt> {
    let mut list = List::new();
    for _ in 0..reader.count(1)? {
        list.load_listpack(&ziplist::to_listpack(&reader.string()?)?);
    }
    list.finish_loading(limits.list);
    Ok(list)
}

fn load_quicklist_2(reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Corrupt> {
    let mut list = List::new();
    for _ in 0..reader.count(2)? {
        match reader.number()? {
            1 => list.load_plain(&reader.string()?),
            2 => list.load_listpack(&listpack(&reader.string()?)?),
            _ => return Err(Corrupt),
        }
    }
    list.finish_loading(limits.list);
    Ok(list)
}

fn load_set(reader: &mut Reader<'_>, limits: &Limits) -> Result<Set, Corrupt> {
    let count = reader.count(1)?;
    let mut set = Set::new();
    for index in 0..count {
        let member = reader.string()?;
        if index == 0 {
            set.prepare(&member, count, limits.set);
        }
        if !set.add(&member, limits.set) {
            return Err(Corrupt);
        }
    }
    Ok(set)
}

/// Sherd's own: the earliest time, then before each member how much later it expires, plus one; 0 for never. `None` if all
/// members have expired at `now_ms`.
fn load_timed_set(reader: &mut Reader<'_>, limits: &Limits, now_ms: i64) -> Result<Option<Set>, Corrupt> {
    let earliest = u64::try_from(reader.milliseconds()?).map_err(|_| Corrupt)?;
    let count = reader.count(2)?;
    let mut set = Set::new();
    for index in 0..count {
        let offset = reader.number()?;
        let member = reader.string()?;
        if index == 0 {
            set.prepare(&member, count, limits.set);
        }
        if !set.add(&member, limits.set) {
            return Err(Corrupt);
        }
        if offset > 0 {
            let expiry = earliest.checked_add(offset - 1).filter(|&at| at <= EXPIRY_MAX).ok_or(Corrupt)?;
            set.set_expiry(&member, Some(expiry), limits.set);
        }
    }
    let fields = set.timed_mut().filter(|fields| fields.has_expiries()).ok_or(Corrupt)?;
    fields.remove_all_expired(now_ms.max(0) as u64, |_| {});
    Ok((!set.is_empty()).then_some(set))
}
