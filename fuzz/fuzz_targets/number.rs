//! Numbers as clients write them: what is read is printed back as the same number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sherd_shards::types::number::{append_f64, append_i64, i64_text_len, parse_f64, parse_i64};

fuzz_target!(|data: &[u8]| {
    if let Some(value) = parse_i64(data) {
        // Only one way to write a whole number is taken, so the text comes back to the byte.
        let mut text = Vec::new();
        append_i64(&mut text, value);
        assert_eq!(text, data);
        assert_eq!(i64_text_len(value), data.len());
    }
    if let Some(value) = parse_f64(data) {
        let mut text = Vec::new();
        append_f64(&mut text, value);
        let again = parse_f64(&text).expect("what is printed can be read");
        assert!(again == value || (again.is_nan() && value.is_nan()), "{value} became {again}");
    }
});
