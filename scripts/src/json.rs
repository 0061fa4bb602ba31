//! `cjson`: JSON to Lua and back, with the options, texts and corners of lua-cjson 2.1.0.
//!
//! The options of the global `cjson` are what they are by default when a script begins: a script cannot change what another
//! one reads, whichever thread runs it. (In Redis they stay as the last script has set them.)

mod decode;
mod encode;

use std::ffi::{c_int, c_void, CStr};

use crate::api::{CFunction, State};
use crate::context::Context;
use crate::lua::{kind, upvalue, Lua};

/// How texts are read and written.
#[derive(Clone, Copy)]
pub struct Options {
    /// Whether arrays with many holes become objects instead of an error.
    sparse_convert: c_int,
    /// How many times as long as its elements are an array may be; 0 is any.
    sparse_ratio: c_int,
    /// Up to this length an array may have any holes.
    sparse_safe: c_int,
    encode_depth_max: c_int,
    decode_depth_max: c_int,
    precision: c_int,
    keep_buffer: c_int,
    /// NaN and infinities: 0 refuses them, 1 writes them, 2 writes null.
    encode_invalid: c_int,
    decode_invalid: c_int,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sparse_convert: 0,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            precision: 14,
            keep_buffer: 1,
            encode_invalid: 0,
            decode_invalid: 1,
        }
    }
}

const FUNCTIONS: &[(&CStr, CFunction)] = &[
    (c"encode", encode::encode),
    (c"decode", decode::decode),
    (c"encode_sparse_array", encode_sparse_array),
    (c"encode_max_depth", encode_max_depth),
    (c"decode_max_depth", decode_max_depth),
    (c"encode_number_precision", encode_number_precision),
    (c"encode_keep_buffer", encode_keep_buffer),
    (c"encode_invalid_numbers", encode_invalid_numbers),
    (c"decode_invalid_numbers", decode_invalid_numbers),
    (c"new", new),
];

/// Pushes the global library and notes where its options are.
pub unsafe fn push_global_library(lua: Lua, context: *mut Context) {
    (*context).json = push_library(lua, context) as *mut c_void;
}

/// A script begins: the global library's options are what they are by default.
pub unsafe fn reset_options(context: &Context) {
    *(context.json as *mut Options) = Options::default();
}

/// Pushes a table of the library's functions with options of its own, and returns these.
unsafe fn push_library(lua: Lua, context: *mut Context) -> *mut Options {
    lua.new_table(0, FUNCTIONS.len() + 3);
    let options = lua.new_userdata(size_of::<Options>()) as *mut Options;
    options.write(Options::default());
    for (name, function) in FUNCTIONS {
        lua.push_value(-1);
        lua.push_native(context, *function, 1);
        lua.set_field(-3, name);
    }
    lua.pop(1);
    lua.push_light(std::ptr::null_mut());
    lua.set_field(-2, c"null");
    lua.push_bytes(b"cjson");
    lua.set_field(-2, c"_NAME");
    lua.push_bytes(b"2.1.0");
    lua.set_field(-2, c"_VERSION");
    options
}

unsafe fn options<'a>(lua: Lua) -> &'a mut Options {
    &mut *(lua.to_userdata(upvalue(2)) as *mut Options)
}

/// Fills up arguments with nil; too many are refused.
unsafe fn arguments(lua: Lua, count: c_int) {
    lua.check(lua.top() <= count, count + 1, c"found too many arguments");
    lua.set_top(count);
}

/// Sets an option from an argument if there is one, and pushes its value.
unsafe fn integer_option(lua: Lua, number: c_int, option: &mut c_int, (min, max): (c_int, c_int)) {
    if lua.kind(number) != kind::NIL {
        let value = lua.argument_integer(number) as c_int;
        if !(min..=max).contains(&value) {
            let context = lua.context();
            context.message.clear();
            // Writing into a `Vec` does not fail.
            let _ = std::io::Write::write_fmt(
                &mut context.message,
                format_args!("expected integer between {min} and {max}\0"),
            );
            lua.argument_error(1, CStr::from_ptr(context.message.as_ptr() as *const _));
        }
        *option = value;
    }
    lua.push_number(f64::from(*option));
}

/// The same for an option with names.
unsafe fn named_option(lua: Lua, number: c_int, option: &mut c_int, names: &[&CStr]) {
    if lua.kind(number) == kind::BOOLEAN {
        *option = c_int::from(lua.to_boolean(number));
    } else if lua.kind(number) != kind::NIL {
        let text = lua.argument_bytes(number);
        let text = &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())];
        match names.iter().position(|name| name.to_bytes() == text) {
            Some(position) => *option = position as c_int,
            None => invalid_option(lua, number, text),
        }
    }
    match *option {
        0 | 1 => lua.push_boolean(*option == 1),
        other => lua.push_bytes(names[other as usize].to_bytes()),
    }
}

#[cold]
unsafe fn invalid_option(lua: Lua, number: c_int, text: &[u8]) {
    let message = &mut lua.context().message;
    message.clear();
    message.extend_from_slice(b"invalid option '");
    message.extend_from_slice(text);
    message.extend_from_slice(b"'\0");
    lua.argument_error(number, CStr::from_ptr(message.as_ptr() as *const _));
}

const SWITCH: &[&CStr] = &[c"off", c"on"];

unsafe extern "C-unwind" fn encode_sparse_array(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 3);
    let options = options(lua);
    named_option(lua, 1, &mut options.sparse_convert, SWITCH);
    integer_option(lua, 2, &mut options.sparse_ratio, (0, c_int::MAX));
    integer_option(lua, 3, &mut options.sparse_safe, (0, c_int::MAX));
    3
}

unsafe extern "C-unwind" fn encode_max_depth(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 1);
    integer_option(lua, 1, &mut options(lua).encode_depth_max, (1, c_int::MAX));
    1
}

unsafe extern "C-unwind" fn decode_max_depth(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 1);
    integer_option(lua, 1, &mut options(lua).decode_depth_max, (1, c_int::MAX));
    1
}

unsafe extern "C-unwind" fn encode_number_precision(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 1);
    integer_option(lua, 1, &mut options(lua).precision, (1, 14));
    1
}

unsafe extern "C-unwind" fn encode_keep_buffer(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 1);
    named_option(lua, 1, &mut options(lua).keep_buffer, SWITCH);
    1
}

unsafe extern "C-unwind" fn encode_invalid_numbers(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 1);
    named_option(lua, 1, &mut options(lua).encode_invalid, &[c"off", c"on", c"null"]);
    1
}

unsafe extern "C-unwind" fn decode_invalid_numbers(state: *mut State) -> c_int {
    let lua = Lua(state);
    arguments(lua, 1);
    named_option(lua, 1, &mut options(lua).decode_invalid, SWITCH);
    1
}

unsafe extern "C-unwind" fn new(state: *mut State) -> c_int {
    let lua = Lua(state);
    push_library(lua, lua.context());
    1
}
