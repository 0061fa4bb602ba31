//! The patterns of SORT: keys made from an element, whose values are what is sorted by or given back.
//!
//! `#` is the element itself; `w_*` is the string under the key that has the element in the place of the star; `h_*->f`
//! is the field `f` of such a hash. A pattern without a star names nothing.

use crate::entry::Entry;
use crate::families::timed_access;
use crate::handler::context::Context;
use crate::slot::{hash_tag, slot_of};
use sherd_types::hash::Hash;

/// See the [module](self).
pub(super) enum Pattern<'a> {
    Element,
    Value { before: &'a [u8], after: &'a [u8], field: Option<&'a [u8]> },
    Nothing,
}

impl<'a> Pattern<'a> {
    /// Reads a pattern.
    pub(super) fn new(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else { return Pattern::Nothing };
        let (before, rest) = (&text[..star], &text[star + 1..]);
        // An arrow at the very end is a part of the key.
        let arrow = rest.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < rest.len());
        match arrow {
            Some(at) => Pattern::Value { before, after: &rest[..at], field: Some(&rest[at + 2..]) },
            None => Pattern::Value { before, after: rest, field: None },
        }
    }

    /// What the pattern names for an element.
    pub(super) fn look_up(&self, context: &mut Context<'_>, element: &[u8]) -> Option<Vec<u8>> {
        match *self {
            Pattern::Element => Some(element.to_vec()),
            Pattern::Nothing => None,
            Pattern::Value { before, after, field } => {
                let name = [before, element, after].concat();
                let key = context.key_of(&name);
                match field {
                    None => context.get(&key).and_then(Entry::text).map(|text| text.to_vec()),
                    Some(field) => {
                        let now = timed_access::now(context);
                        let hash = timed_access::read::<Hash>(context, &key, std::iter::once(&field)).ok()?;
                        timed_access::living(hash, field, now)?.get(field).map(|value| value.to_vec())
                    }
                }
            }
        }
    }
}

/// Whether a pattern names keys at all.
pub(super) fn names_keys(text: &[u8]) -> bool {
    text != b"#" && text.contains(&b'*')
}

/// Whether all keys of a pattern lie in a slot: when they share a tag that the star is not a part of.
pub(super) fn is_in_slot(text: &[u8], slot: u16) -> bool {
    match text.iter().position(|&byte| byte == b'*') {
        None => slot_of(text) == slot,
        Some(star) => {
            let tag = hash_tag(text);
            let tag_end = tag.as_ptr() as usize - text.as_ptr() as usize + tag.len();
            tag.len() < text.len() && tag_end <= star && slot_of(text) == slot
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_split_at_the_first_star_and_the_arrow_behind_it() {
        let parts = |text: &'static str| match Pattern::new(text.as_bytes()) {
            Pattern::Element => "element".to_owned(),
            Pattern::Nothing => "nothing".to_owned(),
            Pattern::Value { before, after, field } => format!(
                "{}|{}|{}",
                String::from_utf8_lossy(before),
                String::from_utf8_lossy(after),
                field.map_or("none".into(), String::from_utf8_lossy)
            ),
        };
        for (text, expected) in [
            ("#", "element"),
            ("nosort", "nothing"),
            ("w_*", "w_||none"),
            ("w_*_x", "w_|_x|none"),
            ("h_*->f", "h_||f"),
            ("h_*_x->f->g", "h_|_x|f->g"),
            ("h_*->", "h_|->|none"),
            ("a->b*", "a->b||none"),
            ("**", "|*|none"),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_tag_without_a_star_keeps_a_pattern_in_its_slot() {
        let slot = slot_of(b"{user}x");
        assert!(is_in_slot(b"{user}w_*", slot));
        assert!(is_in_slot(b"a{user}w_*->f", slot));
        assert!(is_in_slot(b"{user}", slot));
        assert!(!is_in_slot(b"w_*", slot));
        assert!(!is_in_slot(b"*{user}", slot));
        assert!(!is_in_slot(b"{us*er}", slot));
        assert!(!is_in_slot(b"{other}w_*", slot));
    }
}
