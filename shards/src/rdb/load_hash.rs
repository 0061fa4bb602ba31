//! Hashes from bytes, with or without fields that expire.

use super::reader::listpack;
use super::{kind, ziplist, Corrupt, Limits, Reader};
use sherd_types::hash::{Change, Hash};
use sherd_types::listpack::Listpack;
use sherd_types::number::I64Buffer;

/// A hash on the way: pairs that have expired are left out.
struct Loading<'l> {
    hash: Hash,
    limits: &'l Limits,
    now_ms: i64,
    expired: bool,
}

impl Loading<'_> {
    fn add(&mut self, field: &[u8], value: &[u8], expiry: Option<u64>) -> Result<(), Corrupt> {
        if let Some(at) = expiry {
            // Later than any clock: nobody has written that.
            if i64::try_from(at).map_err(|_| Corrupt)? <= self.now_ms {
                self.expired = true;
                return Ok(());
            }
        }
        if self.hash.set(field, value, self.limits.hash) != Change::Created {
            return Err(Corrupt);
        }
        if expiry.is_some() {
            self.hash.set_expiry(field, expiry);
        }
        Ok(())
    }
}

/// Reads a hash of this type; `None` if there were fields but all have expired.
pub fn load_hash(reader: &mut Reader<'_>, kind: u8, limits: &Limits, now_ms: i64) -> Result<Option<Hash>, Corrupt> {
    let mut loading = Loading { hash: Hash::new(), limits, now_ms, expired: false };
    match kind {
        kind::HASH => load_pairs(reader, &mut loading)?,
        kind::HASH_2 => load_pairs_with_times(reader, &mut loading)?,
        kind::HASH_METADATA => load_pairs_with_offsets(reader, &mut loading)?,
        kind::HASH_LISTPACK => return from_packed(listpack(&reader.string()?)?, limits).map(Some),
        kind::HASH_LISTPACK_EX => load_triplets(reader, &mut loading)?,
        kind::HASH_ZIPLIST => return from_packed(ziplist::to_listpack(&reader.string()?)?, limits).map(Some),
        kind::HASH_ZIPMAP => load_zipmap(reader, &mut loading)?,
        _ => return Err(Corrupt),
    }
    let Loading { hash, expired, .. } = loading;
    Ok((!(expired && hash.is_empty())).then_some(hash))
}

fn from_packed(listpack: Listpack, limits: &Limits) -> Result<Hash, Corrupt> {
    if listpack.is_empty() {
        return Ok(Hash::new());
    }
    Hash::from_listpack(listpack, limits.hash).ok_or(Corrupt)
}

fn load_pairs(reader: &mut Reader<'_>, loading: &mut Loading<'_>) -> Result<(), Corrupt> {
    let count = reader.count(2)?;
    loading.hash.expect_additions(count, loading.limits.hash);
    for _ in 0..count {
        let (field, value) = (reader.string()?, reader.string()?);
        loading.add(&field, &value, None)?;
    }
    Ok(())
}

/// Valkey 9: the time follows each pair, -1 for never.
fn load_pairs_with_times(reader: &mut Reader<'_>, loading: &mut Loading<'_>) -> Result<(), Corrupt> {
    let count = reader.count(10)?;
    loading.hash.expect_additions(count, loading.limits.hash);
    for _ in 0..count {
        let (field, value) = (reader.string()?, reader.string()?);
        let expiry = match reader.milliseconds()? {
            -1 => None,
            at => Some(u64::try_from(at).map_err(|_| Corrupt)?),
        };
        loading.add(&field, &value, expiry)?;
    }
    Ok(())
}

/// Redis 8: the earliest time, then before each pair how much later it expires, plus one; 0 for never.
fn load_pairs_with_offsets(reader: &mut Reader<'_>, loading: &mut Loading<'_>) -> Result<(), Corrupt> {
    let earliest = u64::try_from(reader.milliseconds()?).map_err(|_| Corrupt)?;
    let count = reader.count(3)?;
    loading.hash.expect_additions(count, loading.limits.hash);
    for _ in 0..count {
        let expiry = match reader.number()? {
            0 => None,
            offset => Some(earliest.checked_add(offset - 1).ok_or(Corrupt)?),
        };
        let (field, value) = (reader.string()?, reader.string()?);
        loading.add(&field, &value, expiry)?;
    }
    Ok(())
}

/// Redis 8, packed: field, value and time alternate, 0 for never. The earliest time comes before; the fields tell it.
fn load_triplets(reader: &mut Reader<'_>, loading: &mut Loading<'_>) -> Result<(), Corrupt> {
    reader.milliseconds()?;
    let listpack = listpack(&reader.string()?)?;
    if listpack.len() % 3 != 0 {
        return Err(Corrupt);
    }
    let mut items = listpack.iter();
    let (mut field_buffer, mut value_buffer) = (I64Buffer::default(), I64Buffer::default());
    while let (Some(field), Some(value), Some(time)) = (items.next(), items.next(), items.next()) {
        let expiry = match time.to_i64().ok_or(Corrupt)? {
            0 => None,
            at => Some(u64::try_from(at).map_err(|_| Corrupt)?),
        };
        loading.add(field.as_bytes(&mut field_buffer), value.as_bytes(&mut value_buffer), expiry)?;
    }
    Ok(())
}

fn load_zipmap(reader: &mut Reader<'_>, loading: &mut Loading<'_>) -> Result<(), Corrupt> {
    let bytes = reader.string()?;
    ziplist::visit_zipmap(&bytes, |field, value| loading.add(field, value, None))
}
