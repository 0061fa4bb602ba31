//! `redis.*`, which is `server.*` as well.

use std::ffi::{c_int, CStr};

use sherd_types::number::{format_f64, format_i64, F64Buffer, I64Buffer, F64_TEXT_MAX_BYTES};
use sherd_types::sha1::sha1;

use crate::api::{CFunction, State};
use crate::context::Context;
use crate::decode::{push_error, push_reply};
use crate::digest::hexadecimal;
use crate::errors::raise;
use crate::host::Called;
use crate::interruption;
use crate::lua::{kind, upvalue, Lua};
use crate::number::truncate;
use crate::passing::is_passed;
use crate::watch::Stopping;
use sherd_shards::handler::reply::Protocol;

/// The functions.
pub const FUNCTIONS: &[(&CStr, CFunction)] = &[
    (c"setresp", set_protocol),
    (c"sha1hex", sha1_hex),
    (c"error_reply", error_reply),
    (c"status_reply", status_reply),
    (c"set_repl", set_replication),
    (c"acl_check_cmd", may_call),
];

/// Those that a library sees as well while it is loaded.
pub const LOG: &[(&CStr, CFunction)] = &[(c"log", log)];

/// Those that scripts have and functions have not.
pub const SCRIPT_FUNCTIONS: &[(&CStr, CFunction)] =
    &[(c"replicate_commands", replicate_commands), (c"breakpoint", breakpoint), (c"debug", debug)];

/// Those that execute commands. Their second and third upvalues are the texts of what most writes answer, `ok` and `OK`.
pub const CALLS: &[(&CStr, CFunction)] = &[(c"call", call), (c"pcall", protected_call)];

/// Levels of [`LOG`].
pub const LOG_LEVELS: &[(&CStr, f64)] =
    &[(c"LOG_DEBUG", 0.0), (c"LOG_VERBOSE", 1.0), (c"LOG_NOTICE", 2.0), (c"LOG_WARNING", 3.0)];

/// Where changes go, for `redis.set_repl`.
pub const REPLICATION_TARGETS: &[(&CStr, f64)] =
    &[(c"REPL_NONE", 0.0), (c"REPL_AOF", 1.0), (c"REPL_SLAVE", 2.0), (c"REPL_REPLICA", 2.0), (c"REPL_ALL", 3.0)];

unsafe extern "C-unwind" fn call(state: *mut State) -> c_int {
    command(Lua(state), true)
}

unsafe extern "C-unwind" fn protected_call(state: *mut State) -> c_int {
    command(Lua(state), false)
}

/// Executes a command; an error of it is raised, or returned.
#[inline(always)]
unsafe fn command(lua: Lua, raises: bool) -> c_int {
    let context = lua.context();
    let Some(host) = context.watch.host() else {
        return raise(lua, b"ERR redis.call/pcall can only be called inside a script invocation");
    };
    if context.watch.stopping.is_some() {
        return interruption::stop(lua);
    }
    if let Err(text) = take_arguments(lua, context) {
        push_error(lua, text);
        return if raises { lua.raise() } else { 1 };
    }
    context.reply.clear();
    if host.call(&context.args, context.protocol, &mut context.reply) == Called::Stop {
        context.watch.stopping = Some(Stopping::ByHost);
        return interruption::stop(lua);
    }
    // The buffer is the context's, and nothing writes to it before the next command.
    let reply = &*(context.reply.as_slice() as *const [u8]);
    if context.frames.is_known() && reply.first() != Some(&b'-') {
        if context.frames.wants_nothing(lua) {
            return 0;
        }
        if context.frames.is_passed_on_by(lua, context.script) && is_passed(reply) {
            context.answers_reply = true;
            return 0;
        }
    }
    if reply == b"+OK\r\n" {
        lua.new_table(0, 1);
        lua.push_value(upvalue(2));
        lua.push_value(upvalue(3));
        lua.raw_set(-3);
        return 1;
    }
    push_reply(lua, reply);
    if raises && reply.first() == Some(&b'-') {
        return lua.raise();
    }
    1
}

const WRONG_ARGUMENTS: &[u8] = b"ERR Lua redis lib command arguments must be strings or integers";

/// Puts the arguments into the context, where they point into Lua's strings, which stay on the stack.
#[inline(always)]
unsafe fn take_arguments(lua: Lua, context: &mut Context) -> Result<(), &'static [u8]> {
    context.args.clear();
    if !context.frames.is_known() {
        return ask_for_arguments(lua, context);
    }
    let arguments = context.frames.arguments(lua);
    make_room(context, arguments.len())?;
    for value in arguments {
        let bytes = match value.kind() {
            kind::STRING => value.bytes(),
            kind::NUMBER => number_text(&mut context.numbers, value.number()),
            _ => return Err(WRONG_ARGUMENTS),
        };
        context.args.push(bytes);
    }
    Ok(())
}

#[cold]
unsafe fn ask_for_arguments(lua: Lua, context: &mut Context) -> Result<(), &'static [u8]> {
    let count = lua.top();
    make_room(context, count as usize)?;
    for number in 1..=count {
        let bytes = match lua.kind(number) {
            kind::STRING => lua.to_bytes(number).unwrap_or_default(),
            kind::NUMBER => number_text(&mut context.numbers, lua.to_number(number)),
            _ => return Err(WRONG_ARGUMENTS),
        };
        context.args.push(bytes);
    }
    Ok(())
}

/// Sees to it that all texts of numbers have room: what is pointed to must not move.
#[inline(always)]
fn make_room(context: &mut Context, arguments: usize) -> Result<(), &'static [u8]> {
    if arguments == 0 {
        return Err(b"ERR Please specify at least one argument for this redis lib call");
    }
    context.numbers.clear();
    if context.numbers.capacity() < arguments * F64_TEXT_MAX_BYTES {
        context.numbers.reserve(arguments * F64_TEXT_MAX_BYTES);
    }
    Ok(())
}

/// A number's text: an integer where it is one, else the shortest text that reads as the same number.
unsafe fn number_text(numbers: &mut Vec<u8>, number: f64) -> &'static [u8] {
    let start = numbers.len();
    let small = number as u8;
    if small < 100 && f64::from(small) == number {
        if small >= 10 {
            numbers.push(b'0' + small / 10);
        }
        numbers.push(b'0' + small % 10);
        return &*(&numbers[start..] as *const [u8]);
    }
    if number.is_nan() {
        // With its sign, as C writes it.
        numbers.extend_from_slice(if number.is_sign_negative() { b"-nan" } else { b"nan" });
        return &*(&numbers[start..] as *const [u8]);
    }
    let integer = truncate(number);
    if integer as f64 == number && integer.unsigned_abs() <= i64::MAX as u64 / 2 {
        numbers.extend_from_slice(format_i64(integer, &mut I64Buffer::default()));
    } else {
        numbers.extend_from_slice(format_f64(number, &mut F64Buffer::default()));
    }
    &*(&numbers[start..] as *const [u8])
}

unsafe extern "C-unwind" fn may_call(state: *mut State) -> c_int {
    let lua = Lua(state);
    let context = lua.context();
    let Some(host) = context.watch.host() else {
        return raise(lua, b"ERR redis.acl_check_cmd can only be called inside a script invocation");
    };
    if let Err(text) = take_arguments(lua, context) {
        return raise(lua, text);
    }
    match host.may_call(&context.args) {
        Some(allowed) => lua.push_boolean(allowed),
        None => return raise(lua, b"ERR Invalid command passed to redis.acl_check_cmd()"),
    }
    1
}

unsafe extern "C-unwind" fn log(state: *mut State) -> c_int {
    let lua = Lua(state);
    let count = lua.top();
    if count < 2 {
        return raise(lua, b"ERR redis.log() requires two arguments or more.");
    }
    if !lua.is_number(1) {
        return raise(lua, b"ERR First argument must be a number (log level).");
    }
    let level = truncate(lua.to_number(1));
    if !(0..=3).contains(&level) {
        return raise(lua, b"ERR Invalid log level.");
    }
    let context = lua.context();
    let Some(host) = context.watch.host().filter(|host| host.logs(level as u8)) else { return 0 };
    context.message.clear();
    for number in 2..=count {
        if let Some(bytes) = lua.to_bytes(number) {
            if number > 2 {
                context.message.push(b' ');
            }
            context.message.extend_from_slice(bytes);
        }
    }
    host.log(level as u8, &context.message);
    0
}

unsafe extern "C-unwind" fn set_protocol(state: *mut State) -> c_int {
    let lua = Lua(state);
    if lua.top() != 1 {
        return raise(lua, b"ERR redis.setresp() requires one argument.");
    }
    match truncate(lua.to_number(1)) {
        version @ (2 | 3) => lua.context().protocol = Protocol::from_number(version).unwrap_or_default(),
        _ => return raise(lua, b"ERR RESP version must be 2 or 3."),
    }
    0
}

unsafe extern "C-unwind" fn sha1_hex(state: *mut State) -> c_int {
    let lua = Lua(state);
    if lua.top() != 1 {
        return raise(lua, b"ERR wrong number of arguments");
    }
    // What is no string counts as an empty one.
    let digest = hexadecimal(sha1(lua.to_bytes(1).unwrap_or_default()));
    lua.push_bytes(&digest);
    1
}

unsafe fn has_one_string(lua: Lua) -> bool {
    let has = lua.top() == 1 && lua.kind(1) == kind::STRING;
    if !has {
        push_error(lua, b"ERR wrong number or type of arguments");
    }
    has
}

unsafe extern "C-unwind" fn error_reply(state: *mut State) -> c_int {
    let lua = Lua(state);
    if !has_one_string(lua) {
        return 1;
    }
    let text = lua.to_c_bytes(1).unwrap_or_default();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let message = &mut lua.context().message;
    message.clear();
    // The first word is the code; a single word gets one, and blanks around what follows are line breaks only.
    let (code, rest) = match text.iter().position(|&byte| byte == b' ') {
        Some(blank) => (&text[..blank], &text[blank + 1..]),
        None => (&b"ERR"[..], text),
    };
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = rest.iter().position(|byte| !is_break(byte)).unwrap_or(rest.len());
    let end = rest.iter().rposition(|byte| !is_break(byte)).map_or(start, |last| last + 1);
    message.extend_from_slice(code);
    message.push(b' ');
    message.extend_from_slice(&rest[start..end]);
    push_error(lua, &*(message.as_slice() as *const [u8]));
    1
}

unsafe extern "C-unwind" fn status_reply(state: *mut State) -> c_int {
    let lua = Lua(state);
    if has_one_string(lua) {
        lua.new_table(0, 1);
        lua.push_value(1);
        lua.set_field(-2, c"ok");
    }
    1
}

unsafe extern "C-unwind" fn set_replication(state: *mut State) -> c_int {
    let lua = Lua(state);
    let Some(host) = lua.context().watch.host() else {
        return raise(lua, b"ERR redis.set_repl can only be called inside a script invocation");
    };
    if lua.top() != 1 {
        return raise(lua, b"ERR redis.set_repl() requires one argument.");
    }
    match truncate(lua.to_number(1)) as i32 {
        targets @ 0..=3 => host.set_replication(targets as u8),
        _ => return raise(lua, b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."),
    }
    0
}

unsafe extern "C-unwind" fn replicate_commands(state: *mut State) -> c_int {
    // Effects are what is replicated in any case.
    Lua(state).push_boolean(true);
    1
}

unsafe extern "C-unwind" fn breakpoint(state: *mut State) -> c_int {
    // There is no debugger that would stop here.
    Lua(state).push_boolean(false);
    1
}

unsafe extern "C-unwind" fn debug(_: *mut State) -> c_int {
    0
}
