//! The frame of an RDB file: header, opcodes, end. What is in it is written and read by [`crate::persistence`].

/// What is written unless some hash has fields that expire: Redis 7.0 and everything since reads it.
pub const VERSION: u16 = 10;
/// With fields that expire, as Redis 8 writes them.
pub const VERSION_REDIS_8: u16 = 12;
/// Valkey 9 counts from here, under a name of its own.
pub const VERSION_VALKEY_9: u16 = 80;

/// The first bytes of a file, with four digits of version behind them.
pub const MAGIC_REDIS: &str = "REDIS";
/// The same of Valkey 9, with three digits.
pub const MAGIC_VALKEY: &str = "VALKEY";
pub const HEADER_BYTES: usize = 9;

/// What is between values.
pub mod opcode {
    /// Slot, its number of keys, of which expire.
    pub const SLOT_INFO: u8 = 0xF4;
    /// The source of a library of functions.
    pub const FUNCTION: u8 = 0xF5;
    /// The same before Redis 7.0 was released.
    pub const FUNCTION_BEFORE_RELEASE: u8 = 0xF6;
    pub const MODULE_AUX: u8 = 0xF7;
    /// Seconds for which the key that follows was not used.
    pub const IDLE: u8 = 0xF8;
    /// How often the key that follows is used.
    pub const FREQUENCY: u8 = 0xF9;
    /// A name and a text.
    pub const AUX: u8 = 0xFA;
    /// Numbers of keys and of keys with an expiry.
    pub const RESIZE_DB: u8 = 0xFB;
    /// Milliseconds at which the key that follows expires.
    pub const EXPIRES_MS: u8 = 0xFC;
    /// The same in seconds.
    pub const EXPIRES_SECONDS: u8 = 0xFD;
    pub const SELECT_DB: u8 = 0xFE;
    /// A checksum follows, and nothing after it.
    pub const END: u8 = 0xFF;
}
