//! Cutting an RDB file into its keys: the frame around values, which may hold anything.
//!
//! The walk stops where a value begins. Whoever wants it there loads it ([`Walk::load`]), which is the end of the record;
//! or has it passed ([`Walk::pass`]) and built elsewhere ([`Record::value`]), with the same faults at the same places.

use std::borrow::Cow;

use super::report::{Fault, Report};
use crate::rdb::format::{opcode, HEADER_BYTES, MAGIC_REDIS, MAGIC_VALKEY, VERSION_REDIS_8, VERSION_VALKEY_9};
use crate::rdb::{crc64, load, skip, Corrupt, Limits, Loaded, Reader};

/// Since this version a file ends with a checksum.
const CHECKSUM_SINCE: u16 = 5;
/// Type, length of the key, and a value of a byte: no key takes less.
const RECORD_BYTES_MIN: usize = 3;

/// One key of a file, without its value.
pub struct Record<'a> {
    pub db: u16,
    pub kind: u8,
    pub key: Cow<'a, [u8]>,
    pub expires_ms: Option<i64>,
    /// Seconds without use, or a counter of uses.
    pub idle: Option<u64>,
    pub frequency: Option<u8>,
    /// What has expired by then goes.
    pub now_ms: i64,
    /// Where what belongs to it begins, where its value does, and, once that was passed, where it ends.
    pub begin: usize,
    value_at: usize,
    pub end: usize,
}

/// What comes next in a file.
pub enum Next<'a> {
    Key(Record<'a>),
    /// So many keys of this database are to come.
    Size(u16, usize),
    End,
}

/// A walk over a file.
pub struct Walk<'a> {
    pub bytes: &'a [u8],
    reader: Reader<'a>,
    pub limits: Limits,
    pub now_ms: i64,
    /// Whether what has expired is kept if the file says to which history of replication it belongs.
    pub keeps_expired_of_history: bool,
    db: u16,
    databases_max: usize,
    pub report: Report,
    /// Where the last key is.
    key_at: Option<usize>,
    /// The checksum of what is before `summed`.
    checksum: u64,
    summed: usize,
    /// Keys that may still be announced: more cannot be in the file.
    announced_max: usize,
}

/// An error of the bytes: they end too early, or are no such thing.
fn corrupt(reader: &Reader<'_>, what: &str) -> String {
    if reader.left() == 0 {
        return format!("the file ends in the middle of {what}");
    }
    format!("{what} is not what it claims to be")
}

fn of_kind(kind: u8) -> String {
    format!("a value of type {kind}")
}

impl<'a> Record<'a> {
    /// Builds the value from the bytes of the file.
    pub fn value(&self, bytes: &'a [u8], limits: &Limits) -> Result<Loaded<'a>, Fault> {
        let mut reader = Reader::new(bytes.get(self.value_at..).unwrap_or_default());
        let loaded = load(&mut reader, self.kind, limits, self.now_ms);
        let end = bytes.len() - reader.left();
        match loaded {
            Ok(value) if end == self.end => Ok(value),
            _ => {
                let what = corrupt(&reader, &of_kind(self.kind));
                Err(Fault { offset: end as u64, key: Some(self.key.to_vec()), what })
            }
        }
    }

    /// What is wrong with a record that as such is sound.
    pub fn fault(&self, what: &str) -> Fault {
        Fault { offset: self.end as u64, key: Some(self.key.to_vec()), what: what.to_owned() }
    }
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8], limits: Limits, now_ms: i64, databases_max: usize) -> Walk<'a> {
        Walk {
            bytes,
            reader: Reader::new(bytes),
            limits,
            now_ms,
            keeps_expired_of_history: false,
            db: 0,
            databases_max,
            report: Report::default(),
            key_at: None,
            checksum: 0,
            summed: 0,
            announced_max: bytes.len() / RECORD_BYTES_MIN,
        }
    }

    /// How far it has come.
    pub fn offset(&self) -> usize {
        self.bytes.len() - self.reader.left()
    }

    pub fn fault(&self, what: impl Into<String>) -> Fault {
        let key = self.key_at.and_then(|at| Reader::new(&self.bytes[at..]).string().ok());
        Fault { offset: self.offset() as u64, key: key.map(Cow::into_owned), what: what.into() }
    }

    fn or_fault<T>(&self, result: Result<T, Corrupt>, what: &str) -> Result<T, Fault> {
        result.map_err(|Corrupt| self.fault(corrupt(&self.reader, what)))
    }

    /// Reads the header.
    pub fn header(&mut self) -> Result<(), Fault> {
        let header = self.reader.array::<HEADER_BYTES>();
        let header = header.map_err(|Corrupt| self.fault("the file is shorter than its header"))?;
        let (is_valkey, digits) =
            match (header.strip_prefix(MAGIC_REDIS.as_bytes()), header.strip_prefix(MAGIC_VALKEY.as_bytes())) {
                (Some(digits), _) => (false, digits),
                (_, Some(digits)) => (true, digits),
                _ => return Err(self.fault("it begins like no RDB file")),
            };
        let version = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let version: u16 = version.ok_or_else(|| self.fault("its version is no number"))?;
        let is_known = match is_valkey {
            _ if self.limits.later_versions => version > 0,
            true => version == VERSION_VALKEY_9,
            false => (1..=VERSION_REDIS_8).contains(&version),
        };
        if !is_known {
            return Err(self.fault(format!("its RDB version {version} is not known")));
        }
        (self.report.version, self.report.is_valkey) = (version, is_valkey);
        Ok(())
    }

    fn text(&mut self, what: &str) -> Result<Cow<'a, [u8]>, Fault> {
        let text = self.reader.string();
        self.or_fault(text, what)
    }

    fn number(&mut self, what: &str) -> Result<u64, Fault> {
        let number = self.reader.number();
        self.or_fault(number, what)
    }

    /// The next key, up to its value; at the file's end, that is checked.
    pub fn next(&mut self) -> Result<Next<'a>, Fault> {
        let begin = self.offset();
        let (mut expires_ms, mut idle, mut frequency) = (None, None, None);
        loop {
            let code = self.reader.byte();
            match self.or_fault(code, "an opcode")? {
                opcode::AUX => self.aux()?,
                opcode::SELECT_DB => self.select()?,
                opcode::RESIZE_DB => {
                    let keys = self.size()?;
                    if expires_ms.is_none() && idle.is_none() && frequency.is_none() {
                        return Ok(Next::Size(self.db, keys));
                    }
                }
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        self.number("a slot's size")?;
                    }
                }
                opcode::FUNCTION => {
                    let source = self.text("a library of functions")?.into_owned();
                    self.report.functions.push(source);
                }
                opcode::EXPIRES_MS => {
                    let at = self.reader.milliseconds();
                    expires_ms = Some(self.or_fault(at, "an expiry")?);
                }
                opcode::EXPIRES_SECONDS => {
                    let at = self.reader.array::<4>().map(i32::from_le_bytes);
                    expires_ms = Some(i64::from(self.or_fault(at, "an expiry")?) * 1000);
                }
                opcode::IDLE => idle = Some(self.number("an idle time")?),
                opcode::FREQUENCY => {
                    let count = self.reader.byte();
                    frequency = Some(self.or_fault(count, "a frequency")?);
                }
                opcode::END => {
                    self.end()?;
                    return Ok(Next::End);
                }
                opcode::MODULE_AUX | opcode::FUNCTION_BEFORE_RELEASE => {
                    return Err(self.fault("it holds what only a module or a release candidate can read"))
                }
                kind => {
                    let key_at = self.offset();
                    let key = self.text("a key")?;
                    self.key_at = Some(key_at);
                    let (db, now_ms, value_at) = (self.db, self.now_ms, self.offset());
                    let record =
                        Record { db, kind, key, expires_ms, idle, frequency, now_ms, begin, value_at, end: value_at };
                    return Ok(Next::Key(record));
                }
            }
        }
    }

    /// Loads the value of the key that was found last.
    pub fn load(&mut self, record: &mut Record<'a>) -> Result<Loaded<'a>, Fault> {
        let value = load(&mut self.reader, record.kind, &self.limits, record.now_ms);
        let value = self.or_fault(value, &of_kind(record.kind))?;
        self.count(record);
        Ok(value)
    }

    /// Passes the value of the key that was found last. One that has no end is built, which tells what is wrong with it.
    pub fn pass(&mut self, record: &mut Record<'a>) -> Result<(), Fault> {
        let at_value = self.reader.clone();
        if skip(&mut self.reader, record.kind).is_err() {
            self.reader = at_value;
            self.load(record)?;
            return Ok(());
        }
        self.count(record);
        Ok(())
    }

    fn count(&mut self, record: &mut Record<'a>) {
        record.end = self.offset();
        self.report.keys += 1;
        self.report.volatile += u64::from(record.expires_ms.is_some());
    }

    fn aux(&mut self) -> Result<(), Fault> {
        let (name, text) = (self.text("an auxiliary field")?, self.text("an auxiliary field")?);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if self.keeps_expired_of_history && *name == *b"repl-id" {
            self.now_ms = 0;
        }
        self.report.aux.push((shown(&name), shown(&text)));
        Ok(())
    }

    /// How many keys are to be expected of a database; whoever has made the file may have announced any number.
    fn size(&mut self) -> Result<usize, Fault> {
        let keys = self.number("a database's size")?;
        let volatile = self.number("a database's size")?;
        // Of those that can expire nobody knows how many have.
        let keys = if self.now_ms == 0 { keys } else { keys.saturating_sub(volatile) };
        let keys = usize::try_from(keys).unwrap_or(usize::MAX).min(self.announced_max);
        self.announced_max -= keys;
        Ok(keys)
    }

    /// Brings the checksum up to where the walk is, so that its end has little left to do.
    pub fn sum_up(&mut self) {
        let offset = self.offset();
        if self.report.version >= CHECKSUM_SINCE {
            self.checksum = crc64(self.checksum, &self.bytes[self.summed..offset]);
        }
        self.summed = offset;
    }

    fn select(&mut self) -> Result<(), Fault> {
        let number = self.number("a database's number")?;
        if number >= self.databases_max as u64 {
            let what = format!("it has a database {number}, and there are only {}", self.databases_max);
            return Err(self.fault(what));
        }
        self.db = number as u16;
        self.report.databases = self.report.databases.max(number as usize + 1);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.key_at = None;
        if self.report.version >= CHECKSUM_SINCE {
            self.sum_up();
            let told = self.reader.array::<8>().map(u64::from_le_bytes);
            let told = self.or_fault(told, "the checksum")?;
            if told != 0 && told != self.checksum {
                return Err(self.fault("its checksum is wrong"));
            }
            self.report.has_checksum = told != 0;
        }
        self.report.end = self.offset() as u64;
        Ok(())
    }
}
