//! The RDB serialisation of single values: what DUMP gives, what RESTORE takes, and what an RDB file consists of.
//!
//! Values become bytes ([`save`]) and bytes become values ([`load`]); nothing here knows files, keys or commands. What is
//! written is read by Redis 7.0, Redis 8 and Valkey 9: the newest types that all of them know, in a payload of version 10
//! ([`dump`]). Hashes whose fields expire are the exception, since no two of the servers agree on a format for them: those
//! are written as Redis 8 does. What is read is every type that any release of Redis or Valkey has written for strings,
//! lists, sets, hashes, sorted sets and streams.
//!
//! Bytes to be read are hostile. A count is compared with the bytes that are left before anything is reserved for it, a
//! compressed string may not claim more than compression can save, packed values are checked entry by entry, and elements
//! that may occur once are counted once. Whatever is wrong is one error, [`Corrupt`]: its reader can do nothing but refuse.
//!
//! # Layout
//! - [`reader`], [`writer`]: lengths and strings; [`lzf`]: their compression; [`crc64`]: checksums
//! - [`save`], [`save_stream`]: values to bytes; [`elements`]: those of big collections, one by one
//! - [`load`], [`load_hash`], [`load_zset`], [`load_stream`]: bytes to values; [`ziplist`]: formats that are only read;
//!   [`skip`]: where a value ends
//! - [`format`]: the frame of a file
//! - [`dump`]: a value with version and checksum around it; [`functions`]: libraries of functions in the same wrapping

mod crc64;
pub mod dump;
pub mod elements;
pub mod format;
pub mod functions;
mod load;
mod load_hash;
mod load_stream;
mod load_zset;
mod lzf;
mod reader;
mod save;
mod save_stream;
mod skip;
mod writer;
mod ziplist;

pub use crc64::crc64;
pub use load::{load, Loaded};
pub use reader::Reader;
pub use save::{save, type_of};
pub use save_stream::save_part;
pub use skip::skip;
pub use writer::Writer;

use std::time::Duration;

use crate::server::settings::Settings;
use sherd_types::list::NodeLimit;
use sherd_types::random::Random;
use sherd_types::set::SetLimits;
use sherd_types::{hash, zset};

/// The bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How long `rdb-key-save-delay` or `key-load-delay`, with which tests make a snapshot last, are for so many keys: microseconds
/// for each of them, or, if negative, a microsecond for one in so many.
pub fn delay_of(setting: i64, keys: u32) -> Duration {
    match setting {
        0 => Duration::ZERO,
        1.. => Duration::from_micros(setting as u64) * keys,
        _ => {
            let is_met = |random: &mut Random| random.below(setting.unsigned_abs() as usize) == 0;
            let mut random = Random::seeded();
            Duration::from_micros((0..keys).filter(|_| is_met(&mut random)).count() as u64)
        }
    }
}

/// Waits as one of them says for a key.
pub fn delay(setting: i64) {
    if setting != 0 {
        std::thread::sleep(delay_of(setting, 1));
    }
}

/// The numbers by which types and encodings are known.
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as eight bytes.
    pub const ZSET_2: u8 = 5;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Nodes are ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    /// Nodes are listpacks or single large elements.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// With first id, greatest deleted id and number of entries ever added.
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    /// With the time at which consumers were active.
    pub const STREAM_3: u8 = 21;
    /// Valkey 9: fields that expire.
    pub const HASH_2: u8 = 22;
    /// Redis 8: fields that expire.
    pub const HASH_METADATA: u8 = 24;
    /// Redis 8: the same, packed.
    pub const HASH_LISTPACK_EX: u8 = 25;
    /// Sherd's own: members that expire. The development branch of Redis 8.12 takes 34 and 35 for its kinds of these; no
    /// release has fixed the bytes, so this number is far from all that Redis and Valkey use.
    pub const SET_TIMED: u8 = 200;
}

/// How hashes are written of which fields expire: Redis and Valkey have found a form each, and do not read the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As Redis 8 has them.
    #[default]
    Redis,
    /// As Valkey 9 has them.
    Valkey,
}

impl Dialect {
    /// What `rdb-compat` says.
    pub fn of(settings: &Settings) -> Dialect {
        if settings.rdb_compat.get() == 0 {
            Dialect::Redis
        } else {
            Dialect::Valkey
        }
    }
}

/// Up to where values that are loaded stay in their small encodings, and whose they may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What a later version has written than those that are known is read as far as it is understood.
    pub later_versions: bool,
    pub hash: hash::Limits,
    pub set: SetLimits,
    pub zset: zset::Limits,
    pub list: NodeLimit,
}

impl Limits {
    pub fn from_settings(settings: &Settings) -> Limits {
        Limits {
            later_versions: settings.rdb_version_check.get() != 0,
            hash: hash::Limits {
                entries: settings.hash_max_listpack_entries.size(),
                value_bytes: settings.hash_max_listpack_value.size(),
            },
            set: SetLimits {
                integers: settings.set_max_intset_entries.size(),
                packed: hash::Limits {
                    entries: settings.set_max_listpack_entries.size(),
                    value_bytes: settings.set_max_listpack_value.size(),
                },
            },
            zset: zset::Limits {
                entries_max: settings.zset_max_listpack_entries.size(),
                member_bytes_max: settings.zset_max_listpack_value.size(),
            },
            list: NodeLimit::from_setting(settings.list_max_listpack_size.get()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
