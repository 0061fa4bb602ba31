//! The patterns of keys of one set of rights, ready for the question that each command asks: may this be done to that key?
//!
//! Most users have several patterns, of which a key matches one, and most patterns begin with bytes that mean themselves: so a
//! key is looked at in full only by those patterns that begin as it does. Its first eight bytes are one word, and each pattern
//! has a word and a mask of as many of its own first bytes; ten of them are compared in the time of one comparison of bytes.
//! Keys that follow each other mostly match the same pattern, so the one that has allowed a key is asked first about the next.
//!
//! Rejected: patterns by their first byte, which users share who name their keys after themselves; and a tree of prefixes,
//! which is slower up to some hundred patterns.

use crate::declaration::uses::Uses;

use super::pattern::Pattern;

/// Keys that match a pattern, and what may be done to them.
#[derive(Clone, Debug)]
pub struct KeyPattern {
    pub pattern: Pattern,
    pub uses: Uses,
}

/// The first bytes of the keys that a pattern matches, as far as they are certain.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    word: u64,
    mask: u64,
}

const WORD: usize = size_of::<u64>();

/// The first eight bytes as a word; what is not there is 0.
#[inline]
fn first_word(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk::<WORD>() {
        return u64::from_le_bytes(*first);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // Where the two overlap they have the same bytes.
        let shift = 8 * (bytes.len() - 4);
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

impl Beginning {
    fn of(pattern: &Pattern) -> Beginning {
        let literal = pattern.beginning();
        let bits = 8 * literal.len().min(WORD) as u32;
        // What a mask leaves out of a word of eight bytes is nothing, and such a shift is none.
        let mask = u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0);
        Beginning { word: first_word(literal) & mask, mask }
    }

    #[inline]
    fn may_match(self, word: u64) -> bool {
        (word ^ self.word) & self.mask == 0
    }
}

/// See the [module](self).
#[derive(Clone, Default, Debug)]
pub struct KeyPatterns {
    beginnings: Vec<Beginning>,
    /// In the same order.
    patterns: Vec<KeyPattern>,
}

impl FromIterator<KeyPattern> for KeyPatterns {
    fn from_iter<I: IntoIterator<Item = KeyPattern>>(patterns: I) -> KeyPatterns {
        let patterns: Vec<KeyPattern> = patterns.into_iter().collect();
        KeyPatterns { beginnings: patterns.iter().map(|one| Beginning::of(&one.pattern)).collect(), patterns }
    }
}

impl KeyPatterns {
    /// Whether so much may be done to a key.
    #[inline]
    pub fn allow(&self, key: &[u8], uses: Uses) -> bool {
        self.find(first_word(key), key, uses).is_some()
    }

    /// The same where `likely`, which may be any number, is the place of the pattern that has allowed a key before; it becomes
    /// that of the one which allows this key.
    #[inline]
    pub fn allow_likely(&self, key: &[u8], uses: Uses, likely: &mut usize) -> bool {
        let word = first_word(key);
        if let (Some(beginning), Some(one)) = (self.beginnings.get(*likely), self.patterns.get(*likely)) {
            if beginning.may_match(word) && one.allows(key, uses) {
                return true;
            }
        }
        let found = self.find(word, key, uses);
        *likely = found.unwrap_or(*likely);
        found.is_some()
    }

    /// The place of a pattern that allows so much to be done to a key with this first word.
    #[inline(never)]
    fn find(&self, word: u64, key: &[u8], uses: Uses) -> Option<usize> {
        let mut from = 0;
        while let Some(further) = self.beginnings[from..].iter().position(|beginning| beginning.may_match(word)) {
            let at = from + further;
            if self.patterns[at].allows(key, uses) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// Whether every key may be read.
    pub fn read_everything(&self) -> bool {
        self.patterns.iter().any(|one| one.uses.allow(Uses::READ) && one.pattern.is_everything())
    }
}

impl KeyPattern {
    /// Whether a key that begins as the pattern does matches it, and so much may be done to it.
    #[inline]
    fn allows(&self, key: &[u8], uses: Uses) -> bool {
        self.uses.allow(uses) && self.pattern.matches_from(key, WORD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_allowed_by_the_patterns_that_match_it() {
        let words = [
            "",
            "*",
            "a",
            "ab",
            "a*",
            "ab*",
            "abcdefgh",
            "abcdefgh*",
            "abcdefghi*",
            "abcdefghij",
            "abcdefg?",
            "abcdef[gh]h*",
            "\\*a*",
            "a\0",
            "a\0*",
            "?",
            "[a-c]b*",
            "user:*:name",
            "user:1:*",
            "abcdefgh*i",
            "**",
        ];
        let keys = [
            "",
            "a",
            "ab",
            "abc",
            "a\0",
            "a\0b",
            "abcdefg",
            "abcdefgh",
            "abcdefghi",
            "abcdefghij",
            "abcdefghx",
            "*a",
            "*ab",
            "bb",
            "user:1:name",
            "user:2:name",
            "user:1:x",
            "user:",
            "\0",
            "ABCDEFGH",
        ];
        for one in words {
            for other in words {
                let pattern = |text: &str, uses| KeyPattern { pattern: Pattern::new(text.as_bytes()), uses };
                let all: KeyPatterns = [pattern(one, Uses::READ), pattern(other, Uses::BOTH)].into_iter().collect();
                let mut likely = usize::MAX;
                for key in keys {
                    let matches = |text: &str| crate::glob::matches(text.as_bytes(), key.as_bytes());
                    assert_eq!(all.allow(key.as_bytes(), Uses::WRITE), matches(other), "{other} {key}");
                    let allowed = all.allow_likely(key.as_bytes(), Uses::WRITE, &mut likely);
                    assert_eq!(allowed, matches(other), "{other} {key}, likely {likely}");
                    assert_eq!(
                        all.allow(key.as_bytes(), Uses::READ),
                        matches(one) || matches(other),
                        "{one} {other} {key}"
                    );
                    let allowed = all.allow_likely(key.as_bytes(), Uses::READ, &mut likely);
                    assert_eq!(allowed, matches(one) || matches(other), "{one} {other} {key}, likely {likely}");
                }
            }
        }
        assert!(!KeyPatterns::default().allow(b"a", Uses::NONE));
    }
}
