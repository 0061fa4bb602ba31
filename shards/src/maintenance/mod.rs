//! What happens to keys besides commands: expiry, eviction, defragmentation, and what is counted about them.

pub mod defragment;
pub mod element_expiry;
pub mod evict;
pub mod expire;
pub mod own_expiry;
pub mod survey;
