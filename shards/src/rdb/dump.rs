//! A value on its own, as DUMP gives it and RESTORE takes it: `type | value | version (u16) | CRC-64 of all before (u64)`.

use super::{crc64, kind, load, save, type_of, Corrupt, Dialect, Limits, Loaded, Reader, Writer};
use crate::entry::Value;

/// What is written, unless only [`VERSION_REDIS_8`] has the type: Redis 7.0 and everything since reads it.
pub(super) const VERSION: u16 = 10;
const VERSION_REDIS_8: u16 = 12;
/// Valkey's numbers go on here, so that nobody takes them for those of Redis.
const VERSION_VALKEY_9: u16 = 80;
/// For what nobody else reads ([`kind::SET_TIMED`]): a version that every other server refuses before it looks further.
const VERSION_SHERD: u16 = 0x5348;
const FOOTER_BYTES: usize = 10;

/// Why a payload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its version is unknown or its checksum wrong.
    Footer,
    /// What is between them is no value.
    Value,
}

impl From<Corrupt> for Refused {
    fn from(_: Corrupt) -> Refused {
        Refused::Value
    }
}

/// The payload of a value.
pub fn dump(value: &Value<'_>) -> Vec<u8> {
    dump_in(value, Dialect::Redis)
}

/// The same for who reads this dialect.
pub fn dump_in(value: &Value<'_>, dialect: Dialect) -> Vec<u8> {
    let mut writer = Writer::in_dialect(dialect);
    let kind = type_of(value, dialect);
    writer.byte(kind);
    save(&mut writer, value);
    let version = match kind {
        kind::HASH_METADATA => VERSION_REDIS_8,
        kind::HASH_2 => VERSION_VALKEY_9,
        kind::SET_TIMED => VERSION_SHERD,
        _ => VERSION,
    };
    sealed(writer, version)
}

/// What was written, with its version and checksum behind it.
pub(super) fn sealed(mut writer: Writer, version: u16) -> Vec<u8> {
    writer.raw(&version.to_le_bytes());
    let checksum = crc64(0, writer.bytes());
    writer.raw(&checksum.to_le_bytes());
    writer.into_bytes()
}

/// The inside of a payload, and its version.
pub(super) fn opened(payload: &[u8], later_versions: bool) -> Result<(&[u8], u16), Refused> {
    let checked = payload.len().checked_sub(FOOTER_BYTES).ok_or(Refused::Footer)?;
    let (body, footer) = payload.split_at(checked);
    let mut footer = Reader::new(footer);
    let version = u16::from_le_bytes(footer.array()?);
    let checksum = u64::from_le_bytes(footer.array()?);
    let known = later_versions || matches!(version, 0..=VERSION_REDIS_8 | VERSION_VALKEY_9 | VERSION_SHERD);
    if !known || checksum != crc64(0, &payload[..checked + 2]) {
        return Err(Refused::Footer);
    }
    Ok((body, version))
}

/// The value of a payload. Fields of hashes and members of sets that have expired at `now_ms` are left out.
pub fn restore<'a>(payload: &'a [u8], limits: &Limits, now_ms: i64) -> Result<Loaded<'a>, Refused> {
    let (body, version) = opened(payload, limits.later_versions)?;
    let mut reader = Reader::new(body);
    let kind = reader.byte()?;
    // Before it had fields that expire for good, Redis used Valkey's number for something else.
    let is_foreign = kind == kind::HASH_2 && version < VERSION_VALKEY_9;
    if is_foreign || (kind == kind::SET_TIMED) != (version == VERSION_SHERD) {
        return Err(Refused::Value);
    }
    let value = load(&mut reader, kind, limits, now_ms)?;
    if reader.left() > 0 || matches!(value, Loaded::Empty) {
        return Err(Refused::Value);
    }
    Ok(value)
}
