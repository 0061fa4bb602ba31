//! Inline lines: quotes and escapes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::requests::inline_words(data));
