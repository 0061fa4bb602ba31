//! Sources of scripts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::lua::source(data));
