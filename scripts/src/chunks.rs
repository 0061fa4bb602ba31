//! Compiling: scripts, and what they give to `load` and `loadstring`. Compiled chunks are refused.
//!
//! Lua's compiler takes the square of the length of some texts (a chain of `elseif` without end). It gets them in pieces, between
//! which it can be ended.

use std::ffi::{c_char, c_int, c_void};

use crate::api::{api, State};
use crate::interruption;
use crate::lua::{kind, Lua};

/// Bytes of a text that the compiler gets at once; each counts as a step.
const PIECE_BYTES_MAX: usize = 1 << 14;

/// A chunk on its way to `lua_load`: what begins as a compiled one gets a blank before it, and is read as a text.
struct Chunk {
    text: *const [u8],
    is_first: bool,
}

unsafe extern "C-unwind" fn read_text(state: *mut State, data: *mut c_void, size: *mut usize) -> *const c_char {
    give(Lua(state), &mut *(data as *mut Chunk), size)
}

/// The next piece: the blank, or a part of the text, of which the rest is then left.
unsafe fn give(lua: Lua, chunk: &mut Chunk, size: *mut usize) -> *const c_char {
    let text = &*chunk.text;
    if std::mem::take(&mut chunk.is_first) && text.first() == Some(&0x1B) {
        *size = 1;
        return c" ".as_ptr();
    }
    let (piece, rest) = text.split_at(text.len().min(PIECE_BYTES_MAX));
    // The native function that compiles has the context.
    interruption::count(lua, lua.context(), piece.len());
    *size = piece.len();
    chunk.text = rest;
    piece.as_ptr() as *const c_char
}

/// Compiles a text and pushes the function, or the error's text; returns whether it compiles.
pub unsafe fn compile(lua: Lua, text: &[u8], name: *const c_char) -> bool {
    let mut chunk = Chunk { text, is_first: true };
    let compiles = (api().lua_load)(lua.0, read_text, &mut chunk as *mut Chunk as *mut c_void, name) == 0;
    interruption::pass_on(lua);
    compiles
}

unsafe fn answer_load(lua: Lua, compiles: bool) -> c_int {
    if compiles {
        return 1;
    }
    lua.push_nil();
    lua.insert(-2);
    2
}

pub unsafe extern "C-unwind" fn load_string(state: *mut State) -> c_int {
    let lua = Lua(state);
    let text = lua.argument_bytes(1);
    let name = if lua.kind(2) <= kind::NIL { text } else { lua.argument_bytes(2) };
    // Lua's strings end with a zero byte.
    answer_load(lua, compile(lua, text, name.as_ptr() as *const c_char))
}

unsafe extern "C-unwind" fn read_pieces(state: *mut State, data: *mut c_void, size: *mut usize) -> *const c_char {
    let (lua, chunk) = (Lua(state), &mut *(data as *mut Chunk));
    if !(&*chunk.text).is_empty() {
        return give(lua, chunk, size);
    }
    lua.need_stack(2, c"too many nested functions");
    lua.push_value(1);
    lua.call(0, 1);
    if lua.kind(-1) == kind::NIL {
        *size = 0;
        return std::ptr::null();
    }
    if !lua.is_text(-1) {
        lua.fail(b"reader function must return a string");
    }
    lua.replace(3);
    chunk.text = lua.to_bytes(3).unwrap_or_default();
    give(lua, chunk, size)
}

pub unsafe extern "C-unwind" fn load(state: *mut State) -> c_int {
    let lua = Lua(state);
    let name = if lua.kind(2) <= kind::NIL { b"=(load)\0" } else { lua.argument_bytes(2) };
    lua.check_kind(1, kind::FUNCTION);
    // The function, the name, and the piece that is being read.
    lua.set_top(3);
    let mut chunk = Chunk { text: &[], is_first: true };
    let data = &mut chunk as *mut Chunk as *mut c_void;
    let compiles = (api().lua_load)(lua.0, read_pieces, data, name.as_ptr() as *const c_char) == 0;
    interruption::pass_on(lua);
    answer_load(lua, compiles)
}
