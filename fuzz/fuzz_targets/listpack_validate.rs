//! Listpacks as they come from files and from RESTORE.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sherd_fuzz::packs::listpack(data));
