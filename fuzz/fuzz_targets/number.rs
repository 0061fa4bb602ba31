//! Numbers as clients write them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::texts::number(data));
