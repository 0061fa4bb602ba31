//! Command lines of every data command, in one shard and over four.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::commands::command_lines(data));
