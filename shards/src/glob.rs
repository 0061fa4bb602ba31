//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^x]`, `\x`.
//!
//! A pattern that many texts are compared with is taken apart once ([`Pattern`]): nearly all have literal ends, which are
//! compared as bytes, and little or nothing in between that has to be interpreted.

use std::borrow::Cow;

/// A pattern, ready for many texts.
pub struct Pattern<'p> {
    source: &'p [u8],
    prefix: Cow<'p, [u8]>,
    middle: Middle<'p>,
    suffix: Cow<'p, [u8]>,
}

/// What is between the literal ends.
enum Middle<'p> {
    /// Nothing: the pattern is literal, and all of it is the prefix.
    Nothing,
    Star,
    /// A literal between two stars.
    Contains(&'p [u8]),
    Other(&'p [u8]),
}

impl<'p> Pattern<'p> {
    /// Takes a pattern apart. A lone star matches everything, the empty text too.
    pub fn new(pattern: &'p [u8]) -> Pattern<'p> {
        let mut first_special = None;
        let mut literal_from = 0;
        let mut at = 0;
        while at < pattern.len() {
            let (is_special, next) = element(pattern, at);
            if is_special {
                first_special = first_special.or(Some(at));
                literal_from = next;
            }
            at = next;
        }
        let Some(special_from) = first_special else {
            let (prefix, suffix) = (unescape(pattern), Cow::Borrowed(&[][..]));
            return Pattern { source: pattern, prefix, middle: Middle::Nothing, suffix };
        };
        let middle = match &pattern[special_from..literal_from] {
            b"*" => Middle::Star,
            [b'*', literal @ .., b'*'] if !literal.iter().any(|byte| b"*?[\\".contains(byte)) => {
                if literal.is_empty() {
                    Middle::Star
                } else {
                    Middle::Contains(literal)
                }
            }
            other => Middle::Other(other),
        };
        let (prefix, suffix) = (unescape(&pattern[..special_from]), unescape(&pattern[literal_from..]));
        Pattern { source: pattern, prefix, middle, suffix }
    }

    /// The pattern as it was given.
    pub fn source(&self) -> &'p [u8] {
        self.source
    }

    /// Whether a text matches; as [`matches`] says but for the lone star.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        // The first byte rules most texts out, without a call.
        if self.prefix.first().is_some_and(|first| text.first() != Some(first)) {
            return false;
        }
        if text.is_empty() {
            return self.source.is_empty() || self.source == b"*";
        }
        let (prefix, suffix) = (&*self.prefix, &*self.suffix);
        let Some(end) = text.len().checked_sub(suffix.len()).filter(|&end| end >= prefix.len()) else { return false };
        if !same(&text[..prefix.len()], prefix) || !same(&text[end..], suffix) {
            return false;
        }
        let rest = &text[prefix.len()..end];
        match self.middle {
            Middle::Nothing => rest.is_empty(),
            Middle::Star => true,
            Middle::Contains(literal) => contains(rest, literal),
            Middle::Other(pattern) => matches_rest(pattern, rest, false),
        }
    }
}

/// Whether texts of the same length are equal. Literals are short: up to 16 bytes are compared without a call.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let words = |bytes: &[u8]| (bytes.first_chunk::<8>().copied(), bytes.last_chunk::<8>().copied());
    match a.len() {
        0..8 => a.iter().zip(b).all(|(a, b)| a == b),
        8..=16 => words(a) == words(b),
        _ => a == b,
    }
}

/// Whether the element of a pattern at `at` is more than a byte that stands for itself, and where the next one begins.
fn element(pattern: &[u8], at: usize) -> (bool, usize) {
    match pattern[at] {
        b'*' | b'?' => (true, at + 1),
        b'[' => (true, match_class(pattern, at + 1, 0, false).1),
        b'\\' if at + 1 < pattern.len() => (false, at + 2),
        _ => (false, at + 1),
    }
}

/// The bytes that a literal part of a pattern stands for.
fn unescape(literal: &[u8]) -> Cow<'_, [u8]> {
    if !literal.contains(&b'\\') {
        return Cow::Borrowed(literal);
    }
    let mut bytes = Vec::with_capacity(literal.len());
    let mut at = 0;
    while at < literal.len() {
        let next = element(literal, at).1;
        bytes.push(literal[next - 1]);
        at = next;
    }
    Cow::Owned(bytes)
}

fn contains(text: &[u8], literal: &[u8]) -> bool {
    text.windows(literal.len()).any(|part| part[0] == literal[0] && part == literal)
}

/// Whether `text` matches `pattern`. Time is bounded by the product of the lengths, whatever the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, false)
}

/// The same, with ASCII letters of either case alike.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, true)
}

/// Greedy matching with one point to go back to, the last star: a star never needs to be tried again once a later star
/// was reached, so there is no exponential case.
fn matches_with(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    // Redis finds the empty text in no pattern but the empty one; commands treat a lone star, which finds everything,
    // before they come here.
    if text.is_empty() {
        return pattern.is_empty();
    }
    matches_rest(pattern, text, fold)
}

/// The same where the empty text is one like any other.
fn matches_rest(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if p < pattern.len() {
            let (hit, next) = match_one(pattern, p, text[t], fold);
            if hit {
                p = next;
                t += 1;
                continue;
            }
        }
        match retry {
            Some((after_star, from)) => {
                retry = Some((after_star, from + 1));
                p = after_star;
                t = from + 1;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Matches one byte against the pattern element at `p`; returns whether it matched and where the next element begins.
fn match_one(pattern: &[u8], p: usize, byte: u8, fold: bool) -> (bool, usize) {
    let same = |a: u8, b: u8| a == b || fold && a.eq_ignore_ascii_case(&b);
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => match_class(pattern, p + 1, byte, fold),
        b'\\' if p + 1 < pattern.len() => (same(pattern[p + 1], byte), p + 2),
        other => (same(other, byte), p + 1),
    }
}

fn match_class(pattern: &[u8], mut p: usize, byte: u8, fold: bool) -> (bool, usize) {
    let lower = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let negated = pattern.get(p) == Some(&b'^');
    if negated {
        p += 1;
    }
    let byte = lower(byte);
    let mut hit = false;
    loop {
        match pattern.get(p) {
            // An unclosed class ends with the pattern, as in Redis.
            None => break,
            Some(b']') => {
                p += 1;
                break;
            }
            Some(b'\\') if p + 1 < pattern.len() => {
                p += 1;
                hit |= lower(pattern[p]) == byte;
                p += 1;
            }
            Some(&first) => {
                if p + 2 < pattern.len() && pattern[p + 1] == b'-' {
                    let (a, b) = (lower(first), lower(pattern[p + 2]));
                    hit |= (a.min(b)..=a.max(b)).contains(&byte);
                    p += 3;
                } else {
                    hit |= lower(first) == byte;
                    p += 1;
                }
            }
        }
    }
    (hit != negated, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", false),
            ("**", "", false),
            ("a**", "a", true),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("abc", "abcd", false),
            ("[abc", "a", true),
            ("a[", "a[", false),
            ("\\", "\\", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        assert!(matches_ignoring_case(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn a_pattern_taken_apart_matches_the_same_texts() {
        // Every pattern and every text of up to so many of these bytes.
        let all = |bytes: &[u8], length_max: usize| {
            let mut found: Vec<Vec<u8>> = vec![Vec::new()];
            let mut last = found.clone();
            for _ in 0..length_max {
                last = last.iter().flat_map(|text| bytes.iter().map(|&byte| [text, &[byte][..]].concat())).collect();
                found.extend(last.iter().cloned());
            }
            found
        };
        let texts = all(b"ab*\\", if cfg!(miri) { 2 } else { 4 });
        for pattern in all(b"ab*?[]\\", if cfg!(miri) { 2 } else { 5 }) {
            let compiled = Pattern::new(&pattern);
            for text in &texts {
                let expected = matches(&pattern, text) || pattern == b"*";
                assert_eq!(compiled.matches(text), expected, "{} {}", pattern.escape_ascii(), text.escape_ascii());
            }
        }
    }

    #[test]
    fn literal_ends_do_not_overlap() {
        for (pattern, text, expected) in [
            ("key:*:end", "key:end", false),
            ("key:*:end", "key::end", true),
            ("ab*ba", "aba", false),
            ("*mid*", "xmidx", true),
            ("*mid*", "mi", false),
            ("a*mid*z", "amidz", true),
            ("a?z", "az", false),
            ("[ab]*c]", "bc]", true),
            ("a\\*", "a*", true),
        ] {
            assert_eq!(Pattern::new(pattern.as_bytes()).matches(text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(60);
        assert!(!matches(&pattern, &[b'a'; 50_000][..49_999].iter().copied().chain([b'b']).collect::<Vec<_>>()[..30]));
    }
}
