//! Inline requests: a line of words, as somebody types them.

use super::parser::{error, ProtocolError};

/// Splits an inline request into words: quotes and escapes as in redis-cli. The line's end may be included.
pub fn split_inline(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let unbalanced = || error("unbalanced quotes in request");
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0B || byte == 0;
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        let Some(&first) = line.get(at) else { return Ok(words) };
        let mut word = Vec::new();
        let mut quote = None;
        let mut byte = first;
        loop {
            match (quote, byte) {
                (Some(b'"'), b'\\') => at += escape(&line[at..], &mut word).ok_or_else(unbalanced)?,
                (Some(b'\''), b'\\') if line.get(at + 1) == Some(&b'\'') => {
                    word.push(b'\'');
                    at += 2;
                }
                (Some(open), close) if open == close => {
                    at += 1;
                    // A closing quote must be followed by a space or nothing.
                    if line.get(at).is_some_and(|&next| !is_space(next)) {
                        return Err(unbalanced());
                    }
                    break;
                }
                (None, b'"' | b'\'') => {
                    quote = Some(byte);
                    at += 1;
                }
                (None, other) if is_space(other) => break,
                (_, other) => {
                    word.push(other);
                    at += 1;
                }
            }
            match line.get(at) {
                Some(&next) => byte = next,
                None if quote.is_some() => return Err(unbalanced()),
                None => break,
            }
        }
        words.push(word);
    }
}

/// Reads one escape of a double-quoted word; returns how many bytes it took.
fn escape(text: &[u8], word: &mut Vec<u8>) -> Option<usize> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let kind = *text.get(1)?;
    if kind == b'x' {
        if let (Some(high), Some(low)) = (hex(text.get(2)), hex(text.get(3))) {
            word.push((high * 16 + low) as u8);
            return Some(4);
        }
    }
    word.push(match kind {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Some(2)
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
