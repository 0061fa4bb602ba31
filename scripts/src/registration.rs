//! What a library sees while it is loaded: `redis.register_function`, `redis.log`, some constants, and nothing else.

use std::ffi::c_int;

use crate::api::State;
use crate::context::{Action, Phase};
use crate::errors::raise;
use crate::functions::library::{is_name, Function};
use crate::lua::{kind, upvalue, Lua};
use crate::sandbox::{self, Setup};
use crate::shebang::{self, Flags};

/// Makes the globals of a library that is being loaded, and leaves the table on the stack. What is registered goes into the
/// table at `callbacks`: by the number of the library, and then by its name.
pub unsafe fn push_load_globals(lua: Lua, setup: &Setup<'_>, callbacks: c_int) {
    lua.new_table(0, 2);
    let globals = lua.top();
    lua.new_table(0, 16);
    lua.push_value(callbacks);
    lua.push_native(setup.context, register_function, 1);
    lua.set_field(-2, c"register_function");
    sandbox::set_log_and_versions(lua, setup);
    sandbox::refuse_missing(lua, setup.context);
    sandbox::push_proxy(lua, setup.context);
    lua.push_value(-1);
    lua.set_field(globals, c"redis");
    lua.set_field(globals, c"server");
    sandbox::refuse_missing(lua, setup.context);
}

/// What a call says; the places of Lua's stack that it names stay where they are.
struct Given<'a> {
    name: &'a [u8],
    description: Option<&'a [u8]>,
    flags: Flags,
    callback: c_int,
}

unsafe extern "C-unwind" fn register_function(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    if context.task.action != Action::Load || context.task.phase != Phase::Running {
        return raise(lua, b"ERR redis.register_function can only be called on FUNCTION LOAD command");
    }
    let given = match lua.top() {
        1 => named(lua),
        2 => positional(lua),
        _ => Err(&b"ERR wrong number of arguments to redis.register_function"[..]),
    };
    let given = match given {
        Ok(given) => given,
        Err(text) => return raise(lua, text),
    };
    if !is_name(given.name) {
        let text = b"ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
        return raise(lua, text);
    }
    if context.registered.iter().any(|function| *function.name == *given.name) {
        return raise(lua, b"ERR Function already exists in the library");
    }
    lua.raw_get_at(upvalue(2), context.task.program);
    lua.push_bytes(given.name);
    lua.push_value(given.callback);
    lua.raw_set(-3);
    let description = given.description.map(Box::from);
    context.registered.push(Function { name: given.name.into(), description, flags: given.flags });
    0
}

unsafe fn positional<'a>(lua: Lua) -> Result<Given<'a>, &'static [u8]> {
    if !lua.is_text(1) {
        return Err(b"ERR first argument to redis.register_function must be a string");
    }
    if lua.kind(2) != kind::FUNCTION {
        return Err(b"ERR second argument to redis.register_function must be a function");
    }
    Ok(Given { name: lua.to_bytes(1).unwrap_or_default(), description: None, flags: Flags::default(), callback: 2 })
}

// Where the arguments of a table are put.
const NAME: c_int = 2;
const DESCRIPTION: c_int = 3;
const CALLBACK: c_int = 4;
const FLAGS: c_int = 5;

unsafe fn named<'a>(lua: Lua) -> Result<Given<'a>, &'static [u8]> {
    if lua.kind(1) != kind::TABLE {
        return Err(
            b"ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        );
    }
    lua.set_top(FLAGS);
    lua.push_nil();
    while lua.next(1) {
        let place = place_of_argument(lua)?;
        lua.replace(place);
    }
    if lua.kind(NAME) == kind::NIL {
        return Err(b"ERR redis.register_function must get a function name argument");
    }
    if lua.kind(CALLBACK) == kind::NIL {
        return Err(b"ERR redis.register_function must get a callback argument");
    }
    Ok(Given {
        name: lua.to_bytes(NAME).unwrap_or_default(),
        description: lua.to_bytes(DESCRIPTION),
        flags: flags(lua)?,
        callback: CALLBACK,
    })
}

/// Where the value on the top belongs; its key is below it.
unsafe fn place_of_argument(lua: Lua) -> Result<c_int, &'static [u8]> {
    if !lua.is_text(-2) {
        return Err(b"ERR named argument key given to redis.register_function is not a string");
    }
    // A number, which must not be made a text while its table is walked through, is no argument's name.
    let key = if lua.kind(-2) == kind::STRING { lua.to_c_bytes(-2).unwrap_or_default() } else { b"" };
    let is = |name: &[u8]| key.eq_ignore_ascii_case(name);
    let (place, fits, error): (c_int, bool, &'static [u8]) = if is(b"function_name") {
        (NAME, lua.is_text(-1), b"ERR function_name argument given to redis.register_function must be a string")
    } else if is(b"description") {
        (DESCRIPTION, lua.is_text(-1), b"ERR description argument given to redis.register_function must be a string")
    } else if is(b"callback") {
        let fits = lua.kind(-1) == kind::FUNCTION;
        (CALLBACK, fits, b"ERR callback argument given to redis.register_function must be a function")
    } else if is(b"flags") {
        let fits = lua.kind(-1) == kind::TABLE;
        (FLAGS, fits, b"ERR flags argument to redis.register_function must be a table representing function flags")
    } else {
        return Err(b"ERR unknown argument given to redis.register_function");
    };
    if place == FLAGS && fits {
        flags_at(lua, lua.top())?;
    }
    if fits {
        Ok(place)
    } else {
        Err(error)
    }
}

unsafe fn flags(lua: Lua) -> Result<Flags, &'static [u8]> {
    if lua.kind(FLAGS) == kind::NIL {
        return Ok(Flags::default());
    }
    flags_at(lua, FLAGS)
}

unsafe fn flags_at(lua: Lua, index: c_int) -> Result<Flags, &'static [u8]> {
    let mut flags = Flags::default();
    for number in 1.. {
        lua.raw_get_at(index, number);
        if lua.kind(-1) == kind::NIL {
            lua.pop(1);
            break;
        }
        let name = if lua.is_text(-1) { lua.to_c_bytes(-1).unwrap_or_default() } else { b"" };
        let flag = shebang::named(name).ok_or(&b"ERR unknown flag given"[..])?;
        flags = flags.with(flag);
        lua.pop(1);
    }
    Ok(flags)
}
