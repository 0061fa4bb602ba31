//! `string.find`, `match`, `gmatch` and its old name `gfind`.

use std::ffi::{c_int, CStr};

use crate::api::{CFunction, State};
use crate::context::Context;
use crate::lua::{upvalue, Lua};
use crate::matching::matcher::Matcher;
use crate::matching::{classes, plain};

use super::captures::{anchored, push_captures, refuse};
use super::substitute;

/// The functions.
pub const FUNCTIONS: &[(&CStr, CFunction)] =
    &[(c"find", find), (c"match", find_captures), (c"gmatch", iterate), (c"gsub", substitute::substitute)];

unsafe extern "C-unwind" fn find(state: *mut State) -> c_int {
    search(Lua(state), true)
}

unsafe extern "C-unwind" fn find_captures(state: *mut State) -> c_int {
    search(Lua(state), false)
}

/// Where a search begins: places are counted from 1, or from the end if they are negative.
fn first_place(init: isize, length: usize) -> usize {
    let from_start = if init < 0 { init.saturating_add_unsigned(length).saturating_add(1) } else { init };
    usize::try_from(from_start.saturating_sub(1)).unwrap_or(0).min(length)
}

#[inline(always)]
unsafe fn search(lua: Lua, wants_place: bool) -> c_int {
    let (subject, pattern) = (lua.argument_bytes(1), lua.argument_bytes(2));
    let start = first_place(lua.optional_integer(3, 1), subject.len());
    let context = lua.context();
    if wants_place && (lua.to_boolean(4) || !classes::is_pattern(pattern)) {
        return match plain::find(&subject[start..], pattern, &mut context.watch) {
            Ok(Some(at)) => push_place(lua, start + at, start + at + pattern.len()),
            Ok(None) => push_nothing(lua),
            Err(fault) => refuse(lua, fault),
        };
    }
    let (pattern, is_anchored) = anchored(pattern);
    let Context { workspace, watch, .. } = context;
    let found = Matcher { subject, pattern, workspace, watch }.find_from(start, is_anchored);
    let (start, end) = match found {
        Ok(Some(place)) => place,
        Ok(None) => return push_nothing(lua),
        Err(fault) => return refuse(lua, fault),
    };
    let places = if wants_place { push_place(lua, start, end) } else { 0 };
    match push_captures(lua, lua.context(), (subject, start, end), !wants_place) {
        Ok(count) => places + count,
        Err(fault) => refuse(lua, fault),
    }
}

unsafe fn push_nothing(lua: Lua) -> c_int {
    lua.push_nil();
    1
}

unsafe fn push_place(lua: Lua, start: usize, end: usize) -> c_int {
    lua.push_number((start + 1) as f64);
    lua.push_number(end as f64);
    2
}

// The upvalues of what `gmatch` returns, after the context.
const SUBJECT: c_int = 2;
const PATTERN: c_int = 3;
const START: c_int = 4;

unsafe extern "C-unwind" fn iterate(state: *mut State) -> c_int {
    let lua = Lua(state);
    // What is a number becomes a text here.
    lua.argument_bytes(1);
    lua.argument_bytes(2);
    lua.set_top(2);
    lua.push_number(0.0);
    let context: *mut Context = lua.context();
    lua.push_native(context, next_match, 3);
    1
}

unsafe extern "C-unwind" fn next_match(state: *mut State) -> c_int {
    let lua = Lua(state);
    let subject = lua.to_bytes(upvalue(SUBJECT)).unwrap_or_default();
    let pattern = lua.to_bytes(upvalue(PATTERN)).unwrap_or_default();
    let start = lua.to_number(upvalue(START)) as usize;
    if start > subject.len() {
        return 0;
    }
    let Context { workspace, watch, .. } = lua.context();
    // A `^` stands for itself here.
    let (start, end) = match (Matcher { subject, pattern, workspace, watch }).find_from(start, false) {
        Ok(Some(place)) => place,
        Ok(None) => return 0,
        Err(fault) => return refuse(lua, fault),
    };
    // After an empty match it goes on one place further.
    lua.push_number((end + usize::from(end == start)) as f64);
    lua.replace(upvalue(START));
    match push_captures(lua, lua.context(), (subject, start, end), true) {
        Ok(count) => count,
        Err(fault) => refuse(lua, fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_begins_within_the_subject() {
        for (init, length, expected) in [
            (1, 5, 0),
            (0, 5, 0),
            (3, 5, 2),
            (9, 5, 5),
            (-1, 5, 4),
            (-5, 5, 0),
            (-9, 5, 0),
            (isize::MIN, 5, 0),
            (isize::MAX, 5, 5),
        ] {
            assert_eq!(first_place(init, length), expected, "{init}");
        }
    }
}
