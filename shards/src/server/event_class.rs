//! The classes of keyspace events, as bits: what `notify-keyspace-events` asks for, and what an event belongs to; and the events
//! of each class.

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
/// Publish which elements an event is about: on the key's channel, on the event's, on one of each element, and on one of both.
pub const SUBKEYSPACE: u32 = 1 << 14;
pub const SUBKEYEVENT: u32 = 1 << 15;
pub const SUBKEYSPACEITEM: u32 = 1 << 16;
pub const SUBKEYSPACEEVENT: u32 = 1 << 17;

/// Any channel that names elements.
pub const OF_ELEMENTS: u32 = SUBKEYSPACE | SUBKEYEVENT | SUBKEYSPACEITEM | SUBKEYSPACEEVENT;
/// Classes whose events name elements, as in Redis 8.8.
pub const WITH_ELEMENTS: u32 = HASH;

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
    ('S', SUBKEYSPACE),
    ('T', SUBKEYEVENT),
    ('I', SUBKEYSPACEITEM),
    ('V', SUBKEYSPACEEVENT),
    ('A', ALL),
];

/// All events by their class. One that is not here cannot be raised, nor waited for.
pub const EVENTS: &[(u32, &[&str])] = &[
    (GENERIC, &["copy_to", "del", "expire", "move_from", "move_to", "persist", "rename_from", "rename_to", "restore"]),
    (STRING, &["append", "incrby", "incrbyfloat", "pfadd", "set", "setbit", "setrange"]),
    (LIST, &["linsert", "lpop", "lpush", "lrem", "lset", "ltrim", "rpop", "rpush", "sortstore"]),
    (SET, &["sadd", "sdiffstore", "sexpire", "sexpired", "sinterstore", "spersist", "spop", "srem", "sunionstore"]),
    (HASH, &["hdel", "hexpire", "hexpired", "hincrby", "hincrbyfloat", "hpersist", "hset"]),
    (
        ZSET,
        &[
            "georadiusstore",
            "geosearchstore",
            "zadd",
            "zdiffstore",
            "zincr",
            "zinterstore",
            "zpopmax",
            "zpopmin",
            "zrangestore",
            "zrem",
            "zremrangebylex",
            "zremrangebyrank",
            "zremrangebyscore",
            "zunionstore",
        ],
    ),
    (EXPIRED, &["expired"]),
    (EVICTED, &["evicted"]),
    (
        STREAM,
        &[
            "xadd",
            "xcfgset",
            "xdel",
            "xgroup-create",
            "xgroup-createconsumer",
            "xgroup-delconsumer",
            "xgroup-destroy",
            "xgroup-setid",
            "xsetid",
            "xtrim",
        ],
    ),
    (KEY_MISS, &["keymiss"]),
    (NEW, &["new"]),
];

/// The classes in which there are events of this name.
pub fn classes_of(event: &str) -> u32 {
    EVENTS.iter().filter(|(_, events)| events.contains(&event)).fold(0, |classes, (class, _)| classes | class)
}
