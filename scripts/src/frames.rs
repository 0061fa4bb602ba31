//! How Lua has the call of a native function in memory: its arguments, and what its caller does with what it returns.
//!
//! Lua's API has a call for each question that is asked of an argument, and none that tells how many results are wanted. Both are
//! a good part of what a script's command costs besides its own work. As with tables (`layout.rs`), whether everything is where it
//! should be is found out with calls of which all is known, before anything is trusted; where it is not, the API is asked.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::api::{api, CFunction, State, MULTIPLE};
use crate::lua::{kind, Lua};

/// What Lua 5.1 has at the address of a value.
#[repr(C)]
pub struct Value {
    content: Content,
    kind: c_int,
}

#[repr(C)]
union Content {
    object: *const c_void,
    number: f64,
}

/// At the address of a string, whose bytes follow.
#[repr(C)]
struct Text {
    next: *const c_void,
    kind: u8,
    marked: u8,
    reserved: u8,
    hash: u32,
    length: usize,
}

/// At the address of a state, as far as it is read.
#[repr(C)]
struct Fields {
    next: *const c_void,
    kind: u8,
    marked: u8,
    status: u8,
    top: *const Value,
    base: *const Value,
    global: *const c_void,
    call: *const Call,
}

/// A call that is under way; the one that it was made by is in front of it.
#[repr(C)]
struct Call {
    base: *const Value,
    function: *const Value,
    top: *const Value,
    /// The instruction behind the one that has made the next call, if this one is that of a Lua function.
    instruction: *const u32,
    results: c_int,
    tail_calls: c_int,
}

/// At the address of a native function with upvalues.
#[repr(C)]
struct Native {
    next: *const c_void,
    kind: u8,
    marked: u8,
    is_native: u8,
    upvalues: u8,
    gray: *const c_void,
    environment: *const c_void,
    function: *const c_void,
    first: Value,
}

const OPERATION: u32 = 63;
/// `return f(...)`: what the function returns is returned.
const TAIL_CALL: u32 = 29;

impl Value {
    /// A type as [`Lua::kind`] tells it.
    #[inline(always)]
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// The bytes of a string, which live as long as it does.
    #[inline(always)]
    pub unsafe fn bytes<'a>(&self) -> &'a [u8] {
        let text = self.content.object as *const Text;
        std::slice::from_raw_parts(text.add(1) as *const u8, (*text).length)
    }

    /// Whether it is a string of these bytes.
    #[inline(always)]
    pub unsafe fn is_text(&self, text: &[u8]) -> bool {
        self.kind == kind::STRING && self.bytes() == text
    }

    /// The address of what is no number, as [`Lua::to_pointer`] tells it.
    #[inline(always)]
    pub unsafe fn address(&self) -> *const c_void {
        self.content.object
    }

    /// A number.
    #[inline(always)]
    pub unsafe fn number(&self) -> f64 {
        self.content.number
    }
}

/// Whether native functions can be read that have upvalues: in all states, which are of one library. Relaxed: each state says the
/// same, and where this is not seen yet the API is asked.
static READS_UPVALUES: AtomicBool = AtomicBool::new(false);

/// The address in the first upvalue of the native function that runs, if that can be read.
#[inline(always)]
pub unsafe fn first_upvalue(lua: Lua) -> Option<*const c_void> {
    reads_upvalues().then(|| read_first_upvalue(lua))
}

/// Whether it can be read.
pub fn reads_upvalues() -> bool {
    READS_UPVALUES.load(Relaxed)
}

#[inline(always)]
unsafe fn read_first_upvalue(lua: Lua) -> *const c_void {
    let call = &*fields(lua).call;
    (*((*call.function).content.object as *const Native)).first.content.object
}

/// See the [module](self).
#[derive(Clone, Copy)]
pub struct Frames {
    is_known: bool,
}

#[inline(always)]
unsafe fn fields<'a>(lua: Lua) -> &'a Fields {
    &*(lua.0 as *const Fields)
}

// All but the first two only where calls can be read, and in a native function.
impl Frames {
    /// Not found out yet.
    pub const fn unknown() -> Frames {
        Frames { is_known: false }
    }

    /// Whether calls can be read.
    #[inline(always)]
    pub fn is_known(self) -> bool {
        self.is_known
    }

    /// The arguments; until something is pushed.
    #[inline(always)]
    pub unsafe fn arguments<'a>(self, lua: Lua) -> &'a [Value] {
        let fields = fields(lua);
        std::slice::from_raw_parts(fields.base, fields.top.offset_from(fields.base) as usize)
    }

    /// The value on the top; until something is pushed.
    #[inline(always)]
    pub unsafe fn top<'a>(self, lua: Lua) -> &'a Value {
        &*fields(lua).top.sub(1)
    }

    /// Whether the caller drops whatever is returned.
    #[inline(always)]
    pub unsafe fn wants_nothing(self, lua: Lua) -> bool {
        (*fields(lua).call).results == 0
    }

    /// Whether a Lua function, given by [`Lua::to_pointer`], is the caller and returns what it gets without a look at it.
    #[inline(always)]
    pub unsafe fn is_passed_on_by(self, lua: Lua, function: *const c_void) -> bool {
        let caller = &*fields(lua).call.sub(1);
        (*caller.function).content.object == function && *caller.instruction.sub(1) & OPERATION == TAIL_CALL
    }

    /// Whether a function, given by [`Lua::to_pointer`], is the caller.
    pub unsafe fn is_called_by(self, lua: Lua, function: *const c_void) -> bool {
        let caller = &*fields(lua).call.sub(1);
        (*caller.function).kind == kind::FUNCTION && (*caller.function).content.object == function
    }

    /// Has upvalues read from now on if that of the native function which runs, of which the address is known, is where it should be.
    pub unsafe fn trust_upvalues(self, lua: Lua, first: *const c_void) {
        let function = (*(*fields(lua).call).function).content.object as *const Native;
        let is_native = (*function).kind == kind::FUNCTION as u8 && (*function).is_native == 1;
        let is_there = is_native && (*function).upvalues > 0 && (*function).first.kind == kind::LIGHT_USERDATA;
        READS_UPVALUES.store(is_there && read_first_upvalue(lua) == first, Relaxed);
    }

    /// Calls that can be read, if a state's are as expected; who calls is not looked at.
    pub unsafe fn learn(lua: Lua) -> Frames {
        Frames { is_known: [0, 1, 3, MULTIPLE].into_iter().all(|wanted| sees(lua, wanted)) }
    }
}

/// What a state's own kind is: that of threads.
const THREAD: u8 = 8;

/// What a probe is called with.
const SHOWN: (&[u8], f64) = (b"of thirty bytes, with a \0 in it", -1.5);

unsafe fn push_probe(lua: Lua, probe: CFunction) {
    (api().lua_pushcclosure)(lua.0, probe, 0);
}

/// Whether a native function that is to return so many results sees its arguments and that number.
unsafe fn sees(lua: Lua, wanted: c_int) -> bool {
    let mut seen = false;
    push_probe(lua, look);
    lua.push_bytes(SHOWN.0);
    lua.push_number(SHOWN.1);
    lua.push_number(f64::from(wanted));
    lua.push_light(&mut seen as *mut bool as *mut c_void);
    lua.call(4, wanted);
    seen
}

unsafe extern "C-unwind" fn look(state: *mut State) -> c_int {
    let lua = Lua(state);
    let seen = lua.to_userdata(4) as *mut bool;
    let fields = fields(lua);
    let text = lua.to_bytes(1).unwrap_or_default().as_ptr();
    // Each is only followed if what leads there is as expected.
    let is_stack = fields.kind == THREAD && fields.top as usize == fields.base as usize + 4 * size_of::<Value>();
    if !is_stack || lua.top() != 4 {
        return 0;
    }
    let arguments = std::slice::from_raw_parts(fields.base, 4);
    let object = arguments[0].content.object as *const Text;
    let kinds = arguments.iter().map(Value::kind).eq([kind::STRING, kind::NUMBER, kind::NUMBER, kind::LIGHT_USERDATA]);
    if !kinds || object as usize + size_of::<Text>() != text as usize {
        return 0;
    }
    let values = (*object).kind == kind::STRING as u8
        && (*object).length == SHOWN.0.len()
        && arguments[1].number() == SHOWN.1
        && arguments[3].content.object == seen as *const c_void;
    let call = &*fields.call;
    let calls = call.base == fields.base && call.function == fields.base.sub(1);
    *seen = values && calls && f64::from(call.results) == arguments[2].number();
    0
}
