//! What a compiled chunk does to globals.
//!
//! Globals are looked for in a proxy, which refuses to be written to and looks in the real table itself (`sandbox.rs`): three looks
//! for each name. A chunk in which no instruction writes to a global may look in the real table at once, for it has no other way of
//! getting at the table that it looks in: scripts have neither `getfenv` nor `setfenv`. Whether there is such an instruction is read
//! in what Lua writes of the chunk for saving it, once, when it is compiled.

use std::ffi::{c_int, c_void};

use crate::api::{api, State};
use crate::context::Context;
use crate::lua::Lua;

/// How what Lua writes begins: the version, the official format, and the sizes of what follows.
const HEADER: &[u8] = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00";
const OPERATION: u32 = 63;
const SET_GLOBAL: u32 = 7;
/// Functions within functions that are looked through; Lua compiles no more.
const DEPTH_MAX: usize = 200;

unsafe extern "C-unwind" fn write(_: *mut State, bytes: *const c_void, length: usize, to: *mut c_void) -> c_int {
    let to = &mut *(to as *mut Vec<u8>);
    to.extend_from_slice(std::slice::from_raw_parts(bytes as *const u8, length));
    0
}

/// Whether the function on the top, a chunk, is known to leave globals alone, with all functions in it.
pub unsafe fn leaves_globals_alone(lua: Lua, context: &mut Context) -> bool {
    context.scratch.clear();
    let to = &raw mut context.scratch as *mut c_void;
    let is_written = (api().lua_dump)(lua.0, write, to) == 0;
    is_written && reads_no_write(&context.scratch)
}

fn reads_no_write(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(HEADER) else { return false };
    let mut code = Code { rest, writes: false };
    code.function(0).is_some() && code.rest.is_empty() && !code.writes
}

struct Code<'a> {
    rest: &'a [u8],
    writes: bool,
}

impl<'a> Code<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        let number = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
        usize::try_from(number).ok()
    }

    fn text(&mut self) -> Option<()> {
        let length = u64::from_le_bytes(*self.take(8)?.first_chunk()?);
        self.take(usize::try_from(length).ok()?).map(|_| ())
    }

    fn words(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count.checked_mul(4)?)
    }

    /// A function with those in it.
    fn function(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.text()?;
        // Its lines, and four bytes about its arguments and variables.
        self.take(4 + 4 + 4)?;
        let instructions = self.words()?;
        let operation = |word: &[u8]| word.first_chunk().map(|word| u32::from_le_bytes(*word) & OPERATION);
        self.writes |= instructions.chunks_exact(4).any(|word| operation(word) == Some(SET_GLOBAL));
        for _ in 0..self.count()? {
            self.constant()?;
        }
        for _ in 0..self.count()? {
            self.function(depth + 1)?;
        }
        // Lines of instructions, variables with where they begin and end, and names of upvalues.
        self.words()?;
        for _ in 0..self.count()? {
            self.text()?;
            self.take(4 + 4)?;
        }
        for _ in 0..self.count()? {
            self.text()?;
        }
        Some(())
    }

    fn constant(&mut self) -> Option<()> {
        match self.take(1)? {
            [0] => Some(()),
            [1] => self.take(1).map(|_| ()),
            [3] => self.take(8).map(|_| ()),
            [4] => self.text(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_not_trusted() {
        assert!(!reads_no_write(b"") && !reads_no_write(HEADER) && !reads_no_write(b"return 1"));
        // A function without anything, and with something behind it.
        let empty = [HEADER, &[0; 8 + 12 + 4 * 6]].concat();
        assert!(reads_no_write(&empty) && !reads_no_write(&[&empty[..], b"x"].concat()));
    }

    #[test]
    fn an_instruction_that_writes_to_a_global_is_seen() {
        let of = |instruction: u32| {
            [HEADER, &[0; 8 + 12], &1u32.to_le_bytes(), &instruction.to_le_bytes(), &[0; 4 * 5]].concat()
        };
        assert!(reads_no_write(&of(5 | 77 << 6)) && !reads_no_write(&of(SET_GLOBAL | 77 << 6)));
    }
}
