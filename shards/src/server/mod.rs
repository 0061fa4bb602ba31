//! What the shards of one server share.

pub mod account;
pub mod client;
pub mod clocks;
pub mod command_log;
pub mod defragmentation;
pub mod emptied;
pub mod event_class;
pub mod lazyfree;
pub mod pause;
pub mod pressure;
pub mod reader_numbers;
pub mod settings;
pub mod tracking;
pub mod world;
