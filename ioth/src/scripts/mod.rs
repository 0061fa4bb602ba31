//! Scripts in the server: who runs them, what they may do, and how they are ended.
//!
//! A script is a data command ([`sherd_shards::handler::scripting`]); this is its handler. It finds the script by its text or digest,
//! and runs it in its thread's own runtime with a [`host::ScriptHost`], through which its commands are executed in the shards
//! that are held. Functions are called in the same way, found by their names in what [`libraries`] have registered. What takes long is
//! in [`crate::shared::scripts`].

pub mod host;
mod libraries;

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use sherd_metrics::memory;
use sherd_scripts::cache::{By, Script};
use sherd_scripts::pool::{self, Own, Use};
use sherd_scripts::runtime::{Program, Ran, Run};
use sherd_scripts::shebang::{Flag, Flags};
use sherd_shards::command::origin::Origin;
use sherd_shards::handler::args;
use sherd_shards::handler::context::Context;
use sherd_shards::handler::error::{CommandError, Outcome, OUT_OF_MEMORY};
use sherd_shards::handler::reply::Reply;
use sherd_shards::handler::scripting::{
    self, Evaluation, Knowledge, LibraryFacts, Named, RestorePolicy, Scripting, HANDED_ON,
};
use sherd_shards::maintenance::evict;
use sherd_shards::server::pause::Condition;

use crate::observe::monitor::script_command_line;
use crate::request::monitor::show_line;
use crate::request::restraints::PRIMARY_DOWN;
use crate::shared::scripts::Scripts;
use crate::shared::Shared;
use crate::thread::handlers::Handlers;

use host::{ScriptHost, Told};

/// Of a script, in hexadecimal.
const DIGEST_LEN: usize = 40;
pub const NO_SCRIPT: CommandError = CommandError::new("NOSCRIPT No matching script. Please use EVAL.");
const TOO_MANY_KEYS: CommandError = CommandError::new("ERR Number of keys can't be greater than number of args");
const NEGATIVE_KEYS: CommandError = CommandError::new("ERR Number of keys can't be negative");
const ON_CLUSTER: CommandError = CommandError::new("ERR Can not run script on cluster, 'no-cluster' flag is set.");
const WRITES: CommandError = CommandError::new("ERR Can not execute a script with write flag using *_ro command.");

/// An error whose text was made by scripts, where anything may be in it.
pub fn error_of(text: &[u8]) -> CommandError {
    CommandError::with(String::from_utf8_lossy(text).into_owned())
}

/// Compiles a new script in this thread's runtime and keeps it.
pub fn enter(scripts: &Scripts, script: &Arc<Script>, by_load: bool) -> Result<(), CommandError> {
    let compiled =
        pool::with_runtime(Use::Scripts, |runtime| runtime.compile(script)).map_err(|reason| unavailable(&reason))?;
    if let Err(text) = compiled {
        return Err(error_of(&[b"ERR Error compiling script (new function): ", text.as_slice()].concat()));
    }
    scripts.cache.enter(script, by_load);
    Ok(())
}

fn unavailable(reason: &str) -> CommandError {
    CommandError::with(format!("ERR scripts cannot be run: {reason}"))
}

/// The handler of EVAL, FCALL and FUNCTION in one server.
pub struct Evaluator {
    pub shared: Weak<Shared>,
    /// The commands of connections, some of which scripts may call.
    pub handlers: Handlers,
}

impl Evaluator {
    fn shared(&self) -> Result<Arc<Shared>, CommandError> {
        self.shared.upgrade().ok_or(CommandError::new("ERR the server is shutting down"))
    }
}

impl Scripting for Evaluator {
    fn evaluate(&self, context: &mut Context<'_>, reply: &mut Reply<'_>, evaluation: Evaluation) -> Outcome {
        let shared = self.shared()?;
        pool::with_own(|own| {
            if evaluation.named == Named::Function {
                return self.call_function(&shared, own, context, reply, evaluation.read_only);
            }
            let known = Knowledge::of(context.args);
            let by = if evaluation.named == Named::ByDigest { By::Digest } else { By::Text };
            // What can be no digest names no script, whatever is wrong with the rest.
            if by == By::Digest && context.args[1].len() != DIGEST_LEN {
                show(&shared, context);
                return Err(NO_SCRIPT);
            }
            let count = args::integer(context.args[2]).and_then(|count| count_of_keys(count, context.args.len()));
            let count = count.inspect_err(|_| show(&shared, context))?;
            let found = find(&shared, own, context, by, known.hash());
            let script = found.inspect_err(|_| show(&shared, context))?;
            let (program, flags, read_only) = (Program::Script(&script), script.flags, evaluation.read_only);
            let started = Started { program, known, flags, read_only, count, handlers: self.handlers };
            let outcome = start(&shared, own, context, reply, &started);
            memory::apart(|| own.with_recent(|recent| recent.keep(script, known.hash())));
            outcome
        })
    }

    fn load_library(&self, source: &[u8], replace: bool) -> Result<Vec<u8>, CommandError> {
        libraries::load(&*self.shared()?, source, replace)
    }

    fn restore_libraries(&self, sources: &[Cow<'_, [u8]>], policy: RestorePolicy) -> Outcome {
        libraries::restore(&*self.shared()?, sources, policy)
    }

    fn delete_library(&self, name: &[u8]) -> bool {
        self.shared().is_ok_and(|shared| shared.scripts.libraries.remove(name).is_some())
    }

    fn flush_libraries(&self, lazily: bool) {
        if let Ok(shared) = self.shared() {
            libraries::flush(&shared, lazily);
        }
    }

    fn libraries(&self) -> Vec<LibraryFacts> {
        self.shared().map(|shared| libraries::facts(&shared)).unwrap_or_default()
    }
}

impl Evaluator {
    fn call_function(
        &self,
        shared: &Arc<Shared>,
        own: &Own,
        context: &mut Context<'_>,
        reply: &mut Reply<'_>,
        read_only: bool,
    ) -> Outcome {
        let args = context.args;
        let known = Knowledge::of(args);
        let found = apart(|| libraries::find(shared, own, args[1]));
        let found = found.inspect_err(|_| show(shared, context))?;
        let count = args::integer_or(args[2], libraries::BAD_KEYS).and_then(|count| count_of_keys(count, args.len()));
        let count = count.inspect_err(|_| show(shared, context))?;
        let flags = found.function().flags;
        let (program, handlers) = (Program::Function(&found), self.handlers);
        start(shared, own, context, reply, &Started { program, known, flags, read_only, count, handlers })
    }
}

/// Runs a script or a function, if it may begin.
fn start(
    shared: &Arc<Shared>,
    own: &Own,
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    started: &Started<'_>,
) -> Outcome {
    let may_begin = may_begin(shared, context, started.flags, started.read_only);
    // The first two are reasons for which any command is refused, and not shown.
    may_begin.inspect_err(|error| {
        if *error != OUT_OF_MEMORY && *error != PRIMARY_DOWN {
            show(shared, context)
        }
    })?;
    run(shared, own, context, reply, started)
}

/// Finds a script or a function: what is allocated for that is no shard's, but for an error, which is freed before the shard is let
/// go.
fn apart<T>(find: impl FnOnce() -> Result<T, CommandError>) -> Result<T, CommandError> {
    memory::apart(find).map_err(|error| {
        let own = error.clone();
        memory::apart(|| drop(error));
        own
    })
}

/// Shows a command that would have run a script to the monitors.
fn show(shared: &Shared, context: &Context<'_>) {
    if let Some(line) = line_of(shared, context) {
        show_line(shared, &line);
    }
}

/// What the monitors are shown of a command that runs a script, before those of the script, if there are any.
fn line_of(shared: &Shared, context: &Context<'_>) -> Option<Arc<[u8]>> {
    let record = context.client.record.filter(|_| shared.monitors.load(Relaxed) > 0)?;
    Some(script_command_line(record, context.client.db, context.spec, context.args))
}

fn count_of_keys(count: i64, args: usize) -> Result<usize, CommandError> {
    if count > args as i64 - 3 {
        return Err(TOO_MANY_KEYS);
    }
    usize::try_from(count).map_err(|_| NEGATIVE_KEYS)
}

/// A script or a function that may begin.
pub struct Started<'a> {
    program: Program<'a>,
    known: Knowledge,
    flags: Flags,
    read_only: bool,
    /// How many of its arguments are keys.
    count: usize,
    handlers: Handlers,
}

impl Started<'_> {
    fn is_function(&self) -> bool {
        matches!(self.program, Program::Function(_))
    }
}

fn run(
    shared: &Arc<Shared>,
    own: &Own,
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    started: &Started<'_>,
) -> Outcome {
    let (args, protocol, program) = (context.args, context.client.protocol, started.program);
    let (keys, arguments) = args[3..].split_at(started.count);
    let line = line_of(shared, context);
    let mut host = ScriptHost::new(shared, context, started, keys);
    if let Some(line) = line {
        host.tell(Told::Line(line));
    }
    let mut ran = Ran::Answered { failed: false };
    let run = Run { program, keys, args: arguments, protocol, reply_bytes_max: reply.bytes_max() };
    let of = if started.is_function() { Use::Functions } else { Use::Scripts };
    let mut result = Ok(());
    reply.written_by(|out| {
        let start = out.len();
        let done = own.with_runtime(of, |runtime| {
            if of == Use::Functions {
                runtime.follow(&shared.scripts.libraries);
            }
            runtime.run(&run, &mut host, out)
        });
        match done {
            Ok(done) => ran = done,
            Err(reason) => result = Err(unavailable(&reason)),
        }
        let is_error = out.get(start) == Some(&b'-');
        scripting::note_counted_error(is_error && matches!(ran, Ran::Answered { failed: false }));
        is_error
    });
    if let Some(command) = host.first_command() {
        program.expect_first(command);
    }
    let (confined, quick) = host.end();
    started.known.note(confined, quick);
    match ran {
        Ran::Answered { .. } => result,
        Ran::TooLong => {
            reply.drop_at(reply.bytes_max().saturating_add(1));
            Ok(())
        }
        Ran::Stopped => {
            scripting::hand_on();
            Err(HANDED_ON)
        }
    }
}

/// The script that a command line names, which is new if its text is. It is taken from what this thread has, which is to get it back.
#[inline]
fn find(shared: &Shared, own: &Own, context: &mut Context<'_>, by: By, hash: u64) -> Result<Arc<Script>, CommandError> {
    let name = context.args[1];
    match memory::apart(|| own.with_recent(|recent| recent.take(&shared.scripts.cache, name, by, hash))) {
        Some(script) => Ok(script),
        None => find_among_all(&shared.scripts, context, by),
    }
}

#[inline(never)]
fn find_among_all(scripts: &Scripts, context: &mut Context<'_>, by: By) -> Result<Arc<Script>, CommandError> {
    let name = context.args[1];
    apart(|| match by {
        By::Digest => scripts.cache.find(name).ok_or(NO_SCRIPT),
        By::Text => new_or_known(scripts, name),
    })
}

fn new_or_known(scripts: &Scripts, text: &[u8]) -> Result<Arc<Script>, CommandError> {
    let script = scripts.cache.of_text(text).map_err(|text| error_of(&text))?;
    enter(scripts, &script, false)?;
    Ok(script)
}

/// What must hold for a script, above all for one that says what it does.
fn may_begin(shared: &Shared, context: &mut Context<'_>, flags: Flags, read_only: bool) -> Outcome {
    let is_compatible = flags.has(Flag::Compatible);
    if shared.world.pause.is(Condition::Stale) && (is_compatible || !flags.has(Flag::AllowStale)) {
        return Err(PRIMARY_DOWN);
    }
    if is_compatible {
        return Ok(());
    }
    let needs_room = !flags.has(Flag::AllowOom) && !flags.has(Flag::NoWrites);
    if needs_room && lacks_room(context) {
        return Err(OUT_OF_MEMORY);
    }
    if flags.has(Flag::NoCluster) && shared.cluster {
        return Err(ON_CLUSTER);
    }
    if read_only && !flags.has(Flag::NoWrites) {
        return Err(WRITES);
    }
    Ok(())
}

/// Whether a script that is about to use memory must not, for there is no room and none could be made.
fn lacks_room(context: &mut Context<'_>) -> bool {
    let world = context.world;
    match context.origin {
        // As when the transaction began, unless it has lifted the limit.
        Origin::ExecWithoutRoom => world.settings.memory_limit().bytes != 0,
        origin => origin.makes_room() && !evict::has_room(context.shards(), world),
    }
}
