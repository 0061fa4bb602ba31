//! What commands have done, in the words that the journal keeps: commands that every server of the kind knows and that do the
//! same whenever they are repeated.

use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use sherd_types::number::format_i64;
use sherd_types::stream::{References, StreamId};

/// A string was set.
pub(super) fn string_set(context: &mut Context<'_>, key: &Key<'_>, value: &[u8], expiry: Expiry) {
    match expiry {
        Expiry::None => context.effect(&[b"SET", key.bytes, value]),
        Expiry::Keep => context.effect(&[b"SET", key.bytes, value, b"KEEPTTL"]),
        Expiry::At(at_ms) => {
            let mut buffer = Default::default();
            context.effect(&[b"SET", key.bytes, value, b"PXAT", format_i64(at_ms, &mut buffer)]);
        }
    }
}

/// The key is gone.
pub(super) fn deleted(context: &mut Context<'_>, key: &Key<'_>) {
    context.effect(&[b"DEL", key.bytes]);
}

/// The key expires at a time.
pub(super) fn expires_at(context: &mut Context<'_>, key: &Key<'_>, at_ms: i64) {
    context.effect(&[b"PEXPIREAT", key.bytes, format_i64(at_ms, &mut Default::default())]);
}

/// A command about a key and a number.
pub(super) fn with_count(context: &mut Context<'_>, command: &str, key: &Key<'_>, count: usize) {
    context.effect(&[command.as_bytes(), key.bytes, format_i64(count as i64, &mut Default::default())]);
}

/// A command about a key and some of its elements, of which there may be none.
pub(super) fn with_elements<'e>(
    context: &mut Context<'_>,
    command: &'e str,
    key: &'e Key<'_>,
    elements: impl Iterator<Item = &'e [u8]>,
) {
    if !context.is_recorded() {
        return;
    }
    let parts: Vec<&[u8]> = [command.as_bytes(), key.bytes].into_iter().chain(elements).collect();
    if parts.len() > 2 {
        context.effect(&parts);
    }
}

/// Elements of a hash or a set that expire at a time: `command key at word count element...`.
pub(super) fn elements_expire_at(
    context: &mut Context<'_>,
    (command, word): (&str, &str),
    key: &Key<'_>,
    at_ms: u64,
    elements: &[&[u8]],
) {
    if !context.is_recorded() || elements.is_empty() {
        return;
    }
    let (mut at, mut count) = Default::default();
    let head = [
        command.as_bytes(),
        key.bytes,
        format_i64(at_ms as i64, &mut at),
        word.as_bytes(),
        format_i64(elements.len() as i64, &mut count),
    ];
    let parts: Vec<&[u8]> = head.into_iter().chain(elements.iter().copied()).collect();
    context.effect(&parts);
}

/// A group of a stream, and one of its members.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub group: &'a [u8],
    pub name: &'a [u8],
}

/// A member was made.
pub(super) fn member_made(context: &mut Context<'_>, key: &Key<'_>, member: Member<'_>) {
    context.effect(&[b"XGROUP", b"CREATECONSUMER", key.bytes, member.group, member.name]);
}

/// An entry was delivered to a member, at a time, for the so-manieth time.
pub(super) fn entry_assigned(
    context: &mut Context<'_>,
    key: &Key<'_>,
    member: Member<'_>,
    (id, delivered_ms, deliveries): (StreamId, i64, u64),
) {
    if !context.is_recorded() {
        return;
    }
    let (mut time, mut count) = Default::default();
    context.effect(&[
        b"XCLAIM",
        key.bytes,
        member.group,
        member.name,
        b"0",
        id.to_string().as_bytes(),
        b"TIME",
        format_i64(delivered_ms, &mut time),
        b"RETRYCOUNT",
        format_i64(i64::try_from(deliveries).unwrap_or(i64::MAX), &mut count),
        b"FORCE",
        b"JUSTID",
    ]);
}

/// Entries are pending no more.
pub(super) fn acknowledged(context: &mut Context<'_>, key: &Key<'_>, group: &[u8], ids: &[StreamId]) {
    ids_of(context, &[b"XACK", key.bytes, group], ids);
}

/// Entries were deleted.
pub(super) fn entries_deleted(context: &mut Context<'_>, key: &Key<'_>, ids: &[StreamId]) {
    ids_of(context, &[b"XDEL", key.bytes], ids);
}

fn ids_of(context: &mut Context<'_>, head: &[&[u8]], ids: &[StreamId]) {
    if !context.is_recorded() || ids.is_empty() {
        return;
    }
    let texts: Vec<String> = ids.iter().map(StreamId::to_string).collect();
    let parts: Vec<&[u8]> = head.iter().copied().chain(texts.iter().map(String::as_bytes)).collect();
    context.effect(&parts);
}

/// A group has read up to an id, and so many entries if that is known.
pub(super) fn group_at(
    context: &mut Context<'_>,
    key: &Key<'_>,
    group: &[u8],
    last_id: StreamId,
    entries_read: Option<u64>,
) {
    if !context.is_recorded() {
        return;
    }
    let read = entries_read.map_or(-1, |read| i64::try_from(read).unwrap_or(i64::MAX));
    context.effect(&[
        b"XGROUP",
        b"SETID",
        key.bytes,
        group,
        last_id.to_string().as_bytes(),
        b"ENTRIESREAD",
        format_i64(read, &mut Default::default()),
    ]);
}

/// How many entries a trimmed stream has left, which is the same wherever that is repeated, and what became of references.
fn trim_words(references: References, length: u64) -> Vec<Vec<u8>> {
    let word: &[&[u8]] = match references {
        References::Keep => &[],
        References::Delete => &[b"DELREF"],
        References::Acknowledged => &[b"ACKED"],
    };
    let length = length.to_string();
    word.iter().copied().chain([&b"MAXLEN"[..], b"=", length.as_bytes()]).map(<[u8]>::to_vec).collect()
}

/// A stream was trimmed to a length.
pub(super) fn trimmed(context: &mut Context<'_>, key: &Key<'_>, references: References, length: u64) {
    if !context.is_recorded() {
        return;
    }
    let words = trim_words(references, length);
    let parts: Vec<&[u8]> = [&b"XTRIM"[..], key.bytes].into_iter().chain(words.iter().map(Vec::as_slice)).collect();
    context.effect(&parts);
}

/// An entry was added under an id, by a producer that has named it, and the stream trimmed to a length.
pub(super) fn entry_added(
    context: &mut Context<'_>,
    key: &Key<'_>,
    id: StreamId,
    named: Option<(&[u8], Vec<u8>)>,
    trim: Option<(References, u64)>,
    pairs: &[&[u8]],
) {
    let trim = trim.map_or_else(Vec::new, |(references, length)| trim_words(references, length));
    let id = id.to_string();
    let mut parts: Vec<&[u8]> = vec![b"XADD", key.bytes];
    parts.extend(trim.iter().map(Vec::as_slice));
    if let Some((producer, name)) = &named {
        parts.extend([&b"IDMP"[..], producer, name]);
    }
    parts.push(id.as_bytes());
    parts.extend_from_slice(pairs);
    context.effect(&parts);
}

/// Fields of a hash that do not expire any more.
pub(super) fn elements_persist(context: &mut Context<'_>, key: &Key<'_>, fields: &[&[u8]]) {
    if !context.is_recorded() || fields.is_empty() {
        return;
    }
    let mut count = Default::default();
    let head: [&[u8]; 4] = [b"HPERSIST", key.bytes, b"FIELDS", format_i64(fields.len() as i64, &mut count)];
    let parts: Vec<&[u8]> = head.into_iter().chain(fields.iter().copied()).collect();
    context.effect(&parts);
}
