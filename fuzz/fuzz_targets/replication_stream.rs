//! What a primary sends: snapshot and stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::links::primary(data));
