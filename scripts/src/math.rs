//! `math.random` and `math.randomseed`, as Redis has them.

use std::ffi::c_int;

use crate::api::State;
use crate::lua::Lua;
use crate::random::Random;

pub unsafe extern "C-unwind" fn random(state: *mut State) -> c_int {
    let lua = Lua(state);
    let fraction = lua.context().random.fraction();
    // As C's `int`s.
    match lua.top() {
        0 => lua.push_number(fraction),
        1 => {
            let upper = lua.argument_integer(1) as i32;
            lua.check(1 <= upper, 1, c"interval is empty");
            lua.push_number((fraction * f64::from(upper)).floor() + 1.0);
        }
        2 => {
            let (lower, upper) = (lua.argument_integer(1) as i32, lua.argument_integer(2) as i32);
            lua.check(lower <= upper, 2, c"interval is empty");
            let count = upper.wrapping_sub(lower).wrapping_add(1);
            lua.push_number((fraction * f64::from(count)).floor() + f64::from(lower));
        }
        _ => return lua.fail(b"wrong number of arguments"),
    }
    1
}

pub unsafe extern "C-unwind" fn seed(state: *mut State) -> c_int {
    let lua = Lua(state);
    let seed = lua.argument_integer(1) as i32;
    lua.context().random = Random::seeded(seed);
    0
}
