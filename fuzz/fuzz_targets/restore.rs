//! Payloads of RESTORE.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::dumps::payload(data));
