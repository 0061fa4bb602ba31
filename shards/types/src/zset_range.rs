//! Bounds of ranges over sorted sets: `(1.5`, `-inf` for scores, `[a`, `(a`, `-`, `+` for members, and what they contain.
//!
//! A range is turned into two places of the order, one before its first element and one after its last; a set then answers
//! with the ranks between them. Bounds in the wrong order give places in the wrong order, that is an empty range, without
//! a special case.

use super::zset_tree::Bound;

/// One end of a range by score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    pub score: f64,
    pub exclusive: bool,
}

/// A range by score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    pub min: ScoreBound,
    pub max: ScoreBound,
}

/// One end of a range by member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Lowest,
    /// `+`: after every member.
    Highest,
    Inclusive(&'a [u8]),
    Exclusive(&'a [u8]),
}

/// A range by member, meaningful where all scores are equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LexRange<'a> {
    pub min: LexBound<'a>,
    pub max: LexBound<'a>,
}

impl ScoreBound {
    /// Reads `1.5`, `(1.5`, `-inf`. Looser than a score to store: nothing means 0, and what is too large is infinite.
    pub fn parse(text: &[u8]) -> Option<ScoreBound> {
        let (exclusive, digits) = match text {
            [b'(', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let score = match digits {
            [] => 0.0,
            _ => std::str::from_utf8(digits).ok()?.parse::<f64>().ok()?,
        };
        (!score.is_nan()).then_some(ScoreBound { score, exclusive })
    }
}

impl ScoreRange {
    pub fn parse(min: &[u8], max: &[u8]) -> Option<ScoreRange> {
        Some(ScoreRange { min: ScoreBound::parse(min)?, max: ScoreBound::parse(max)? })
    }

    /// The place before the first element that is not below the range.
    pub fn start(&self) -> Bound<'static> {
        Bound::Score { score: self.min.score, after_ties: self.min.exclusive }
    }

    /// The place after the last element that is not above the range.
    pub fn end(&self) -> Bound<'static> {
        Bound::Score { score: self.max.score, after_ties: !self.max.exclusive }
    }

    pub fn is_below(&self, score: f64) -> bool {
        score < self.min.score || (self.min.exclusive && score == self.min.score)
    }

    pub fn is_above(&self, score: f64) -> bool {
        score > self.max.score || (self.max.exclusive && score == self.max.score)
    }
}

impl<'a> LexBound<'a> {
    /// Reads `-`, `+`, `[member` or `(member`.
    pub fn parse(text: &'a [u8]) -> Option<LexBound<'a>> {
        match text {
            b"-" => Some(LexBound::Lowest),
            b"+" => Some(LexBound::Highest),
            [b'[', member @ ..] => Some(LexBound::Inclusive(member)),
            [b'(', member @ ..] => Some(LexBound::Exclusive(member)),
            _ => None,
        }
    }
}

impl<'a> LexRange<'a> {
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        Some(LexRange { min: LexBound::parse(min)?, max: LexBound::parse(max)? })
    }

    pub fn start(&self) -> Bound<'a> {
        match self.min {
            LexBound::Lowest => Bound::Lowest,
            LexBound::Highest => Bound::Highest,
            LexBound::Inclusive(member) => Bound::Member { member, after_ties: false },
            LexBound::Exclusive(member) => Bound::Member { member, after_ties: true },
        }
    }

    pub fn end(&self) -> Bound<'a> {
        match self.max {
            LexBound::Lowest => Bound::Lowest,
            LexBound::Highest => Bound::Highest,
            LexBound::Inclusive(member) => Bound::Member { member, after_ties: true },
            LexBound::Exclusive(member) => Bound::Member { member, after_ties: false },
        }
    }

    pub fn is_below(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(min) => member < min,
            LexBound::Exclusive(min) => member <= min,
        }
    }

    pub fn is_above(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Inclusive(max) => member > max,
            LexBound::Exclusive(max) => member >= max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(score: f64, exclusive: bool) -> Option<ScoreBound> {
        Some(ScoreBound { score, exclusive })
    }

    #[test]
    fn score_bounds_read_every_spelling_that_clients_use() {
        for (text, expected) in [
            ("1.5", bound(1.5, false)),
            ("(1.5", bound(1.5, true)),
            ("-inf", bound(f64::NEG_INFINITY, false)),
            ("+inf", bound(f64::INFINITY, false)),
            ("(inf", bound(f64::INFINITY, true)),
            ("INFINITY", bound(f64::INFINITY, false)),
            ("", bound(0.0, false)),
            ("(", bound(0.0, true)),
            ("1e400", bound(f64::INFINITY, false)),
            ("-1e400", bound(f64::NEG_INFINITY, false)),
            ("1e-400", bound(0.0, false)),
            ("1.", bound(1.0, false)),
            (".5", bound(0.5, false)),
            ("(+5", bound(5.0, true)),
        ] {
            assert_eq!(ScoreBound::parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn score_bounds_that_are_no_numbers_are_refused() {
        for text in [" 1", "1 ", "( 1", "((1", "nan", "(nan", "0x10", "-", "1e", "inff", "abc", ".", "\u{ff11}"] {
            assert_eq!(ScoreBound::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(ScoreBound::parse(b"\xff"), None);
    }

    #[test]
    fn lex_bounds_need_a_bracket_or_a_lone_sign() {
        assert_eq!(LexBound::parse(b"-"), Some(LexBound::Lowest));
        assert_eq!(LexBound::parse(b"+"), Some(LexBound::Highest));
        assert_eq!(LexBound::parse(b"[a"), Some(LexBound::Inclusive(b"a")));
        assert_eq!(LexBound::parse(b"(\xff\0"), Some(LexBound::Exclusive(b"\xff\0")));
        assert_eq!(LexBound::parse(b"["), Some(LexBound::Inclusive(b"")));
        for text in ["", "a", "-a", "+a", "--", "a[", " [a"] {
            assert_eq!(LexBound::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn exclusive_bounds_leave_out_their_own_score_and_member() {
        let scores = ScoreRange::parse(b"(1", b"(3").unwrap();
        let inside = |score: f64| !scores.is_below(score) && !scores.is_above(score);
        assert_eq!([1.0, 2.0, 3.0].map(inside), [false, true, false]);
        let members = LexRange::parse(b"(a", b"[c").unwrap();
        let inside = |member: &str| !members.is_below(member.as_bytes()) && !members.is_above(member.as_bytes());
        assert_eq!(["a", "aa", "c", "ca"].map(inside), [false, true, true, false]);
        let everything = LexRange::parse(b"-", b"+").unwrap();
        assert!(!everything.is_below(b"") && !everything.is_above(b"\xff"));
        let nothing = LexRange::parse(b"+", b"-").unwrap();
        assert!(nothing.is_below(b"\xff") && nothing.is_above(b""));
    }
}
