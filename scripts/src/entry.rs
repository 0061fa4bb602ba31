//! How a runtime gets into Lua: the native functions that set a state up and do the context's task, and what of theirs is kept at the
//! bottom of the stack.

use std::ffi::{c_int, CStr};

use crate::api::{State, GLOBALS, REGISTRY};
use crate::arguments::{self, List, Places};
use crate::context::{Action, Context, Phase};
use crate::encode::{Encoder, FIELDS};
use crate::errors::{error_handler, report};
use crate::layout::Layout;
use crate::lua::{kind, upvalue, Lua};
use crate::probes::probe;
use crate::sandbox::{self, Setup};
use crate::{chunks, code, interruption, registration};

/// Compiled scripts that a runtime keeps. Then it drops all, for it does not know which are forgotten, and compiles anew.
pub const COMPILED_MAX: usize = 4096;

// Where what a script needs is on the stack.
pub const HANDLER: c_int = 1;
pub const ENTER: c_int = 2;
pub const REPORT: c_int = 3;
/// The metatable of what functions have for their globals, and the two tables that it looks in.
pub const FUNCTION_METATABLE: c_int = 4;
pub const FUNCTION_GLOBALS: c_int = 5;
pub const LOAD_GLOBALS: c_int = 6;
pub const RESIDENT: c_int = 6;
/// Where they are in the registry until then: numbers that `luaL_ref` does not use.
pub const PARKED: c_int = 1 << 30;

// The upvalues of `enter`, after the context.
const COMPILED: c_int = 2;
const LISTS: Places = Places { globals: 3, names: [4, 5], current: [9, 10], kept: 11 };
/// Functions by the number of their library, and then by their names.
pub const CALLBACKS: c_int = 6;
/// What scripts and functions have for their globals.
const GLOBALS_OF: [c_int; 2] = [7, 8];
const FIRST_FIELD: c_int = 12;

/// Sets a state up; what it leaves for the bottom of the stack is in the registry, from [`PARKED`] on.
pub unsafe extern "C-unwind" fn install(state: *mut State) -> c_int {
    let lua = Lua(state);
    let setup = &*(lua.to_userdata(1) as *const Setup<'_>);
    let context = setup.context;
    lua.set_top(0);
    interruption::remember(lua, context);
    sandbox::install(lua, setup);
    let real = lua.top();
    sandbox::push_function_globals(lua, setup, real);
    let function_globals = lua.top();
    lua.new_table(0, 0);
    let callbacks = lua.top();
    registration::push_load_globals(lua, setup, callbacks);
    let load_globals = lua.top();
    lua.push_native(context, error_handler, 0);
    (*context).layout = Layout::learn(lua);
    lua.push_native(context, probe, 0);
    lua.call(0, 0);
    lua.new_table(0, 0);
    lua.push_value(real);
    lua.push_bytes(b"KEYS");
    lua.push_bytes(b"ARGV");
    lua.push_value(callbacks);
    lua.push_value(GLOBALS);
    lua.push_value(function_globals);
    lua.push_nil();
    lua.push_nil();
    lua.new_table(0, 0);
    FIELDS.iter().for_each(|field| lua.push_bytes(field));
    lua.push_native(context, enter, FIRST_FIELD - 2 + FIELDS.len() as c_int);
    lua.push_native(context, report, 0);
    lua.get_metatable(function_globals);
    lua.get_field(-1, c"__index");
    lua.push_value(load_globals);
    for number in (HANDLER..=RESIDENT).rev() {
        lua.raw_set_at(REGISTRY, PARKED + number);
    }
    interruption::hook(lua);
    0
}

unsafe fn push_array(lua: Lua, texts: &[&[u8]]) {
    lua.new_table(texts.len(), 0);
    for (number, text) in (1..).zip(texts) {
        lua.push_bytes(text);
        lua.raw_set_at(-2, number);
    }
}

/// Does the context's task.
unsafe extern "C-unwind" fn enter(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    let is_function = matches!(context.task.action, Action::Load | Action::Call);
    if context.has_function_globals != is_function {
        lua.push_value(upvalue(GLOBALS_OF[usize::from(is_function)]));
        lua.replace(GLOBALS);
        context.has_function_globals = is_function;
    }
    match context.task.action {
        Action::Load => return load_library(lua, context),
        Action::Call => {
            lua.raw_get_at(upvalue(CALLBACKS), context.task.program);
            lua.push_bytes(&*context.task.function);
            lua.raw_get(-2);
            push_array(lua, &*context.task.keys);
            push_array(lua, &*context.task.args);
        }
        action => {
            if !push_script(lua, context) || action == Action::Compile {
                return 0;
            }
            arguments::set(lua, context, List::Keys, &*context.task.keys, &LISTS);
            arguments::set(lua, context, List::Arguments, &*context.task.args, &LISTS);
        }
    }
    context.task.phase = Phase::Running;
    let kept: *mut Context = context;
    lua.call(if is_function { 2 } else { 0 }, 1);
    let context = &mut *kept;
    context.task.phase = Phase::Returned;
    if context.answers_reply {
        (*context.task.out).extend_from_slice(&context.reply);
        return 0;
    }
    let mut encoder = Encoder {
        lua,
        out: &mut *context.task.out,
        client_protocol: context.task.client_protocol,
        script_protocol: context.protocol,
        first_field: FIRST_FIELD,
        end_max: (*context.task.out).len().saturating_add(context.task.reply_bytes_max),
        failed: false,
    };
    encoder.write();
    context.task.failed = encoder.failed;
    0
}

/// Pushes the task's script, which is compiled if it was not yet; returns whether it compiles.
#[inline(always)]
unsafe fn push_script(lua: Lua, context: &mut Context) -> bool {
    lua.raw_get_at(upvalue(COMPILED), context.task.program);
    if context.frames.is_known() {
        let script = context.frames.top(lua);
        if script.kind() == kind::FUNCTION {
            context.script = script.address();
            return true;
        }
    } else if lua.kind(-1) == kind::FUNCTION {
        return true;
    }
    lua.pop(1);
    if !compile(lua, context, c"@user_script") {
        return false;
    }
    if context.reads_code && code::leaves_globals_alone(lua, context) {
        lua.push_value(upvalue(LISTS.globals));
        lua.set_environment(-2);
    }
    if context.compiled >= COMPILED_MAX {
        context.compiled = 0;
        lua.new_table(0, 0);
        lua.replace(upvalue(COMPILED));
    }
    context.compiled += 1;
    lua.push_value(-1);
    lua.raw_set_at(upvalue(COMPILED), context.task.program);
    context.script = lua.to_pointer(-1);
    true
}

/// Compiles the task's text and pushes it; returns whether that is possible, else the message says why.
unsafe fn compile(lua: Lua, context: &mut Context, name: &CStr) -> bool {
    let compiles = chunks::compile(lua, &*context.task.source, name.as_ptr());
    if !compiles {
        context.task.phase = Phase::Malformed;
        context.message.clear();
        context.message.extend_from_slice(lua.to_bytes(-1).unwrap_or_default());
    }
    compiles
}

/// Runs the code of the task's library, which registers its functions.
unsafe fn load_library(lua: Lua, context: &mut Context) -> c_int {
    if compile(lua, context, c"@user_function") {
        lua.new_table(0, 0);
        lua.raw_set_at(upvalue(CALLBACKS), context.task.program);
        context.task.phase = Phase::Running;
        lua.call(0, 0);
        lua.context().task.phase = Phase::Returned;
    }
    0
}
