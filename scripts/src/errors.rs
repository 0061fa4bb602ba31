//! Errors: how native functions raise them, and what becomes of one that a script does not catch.

use std::ffi::{c_int, CStr};

use crate::api::{Debug, State};
use crate::context::Action;
use crate::decode::push_error;
use crate::lua::{kind, Lua};

const READONLY: &[u8] = b"Attempt to modify a readonly table";

/// Raises an error as a table with its text. Does not return.
#[cold]
pub unsafe fn raise(lua: Lua, text: &[u8]) -> c_int {
    push_error(lua, text);
    lua.raise()
}

/// Refuses a write to a table of the sandbox, for a metatable. Does not return.
pub unsafe extern "C-unwind" fn refuse_write(state: *mut State) -> c_int {
    Lua(state).fail(READONLY)
}

/// Raises an error if the first argument is a table of the sandbox, which the native function would write to.
#[inline(always)]
pub unsafe fn refuse_proxy(lua: Lua) {
    if lua.has_proxy() {
        // Without the place in the script, as an error that Lua itself raises within a native function.
        lua.push_bytes(READONLY);
        lua.raise();
    }
}

fn debug_record() -> Debug {
    // SAFETY: the record is plain data, filled in by Lua before it is read.
    unsafe { std::mem::zeroed() }
}

/// Makes an error a table that says where it was raised.
pub unsafe extern "C-unwind" fn error_handler(state: *mut State) -> c_int {
    let lua = Lua(state);
    let mut debug = debug_record();
    // The function that has raised it, or whoever called that if it is a native one.
    let mut known = lua.function_at(1, &mut debug);
    if known && CStr::from_ptr(debug.what) == c"C" {
        known = lua.function_at(2, &mut debug) && CStr::from_ptr(debug.what) != c"C";
    }
    if lua.kind(1) != kind::TABLE {
        lua.new_table(0, 3);
        lua.push_bytes(b"ERR ");
        push_text_of(lua, 1);
        lua.concat(2);
        lua.set_field(-2, c"err");
        lua.replace(1);
    }
    if known {
        lua.push_bytes(b"source");
        lua.push_bytes(CStr::from_ptr(debug.source).to_bytes());
        lua.raw_set(1);
        lua.push_bytes(b"line");
        lua.push_number(f64::from(debug.current_line));
        lua.raw_set(1);
    }
    lua.set_top(1);
    1
}

/// Pushes what `tostring` would return, for what is no table.
unsafe fn push_text_of(lua: Lua, index: c_int) {
    match lua.kind(index) {
        kind::STRING | kind::NUMBER => lua.push_value(index),
        kind::BOOLEAN => lua.push_bytes(if lua.to_boolean(index) { b"true" } else { b"false" }),
        kind::NIL | kind::NONE => lua.push_bytes(b"nil"),
        _ => {
            let (name, pointer) = (lua.kind_name(index), lua.to_pointer(index));
            let message = &mut lua.context().message;
            message.clear();
            // Writing into a `Vec` does not fail.
            let _ = std::io::Write::write_fmt(message, format_args!("{name}: {pointer:p}"));
            lua.push_bytes(&*(message.as_slice() as *const [u8]));
        }
    }
}

/// Writes the text of an error into the context's message, with the place where it was raised; the digest is in the scratch
/// buffer.
pub unsafe extern "C-unwind" fn report(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    context.task.failed = true;
    let is_load = context.task.action == Action::Load;
    let message = &mut context.message;
    if lua.kind(1) != kind::TABLE && !is_load {
        let text = if lua.is_text(1) { lua.to_c_bytes(1).unwrap_or_default() } else { b"execution failure" };
        message.extend_from_slice(b"ERR Error running script ");
        message.extend_from_slice(&context.scratch);
        message.extend_from_slice(b", ");
        message.extend_from_slice(&text[..text.len().min(100)]);
        return 0;
    }
    if is_load {
        // As it was raised: there is no handler that would say where.
        let text = if lua.kind(1) == kind::TABLE { text_field(lua, b"err") } else { lua.to_c_bytes(1) };
        message.extend_from_slice(text.unwrap_or(b"unknown error"));
        return 0;
    }
    match text_field(lua, b"err") {
        Some(text) => message.extend_from_slice(text),
        None => message.extend_from_slice(b"ERR unknown error"),
    }
    // What of the line breaks is at the end is left out; the others become blanks when it is written.
    if let (Some(source), Some(line)) = (text_field(lua, b"source"), text_field(lua, b"line")) {
        message.extend_from_slice(b" script: ");
        message.extend_from_slice(&context.scratch);
        message.extend_from_slice(b", on ");
        message.extend_from_slice(source);
        message.push(b':');
        message.extend_from_slice(line);
        message.push(b'.');
    }
    lua.push_bytes(b"ignore_error_stats_update");
    lua.raw_get(1);
    if lua.kind(-1) == kind::BOOLEAN {
        context.task.failed = !lua.to_boolean(-1);
    }
    0
}

/// A field of the first argument that is a text; it stays on the stack.
unsafe fn text_field<'a>(lua: Lua, name: &[u8]) -> Option<&'a [u8]> {
    lua.push_bytes(name);
    lua.raw_get(1);
    if lua.is_text(-1) {
        lua.to_c_bytes(-1)
    } else {
        None
    }
}
