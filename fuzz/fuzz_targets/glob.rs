//! Glob patterns come from clients (KEYS, SCAN, PSUBSCRIBE): matching ends soon, and agrees with a plain recursive matcher.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sherd_shards::glob::{matches, matches_ignoring_case};

/// What can be checked without a second implementation of classes and escapes.
fn expected(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.first() {
        None => text.is_empty(),
        Some(b'*') => (0..=text.len()).any(|skipped| expected(&pattern[1..], &text[skipped..])),
        Some(b'?') => !text.is_empty() && expected(&pattern[1..], &text[1..]),
        Some(byte) => text.first() == Some(byte) && expected(&pattern[1..], &text[1..]),
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (pattern, text) = input;
    let found = matches(pattern, text);
    if found {
        assert!(matches_ignoring_case(pattern, text), "ignoring case must not lose a match");
    }
    let simple = !pattern.iter().any(|byte| matches!(byte, b'[' | b'\\'));
    let stars = pattern.iter().filter(|&&byte| byte == b'*').count();
    if simple && stars <= 3 && text.len() <= 64 {
        assert_eq!(found, expected(pattern, text));
    }
});
