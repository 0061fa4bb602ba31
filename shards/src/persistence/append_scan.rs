//! Commands of an append-only file, one after the other, from bytes that may be anything: whole ones, and where the file is cut
//! off or is no such file any more.

use sherd_types::number::parse_i64;

/// Parts that one command may have, and bytes of one part: what Redis takes from a client.
const PARTS_MAX: i64 = 1024 * 1024 * 1024;
const PART_BYTES_MAX: i64 = 1 << 32;
/// The longest line that says a number or a time.
const LINE_BYTES_MAX: usize = 128;

/// Why a scan cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// The file ends in the middle of something.
    Truncated,
    /// What comes is not what must come.
    Corrupt(String),
}

/// What was found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A command, whose parts are in the scan.
    Command,
    /// A mark of the time, in seconds since the epoch.
    Time(i64),
    /// Another line that says nothing to a loader.
    Remark,
    End,
}

/// A walk over a file.
#[derive(Clone)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    /// Where what comes next begins.
    at: usize,
    /// The parts of the last command.
    pub parts: Vec<&'a [u8]>,
}

impl<'a> Scan<'a> {
    /// From an offset on.
    pub fn new(bytes: &'a [u8], at: usize) -> Scan<'a> {
        Scan { bytes, at: at.min(bytes.len()), parts: Vec::new() }
    }

    /// Where what comes next begins.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Goes back to where something began.
    pub fn go_back(&mut self, at: usize) {
        self.at = at;
    }

    /// What comes next. After a break the offset is where it began.
    pub fn step(&mut self) -> Result<Found, Break> {
        let begin = self.at;
        let found = match self.bytes.get(begin) {
            None => Ok(Found::End),
            Some(b'#') => self.remark(),
            Some(b'*') => self.command(),
            Some(other) => Err(Break::Corrupt(format!("'*' or '#' is expected, not '{}'", other.escape_ascii()))),
        };
        if found.is_err() {
            self.at = begin;
        }
        found
    }

    fn line(&mut self) -> Result<&'a [u8], Break> {
        let rest = &self.bytes[self.at..];
        let shown = &rest[..rest.len().min(LINE_BYTES_MAX)];
        match shown.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                self.at += end + 1;
                Ok(shown[..end].strip_suffix(b"\r").unwrap_or(&shown[..end]))
            }
            None if shown.len() == rest.len() => Err(Break::Truncated),
            None => Err(Break::Corrupt("a line has no end".to_owned())),
        }
    }

    fn remark(&mut self) -> Result<Found, Break> {
        let line = self.line()?;
        let time = line.strip_prefix(b"#TS:");
        match time {
            None => Ok(Found::Remark),
            Some(text) => parse_i64(text)
                .map(Found::Time)
                .ok_or_else(|| Break::Corrupt("a mark of the time has no number".to_owned())),
        }
    }

    fn number(&mut self, kind: u8, (least, most): (i64, i64), what: &str) -> Result<usize, Break> {
        match self.bytes.get(self.at) {
            None => return Err(Break::Truncated),
            Some(&found) if found != kind => {
                let (kind, found) = (char::from(kind), found.escape_ascii());
                return Err(Break::Corrupt(format!("'{kind}' is expected, not '{found}'")));
            }
            Some(_) => self.at += 1,
        }
        let line = self.line()?;
        let number = parse_i64(line).filter(|number| (least..=most).contains(number));
        number.map(|number| number as usize).ok_or_else(|| Break::Corrupt(format!("{what} makes no sense")))
    }

    fn command(&mut self) -> Result<Found, Break> {
        let count = self.number(b'*', (1, PARTS_MAX), "the number of arguments")?;
        self.parts.clear();
        for _ in 0..count {
            let length = self.number(b'$', (0, PART_BYTES_MAX), "the length of an argument")?;
            let end = self.at + length;
            match self.bytes.get(end..end + 2) {
                None => return Err(Break::Truncated),
                Some(b"\r\n") => {}
                Some(_) => return Err(Break::Corrupt("an argument does not end where it should".to_owned())),
            }
            self.parts.push(&self.bytes[self.at..end]);
            self.at = end + 2;
        }
        Ok(Found::Command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> (Vec<String>, usize, Option<Break>) {
        let mut scan = Scan::new(bytes, 0);
        let mut found = Vec::new();
        loop {
            match scan.step() {
                Ok(Found::End) => return (found, scan.offset(), None),
                Ok(Found::Command) => {
                    let parts: Vec<_> = scan.parts.iter().map(|part| String::from_utf8_lossy(part)).collect();
                    found.push(parts.join(" "));
                }
                Ok(other) => found.push(format!("{other:?}")),
                Err(why) => return (found, scan.offset(), Some(why)),
            }
        }
    }

    const GOOD: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:1700000000\r\n# a remark\r\n*1\r\n$4\r\nPING\r\n";

    #[test]
    fn commands_and_remarks_come_one_after_the_other() {
        let expected = ["SELECT 0", "Time(1700000000)", "Remark", "PING"].map(str::to_owned).to_vec();
        assert_eq!(all(GOOD), (expected, GOOD.len(), None));
    }

    #[test]
    fn a_file_cut_off_anywhere_ends_after_its_last_whole_command() {
        let ends = [0, 23, 39, 51, GOOD.len()];
        for cut in 0..GOOD.len() {
            let (_, offset, why) = all(&GOOD[..cut]);
            let expected = ends.iter().rfind(|&&end| end <= cut).expect("0 is one");
            assert_eq!((offset, why), (*expected, (cut != *expected).then_some(Break::Truncated)), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_with_its_place() {
        for (bytes, what) in [
            (&b"x"[..], "'*' or '#' is expected, not 'x'"),
            (b"*0\r\n", "the number of arguments makes no sense"),
            (b"*99999999999999\r\n", "the number of arguments makes no sense"),
            (b"*1\r\n:4\r\nPING\r\n", "'$' is expected, not ':'"),
            (b"*1\r\n$-1\r\n", "the length of an argument makes no sense"),
            (b"*1\r\n$4\r\nPINGxx", "an argument does not end where it should"),
            (b"#TS:soon\r\n", "a mark of the time has no number"),
        ] {
            assert_eq!(all(bytes), (vec![], 0, Some(Break::Corrupt(what.to_owned()))));
        }
        let endless = [b'*'].into_iter().chain([b'1'; 500]).collect::<Vec<_>>();
        assert_eq!(all(&endless).2, Some(Break::Corrupt("a line has no end".to_owned())));
    }
}
