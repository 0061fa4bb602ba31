//! The `bit` library: 32-bit operations, with the semantics of LuaBitOp.

use std::ffi::c_int;

use crate::api::{api, CFunction, State};
use crate::lua::Lua;

/// The functions of the library.
pub const FUNCTIONS: &[(&std::ffi::CStr, CFunction)] = &[
    (c"tobit", to_bit),
    (c"bnot", not),
    (c"bswap", swap),
    (c"band", and),
    (c"bor", or),
    (c"bxor", xor),
    (c"lshift", shift_left),
    (c"rshift", shift_right),
    (c"arshift", shift_right_signed),
    (c"rol", rotate_left),
    (c"ror", rotate_right),
    (c"tohex", to_hex),
];

/// An argument, modulo 2^32: adding 2^52 + 2^51 leaves an integer's bits in the lower half of the double.
unsafe fn argument(lua: Lua, number: c_int) -> u32 {
    let bits = (lua.to_number(number) + 6_755_399_441_055_744.0).to_bits() as u32;
    if bits == 0 && !lua.is_number(number) {
        (api().luaL_typerror)(lua.0, number, c"number".as_ptr());
    }
    bits
}

unsafe fn answer(lua: Lua, bits: u32) -> c_int {
    lua.push_number(f64::from(bits as i32));
    1
}

unsafe fn fold(state: *mut State, combine: fn(u32, u32) -> u32) -> c_int {
    let lua = Lua(state);
    let mut bits = argument(lua, 1);
    for number in (2..=lua.top()).rev() {
        bits = combine(bits, argument(lua, number));
    }
    answer(lua, bits)
}

unsafe fn shift(state: *mut State, by: fn(u32, u32) -> u32) -> c_int {
    let lua = Lua(state);
    let bits = argument(lua, 1);
    let places = argument(lua, 2) & 31;
    answer(lua, by(bits, places))
}

unsafe extern "C-unwind" fn to_bit(state: *mut State) -> c_int {
    let lua = Lua(state);
    answer(lua, argument(lua, 1))
}

unsafe extern "C-unwind" fn not(state: *mut State) -> c_int {
    let lua = Lua(state);
    answer(lua, !argument(lua, 1))
}

unsafe extern "C-unwind" fn swap(state: *mut State) -> c_int {
    let lua = Lua(state);
    answer(lua, argument(lua, 1).swap_bytes())
}

unsafe extern "C-unwind" fn and(state: *mut State) -> c_int {
    fold(state, |a, b| a & b)
}

unsafe extern "C-unwind" fn or(state: *mut State) -> c_int {
    fold(state, |a, b| a | b)
}

unsafe extern "C-unwind" fn xor(state: *mut State) -> c_int {
    fold(state, |a, b| a ^ b)
}

unsafe extern "C-unwind" fn shift_left(state: *mut State) -> c_int {
    shift(state, |bits, places| bits << places)
}

unsafe extern "C-unwind" fn shift_right(state: *mut State) -> c_int {
    shift(state, |bits, places| bits >> places)
}

unsafe extern "C-unwind" fn shift_right_signed(state: *mut State) -> c_int {
    shift(state, |bits, places| (bits as i32 >> places) as u32)
}

unsafe extern "C-unwind" fn rotate_left(state: *mut State) -> c_int {
    shift(state, u32::rotate_left)
}

unsafe extern "C-unwind" fn rotate_right(state: *mut State) -> c_int {
    shift(state, u32::rotate_right)
}

unsafe extern "C-unwind" fn to_hex(state: *mut State) -> c_int {
    let lua = Lua(state);
    let mut bits = argument(lua, 1);
    let wanted = if lua.kind(2) == crate::lua::kind::NONE { 8 } else { argument(lua, 2) as i32 };
    let digits: &[u8; 16] = if wanted < 0 { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut text = [0; 8];
    let count = wanted.unsigned_abs().min(8) as usize;
    for place in text[..count].iter_mut().rev() {
        *place = digits[(bits & 15) as usize];
        bits >>= 4;
    }
    lua.push_bytes(&text[..count]);
    1
}
