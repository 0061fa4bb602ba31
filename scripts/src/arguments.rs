//! `KEYS` and `ARGV` of scripts, whose tables are kept from one script to the next.
//!
//! Making two tables and collecting them again is a quarter of what a short script costs. A script cannot tell one that was filled
//! again from a new one:
//!
//! - Nobody has it any more. What scripts can write to ends with them: the sandbox refuses writes to all that is there before, and
//!   what is compiled once has no upvalues. (The functions of libraries have some; they get new tables each time.)
//! - It is as a new one would be: with as many places as it had, all of which are filled again, without a hash part and without a
//!   metatable. Whatever else has been put into it has left it with a hash part or with another number of places, even if it was
//!   taken out again.
//!
//! Arguments that are in their places already, as limits and times of life mostly are, stay there.
//!
//! Lua's API does not tell the second, so the table itself is read (`layout.rs`); where that cannot be done, all tables are made
//! anew.

use std::ffi::c_int;

use crate::context::Context;
use crate::layout::Table;
use crate::lua::{kind, upvalue, Lua};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum List {
    Keys = 0,
    Arguments = 1,
}

/// Where the native function that fills them has what it needs: numbers of its upvalues.
pub struct Places {
    /// The table that is the global `KEYS` or `ARGV` now.
    pub current: [c_int; 2],
    /// Those that are kept.
    pub kept: c_int,
    /// The real globals, and the names of the two.
    pub globals: c_int,
    pub names: [c_int; 2],
}

/// Tables with fewer elements than that are kept when others are needed, one for each number of them.
const KEPT_BELOW: usize = 8;

/// Makes texts the elements of `KEYS` or `ARGV`.
#[inline(always)]
pub unsafe fn set(lua: Lua, context: &mut Context, list: List, texts: &[&[u8]], places: &Places) {
    let (table, count) = context.lists[list as usize];
    if table.is_null() || count != texts.len() || !context.layout.is_as_new(table, count) {
        change(lua, context, list, texts.len(), places);
    }
    let table = upvalue(places.current[list as usize]);
    let kept = context.lists[list as usize].0;
    // Arguments are often those of the run before; keys seldom are.
    let compares = list == List::Arguments && context.reads_elements && !kept.is_null();
    for (number, text) in (1..).zip(texts) {
        if compares && context.layout.element(kept, number).is_text(text) {
            continue;
        }
        lua.push_bytes(text);
        lua.raw_set_at(table, number);
    }
}

/// Makes a table with as many places current, one that was kept or a new one.
#[cold]
unsafe fn change(lua: Lua, context: &mut Context, list: List, count: usize, places: &Places) {
    let (current, kept) = (upvalue(places.current[list as usize]), upvalue(places.kept));
    leave(lua, context, list, places);
    let keeps = count < KEPT_BELOW && context.layout.is_known();
    if keeps {
        lua.raw_get_at(kept, slot(list, count));
    } else {
        lua.push_nil();
    }
    if lua.kind(-1) == kind::NIL {
        lua.pop(1);
        lua.new_table(count, 0);
        if keeps {
            lua.push_value(-1);
            lua.raw_set_at(kept, slot(list, count));
        }
    }
    lua.push_value(upvalue(places.globals));
    lua.push_value(upvalue(places.names[list as usize]));
    lua.push_value(-3);
    lua.raw_set(-3);
    lua.pop(1);
    let table = lua.to_pointer(-1) as *const Table;
    lua.replace(current);
    if context.layout.is_known() {
        context.lists[list as usize] = (table, count);
    }
}

/// Has the table that is current hold nothing of what the last script has left in it; it is kept only if it is as it was made.
unsafe fn leave(lua: Lua, context: &mut Context, list: List, places: &Places) {
    let (table, count) = std::mem::replace(&mut context.lists[list as usize], (std::ptr::null(), 0));
    if table.is_null() || count >= KEPT_BELOW {
        return;
    }
    if context.layout.is_as_new(table, count) {
        for number in 1..=count {
            lua.push_nil();
            lua.raw_set_at(upvalue(places.current[list as usize]), number as c_int);
        }
    } else {
        lua.push_nil();
        lua.raw_set_at(upvalue(places.kept), slot(list, count));
    }
}

/// Where a table with so many elements is kept.
fn slot(list: List, count: usize) -> c_int {
    (list as usize * KEPT_BELOW + count) as c_int + 1
}
