//! Looking for a text as it is.

use crate::watch::Watch;

use super::matcher::Fault;

/// Places that are looked at at once, unless the text is longer: between two of these the search can be ended.
const PLACES_AT_ONCE: usize = 1 << 16;

/// Bytes of a subject that are looked at in one step: C's library compares a word at once.
const BYTES_A_STEP: usize = 16;

/// The first place of a text, which may be empty.
pub fn find(subject: &[u8], text: &[u8], watch: &mut Watch) -> Result<Option<usize>, Fault> {
    if text.is_empty() {
        return Ok(Some(0));
    }
    if subject.len() <= SHORT_BYTES_MAX {
        return Ok(if subject.len() < text.len() { None } else { find_in_short(subject, text) });
    }
    // No piece is shorter than the text, so what two of them have in common at most doubles the work.
    let places = PLACES_AT_ONCE.max(text.len());
    let mut start = 0;
    while subject.len() - start >= text.len() {
        let end = subject.len().min(start + places + text.len() - 1);
        if let Some(at) = find_in(&subject[start..end], text) {
            return if watch.count(at / BYTES_A_STEP) { Ok(Some(start + at)) } else { Err(Fault::Interrupted) };
        }
        if !watch.count((end - start) / BYTES_A_STEP) {
            return Err(Fault::Interrupted);
        }
        start = (start + places).min(subject.len());
    }
    Ok(None)
}

/// Bytes of a subject for which C's library is not asked: it makes a table first.
const SHORT_BYTES_MAX: usize = 256;

fn find_in_short(subject: &[u8], text: &[u8]) -> Option<usize> {
    let first = text[0];
    let places = &subject[..subject.len() - text.len() + 1];
    let is_place = |&(at, &byte): &(usize, &u8)| byte == first && subject[at..].starts_with(text);
    places.iter().enumerate().find(is_place).map(|(at, _)| at)
}

/// By C's library, whose time grows with the sum of the lengths, or with a short text's length at the most.
fn find_in(subject: &[u8], text: &[u8]) -> Option<usize> {
    // SAFETY: both are whole slices.
    let found =
        unsafe { libc::memmem(subject.as_ptr().cast(), subject.len(), text.as_ptr().cast(), text.len()) } as *const u8;
    // SAFETY: what is found is in the subject.
    (!found.is_null()).then(|| unsafe { found.offset_from(subject.as_ptr()) } as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(subject: &[u8], text: &[u8]) -> Option<usize> {
        find(subject, text, &mut Watch::new()).expect("nothing interrupts it")
    }

    #[test]
    fn a_text_is_found_wherever_it_is() {
        assert_eq!(place(b"", b""), Some(0));
        assert_eq!(place(b"abc", b""), Some(0));
        assert_eq!(place(b"", b"a"), None);
        assert_eq!(place(b"abcbc", b"bc"), Some(1));
        assert_eq!(place(b"a\0b", b"\0b"), Some(1));
        assert_eq!(place(b"ab", b"abc"), None);
        assert_eq!(place(b"aab", b"ab"), Some(1));
        assert_eq!(place(b"abab", b"abc"), None);
    }

    #[test]
    fn a_text_is_found_across_the_pieces_of_a_search() {
        for at in [PLACES_AT_ONCE - 1, PLACES_AT_ONCE, PLACES_AT_ONCE + 1, 2 * PLACES_AT_ONCE - 2] {
            for text in [&b"b"[..], b"bcd", &[b'c'; 100_000]] {
                let mut subject = vec![b'a'; at];
                subject.extend_from_slice(text);
                assert_eq!(place(&subject, text), Some(at));
                subject.pop();
                assert_eq!(place(&subject, text), None);
            }
        }
    }
}
