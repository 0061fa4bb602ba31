//! A pattern of keys or channels, as rules name them.
//!
//! Taken apart once, as [`crate::glob::Pattern`], which borrows its text and is made for the length of a command. Nearly all
//! are a prefix and a star.

use crate::glob;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<[u8]>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// A lone star.
    Everything,
    /// No byte that means anything but itself.
    Literal,
    /// A literal, which has so many bytes, and a star.
    Prefix(usize),
    Other,
}

impl Pattern {
    /// Takes a pattern apart.
    pub fn new(source: &[u8]) -> Pattern {
        let is_literal = |bytes: &[u8]| !bytes.iter().any(|byte| b"*?[\\".contains(byte));
        let form = match source {
            b"*" => Form::Everything,
            [literal @ .., b'*'] if is_literal(literal) => Form::Prefix(literal.len()),
            literal if is_literal(literal) => Form::Literal,
            _ => Form::Other,
        };
        Pattern { source: source.into(), form }
    }

    /// The pattern as it was given.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The bytes that every text begins with which matches, as far as they are certain.
    pub(super) fn beginning(&self) -> &[u8] {
        let special = self.source.iter().position(|byte| b"*?[\\".contains(byte));
        &self.source[..special.unwrap_or(self.source.len())]
    }

    /// Whether every text matches, whatever it is; but for the empty one, which no star matches in Redis either.
    pub fn is_everything(&self) -> bool {
        self.form == Form::Everything
    }

    /// Whether a text matches whose first bytes, up to so many, are known to be those that the pattern begins with; a text that
    /// is shorter has zeros in their place.
    #[inline]
    pub(super) fn matches_from(&self, text: &[u8], known: usize) -> bool {
        match self.form {
            Form::Prefix(length) if length <= known => text.len() >= length,
            _ => self.matches(text),
        }
    }

    /// Whether a text matches.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self.form {
            Form::Everything => !text.is_empty(),
            Form::Prefix(length) => text.len() >= length && text[..length] == self.source[..length],
            Form::Literal => *text == *self.source,
            Form::Other => glob::matches(&self.source, text),
        }
    }
}
