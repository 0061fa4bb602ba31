//! Parsing requests: RESP arrays of bulk strings, and inline commands, as bytes arrive.
//!
//! The parser keeps offsets into the connection's read buffer, never copies, and goes on where it stopped when more bytes
//! have come, so a request that trickles in costs no more than one that comes at once. Every length is bounded before
//! anything is reserved for it.

/// The longest inline request, and the longest line that holds a length.
pub const LINE_MAX: usize = 64 * 1024;
/// Arguments and bytes that a client may send before it has authenticated.
const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_MAX: i64 = 16_384;
const ARGS_MAX: i64 = i32::MAX as i64;
/// A length or an argument is followed by other bytes than CR and LF: refused as in Valkey 9.1. Redis skips the two bytes
/// unseen, and takes what somebody else put behind a wrong length for a request.
const INVALID_LINE_END: &str = "invalid CRLF in request";

/// What a client sent that is no request; the text follows `ERR Protocol error: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError(pub String);

/// What [`Parser::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request of so many bytes; its arguments are in [`Parser::args`].
    Command(usize),
    /// An inline request of so many bytes; its arguments are to be split by [`super::inline::split_inline`].
    Inline(usize),
    /// Nothing to do for so many bytes (an empty array, an empty line).
    Nothing(usize),
    /// More bytes are needed; at least so many are sure to come.
    Incomplete(usize),
}

/// Limits from the settings and the connection's state.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bulk_bytes_max: usize,
    pub authenticated: bool,
}

/// Arguments of a request that [`short_request`] takes.
pub const SHORT_ARGS_MAX: usize = 9;
/// The longest argument that [`short_request`] takes.
pub const SHORT_ARG_BYTES_MAX: usize = 999;

/// A request at the beginning of `buffer` that is whole and small, as nearly all are, parsed in one go: its arguments are
/// written to `args`, their number and the request's length returned. `None` says nothing about the request: the
/// [`Parser`] has to look at it.
#[inline]
pub fn short_request<'a>(buffer: &'a [u8], args: &mut [&'a [u8]; SHORT_ARGS_MAX]) -> Option<(usize, usize)> {
    let &[b'*', count, b'\r', b'\n', ref rest @ ..] = buffer else { return None };
    let count = usize::from(count.wrapping_sub(b'0'));
    if !(1..=SHORT_ARGS_MAX).contains(&count) {
        return None;
    }
    let mut rest = rest;
    for arg in &mut args[..count] {
        (*arg, rest) = short_argument(rest)?;
    }
    Some((count, buffer.len() - rest.len()))
}

/// How a request that [`short_request`] has found begins: the next requests of a pipeline often begin with the same bytes.
#[derive(Clone, Copy)]
pub struct RequestPrefix<'a> {
    /// The bytes before the second argument.
    bytes: &'a [u8],
    /// How many arguments the request has, its name included.
    pub count: usize,
}

impl<'a> RequestPrefix<'a> {
    /// The prefix of the request at the beginning of `buffer` that has these arguments.
    pub fn new(buffer: &'a [u8], args: &[&[u8]]) -> RequestPrefix<'a> {
        // `*2`, `$3` and the name, each with its line's end; the lengths have one digit.
        debug_assert!(args.len() < 10 && args[0].len() < 10);
        RequestPrefix { bytes: &buffer[..10 + args[0].len()], count: args.len() }
    }

    /// A whole, small request at the beginning of `buffer` that has this prefix. Its arguments behind the name, which is the
    /// same, are written to `args`; its length is returned.
    // Always: it was called for every request, once there were two places that ask for them.
    #[inline(always)]
    pub fn request<'b>(&self, buffer: &'b [u8], args: &mut [&'b [u8]; SHORT_ARGS_MAX]) -> Option<usize> {
        let (prefix, mut rest) = buffer.split_at_checked(self.bytes.len())?;
        if !is_same_prefix(prefix, self.bytes) {
            return None;
        }
        for arg in &mut args[1..self.count] {
            (*arg, rest) = short_argument(rest)?;
        }
        Some(buffer.len() - rest.len())
    }
}

/// Whether two prefixes of the same length, which is 11 to 19, are equal: compared as words, without a call.
#[inline]
fn is_same_prefix(a: &[u8], b: &[u8]) -> bool {
    let words = |bytes: &[u8]| (bytes.first_chunk::<8>().copied(), bytes.last_chunk::<8>().copied());
    words(a) == words(b) && (a.len() <= 16 || a[8..11] == b[8..11])
}

/// One argument at the beginning of `buffer`, if it is whole and short, and what follows it.
#[inline(always)]
fn short_argument(buffer: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[b'$', first, second, third, fourth, ..] = buffer else { return None };
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    let (first, start) = (digit(first), if second == b'\r' { 4 } else { 5 });
    let mut length = first;
    let mut line_feed = third;
    let mut body = buffer.get(start..)?;
    if second != b'\r' {
        // A length that begins with 0, or with what is no digit, is not for this function.
        if digit(second) > 9 || first == 0 {
            return None;
        }
        length = first * 10 + digit(second);
        line_feed = fourth;
        if third != b'\r' {
            if digit(third) > 9 || fourth != b'\r' {
                return None;
            }
            length = length * 10 + digit(third);
            (line_feed, body) = (*body.first()?, &body[1..]);
        }
    }
    if first > 9 || line_feed != b'\n' || body.len() < length + 2 || body[length..length + 2] != *b"\r\n" {
        return None;
    }
    Some((&body[..length], &body[length + 2..]))
}

/// Arguments that a parser keeps room for, 4 KB: nearly all requests of clients that send more than a few have no more.
const ARGS_KEPT: usize = 256;

/// The state between two calls.
#[derive(Default, Debug)]
pub struct Parser {
    /// Offsets (start, end) of the arguments, from the beginning of the request.
    args: Vec<(usize, usize)>,
    /// Arguments that are still to come; `None` before the array's header was read.
    remaining: Option<i64>,
    /// The length of the argument that is being read.
    bulk: Option<usize>,
    at: usize,
}

impl Parser {
    /// The arguments of the request found last.
    pub fn args(&self) -> &[(usize, usize)] {
        &self.args
    }

    /// What it takes besides itself, in bytes.
    pub fn bytes(&self) -> usize {
        self.args.capacity() * size_of::<(usize, usize)>()
    }

    /// Gives back what a request of many arguments has taken. Only while none is begun.
    pub fn release(&mut self) {
        if self.args.capacity() > ARGS_KEPT {
            self.args = Vec::new();
        }
    }

    /// Whether no request has been begun.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.remaining.is_none()
    }

    /// Forgets a request that was begun, so that it can be parsed from its first byte again.
    pub fn reset(&mut self) {
        self.args.clear();
        self.remaining = None;
        self.bulk = None;
        self.at = 0;
    }

    /// Looks for a request at the beginning of `buffer`, which starts with the same bytes as in the call before if that
    /// one was incomplete.
    #[inline]
    pub fn next(&mut self, buffer: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        if self.remaining.is_none() {
            self.args.clear();
            self.at = 0;
            match buffer.first() {
                None => return Ok(Parsed::Incomplete(1)),
                Some(b'*') => {}
                Some(_) => return inline(buffer),
            }
            let Some((count, at)) = length_line(buffer, 1, "too big mbulk count string")? else {
                return Ok(Parsed::Incomplete(1));
            };
            let count = count.filter(|&n| n <= ARGS_MAX).ok_or_else(|| error("invalid multibulk length"))?;
            if count > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
                return Err(error("unauthenticated multibulk length"));
            }
            if count <= 0 {
                return Ok(Parsed::Nothing(at));
            }
            self.remaining = Some(count);
            self.at = at;
        }
        self.arguments(buffer, limits)
    }

    #[inline]
    fn arguments(&mut self, buffer: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        let mut remaining = self.remaining.unwrap_or(0);
        // Small arguments that are there whole, as nearly all of a long request are, without a look at anything else.
        if self.bulk.is_none() && self.at <= buffer.len() && limits.bulk_bytes_max >= SHORT_ARG_BYTES_MAX {
            let mut rest = &buffer[self.at..];
            while remaining > 0 {
                let Some((argument, following)) = short_argument(rest) else { break };
                let end = buffer.len() - following.len() - 2;
                self.args.push((end - argument.len(), end));
                rest = following;
                remaining -= 1;
            }
            self.at = buffer.len() - rest.len();
        }
        while remaining > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => {
                    match buffer.get(self.at) {
                        None => break,
                        Some(b'$') => {}
                        Some(&other) => return Err(unexpected(other)),
                    }
                    let Some((length, at)) = length_line(buffer, self.at + 1, "too big bulk count string")? else {
                        break;
                    };
                    let length = length
                        .filter(|&n| n >= 0 && n as u64 <= limits.bulk_bytes_max as u64)
                        .ok_or_else(|| error("invalid bulk length"))?;
                    if length > UNAUTHENTICATED_BULK_MAX && !limits.authenticated {
                        return Err(error("unauthenticated bulk length"));
                    }
                    self.at = at;
                    self.bulk = Some(length as usize);
                    length as usize
                }
            };
            let end = self.at + length;
            if buffer.len() < end + 2 {
                break;
            }
            if buffer[end..end + 2] != *b"\r\n" {
                return Err(error(INVALID_LINE_END));
            }
            self.args.push((self.at, end));
            self.at = end + 2;
            self.bulk = None;
            remaining -= 1;
        }
        if remaining == 0 {
            self.remaining = None;
            return Ok(Parsed::Command(self.at));
        }
        self.remaining = Some(remaining);
        let needed = self.bulk.map_or(1, |length| (self.at + length + 2).saturating_sub(buffer.len()));
        Ok(Parsed::Incomplete(needed))
    }
}

pub(super) fn error(text: &str) -> ProtocolError {
    ProtocolError(text.to_owned())
}

#[cold]
fn unexpected(byte: u8) -> ProtocolError {
    let shown = match byte {
        // A reply is one line.
        b'\r' | b'\n' => " ".to_owned(),
        // Text is UTF-8 here, so half of a character is described.
        128.. => format!("\\x{byte:02x}"),
        _ => char::from(byte).to_string(),
    };
    ProtocolError(format!("expected '$', got '{shown}'"))
}

/// Reads a decimal number and the line's end from `at` on. `None`: the line is not complete. The number is `None` when
/// it is none.
#[inline]
fn length_line(buffer: &[u8], at: usize, too_long: &str) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    // Lengths of one and two digits, nearly all there are, without a search for the line's end.
    if let Some(&[first, second, third, fourth]) = buffer.get(at..at + 4) {
        let (tens, ones) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
        if second == b'\r' && third == b'\n' && tens < 10 {
            return Ok(Some((Some(i64::from(tens)), at + 3)));
        }
        if third == b'\r' && fourth == b'\n' && ones < 10 && (1..10).contains(&tens) {
            return Ok(Some((Some(i64::from(tens) * 10 + i64::from(ones)), at + 4)));
        }
    }
    long_length_line(buffer, at, too_long)
}

#[inline(never)]
fn long_length_line(buffer: &[u8], at: usize, too_long: &str) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    let rest = &buffer[at.min(buffer.len())..];
    match rest.iter().take(LINE_MAX + 1).position(|&byte| byte == b'\r') {
        None if rest.len() > LINE_MAX => Err(error(too_long)),
        None => Ok(None),
        Some(end) if rest.len() < end + 2 => Ok(None),
        // Before the number is looked at, as in Valkey.
        Some(end) if rest[end + 1] != b'\n' => Err(error(INVALID_LINE_END)),
        Some(end) => Ok(Some((sherd_types::number::parse_i64(&rest[..end]), at + end + 2))),
    }
}

fn inline(buffer: &[u8]) -> Result<Parsed, ProtocolError> {
    match buffer.iter().take(LINE_MAX + 1).position(|&byte| byte == b'\n') {
        None if buffer.len() > LINE_MAX => Err(error("too big inline request")),
        None => Ok(Parsed::Incomplete(1)),
        Some(end) if buffer[..end].iter().all(u8::is_ascii_whitespace) => Ok(Parsed::Nothing(end + 1)),
        Some(end) => Ok(Parsed::Inline(end + 1)),
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
