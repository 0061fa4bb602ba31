//! What a connection is called by outside of its thread.

/// A connection by its IO thread, its place there, and how often that place was used: a reply that comes late never
/// reaches the next client in the same place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    pub io_thread: u16,
    pub generation: u16,
    pub index: u32,
}

impl Token {
    /// As one number, for the control plane.
    pub fn to_bits(self) -> u64 {
        u64::from(self.io_thread) << 48 | u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The reverse of [`Token::to_bits`].
    pub fn from_bits(bits: u64) -> Token {
        Token { io_thread: (bits >> 48) as u16, generation: (bits >> 32) as u16, index: bits as u32 }
    }
}
