//! What happens to keys besides commands: expiry, eviction, defragmentation, and what is counted about them.

pub mod defragment;
pub mod evict;
pub mod expire;
pub mod field_calendar;
pub mod heat;
pub mod survey;
