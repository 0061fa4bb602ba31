//! HyperLogLog: the number of different elements, estimated from 16384 registers of 6 bits, in the bytes that Redis uses.
//!
//! The whole object is a string that clients may read, store and write back, so every byte of it is part of the protocol
//! and nothing about it can be trusted.
//!
//! ```text
//! "HYLL" | encoding (0 dense, 1 sparse) | 3 unused | cached estimate (8, little endian; top bit: not valid) | registers
//! ```
//!
//! Dense registers are packed from the lowest bit of the first byte on; sparse ones are runs, see [`sparse`].
//! Rejected: keeping an unpacked form beside the bytes, which would make PFADD faster and every other command slower.

mod dense;
mod estimate;
mod histogram;
mod sparse;

/// Registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are left when the index is taken; a register is at most this plus one.
const REST_BITS: u32 = 64 - INDEX_BITS;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const CACHE_AT: usize = 8;
const HEADER: usize = 16;
const DENSE_LEN: usize = HEADER + dense::BYTES;

/// The registers contradict the header: they are not as many as they should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The largest values of all registers of some objects, none above 63.
pub type Registers = [u8; REGISTERS];

/// An object without elements.
pub fn empty() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 2);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[SPARSE, 0, 0, 0]);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&sparse::EMPTY);
    bytes
}

/// Whether a string may be one of these objects, by header and length. Everything else here asks for that.
pub fn is_valid(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes.starts_with(MAGIC)
        && match bytes[ENCODING_AT] {
            DENSE => bytes.len() == DENSE_LEN,
            SPARSE => true,
            _ => false,
        }
}

/// Whether the registers are packed.
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes[ENCODING_AT] == DENSE
}

/// The runs of a sparse object.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> + '_ {
    sparse::Runs::new(&bytes[HEADER..])
}

pub use sparse::Run;

/// The estimate that was stored, unless registers have changed since.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let value = u64::from_le_bytes(bytes[CACHE_AT..HEADER].try_into().expect("eight bytes"));
    (value >> 63 == 0).then_some(value)
}

/// Stores an estimate.
pub fn set_cached(bytes: &mut [u8], value: u64) {
    bytes[CACHE_AT..HEADER].copy_from_slice(&value.to_le_bytes());
}

/// Says that the stored estimate is not valid any more.
pub fn invalidate(bytes: &mut [u8]) {
    bytes[HEADER - 1] |= 0x80;
}

/// The register that an element counts in, and what it counts there: the zeros at the end of its hash and one.
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element);
    let index = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << REST_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// Adds an element; true if a register has changed. A sparse object that outgrows `sparse_bytes_max` becomes dense.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let (index, value) = place(element);
    raise(bytes, index, value, sparse_bytes_max)
}

/// Raises one register to a value; true if it was lower.
pub fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    if !is_dense(bytes) {
        match sparse::raise(bytes, HEADER, index, value, sparse_bytes_max)? {
            sparse::Raised::Done(changed) => return Ok(changed),
            sparse::Raised::TooLarge => make_dense(bytes)?,
        }
    }
    Ok(dense::raise(&mut bytes[HEADER..], index, value))
}

/// Packs the registers of a sparse object.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if is_dense(bytes) {
        return Ok(());
    }
    let mut registers = [0; REGISTERS];
    raise_all(&mut registers, bytes)?;
    store(bytes, &registers);
    Ok(())
}

/// Replaces all registers by these, packed.
pub fn store(bytes: &mut Vec<u8>, registers: &Registers) {
    bytes[ENCODING_AT] = DENSE;
    bytes.resize(DENSE_LEN, 0);
    dense::pack(registers, &mut bytes[HEADER..]);
}

/// Raises registers to those of an object.
pub fn raise_all(registers: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    if is_dense(bytes) {
        dense::raise_all(registers, &bytes[HEADER..]);
        return Ok(());
    }
    let (mut at, mut read) = (0, HEADER);
    for run in runs(bytes) {
        let part = registers.get_mut(at..at + run.length).ok_or(Corrupt)?;
        part.iter_mut().for_each(|register| *register = (*register).max(run.value));
        at += run.length;
        read += run.size();
    }
    // Half a run may be left.
    if at == REGISTERS && read == bytes.len() {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// The number of different elements that registers tell of.
pub fn estimate(registers: &Registers) -> u64 {
    estimate::from_histogram(&histogram::of(registers))
}

/// The number of different elements that an object tells of.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut registers = [0; REGISTERS];
    raise_all(&mut registers, bytes)?;
    Ok(estimate(&registers))
}

/// MurmurHash2 in its 64-bit variant A, with the seed of Redis: the registers of stored objects depend on it.
fn murmur64a(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xADC8_3B19;
    const FACTOR: u64 = 0xC6A4_A793_5BD1_E995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = u64::from_le_bytes(chunk.try_into().expect("eight bytes")).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
#[path = "tests/hyperloglog.rs"]
mod tests;
