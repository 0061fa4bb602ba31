//! Digests of values and data sets, for DEBUG DIGEST and DEBUG DIGEST-VALUE.
//!
//! They are those of Redis 8 and Valkey 9 (Redis 7 writes scores with other digits): equal data gives equal digests there
//! and here, whatever its encoding and in whatever order keys, members and fields lie. What has an order is mixed in one
//! after the other; what has none is combined by exclusive or. Tests compare servers by them, and what a server had before
//! with what it has now.

use crate::entry::object::ObjectRef;
use crate::entry::{Entry, Value};
use crate::keyspace::shard::Shard;
use sherd_types::number::{format_f64, F64Buffer, I64Buffer};
use sherd_types::sha1::{sha1, DIGEST_BYTES};
use sherd_types::stream::{Stream, StreamId};
use sherd_types::table;

/// A digest that grows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// Adds what has no order.
    fn combine(&mut self, bytes: &[u8]) {
        self.0.iter_mut().zip(sha1(bytes)).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds what comes after all before it.
    fn append(&mut self, bytes: &[u8]) {
        self.combine(bytes);
        self.0 = sha1(&self.0);
    }

    /// Forty hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The digest of everything in these shards, expired keys that are still there included.
pub(super) fn of_shards<'s>(shards: impl Iterator<Item = &'s mut Shard>) -> Digest {
    let shards: Vec<&Shard> = shards.map(|shard| &*shard).collect();
    let databases = shards.iter().map(|shard| shard.dbs_touched()).max().unwrap_or(0);
    let mut digest = Digest::default();
    for number in 0..databases as u16 {
        let all = || shards.iter().filter_map(|shard| shard.db(number)).flat_map(|db| db.iter());
        if all().next().is_none() {
            continue;
        }
        digest.append(&u32::from(number).to_be_bytes());
        for entry in all() {
            let mut key = Digest::default();
            key.append(table::Entry::key(entry));
            add_value(&mut key, entry);
            // Two digests are combined as bytes are: by the digest of the digest.
            digest.combine(&key.0);
        }
    }
    digest
}

/// The digest of one value.
pub(super) fn of_value(entry: &Entry) -> Digest {
    let mut digest = Digest::default();
    add_value(&mut digest, entry);
    digest
}

fn add_value(digest: &mut Digest, entry: &Entry) {
    let value = entry.value();
    let number: u32 = match &value {
        Value::Text(_) => 0,
        Value::Object(ObjectRef::List(_)) => 1,
        Value::Object(ObjectRef::Set(_)) => 2,
        Value::Object(ObjectRef::SortedSet(_)) => 3,
        Value::Object(ObjectRef::Hash(_)) => 4,
        Value::Object(ObjectRef::Stream(_)) => 6,
    };
    digest.append(&number.to_be_bytes());
    let (mut buffer, mut score_buffer) = (I64Buffer::default(), F64Buffer::default());
    match value {
        Value::Text(text) => text.with(|bytes| digest.append(bytes)),
        Value::Object(ObjectRef::List(list)) => list.iter().for_each(|item| digest.append(item.as_bytes(&mut buffer))),
        Value::Object(ObjectRef::Set(set)) => {
            set.iter().for_each(|member| digest.combine(member.as_bytes(&mut buffer)))
        }
        Value::Object(ObjectRef::SortedSet(set)) => set.visit_all(|member, score| {
            let mut element = Digest::default();
            element.append(member);
            element.append(format_f64(score, &mut score_buffer));
            digest.combine(&element.0);
        }),
        Value::Object(ObjectRef::Hash(hash)) => hash.iter().for_each(|(field, value)| {
            let mut pair = Digest::default();
            pair.append(field.as_bytes(&mut buffer));
            pair.append(value.as_bytes(&mut buffer));
            digest.combine(&pair.0);
        }),
        Value::Object(ObjectRef::Stream(stream)) => add_stream(digest, stream),
    }
    if entry.expiry().is_some() {
        digest.combine(b"!!expire!!");
    }
}

fn add_stream(digest: &mut Digest, stream: &Stream) {
    let mut buffer = I64Buffer::default();
    for entry in stream.log().range(StreamId::MIN, StreamId::MAX) {
        digest.append(format!("{}.{}", entry.id.milliseconds, entry.id.sequence).as_bytes());
        for (field, value) in entry.fields() {
            digest.append(field.as_bytes(&mut buffer));
            digest.append(value.as_bytes(&mut buffer));
        }
    }
}
