//! Lua values to replies, as scripts return them.
//!
//! Only raw accesses: no metamethod of the script's runs. The names of fields are upvalues of the function that calls this, so
//! that looking for them costs neither hashing nor an allocation.

use std::ffi::c_int;

use sherd_shards::handler::reply::{Protocol, Reply};

use crate::context::Phase;
use crate::interruption;
use crate::lua::{kind, upvalue, Lua};
use crate::number::truncate;

/// The fields by which a table is more than an array, in the order in which they are looked for, and those of a verbatim string.
pub const FIELDS: [&[u8]; 9] =
    [b"err", b"ok", b"double", b"big_number", b"verbatim_string", b"map", b"set", b"format", b"string"];

const ERR: c_int = 0;
const OK: c_int = 1;
const DOUBLE: c_int = 2;
const BIG_NUMBER: c_int = 3;
const VERBATIM_STRING: c_int = 4;
const MAP: c_int = 5;
const SET: c_int = 6;
const FORMAT: c_int = 7;
const STRING: c_int = 8;

/// Bytes of a reply: a table that contains another one twice, and so on, has no bound of its own.
const REPLY_BYTES_MAX: usize = 512 << 20;

/// See the [module](self).
pub struct Encoder<'a> {
    pub lua: Lua,
    pub out: &'a mut Vec<u8>,
    /// What the client speaks.
    pub client_protocol: Protocol,
    /// What the script has asked for.
    pub script_protocol: Protocol,
    /// The upvalue of the first of [`FIELDS`].
    pub first_field: c_int,
    /// Where the reply ends at the latest; its client is sent nothing of what is longer.
    pub end_max: usize,
    /// Whether an error was written that nobody has counted.
    pub failed: bool,
}

impl Encoder<'_> {
    fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out, self.client_protocol)
    }

    /// Writes a value that is in another one, which is on the top of the stack, and takes it off.
    unsafe fn value(&mut self) {
        let lua = self.lua;
        if self.out.len() > REPLY_BYTES_MAX.min(self.end_max) {
            if self.out.len() > self.end_max {
                lua.context().task.phase = Phase::TooLong;
            }
            // Nothing of it is sent; going on through all that there is would take as long as it is large.
            lua.fail(b"the reply becomes too long");
        }
        if !lua.check_stack(4) {
            self.reply().error_bytes(b"ERR reached lua stack limit");
            self.failed = true;
            return lua.pop(1);
        }
        self.write();
    }

    /// Writes the value on the top of the stack and takes it off; on the stack is the room that any native function has.
    pub unsafe fn write(&mut self) {
        let lua = self.lua;
        match lua.kind(-1) {
            kind::STRING => {
                let bytes = lua.to_bytes(-1).unwrap_or_default();
                self.reply().bulk(bytes);
            }
            kind::NUMBER => {
                let number = truncate(lua.to_number(-1));
                self.reply().int(number);
            }
            kind::BOOLEAN => {
                let value = lua.to_boolean(-1);
                self.boolean(value);
            }
            kind::TABLE => self.table(),
            _ => self.reply().null(),
        }
        lua.pop(1);
    }

    fn boolean(&mut self, value: bool) {
        match (self.script_protocol.is_resp3(), value) {
            (true, _) if self.client_protocol.is_resp3() => {
                self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" })
            }
            (true, _) => self.reply().flag(value),
            (false, true) => self.reply().int(1),
            (false, false) => self.reply().null(),
        }
    }

    /// Pushes a field of the table on the top, if it is of a type; else pushes nothing.
    unsafe fn field(&mut self, field: c_int, wanted: i32) -> bool {
        self.lua.push_value(upvalue(self.first_field + field));
        self.lua.raw_get(-2);
        if self.lua.kind(-1) == wanted {
            return true;
        }
        self.lua.pop(1);
        false
    }

    unsafe fn table(&mut self) {
        let lua = self.lua;
        interruption::count(lua, lua.context(), interruption::TABLE_STEPS);
        if self.field(ERR, kind::STRING) {
            let text = lua.to_c_bytes(-1).unwrap_or_default();
            self.error(text);
            self.failed |= !counted(lua);
        } else if self.field(OK, kind::STRING) {
            let text = lua.to_c_bytes(-1).unwrap_or_default();
            self.line(b'+', text);
        } else if self.field(DOUBLE, kind::NUMBER) {
            let number = lua.to_number(-1);
            self.reply().double(number);
        } else if self.field(BIG_NUMBER, kind::STRING) {
            let text = lua.to_bytes(-1).unwrap_or_default();
            self.big_number(text);
        } else if self.field(VERBATIM_STRING, kind::TABLE) {
            if !self.verbatim() {
                lua.pop(1);
                return self.plain_table();
            }
        } else {
            return self.plain_table();
        }
        lua.pop(1);
    }

    unsafe fn plain_table(&mut self) {
        if self.field(MAP, kind::TABLE) {
            self.map();
        } else if self.field(SET, kind::TABLE) {
            self.set();
        } else {
            return self.array();
        }
        self.lua.pop(1);
    }

    /// An error: line breaks at its end are left out, others become blanks.
    fn error(&mut self, text: &[u8]) {
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let text = &text[..end];
        self.line(b'-', text);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    fn big_number(&mut self, text: &[u8]) {
        if self.client_protocol.is_resp3() {
            return self.line(b'(', text);
        }
        let start = self.out.len();
        self.reply().bulk(text);
        let written = self.out.len();
        for byte in &mut self.out[start..written][..] {
            // Line breaks within the number; those of the protocol are put back below.
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        let header_end = written - 2 - text.len();
        self.out[header_end - 2..header_end].copy_from_slice(b"\r\n");
        self.out[written - 2..].copy_from_slice(b"\r\n");
    }

    /// A verbatim string, whose table is on the top; false if it is none.
    unsafe fn verbatim(&mut self) -> bool {
        let lua = self.lua;
        if !self.field(FORMAT, kind::STRING) {
            return false;
        }
        let format = lua.to_c_bytes(-1).unwrap_or_default();
        lua.push_value(upvalue(self.first_field + STRING));
        lua.raw_get(-3);
        if lua.kind(-1) != kind::STRING {
            lua.pop(2);
            return false;
        }
        let text = lua.to_bytes(-1).unwrap_or_default();
        if self.client_protocol.is_resp3() {
            let mut three = [b' '; 3];
            three.iter_mut().zip(format).for_each(|(place, &byte)| *place = byte);
            self.out.push(b'=');
            sherd_types::number::append_i64(self.out, text.len() as i64 + 4);
            self.out.extend_from_slice(b"\r\n");
            self.out.extend_from_slice(&three);
            self.out.push(b':');
            self.out.extend_from_slice(text);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.reply().bulk(text);
        }
        lua.pop(2);
        true
    }

    /// Puts a collection's header before what was written since `start`.
    unsafe fn put_header(&mut self, start: usize, write: impl FnOnce(&mut Reply<'_>)) {
        let body = self.out.len();
        write(&mut self.reply());
        let header = self.out.len() - body;
        self.out[start..].rotate_right(header);
    }

    unsafe fn map(&mut self) {
        let (lua, start, mut pairs) = (self.lua, self.out.len(), 0);
        lua.push_nil();
        while lua.next(-2) {
            lua.push_value(-2);
            self.value();
            self.value();
            pairs += 1;
        }
        self.put_header(start, |reply| reply.map(pairs));
    }

    unsafe fn set(&mut self) {
        let (lua, start, mut members) = (self.lua, self.out.len(), 0);
        lua.push_nil();
        while lua.next(-2) {
            lua.pop(1);
            lua.push_value(-1);
            self.value();
            members += 1;
        }
        self.put_header(start, |reply| reply.set(members));
    }

    /// An array ends before its first nil. Its length is mostly what Lua says; where holes make it another one, the header is
    /// written again.
    unsafe fn array(&mut self) {
        let (lua, start) = (self.lua, self.out.len());
        let expected = lua.length(-1);
        self.reply().array(expected);
        let body = self.out.len();
        let mut count = 0;
        loop {
            lua.raw_get_at(-1, count as c_int + 1);
            if lua.kind(-1) == kind::NIL {
                break lua.pop(1);
            }
            self.value();
            count += 1;
        }
        if count != expected {
            self.out.drain(start..body);
            self.put_header(start, |reply| reply.array(count));
        }
    }
}

/// Whether the error in the table below the top was counted where it arose.
unsafe fn counted(lua: Lua) -> bool {
    lua.push_bytes(b"ignore_error_stats_update");
    lua.raw_get(-3);
    let counted = lua.kind(-1) == kind::BOOLEAN && lua.to_boolean(-1);
    lua.pop(1);
    counted
}
