//! Functions of Lua's own libraries that go on within one call for as long as their arguments want, where no hook is run: here
//! they count their steps, and can be ended.
//!
//! `table.sort` takes the square of its table's length if that was made for it, as Lua's choice of a pivot is known;
//! `table.insert` moves what is behind a place, which may be 2^31 before the table's beginning; `string.rep` repeats an empty text
//! as often, and adds one repetition after the other until the memory is used up. The order in which `sort` compares is Lua's own, for
//! scripts see it.
//!
//! All others are bounded by the memory that their arguments or results take. `unpack` counts its results in an `int` of C's, which
//! the bounds of a range can be too far apart for: the process ended.

use std::ffi::c_int;

use crate::api::{api, State};
use crate::context::Context;
use crate::errors::refuse_proxy;
use crate::interruption;
use crate::lua::{kind, upvalue, Lua};

/// The length of the table in the first argument, as C's `int`.
unsafe fn length(lua: Lua) -> c_int {
    lua.check_kind(1, kind::TABLE);
    lua.length(1) as c_int
}

/// `table.insert`.
pub unsafe extern "C-unwind" fn insert(state: *mut State) -> c_int {
    let lua = Lua(state);
    refuse_proxy(lua);
    let mut end = length(lua).wrapping_add(1);
    let place = match lua.top() {
        2 => end,
        3 => {
            let place = lua.argument_integer(2) as c_int;
            end = end.max(place);
            move_up(lua, place, end);
            place
        }
        _ => return lua.fail(b"wrong number of arguments to 'insert'"),
    };
    lua.raw_set_at(1, place);
    0
}

unsafe fn move_up(lua: Lua, place: c_int, end: c_int) {
    let context = lua.context();
    for number in (place..end).rev() {
        interruption::count(lua, context, 1);
        lua.raw_get_at(1, number);
        lua.raw_set_at(1, number + 1);
    }
}

/// `unpack`: Lua's own, the second upvalue, gets ranges that it can count.
pub unsafe extern "C-unwind" fn unpack(state: *mut State) -> c_int {
    let lua = Lua(state);
    lua.check_kind(1, kind::TABLE);
    let first = lua.optional_integer(2, 1) as c_int;
    let last = if lua.kind(3) <= kind::NIL { lua.length(1) as c_int } else { lua.argument_integer(3) as c_int };
    if last.checked_sub(first).is_none_or(|more| more == c_int::MAX) && last > first {
        return lua.fail(b"too many results to unpack");
    }
    match (api().lua_tocfunction)(lua.0, upvalue(2)) {
        Some(function) => function(lua.0),
        None => 0,
    }
}

/// Bytes that are repeated in one step.
const REPEATED_BYTES_A_STEP: usize = 64;
/// Results that Lua's own function makes, in a buffer on the stack.
const REPEATED_BYTES_SMALL: usize = 512;

/// `string.rep`: Lua's own is the second upvalue.
pub unsafe extern "C-unwind" fn repeat(state: *mut State) -> c_int {
    let lua = Lua(state);
    let (text, times) = (lua.argument_bytes(1), lua.argument_integer(2) as c_int);
    let times = if text.is_empty() { 0 } else { usize::try_from(times).unwrap_or(0) };
    let bytes = text.len().saturating_mul(times);
    interruption::count(lua, lua.context(), bytes / REPEATED_BYTES_A_STEP);
    match (api().lua_tocfunction)(lua.0, upvalue(2)) {
        Some(function) if times > 0 && bytes <= REPEATED_BYTES_SMALL => function(lua.0),
        _ => {
            push_repeated(lua, text, bytes);
            1
        }
    }
}

/// Pushes so many bytes of a text that is repeated. Where there is not enough memory that is found out first.
unsafe fn push_repeated(lua: Lua, text: &[u8], bytes: usize) {
    let into = lua.new_userdata(bytes) as *mut u8;
    // What is there is doubled.
    let mut filled = text.len().min(bytes);
    std::ptr::copy_nonoverlapping(text.as_ptr(), into, filled);
    while filled < bytes {
        let more = filled.min(bytes - filled);
        std::ptr::copy_nonoverlapping(into, into.add(filled), more);
        filled += more;
    }
    lua.push_bytes(std::slice::from_raw_parts(into, bytes));
}

// Places on the stack.
const TABLE: c_int = 1;
const ORDER: c_int = 2;

/// `table.sort`.
pub unsafe extern "C-unwind" fn sort(state: *mut State) -> c_int {
    let lua = Lua(state);
    refuse_proxy(lua);
    let length = length(lua);
    // The smaller half is sorted first, so there are as many calls in each other as the length has bits.
    lua.need_stack(40, c"");
    if lua.kind(ORDER) > kind::NIL {
        lua.check_kind(ORDER, kind::FUNCTION);
    }
    lua.set_top(ORDER);
    let has_order = lua.kind(ORDER) == kind::FUNCTION;
    Sort { lua, context: lua.context(), has_order }.range(1, length);
    0
}

struct Sort {
    lua: Lua,
    context: *mut Context,
    has_order: bool,
}

impl Sort {
    unsafe fn push(&self, number: c_int) {
        self.lua.raw_get_at(TABLE, number);
    }

    /// Puts the two values on the top into these places, the topmost one first.
    unsafe fn set(&self, first: c_int, second: c_int) {
        self.lua.raw_set_at(TABLE, first);
        self.lua.raw_set_at(TABLE, second);
    }

    /// Whether a value on the stack is to be before another one; both are counted from the top.
    unsafe fn is_before(&self, one: c_int, other: c_int) -> bool {
        let lua = self.lua;
        interruption::count(lua, &mut *self.context, 1);
        if !self.has_order {
            return lua.less_than(one, other);
        }
        lua.push_value(ORDER);
        lua.push_value(one - 1);
        lua.push_value(other - 2);
        lua.call(2, 1);
        let is_before = lua.to_boolean(-1);
        lua.pop(1);
        is_before
    }

    unsafe fn range(&self, mut lower: c_int, mut upper: c_int) {
        while lower < upper {
            let middle = ((i64::from(lower) + i64::from(upper)) / 2) as c_int;
            if self.order_three(lower, middle, upper) {
                return;
            }
            let at = self.part(lower, middle, upper);
            // The pivot is in its place; the smaller part is sorted here, and the larger one in the next round.
            let (from, to);
            if at - lower < upper - at {
                (from, to) = (lower, at - 1);
                lower = at + 1;
            } else {
                (from, to) = (at + 1, upper);
                upper = at - 1;
            }
            self.range(from, to);
        }
    }

    /// Puts the values at these places in order; returns whether there are no others between them.
    unsafe fn order_three(&self, lower: c_int, middle: c_int, upper: c_int) -> bool {
        let lua = self.lua;
        self.push(lower);
        self.push(upper);
        if self.is_before(-1, -2) {
            self.set(lower, upper);
        } else {
            lua.pop(2);
        }
        if upper - lower == 1 {
            return true;
        }
        self.push(middle);
        self.push(lower);
        if self.is_before(-2, -1) {
            self.set(middle, lower);
        } else {
            lua.pop(1);
            self.push(upper);
            if self.is_before(-1, -2) {
                self.set(middle, upper);
            } else {
                lua.pop(2);
            }
        }
        upper - lower == 2
    }

    /// Parts what is between two places by the value in the middle, and returns where that is then.
    unsafe fn part(&self, lower: c_int, middle: c_int, upper: c_int) -> c_int {
        let lua = self.lua;
        self.push(middle);
        lua.push_value(-1);
        self.push(upper - 1);
        self.set(middle, upper - 1);
        let (mut up, mut down) = (lower, upper - 1);
        loop {
            up += 1;
            self.push(up);
            while self.is_before(-1, -2) {
                if up > upper {
                    lua.fail(b"invalid order function for sorting");
                }
                lua.pop(1);
                up += 1;
                self.push(up);
            }
            down -= 1;
            self.push(down);
            while self.is_before(-3, -1) {
                if down < lower {
                    lua.fail(b"invalid order function for sorting");
                }
                lua.pop(1);
                down -= 1;
                self.push(down);
            }
            if down < up {
                break;
            }
            self.set(up, down);
        }
        lua.pop(3);
        self.push(upper - 1);
        self.push(up);
        self.set(upper - 1, up);
        up
    }
}
