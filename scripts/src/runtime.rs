//! A runtime: one `lua_State` with its sandbox, in which one thread at a time runs scripts.
//!
//! All that calls Lua is a native function that `lua_pcall` enters. Those that a script needs are kept at the bottom of the
//! stack, so that starting one allocates nothing but `KEYS`, `ARGV` and what the script itself makes.

use std::ffi::{c_int, c_void};
use std::time::Duration;

use sherd_shards::command::registry::Command;
use sherd_shards::handler::reply::{Protocol, Reply};

use crate::api::{api, State, REGISTRY};
use crate::cache::Script;
use crate::context::{Action, Context, Phase, Task};
use crate::entry::{
    install, CALLBACKS, COMPILED_MAX, ENTER, FUNCTION_GLOBALS, FUNCTION_METATABLE, HANDLER, LOAD_GLOBALS, PARKED,
    REPORT, RESIDENT,
};
use crate::frames::{self, Frames};
use crate::functions::library::{Function, Library};
use crate::functions::table::{Found, Libraries};
use crate::host::Host;
use crate::layout::Layout;
use crate::lua::{kind, Lua};
use crate::memory::{self, Memory};
use crate::sandbox::Setup;
use crate::watch::Stopping;
use crate::{interruption, json};

pub use crate::sandbox::Versions;

/// LUA_ERRMEM
const OUT_OF_MEMORY: c_int = 4;
const GC_RESTART: c_int = 1;
const GC_COLLECT: c_int = 2;
const GC_COUNT: c_int = 3;
const GC_COUNT_REST: c_int = 4;

unsafe extern "C-unwind" fn open_libraries(state: *mut State) -> c_int {
    (api().luaL_openlibs)(state);
    0
}

/// See the [module](self).
pub struct Runtime {
    lua: Lua,
    context: Box<Context>,
    memory: *mut Memory,
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

    /// The command that it is likely to call first, if one is known.
    #[inline]
    pub fn first_command(&self) -> Option<&'static Command> {
        match self {
            Program::Script(script) => script.first_command(),
            Program::Function(_) => None,
        }
    }

    /// Remembers the command that it has called first.
    pub fn expect_first(&self, command: &Command) {
        if let Program::Script(script) = self {
            script.set_first_command(command);
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
    /// Bytes that the reply may have.
    pub reply_bytes_max: usize,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ran {
    /// It has answered; `failed` if with an error that nobody has counted.
    Answered { failed: bool },
    /// The host has stopped it before it did anything, and nothing was written.
    Stopped,
    /// Its reply was more than it may be: nothing of it was kept.
    TooLong,
}

impl Runtime {
    /// Takes over a state with Lua's own libraries in it, as lupa makes them, which may have so many bytes in all.
    ///
    /// # Safety
    /// The state is valid for as long as the runtime is, nobody else uses it, and [`crate::api::load`] has found the API of the
    /// module that it belongs to.
    pub unsafe fn adopt(state: *mut State, bytes_max: usize, versions: &Versions) -> Result<Runtime, String> {
        let memory = Memory::for_state(state, allocated_bytes(Lua(state)), bytes_max);
        Runtime::set_up(state, memory, versions)
    }

    /// Makes a state of its own, in the library that [`crate::api::load`] has found, which may allocate so much. It is never closed.
    pub fn make(bytes_max: usize, versions: &Versions) -> Result<Runtime, String> {
        let memory = Memory::for_new_state(bytes_max);
        // SAFETY: nobody else knows the state, and its memory is there as long as it is.
        unsafe {
            let state = (api().lua_newstate)(memory::allocate, memory as *mut c_void);
            if state.is_null() || (api().lua_cpcall)(state, open_libraries, std::ptr::null_mut()) != 0 {
                return Err("there is no memory for a runtime".to_owned());
            }
            Runtime::set_up(state, memory, versions)
        }
    }

    unsafe fn set_up(state: *mut State, memory: *mut Memory, versions: &Versions) -> Result<Runtime, String> {
        let (lua, context) = (Lua(state), Box::new(Context::new()));
        let mut runtime = Runtime { lua, context, memory, told_bytes: 0, loaded: Vec::new(), libraries_version: 0 };
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

    /// What its state has allocated and may allocate.
    pub fn memory(&mut self) -> &mut Memory {
        // SAFETY: it lives as long as the state, and nobody has it while no script runs.
        unsafe { &mut *self.memory }
    }

    /// Whether what Lua has in memory is as expected, so that less has to be asked by its API: tables and what
    /// is in them, calls, code and upvalues.
    pub fn reads_memory(&self) -> [bool; 5] {
        let context = &self.context;
        [
            context.layout.is_known(),
            context.reads_elements,
            context.frames.is_known(),
            context.reads_code,
            frames::reads_upvalues(),
        ]
    }

    /// Has everything but upvalues asked by Lua's API, as where its memory is not as expected.
    pub fn ask_api(&mut self) {
        (self.context.layout, self.context.frames) = (Layout::unknown(), Frames::unknown());
        (self.context.reads_code, self.context.reads_elements) = (false, false);
        self.context.lists = [(std::ptr::null(), 0); 2];
        self.forget_compiled();
    }

    /// Compiles a script, if it was not; an error is its text.
    pub fn compile(&mut self, script: &Script) -> Result<(), Vec<u8>> {
        self.context.task =
            Task { action: Action::Compile, program: script.id, source: script.body(), ..Task::default() };
        // SAFETY: there is no host; nothing here owns what an error would leave.
        let status = unsafe {
            self.context.watch.begin(None, false, None);
            self.enter()
        };
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
        interruption::hook(self.lua);
        self.context.registered.clear();
        self.context.task =
            Task { action: Action::Load, program: library.id, source: library.body(), ..Task::default() };
        // SAFETY: what is pointed to lives until `end`, which forgets the pointers; nothing here owns what an error would leave.
        let status = unsafe {
            self.context.watch.begin(host, false, at_most);
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
        interruption::hook(self.lua);
        // SAFETY: what is pointed to lives until `end`, which forgets the pointers.
        unsafe {
            self.context.watch.begin(Some(host), action == Action::Call, None);
            json::reset_options(&self.context);
            self.context.task = Task {
                action,
                program,
                source,
                function,
                keys: std::mem::transmute::<&[&[u8]], *const [&'static [u8]]>(run.keys),
                args: std::mem::transmute::<&[&[u8]], *const [&'static [u8]]>(run.args),
                out,
                client_protocol: run.protocol,
                reply_bytes_max: run.reply_bytes_max,
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
        debug_assert_eq!(self.lua.top(), RESIDENT);
        self.lua.push_value(ENTER);
        (api().lua_pcall)(self.lua.0, 0, 0, HANDLER)
    }

    fn conclude(&mut self, status: c_int, run: &Run<'_>, out: &mut Vec<u8>, start: usize) -> Ran {
        if self.context.watch.stopping == Some(Stopping::ByHost) {
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
        if self.context.task.phase == Phase::TooLong {
            return Ran::TooLong;
        }
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

    /// Bytes that Lua has allocated.
    #[inline]
    pub fn memory_bytes(&self) -> usize {
        // SAFETY: it lives as long as the state.
        unsafe { (*self.memory).used_bytes }
    }
}

/// What a state says that it has allocated.
unsafe fn allocated_bytes(lua: Lua) -> usize {
    let kibibytes = (api().lua_gc)(lua.0, GC_COUNT, 0) as usize;
    kibibytes * 1024 + (api().lua_gc)(lua.0, GC_COUNT_REST, 0) as usize
}
