//! Requests as bytes from a socket, in chunks of all sizes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::requests::chunks(data));
