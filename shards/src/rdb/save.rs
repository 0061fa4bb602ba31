//! Values to bytes. Packed values are written as they are, the others element by element.

use super::{kind, save_stream, Dialect, Writer};
use crate::entry::object::ObjectRef;
use crate::entry::Value;
use sherd_types::hash::Hash;
use sherd_types::list::{List, NodeLimit, Part};
use sherd_types::set::{Set, Stored};
use sherd_types::zset::ZSet;

/// Elements larger than this get a node of their own in a dumped list; Redis' own bound where the setting gives none.
const LIST_NODE_SETTING: i64 = -2;
/// The time of a field that does not expire, in Valkey's form.
pub(super) const NEVER: i64 = -1;

/// The type under which a value is written.
pub fn type_of(value: &Value<'_>, dialect: Dialect) -> u8 {
    let object = match value {
        Value::Text(_) => return kind::STRING,
        Value::Object(object) => *object,
    };
    match object {
        ObjectRef::List(_) => kind::LIST_QUICKLIST_2,
        // A set's listpack is not read by Redis 7.0.
        ObjectRef::Set(set) if set.has_expiries() => kind::SET_TIMED,
        ObjectRef::Set(set) => match set.stored() {
            Stored::Integers(_) => kind::SET_INTSET,
            Stored::Packed(_) | Stored::Table => kind::SET,
        },
        ObjectRef::Hash(hash) if hash.has_expiries() => match dialect {
            Dialect::Redis => kind::HASH_METADATA,
            Dialect::Valkey => kind::HASH_2,
        },
        ObjectRef::Hash(hash) => match hash.as_listpack() {
            Some(_) => kind::HASH_LISTPACK,
            None => kind::HASH,
        },
        ObjectRef::SortedSet(set) => match set.packed() {
            Some(_) => kind::ZSET_LISTPACK,
            None => kind::ZSET_2,
        },
        ObjectRef::Stream(_) => kind::STREAM_2,
    }
}

/// Writes a value without its type.
pub fn save(writer: &mut Writer, value: &Value<'_>) {
    match value {
        Value::Text(text) => writer.text(*text),
        Value::Object(ObjectRef::List(list)) => save_list(writer, list),
        Value::Object(ObjectRef::Set(set)) => save_set(writer, set),
        Value::Object(ObjectRef::Hash(hash)) => save_hash(writer, hash),
        Value::Object(ObjectRef::SortedSet(set)) => save_zset(writer, set),
        Value::Object(ObjectRef::Stream(stream)) => save_stream::save_stream(writer, stream),
    }
}

fn save_list(writer: &mut Writer, list: &List) {
    const PLAIN: usize = 1;
    const PACKED: usize = 2;
    let limit = NodeLimit::from_setting(LIST_NODE_SETTING);
    writer.count(list.parts(limit).count());
    let mut listpack = Vec::new();
    for part in list.parts(limit) {
        match part {
            Part::Plain(bytes) => {
                writer.count(PLAIN);
                writer.string(bytes);
            }
            Part::Packed(packed) => {
                listpack.clear();
                packed.write_listpack(&mut listpack);
                writer.count(PACKED);
                writer.string(&listpack);
            }
        }
    }
}

fn save_set(writer: &mut Writer, set: &Set) {
    if set.has_expiries() {
        return save_timed_set(writer, set);
    }
    match set.stored() {
        Stored::Integers(integers) => writer.string(integers.as_bytes()),
        Stored::Packed(_) | Stored::Table => {
            writer.count(set.len());
            set.iter().for_each(|member| writer.item(member));
        }
    }
}

/// As [`save_timed_hash`], without values.
fn save_timed_set(writer: &mut Writer, set: &Set) {
    let expiry = |member: &[u8]| set.expiry(member).flatten();
    let members: Vec<_> = set.iter().map(|member| member.to_vec()).collect();
    let earliest = members.iter().filter_map(|member| expiry(member)).min().unwrap_or(0);
    writer.milliseconds(earliest as i64);
    writer.count(members.len());
    for member in members {
        writer.number(expiry(&member).map_or(0, |at| at - earliest + 1));
        writer.string(&member);
    }
}

fn save_hash(writer: &mut Writer, hash: &Hash) {
    if hash.has_expiries() {
        return match writer.dialect() {
            Dialect::Redis => save_timed_hash(writer, hash),
            Dialect::Valkey => save_hash_with_times(writer, hash),
        };
    }
    match hash.as_listpack() {
        Some(listpack) => writer.string(listpack.as_bytes()),
        None => {
            writer.count(hash.len());
            for (field, value) in hash.iter() {
                writer.item(field);
                writer.item(value);
            }
        }
    }
}

/// The earliest time, then with each pair how much later than that it expires, plus one; 0 for never.
fn save_timed_hash(writer: &mut Writer, hash: &Hash) {
    let expiry = |field: &[u8]| hash.expiry(field).flatten();
    let pairs: Vec<_> = hash.iter().map(|(field, value)| (field.to_vec(), value)).collect();
    let earliest = pairs.iter().filter_map(|(field, _)| expiry(field)).min().unwrap_or(0);
    writer.milliseconds(earliest as i64);
    writer.count(pairs.len());
    for (field, value) in pairs {
        writer.number(expiry(&field).map_or(0, |at| at - earliest + 1));
        writer.string(&field);
        writer.item(value);
    }
}

/// Each pair, and when it expires; -1 for never.
fn save_hash_with_times(writer: &mut Writer, hash: &Hash) {
    writer.count(hash.len());
    for (field, value) in hash.iter() {
        let field = field.to_vec();
        writer.string(&field);
        writer.item(value);
        writer.milliseconds(hash.expiry(&field).flatten().map_or(NEVER, |at| at as i64));
    }
}

fn save_zset(writer: &mut Writer, set: &ZSet) {
    match set.packed() {
        Some(listpack) => writer.string(listpack.as_bytes()),
        None => {
            writer.count(set.len());
            // From the highest down, so that a reader that inserts one by one always inserts at the front.
            set.visit(0..set.len(), true, |member, score| {
                writer.string(member);
                writer.double(score);
            });
        }
    }
}
