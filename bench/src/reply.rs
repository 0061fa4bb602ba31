//! Counts replies in a byte stream. Nothing is kept but the first error texts.
//!
//! A reply may be cut anywhere by the network, so the scanner is a state machine that stops at any byte and goes on
//! with the next chunk. Of a whole reply only three facts matter here: it ended, it was an error, it was null.

/// A line that carries a length or an error text; no server sends a longer one in earnest.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// A server that announces more than this is not one to benchmark.
const LENGTH_MAX: i64 = 1 << 32;

/// What the replies of a chunk added up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub replies: u64,
    pub errors: u64,
    pub nulls: u64,
    /// The text of the chunk's first error reply.
    pub error_text: Option<String>,
}

/// State of one connection's reply stream.
#[derive(Debug, Default)]
pub struct Scanner {
    /// Start of a line whose end is not here yet.
    line: Vec<u8>,
    /// Bytes of a bulk string, its line end included, still to come.
    skip_bytes: u64,
    /// Values still to come before the current reply is whole; 0 between replies.
    values_left: u64,
    /// The current reply is out of band and counts for no request.
    is_push: bool,
}

impl Scanner {
    /// Reads a whole chunk and adds what ended in it to `counts`.
    pub fn scan(&mut self, chunk: &[u8], counts: &mut Counts) -> Result<(), String> {
        let mut rest = chunk;
        while !rest.is_empty() {
            if self.skip_bytes > 0 {
                let step = self.skip_bytes.min(rest.len() as u64);
                self.skip_bytes -= step;
                rest = &rest[step as usize..];
                if self.skip_bytes == 0 {
                    self.value_ended(counts);
                }
                continue;
            }
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                if self.line.len() + rest.len() > LINE_BYTES_MAX {
                    return Err("a reply line is too long".to_string());
                }
                self.line.extend_from_slice(rest);
                return Ok(());
            };
            let (head, tail) = rest.split_at(end + 1);
            rest = tail;
            if self.line.is_empty() {
                self.take_line(head, counts)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(head);
                self.take_line(&line, counts)?;
                line.clear();
                self.line = line;
            }
        }
        Ok(())
    }

    /// `line` ends in a line feed.
    fn take_line(&mut self, line: &[u8], counts: &mut Counts) -> Result<(), String> {
        let line = line.strip_suffix(b"\r\n").ok_or("a reply line does not end in CR LF")?;
        let (kind, body) = line.split_first().ok_or("an empty reply line")?;
        let starts_reply = self.values_left == 0;
        if starts_reply {
            self.values_left = 1;
            self.is_push = *kind == b'>';
        }
        match kind {
            b'+' | b':' | b',' | b'#' | b'(' => self.value_ended(counts),
            b'-' => {
                if starts_reply {
                    self.note_error(body, counts);
                }
                self.value_ended(counts);
            }
            b'_' => self.null_ended(starts_reply, counts),
            b'$' | b'=' | b'!' => match length(body)? {
                None => self.null_ended(starts_reply, counts),
                Some(bytes) => {
                    if *kind == b'!' && starts_reply {
                        self.note_error(b"bulk error", counts);
                    }
                    self.skip_bytes = bytes + 2;
                }
            },
            b'*' | b'~' | b'>' => match length(body)? {
                None => self.null_ended(starts_reply, counts),
                Some(values) => self.aggregate(values, counts),
            },
            b'%' => {
                let pairs = length(body)?.ok_or("a map without a length")?;
                self.aggregate(pairs * 2, counts);
            }
            // Attributes precede the value that they describe, so they take no place of their own.
            b'|' => self.values_left += length(body)?.ok_or("an attribute without a length")? * 2,
            other => return Err(format!("not a reply type: {:?}", char::from(*other))),
        }
        Ok(())
    }

    fn aggregate(&mut self, values: u64, counts: &mut Counts) {
        self.values_left += values;
        self.value_ended(counts);
    }

    fn null_ended(&mut self, is_reply: bool, counts: &mut Counts) {
        counts.nulls += u64::from(is_reply);
        self.value_ended(counts);
    }

    fn note_error(&mut self, text: &[u8], counts: &mut Counts) {
        counts.errors += 1;
        if counts.error_text.is_none() {
            counts.error_text = Some(String::from_utf8_lossy(text).into_owned());
        }
    }

    fn value_ended(&mut self, counts: &mut Counts) {
        self.values_left -= 1;
        if self.values_left == 0 && !self.is_push {
            counts.replies += 1;
        }
    }
}

/// `None` is the null of RESP2, a length of -1.
fn length(body: &[u8]) -> Result<Option<u64>, String> {
    // Digits are by far the common case and a bulk header is most of a GET's scan, so no UTF-8 check, no `parse`.
    let mut value: i64 = 0;
    if body == b"-1" {
        return Ok(None);
    }
    if body.is_empty() {
        return Err("a length is missing".to_string());
    }
    for byte in body {
        if !byte.is_ascii_digit() {
            return Err("a length is not a number".to_string());
        }
        value = value * 10 + i64::from(byte - b'0');
        if value > LENGTH_MAX {
            return Err("a length is out of bounds".to_string());
        }
    }
    Ok(Some(value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"+OK\r\n:12\r\n$3\r\na\nb\r\n$-1\r\n-ERR no\r\n*2\r\n*1\r\n:1\r\n$0\r\n\r\n*0\r\n*-1\r\n\
        %1\r\n+a\r\n_\r\n>2\r\n+push\r\n:1\r\n|1\r\n+k\r\n+v\r\n+with attribute\r\n*2\r\n-nested\r\n$-1\r\n_\r\n";

    fn expected() -> Counts {
        Counts { replies: 12, errors: 1, nulls: 3, error_text: Some("ERR no".to_string()) }
    }

    #[test]
    fn replies_of_every_type_are_counted_once() {
        let mut counts = Counts::default();
        Scanner::default().scan(STREAM, &mut counts).expect("valid stream");
        assert_eq!(counts, expected());
    }

    #[test]
    fn a_stream_cut_at_any_two_places_counts_the_same() {
        for first in 0..STREAM.len() {
            for second in first..STREAM.len() {
                let (mut scanner, mut counts) = (Scanner::default(), Counts::default());
                for chunk in [&STREAM[..first], &STREAM[first..second], &STREAM[second..]] {
                    scanner.scan(chunk, &mut counts).expect("valid stream");
                }
                assert_eq!(counts, expected(), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_unfinished_reply_is_not_counted() {
        let mut counts = Counts::default();
        Scanner::default().scan(b"$5\r\nhello\r", &mut counts).expect("valid so far");
        assert_eq!(counts.replies, 0);
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        for stream in [&b"hello\r\n"[..], b"\r\n", b"$x\r\n", b"*99999999999\r\n", b"$-2\r\n", b"+OK\n", b"%-1\r\n"] {
            let outcome = Scanner::default().scan(stream, &mut Counts::default());
            assert!(outcome.is_err(), "{:?} was accepted", String::from_utf8_lossy(stream));
        }
    }
}
