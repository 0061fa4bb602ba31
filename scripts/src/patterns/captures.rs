//! What a match leaves for a script: its captures, or an error.

use std::ffi::c_int;

use crate::context::Context;
use crate::interruption;
use crate::lua::Lua;
use crate::matching::matcher::{Capture, Fault};

/// Captures for which there is room on the stack of any native function.
const CAPTURES_SHORT: usize = 8;

/// Raises what a match has come to. Does not return.
#[cold]
pub unsafe fn refuse(lua: Lua, fault: Fault) -> c_int {
    match fault {
        Fault::Error(text) => lua.fail(text.as_bytes()),
        Fault::Interrupted => interruption::stop(lua),
    }
}

/// A pattern without its `^`, and whether it had one.
pub fn anchored(pattern: &[u8]) -> (&[u8], bool) {
    match pattern.strip_prefix(b"^") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    }
}

/// Pushes a capture of the match that is in the workspace; the whole of it where there are none.
pub unsafe fn push_capture(
    lua: Lua,
    context: &Context,
    number: usize,
    (subject, start, end): (&[u8], usize, usize),
) -> Result<(), Fault> {
    match context.workspace.captures.get(number) {
        None if number == 0 => lua.push_bytes(&subject[start..end]),
        None => return Err(Fault::Error("invalid capture index")),
        Some(Capture::Open(_)) => return Err(Fault::Error("unfinished capture")),
        Some(&Capture::Position(at)) => lua.push_number((at + 1) as f64),
        Some(&Capture::Closed(start, end)) => lua.push_bytes(&subject[start..end]),
    }
    Ok(())
}

/// Pushes all captures, and the whole match where there are none if it is wanted; returns how many.
pub unsafe fn push_captures(
    lua: Lua,
    context: &Context,
    found: (&[u8], usize, usize),
    whole: bool,
) -> Result<c_int, Fault> {
    let count = context.workspace.captures.len().max(usize::from(whole));
    if count > CAPTURES_SHORT {
        lua.need_stack(count as c_int, c"too many captures");
    }
    for number in 0..count {
        push_capture(lua, context, number, found)?;
    }
    Ok(count as c_int)
}
