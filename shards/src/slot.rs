//! Hash slots, and which shard has which.

/// Slots of the keyspace, as in Redis Cluster.
pub const SLOTS: usize = 16384;

/// More shards than any sensible machine has cores for.
pub const SHARDS_MAX: usize = 64;

const CRC16: [[u16; 256]; 2] = {
    let mut tables = [[0u16; 256]; 2];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut byte = 0;
    while byte < 256 {
        let crc = tables[0][byte];
        tables[1][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
        byte += 1;
    }
    tables
};

/// CRC16 (XMODEM), two bytes a step.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    let mut pairs = bytes.chunks_exact(2);
    for pair in &mut pairs {
        let mixed = crc ^ u16::from_be_bytes([pair[0], pair[1]]);
        crc = CRC16[1][usize::from(mixed >> 8)] ^ CRC16[0][usize::from(mixed & 0xFF)];
    }
    for &byte in pairs.remainder() {
        crc = (crc << 8) ^ CRC16[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// The part of a key that is hashed to a slot: what is between the first `{` and the next `}`, if anything.
#[inline]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    if let Some(open) = key.iter().position(|&b| b == b'{') {
        if let Some(length) = key[open + 1..].iter().position(|&b| b == b'}') {
            if length > 0 {
                return &key[open + 1..open + 1 + length];
            }
        }
    }
    key
}

/// The slot of a key.
#[inline]
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) & (SLOTS as u16 - 1)
}

/// Contiguous ranges of slots over the shards.
#[derive(Clone, Copy, Debug)]
pub struct SlotMap {
    shards: usize,
    cluster: bool,
}

impl SlotMap {
    /// A map over `shards` shards; `cluster` says whether slots are visible to clients.
    pub fn new(shards: usize, cluster: bool) -> SlotMap {
        SlotMap { shards: shards.clamp(1, SHARDS_MAX), cluster }
    }

    /// Shards in the map.
    #[inline]
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// All shards, as a bit set.
    #[inline]
    pub fn all_shards(&self) -> u64 {
        u64::MAX >> (64 - self.shards)
    }

    /// Whether clients see slots, and name keys of one slot only in a command.
    #[inline]
    pub fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// Whether keys have slots at all; with one shard and no cluster nobody could tell.
    #[inline]
    pub fn uses_slots(&self) -> bool {
        self.shards > 1 || self.cluster
    }

    /// Whether every slot has a table of its own: in cluster mode, where clients ask for a slot's keys and slots move to other
    /// nodes. Elsewhere a slot only says which shard a key belongs to.
    #[inline]
    pub fn has_slot_tables(&self) -> bool {
        self.cluster
    }

    /// The slot of a key; 0 where no slots are used.
    #[inline]
    pub fn slot(&self, key: &[u8]) -> u16 {
        if self.uses_slots() {
            slot_of(key)
        } else {
            0
        }
    }

    /// The shard that has a slot.
    #[inline]
    pub fn shard_of(&self, slot: u16) -> usize {
        (usize::from(slot) * self.shards) >> 14
    }

    /// The slots of a shard.
    pub fn slots_of(&self, shard: usize) -> std::ops::Range<usize> {
        (shard * SLOTS).div_ceil(self.shards)..((shard + 1) * SLOTS).div_ceil(self.shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") & 16383);
        assert_eq!(hash_tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hash_tag(b"foo{bar}{zap}"), b"bar");
    }

    #[test]
    fn every_slot_is_in_the_range_of_its_shard() {
        for shards in [1, 2, 3, 4, 7, 64] {
            let map = SlotMap::new(shards, true);
            for slot in 0..SLOTS {
                assert!(map.slots_of(map.shard_of(slot as u16)).contains(&slot));
            }
            assert_eq!((0..shards).map(|s| map.slots_of(s).len()).sum::<usize>(), SLOTS);
        }
    }
}
