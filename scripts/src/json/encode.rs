//! Lua to JSON.

use std::ffi::c_int;

use super::{options, Options};
use crate::api::State;
use crate::context::Context;
use crate::interruption;
use crate::lua::{kind, Lua};
use crate::number::format_general;

/// The longest text that is made: a table that contains another one twice, and so on, has no bound of its own.
const TEXT_BYTES_MAX: usize = 512 << 20;

pub unsafe extern "C-unwind" fn encode(state: *mut State) -> c_int {
    let lua = Lua(state);
    lua.check(lua.top() == 1, 1, c"expected 1 argument");
    let (context, options) = (lua.context(), *options(lua));
    context.scratch.clear();
    let mut encoder = Encoder { lua, context, options };
    encoder.value(0);
    lua.push_bytes(&*(encoder.context.scratch.as_slice() as *const [u8]));
    1
}

struct Encoder<'a> {
    lua: Lua,
    context: &'a mut Context,
    options: Options,
}

impl Encoder<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.context.scratch.extend_from_slice(bytes);
    }

    /// Writes the value on the top of the stack.
    unsafe fn value(&mut self, depth: c_int) {
        match self.lua.kind(-1) {
            kind::STRING => self.string(-1),
            kind::NUMBER => self.number(-1),
            kind::BOOLEAN if self.lua.to_boolean(-1) => self.write(b"true"),
            kind::BOOLEAN => self.write(b"false"),
            kind::TABLE => self.table(depth + 1),
            kind::NIL => self.write(b"null"),
            kind::LIGHT_USERDATA if self.lua.to_userdata(-1).is_null() => self.write(b"null"),
            _ => self.refuse(-1, "type not supported"),
        }
    }

    unsafe fn table(&mut self, depth: c_int) {
        interruption::count(self.lua, self.context, interruption::TABLE_STEPS);
        if depth > self.options.encode_depth_max || !self.lua.check_stack(3) {
            self.lua.fail_with(self.context, format_args!("Cannot serialise, excessive nesting ({depth})"));
        }
        if self.context.scratch.len() > TEXT_BYTES_MAX {
            self.lua.fail(b"Cannot serialise, the text becomes too long");
        }
        match self.array_length() {
            length if length > 0 => self.array(length, depth),
            _ => self.object(depth),
        }
    }

    /// The length of the table on the top as an array, or -1 if it is none.
    unsafe fn array_length(&mut self) -> c_int {
        let lua = self.lua;
        let (mut longest, mut items) = (0, 0i64);
        lua.push_nil();
        while lua.next(-2) {
            let key = if lua.kind(-2) == kind::NUMBER { lua.to_number(-2) } else { 0.0 };
            if key.floor() != key || key < 1.0 {
                lua.pop(2);
                return -1;
            }
            if key > f64::from(longest) {
                // What is no `int` becomes the smallest one in C, which makes an object of the table.
                longest = if key > f64::from(c_int::MAX) { c_int::MIN } else { key as c_int };
            }
            items += 1;
            lua.pop(1);
        }
        let Options { sparse_ratio, sparse_safe, sparse_convert, .. } = self.options;
        if sparse_ratio > 0 && i64::from(longest) > items * i64::from(sparse_ratio) && longest > sparse_safe {
            if sparse_convert == 0 {
                self.refuse(-1, "excessively sparse array");
            }
            return -1;
        }
        longest
    }

    unsafe fn array(&mut self, length: c_int, depth: c_int) {
        self.write(b"[");
        for number in 1..=length {
            if number > 1 {
                self.write(b",");
            }
            self.lua.raw_get_at(-1, number);
            self.value(depth);
            self.lua.pop(1);
        }
        self.write(b"]");
    }

    unsafe fn object(&mut self, depth: c_int) {
        self.write(b"{");
        let mut first = true;
        self.lua.push_nil();
        while self.lua.next(-2) {
            if !std::mem::take(&mut first) {
                self.write(b",");
            }
            match self.lua.kind(-2) {
                kind::NUMBER => {
                    self.write(b"\"");
                    self.number(-2);
                    self.write(b"\":");
                }
                kind::STRING => {
                    self.string(-2);
                    self.write(b":");
                }
                _ => self.refuse(-2, "table key must be a number or string"),
            }
            self.value(depth);
            self.lua.pop(1);
        }
        self.write(b"}");
    }

    unsafe fn number(&mut self, index: c_int) {
        let number = self.lua.to_number(index);
        if !number.is_finite() {
            match self.options.encode_invalid {
                0 => self.refuse(index, "must not be NaN or Inf"),
                1 if number.is_nan() => return self.write(b"nan"),
                1 => {}
                _ => return self.write(b"null"),
            }
        }
        // What most numbers are is written without C's help.
        let is_plain = number == number.trunc() && number.abs() < 1e9 && (number != 0.0 || number.is_sign_positive());
        if is_plain && self.options.precision >= 10 {
            return sherd_types::number::append_i64(&mut self.context.scratch, number as i64);
        }
        format_general(&mut self.context.scratch, number, self.options.precision);
    }

    unsafe fn string(&mut self, index: c_int) {
        let bytes = self.lua.to_bytes(index).unwrap_or_default();
        self.write(b"\"");
        let mut plain = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if !needs_escape(byte) {
                continue;
            }
            self.write(&bytes[plain..at]);
            plain = at + 1;
            self.escape(byte);
        }
        self.write(&bytes[plain..]);
        self.write(b"\"");
    }

    fn escape(&mut self, byte: u8) {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'/' => b"\\/",
            8 => b"\\b",
            9 => b"\\t",
            10 => b"\\n",
            12 => b"\\f",
            13 => b"\\r",
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                return self.write(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        };
        self.write(short);
    }

    /// Raises the error that a value cannot be written.
    #[cold]
    unsafe fn refuse(&mut self, index: c_int, reason: &str) {
        let name = self.lua.kind_name(index);
        self.lua.fail_with(self.context, format_args!("Cannot serialise {name}: {reason}"));
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < 32 || matches!(byte, b'"' | b'\\' | b'/' | 127)
}
