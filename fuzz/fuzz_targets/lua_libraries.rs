//! What cjson, cmsgpack and struct decode.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::lua::libraries(data));
