//! `cmsgpack`: MessagePack to Lua and back, as lua-cmsgpack 0.4.0 does it.

use std::ffi::{c_int, CStr};

use crate::api::{CFunction, State};
use crate::context::Context;
use crate::interruption;
use crate::lua::{kind, Lua};
use crate::number::truncate;

/// The functions of the library.
pub const FUNCTIONS: &[(&CStr, CFunction)] =
    &[(c"pack", pack), (c"unpack", unpack), (c"unpack_one", unpack_one), (c"unpack_limit", unpack_limit)];

/// Tables nested deeper than this are written as nil.
const NESTING_MAX: usize = 16;
/// The longest text that is made: a table that contains another one twice, and so on, has no bound of its own.
const TEXT_BYTES_MAX: usize = 512 << 20;

unsafe extern "C-unwind" fn pack(state: *mut State) -> c_int {
    let lua = Lua(state);
    let count = lua.top();
    if count == 0 {
        return lua.argument_error(0, c"MessagePack pack needs input.");
    }
    let context = lua.context();
    context.scratch.clear();
    for number in 1..=count {
        lua.need_stack(1, c"in function mp_check");
        lua.push_value(number);
        encode(lua, context, 0);
    }
    lua.push_bytes(&*(context.scratch.as_slice() as *const [u8]));
    1
}

/// Writes the value on the top of the stack and takes it off.
unsafe fn encode(lua: Lua, context: &mut Context, depth: usize) {
    let out = &mut context.scratch;
    match lua.kind(-1) {
        kind::STRING => encode_string(out, lua.to_bytes(-1).unwrap_or_default()),
        kind::BOOLEAN => out.push(if lua.to_boolean(-1) { 0xC3 } else { 0xC2 }),
        kind::NUMBER => encode_number(out, lua.to_number(-1)),
        kind::TABLE if depth < NESTING_MAX => encode_table(lua, context, depth),
        _ => out.push(0xC0),
    }
    lua.pop(1);
}

fn encode_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..=31 => out.push(0xA0 | length as u8),
        length @ 32..=0xFF => out.extend_from_slice(&[0xD9, length as u8]),
        length @ 0x100..=0xFFFF => tagged(out, 0xDA, &(length as u16).to_be_bytes()),
        length => tagged(out, 0xDB, &(length as u32).to_be_bytes()),
    }
    out.extend_from_slice(bytes);
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn encode_number(out: &mut Vec<u8>, number: f64) {
    let integer = truncate(number);
    if number.is_finite() && integer as f64 == number {
        return encode_integer(out, integer);
    }
    let single = number as f32;
    if f64::from(single) == number {
        tagged(out, 0xCA, &single.to_be_bytes());
    } else {
        tagged(out, 0xCB, &number.to_be_bytes());
    }
}

fn encode_integer(out: &mut Vec<u8>, integer: i64) {
    match integer {
        -32..=0x7F => out.push(integer as u8),
        0x80..=0xFF => tagged(out, 0xCC, &[integer as u8]),
        0x100..=0xFFFF => tagged(out, 0xCD, &(integer as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => tagged(out, 0xCE, &(integer as u32).to_be_bytes()),
        0x1_0000_0000.. => tagged(out, 0xCF, &(integer as u64).to_be_bytes()),
        -0x80..=-33 => tagged(out, 0xD0, &[integer as u8]),
        -0x8000..=-0x81 => tagged(out, 0xD1, &(integer as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => tagged(out, 0xD2, &(integer as i32).to_be_bytes()),
        _ => tagged(out, 0xD3, &integer.to_be_bytes()),
    }
}

fn encode_count(out: &mut Vec<u8>, count: usize, (short, tag): (u8, u8)) {
    match count {
        0..=15 => out.push(short | count as u8),
        16..=0xFFFF => tagged(out, tag, &(count as u16).to_be_bytes()),
        _ => tagged(out, tag + 1, &(count as u32).to_be_bytes()),
    }
}

unsafe fn encode_table(lua: Lua, context: &mut Context, depth: usize) {
    interruption::count(lua, context, interruption::TABLE_STEPS);
    lua.need_stack(4, c"in function mp_encode_lua_table");
    if context.scratch.len() > TEXT_BYTES_MAX {
        lua.fail(b"the packed text becomes too long");
    }
    let (is_array, count) = shape(lua);
    if is_array {
        encode_count(&mut context.scratch, count, (0x90, 0xDC));
        for number in 1..=count {
            lua.raw_get_at(-1, number as c_int);
            encode(lua, context, depth + 1);
        }
        return;
    }
    encode_count(&mut context.scratch, count, (0x80, 0xDE));
    lua.push_nil();
    while lua.next(-2) {
        lua.push_value(-2);
        encode(lua, context, depth + 1);
        encode(lua, context, depth + 1);
    }
}

/// Whether the keys of the table on the top are 1 to their number, and this number.
unsafe fn shape(lua: Lua) -> (bool, usize) {
    let (mut count, mut longest, mut is_array) = (0usize, 0.0f64, true);
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        count += 1;
        let key = if lua.kind(-1) == kind::NUMBER { lua.to_number(-1) } else { 0.0 };
        is_array &= key > 0.0 && key <= f64::from(i32::MAX) && key.floor() == key;
        longest = longest.max(key);
    }
    (is_array && longest == count as f64, count)
}

unsafe extern "C-unwind" fn unpack(state: *mut State) -> c_int {
    unpack_from(Lua(state), 0, 0)
}

unsafe extern "C-unwind" fn unpack_one(state: *mut State) -> c_int {
    let lua = Lua(state);
    let offset = lua.optional_integer(2, 0);
    lua.set_top(1);
    unpack_from(lua, 1, offset)
}

unsafe extern "C-unwind" fn unpack_limit(state: *mut State) -> c_int {
    let lua = Lua(state);
    let limit = lua.argument_integer(2);
    let offset = lua.optional_integer(3, 0);
    lua.set_top(1);
    unpack_from(lua, limit, offset)
}

unsafe fn unpack_from(lua: Lua, limit: isize, offset: isize) -> c_int {
    let all = limit == 0 && offset == 0;
    let text = lua.argument_bytes(1);
    let (start, length) = (offset as c_int, text.len() as c_int);
    if offset < 0 || limit < 0 {
        let text = format_args!("Invalid request to unpack with offset of {start} and limit of {length}.");
        return lua.fail_with(lua.context(), text);
    }
    if offset as usize > text.len() {
        let text = format_args!("Start offset {start} greater than input length {length}.");
        return lua.fail_with(lua.context(), text);
    }
    let limit = if all { isize::MAX } else { limit };
    let mut input = Input { lua, rest: &text[offset as usize..] };
    let mut count = 0;
    while !input.rest.is_empty() && count < limit {
        lua.need_stack(1, c"in function mp_unpack_full");
        match input.value() {
            Ok(()) => count += 1,
            Err(Malformed::Short) => return lua.fail(b"Missing bytes in input."),
            Err(Malformed::Format) => return lua.fail(b"Bad data format in input."),
        }
    }
    if !all {
        lua.need_stack(1, c"in function mp_unpack_full");
        let next = if input.rest.is_empty() { -1.0 } else { (text.len() - input.rest.len()) as f64 };
        lua.push_number(next);
        lua.insert(2);
        count += 1;
    }
    count as c_int
}

enum Malformed {
    Short,
    Format,
}

struct Input<'a> {
    lua: Lua,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, Malformed> {
        Ok(self.take(bytes)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    unsafe fn value(&mut self) -> Result<(), Malformed> {
        let lua = self.lua;
        let tag = self.take(1)?[0];
        match tag {
            0x00..=0x7F => lua.push_number(f64::from(tag)),
            0xE0..=0xFF => lua.push_number(f64::from(tag as i8)),
            0xC0 => lua.push_nil(),
            0xC2 | 0xC3 => lua.push_boolean(tag == 0xC3),
            0xCC..=0xCF => {
                let value = self.number(1 << (tag - 0xCC))?;
                // As a signed one, as in Redis.
                lua.push_number(value as i64 as f64);
            }
            0xD0..=0xD3 => {
                let bytes = 1 << (tag - 0xD0);
                let shift = 64 - 8 * bytes as u32;
                let value = (self.number(bytes)? << shift) as i64 >> shift;
                lua.push_number(value as f64);
            }
            0xCA => {
                let value = f32::from_bits(self.number(4)? as u32);
                lua.push_number(f64::from(value));
            }
            0xCB => {
                let value = f64::from_bits(self.number(8)?);
                lua.push_number(value);
            }
            0xA0..=0xBF => self.string(usize::from(tag & 0x1F))?,
            0xD9..=0xDB => {
                let length = self.number(1 << (tag - 0xD9))?;
                self.string(length as usize)?;
            }
            0x90..=0x9F => self.array(usize::from(tag & 15))?,
            0xDC | 0xDD => {
                let count = self.number(2 << (tag - 0xDC))?;
                self.array(count as usize)?;
            }
            0x80..=0x8F => self.map(usize::from(tag & 15))?,
            0xDE | 0xDF => {
                let count = self.number(2 << (tag - 0xDE))?;
                self.map(count as usize)?;
            }
            _ => return Err(Malformed::Format),
        }
        Ok(())
    }

    unsafe fn string(&mut self, length: usize) -> Result<(), Malformed> {
        let bytes = self.take(length)?;
        self.lua.push_bytes(bytes);
        Ok(())
    }

    unsafe fn array(&mut self, count: usize) -> Result<(), Malformed> {
        self.lua.need_stack(3, c"in function mp_decode_to_lua_array");
        self.lua.new_table(0, 0);
        for number in 1..=count {
            self.lua.push_number(number as f64);
            self.value()?;
            self.lua.set_table(-3);
        }
        Ok(())
    }

    unsafe fn map(&mut self, count: usize) -> Result<(), Malformed> {
        self.lua.need_stack(3, c"in function mp_decode_to_lua_hash");
        self.lua.new_table(0, 0);
        for _ in 0..count {
            self.value()?;
            self.value()?;
            self.lua.set_table(-3);
        }
        Ok(())
    }
}
