//! Glob patterns: KEYS, SCAN, PSUBSCRIBE.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::texts::glob(data));
