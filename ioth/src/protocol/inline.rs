//! Inline requests: a line of words, as somebody types them.

use sherd_shards::handler::args;

use super::parser::{error, ProtocolError};

/// Splits an inline request into words: quotes and escapes as in redis-cli. The line's end may be included.
pub fn split_inline(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    args::split_words(line).ok_or_else(|| error("unbalanced quotes in request"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_words_are_split_as_in_redis() {
        let split = |line: &str| split_inline(line.as_bytes());
        let words = |line: &str| -> Vec<String> {
            split(line).expect("words").into_iter().map(|w| String::from_utf8_lossy(&w).into_owned()).collect()
        };
        assert_eq!(words("set  a 'b c' \r\n"), ["set", "a", "b c"]);
        assert_eq!(words(r#"x "a\x41\n\"" 'it\'s' """#), ["x", "aA\n\"", "it's", ""]);
        for bad in [r#"x "a"#, "x 'a", r#"x "a"b"#, r#"x "a\"#] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
