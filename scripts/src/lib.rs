//! Lua scripts: runtimes that execute them natively, their sandbox, libraries and conversions.
//!
//! lupa makes each `lua_State` (the control plane's `scripting` package); here it gets its libraries and runs scripts, on the
//! thread that holds the shards, without Python. Commands are executed through [`host::Host`], so that this crate knows
//! neither shards nor sockets.
//!
//! # Layout
//!
//! | file | what |
//! |---|---|
//! | `api` | Lua's C API, found in lupa's extension module |
//! | `lua` | one method a function of it, and **the rule for code that Lua calls** |
//! | `context` | what belongs to one runtime besides Lua's own memory: buffers, options, the host of the script that runs |
//! | `runtime` | running and compiling scripts, interruption |
//! | `sandbox` | which globals there are, tables that cannot be written to, `pcall`, `load` |
//! | `redis_api` | `redis.*` |
//! | `decode`, `encode` | replies to Lua, Lua to replies |
//! | `json`, `msgpack`, `packing`, `bits`, `random` | `cjson`, `cmsgpack`, `struct`, `bit`, `math.random` |
//! | `cache`, `shebang` | scripts by their digest; the flags in their first line |
//! | `functions` | libraries of functions |
//! | `pool` | a runtime for each thread |
//! | `host` | what a script needs of the server |

// Nearly every line here calls Lua; why that is sound is said once, in `lua.rs`, and not at each line.
#![allow(unsafe_op_in_unsafe_fn)]

pub mod api;
mod bits;
pub mod cache;
mod context;
mod decode;
mod encode;
pub mod functions;
pub mod host;
mod json;
mod lua;
mod msgpack;
mod number;
mod packing;
pub mod pool;
mod random;
mod redis_api;
pub mod runtime;
mod sandbox;
pub mod shebang;
