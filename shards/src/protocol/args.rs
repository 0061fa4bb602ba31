//! Reading arguments, with Redis' errors.

use crate::protocol::error::{
    CommandError, INVALID_CURSOR, NOT_FLOAT, NOT_INTEGER, NOT_NEGATABLE, NOT_POSITIVE, SYNTAX,
};
use sherd_types::number;

/// A 64-bit integer.
#[inline]
pub fn integer(text: &[u8]) -> Result<i64, CommandError> {
    number::parse_i64(text).ok_or(NOT_INTEGER)
}

/// A 64-bit integer, with an error of the command's own.
#[inline]
pub fn integer_or(text: &[u8], error: CommandError) -> Result<i64, CommandError> {
    number::parse_i64(text).ok_or(error)
}

/// A cursor of SCAN and its kin: a number in the strict form, or what C's `strtoull` makes of it. That one skips blanks, takes
/// either sign, and counts back from the top for a minus; in the strict form a negative number is refused all the same.
pub fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    if let Some(number) = number::parse_i64(text) {
        return u64::try_from(number).map_err(|_| INVALID_CURSOR);
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (digits, negative) = match &text[blanks..] {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] | digits => (digits, false),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(INVALID_CURSOR);
    }
    let number =
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok()).ok_or(INVALID_CURSOR)?;
    Ok(if negative { number.wrapping_neg() } else { number })
}

/// An integer of at least 0 (Redis: `value is out of range, must be positive`).
pub fn non_negative(text: &[u8]) -> Result<usize, CommandError> {
    match number::parse_i64(text) {
        Some(value) if value >= 0 => Ok(value as usize),
        _ => Err(NOT_POSITIVE),
    }
}

/// A 64-bit integer whose absolute value is one as well, so that it can be negated.
pub fn negatable(text: &[u8]) -> Result<i64, CommandError> {
    match integer(text)? {
        i64::MIN => Err(NOT_NEGATABLE),
        value => Ok(value),
    }
}

/// A double; infinities are fine, NaN is not.
#[inline]
pub fn float(text: &[u8]) -> Result<f64, CommandError> {
    number::parse_f64(text).ok_or(NOT_FLOAT)
}

/// Whether an argument is this word, in either case.
#[inline]
pub fn is(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

/// A walk over optional arguments.
pub struct Options<'a> {
    args: &'a [&'a [u8]],
    at: usize,
}

impl<'a> Options<'a> {
    /// From argument `first` on.
    pub fn new(args: &'a [&'a [u8]], first: usize) -> Self {
        Options { args, at: first }
    }

    /// Whether arguments are left.
    pub fn more(&self) -> bool {
        self.at < self.args.len()
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.args.len() - self.at
    }

    /// The next argument without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.args.get(self.at).copied()
    }

    /// The number of the next argument.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Takes the next argument if it is this word.
    pub fn take(&mut self, word: &str) -> bool {
        let hit = self.peek().is_some_and(|arg| is(arg, word));
        self.at += usize::from(hit);
        hit
    }

    /// Takes the next argument if it is this word and a value follows, and returns the value.
    pub fn take_value(&mut self, word: &str) -> Option<&'a [u8]> {
        if self.left() >= 2 && is(self.args[self.at], word) {
            self.at += 2;
            return Some(self.args[self.at - 1]);
        }
        None
    }

    /// Takes the next argument, or a syntax error.
    pub fn value(&mut self) -> Result<&'a [u8], CommandError> {
        let value = self.peek().ok_or(SYNTAX)?;
        self.at += 1;
        Ok(value)
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'a [&'a [u8]] {
        let rest = &self.args[self.at..];
        self.at = self.args.len();
        rest
    }
}

/// Splits a line into words, with quotes and escapes as in redis-cli; `None` where a quote is not closed. The line's end may be
/// included.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0B || byte == 0;
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        let Some(&first) = line.get(at) else { return Some(words) };
        let mut word = Vec::new();
        let mut quote = None;
        let mut byte = first;
        loop {
            match (quote, byte) {
                (Some(b'"'), b'\\') => at += escape(&line[at..], &mut word)?,
                (Some(b'\''), b'\\') if line.get(at + 1) == Some(&b'\'') => {
                    word.push(b'\'');
                    at += 2;
                }
                (Some(open), close) if open == close => {
                    at += 1;
                    // A closing quote must be followed by a space or nothing.
                    if line.get(at).is_some_and(|&next| !is_space(next)) {
                        return None;
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
                None if quote.is_some() => return None,
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
    fn a_cursor_is_read_as_by_strtoull_unless_it_is_a_negative_number_in_the_strict_form() {
        for (text, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("-0", Some(0)),
            ("+5", Some(5)),
            ("007", Some(7)),
            (" \t\x0b5", Some(5)),
            ("-18446744073709551615", Some(1)),
            ("-1", None),
            ("18446744073709551616", None),
            ("5 ", None),
            ("", None),
            (" ", None),
            ("-", None),
            ("+-5", None),
            ("+ 5", None),
            ("0x5", None),
        ] {
            assert_eq!(cursor(text.as_bytes()).ok(), expected, "{text:?}");
        }
    }
}
