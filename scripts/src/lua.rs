//! A thin coat over Lua's C API: one method a function, nothing hidden.
//!
//! # The rule for code that Lua calls
//!
//! Lua's errors are `longjmp`s: they leave frames without running destructors. Nearly every call can raise one, if only
//! because memory has run out. So:
//!
//! - Lua is entered by `lua_pcall` and `lua_cpcall` only.
//! - A frame between there and an API call owns nothing: no `Vec`, no `String`, no `Box`, no guard. Buffers belong to the
//!   context, which outlives the call, and are borrowed through it; texts are `&'static str` or written into it.
//! - A native function does its Rust work first, pushes plain results, and raises an error as its very last act.
//!
//! `tests/memory_limit.rs` runs all libraries against limits so small that every allocation fails once.

use std::ffi::{c_char, c_int, c_void, CStr};

use crate::api::{api, Debug, State, GLOBALS};

/// Lua's types by number.
pub mod kind {
    pub const NONE: i32 = -1;
    pub const NIL: i32 = 0;
    pub const BOOLEAN: i32 = 1;
    pub const LIGHT_USERDATA: i32 = 2;
    pub const NUMBER: i32 = 3;
    pub const STRING: i32 = 4;
    pub const TABLE: i32 = 5;
    pub const FUNCTION: i32 = 6;
}

/// A state; see the [module](self).
///
/// Every method needs what Lua's manual asks of the function of its name: room on the stack (20 places in a native function), an
/// index that there is, and the rule above.
#[derive(Clone, Copy)]
pub struct Lua(pub *mut State);

/// The index of a native function's upvalue, from 1.
pub const fn upvalue(number: c_int) -> c_int {
    GLOBALS - number
}

// Each method is one call of an API function for which this file's rule holds; the unsafety is the caller's promise to keep it.
#[allow(clippy::missing_safety_doc)]
impl Lua {
    #[inline(always)]
    pub fn top(self) -> c_int {
        // SAFETY: any state has a top.
        unsafe { (api().lua_gettop)(self.0) }
    }

    #[inline(always)]
    pub unsafe fn set_top(self, index: c_int) {
        (api().lua_settop)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn pop(self, count: c_int) {
        self.set_top(-count - 1)
    }

    #[inline(always)]
    pub unsafe fn kind(self, index: c_int) -> i32 {
        (api().lua_type)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn push_value(self, index: c_int) {
        (api().lua_pushvalue)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn push_nil(self) {
        (api().lua_pushnil)(self.0)
    }

    #[inline(always)]
    pub unsafe fn push_boolean(self, value: bool) {
        (api().lua_pushboolean)(self.0, c_int::from(value))
    }

    #[inline(always)]
    pub unsafe fn push_number(self, value: f64) {
        (api().lua_pushnumber)(self.0, value)
    }

    #[inline(always)]
    pub unsafe fn push_bytes(self, bytes: &[u8]) {
        (api().lua_pushlstring)(self.0, bytes.as_ptr() as *const c_char, bytes.len())
    }

    pub unsafe fn push_light(self, pointer: *mut c_void) {
        (api().lua_pushlightuserdata)(self.0, pointer)
    }

    #[inline(always)]
    pub unsafe fn new_table(self, array: usize, hash: usize) {
        let bounded = |count: usize| count.min(1 << 26) as c_int;
        (api().lua_createtable)(self.0, bounded(array), bounded(hash))
    }

    #[inline(always)]
    pub unsafe fn raw_get(self, index: c_int) {
        (api().lua_rawget)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn raw_get_at(self, index: c_int, number: c_int) {
        (api().lua_rawgeti)(self.0, index, number)
    }

    #[inline(always)]
    pub unsafe fn raw_set(self, index: c_int) {
        (api().lua_rawset)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn raw_set_at(self, index: c_int, number: c_int) {
        (api().lua_rawseti)(self.0, index, number)
    }

    pub unsafe fn set_table(self, index: c_int) {
        (api().lua_settable)(self.0, index)
    }

    /// Replaces the key on the top by what the table has there; metamethods are called.
    pub unsafe fn get_table(self, index: c_int) {
        (api().lua_gettable)(self.0, index)
    }

    pub unsafe fn get_field(self, index: c_int, name: &CStr) {
        (api().lua_getfield)(self.0, index, name.as_ptr())
    }

    #[inline(always)]
    pub unsafe fn set_field(self, index: c_int, name: &CStr) {
        (api().lua_setfield)(self.0, index, name.as_ptr())
    }

    pub unsafe fn call(self, arguments: c_int, results: c_int) {
        (api().lua_call)(self.0, arguments, results)
    }

    pub unsafe fn set_metatable(self, index: c_int) {
        (api().lua_setmetatable)(self.0, index);
    }

    /// Has the function at an index look for globals in the table on the top, which it takes off.
    pub unsafe fn set_environment(self, index: c_int) {
        (api().lua_setfenv)(self.0, index);
    }

    pub unsafe fn get_metatable(self, index: c_int) -> bool {
        (api().lua_getmetatable)(self.0, index) != 0
    }

    pub unsafe fn insert(self, index: c_int) {
        (api().lua_insert)(self.0, index)
    }

    pub unsafe fn replace(self, index: c_int) {
        (api().lua_replace)(self.0, index)
    }

    pub unsafe fn remove(self, index: c_int) {
        (api().lua_remove)(self.0, index)
    }

    pub unsafe fn concat(self, count: c_int) {
        (api().lua_concat)(self.0, count)
    }

    #[inline(always)]
    pub unsafe fn next(self, index: c_int) -> bool {
        (api().lua_next)(self.0, index) != 0
    }

    #[inline(always)]
    pub unsafe fn length(self, index: c_int) -> usize {
        (api().lua_objlen)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn to_boolean(self, index: c_int) -> bool {
        (api().lua_toboolean)(self.0, index) != 0
    }

    #[inline(always)]
    pub unsafe fn to_number(self, index: c_int) -> f64 {
        (api().lua_tonumber)(self.0, index)
    }

    #[inline(always)]
    pub unsafe fn to_userdata(self, index: c_int) -> *mut c_void {
        (api().lua_touserdata)(self.0, index)
    }

    pub unsafe fn to_pointer(self, index: c_int) -> *const c_void {
        (api().lua_topointer)(self.0, index)
    }

    /// Whether one value is less than another, as Lua's `<` says.
    #[inline(always)]
    pub unsafe fn less_than(self, one: c_int, other: c_int) -> bool {
        (api().lua_lessthan)(self.0, one, other) != 0
    }

    /// Memory of Lua's own, which it frees once the value is gone from the stack.
    pub unsafe fn new_userdata(self, bytes: usize) -> *mut c_void {
        (api().lua_newuserdata)(self.0, bytes)
    }

    pub unsafe fn is_number(self, index: c_int) -> bool {
        (api().lua_isnumber)(self.0, index) != 0
    }

    /// Whether it is a string or a number.
    pub unsafe fn is_text(self, index: c_int) -> bool {
        matches!(self.kind(index), kind::STRING | kind::NUMBER)
    }

    /// The bytes of a string; a number in that place becomes one. They live as long as the value is on the stack.
    #[inline(always)]
    pub unsafe fn to_bytes<'a>(self, index: c_int) -> Option<&'a [u8]> {
        let mut length = 0;
        let text = (api().lua_tolstring)(self.0, index, &mut length);
        (!text.is_null()).then(|| std::slice::from_raw_parts(text as *const u8, length))
    }

    /// The bytes of a string up to its first zero, as C code sees it.
    pub unsafe fn to_c_bytes<'a>(self, index: c_int) -> Option<&'a [u8]> {
        let bytes = self.to_bytes(index)?;
        Some(&bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())])
    }

    #[inline(always)]
    pub unsafe fn check_stack(self, places: c_int) -> bool {
        (api().lua_checkstack)(self.0, places) != 0
    }

    /// Makes room or raises an error.
    pub unsafe fn need_stack(self, places: c_int, reason: &CStr) {
        (api().luaL_checkstack)(self.0, places, reason.as_ptr())
    }

    /// An argument's bytes, or an error.
    pub unsafe fn argument_bytes<'a>(self, number: c_int) -> &'a [u8] {
        let mut length = 0;
        let text = (api().luaL_checklstring)(self.0, number, &mut length);
        std::slice::from_raw_parts(text as *const u8, length)
    }

    /// An argument as an integer, or an error.
    pub unsafe fn argument_integer(self, number: c_int) -> isize {
        (api().luaL_checkinteger)(self.0, number)
    }

    /// An argument as a number, or an error.
    pub unsafe fn argument_number(self, number: c_int) -> f64 {
        (api().luaL_checknumber)(self.0, number)
    }

    /// An argument as an integer, or the default where there is none.
    pub unsafe fn optional_integer(self, number: c_int, default: isize) -> isize {
        (api().luaL_optinteger)(self.0, number, default)
    }

    /// An error unless the argument is of a type.
    pub unsafe fn check_kind(self, number: c_int, wanted: i32) {
        (api().luaL_checktype)(self.0, number, wanted)
    }

    /// Raises the error that an argument is wrong. Does not return.
    #[cold]
    pub unsafe fn argument_error(self, number: c_int, reason: &CStr) -> c_int {
        (api().luaL_argerror)(self.0, number, reason.as_ptr())
    }

    /// An error unless a condition on an argument holds.
    pub unsafe fn check(self, holds: bool, number: c_int, reason: &CStr) {
        if !holds {
            self.argument_error(number, reason);
        }
    }

    /// Raises the value on the top as an error. Does not return.
    #[cold]
    pub unsafe fn raise(self) -> c_int {
        (api().lua_error)(self.0)
    }

    /// Raises an error with a text, which is preceded by the place in the script. Does not return.
    #[cold]
    pub unsafe fn fail(self, text: &[u8]) -> c_int {
        (api().luaL_where)(self.0, 1);
        self.push_bytes(text);
        self.concat(2);
        self.raise()
    }

    /// The name of the type of a value.
    pub unsafe fn kind_name(self, index: c_int) -> &'static str {
        CStr::from_ptr((api().lua_typename)(self.0, self.kind(index))).to_str().unwrap_or_default()
    }

    /// What is known of the function at a level; 0 is the one that runs.
    pub unsafe fn function_at(self, level: c_int, debug: &mut Debug) -> bool {
        (api().lua_getstack)(self.0, level, debug) != 0 && (api().lua_getinfo)(self.0, c"nSl".as_ptr(), debug) != 0
    }
}
