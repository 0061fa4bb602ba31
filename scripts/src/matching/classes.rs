//! Classes of bytes, `%a` to `%z`, in the C locale: whatever Python has set for the process, a script means the same.

const LETTER: u16 = 1 << 0;
const CONTROL: u16 = 1 << 1;
const DIGIT: u16 = 1 << 2;
const LOWER: u16 = 1 << 3;
const PUNCTUATION: u16 = 1 << 4;
const SPACE: u16 = 1 << 5;
const UPPER: u16 = 1 << 6;
const ALPHANUMERIC: u16 = 1 << 7;
const HEXADECIMAL: u16 = 1 << 8;
const ZERO: u16 = 1 << 9;
/// What makes a pattern of a text.
const SPECIAL: u16 = 1 << 10;

const fn classes_of(byte: u8) -> u16 {
    let mut classes = 0;
    let answers = [
        (byte.is_ascii_alphabetic(), LETTER),
        (byte.is_ascii_control(), CONTROL),
        (byte.is_ascii_digit(), DIGIT),
        (byte.is_ascii_lowercase(), LOWER),
        (byte.is_ascii_punctuation(), PUNCTUATION),
        (matches!(byte, b' ' | 9..=13), SPACE),
        (byte.is_ascii_uppercase(), UPPER),
        (byte.is_ascii_alphanumeric(), ALPHANUMERIC),
        (byte.is_ascii_hexdigit(), HEXADECIMAL),
        (byte == 0, ZERO),
        (matches!(byte, b'^' | b'$' | b'*' | b'+' | b'?' | b'.' | b'(' | b'[' | b'%' | b'-'), SPECIAL),
    ];
    let mut number = 0;
    while number < answers.len() {
        if answers[number].0 {
            classes |= answers[number].1;
        }
        number += 1;
    }
    classes
}

/// The classes that a letter after `%` names; 0 if it names none.
const fn named_by(letter: u8) -> u16 {
    match letter.to_ascii_lowercase() {
        b'a' => LETTER,
        b'c' => CONTROL,
        b'd' => DIGIT,
        b'l' => LOWER,
        b'p' => PUNCTUATION,
        b's' => SPACE,
        b'u' => UPPER,
        b'w' => ALPHANUMERIC,
        b'x' => HEXADECIMAL,
        b'z' => ZERO,
        _ => 0,
    }
}

struct Tables {
    classes: [u16; 256],
    named: [u16; 256],
}

static TABLES: Tables = {
    let mut tables = Tables { classes: [0; 256], named: [0; 256] };
    let mut byte = 0;
    while byte < 256 {
        tables.classes[byte] = classes_of(byte as u8);
        tables.named[byte] = named_by(byte as u8);
        byte += 1;
    }
    tables
};

/// Whether a byte is in the class that a letter names after `%`; what names none stands for itself.
#[inline(always)]
pub fn is_in(byte: u8, letter: u8) -> bool {
    match TABLES.named[usize::from(letter)] {
        0 => byte == letter,
        class => (TABLES.classes[usize::from(byte)] & class != 0) == letter.is_ascii_lowercase(),
    }
}

/// Whether a text is a pattern rather than something to be looked for as it is. As in C, a zero byte ends it.
pub fn is_pattern(text: &[u8]) -> bool {
    text.iter().take_while(|&&byte| byte != 0).any(|&byte| TABLES.classes[usize::from(byte)] & SPECIAL != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_c_locale() {
        let members = |letter| (0..=255u8).filter(move |&byte| is_in(byte, letter));
        for (letter, count) in [
            (b'a', 52),
            (b'c', 33),
            (b'd', 10),
            (b'l', 26),
            (b'p', 32),
            (b's', 6),
            (b'u', 26),
            (b'w', 62),
            (b'x', 22),
            (b'z', 1),
        ] {
            assert_eq!(members(letter).count(), count, "%{}", letter as char);
            assert_eq!(members(letter.to_ascii_uppercase()).count(), 256 - count);
        }
        assert_eq!(members(b'%').collect::<Vec<u8>>(), b"%");
        assert!(is_in(11, b's') && !is_in(0xE9, b'a'));
    }

    #[test]
    fn a_zero_byte_ends_the_search_for_what_is_special() {
        assert!(is_pattern(b"a.") && is_pattern(b"-") && !is_pattern(b"a)b]") && !is_pattern(b"a\0."));
    }
}
