//! JSON to Lua.

use std::ffi::c_int;

use super::{options, Options};
use crate::api::State;
use crate::context::Context;
use crate::lua::Lua;
use crate::number;

pub unsafe extern "C-unwind" fn decode(state: *mut State) -> c_int {
    let lua = Lua(state);
    lua.check(lua.top() == 1, 1, c"expected 1 argument");
    let text = lua.argument_bytes(1);
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        lua.fail(b"JSON parser does not support UTF-16 or UTF-32");
    }
    let mut parser = Parser { lua, context: lua.context(), options: *options(lua), text, at: 0, depth: 0 };
    let token = parser.token();
    parser.value(&token);
    let token = parser.token();
    if token.kind != Kind::End {
        parser.unexpected("the end", &token);
    }
    1
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its text is in the context's scratch buffer.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::String => "T_STRING",
            Kind::Number(_) => "T_NUMBER",
            Kind::Boolean(_) => "T_BOOLEAN",
            Kind::Null => "T_NULL",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::End => "T_END",
            Kind::Error(reason) => reason,
        }
    }
}

#[derive(Clone, Copy)]
struct Token {
    kind: Kind,
    /// Where it begins, or where the error is.
    at: usize,
}

struct Parser<'a> {
    lua: Lua,
    context: &'a mut Context,
    options: Options,
    /// A zero byte follows it.
    text: &'a [u8],
    at: usize,
    depth: c_int,
}

impl Parser<'_> {
    /// The byte at a distance from here; zero at the end, as in C.
    fn byte(&self, distance: usize) -> u8 {
        self.text.get(self.at + distance).copied().unwrap_or(0)
    }

    fn starts_with(&self, word: &[u8]) -> bool {
        self.text[self.at..].starts_with(word)
    }

    unsafe fn token(&mut self) -> Token {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.byte(0) {
            b'{' => Kind::ObjectBegin,
            b'}' => Kind::ObjectEnd,
            b'[' => Kind::ArrayBegin,
            b']' => Kind::ArrayEnd,
            b',' => Kind::Comma,
            b':' => Kind::Colon,
            0 => return Token { kind: Kind::End, at },
            b'"' => return self.string(at),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' | b'-' | b'0'..=b'9' => return self.word(at),
            _ => return self.error("invalid token"),
        };
        self.at += 1;
        Token { kind: single, at }
    }

    fn error(&self, reason: &'static str) -> Token {
        Token { kind: Kind::Error(reason), at: self.at }
    }

    unsafe fn word(&mut self, at: usize) -> Token {
        let invalid_allowed = self.options.decode_invalid != 0;
        if matches!(self.byte(0), b'-' | b'0'..=b'9') {
            if !invalid_allowed && self.is_invalid_number() {
                return self.error("invalid number");
            }
            return self.number(at);
        }
        for (word, kind) in
            [(&b"true"[..], Kind::Boolean(true)), (b"false", Kind::Boolean(false)), (b"null", Kind::Null)]
        {
            if self.starts_with(word) {
                self.at += word.len();
                return Token { kind, at };
            }
        }
        if invalid_allowed && self.is_invalid_number() {
            return self.number(at);
        }
        self.error("invalid token")
    }

    /// Whether `strtod` may read it although it is not JSON: hexadecimal, infinite, not a number, with leading zeros or `+`.
    fn is_invalid_number(&self) -> bool {
        if self.byte(0) == b'+' {
            return true;
        }
        let sign = usize::from(self.byte(0) == b'-');
        if self.byte(sign) == b'0' {
            let next = self.byte(sign + 1);
            return next | 0x20 == b'x' || next.is_ascii_digit();
        }
        let word = [self.byte(sign), self.byte(sign + 1), self.byte(sign + 2)];
        self.byte(sign) > b'9' && (word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan"))
    }

    unsafe fn number(&mut self, at: usize) -> Token {
        // Small integers, which most numbers are, need no conversion.
        let digits = self.text[self.at..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        if (1..10).contains(&digits) && !matches!(self.byte(digits), b'.' | b'e' | b'E' | b'x' | b'X') {
            let value =
                self.text[at..at + digits].iter().fold(0u32, |value, &byte| value * 10 + u32::from(byte - b'0'));
            self.at += digits;
            return Token { kind: Kind::Number(f64::from(value)), at };
        }
        let (value, length) = number::parse(&self.text[self.at..]);
        if length == 0 {
            return self.error("invalid number");
        }
        self.at += length;
        Token { kind: Kind::Number(value), at }
    }

    /// Reads a string into the scratch buffer.
    fn string(&mut self, at: usize) -> Token {
        self.at += 1;
        self.context.scratch.clear();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0)).unwrap_or(rest.len());
            self.context.scratch.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.byte(0) {
                b'"' => break,
                b'\\' => {
                    if let Err(reason) = self.escape() {
                        return self.error(reason);
                    }
                }
                _ => return self.error("unexpected end of string"),
            }
        }
        self.at += 1;
        Token { kind: Kind::String, at }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.byte(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'f' => 12,
            b'r' => 13,
            b'u' => return self.unicode().ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        self.context.scratch.push(byte);
        self.at += 2;
        Ok(())
    }

    fn hexadecimal(&self, distance: usize) -> Option<u32> {
        (distance..distance + 4)
            .try_fold(0, |value, distance| Some(value << 4 | char::from(self.byte(distance)).to_digit(16)?))
    }

    fn unicode(&mut self) -> Option<()> {
        let mut code = self.hexadecimal(2)?;
        let mut length = 6;
        if code & 0xF800 == 0xD800 {
            if code & 0x400 != 0 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
                return None;
            }
            let low = self.hexadecimal(8).filter(|low| low & 0xFC00 == 0xDC00)?;
            code = ((code & 0x3FF) << 10 | low & 0x3FF) + 0x10000;
            length = 12;
        }
        let mut buffer = [0; 4];
        let text = char::from_u32(code)?.encode_utf8(&mut buffer);
        self.context.scratch.extend_from_slice(text.as_bytes());
        self.at += length;
        Some(())
    }

    unsafe fn push_string(&mut self) {
        self.lua.push_bytes(&*(self.context.scratch.as_slice() as *const [u8]));
    }

    unsafe fn value(&mut self, token: &Token) {
        match token.kind {
            Kind::String => self.push_string(),
            Kind::Number(value) => self.lua.push_number(value),
            Kind::Boolean(value) => self.lua.push_boolean(value),
            Kind::ObjectBegin => self.object(),
            Kind::ArrayBegin => self.array(),
            Kind::Null => self.lua.push_light(std::ptr::null_mut()),
            _ => self.unexpected("value", token),
        }
    }

    unsafe fn descend(&mut self, places: c_int) {
        self.depth += 1;
        if self.depth > self.options.decode_depth_max || !self.lua.check_stack(places) {
            let (depth, character) = (self.depth, self.at);
            self.lua.fail_with(
                self.context,
                format_args!("Found too many nested data structures ({depth}) at character {character}"),
            );
        }
    }

    unsafe fn object(&mut self) {
        self.descend(3);
        self.lua.new_table(0, 0);
        let mut token = self.token();
        if token.kind == Kind::ObjectEnd {
            self.depth -= 1;
            return;
        }
        loop {
            if token.kind != Kind::String {
                self.unexpected("object key string", &token);
            }
            self.push_string();
            token = self.token();
            if token.kind != Kind::Colon {
                self.unexpected("colon", &token);
            }
            token = self.token();
            self.value(&token);
            self.lua.raw_set(-3);
            token = self.token();
            match token.kind {
                Kind::ObjectEnd => break,
                Kind::Comma => token = self.token(),
                _ => self.unexpected("comma or object end", &token),
            }
        }
        self.depth -= 1;
    }

    unsafe fn array(&mut self) {
        self.descend(2);
        self.lua.new_table(0, 0);
        let mut token = self.token();
        if token.kind == Kind::ArrayEnd {
            self.depth -= 1;
            return;
        }
        for number in 1.. {
            self.value(&token);
            self.lua.raw_set_at(-2, number);
            token = self.token();
            match token.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.token(),
                _ => self.unexpected("comma or array end", &token),
            }
        }
        self.depth -= 1;
    }

    /// Raises the error that something else was expected.
    #[cold]
    unsafe fn unexpected(&mut self, expected: &str, token: &Token) {
        let (found, character) = (token.kind.name(), token.at + 1);
        self.lua
            .fail_with(self.context, format_args!("Expected {expected} but found {found} at character {character}"));
    }
}
