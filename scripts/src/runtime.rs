//! A runtime: one `lua_State` with its sandbox, in which one thread at a time runs scripts.
//!
//! All that calls Lua is a native function that `lua_pcall` enters. Those that a script needs are kept at the bottom of the
//! stack, so that starting one allocates nothing but `KEYS`, `ARGV` and what the script itself makes.

use std::ffi::{c_int, c_void, CStr};
use std::time::{Duration, Instant};

use sherd_shards::handler::reply::{Protocol, Reply};

use crate::api::{api, Debug, State, GLOBALS, MASK_COUNT, MASK_LINE, REGISTRY};
use crate::cache::Script;
use crate::context::{Action, Context, Phase, Stopping, Task};
use crate::encode::{Encoder, FIELDS};
use crate::functions::library::{Function, Library};
use crate::functions::register;
use crate::functions::table::{Found, Libraries};
use crate::host::{Host, Interruption};
use crate::json::Options;
use crate::lua::{kind, upvalue, Lua};
use crate::redis_api::{host, raise_stopping};
use crate::sandbox::{self, Setup};

/// Instructions after which the host is asked whether the script may go on, as in Redis.
const HOOK_INSTRUCTIONS: c_int = 100_000;
/// Compiled scripts that a runtime keeps. Then it drops all, for it does not know which are forgotten, and compiles anew.
const COMPILED_MAX: usize = 4096;

// Where what a script needs is on the stack.
const HANDLER: c_int = 1;
const ENTER: c_int = 2;
const REPORT: c_int = 3;
/// The metatable of what functions have for their globals, and the two tables that it looks in.
const FUNCTION_METATABLE: c_int = 4;
const FUNCTION_GLOBALS: c_int = 5;
const LOAD_GLOBALS: c_int = 6;
const RESIDENT: c_int = 6;
/// Where they are in the registry until then: numbers that `luaL_ref` does not use.
const PARKED: c_int = 1 << 30;

// The upvalues of `enter`, after the context.
const REAL_GLOBALS: c_int = 2;
const COMPILED: c_int = 3;
const KEYS: c_int = 4;
const ARGUMENTS: c_int = 5;
/// Functions by the number of their library, and then by their names.
const CALLBACKS: c_int = 6;
/// What scripts and functions have for their globals.
const GLOBALS_OF: [c_int; 2] = [7, 8];
const FIRST_FIELD: c_int = 9;

/// LUA_ERRMEM
const OUT_OF_MEMORY: c_int = 4;
const GC_RESTART: c_int = 1;
const GC_COLLECT: c_int = 2;
const GC_COUNT: c_int = 3;
const GC_COUNT_REST: c_int = 4;

/// The address of this is the registry's key for the context: hooks have no upvalues.
static CONTEXT_KEY: u8 = 0;

/// What `redis.REDIS_VERSION` and the like say.
#[derive(Clone, Debug)]
pub struct Versions {
    pub redis: String,
    pub valkey: String,
    pub server: String,
}

/// See the file's head.
pub struct Runtime {
    lua: Lua,
    context: Box<Context>,
    /// What its pool was told last of the bytes that it has allocated.
    pub(crate) told_bytes: i64,
    /// Numbers of the libraries that are loaded, and the version of the table that it was last brought up to date with.
    loaded: Vec<i32>,
    libraries_version: u64,
}

// SAFETY: the state and the context belong to the runtime alone, and Lua keeps nothing by thread.
unsafe impl Send for Runtime {}

/// What is run.
#[derive(Clone, Copy)]
pub enum Program<'a> {
    Script(&'a Script),
    Function(&'a Found),
}

impl<'a> Program<'a> {
    /// What error texts call it.
    fn name(&self) -> &'a [u8] {
        match self {
            Program::Script(script) => &script.sha,
            Program::Function(found) => &found.function().name,
        }
    }
}

/// One execution of a script or a function.
pub struct Run<'a> {
    pub program: Program<'a>,
    pub keys: &'a [&'a [u8]],
    pub args: &'a [&'a [u8]],
    /// Whether the client speaks RESP3.
    pub protocol: Protocol,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ran {
    /// It has answered; `failed` if with an error that nobody has counted.
    Answered { failed: bool },
    /// The host has stopped it before it did anything, and nothing was written.
    Stopped,
}

impl Runtime {
    /// Takes over a state that lupa has made, with Lua's own libraries in it.
    ///
    /// # Safety
    /// The state is valid for as long as the runtime is, nobody else uses it, and [`crate::api::load`] has found the API of the
    /// module that it belongs to.
    pub unsafe fn adopt(state: *mut State, versions: &Versions) -> Result<Runtime, String> {
        let (lua, context) = (Lua(state), Box::new(Context::new()));
        let mut runtime = Runtime { lua, context, told_bytes: 0, loaded: Vec::new(), libraries_version: 0 };
        lua.set_top(0);
        if !lua.check_stack(RESIDENT + 20) {
            return Err("the runtime has no room for its stack".to_owned());
        }
        let setup = Setup { context: &mut *runtime.context, versions };
        // What the script needs is moved from the registry to the bottom of the stack, which cannot fail.
        if (api().lua_cpcall)(state, install, &setup as *const Setup as *mut c_void) != 0 {
            let text = lua.to_bytes(-1).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            return Err(text.unwrap_or_else(|| "the runtime cannot be set up".to_owned()));
        }
        for number in HANDLER..=RESIDENT {
            lua.raw_get_at(REGISTRY, PARKED + number);
        }
        Ok(runtime)
    }

    /// Compiles a script, if it was not; an error is its text.
    pub fn compile(&mut self, script: &Script) -> Result<(), Vec<u8>> {
        self.context.task =
            Task { action: Action::Compile, program: script.id, source: script.body(), ..Task::default() };
        // SAFETY: nothing here owns what an error would leave.
        let status = unsafe { self.enter() };
        let result = match (status, self.context.task.phase) {
            (0, Phase::Malformed) => Err(self.context.message.clone()),
            (0, _) => Ok(()),
            _ => Err(b"not enough memory".to_vec()),
        };
        self.end(status);
        result
    }

    /// Drops all compiled scripts before the next one runs.
    pub fn forget_compiled(&mut self) {
        self.context.compiled = COMPILED_MAX;
    }

    /// Forgets libraries that are no longer known, if the table of them has changed since it was last asked to.
    pub fn follow(&mut self, libraries: &Libraries) {
        let version = libraries.version();
        if self.libraries_version != version {
            let loaded = std::mem::take(&mut self.loaded);
            let (known, gone): (Vec<i32>, Vec<i32>) = loaded.into_iter().partition(|&id| libraries.has_id(id));
            self.loaded = known;
            self.libraries_version = version;
            gone.into_iter().for_each(|id| self.forget_library(id));
        }
    }

    fn forget_library(&mut self, id: i32) {
        // SAFETY: ENTER is a closure with that upvalue; a field that is there is set to nil, which allocates nothing.
        unsafe {
            if !(api().lua_getupvalue)(self.lua.0, ENTER, CALLBACKS).is_null() {
                self.lua.raw_get_at(-1, id);
                if self.lua.kind(-1) != kind::NIL {
                    self.lua.push_nil();
                    self.lua.raw_set_at(-3, id);
                }
            }
            self.lua.set_top(RESIDENT);
        }
    }

    /// Runs a library's code, and returns what it has registered, or the text of an error. What it logs goes to the host, if there is
    /// one.
    pub fn load(
        &mut self,
        library: &Library,
        host: Option<&mut dyn Host>,
        at_most: Option<Duration>,
    ) -> Result<Vec<Function>, Vec<u8>> {
        self.hook();
        self.context.begin();
        self.context.load_deadline = at_most.map(|time| Instant::now() + time);
        self.context.registered.clear();
        self.context.task =
            Task { action: Action::Load, program: library.id, source: library.body(), ..Task::default() };
        // SAFETY: what is pointed to lives until `end`, which forgets the pointers; nothing here owns what an error would leave.
        let status = unsafe {
            self.context.host =
                host.map(|host| std::mem::transmute::<*mut (dyn Host + '_), *mut (dyn Host + 'static)>(host));
            self.look_in(LOAD_GLOBALS);
            let status = self.enter();
            self.look_in(FUNCTION_GLOBALS);
            status
        };
        let result = match (status, self.context.task.phase) {
            (0, Phase::Malformed) => Err([b"Error compiling function: ", self.context.message.as_slice()].concat()),
            (0, _) => Ok(std::mem::take(&mut self.context.registered)),
            _ => {
                self.report(&library.name);
                Err([b"Error registering functions: ", self.context.message.as_slice()].concat())
            }
        };
        self.end(status);
        match &result {
            Ok(_) => self.loaded.push(library.id),
            Err(_) => self.forget_library(library.id),
        }
        result
    }

    /// Has functions and the code of libraries look for globals in one of the tables at the bottom of the stack.
    unsafe fn look_in(&mut self, table: c_int) {
        // Lua keeps the names of metamethods, and the field is there: nothing is allocated.
        self.lua.push_value(table);
        self.lua.set_field(FUNCTION_METATABLE, c"__index");
    }

    /// Sees to it that a library is loaded; an error is its text.
    fn need(&mut self, library: &Library) -> Result<(), Vec<u8>> {
        if self.loaded.contains(&library.id) {
            return Ok(());
        }
        // What it logs was logged when it was loaded for the first time.
        self.load(library, None, None).map(|_| ())
    }

    /// Runs a script or a function, and writes its reply.
    pub fn run(&mut self, run: &Run<'_>, host: &mut dyn Host, out: &mut Vec<u8>) -> Ran {
        let start = out.len();
        let (action, program, source, function): (Action, i32, &[u8], &[u8]) = match run.program {
            Program::Script(script) => (Action::Run, script.id, script.body(), &[]),
            Program::Function(found) => {
                if let Err(text) = self.need(&found.library) {
                    Reply::new(out, run.protocol).error_bytes(&[b"ERR ", text.as_slice()].concat());
                    return Ran::Answered { failed: true };
                }
                (Action::Call, found.library.id, &[], &found.function().name)
            }
        };
        // Instructions are counted from the script's first one.
        self.hook();
        // SAFETY: what is pointed to lives until `end`, which forgets the pointers.
        unsafe {
            self.context.begin();
            *self.context.json = Options::default();
            self.context.host = Some(std::mem::transmute::<*mut (dyn Host + '_), *mut (dyn Host + 'static)>(host));
            self.context.task = Task {
                action,
                program,
                source,
                function,
                keys: std::mem::transmute::<&[&[u8]], *const [&'static [u8]]>(run.keys),
                args: std::mem::transmute::<&[&[u8]], *const [&'static [u8]]>(run.args),
                out,
                client_protocol: run.protocol,
                ..Task::default()
            };
        }
        // SAFETY: nothing here owns what an error would leave.
        let status = unsafe { self.enter() };
        let ran = self.conclude(status, run, out, start);
        self.end(status);
        ran
    }

    unsafe fn enter(&mut self) -> c_int {
        self.lua.set_top(RESIDENT);
        self.lua.push_value(ENTER);
        (api().lua_pcall)(self.lua.0, 0, 0, HANDLER)
    }

    fn conclude(&mut self, status: c_int, run: &Run<'_>, out: &mut Vec<u8>, start: usize) -> Ran {
        if self.context.stopping == Some(Stopping::ByHost) {
            out.truncate(start);
            return Ran::Stopped;
        }
        if status == 0 {
            if self.context.task.phase == Phase::Malformed {
                let text = [b"ERR Error compiling script (new function): ", self.context.message.as_slice()].concat();
                Reply::new(out, run.protocol).error_bytes(&text);
                return Ran::Answered { failed: true };
            }
            return Ran::Answered { failed: self.context.task.failed };
        }
        out.truncate(start);
        let failed = self.report(run.program.name());
        Reply::new(out, run.protocol).error_bytes(&self.context.message);
        Ran::Answered { failed }
    }

    /// Makes the text of the error on the top; returns whether nobody has counted it.
    fn report(&mut self, name: &[u8]) -> bool {
        self.context.message.clear();
        // SAFETY: an error within leaves nothing behind; the closure is on the stack and there is room for two values.
        let status = unsafe {
            self.lua.push_value(REPORT);
            self.lua.insert(-2);
            self.context.task.keys = &[];
            self.context.scratch.clear();
            self.context.scratch.extend_from_slice(name);
            (api().lua_pcall)(self.lua.0, 1, 0, 0)
        };
        if status != 0 {
            self.context.message.clear();
            self.context.message.extend_from_slice(b"ERR Error running script ");
            self.context.message.extend_from_slice(name);
            self.context.message.extend_from_slice(b", not enough memory");
        }
        self.context.task.failed
    }

    fn end(&mut self, status: c_int) {
        self.context.end();
        // SAFETY: collecting runs no code of scripts: they cannot have finalizers in Lua 5.1 without `newproxy`.
        unsafe {
            self.lua.set_top(RESIDENT);
            if status == OUT_OF_MEMORY {
                // A script may have stopped the collector.
                (api().lua_gc)(self.lua.0, GC_RESTART, 0);
                (api().lua_gc)(self.lua.0, GC_COLLECT, 0);
            }
        }
    }

    fn hook(&self) {
        // SAFETY: setting a hook allocates nothing.
        unsafe { (api().lua_sethook)(self.lua.0, Some(on_count), MASK_COUNT, HOOK_INSTRUCTIONS) };
    }

    /// Bytes that Lua has allocated.
    pub fn memory_bytes(&self) -> usize {
        // SAFETY: counting raises no error.
        unsafe {
            let kibibytes = (api().lua_gc)(self.lua.0, GC_COUNT, 0) as usize;
            kibibytes * 1024 + (api().lua_gc)(self.lua.0, GC_COUNT_REST, 0) as usize
        }
    }
}

/// Sets a state up; what it leaves for the bottom of the stack is in the registry, from [`PARKED`] on.
unsafe extern "C-unwind" fn install(state: *mut State) -> c_int {
    let lua = Lua(state);
    let setup = &*(lua.to_userdata(1) as *const Setup<'_>);
    let context = setup.context;
    lua.set_top(0);
    lua.push_light(&raw const CONTEXT_KEY as *mut c_void);
    lua.push_light(context as *mut c_void);
    lua.raw_set(REGISTRY);
    sandbox::install(lua, setup);
    let real = lua.top();
    sandbox::push_function_globals(lua, setup, real);
    let function_globals = lua.top();
    lua.new_table(0, 0);
    let callbacks = lua.top();
    register::push_load_globals(lua, setup, callbacks);
    let load_globals = lua.top();
    lua.push_native(context, error_handler, 0);
    lua.push_value(real);
    lua.new_table(0, 0);
    lua.push_bytes(b"KEYS");
    lua.push_bytes(b"ARGV");
    lua.push_value(callbacks);
    lua.push_value(GLOBALS);
    lua.push_value(function_globals);
    FIELDS.iter().for_each(|field| lua.push_bytes(field));
    lua.push_native(context, enter, FIRST_FIELD - 2 + FIELDS.len() as c_int);
    lua.push_native(context, report, 0);
    lua.get_metatable(function_globals);
    lua.get_field(-1, c"__index");
    lua.push_value(load_globals);
    for number in (HANDLER..=RESIDENT).rev() {
        lua.raw_set_at(REGISTRY, PARKED + number);
    }
    (api().lua_sethook)(state, Some(on_count), MASK_COUNT, HOOK_INSTRUCTIONS);
    0
}

unsafe fn push_array(lua: Lua, texts: &[&[u8]]) {
    lua.new_table(texts.len(), 0);
    for (number, text) in (1..).zip(texts) {
        lua.push_bytes(text);
        lua.raw_set_at(-2, number);
    }
}

/// Does the context's task.
unsafe extern "C-unwind" fn enter(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    let is_function = matches!(context.task.action, Action::Load | Action::Call);
    if context.has_function_globals != is_function {
        lua.push_value(upvalue(GLOBALS_OF[usize::from(is_function)]));
        lua.replace(GLOBALS);
        context.has_function_globals = is_function;
    }
    match context.task.action {
        Action::Load => return load_library(lua, context),
        Action::Call => {
            lua.raw_get_at(upvalue(CALLBACKS), context.task.program);
            lua.push_bytes(&*context.task.function);
            lua.raw_get(-2);
            push_array(lua, &*context.task.keys);
            push_array(lua, &*context.task.args);
        }
        action => {
            if !push_script(lua, context) || action == Action::Compile {
                return 0;
            }
            lua.push_value(upvalue(REAL_GLOBALS));
            lua.push_value(upvalue(KEYS));
            push_array(lua, &*context.task.keys);
            lua.raw_set(-3);
            lua.push_value(upvalue(ARGUMENTS));
            push_array(lua, &*context.task.args);
            lua.raw_set(-3);
            lua.pop(1);
        }
    }
    context.task.phase = Phase::Running;
    (api().lua_call)(lua.0, if is_function { 2 } else { 0 }, 1);
    let context = lua.context();
    context.task.phase = Phase::Returned;
    let mut encoder = Encoder {
        lua,
        out: &mut *context.task.out,
        client_protocol: context.task.client_protocol,
        script_protocol: context.protocol,
        first_field: FIRST_FIELD,
        failed: false,
    };
    encoder.value();
    context.task.failed = encoder.failed;
    0
}

/// Pushes the task's script, which is compiled if it was not yet; returns whether it compiles.
#[inline(always)]
unsafe fn push_script(lua: Lua, context: &mut Context) -> bool {
    lua.raw_get_at(upvalue(COMPILED), context.task.program);
    if lua.kind(-1) == kind::FUNCTION {
        return true;
    }
    lua.pop(1);
    if !compile(lua, context, c"@user_script") {
        return false;
    }
    if context.compiled >= COMPILED_MAX {
        context.compiled = 0;
        lua.new_table(0, 0);
        lua.replace(upvalue(COMPILED));
    }
    context.compiled += 1;
    lua.push_value(-1);
    lua.raw_set_at(upvalue(COMPILED), context.task.program);
    true
}

/// Compiles the task's text and pushes it; returns whether that is possible, else the message says why.
unsafe fn compile(lua: Lua, context: &mut Context, name: &CStr) -> bool {
    let compiles = sandbox::compile(lua, &*context.task.source, name.as_ptr());
    if !compiles {
        context.task.phase = Phase::Malformed;
        context.message.clear();
        context.message.extend_from_slice(lua.to_bytes(-1).unwrap_or_default());
    }
    compiles
}

/// Runs the code of the task's library, which registers its functions.
unsafe fn load_library(lua: Lua, context: &mut Context) -> c_int {
    if compile(lua, context, c"@user_function") {
        lua.new_table(0, 0);
        lua.raw_set_at(upvalue(CALLBACKS), context.task.program);
        context.task.phase = Phase::Running;
        (api().lua_call)(lua.0, 0, 0);
        lua.context().task.phase = Phase::Returned;
    }
    0
}

fn debug_record() -> Debug {
    // SAFETY: the record is plain data, filled in by Lua before it is read.
    unsafe { std::mem::zeroed() }
}

/// Makes an error a table that says where it was raised.
pub(crate) unsafe extern "C-unwind" fn error_handler(state: *mut State) -> c_int {
    let lua = Lua(state);
    let mut debug = debug_record();
    // The function that has raised it, or whoever called that if it is a native one.
    let mut known = lua.function_at(1, &mut debug);
    if known && CStr::from_ptr(debug.what) == c"C" {
        known = lua.function_at(2, &mut debug) && CStr::from_ptr(debug.what) != c"C";
    }
    if lua.kind(1) != kind::TABLE {
        lua.new_table(0, 3);
        lua.push_bytes(b"ERR ");
        push_text_of(lua, 1);
        lua.concat(2);
        lua.set_field(-2, c"err");
        lua.replace(1);
    }
    if known {
        lua.push_bytes(b"source");
        lua.push_bytes(CStr::from_ptr(debug.source).to_bytes());
        lua.raw_set(1);
        lua.push_bytes(b"line");
        lua.push_number(f64::from(debug.current_line));
        lua.raw_set(1);
    }
    lua.set_top(1);
    1
}

/// Pushes what `tostring` would return, for what is no table.
unsafe fn push_text_of(lua: Lua, index: c_int) {
    match lua.kind(index) {
        kind::STRING | kind::NUMBER => lua.push_value(index),
        kind::BOOLEAN => lua.push_bytes(if lua.to_boolean(index) { b"true" } else { b"false" }),
        kind::NIL | kind::NONE => lua.push_bytes(b"nil"),
        _ => {
            let (name, pointer) = (lua.kind_name(index), lua.to_pointer(index));
            let message = &mut lua.context().message;
            message.clear();
            // Writing into a `Vec` does not fail.
            let _ = std::io::Write::write_fmt(message, format_args!("{name}: {pointer:p}"));
            lua.push_bytes(&*(message.as_slice() as *const [u8]));
        }
    }
}

/// Writes the text of an error into the context's message, with the place where it was raised; the digest is in the scratch
/// buffer.
unsafe extern "C-unwind" fn report(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    context.task.failed = true;
    let is_load = context.task.action == Action::Load;
    let message = &mut context.message;
    if lua.kind(1) != kind::TABLE && !is_load {
        let text = if lua.is_text(1) { lua.to_c_bytes(1).unwrap_or_default() } else { b"execution failure" };
        message.extend_from_slice(b"ERR Error running script ");
        message.extend_from_slice(&context.scratch);
        message.extend_from_slice(b", ");
        message.extend_from_slice(&text[..text.len().min(100)]);
        return 0;
    }
    if is_load {
        // As it was raised: there is no handler that would say where.
        let text = if lua.kind(1) == kind::TABLE { text_field(lua, b"err") } else { lua.to_c_bytes(1) };
        message.extend_from_slice(text.unwrap_or(b"unknown error"));
        return 0;
    }
    match text_field(lua, b"err") {
        Some(text) => message.extend_from_slice(text),
        None => message.extend_from_slice(b"ERR unknown error"),
    }
    // What of the line breaks is at the end is left out; the others become blanks when it is written.
    if let (Some(source), Some(line)) = (text_field(lua, b"source"), text_field(lua, b"line")) {
        message.extend_from_slice(b" script: ");
        message.extend_from_slice(&context.scratch);
        message.extend_from_slice(b", on ");
        message.extend_from_slice(source);
        message.push(b':');
        message.extend_from_slice(line);
        message.push(b'.');
    }
    lua.push_bytes(b"ignore_error_stats_update");
    lua.raw_get(1);
    if lua.kind(-1) == kind::BOOLEAN {
        context.task.failed = !lua.to_boolean(-1);
    }
    0
}

/// A field of the first argument that is a text; it stays on the stack.
unsafe fn text_field<'a>(lua: Lua, name: &[u8]) -> Option<&'a [u8]> {
    lua.push_bytes(name);
    lua.raw_get(1);
    if lua.is_text(-1) {
        lua.to_c_bytes(-1)
    } else {
        None
    }
}

/// Has the hook run at every line, so that a script which is to end gets no further by catching errors.
pub(crate) unsafe fn hook_each_line(lua: Lua) {
    (api().lua_sethook)(lua.0, Some(on_count), MASK_LINE | MASK_COUNT, 1);
}

unsafe extern "C-unwind" fn on_count(state: *mut State, _: *mut Debug) {
    let lua = Lua(state);
    lua.push_light(&raw const CONTEXT_KEY as *mut c_void);
    lua.raw_get(REGISTRY);
    let context = &mut *(lua.to_userdata(-1) as *mut Context);
    lua.pop(1);
    if let Some(stopping) = context.stopping {
        raise_stopping(lua, stopping);
    }
    let Some(stopping) = interruption(context) else { return };
    context.stopping = Some(stopping);
    hook_each_line(lua);
    raise_stopping(lua, stopping);
}

/// Why what runs is to end, if it is.
unsafe fn interruption(context: &Context) -> Option<Stopping> {
    if context.load_deadline.is_some_and(|deadline| Instant::now() > deadline) {
        return Some(Stopping::LoadsTooLong);
    }
    match host(context)?.interruption() {
        Interruption::None => None,
        Interruption::Kill if context.task.action == Action::Call => Some(Stopping::FunctionKilled),
        Interruption::Kill => Some(Stopping::Killed),
        Interruption::Stop => Some(Stopping::ByHost),
    }
}
