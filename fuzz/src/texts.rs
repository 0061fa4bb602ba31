//! Glob patterns and numbers as clients write them.

use sherd_shards::glob::{matches, matches_ignoring_case};
use sherd_types::number::{append_f64, append_i64, i64_text_len, parse_f64, parse_i64};

/// What can be checked without a second implementation of classes and escapes.
fn expected(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.first() {
        None => text.is_empty(),
        Some(b'*') => (0..=text.len()).any(|skipped| expected(&pattern[1..], &text[skipped..])),
        Some(b'?') => !text.is_empty() && expected(&pattern[1..], &text[1..]),
        Some(byte) => text.first() == Some(byte) && expected(&pattern[1..], &text[1..]),
    }
}

/// Matching ends soon and agrees with a plain recursive matcher. The first byte says how long the pattern is.
pub fn glob(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let (pattern, text) = rest.split_at(usize::from(length).min(rest.len()));
    let found = matches(pattern, text);
    let class = pattern.iter().any(|byte| matches!(byte, b'[' | b'\\'));
    // A negated class matches less when case is ignored.
    if found && !class {
        assert!(matches_ignoring_case(pattern, text), "ignoring case must not lose a match");
    }
    let stars = pattern.iter().filter(|&&byte| byte == b'*').count();
    if !class && stars <= 3 && text.len() <= 64 {
        // As in Redis, the empty text is found by the empty pattern alone.
        let wanted = if text.is_empty() { pattern.is_empty() } else { expected(pattern, text) };
        assert_eq!(found, wanted);
    }
}

/// What is read is printed back as the same number.
pub fn number(data: &[u8]) {
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
}
