//! Keyspace events: raised where a command takes effect, kept until somebody delivers them.
//!
//! Nothing is recorded unless a class is switched on by `notify-keyspace-events`.

/// Event classes, as bits.
pub mod class {
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
}

/// One event to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub db: u16,
    pub name: &'static str,
    pub key: Vec<u8>,
}

/// Events that wait for delivery when the baton is let go.
#[derive(Default, Debug)]
pub struct Events {
    pending: Vec<Event>,
}

impl Events {
    /// Adds an event.
    pub fn push(&mut self, db: u16, name: &'static str, key: &[u8]) {
        self.pending.push(Event { db, name, key: key.to_vec() });
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes them all.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.pending)
    }
}
