//! The classes of keyspace events, as bits: what `notify-keyspace-events` asks for, and what an event belongs to.

pub const GENERIC: u32 = 1 << 0;
pub const STRING: u32 = 1 << 1;
pub const LIST: u32 = 1 << 2;
pub const SET: u32 = 1 << 3;
pub const HASH: u32 = 1 << 4;
pub const ZSET: u32 = 1 << 5;
pub const EXPIRED: u32 = 1 << 6;
pub const EVICTED: u32 = 1 << 7;
pub const STREAM: u32 = 1 << 8;
pub const KEY_MISS: u32 = 1 << 9;
pub const NEW: u32 = 1 << 10;
pub const MODULE: u32 = 1 << 11;
/// Publish on the key's channel.
pub const KEYSPACE: u32 = 1 << 12;
/// Publish on the event's channel.
pub const KEYEVENT: u32 = 1 << 13;

/// What `A` stands for: misses, new keys and the channels must be asked for by themselves.
pub const ALL: u32 = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;

/// The letters of `notify-keyspace-events`.
pub const LETTERS: &[(char, u32)] = &[
    ('g', GENERIC),
    ('$', STRING),
    ('l', LIST),
    ('s', SET),
    ('h', HASH),
    ('z', ZSET),
    ('x', EXPIRED),
    ('e', EVICTED),
    ('t', STREAM),
    ('m', KEY_MISS),
    ('n', NEW),
    ('d', MODULE),
    ('K', KEYSPACE),
    ('E', KEYEVENT),
    ('A', ALL),
];
