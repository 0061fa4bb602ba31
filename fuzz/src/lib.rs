//! What the fuzz targets check, without libFuzzer: each function takes any bytes and panics where the code under test
//! breaks a promise.
//!
//! The targets in `fuzz_targets/` are one line each around these. `ioth/tests/fuzz_replay.rs` compiles this directory into an
//! ordinary test, which runs the seeds and pseudo-random inputs, so that every `cargo test` covers what the fuzzers found
//! without needing them.
//!
//! # Layout
//! - [`requests`]: the request parser and the splitting of inline lines
//! - [`commands`], [`words`], [`keyspace`]: command lines through the command table into shards
//! - [`packs`]: listpacks and intsets as they come from files and from RESTORE
//! - [`dumps`]: whole values as they come from RESTORE
//! - [`files`]: snapshots and append-only files
//! - [`links`]: what a primary sends
//! - [`texts`]: glob patterns and numbers
//! - [`lua`]: sources of scripts, and what their libraries decode
//! - [`resp`]: a strict reader of replies

pub mod commands;
pub mod dumps;
pub mod files;
pub mod keyspace;
pub mod links;
pub mod lua;
pub mod packs;
pub mod requests;
pub mod resp;
pub mod texts;
pub mod words;

/// Takes any bytes; panics when it finds a fault.
pub type Target = fn(&[u8]);

/// Every target with its check.
pub const TARGETS: &[(&str, Target)] = &[
    ("request_parser", requests::chunks),
    ("inline_words", requests::inline_words),
    ("command_args", commands::command_lines),
    ("listpack_validate", packs::listpack),
    ("intset_validate", packs::intset),
    ("restore", dumps::payload),
    ("rdb_file", files::snapshot),
    ("append_file", files::appended),
    ("replication_stream", links::primary),
    ("glob", texts::glob),
    ("number", texts::number),
    ("lua_libraries", lua::libraries),
    ("lua_source", lua::source),
];
