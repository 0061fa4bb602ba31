//! Lua scripts: runtimes that execute them natively, their sandbox, libraries and conversions.
//!
//! lupa makes each `lua_State` (the control plane's `scripting` package), or a library of the system's does where lupa does not
//! show its own; here it gets its libraries and runs scripts, on the
//! thread that holds the shards, without Python. Commands are executed through [`host::Host`], so that this crate knows
//! neither shards nor sockets.
//!
//! # Layout
//!
//! | file | what |
//! |---|---|
//! | `api` | Lua's C API, found in lupa's extension module |
//! | `lua` | one method a function of it, and **the rule for code that Lua calls** |
//! | `host` | what a script needs of the server |
//! | `watch` | whether what runs may go on |
//! | `shebang`, `digest`, `cache` | the flags in a script's first line; scripts by their digest |
//! | `functions` | libraries of functions, and the table of them |
//! | `matching`, `random` | Lua's patterns and Redis' random numbers, without Lua |
//! | `context` | what belongs to one runtime besides Lua's own memory: buffers, options, the host of the script that runs |
//! | `decode`, `errors`, `interruption` | replies to Lua; how errors are raised and reported; ending what runs |
//! | `encode` | Lua to replies |
//! | `patterns`, `bounded` | functions of Lua's libraries that would go on for ever, so that they can be ended |
//! | `json`, `msgpack`, `packing`, `bits`, `math` | `cjson`, `cmsgpack`, `struct`, `bit`, `math.random` |
//! | `redis_api`, `chunks`, `code` | `redis.*`; compiling; what a chunk does to globals |
//! | `sandbox` | which globals there are, tables that cannot be written to, `pcall` |
//! | `registration` | what a library sees while it is loaded |
//! | `memory`, `blocks` | what a state may have, and where small blocks of it are |
//! | `entry`, `runtime` | running and compiling scripts |
//! | `arguments`, `layout` | their `KEYS` and `ARGV`; how Lua has tables in memory |
//! | `frames`, `passing` | how Lua has calls in memory; replies that scripts return as they got them |
//! | `probes` | whether Lua's memory is as expected |
//! | `pool` | a runtime for each thread |

// Nearly every line here calls Lua; why that is sound is said once, in `lua.rs`, and not at each line.
#![allow(unsafe_op_in_unsafe_fn)]

pub mod api;
mod arguments;
mod bits;
mod blocks;
mod bounded;
pub mod cache;
mod chunks;
mod code;
mod context;
mod decode;
mod digest;
mod encode;
mod entry;
mod errors;
mod frames;
pub mod functions;
pub mod host;
mod interruption;
mod json;
mod layout;
mod lua;
mod matching;
mod math;
pub mod memory;
mod msgpack;
mod number;
mod packing;
mod passing;
mod patterns;
pub mod pool;
mod probes;
mod random;
mod redis_api;
mod registration;
pub mod runtime;
mod sandbox;
pub mod shebang;
mod watch;
