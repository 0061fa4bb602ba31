//! Runtimes for tests: Lua from lupa's extension module, as the server has it, with a host that answers what it is told.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use sherd_scripts::api::{self, api};
use sherd_scripts::cache::{Cache, Script};
use sherd_scripts::host::{Called, Host, Interruption};
use sherd_scripts::runtime::{Program, Ran, Run, Runtime, Versions};
use sherd_shards::handler::reply::Protocol;

/// Loads Lua; `None`, with a reason printed, where there is no lupa.
pub fn load() -> Option<()> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    LOADED
        .get_or_init(|| match find() {
            Ok(()) => true,
            Err(reason) => {
                println!("skipped: {reason}");
                false
            }
        })
        .then_some(())
}

/// The Python that has lupa: `SHERD_PYTHON`, or that of the checkout's virtual environment.
fn python() -> PathBuf {
    std::env::var_os("SHERD_PYTHON")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/bin/python")), PathBuf::from)
}

fn find() -> Result<(), String> {
    const ASK: &str = "import sysconfig, lupa.lua51 as m; v = sysconfig.get_config_var; \
                       print(m.__file__); print(v('LIBDIR') + '/' + v('LDLIBRARY'))";
    let asked = Command::new(python()).args(["-c", ASK]).output();
    let output = asked.map_err(|error| format!("no Python with lupa ({error})"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let [module, library] = text.lines().collect::<Vec<_>>()[..] else {
        return Err("Python has no lupa".to_owned());
    };
    // The extension module refers to Python's own variables, which are resolved when it is loaded.
    let path = std::ffi::CString::new(library).map_err(|error| error.to_string())?;
    // SAFETY: loading Python's library runs nothing.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL) };
    if handle.is_null() {
        return Err(format!("Python has no shared library {library}"));
    }
    api::load(module.as_ref()).map_err(|error| error.to_string())
}

/// As whoever makes a state allocates for it.
unsafe extern "C-unwind" fn allocate(_: *mut c_void, block: *mut c_void, _: usize, new: usize) -> *mut c_void {
    if new == 0 {
        // SAFETY: from `realloc`.
        unsafe { libc::free(block) };
        return std::ptr::null_mut();
    }
    // SAFETY: from `realloc`, or null.
    unsafe { libc::realloc(block, new) }
}

/// A runtime with a cache and a host of its own.
pub struct Bench {
    pub runtime: Runtime,
    pub cache: Cache,
    pub host: TestHost,
    pub protocol: Protocol,
    pub reply_bytes_max: usize,
}

impl Bench {
    /// With as much memory as is wanted.
    pub fn new() -> Option<Bench> {
        load()?;
        // SAFETY: the API was loaded; the state is the runtime's alone.
        let runtime = unsafe {
            let state = (api().lua_newstate)(allocate, std::ptr::null_mut());
            (api().luaL_openlibs)(state);
            Runtime::adopt(state, usize::MAX, &versions()).expect("a runtime")
        };
        Some(Bench {
            runtime,
            cache: Cache::default(),
            host: TestHost::default(),
            protocol: Protocol::Resp2,
            reply_bytes_max: usize::MAX,
        })
    }

    /// Leaves the runtime so many bytes more than it has.
    pub fn allow(&mut self, bytes: usize) {
        let memory = self.runtime.memory();
        memory.bytes_max = memory.used_bytes.saturating_add(bytes);
    }

    /// Runs a script and returns its reply as text.
    pub fn run(&mut self, source: &str) -> String {
        self.run_with(source.as_bytes(), &[], &[])
    }

    /// The same with keys and arguments.
    pub fn run_with(&mut self, source: &[u8], keys: &[&[u8]], args: &[&[u8]]) -> String {
        let script = match self.cache.of_text(source) {
            Ok(script) => script,
            Err(text) => return format!("-{}\r\n", String::from_utf8_lossy(&text)),
        };
        self.cache.enter(&script, false);
        self.execute(&script, keys, args).0
    }

    /// Runs a script of the cache.
    pub fn execute(&mut self, script: &Script, keys: &[&[u8]], args: &[&[u8]]) -> (String, Ran) {
        let mut out = Vec::new();
        let run = Run {
            program: Program::Script(script),
            keys,
            args,
            protocol: self.protocol,
            reply_bytes_max: self.reply_bytes_max,
        };
        let ran = self.runtime.run(&run, &mut self.host, &mut out);
        (String::from_utf8_lossy(&out).into_owned(), ran)
    }
}

fn versions() -> Versions {
    Versions { redis: "7.2.4".to_owned(), valkey: "9.1.2".to_owned(), server: "sherd".to_owned() }
}

/// Answers `reply <bytes>` with these bytes, and everything else with its arguments.
#[derive(Default)]
pub struct TestHost {
    pub logged: Vec<(u8, String)>,
    /// How many commands are executed before the script has to end.
    pub stop_after: Option<usize>,
    pub interruptions: usize,
    /// At which of these the script is killed.
    pub kill_at: Option<usize>,
}

impl Host for TestHost {
    fn call(&mut self, args: &[&[u8]], protocol: Protocol, out: &mut Vec<u8>) -> Called {
        match &mut self.stop_after {
            Some(0) => return Called::Stop,
            Some(left) => *left -= 1,
            None => {}
        }
        match args {
            [b"reply", bytes] => out.extend_from_slice(bytes),
            [b"protocol"] => out.extend_from_slice(if protocol.is_resp3() { b":3\r\n" } else { b":2\r\n" }),
            _ => {
                out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
                for arg in args {
                    out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                    out.extend_from_slice(arg);
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
        Called::Replied
    }

    fn logs(&self, level: u8) -> bool {
        level >= 1
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.logged.push((level, String::from_utf8_lossy(text).into_owned()));
    }

    fn may_call(&mut self, args: &[&[u8]]) -> Option<bool> {
        Some(args[0] != b"flushall").filter(|_| args[0] != b"nothing")
    }

    fn set_replication(&mut self, _: u8) {}

    fn interruption(&mut self) -> Interruption {
        self.interruptions += 1;
        match self.kill_at {
            Some(at) if self.interruptions >= at => Interruption::Kill,
            _ => Interruption::None,
        }
    }
}
