//! What scripts see: the globals of Redis 7 and Valkey 9, and no way to change them.
//!
//! Lua 5.1 knows no tables that are read-only; Redis has patched it. Here scripts get, in place of every table of the sandbox,
//! a *proxy*: an empty table whose metatable looks in the real one and refuses writes. What could get round the metatable
//! (`rawset`, `setmetatable`, `table.insert`, ...) is replaced by functions that know the proxies; what reads without it
//! (`rawget`, `next`, `pairs`) reads the real table.

use std::ffi::{c_int, c_void, CStr};

use crate::api::{api, CFunction, State, GLOBALS, REGISTRY};
use crate::context::Context;
use crate::errors::{error_handler, refuse_proxy, refuse_write};
use crate::lua::{kind, upvalue, Lua};
use crate::patterns::functions as patterns;
use crate::{bits, bounded, chunks, interruption, json, math, msgpack, packing, redis_api};

/// What `redis.REDIS_VERSION` and the like say.
#[derive(Clone, Debug)]
pub struct Versions {
    pub redis: String,
    pub valkey: String,
    pub server: String,
}

/// Globals that stay what Lua has made them.
const PLAIN: &[&CStr] = &[
    c"assert",
    c"collectgarbage",
    c"error",
    c"gcinfo",
    c"ipairs",
    c"rawequal",
    c"select",
    c"tonumber",
    c"tostring",
    c"type",
    c"_VERSION",
];

/// Functions of `string` that know no patterns.
const STRING: &[&CStr] = &[c"byte", c"char", c"dump", c"format", c"len", c"lower", c"reverse", c"sub", c"upper"];

const MATH: &[&CStr] = &[
    c"abs", c"acos", c"asin", c"atan", c"atan2", c"ceil", c"cos", c"cosh", c"deg", c"exp", c"floor", c"fmod", c"frexp",
    c"huge", c"ldexp", c"log", c"log10", c"max", c"min", c"mod", c"modf", c"pi", c"pow", c"rad", c"sin", c"sinh",
    c"sqrt", c"tan", c"tanh",
];

const COROUTINE: &[&CStr] = &[c"create", c"running", c"status", c"wrap", c"yield"];

/// Functions of `table` that only read.
const TABLE: &[&CStr] = &[c"concat", c"getn"];
/// Those that would change the table itself, past its metatable.
const TABLE_WRITERS: &[&CStr] = &[c"remove", c"setn"];
/// Those that read past it.
const TABLE_READERS: &[&CStr] = &[c"foreach", c"foreachi", c"maxn"];

/// What the setting up of a runtime is given.
pub struct Setup<'a> {
    pub context: *mut Context,
    pub versions: &'a Versions,
}

/// Fills the globals of a state in which only Lua's own libraries are, as scripts see them. Leaves the table of the real ones on
/// the stack.
pub unsafe fn install(lua: Lua, setup: &Setup<'_>) {
    let context = setup.context;
    lua.need_stack(40, c"while a runtime is made");
    lua.new_table(0, 48);
    let real = lua.top();
    copy(lua, GLOBALS, PLAIN);
    install_wrappers(lua, context);
    install_lua_libraries(lua, context, real);
    install_libraries(lua, context, real);
    install_redis(lua, setup, real, redis_api::SCRIPT_FUNCTIONS);
    lua.push_native(context, error_handler, 0);
    lua.push_value(-1);
    lua.set_field(real, c"__redis__err__handler");
    lua.set_field(real, c"__server__err__handler");
    (*context).globals[0] = push_globals(lua, context, real);
    lua.replace(GLOBALS);
    protect_strings(lua, context, real);
}

/// Globals of scripts that functions do not have, or have their own of.
const SCRIPT_GLOBALS: [&[u8]; 5] = [b"_G", b"redis", b"server", b"__redis__err__handler", b"__server__err__handler"];

/// Makes the globals of functions from those of scripts, and leaves on the stack what functions have for them.
pub unsafe fn push_function_globals(lua: Lua, setup: &Setup<'_>, real: c_int) {
    lua.new_table(0, 48);
    let own = lua.top();
    lua.push_nil();
    while lua.next(real) {
        if SCRIPT_GLOBALS.contains(&lua.to_bytes(-2).unwrap_or_default()) {
            lua.pop(1);
        } else {
            lua.push_value(-2);
            lua.insert(-2);
            lua.raw_set(own);
        }
    }
    install_redis(lua, setup, own, &[]);
    (*setup.context).globals[1] = push_globals(lua, setup.context, own);
    lua.remove(own);
}

/// Copies fields of a table into the one on the top.
unsafe fn copy(lua: Lua, from: c_int, names: &[&CStr]) {
    for name in names {
        lua.get_field(from, name);
        lua.set_field(-2, name);
    }
}

/// Sets fields of the table on the top to native functions with the original ones as upvalues.
unsafe fn wrap(lua: Lua, context: *mut Context, from: c_int, names: &[&CStr], function: CFunction) {
    for name in names {
        lua.get_field(from, name);
        lua.push_native(context, function, 1);
        lua.set_field(-2, name);
    }
}

unsafe fn register(lua: Lua, context: *mut Context, functions: &[(&CStr, CFunction)]) {
    for (name, function) in functions {
        lua.push_native(context, *function, 0);
        lua.set_field(-2, name);
    }
}

unsafe fn install_wrappers(lua: Lua, context: *mut Context) {
    wrap(lua, context, GLOBALS, &[c"setmetatable", c"rawset"], guarded);
    wrap(lua, context, GLOBALS, &[c"rawget", c"next"], resolved);
    wrap(lua, context, GLOBALS, &[c"getmetatable"], get_metatable);
    wrap(lua, context, GLOBALS, &[c"xpcall"], unstoppable);
    wrap(lua, context, GLOBALS, &[c"unpack"], bounded::unpack);
    lua.get_field(GLOBALS, c"next");
    lua.get_field(-2, c"next");
    lua.push_native(context, pairs, 2);
    lua.set_field(-2, c"pairs");
    register(
        lua,
        context,
        &[(c"pcall", protected_call), (c"load", chunks::load), (c"loadstring", chunks::load_string)],
    );
}

unsafe fn install_lua_libraries(lua: Lua, context: *mut Context, real: c_int) {
    let libraries: [(&CStr, &[&CStr]); 5] = [
        (c"string", STRING),
        (c"math", MATH),
        (c"coroutine", COROUTINE),
        (c"table", TABLE),
        // Of the system's functions, those that tell nothing about it.
        (c"os", &[c"clock"]),
    ];
    for (name, functions) in libraries {
        lua.get_field(GLOBALS, name);
        let from = lua.top();
        lua.new_table(0, functions.len() + 8);
        copy(lua, from, functions);
        match name.to_bytes() {
            b"string" => install_strings(lua, context, from),
            b"math" => register(lua, context, &[(c"random", math::random), (c"randomseed", math::seed)]),
            b"coroutine" => wrap(lua, context, from, &[c"resume"], unstoppable),
            b"table" => {
                wrap(lua, context, from, TABLE_WRITERS, guarded);
                wrap(lua, context, from, TABLE_READERS, resolved);
                register(lua, context, &[(c"insert", bounded::insert), (c"sort", bounded::sort)]);
            }
            _ => {}
        }
        push_proxy(lua, context);
        lua.set_field(real, name);
        lua.set_top(real);
    }
}

/// Adds what of `string` is not Lua's own to the table on the top, in which methods of strings are found from then on.
unsafe fn install_strings(lua: Lua, context: *mut Context, from: c_int) {
    let table = lua.top();
    wrap(lua, context, from, &[c"rep"], bounded::repeat);
    register(lua, context, patterns::FUNCTIONS);
    lua.get_field(table, c"gmatch");
    lua.set_field(table, c"gfind");
    lua.push_bytes(b"");
    if lua.get_metatable(-1) {
        lua.push_value(table);
        lua.set_field(-2, c"__index");
    }
    lua.set_top(table);
}

unsafe fn install_libraries(lua: Lua, context: *mut Context, real: c_int) {
    for (name, functions) in
        [(c"bit", bits::FUNCTIONS), (c"cmsgpack", msgpack::FUNCTIONS), (c"struct", packing::FUNCTIONS)]
    {
        lua.new_table(0, functions.len() + 4);
        register(lua, context, functions);
        if name == c"cmsgpack" {
            for (field, text) in [
                (c"_NAME", "cmsgpack"),
                (c"_VERSION", "lua-cmsgpack 0.4.0"),
                (c"_COPYRIGHT", "Copyright (C) 2012, Redis Ltd."),
                (c"_DESCRIPTION", "MessagePack C implementation for Lua"),
            ] {
                lua.push_bytes(text.as_bytes());
                lua.set_field(-2, field);
            }
        }
        push_proxy(lua, context);
        lua.set_field(real, name);
        lua.set_top(real);
    }
    json::push_global_library(lua, context);
    push_proxy(lua, context);
    lua.set_field(real, c"cjson");
    lua.set_top(real);
}

unsafe fn install_redis(lua: Lua, setup: &Setup<'_>, real: c_int, more: &[(&CStr, CFunction)]) {
    lua.new_table(0, 32);
    register(lua, setup.context, redis_api::FUNCTIONS);
    register(lua, setup.context, more);
    for (name, function) in redis_api::CALLS {
        lua.push_bytes(b"ok");
        lua.push_bytes(b"OK");
        lua.push_native(setup.context, *function, 2);
        lua.set_field(-2, name);
    }
    set_numbers(lua, redis_api::REPLICATION_TARGETS);
    set_log_and_versions(lua, setup);
    push_proxy(lua, setup.context);
    lua.push_value(-1);
    lua.set_field(real, c"redis");
    lua.set_field(real, c"server");
    lua.set_top(real);
}

unsafe fn set_numbers(lua: Lua, numbers: &[(&CStr, f64)]) {
    for (name, number) in numbers {
        lua.push_number(*number);
        lua.set_field(-2, name);
    }
}

/// Sets what a library sees as well while it is loaded, in the table on the top.
pub unsafe fn set_log_and_versions(lua: Lua, setup: &Setup<'_>) {
    register(lua, setup.context, redis_api::LOG);
    set_numbers(lua, redis_api::LOG_LEVELS);
    let versions = setup.versions;
    for (name, number) in
        [(c"REDIS_VERSION_NUM", &versions.redis), (c"VALKEY_VERSION_NUM", &versions.valkey)].map(version_number)
    {
        lua.push_number(number);
        lua.set_field(-2, name);
    }
    let texts = [
        (c"REDIS_VERSION", &versions.redis),
        (c"VALKEY_VERSION", &versions.valkey),
        (c"SERVER_NAME", &versions.server),
    ];
    for (name, text) in texts {
        lua.push_bytes(text.as_bytes());
        lua.set_field(-2, name);
    }
}

/// `7.2.4` as `0x00070204`.
fn version_number((name, text): (&'static CStr, &String)) -> (&'static CStr, f64) {
    let number = text.split('.').take(3).fold(0u32, |number, part| number << 8 | part.parse().unwrap_or(0));
    (name, f64::from(number))
}

/// Makes what scripts or functions have for their globals from the real ones, and leaves it on the stack; returns its address.
unsafe fn push_globals(lua: Lua, context: *mut Context, real: c_int) -> *const c_void {
    lua.new_table(0, 1);
    lua.push_native(context, missing_global, 0);
    lua.push_value(-1);
    lua.set_field(-3, c"__index");
    // What `getmetatable(_G)` returns.
    lua.new_table(0, 1);
    lua.insert(-2);
    lua.set_field(-2, c"__index");
    push_proxy(lua, context);
    lua.insert(-2);
    lua.set_metatable(real);
    lua.push_value(real);
    push_proxy(lua, context);
    lua.get_metatable(-1);
    lua.push_value(-3);
    lua.set_field(-2, c"__metatable");
    lua.pop(1);
    lua.remove(-2);
    lua.push_value(-1);
    lua.set_field(real, c"_G");
    lua.to_pointer(-1)
}

/// Has the table on the top raise an error where something is looked for in it that is not there.
pub unsafe fn refuse_missing(lua: Lua, context: *mut Context) {
    lua.new_table(0, 1);
    lua.push_native(context, missing_global, 0);
    lua.set_field(-2, c"__index");
    lua.set_metatable(-2);
}

/// Has `getmetatable("")` return a proxy.
unsafe fn protect_strings(lua: Lua, context: *mut Context, real: c_int) {
    lua.push_bytes(b"");
    if lua.get_metatable(-1) {
        lua.new_table(0, 1);
        lua.get_field(real, c"string");
        lua.set_field(-2, c"__index");
        push_proxy(lua, context);
        lua.set_field(-2, c"__metatable");
    }
    lua.set_top(real);
}

/// Replaces the table on the top by a proxy of it.
pub unsafe fn push_proxy(lua: Lua, context: *mut Context) {
    lua.new_table(0, 0);
    lua.new_table(0, 3);
    lua.push_value(-3);
    lua.set_field(-2, c"__index");
    lua.push_native(context, refuse_write, 0);
    lua.set_field(-2, c"__newindex");
    lua.set_metatable(-2);
    (*context).proxies.push(lua.to_pointer(-1));
    // The real table is kept alive by the proxy's metatable, and the proxy, whose address is known, by the registry.
    lua.push_value(-1);
    (api().luaL_ref)(lua.0, REGISTRY);
    lua.remove(-2);
}

unsafe extern "C-unwind" fn missing_global(state: *mut State) -> c_int {
    let lua = Lua(state);
    if lua.top() != 2 {
        return lua.fail(b"Wrong number of arguments to luaProtectedTableError");
    }
    if !lua.is_text(2) {
        return lua.fail(b"Second argument to luaProtectedTableError must be a string or number");
    }
    let name = lua.to_c_bytes(2).unwrap_or_default();
    let message = &mut lua.context().message;
    message.clear();
    message.extend_from_slice(b"Script attempted to access nonexistent global variable '");
    message.extend_from_slice(name);
    message.push(b'\'');
    lua.fail(&*(message.as_slice() as *const [u8]))
}

/// Calls the function in the second upvalue, which has none itself, in this function's place.
unsafe fn original(lua: Lua) -> c_int {
    match (api().lua_tocfunction)(lua.0, upvalue(2)) {
        Some(function) => function(lua.0),
        None => 0,
    }
}

unsafe extern "C-unwind" fn guarded(state: *mut State) -> c_int {
    let lua = Lua(state);
    refuse_proxy(lua);
    original(lua)
}

unsafe extern "C-unwind" fn resolved(state: *mut State) -> c_int {
    let lua = Lua(state);
    if lua.has_proxy() && lua.get_metatable(1) {
        lua.get_field(-1, c"__index");
        lua.replace(1);
        lua.pop(1);
    }
    original(lua)
}

/// For functions that return errors: that of a script which is to end goes on.
unsafe extern "C-unwind" fn unstoppable(state: *mut State) -> c_int {
    let lua = Lua(state);
    let results = original(lua);
    interruption::pass_on(lua);
    results
}

unsafe extern "C-unwind" fn get_metatable(state: *mut State) -> c_int {
    let lua = Lua(state);
    // The globals show theirs, as in Redis; the libraries have none there.
    if lua.has_proxy() && !lua.context().globals.contains(&lua.to_pointer(1)) {
        lua.push_nil();
        return 1;
    }
    original(lua)
}

unsafe extern "C-unwind" fn pairs(state: *mut State) -> c_int {
    let lua = Lua(state);
    lua.check_kind(1, kind::TABLE);
    // Lua's own `next` is the second upvalue, that which knows proxies the third.
    lua.push_value(upvalue(if lua.has_proxy() { 3 } else { 2 }));
    lua.push_value(1);
    lua.push_nil();
    3
}

/// `pcall`, which returns the text of an error table rather than the table, as it was before Redis 7.
unsafe extern "C-unwind" fn protected_call(state: *mut State) -> c_int {
    let lua = Lua(state);
    let count = lua.top();
    lua.push_boolean(true);
    lua.insert(1);
    if (api().lua_pcall)(lua.0, count - 1, crate::api::MULTIPLE, 0) != 0 {
        interruption::pass_on(lua);
        lua.remove(1);
        if lua.kind(-1) == kind::TABLE {
            lua.get_field(-1, c"err");
            if lua.is_text(-1) {
                lua.replace(-2);
            }
        }
        lua.push_boolean(false);
        lua.insert(1);
    }
    lua.top()
}
