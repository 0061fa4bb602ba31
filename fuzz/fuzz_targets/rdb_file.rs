//! Snapshots.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::files::snapshot(data));
