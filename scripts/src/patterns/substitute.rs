//! `string.gsub`.

use std::ffi::c_int;

use sherd_types::number::{format_i64, I64Buffer};

use crate::api::State;
use crate::context::Context;
use crate::lua::{kind, Lua};
use crate::matching::matcher::{Capture, Fault, Matcher};

use super::buffer::Buffer;
use super::captures::{anchored, push_capture, push_captures, refuse};

// Places on the stack.
const REPLACEMENT: c_int = 3;
const COUNT: c_int = 4;
const BLOCK: c_int = 5;

/// A match in the subject.
type Found<'a> = (&'a [u8], usize, usize);

pub unsafe extern "C-unwind" fn substitute(state: *mut State) -> c_int {
    let lua = Lua(state);
    let (subject, pattern) = (lua.argument_bytes(1), lua.argument_bytes(2));
    let replacement = lua.kind(REPLACEMENT);
    // As C's `int`.
    let at_most = lua.optional_integer(COUNT, subject.len() as isize + 1) as c_int;
    let (pattern, is_anchored) = anchored(pattern);
    let fits = matches!(replacement, kind::NUMBER | kind::STRING | kind::FUNCTION | kind::TABLE);
    lua.check(fits, REPLACEMENT, c"string/function/table expected");
    lua.set_top(COUNT);
    lua.push_nil();
    let mut buffer = Buffer::new(lua, BLOCK);
    // Up to where the subject was looked at, and up to where it is in the buffer.
    let (mut at, mut copied, mut count) = (0, 0, 0);
    while count < at_most {
        let Context { workspace, watch, .. } = lua.context();
        let found = match (Matcher { subject, pattern, workspace, watch }).find_from(at, is_anchored) {
            Ok(found) => found,
            Err(fault) => return refuse(lua, fault),
        };
        let Some((start, end)) = found else { break };
        count += 1;
        buffer.append(&subject[copied..start]);
        if let Err(fault) = append_replacement(lua, &mut buffer, replacement, (subject, start, end)) {
            return refuse(lua, fault);
        }
        copied = end;
        // After an empty match it goes on one place further.
        at = end + usize::from(end == start);
        if is_anchored || at > subject.len() {
            break;
        }
    }
    if count > 0 {
        buffer.append(&subject[copied..]);
        buffer.push();
    } else {
        lua.push_value(1);
    }
    lua.push_number(f64::from(count));
    2
}

/// Adds what stands for a match.
unsafe fn append_replacement(lua: Lua, buffer: &mut Buffer, replacement: i32, found: Found<'_>) -> Result<(), Fault> {
    match replacement {
        kind::FUNCTION => {
            lua.push_value(REPLACEMENT);
            let count = push_captures(lua, lua.context(), found, true)?;
            lua.call(count, 1);
        }
        kind::TABLE => {
            push_capture(lua, lua.context(), 0, found)?;
            lua.get_table(REPLACEMENT);
        }
        _ => return append_template(lua, buffer, found),
    }
    let (subject, start, end) = found;
    if !lua.to_boolean(-1) {
        buffer.append(&subject[start..end]);
    } else if lua.is_text(-1) {
        // The block of a buffer that grows goes to the place of its own, whatever is above.
        buffer.append(lua.to_bytes(-1).unwrap_or_default());
    } else {
        let name = lua.kind_name(-1);
        lua.fail_with(lua.context(), format_args!("invalid replacement value (a {name})"));
    }
    lua.pop(1);
    Ok(())
}

/// Adds a text in which `%0` to `%9` stand for captures.
unsafe fn append_template(lua: Lua, buffer: &mut Buffer, (subject, start, end): Found<'_>) -> Result<(), Fault> {
    let mut rest = lua.to_bytes(REPLACEMENT).unwrap_or_default();
    while let Some(escape) = rest.iter().position(|&byte| byte == b'%') {
        buffer.append(&rest[..escape]);
        // A string of Lua's is followed by a zero byte.
        let byte = rest.get(escape + 1).copied().unwrap_or(0);
        match byte {
            b'0' => buffer.append(&subject[start..end]),
            b'1'..=b'9' => append_capture(lua, buffer, usize::from(byte - b'1'), (subject, start, end))?,
            _ => buffer.append(&[byte]),
        }
        rest = rest.get(escape + 2..).unwrap_or_default();
    }
    buffer.append(rest);
    Ok(())
}

unsafe fn append_capture(lua: Lua, buffer: &mut Buffer, number: usize, found: Found<'_>) -> Result<(), Fault> {
    let (subject, start, end) = found;
    match lua.context().workspace.captures.get(number) {
        None if number == 0 => buffer.append(&subject[start..end]),
        None => return Err(Fault::Error("invalid capture index")),
        Some(Capture::Open(_)) => return Err(Fault::Error("unfinished capture")),
        Some(&Capture::Position(at)) => buffer.append(format_i64(at as i64 + 1, &mut I64Buffer::default())),
        Some(&Capture::Closed(start, end)) => buffer.append(&subject[start..end]),
    }
    Ok(())
}
