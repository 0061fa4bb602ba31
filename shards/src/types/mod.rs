//! The data types. They know no RESP, no clock and no keyspace.

pub mod allocation;
pub mod bitfield;
pub mod bitmap;
mod btree_bytes;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod lcs;
pub mod list;
pub mod listpack;
pub mod number;
pub mod set;
pub mod sha1;
pub mod stream;
pub mod unaligned_box;
mod varint;
pub mod zset;
pub mod zset_algebra;
pub mod zset_element;
pub mod zset_large;
pub mod zset_packed;
pub mod zset_range;
pub mod zset_tree;
