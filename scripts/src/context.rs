//! What belongs to one runtime besides Lua's own memory.
//!
//! Native functions find it by a pointer in their first upvalue. All buffers that they write into are here, as a frame that
//! Lua may leave by an error must own nothing (see [`crate::lua`]).

use std::ffi::{c_int, c_void};

use sherd_shards::handler::reply::Protocol;

use crate::api::{api, CFunction};
use crate::frames::{self, Frames};
use crate::functions::library::Function;
use crate::layout::{Layout, Table};
use crate::lua::{kind, upvalue, Lua};
use crate::matching::matcher::Workspace;
use crate::random::Random;
use crate::watch::Watch;

/// See the [module](self).
pub struct Context {
    /// Who executes the commands of what runs, and whether it may go on.
    pub watch: Watch,
    /// What is to be run; set by the runtime for the time of one call.
    pub task: Task,
    /// Whether the script has asked for RESP3 replies.
    pub protocol: Protocol,
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
    /// What the matching of a pattern keeps; nothing that it calls matches another one.
    pub workspace: Workspace,
    /// The options of the global `cjson`, in Lua's memory.
    pub json: *mut c_void,
    /// How tables are read.
    pub layout: Layout,
    /// How calls are read.
    pub frames: Frames,
    /// Whether what tables have in their places can be read.
    pub reads_elements: bool,
    /// Whether it can be told what chunks do to globals.
    pub reads_code: bool,
    /// The script that runs, which nothing but its runtime calls; null where that is not known.
    pub script: *const c_void,
    /// The script returns the reply of its last command, which is as the client is to get it.
    pub answers_reply: bool,
    /// The tables that are `KEYS` and `ARGV` now, and how many elements each was made with; null if they may not be kept.
    pub lists: [(*const Table, usize); 2],
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
    /// Bytes that the reply may have.
    pub reply_bytes_max: usize,
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
    /// The reply has become more than it may be.
    TooLong,
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
            reply_bytes_max: usize::MAX,
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
            watch: Watch::new(),
            task: Task::default(),
            protocol: Protocol::Resp2,
            args: Vec::new(),
            numbers: Vec::new(),
            reply: Vec::new(),
            message: Vec::new(),
            scratch: Vec::new(),
            random: Random::default(),
            workspace: Workspace::default(),
            json: std::ptr::null_mut(),
            layout: Layout::unknown(),
            frames: Frames::unknown(),
            reads_elements: false,
            reads_code: false,
            script: std::ptr::null(),
            answers_reply: false,
            lists: [(std::ptr::null(), 0); 2],
            compiled: 0,
            proxies: Vec::new(),
            globals: [std::ptr::null(); 2],
            has_function_globals: false,
            registered: Vec::new(),
        }
    }

    /// Forgets what was the script's.
    pub fn end(&mut self) {
        self.watch.end();
        self.workspace.shrink();
        self.protocol = Protocol::Resp2;
        self.registered.clear();
        (self.script, self.answers_reply) = (std::ptr::null(), false);
        self.task = Task::default();
        self.args.clear();
        for buffer in [&mut self.numbers, &mut self.reply, &mut self.message, &mut self.scratch] {
            buffer.clear();
            if buffer.capacity() > KEEP_MAX {
                buffer.shrink_to(KEEP_MAX);
            }
        }
    }

    /// Whether scripts see this table but must not change it.
    #[inline]
    pub fn is_proxy(&self, table: *const c_void) -> bool {
        self.proxies.contains(&table)
    }
}

// What of [`Lua`] needs a context; the rule at the head of its file holds here too.
#[allow(clippy::missing_safety_doc)]
impl Lua {
    /// The context that the native function was made with, as its first upvalue.
    ///
    /// # Safety
    /// Only in a function that was pushed by [`Lua::push_native`]. The reference must not be kept beyond a call of Lua that may
    /// enter another native function.
    #[inline(always)]
    pub unsafe fn context<'a>(self) -> &'a mut Context {
        match frames::first_upvalue(self) {
            Some(context) => &mut *(context as *mut Context),
            None => &mut *(self.to_userdata(upvalue(1)) as *mut Context),
        }
    }

    /// Pushes a native function with the context, and so many upvalues more from the stack.
    pub unsafe fn push_native(self, context: *mut Context, function: CFunction, upvalues: c_int) {
        self.push_light(context as *mut c_void);
        self.insert(-upvalues - 1);
        (api().lua_pushcclosure)(self.0, function, upvalues + 1);
    }

    /// Whether the first argument is a table that scripts see in place of one of the sandbox's own.
    #[inline(always)]
    pub unsafe fn has_proxy(self) -> bool {
        self.kind(1) == kind::TABLE && self.context().is_proxy(self.to_pointer(1))
    }

    /// Raises an error whose text is written into the context's buffer for messages. Does not return.
    #[cold]
    pub unsafe fn fail_with(self, context: &mut Context, text: std::fmt::Arguments<'_>) -> c_int {
        use std::io::Write;
        context.message.clear();
        // Writing into a `Vec` does not fail.
        let _ = context.message.write_fmt(text);
        self.fail(&*(context.message.as_slice() as *const [u8]))
    }
}
