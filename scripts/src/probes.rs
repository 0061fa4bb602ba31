//! Finding out whether what is read in Lua's memory is as expected, with chunks of which that is known (see `frames.rs`, `code.rs`).

use std::ffi::{c_int, c_void};

use crate::api::{api, State};
use crate::chunks;
use crate::code::leaves_globals_alone;
use crate::context::Context;
use crate::frames::Frames;
use crate::layout::Table;
use crate::lua::{kind, Lua};

/// Sets what the context knows of Lua's memory; a native function.
pub unsafe extern "C-unwind" fn probe(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    context.frames = Frames::learn(lua);
    if context.frames.is_known() && !sees_who_passes_on(lua, context) {
        context.frames = Frames::unknown();
    }
    if context.frames.is_known() {
        context.frames.trust_upvalues(lua, &raw const *context as *const c_void);
    }
    context.reads_elements = context.frames.is_known() && context.layout.is_known() && sees_elements(lua, context);
    context.reads_code = tells_writers(lua, context);
    0
}

/// Whether a native function sees which function has called it, and whether that returns what it gets.
unsafe fn sees_who_passes_on(lua: Lua, context: &Context) -> bool {
    let cases: [(&[u8], bool); 4] = [
        (b"local look, own, frames, seen = ... return look(own, frames, seen)", true),
        (b"local look, own, frames, seen = ... local result = look(own, frames, seen) return result", false),
        (b"local look, own, frames, seen = ... look(own, frames, seen)", false),
        (b"local look, own, frames, seen = ... return (look(own, frames, seen))", false),
    ];
    cases.iter().all(|&(source, expected)| {
        let mut seen = [false; 2];
        lua.set_top(0);
        if !chunks::compile(lua, source, c"@probe".as_ptr()) {
            return false;
        }
        lua.push_value(1);
        (api().lua_pushcclosure)(lua.0, look_at_caller, 0);
        lua.push_value(1);
        lua.push_light(&raw const context.frames as *mut c_void);
        lua.push_light(seen.as_mut_ptr() as *mut c_void);
        lua.call(4, 1);
        seen == [true, expected]
    })
}

unsafe extern "C-unwind" fn look_at_caller(state: *mut State) -> c_int {
    let lua = Lua(state);
    let (function, frames) = (lua.to_pointer(1), *(lua.to_userdata(2) as *const Frames));
    let seen = &mut *(lua.to_userdata(3) as *mut [bool; 2]);
    let is_caller = frames.is_called_by(lua, function);
    *seen = [is_caller, is_caller && frames.is_passed_on_by(lua, function)];
    0
}

/// Whether what a table has in its places is seen there.
unsafe fn sees_elements(lua: Lua, context: &Context) -> bool {
    lua.set_top(0);
    lua.new_table(3, 0);
    for (number, text) in [(1, &b"first"[..]), (2, b"second, and longer")] {
        lua.push_bytes(text);
        lua.raw_set_at(1, number);
    }
    let table = lua.to_pointer(1) as *const Table;
    context.layout.is_as_new(table, 3)
        && [1, 2].into_iter().all(|number| {
            lua.raw_get_at(1, number);
            let (seen, there) = (context.layout.element(table, number), context.frames.top(lua));
            seen.kind() == kind::STRING && seen.address() == there.address() && seen.is_text(there.bytes())
        })
        && context.layout.element(table, 3).kind() == kind::NIL
}

/// Whether chunks that write to globals can be told from others.
unsafe fn tells_writers(lua: Lua, context: &mut Context) -> bool {
    let cases: [(&[u8], bool); 4] = [
        (b"local x = y; return function() x = z; z.name = x end", true),
        (b"x = 1", false),
        (b"return function() return function() x = 1 end end", false),
        (b"local t = {1, 2, n = 'text'} function x() end", false),
    ];
    cases.iter().all(|&(source, expected)| {
        chunks::compile(lua, source, c"@probe".as_ptr()) && leaves_globals_alone(lua, context) == expected
    })
}
