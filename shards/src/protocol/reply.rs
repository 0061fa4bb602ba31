//! Writing replies: RESP2 and RESP3 from the same calls.
//!
//! A reply is appended to the batch's buffer, which is sent from directly. Collections are written by announcing their
//! length; where it is not known beforehand, [`Reply::deferred`] leaves the header to be put in afterwards.

use crate::protocol::error::CommandError;
use sherd_types::number::{append_f64, append_i64, append_line, format_i64, I64Buffer};

/// A version of the protocol that replies are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

impl Protocol {
    /// The protocol that HELLO means by a number.
    pub fn from_number(number: i64) -> Option<Protocol> {
        match number {
            2 => Some(Protocol::Resp2),
            3 => Some(Protocol::Resp3),
            _ => None,
        }
    }

    /// Its number, as in HELLO.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }

    /// Whether it has maps, sets, doubles and the like.
    #[inline]
    pub fn is_resp3(self) -> bool {
        self == Protocol::Resp3
    }
}

/// What a blocking command answers when its time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeoutReply {
    NullArray,
    Null,
    Int(i64),
}

/// A writer for one command's reply.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    start: usize,
    failed: bool,
    /// How many bytes it had when it became more than the client may be sent, for which nothing of it is kept; else 0.
    dropped_bytes: usize,
    /// How many bytes it may have.
    bytes_max: usize,
}

/// Bytes up to which a buffer may double when it grows.
const DOUBLED_MAX: usize = 4 << 20;
/// Room that what is short has beside a large part of a reply.
const SPARE: usize = 64;

/// Makes room for so many bytes in a buffer of replies. One that is large already grows by little: all that it has counts.
pub fn make_room(buffer: &mut Vec<u8>, bytes: usize) {
    if buffer.len().saturating_add(bytes) <= DOUBLED_MAX {
        buffer.reserve(bytes);
    } else if buffer.capacity() - buffer.len() < bytes {
        buffer.reserve_exact(bytes.max(buffer.len() / 8));
    }
}

/// The numbers below 100 in two digits each.
static TWO_DIGITS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// A place where a collection's header goes when its length is known.
#[must_use]
pub struct Deferred(usize);

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Reply::bounded(out, protocol, usize::MAX)
    }

    /// The same for a reply that may have so many bytes, as far as its buffer has to grow for it. What becomes more is dropped, for
    /// nobody will be sent it, and is a failure.
    #[inline]
    pub fn bounded(out: &'a mut Vec<u8>, protocol: Protocol, bytes_max: usize) -> Self {
        let start = out.len();
        Reply { out, protocol, start, failed: false, dropped_bytes: 0, bytes_max }
    }

    /// How many bytes it may have, for a part of it that is written apart.
    #[inline]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether it has become more than it may be. Who writes much may stop.
    #[inline]
    pub fn is_dropped(&self) -> bool {
        self.dropped_bytes > 0
    }

    /// Drops what was written and what will be, for it has come to so many bytes.
    #[cold]
    pub fn drop_at(&mut self, bytes: usize) {
        self.out.truncate(self.start);
        if self.dropped_bytes == 0 {
            self.dropped_bytes = bytes.max(1);
        }
        self.failed = true;
    }

    /// Takes back what was written since it was dropped, and returns how many bytes it had then; 0 if it was not.
    pub fn end_dropped(&mut self) -> usize {
        if self.is_dropped() {
            self.out.truncate(self.start);
        }
        self.dropped_bytes
    }

    /// Makes room for so many bytes more, and some that follow; false if that is more than the reply may have.
    #[inline(always)]
    fn room(&mut self, bytes: usize) -> bool {
        self.out.capacity() - self.out.len() >= bytes || self.grow(bytes)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) -> bool {
        let total = (self.out.len() - self.start).saturating_add(bytes);
        if self.is_dropped() || total > self.bytes_max {
            self.drop_at(total);
            return false;
        }
        make_room(self.out, bytes.saturating_add(SPARE));
        true
    }

    /// Whether the client speaks RESP3.
    #[inline]
    pub fn is_resp3(&self) -> bool {
        self.protocol.is_resp3()
    }

    /// The protocol that it is written in, for a part of it that is written apart.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether an error was written.
    #[inline]
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// What was written so far.
    pub fn written(&self) -> &[u8] {
        &self.out[self.start..]
    }

    /// Takes back everything written and writes the error instead.
    #[cold]
    pub fn replace_by_error(&mut self, error: &CommandError) {
        self.out.truncate(self.start);
        self.error(error);
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string, which has no line breaks.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.crlf();
    }

    /// An error; line breaks in it become spaces.
    #[cold]
    pub fn error(&mut self, error: &CommandError) {
        self.error_bytes(error.0.as_bytes());
    }

    /// An error whose text repeats what the client sent, which may be any bytes.
    #[cold]
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.failed = true;
        self.out.push(b'-');
        self.out.extend(text.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.crlf();
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A length or count as an integer.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.int(value as i64);
    }

    /// 1 or 0 as an integer.
    #[inline]
    pub fn flag(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b":1\r\n" } else { b":0\r\n" });
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.bulk_inlined(bytes);
    }

    /// A bulk string, written without a call where its length has two digits, as most have.
    #[inline(always)]
    pub fn bulk_inlined(&mut self, bytes: &[u8]) {
        if (10..100).contains(&bytes.len()) {
            self.short_bulk(bytes);
        } else {
            self.other_bulk(bytes);
        }
    }

    #[inline(never)]
    fn other_bulk(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        if length < 10 {
            self.framed_bulk::<4>([b'$', b'0' + length as u8, b'\r', b'\n', 0, 0, 0, 0], bytes);
            return;
        }
        if !self.room(length + 16) {
            return;
        }
        self.header(b'$', length as i64);
        self.out.extend_from_slice(bytes);
        self.crlf();
    }

    /// A bulk string of 10 to 99 bytes.
    #[inline(always)]
    fn short_bulk(&mut self, bytes: &[u8]) {
        let [tens, ones] = TWO_DIGITS[bytes.len()];
        self.framed_bulk::<5>([b'$', tens, ones, b'\r', b'\n', 0, 0, 0], bytes);
    }

    /// A bulk string behind a header of `HEADER` bytes, with one look at the buffer's room instead of four.
    #[inline(always)]
    fn framed_bulk<const HEADER: usize>(&mut self, header: [u8; 8], bytes: &[u8]) {
        let length = bytes.len();
        let total = HEADER + length + 2;
        if !self.room(total.max(header.len())) {
            return;
        }
        // SAFETY: there is room behind the end for the header's eight bytes and for `total`, all of which are written before they
        // count: the header reaches into the value's place, which is written after it. The value lies elsewhere, the buffer being
        // borrowed.
        unsafe {
            let end = self.out.as_mut_ptr().add(self.out.len());
            end.cast::<[u8; 8]>().write(header);
            end.add(HEADER).copy_from_nonoverlapping(bytes.as_ptr(), length);
            end.add(HEADER + length).cast::<[u8; 2]>().write(*b"\r\n");
            self.out.set_len(self.out.len() + total);
        }
    }

    /// An integer's decimal text as a bulk string.
    #[inline]
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(format_i64(value, &mut I64Buffer::default()));
    }

    /// No value: `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No array: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// What a blocking command answers when its time is over.
    pub fn timed_out(&mut self, reply: TimeoutReply) {
        match reply {
            TimeoutReply::NullArray => self.null_array(),
            TimeoutReply::Null => self.null(),
            TimeoutReply::Int(value) => self.int(value),
        }
    }

    /// The value, or null.
    #[inline]
    pub fn bulk_or_null(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// An array of `length` replies to follow.
    #[inline]
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length as i64);
    }

    /// A map of `pairs` keys and values to follow; an array of twice the length in RESP2.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() {
            self.header(b'%', pairs as i64);
        } else {
            self.header(b'*', 2 * pairs as i64);
        }
    }

    /// A set of `length` members to follow; an array in RESP2.
    pub fn set(&mut self, length: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, length as i64);
    }

    /// A push message; an array in RESP2.
    pub fn push(&mut self, length: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, length as i64);
    }

    /// A double; a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        if self.is_resp3() {
            self.out.push(b',');
            append_f64(self.out, value);
            self.crlf();
        } else {
            let mut buffer = sherd_types::number::F64Buffer::default();
            let text = sherd_types::number::format_f64(value, &mut buffer);
            self.bulk(text);
        }
    }

    /// A double whose text is given; a bulk string in RESP2.
    pub fn double_as(&mut self, text: &[u8]) {
        if self.is_resp3() {
            self.out.push(b',');
            self.out.extend_from_slice(text);
            self.crlf();
        } else {
            self.bulk(text);
        }
    }

    /// A boolean; an integer in RESP2.
    pub fn boolean(&mut self, value: bool) {
        if self.is_resp3() {
            self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.flag(value);
        }
    }

    /// Text with a format of three letters; a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.is_resp3() {
            if !self.room(text.len() + SPARE) {
                return;
            }
            self.header(b'=', text.len() as i64 + 4);
            self.out.extend_from_slice(format.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(text);
            self.crlf();
        } else {
            self.bulk(text);
        }
    }

    /// Begins a collection whose length is not known yet.
    pub fn deferred(&mut self) -> Deferred {
        Deferred(self.out.len())
    }

    /// Puts the array header where [`Reply::deferred`] was called.
    pub fn close_array(&mut self, place: Deferred, length: usize) {
        self.insert_header(place, b'*', length);
    }

    /// Puts the set header where [`Reply::deferred`] was called.
    pub fn close_set(&mut self, place: Deferred, length: usize) {
        let kind = if self.is_resp3() { b'~' } else { b'*' };
        self.insert_header(place, kind, length);
    }

    /// Puts the map header where [`Reply::deferred`] was called.
    pub fn close_map(&mut self, place: Deferred, pairs: usize) {
        if self.is_resp3() {
            self.insert_header(place, b'%', pairs);
        } else {
            self.insert_header(place, b'*', pairs * 2);
        }
    }

    fn insert_header(&mut self, place: Deferred, kind: u8, length: usize) {
        // In front of what was dropped there is no such place.
        if !self.room(SPARE) || self.is_dropped() {
            return;
        }
        let mut header = Vec::with_capacity(24);
        header.push(kind);
        append_i64(&mut header, length as i64);
        header.extend_from_slice(b"\r\n");
        self.out.splice(place.0..place.0, header);
    }

    /// A reply that is written elsewhere; `write` returns whether it is an error.
    pub fn written_by(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.failed |= write(self.out);
        let total = self.out.len() - self.start;
        if total > self.bytes_max {
            self.drop_at(total);
        }
    }

    /// Bytes that are a reply already.
    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.room(bytes.len()) {
            return;
        }
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn header(&mut self, kind: u8, value: i64) {
        if (0..10).contains(&value) {
            self.out.extend_from_slice(&[kind, b'0' + value as u8, b'\r', b'\n']);
            return;
        }
        append_line(self.out, kind, value);
    }

    #[inline]
    fn crlf(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
