//! Matching a subject against a pattern from a place on, by backtracking as Lua 5.1 does it.
//!
//! Lua's own matcher calls itself for what can be tried in more than one way. Here such choices are on a stack in memory, so
//! that no pattern overflows the thread's stack, and the loop that tries them counts steps. A pattern has as many choices as items,
//! so the stack is bounded by its length; [`CHOICES_MAX`] bounds it where that is too much.
//!
//! As in C, a zero byte ends a pattern, and stands after the subject's last byte.

use super::classes::is_in;
use crate::watch::Watch;

const CAPTURES_MAX: usize = 32;
/// Choices that a match keeps: Lua's own matcher overflows the thread's stack at about half of that.
const CHOICES_MAX: usize = 100_000;
/// Choices for which there is room from one script to the next.
const CHOICES_KEPT: usize = 1000;
/// Steps that are taken at once: what is between two of them is not interrupted.
const STEPS_AT_ONCE: usize = 1 << 16;
/// Bytes of a set, `[...]`, that are looked at in one step.
const SET_BYTES_A_STEP: usize = 16;

const END: u8 = 0;
const ESCAPE: u8 = b'%';

/// What a pair of brackets has matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capture {
    /// It begins there and is not closed.
    Open(usize),
    /// From a place to another one.
    Closed(usize, usize),
    /// `()`: the place itself.
    Position(usize),
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The text of an error.
    Error(&'static str),
    /// What runs is to end.
    Interrupted,
}

/// What can be tried when the rest of the pattern does not match, or has to be taken back then. Places in the pattern are those
/// where it goes on.
#[derive(Clone, Copy)]
enum Choice {
    /// An item with `?`: without it.
    Without { at: usize, rest: usize },
    /// An item with `*` or `+`: one repetition less, down to a place in the subject.
    Longest { at: usize, shortest: usize, rest: usize },
    /// An item with `-`: one repetition more. The item ends before the `-`.
    Shortest { at: usize, item: usize, end: usize },
    /// A capture was begun.
    Opened,
    /// That capture was closed; it began there.
    Closed { number: usize, start: usize },
}

/// What matching keeps from one call to the next, so that it allocates nothing.
#[derive(Default)]
pub struct Workspace {
    choices: Vec<Choice>,
    pub captures: Vec<Capture>,
}

impl Workspace {
    /// Returns the memory of what was unusually much.
    pub fn shrink(&mut self) {
        self.choices.clear();
        self.choices.shrink_to(CHOICES_KEPT);
    }
}

/// See the [module](self).
pub struct Matcher<'a> {
    pub subject: &'a [u8],
    /// Without the `^` that anchors it.
    pub pattern: &'a [u8],
    pub workspace: &'a mut Workspace,
    pub watch: &'a mut Watch,
}

/// Places in the subject and the pattern.
type Place = (usize, usize);

impl Matcher<'_> {
    /// Where a match ends that begins at a place, if there is one; its captures are in the workspace then.
    pub fn match_at(&mut self, start: usize) -> Result<Option<usize>, Fault> {
        self.workspace.captures.clear();
        self.workspace.choices.clear();
        let (mut at, mut rest) = (start, 0);
        loop {
            self.count(1)?;
            let byte = self.pattern_at(rest);
            let next = match byte {
                END => return Ok(Some(at)),
                b'(' => Some(self.open(at, rest)?),
                b')' => Some(self.close(at, rest)?),
                b'$' if self.pattern_at(rest + 1) == END => (at == self.subject.len()).then_some((at, rest + 1)),
                ESCAPE => self.escaped(at, rest)?,
                _ => self.item(at, rest, byte)?,
            };
            (at, rest) = match next {
                Some(place) => place,
                None => match self.other_choice()? {
                    Some(place) => place,
                    None => return Ok(None),
                },
            };
        }
    }

    /// The next match from a place on.
    pub fn find_from(&mut self, start: usize, anchored: bool) -> Result<Option<(usize, usize)>, Fault> {
        let last = if anchored { start } else { self.subject.len() };
        for at in start..=last {
            if let Some(end) = self.match_at(at)? {
                return Ok(Some((at, end)));
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn count(&mut self, steps: usize) -> Result<(), Fault> {
        if self.watch.count(steps) {
            Ok(())
        } else {
            Err(Fault::Interrupted)
        }
    }

    #[inline(always)]
    fn pattern_at(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(END)
    }

    #[inline(always)]
    fn choose(&mut self, choice: Choice) -> Result<(), Fault> {
        if self.workspace.choices.len() >= CHOICES_MAX {
            return Err(Fault::Error("pattern too complex"));
        }
        self.workspace.choices.push(choice);
        Ok(())
    }

    /// Goes back to the last choice and takes the next way from there.
    fn other_choice(&mut self) -> Result<Option<Place>, Fault> {
        while let Some(choice) = self.workspace.choices.last_mut() {
            match choice {
                Choice::Without { at, rest } => {
                    let place = (*at, *rest);
                    self.workspace.choices.pop();
                    return Ok(Some(place));
                }
                Choice::Longest { at, shortest, rest } => {
                    *at -= 1;
                    let (place, is_last) = ((*at, *rest), *at == *shortest);
                    if is_last {
                        self.workspace.choices.pop();
                    }
                    return Ok(Some(place));
                }
                Choice::Shortest { at, item, end } => {
                    let (tried, item, end) = (*at, *item, *end);
                    *at += 1;
                    self.count((end - item) / SET_BYTES_A_STEP)?;
                    if self.matches(tried, item, end) {
                        return Ok(Some((tried + 1, end + 1)));
                    }
                }
                Choice::Opened => {
                    self.workspace.captures.pop();
                }
                Choice::Closed { number, start } => self.workspace.captures[*number] = Capture::Open(*start),
            }
            self.workspace.choices.pop();
        }
        Ok(None)
    }

    fn open(&mut self, at: usize, rest: usize) -> Result<Place, Fault> {
        if self.workspace.captures.len() >= CAPTURES_MAX {
            return Err(Fault::Error("too many captures"));
        }
        self.choose(Choice::Opened)?;
        let is_position = self.pattern_at(rest + 1) == b')';
        self.workspace.captures.push(if is_position { Capture::Position(at) } else { Capture::Open(at) });
        Ok((at, rest + 1 + usize::from(is_position)))
    }

    fn close(&mut self, at: usize, rest: usize) -> Result<Place, Fault> {
        let is_open = |capture: &Capture| matches!(capture, Capture::Open(_));
        let last = self.workspace.captures.iter().rposition(is_open);
        let number = last.ok_or(Fault::Error("invalid pattern capture"))?;
        if let Capture::Open(start) = self.workspace.captures[number] {
            self.choose(Choice::Closed { number, start })?;
            self.workspace.captures[number] = Capture::Closed(start, at);
        }
        Ok((at, rest + 1))
    }

    #[inline(always)]
    fn escaped(&mut self, at: usize, rest: usize) -> Result<Option<Place>, Fault> {
        match self.pattern_at(rest + 1) {
            b'b' => Ok(self.balanced(at, rest + 2)?.map(|end| (end, rest + 4))),
            b'f' => self.frontier(at, rest + 2),
            digit @ b'0'..=b'9' => Ok(self.captured_before(at, digit)?.map(|end| (end, rest + 2))),
            _ => self.item(at, rest, ESCAPE),
        }
    }

    /// `%bxy`: where what begins with an x ends with the y that belongs to it.
    fn balanced(&mut self, at: usize, rest: usize) -> Result<Option<usize>, Fault> {
        let (begin, end) = (self.pattern_at(rest), self.pattern_at(rest + 1));
        if begin == END || end == END {
            return Err(Fault::Error("unbalanced pattern"));
        }
        if self.subject.get(at) != Some(&begin) {
            return Ok(None);
        }
        let (subject, mut depth) = (self.subject, 1);
        for (number, piece) in subject[at + 1..].chunks(STEPS_AT_ONCE).enumerate() {
            for (offset, &byte) in piece.iter().enumerate() {
                if byte == end {
                    depth -= 1;
                    if depth == 0 {
                        self.count(offset)?;
                        return Ok(Some(at + 1 + number * STEPS_AT_ONCE + offset + 1));
                    }
                } else if byte == begin {
                    depth += 1;
                }
            }
            self.count(piece.len())?;
        }
        Ok(None)
    }

    /// `%f[set]`: a byte in the set after one that is not.
    fn frontier(&mut self, at: usize, rest: usize) -> Result<Option<Place>, Fault> {
        if self.pattern_at(rest) != b'[' {
            return Err(Fault::Error("missing '[' after '%f' in pattern"));
        }
        let end = self.end_of_set(rest)?;
        self.count((end - rest) / SET_BYTES_A_STEP)?;
        let before = if at == 0 { END } else { self.subject[at - 1] };
        let byte = self.subject.get(at).copied().unwrap_or(END);
        let is_frontier = !self.is_in_set(before, rest, end - 1) && self.is_in_set(byte, rest, end - 1);
        Ok(is_frontier.then_some((at, end)))
    }

    /// `%1`: what a capture has matched, once more.
    fn captured_before(&mut self, at: usize, digit: u8) -> Result<Option<usize>, Fault> {
        let number = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.workspace.captures.get(number) {
            None | Some(Capture::Open(_)) => Err(Fault::Error("invalid capture index")),
            Some(Capture::Position(_)) => Ok(None),
            Some(&Capture::Closed(start, end)) => {
                self.count((end - start) / SET_BYTES_A_STEP)?;
                let is_again = self.subject[at..].starts_with(&self.subject[start..end]);
                Ok(is_again.then_some(at + end - start))
            }
        }
    }

    /// One byte or a class, with what says how often.
    #[inline(always)]
    fn item(&mut self, at: usize, item: usize, byte: u8) -> Result<Option<Place>, Fault> {
        let end = match byte {
            ESCAPE if self.pattern_at(item + 1) == END => {
                return Err(Fault::Error("malformed pattern (ends with '%')"));
            }
            ESCAPE => item + 2,
            b'[' => {
                let end = self.end_of_set(item)?;
                self.count((end - item) / SET_BYTES_A_STEP)?;
                end
            }
            _ => item + 1,
        };
        match self.pattern_at(end) {
            b'?' => {
                if self.matches(at, item, end) {
                    self.choose(Choice::Without { at, rest: end + 1 })?;
                    return Ok(Some((at + 1, end + 1)));
                }
                Ok(Some((at, end + 1)))
            }
            b'*' => self.longest(at, at, (item, end)),
            b'+' if self.matches(at, item, end) => self.longest(at + 1, at + 1, (item, end)),
            b'+' => Ok(None),
            b'-' => {
                self.choose(Choice::Shortest { at, item, end })?;
                Ok(Some((at, end + 1)))
            }
            _ => Ok(self.matches(at, item, end).then_some((at + 1, end))),
        }
    }

    /// As many repetitions as there are, from the shortest on.
    #[inline(always)]
    fn longest(&mut self, shortest: usize, mut at: usize, (item, end): Place) -> Result<Option<Place>, Fault> {
        let weight = 1 + (end - item) / SET_BYTES_A_STEP;
        let at_once = (STEPS_AT_ONCE / weight).max(1);
        loop {
            let start = at;
            let stop = self.subject.len().min(start.saturating_add(at_once));
            while at < stop && self.is_item(self.subject[at], item, end) {
                at += 1;
            }
            self.count((at - start) * weight)?;
            if at < stop || stop == self.subject.len() {
                break;
            }
        }
        if at > shortest {
            self.choose(Choice::Longest { at, shortest, rest: end + 1 })?;
        }
        Ok(Some((at, end + 1)))
    }

    /// Where a set ends that begins there: after its `]`.
    fn end_of_set(&self, set: usize) -> Result<usize, Fault> {
        let mut at = set + 1;
        if self.pattern_at(at) == b'^' {
            at += 1;
        }
        // The first byte is in the set even if it is a `]`.
        loop {
            let byte = self.pattern_at(at);
            if byte == END {
                return Err(Fault::Error("malformed pattern (missing ']')"));
            }
            at += 1;
            if byte == ESCAPE && self.pattern_at(at) != END {
                at += 1;
            }
            if self.pattern_at(at) == b']' {
                return Ok(at + 1);
            }
        }
    }

    #[inline(always)]
    fn matches(&self, at: usize, item: usize, end: usize) -> bool {
        self.subject.get(at).is_some_and(|&byte| self.is_item(byte, item, end))
    }

    #[inline(always)]
    fn is_item(&self, byte: u8, item: usize, end: usize) -> bool {
        match self.pattern[item] {
            b'.' => true,
            ESCAPE => is_in(byte, self.pattern_at(item + 1)),
            b'[' => self.is_in_set(byte, item, end - 1),
            other => other == byte,
        }
    }

    /// Whether a byte is in the set that begins at a place and whose `]` is at the other one.
    fn is_in_set(&self, byte: u8, set: usize, end: usize) -> bool {
        let inner = &self.pattern[set + 1..end];
        let (inner, is_complement) = match inner.first() {
            Some(b'^') => (&inner[1..], true),
            _ => (inner, false),
        };
        let mut at = 0;
        while let Some(&member) = inner.get(at) {
            let (found, length) = match (member, inner.get(at + 1), inner.get(at + 2)) {
                (ESCAPE, letter, _) => (letter.is_some_and(|&letter| is_in(byte, letter)), 2),
                (first, Some(b'-'), Some(&last)) => ((first..=last).contains(&byte), 3),
                _ => (member == byte, 1),
            };
            if found {
                return !is_complement;
            }
            at += length;
        }
        is_complement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of the first match, with its captures, or the error.
    fn find(subject: &[u8], pattern: &[u8]) -> Result<Option<(usize, usize, Vec<Capture>)>, Fault> {
        let (mut workspace, mut watch) = (Workspace::default(), Watch::new());
        let mut matcher = Matcher { subject, pattern, workspace: &mut workspace, watch: &mut watch };
        let found = matcher.find_from(0, false)?;
        Ok(found.map(|(start, end)| (start, end, workspace.captures)))
    }

    fn place(subject: &[u8], pattern: &[u8]) -> Option<(usize, usize)> {
        find(subject, pattern).expect("a pattern").map(|(start, end, _)| (start, end))
    }

    #[test]
    fn items_are_repeated_as_they_say() {
        for (subject, pattern, expected) in [
            ("aaa", "a", Some((0, 1))),
            ("baaa", "a+", Some((1, 4))),
            ("b", "a*", Some((0, 0))),
            ("aaab", "a-b", Some((0, 4))),
            ("aaab", "a-", Some((0, 0))),
            ("ab", "a?b", Some((0, 2))),
            ("b", "a?b", Some((0, 1))),
            ("aa", "a?a", Some((0, 2))),
            ("a", "a?a", Some((0, 1))),
            ("abcabd", "a.-d", Some((0, 6))),
            ("xyz", "%u", None),
            ("x1", "%a%d", Some((0, 2))),
            ("a]b", "[]]", Some((1, 2))),
            ("a-b", "[a-]+", Some((0, 2))),
            ("a-b", "[^a]+", Some((1, 3))),
            ("f(a(b)c)d", "%b()", Some((1, 8))),
            ("f(a(b)c", "%b()", Some((3, 6))),
            ("THE (quick) fox", "%f[%a]%a+", Some((0, 3))),
            ("ab$", "b$$", Some((1, 3))),
            ("a$b", "a$b", Some((0, 3))),
            ("ab", "$", Some((2, 2))),
        ] {
            assert_eq!(place(subject.as_bytes(), pattern.as_bytes()), expected, "{subject} {pattern}");
        }
    }

    #[test]
    fn captures_are_taken_back_with_what_has_made_them() {
        use Capture::{Closed, Position};
        assert_eq!(find(b"key=value", b"(%w+)=(%w+)"), Ok(Some((0, 9, vec![Closed(0, 3), Closed(4, 9)]))));
        assert_eq!(find(b"hello", b"()ll()"), Ok(Some((2, 4, vec![Position(2), Position(4)]))));
        assert_eq!(find(b"aab", b"(a*)%1b"), Ok(Some((0, 3, vec![Closed(0, 1)]))));
        assert_eq!(find(b"abab", b"((a)(b))%1"), Ok(Some((0, 4, vec![Closed(0, 2), Closed(0, 1), Closed(1, 2)]))));
        assert_eq!(find(b"aaa", b"(a)(a-)(a)$"), Ok(Some((0, 3, vec![Closed(0, 1), Closed(1, 2), Closed(2, 3)]))));
    }

    #[test]
    fn patterns_that_are_none_say_why() {
        for (pattern, text) in [
            ("%", "malformed pattern (ends with '%')"),
            ("[a", "malformed pattern (missing ']')"),
            ("[]", "malformed pattern (missing ']')"),
            ("[^]", "malformed pattern (missing ']')"),
            ("[a%", "malformed pattern (missing ']')"),
            ("[a%]", "malformed pattern (missing ']')"),
            ("%b", "unbalanced pattern"),
            ("%bx", "unbalanced pattern"),
            ("%f", "missing '[' after '%f' in pattern"),
            ("%1", "invalid capture index"),
            ("(%1)", "invalid capture index"),
            ("%0", "invalid capture index"),
            (")", "invalid pattern capture"),
        ] {
            assert_eq!(find(b"aaa", pattern.as_bytes()), Err(Fault::Error(text)), "{pattern}");
        }
        assert_eq!(find(b"a", "()".repeat(33).as_bytes()), Err(Fault::Error("too many captures")));
        assert_eq!(find(&[b'a'; 200_000], "a?".repeat(150_000).as_bytes()), Err(Fault::Error("pattern too complex")));
    }

    #[test]
    fn a_zero_byte_ends_a_pattern_and_not_a_subject() {
        assert_eq!(place(b"a\0b", b"%z"), Some((1, 2)));
        assert_eq!(place(b"a\0b", b"a\0x"), Some((0, 1)));
        assert_eq!(place(b"a\0b", b".*"), Some((0, 3)));
        assert_eq!(place(b"ab", b"%f[%z]"), Some((2, 2)));
    }

    #[test]
    fn deep_patterns_need_no_stack() {
        let pattern = "a?".repeat(90_000);
        let subject = vec![b'a'; 90_000];
        assert_eq!(place(&subject, pattern.as_bytes()), Some((0, 90_000)));
    }
}
