//! What belongs to one runtime besides Lua's own memory.
//!
//! Native functions find it by a pointer in their first upvalue. All buffers that they write into are here, as a frame that
//! Lua may leave by an error must own nothing (see [`crate::lua`]).

use std::ffi::c_void;
use std::time::Instant;

use crate::functions::library::Function;
use crate::host::Host;
use crate::json::Options;
use crate::random::Random;
use sherd_shards::handler::reply::Protocol;

/// See the file's head.
pub struct Context {
    /// Who executes the commands of the script that runs; `None` while none does.
    pub host: Option<*mut (dyn Host + 'static)>,
    /// What is to be run; set by the runtime for the time of one call.
    pub task: Task,
    /// Whether the script has asked for RESP3 replies.
    pub protocol: Protocol,
    /// The script is to end: every command and every hook raises an error from now on.
    pub stopping: Option<Stopping>,
    /// Arguments of the command that is being executed: they point into Lua's strings and `numbers`.
    pub args: Vec<&'static [u8]>,
    /// Texts of arguments that are numbers.
    pub numbers: Vec<u8>,
    /// The reply of the command that was executed last.
    pub reply: Vec<u8>,
    /// The text of an error that is being made.
    pub message: Vec<u8>,
    /// What a library writes: JSON, MessagePack, packed structs, strings without their escapes.
    pub scratch: Vec<u8>,
    pub random: Random,
    /// The options of the global `cjson`; in Lua's memory.
    pub json: *mut Options,
    /// Scripts that were compiled since the last time that all were dropped.
    pub compiled: usize,
    /// The tables that scripts see in place of the sandbox's own and cannot change.
    pub proxies: Vec<*const c_void>,
    /// The tables that scripts and functions see as their globals, two of the proxies.
    pub globals: [*const c_void; 2],
    /// Whether the state's globals are those of functions.
    pub has_function_globals: bool,
    /// What the library that is being loaded has registered.
    pub registered: Vec<Function>,
    /// When a library has taken too long to be loaded, if there is such a time.
    pub load_deadline: Option<Instant>,
}

/// Why a script is being ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopping {
    /// The host will have it run again.
    ByHost,
    /// SCRIPT KILL.
    Killed,
    /// FUNCTION KILL.
    FunctionKilled,
    /// A library that is being loaded has taken too long.
    LoadsTooLong,
}

/// What is to be done with a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A script is compiled.
    Compile,
    /// A script is run.
    Run,
    /// A library is loaded.
    Load,
    /// A function of a library is called.
    Call,
}

/// A script with its arguments, one to be compiled, a library to be loaded, or a function of one with its arguments.
#[derive(Clone, Copy)]
pub struct Task {
    pub action: Action,
    /// The number of the script or library.
    pub program: i32,
    pub source: *const [u8],
    /// The function's name.
    pub function: *const [u8],
    pub keys: *const [&'static [u8]],
    pub args: *const [&'static [u8]],
    /// Where the reply goes, and whether the client speaks RESP3.
    pub out: *mut Vec<u8>,
    pub client_protocol: Protocol,
    /// What came of it: set by the native function that does it.
    pub phase: Phase,
    /// Whether the reply is an error that nobody has counted.
    pub failed: bool,
}

/// How far a task has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Arguments are being made.
    Begun,
    /// It does not compile; the message says why.
    Malformed,
    /// It runs.
    Running,
    /// It has returned; the reply is being written.
    Returned,
}

impl Default for Task {
    fn default() -> Task {
        Task {
            action: Action::Compile,
            program: 0,
            source: &[],
            function: &[],
            keys: &[],
            args: &[],
            out: std::ptr::null_mut(),
            client_protocol: Protocol::Resp2,
            phase: Phase::Begun,
            failed: false,
        }
    }
}

/// Bytes that a buffer keeps from one script to the next.
const KEEP_MAX: usize = 1 << 20;

impl Context {
    /// For a new runtime.
    pub fn new() -> Context {
        Context {
            host: None,
            task: Task::default(),
            protocol: Protocol::Resp2,
            stopping: None,
            args: Vec::new(),
            numbers: Vec::new(),
            reply: Vec::new(),
            message: Vec::new(),
            scratch: Vec::new(),
            random: Random::default(),
            json: std::ptr::null_mut(),
            compiled: 0,
            proxies: Vec::new(),
            globals: [std::ptr::null(); 2],
            has_function_globals: false,
            registered: Vec::new(),
            load_deadline: None,
        }
    }

    /// Makes ready for a script.
    pub fn begin(&mut self) {
        self.protocol = Protocol::Resp2;
        self.stopping = None;
    }

    /// Forgets what was the script's.
    pub fn end(&mut self) {
        self.host = None;
        self.load_deadline = None;
        self.registered.clear();
        self.task = Task::default();
        self.args.clear();
        for buffer in [&mut self.numbers, &mut self.reply, &mut self.message, &mut self.scratch] {
            buffer.clear();
            buffer.shrink_to(KEEP_MAX);
        }
    }

    /// Whether scripts see this table but must not change it.
    #[inline]
    pub fn is_proxy(&self, table: *const c_void) -> bool {
        self.proxies.contains(&table)
    }
}
