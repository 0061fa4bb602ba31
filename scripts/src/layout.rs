//! How Lua has its tables in memory: what the API does not tell of them.
//!
//! Lua 5.1 is no longer changed, and its tables begin alike wherever it was built. Still, whether the fields are where they should
//! be is found out with tables whose fields are known, before any is trusted.

use std::ffi::{c_int, c_void};

use crate::frames::Value;
use crate::lua::{kind, Lua};

/// What Lua 5.1 has at the address of a table.
#[repr(C)]
pub struct Table {
    next: *const c_void,
    kind: u8,
    marked: u8,
    absent_metamethods: u8,
    nodes_log2: u8,
    metatable: *const c_void,
    array: *const Value,
    nodes: *const c_void,
    last_free: *const c_void,
    gray: *const c_void,
    places: c_int,
}

/// See the [module](self).
pub struct Layout {
    /// What a table without a hash part has for its nodes; null where Lua's tables are not as expected.
    no_nodes: *const c_void,
}

impl Layout {
    /// Not found out yet.
    pub const fn unknown() -> Layout {
        Layout { no_nodes: std::ptr::null() }
    }

    /// Finds out about a state's tables.
    pub unsafe fn learn(lua: Lua) -> Layout {
        let top = lua.top();
        let no_nodes = if probe(lua) { (*at(lua, top + 1)).nodes } else { std::ptr::null() };
        lua.set_top(top);
        Layout { no_nodes }
    }

    /// Whether tables can be read.
    pub fn is_known(&self) -> bool {
        !self.no_nodes.is_null()
    }

    /// Whether a table is as one that was just made with so many places; only if tables can be read.
    #[inline(always)]
    pub unsafe fn is_as_new(&self, table: *const Table, places: usize) -> bool {
        let table = &*table;
        table.nodes == self.no_nodes && table.places as usize == places && table.metatable.is_null()
    }

    /// What is in a place of a table that has so many, from 1 on.
    #[inline(always)]
    pub unsafe fn element<'a>(&self, table: *const Table, number: c_int) -> &'a Value {
        &*(*table).array.add(number as usize - 1)
    }
}

unsafe fn at(lua: Lua, index: c_int) -> *const Table {
    lua.to_pointer(index) as *const Table
}

/// Whether tables that differ in one field each differ where they should. Leaves them on the stack, first one that is empty.
unsafe fn probe(lua: Lua) -> bool {
    lua.new_table(0, 0);
    lua.new_table(3, 0);
    lua.new_table(5, 4);
    // One with a metatable, and one that has had a field.
    lua.new_table(0, 0);
    lua.push_value(-4);
    lua.set_metatable(-2);
    lua.new_table(3, 0);
    for value in [Some(1.0), None] {
        lua.push_bytes(b"field");
        value.map_or_else(|| lua.push_nil(), |number| lua.push_number(number));
        lua.raw_set(-3);
    }
    let first = lua.top() - 4;
    let [empty, array, both, with_metatable, emptied] = [0, 1, 2, 3, 4].map(|number| at(lua, first + number));
    let tables = [empty, array, both, with_metatable, emptied];
    tables.iter().all(|&table| i32::from((*table).kind) == kind::TABLE)
        && tables.map(|table| (*table).places) == [0, 3, 5, 0, 0]
        && tables.map(|table| (*table).nodes_log2) == [0, 0, 2, 0, 0]
        && tables.map(|table| (*table).nodes == (*empty).nodes) == [true, true, false, true, false]
        && tables.map(|table| (*table).metatable)
            == [std::ptr::null(), std::ptr::null(), std::ptr::null(), empty as *const c_void, std::ptr::null()]
        && !(*empty).nodes.is_null()
}
