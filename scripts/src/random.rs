//! `math.random` and `math.randomseed`: the 48-bit generator of POSIX' `lrand48`, as in Redis, so that a script draws the same
//! numbers for a seed on every machine. A runtime's generator goes on from script to script.

use std::ffi::c_int;

use crate::api::State;
use crate::lua::Lua;

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// The biggest number that is drawn.
const LARGEST: i32 = i32::MAX;

/// The generator's state.
#[derive(Clone, Copy)]
pub struct Random(u64);

impl Default for Random {
    /// As it begins in a new runtime, and in Redis.
    fn default() -> Random {
        Random(0x1234_ABCD_330E)
    }
}

impl Random {
    /// Seeded with the lower 32 bits of a number.
    pub fn seeded(seed: i32) -> Random {
        Random(u64::from(seed as u32) << 16 | 0x330E)
    }

    fn draw(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        (self.0 >> 17) as i32
    }

    /// A number from 0 on, below 1.
    fn fraction(&mut self) -> f64 {
        f64::from(self.draw() % LARGEST) / f64::from(LARGEST)
    }
}

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
