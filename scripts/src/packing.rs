//! `struct`: values to the bytes of C structures and back, as Redis' copy of Roberto Ierusalimschy's library does it.

use std::ffi::{c_int, CStr};

use crate::api::{CFunction, State};
use crate::context::Context;
use crate::lua::Lua;

/// The functions of the library.
pub const FUNCTIONS: &[(&CStr, CFunction)] = &[(c"pack", pack), (c"unpack", unpack), (c"size", size)];

const INTEGER_BYTES_MAX: usize = 32;
/// The alignment of `!` alone.
const ALIGNMENT: usize = 8;
/// The longest text that is made.
const TEXT_BYTES_MAX: usize = 512 << 20;

/// A format on the way through it.
struct Format<'a> {
    lua: Lua,
    rest: &'a [u8],
    big: bool,
    alignment: usize,
}

impl<'a> Format<'a> {
    unsafe fn of(lua: Lua) -> Format<'a> {
        let text = lua.argument_bytes(1);
        let text = &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())];
        Format { lua, rest: text, big: cfg!(target_endian = "big"), alignment: 1 }
    }

    /// The next option and its size.
    unsafe fn next(&mut self) -> Option<(u8, usize)> {
        let (&option, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some((option, self.size(option)))
    }

    unsafe fn number(&mut self, default: usize) -> usize {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return default;
        }
        let mut value: i32 = 0;
        while let Some((digit, rest)) = self.rest.split_first().filter(|(byte, _)| byte.is_ascii_digit()) {
            let next = value.checked_mul(10).and_then(|value| value.checked_add(i32::from(digit - b'0')));
            if next.is_none() {
                self.lua.fail(b"integral size overflow");
            }
            value = next.unwrap_or_default();
            self.rest = rest;
        }
        value as usize
    }

    unsafe fn size(&mut self, option: u8) -> usize {
        match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1),
            b'i' | b'I' => {
                let size = self.number(4);
                if size > INTEGER_BYTES_MAX {
                    self.lua.fail_with(
                        self.lua.context(),
                        format_args!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}"),
                    );
                }
                size
            }
            _ => 0,
        }
    }

    /// What stands between the values: endianness, alignment, blanks.
    unsafe fn control(&mut self, option: u8) {
        match option {
            b' ' => {}
            b'>' => self.big = true,
            b'<' => self.big = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT);
                if !alignment.is_power_of_two() {
                    let text = format_args!("alignment {alignment} is not a power of 2");
                    self.lua.fail_with(self.lua.context(), text);
                }
                self.alignment = alignment;
            }
            _ => {
                let message = &mut self.lua.context().message;
                message.clear();
                message.extend_from_slice(b"invalid format option '");
                message.push(option);
                message.extend_from_slice(b"'\0");
                self.lua.argument_error(1, CStr::from_ptr(message.as_ptr() as *const _));
            }
        }
    }

    /// Bytes that are left out before a value of a size.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }
}

unsafe extern "C-unwind" fn pack(state: *mut State) -> c_int {
    let lua = Lua(state);
    let mut format = Format::of(lua);
    let context = lua.context();
    context.scratch.clear();
    // What follows the arguments counts as nil rather than as nothing.
    lua.push_nil();
    let mut argument = 2;
    // `totalsize` of the original is the length here, but that `c0` and `s` count what they write.
    while let Some((option, size)) = format.next() {
        let position = context.scratch.len();
        if position > TEXT_BYTES_MAX {
            lua.fail(b"the packed text becomes too long");
        }
        let padding = format.padding(position, option, size);
        context.scratch.resize(position + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                put_integer(context, lua.argument_number(argument), format.big, size);
                argument += 1;
            }
            b'x' => context.scratch.push(0),
            b'f' => {
                let bytes = (lua.argument_number(argument) as f32).to_le_bytes();
                put_bytes(context, &bytes, format.big);
                argument += 1;
            }
            b'd' => {
                let bytes = lua.argument_number(argument).to_le_bytes();
                put_bytes(context, &bytes, format.big);
                argument += 1;
            }
            b'c' | b's' => {
                let bytes = lua.argument_bytes(argument);
                argument += 1;
                let size = if size == 0 { bytes.len() } else { size };
                lua.check(bytes.len() >= size, argument, c"string too short");
                context.scratch.extend_from_slice(&bytes[..size]);
                if option == b's' {
                    context.scratch.push(0);
                }
            }
            _ => format.control(option),
        }
    }
    lua.push_bytes(&*(context.scratch.as_slice() as *const [u8]));
    1
}

fn put_integer(context: &mut Context, number: f64, big: bool, size: usize) {
    // What is out of range has no defined result in C; on x86-64 it is this one.
    let value = match number {
        _ if number.is_nan() => 1 << 63,
        _ if number < 0.0 => number as i64 as u64,
        _ if number >= 18_446_744_073_709_551_616.0 => 0,
        _ => number as u64,
    };
    let start = context.scratch.len();
    context.scratch.extend((0..size).map(|place| if place < 8 { (value >> (8 * place)) as u8 } else { 0 }));
    if big {
        context.scratch[start..].reverse();
    }
}

fn put_bytes(context: &mut Context, bytes: &[u8], big: bool) {
    let start = context.scratch.len();
    context.scratch.extend_from_slice(bytes);
    if big {
        context.scratch[start..].reverse();
    }
}

/// An integer of a size, signed if its option is a small letter.
fn get_integer(bytes: &[u8], big: bool, signed: bool) -> f64 {
    let fold = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
    let value = if big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) };
    if !signed {
        return value as f64;
    }
    let shift = 64u32.saturating_sub(8 * bytes.len() as u32).min(63);
    ((value << shift) as i64 >> shift) as f64
}

unsafe extern "C-unwind" fn unpack(state: *mut State) -> c_int {
    let lua = Lua(state);
    let mut format = Format::of(lua);
    let data = lua.argument_bytes(2);
    let offset = lua.optional_integer(3, 1);
    lua.check(offset > 0, 3, c"offset must be 1 or greater");
    let mut position = offset as usize - 1;
    lua.set_top(2);
    let mut count = 0;
    while let Some((option, mut size)) = format.next() {
        position += format.padding(position, option, size);
        let fits = |size: usize| size <= data.len() && position <= data.len() - size;
        lua.check(fits(size), 2, c"data string too short");
        lua.need_stack(2, c"too many results");
        let bytes = data.get(position..position + size).unwrap_or_default();
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                lua.push_number(get_integer(bytes, format.big, option.is_ascii_lowercase()));
                count += 1;
            }
            b'x' => {}
            b'f' | b'd' => {
                lua.push_number(get_float(bytes, format.big));
                count += 1;
            }
            b'c' => {
                if size == 0 {
                    if count == 0 || !lua.is_number(-1) {
                        lua.fail(b"format 'c0' needs a previous size");
                    }
                    // A negative number is a size that no string has.
                    size = lua.to_number(-1) as i64 as usize;
                    lua.pop(1);
                    count -= 1;
                    lua.check(fits(size), 2, c"data string too short");
                }
                lua.push_bytes(&data[position..position + size]);
                count += 1;
            }
            b's' => {
                let rest = &data[position..];
                let end = rest.iter().position(|&byte| byte == 0);
                if end.is_none() {
                    lua.fail(b"unfinished string in data");
                }
                size = end.unwrap_or_default() + 1;
                lua.push_bytes(&rest[..size - 1]);
                count += 1;
            }
            _ => format.control(option),
        }
        position += size;
    }
    lua.push_number((position + 1) as f64);
    count + 1
}

fn get_float(bytes: &[u8], big: bool) -> f64 {
    let mut copy = [0; 8];
    copy[..bytes.len()].copy_from_slice(bytes);
    if big {
        copy[..bytes.len()].reverse();
    }
    if bytes.len() == 4 {
        f64::from(f32::from_le_bytes([copy[0], copy[1], copy[2], copy[3]]))
    } else {
        f64::from_le_bytes(copy)
    }
}

unsafe extern "C-unwind" fn size(state: *mut State) -> c_int {
    let lua = Lua(state);
    let mut format = Format::of(lua);
    let mut position = 0usize;
    while let Some((option, size)) = format.next() {
        position += format.padding(position, option, size);
        lua.check(option != b's', 1, c"option 's' has no fixed size");
        lua.check(option != b'c' || size != 0, 1, c"option 'c0' has no fixed size");
        // A letter that is no option counts for nothing here.
        if !option.is_ascii_alphanumeric() {
            format.control(option);
        }
        position += size;
    }
    lua.push_number(position as f64);
    1
}
