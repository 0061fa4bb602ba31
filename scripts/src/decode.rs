//! Replies of commands to Lua values.
//!
//! The reply is the server's own, in RESP2 or RESP3 as the script has asked, and is read straight onto Lua's stack. What is not
//! well-formed is read as nil rather than trusted.

use std::ffi::c_int;

use crate::lua::Lua;

/// Pushes the value of a reply.
///
/// # Safety
/// As for every function that calls Lua; the reply must belong to the context, not to a frame.
pub unsafe fn push_reply(lua: Lua, reply: &[u8]) {
    let mut input = Input { lua, rest: reply };
    input.outermost();
}

/// Pushes an error as scripts get it: a table with its text, which begins with a code.
pub unsafe fn push_error(lua: Lua, text: &[u8]) {
    lua.new_table(0, 2);
    lua.push_bytes(text);
    lua.set_field(-2, c"err");
}

/// Digits of integers that cannot overflow.
const SHORT_DIGITS_MAX: usize = 16;

struct Input<'a> {
    lua: Lua,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// The line up to the next line break.
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| byte == b'\r').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn integer(&mut self) -> i64 {
        let (is_negative, digits) = match self.rest {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut value = 0;
        for (at, &byte) in digits.iter().take(SHORT_DIGITS_MAX + 1).enumerate() {
            match byte {
                b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
                b'\r' if at > 0 => {
                    self.rest = digits.get(at + 2..).unwrap_or_default();
                    return if is_negative { -value } else { value };
                }
                _ => break,
            }
        }
        self.long_integer()
    }

    #[cold]
    fn long_integer(&mut self) -> i64 {
        sherd_types::number::parse_i64(self.line()).unwrap_or(0)
    }

    /// The bytes of a bulk string whose length is known.
    fn bulk(&mut self, length: usize) -> &'a [u8] {
        let bytes = self.rest.get(..length).unwrap_or_default();
        self.rest = self.rest.get(length + 2..).unwrap_or_default();
        bytes
    }

    /// Pushes a value that is in another one.
    unsafe fn value(&mut self) {
        self.lua.need_stack(6, c"in a reply");
        self.outermost();
    }

    /// Pushes a value; on the stack is the room that any native function has.
    unsafe fn outermost(&mut self) {
        let lua = self.lua;
        let Some((&kind, rest)) = self.rest.split_first() else { return lua.push_nil() };
        self.rest = rest;
        match kind {
            b':' => lua.push_number(self.integer() as f64),
            b'$' => match self.integer() {
                length if length < 0 => lua.push_boolean(false),
                length => lua.push_bytes(self.bulk(length as usize)),
            },
            b'*' => match self.integer() {
                count if count < 0 => lua.push_boolean(false),
                count => self.array(count as usize),
            },
            b'+' => self.one_field(c"ok"),
            b'-' => self.error(),
            b'%' => self.map(),
            b'~' => self.set(),
            b'_' => {
                self.line();
                lua.push_nil();
            }
            b'#' => lua.push_boolean(self.line() == b"t"),
            b',' => self.double(),
            b'(' => self.one_field(c"big_number"),
            b'=' => self.verbatim(),
            _ => lua.push_nil(),
        }
    }

    /// A table with the rest of the line under a name.
    unsafe fn one_field(&mut self, name: &std::ffi::CStr) {
        let line = self.line();
        self.lua.new_table(0, 1);
        self.lua.push_bytes(line);
        self.lua.set_field(-2, name);
    }

    unsafe fn error(&mut self) {
        let line = self.line();
        push_error(self.lua, line);
        if !line.contains(&b' ') {
            // A text without a code gets the general one.
            self.lua.push_bytes(b"ERR ");
            self.lua.push_bytes(line);
            self.lua.concat(2);
            self.lua.set_field(-2, c"err");
        }
        // It was counted where the command was executed.
        self.lua.push_boolean(true);
        self.lua.set_field(-2, c"ignore_error_stats_update");
    }

    unsafe fn array(&mut self, count: usize) {
        self.lua.new_table(count, 0);
        for number in 1..=count {
            self.value();
            self.lua.raw_set_at(-2, number as c_int);
        }
    }

    unsafe fn map(&mut self) {
        let count = self.integer().max(0) as usize;
        let lua = self.lua;
        lua.new_table(0, 1);
        lua.new_table(0, count);
        for _ in 0..count {
            self.value();
            self.value();
            lua.raw_set(-3);
        }
        lua.set_field(-2, c"map");
    }

    unsafe fn set(&mut self) {
        let count = self.integer().max(0) as usize;
        let lua = self.lua;
        lua.new_table(0, 1);
        lua.new_table(0, count);
        for _ in 0..count {
            self.value();
            lua.push_boolean(true);
            lua.raw_set(-3);
        }
        lua.set_field(-2, c"set");
    }

    unsafe fn double(&mut self) {
        let value = match self.line() {
            b"inf" => f64::INFINITY,
            b"-inf" => f64::NEG_INFINITY,
            text => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        };
        self.lua.new_table(0, 1);
        self.lua.push_number(value);
        self.lua.set_field(-2, c"double");
    }

    unsafe fn verbatim(&mut self) {
        let length = self.integer().max(0) as usize;
        let bytes = self.bulk(length);
        let (format, text) = bytes.split_at_checked(4).unwrap_or((b"txt:", bytes));
        let lua = self.lua;
        lua.new_table(0, 1);
        lua.new_table(0, 2);
        lua.push_bytes(text);
        lua.set_field(-2, c"string");
        lua.push_bytes(&format[..3]);
        lua.set_field(-2, c"format");
        lua.set_field(-2, c"verbatim_string");
    }
}
