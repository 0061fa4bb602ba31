//! Ending what runs: the hook that asks whether it may go on, and the errors that it is ended by.
//!
//! Once it is to end, the hook runs at every line and raises the error again, and so does all that returns errors to scripts or
//! resumes coroutines: catching errors gets a script no further.

use std::ffi::{c_int, c_void};

use crate::api::{api, Debug, State, MASK_COUNT, MASK_LINE, REGISTRY};
use crate::context::Context;
use crate::decode::push_error;
use crate::lua::Lua;
use crate::watch::{Stopping, INSTRUCTIONS_FIRST};

/// Steps that a table counts for in a library which walks through tables: one that was emptied is large and writes little.
pub const TABLE_STEPS: usize = 16;

// What is raised in a script that is to end.
const STOPPED: &[u8] = b"ERR Error running script: it was stopped by the server";
const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL.";
const FUNCTION_KILLED: &[u8] = b"ERR Script killed by user with FUNCTION KILL.";
const LOADS_TOO_LONG: &[u8] = b"ERR FUNCTION LOAD timeout";

/// The address of this is the registry's key for the context: hooks have no upvalues.
static CONTEXT_KEY: u8 = 0;

/// Lets hooks find the context.
pub unsafe fn remember(lua: Lua, context: *mut Context) {
    lua.push_light(&raw const CONTEXT_KEY as *mut c_void);
    lua.push_light(context as *mut c_void);
    lua.raw_set(REGISTRY);
}

/// Counts instructions from here on.
pub fn hook(lua: Lua) {
    // SAFETY: setting a hook allocates nothing.
    unsafe { (api().lua_sethook)(lua.0, Some(on_count), MASK_COUNT, INSTRUCTIONS_FIRST) };
}

unsafe extern "C-unwind" fn on_count(state: *mut State, _: *mut Debug) {
    let lua = Lua(state);
    lua.push_light(&raw const CONTEXT_KEY as *mut c_void);
    lua.raw_get(REGISTRY);
    let context = &mut *(lua.to_userdata(-1) as *mut Context);
    lua.pop(1);
    if let Some(stopping) = context.watch.stopping {
        raise_stopping(lua, stopping);
    }
    match context.watch.hook() {
        Some(instructions) => {
            (api().lua_sethook)(lua.0, Some(on_count), MASK_COUNT, instructions);
        }
        None => {
            raise_from_now_on(lua, context);
        }
    }
}

/// Counts steps of the native function that runs; raises an error if what runs is to end.
#[inline(always)]
pub unsafe fn count(lua: Lua, context: &mut Context, steps: usize) {
    if !context.watch.count(steps) {
        raise_from_now_on(lua, context);
    }
}

/// Raises the error of what is to end, in a native function. Does not return.
#[cold]
pub unsafe fn stop(lua: Lua) -> c_int {
    raise_from_now_on(lua, lua.context())
}

#[cold]
unsafe fn raise_from_now_on(lua: Lua, context: &mut Context) -> c_int {
    (api().lua_sethook)(lua.0, Some(on_count), MASK_LINE | MASK_COUNT, 1);
    raise_stopping(lua, context.watch.stopping.unwrap_or(Stopping::ByHost))
}

/// Raises the error again if what runs is to end: for native functions that return errors to scripts.
#[inline(always)]
pub unsafe fn pass_on(lua: Lua) {
    if let Some(stopping) = lua.context().watch.stopping {
        raise_stopping(lua, stopping);
    }
}

#[cold]
unsafe fn raise_stopping(lua: Lua, stopping: Stopping) -> c_int {
    let text = match stopping {
        Stopping::ByHost => STOPPED,
        Stopping::Killed => KILLED,
        Stopping::FunctionKilled => FUNCTION_KILLED,
        Stopping::LoadsTooLong => LOADS_TOO_LONG,
    };
    push_error(lua, text);
    lua.raise()
}
