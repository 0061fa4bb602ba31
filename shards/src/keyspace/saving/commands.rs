//! A big collection as commands that add some of its elements each: for the base of an append-only file that is to consist of
//! commands. Smaller ones are written as RESTORE, which has to have a value whole.

use crate::entry::object::Type;
use crate::journal::resp;
use crate::rdb::Writer;
use sherd_types::number::{append_f64, append_i64};
use sherd_types::walk::Element;

/// Elements that one command adds.
const ELEMENTS_A_COMMAND: usize = 64;
/// Bytes of elements after which a command is complete.
const COMMAND_BYTES: usize = 16 << 10;

/// See the [module](self).
pub struct Commands {
    key: Vec<u8>,
    kind: Type,
    expiry: Option<i64>,
    /// The elements of the next command as its parts, and how many parts those are.
    parts: Vec<u8>,
    count: usize,
    elements: usize,
    /// The commands that set the times of those elements.
    times: Vec<u8>,
}

impl Commands {
    pub fn new(key: &[u8], kind: Type, expiry: Option<i64>) -> Commands {
        Commands { key: key.to_vec(), kind, expiry, parts: Vec::new(), count: 0, elements: 0, times: Vec::new() }
    }

    /// Adds an element.
    pub fn add(&mut self, writer: &mut Writer, element: &Element<'_>) {
        let mut number = Vec::new();
        let (first, second) = match self.kind {
            Type::Hash => (element.name, Some(element.value)),
            Type::SortedSet => {
                append_f64(&mut number, element.score);
                (number.as_slice(), Some(element.name))
            }
            _ => (element.name, None),
        };
        for part in [Some(first), second].into_iter().flatten() {
            resp::part(&mut self.parts, part);
            self.count += 1;
        }
        if let Some(at_ms) = element.expiry {
            let (command, word): (&[u8], &[u8]) = match self.kind {
                Type::Set => (b"SPEXPIREAT", b"MEMBERS"),
                _ => (b"HPEXPIREAT", b"FIELDS"),
            };
            let at = at_ms.to_string();
            resp::append(&mut self.times, &[command, &self.key, at.as_bytes(), word, b"1", element.name]);
        }
        self.elements += 1;
        if self.elements == ELEMENTS_A_COMMAND || self.parts.len() >= COMMAND_BYTES {
            self.flush(writer);
        }
    }

    fn flush(&mut self, writer: &mut Writer) {
        if self.count == 0 {
            return;
        }
        let command: &[u8] = match self.kind {
            Type::Hash => b"HSET",
            Type::SortedSet => b"ZADD",
            Type::List => b"RPUSH",
            _ => b"SADD",
        };
        let mut head = Vec::new();
        resp::begin(&mut head, 2 + self.count);
        resp::part(&mut head, command);
        resp::part(&mut head, &self.key);
        [&head, &self.parts, &self.times].into_iter().for_each(|bytes| writer.raw(bytes));
        self.parts.clear();
        self.times.clear();
        (self.count, self.elements) = (0, 0);
    }

    /// Writes what is left.
    pub fn finish(&mut self, writer: &mut Writer) {
        self.flush(writer);
        write_expiry(writer, &self.key, self.expiry);
    }
}

/// Writes the command that sets the time of a key, if it has one.
pub fn write_expiry(writer: &mut Writer, key: &[u8], expiry: Option<i64>) {
    if let Some(at) = expiry {
        let (mut bytes, mut number) = (Vec::new(), Vec::new());
        append_i64(&mut number, at);
        resp::append(&mut bytes, &[b"PEXPIREAT", key, &number]);
        writer.raw(&bytes);
    }
}
