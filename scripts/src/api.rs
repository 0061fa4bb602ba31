//! Lua's C API, as the extension module of lupa has it.
//!
//! lupa's wheels carry a whole Lua in their extension module and export its symbols. The module is loaded by the time this is
//! used, so `dlopen` returns the copy that lupa itself runs (`RTLD_NOLOAD` where it must be), and `dlsym` finds the functions.
//! Lua 5.1 is the version: it is what Redis and Valkey run, with the same error texts, the same number formatting, the same
//! order of `pairs`, and a count hook that nothing can evade. (LuaJIT's interpreter is 2.4 times as fast in a bare loop, but
//! differs in all of that, and its compiled code runs no hooks.)
//!
//! Where lupa's module does not export them (a build with hidden symbols, or without Lua 5.1), a shared library of the system's with
//! Lua 5.1 does as well: its states are made here ([`crate::runtime::Runtime::make`]).
//!
//! Rejected: running scripts through lupa's Python methods then, as all libraries and `redis.call` would have to be written a second
//! time, with the interpreter's lock for each call; `package.loadlib` for finding the functions, which needs a runtime with the `package` library first, and
//! linking with a Lua of our own, whose states could not be lupa's.

use std::ffi::{c_char, c_double, c_int, c_void, CStr, CString};
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

/// A runtime or a coroutine of it, as Lua sees it.
#[repr(C)]
pub struct State {
    opaque: [u8; 0],
}

/// A function that Lua calls.
pub type CFunction = unsafe extern "C-unwind" fn(*mut State) -> c_int;
/// What `lua_load` reads from.
pub type Reader = unsafe extern "C-unwind" fn(*mut State, *mut c_void, *mut usize) -> *const c_char;
/// What `lua_dump` writes to.
pub type Writer = unsafe extern "C-unwind" fn(*mut State, *const c_void, usize, *mut c_void) -> c_int;
/// A hook.
pub type Hook = unsafe extern "C-unwind" fn(*mut State, *mut Debug);

/// What Lua tells of a function that is being executed.
#[repr(C)]
pub struct Debug {
    pub event: c_int,
    pub name: *const c_char,
    pub name_what: *const c_char,
    pub what: *const c_char,
    pub source: *const c_char,
    pub current_line: c_int,
    pub upvalues: c_int,
    pub line_defined: c_int,
    pub last_line_defined: c_int,
    pub short_source: [c_char; 60],
    pub call_info: c_int,
}

pub const REGISTRY: c_int = -10000;
pub const GLOBALS: c_int = -10002;
/// As many results as there are.
pub const MULTIPLE: c_int = -1;
pub const MASK_LINE: c_int = 1 << 2;
pub const MASK_COUNT: c_int = 1 << 3;

/// A symbol or the module itself was not found.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lua's C API is not complete: {}", self.0)
    }
}

impl std::error::Error for Missing {}

macro_rules! functions {
    ($($name:ident($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions that are used here, under their own names.
        #[allow(non_snake_case)]
        pub struct Api { $(pub $name: unsafe extern "C-unwind" fn($($argument),*) -> $result,)* }

        impl Api {
            /// # Safety
            /// The module has to export Lua 5.1's API under these names.
            unsafe fn resolve(module: *mut c_void) -> Result<Api, Missing> {
                Ok(Api { $(
                    // SAFETY: Lua 5.1's manual declares the function so.
                    $name: unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($argument),*) -> $result>(
                            symbol(module, stringify!($name))?
                        )
                    },
                )* })
            }
        }
    };
}

functions! {
    lua_checkstack(*mut State, c_int) -> c_int;
    lua_concat(*mut State, c_int) -> ();
    lua_cpcall(*mut State, CFunction, *mut c_void) -> c_int;
    lua_createtable(*mut State, c_int, c_int) -> ();
    lua_dump(*mut State, Writer, *mut c_void) -> c_int;
    lua_error(*mut State) -> c_int;
    lua_gc(*mut State, c_int, c_int) -> c_int;
    lua_getallocf(*mut State, *mut *mut c_void) -> AllocatorFunction;
    lua_getfield(*mut State, c_int, *const c_char) -> ();
    lua_getinfo(*mut State, *const c_char, *mut Debug) -> c_int;
    lua_getmetatable(*mut State, c_int) -> c_int;
    lua_gettable(*mut State, c_int) -> ();
    lua_getstack(*mut State, c_int, *mut Debug) -> c_int;
    lua_gettop(*mut State) -> c_int;
    lua_getupvalue(*mut State, c_int, c_int) -> *const c_char;
    lua_insert(*mut State, c_int) -> ();
    lua_isnumber(*mut State, c_int) -> c_int;
    lua_lessthan(*mut State, c_int, c_int) -> c_int;
    lua_load(*mut State, Reader, *mut c_void, *const c_char) -> c_int;
    lua_newuserdata(*mut State, usize) -> *mut c_void;
    lua_next(*mut State, c_int) -> c_int;
    lua_objlen(*mut State, c_int) -> usize;
    lua_pcall(*mut State, c_int, c_int, c_int) -> c_int;
    lua_call(*mut State, c_int, c_int) -> ();
    lua_pushboolean(*mut State, c_int) -> ();
    lua_pushcclosure(*mut State, CFunction, c_int) -> ();
    lua_pushinteger(*mut State, isize) -> ();
    lua_pushlightuserdata(*mut State, *mut c_void) -> ();
    lua_pushlstring(*mut State, *const c_char, usize) -> ();
    lua_pushnil(*mut State) -> ();
    lua_pushnumber(*mut State, c_double) -> ();
    lua_pushvalue(*mut State, c_int) -> ();
    lua_rawget(*mut State, c_int) -> ();
    lua_rawgeti(*mut State, c_int, c_int) -> ();
    lua_rawset(*mut State, c_int) -> ();
    lua_rawseti(*mut State, c_int, c_int) -> ();
    lua_remove(*mut State, c_int) -> ();
    lua_replace(*mut State, c_int) -> ();
    lua_setfenv(*mut State, c_int) -> c_int;
    lua_setfield(*mut State, c_int, *const c_char) -> ();
    lua_setallocf(*mut State, AllocatorFunction, *mut c_void) -> ();
    lua_sethook(*mut State, Option<Hook>, c_int, c_int) -> c_int;
    lua_setmetatable(*mut State, c_int) -> c_int;
    lua_settable(*mut State, c_int) -> ();
    lua_settop(*mut State, c_int) -> ();
    lua_toboolean(*mut State, c_int) -> c_int;
    lua_tocfunction(*mut State, c_int) -> Option<CFunction>;
    lua_tolstring(*mut State, c_int, *mut usize) -> *const c_char;
    lua_tonumber(*mut State, c_int) -> c_double;
    lua_topointer(*mut State, c_int) -> *const c_void;
    lua_touserdata(*mut State, c_int) -> *mut c_void;
    lua_type(*mut State, c_int) -> c_int;
    lua_typename(*mut State, c_int) -> *const c_char;
    lua_newstate(AllocatorFunction, *mut c_void) -> *mut State;
    lua_close(*mut State) -> ();
    luaL_argerror(*mut State, c_int, *const c_char) -> c_int;
    luaL_callmeta(*mut State, c_int, *const c_char) -> c_int;
    luaL_checkinteger(*mut State, c_int) -> isize;
    luaL_checklstring(*mut State, c_int, *mut usize) -> *const c_char;
    luaL_checknumber(*mut State, c_int) -> c_double;
    luaL_checkstack(*mut State, c_int, *const c_char) -> ();
    luaL_checktype(*mut State, c_int, c_int) -> ();
    luaL_openlibs(*mut State) -> ();
    luaL_optinteger(*mut State, c_int, isize) -> isize;
    luaL_ref(*mut State, c_int) -> c_int;
    luaL_typerror(*mut State, c_int, *const c_char) -> c_int;
    luaL_where(*mut State, c_int) -> ();
}

/// What `lua_newstate` allocates with.
pub type AllocatorFunction = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;

static API: OnceLock<Api> = OnceLock::new();

/// The API; [`load`] has succeeded before there is any state to call it with.
#[inline(always)]
pub fn api() -> &'static Api {
    // SAFETY: a runtime is only made after `load` has succeeded.
    unsafe { API.get().unwrap_unchecked() }
}

/// Finds the functions in lupa's extension module, which the process has loaded already if Python has imported it, or in another
/// shared library, which is looked for where the system has them if the path is but a name.
pub fn load(module: &Path) -> Result<(), Missing> {
    if API.get().is_some() {
        return Ok(());
    }
    let path = CString::new(module.as_os_str().as_encoded_bytes()).map_err(|error| Missing(error.to_string()))?;
    // SAFETY: loading a module that is loaded runs nothing; it is never unloaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(Missing(last_error()));
    }
    // SAFETY: whoever names a library promises that what it has under these names is Lua 5.1; lupa's module has.
    let found = unsafe { Api::resolve(handle) }?;
    let _ = API.set(found);
    Ok(())
}

/// # Safety
/// The module is one that `dlopen` has returned.
unsafe fn symbol(module: *mut c_void, name: &str) -> Result<*mut c_void, Missing> {
    let text = CString::new(name).map_err(|error| Missing(error.to_string()))?;
    // SAFETY: see above.
    let found = unsafe { libc::dlsym(module, text.as_ptr()) };
    if found.is_null() {
        return Err(Missing(name.to_owned()));
    }
    Ok(found)
}

fn last_error() -> String {
    // SAFETY: dlerror returns a C string or null.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the module cannot be loaded".to_owned();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
