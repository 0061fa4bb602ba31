//! Scripts in the server: who runs them, what they may do, and how they are ended.
//!
//! A script is a data command ([`sherd_shards::handler::scripting`]); this is its handler. It finds the script by its text or digest,
//! and runs it in its thread's own runtime with a [`host::ScriptHost`], through which its commands are executed in the shards
//! that are held. Scripts that take long are in [`crate::shared::scripts`].

pub mod host;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use sherd_metrics::memory;
use sherd_scripts::cache::Script;
use sherd_scripts::pool;
use sherd_scripts::runtime::{Ran, Run};
use sherd_scripts::shebang::Flag;
use sherd_shards::handler::args;
use sherd_shards::handler::context::Context;
use sherd_shards::handler::error::{CommandError, Outcome};
use sherd_shards::handler::reply::Reply;
use sherd_shards::handler::scripting::{self, Evaluation, Knowledge, Scripting, HANDED_ON};
use sherd_shards::maintenance::evict;

use crate::observe::monitor::script_command_line;
use crate::request::monitor::show_line;
use crate::shared::scripts::Scripts;
use crate::shared::Shared;

use host::ScriptHost;

pub const NO_SCRIPT: CommandError = CommandError::new("NOSCRIPT No matching script. Please use EVAL.");
const TOO_MANY_KEYS: CommandError = CommandError::new("ERR Number of keys can't be greater than number of args");
const NEGATIVE_KEYS: CommandError = CommandError::new("ERR Number of keys can't be negative");
const ON_CLUSTER: CommandError = CommandError::new("ERR Can not run script on cluster, 'no-cluster' flag is set.");
const WRITES: CommandError = CommandError::new("ERR Can not execute a script with write flag using *_ro command.");
const NO_ROOM: CommandError =
    CommandError::new("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'");

/// An error whose text was made by scripts, where anything may be in it.
pub fn error_of(text: &[u8]) -> CommandError {
    CommandError::with(String::from_utf8_lossy(text).into_owned())
}

/// Compiles a new script in this thread's runtime and keeps it.
pub fn enter(scripts: &Scripts, script: &Arc<Script>, by_load: bool) -> Result<(), CommandError> {
    let compiled = pool::with_runtime(|runtime| runtime.compile(script)).map_err(|reason| unavailable(&reason))?;
    if let Err(text) = compiled {
        return Err(error_of(&[b"ERR Error compiling script (new function): ", text.as_slice()].concat()));
    }
    scripts.cache.enter(script, by_load);
    Ok(())
}

fn unavailable(reason: &str) -> CommandError {
    CommandError::with(format!("ERR scripts cannot be run: {reason}"))
}

/// The handler of EVAL and its relatives in one server.
pub struct Evaluator(pub Weak<Shared>);

impl Scripting for Evaluator {
    fn evaluate(&self, context: &mut Context<'_>, reply: &mut Reply<'_>, evaluation: Evaluation) -> Outcome {
        let shared = self.0.upgrade().ok_or(CommandError::new("ERR the server is shutting down"))?;
        let args = context.args;
        let count = args::integer(args[2])?;
        if count > args.len() as i64 - 3 {
            return Err(TOO_MANY_KEYS);
        }
        let count = usize::try_from(count).map_err(|_| NEGATIVE_KEYS)?;
        // What is allocated for the script is no shard's.
        let before = memory::thread_bytes();
        let script = find(&shared.scripts, args[1], evaluation.by_digest);
        context.shards().first().stats.memory_bytes.fetch_sub(memory::thread_bytes() - before, Relaxed);
        let script = script?;
        may_begin(&shared, context, &script, evaluation)?;
        if shared.monitors.load(Relaxed) > 0 {
            if let Some(record) = context.client.record {
                show_line(&shared, &script_command_line(record, context.client.db, context.spec, args));
            }
        }
        let known = Knowledge::of(args);
        let (keys, arguments) = args[3..].split_at(count);
        let protocol = context.client.protocol;
        let mut host = ScriptHost::new(&shared, context, &script, evaluation.read_only, keys);
        let mut ran = Ran::Answered { failed: false };
        let run = Run { script: &script, keys, args: arguments, protocol };
        let mut result = Ok(());
        reply.written_by(|out| {
            let start = out.len();
            match pool::with_runtime(|runtime| runtime.run(&run, &mut host, out)) {
                Ok(done) => ran = done,
                Err(reason) => result = Err(unavailable(&reason)),
            }
            out.get(start) == Some(&b'-')
        });
        let handed_on = host.is_handed_on();
        let (confined, quick) = host.end();
        known.note(confined, quick);
        match ran {
            Ran::Answered { .. } => result,
            Ran::Stopped if handed_on => {
                scripting::hand_on();
                Err(HANDED_ON)
            }
            Ran::Stopped => Err(host::SHARDS_BUSY),
        }
    }
}

/// The script that a command line names, which is new if its text is.
fn find(scripts: &Scripts, name: &[u8], by_digest: bool) -> Result<Arc<Script>, CommandError> {
    if by_digest {
        return scripts.cache.find(name).ok_or(NO_SCRIPT);
    }
    if let Some(script) = pool::with_recent(|recent| recent.find(&scripts.cache, name).map(Arc::clone)) {
        return Ok(script);
    }
    let script = scripts.cache.of_text(name).map_err(|text| error_of(&text))?;
    enter(scripts, &script, false)?;
    pool::with_recent(|recent| recent.keep(&script));
    Ok(script)
}

/// What must hold for a script that says what it does.
fn may_begin(shared: &Shared, context: &mut Context<'_>, script: &Script, evaluation: Evaluation) -> Outcome {
    let flags = script.flags;
    if flags.has(Flag::Compatible) {
        return Ok(());
    }
    if flags.has(Flag::NoCluster) && shared.cluster {
        return Err(ON_CLUSTER);
    }
    if evaluation.read_only && !flags.has(Flag::NoWrites) {
        return Err(WRITES);
    }
    let needs_room = !flags.has(Flag::AllowOom) && !flags.has(Flag::NoWrites);
    let world = context.world;
    if needs_room && context.origin.makes_room() && !evict::has_room(context.shards(), world) {
        return Err(NO_ROOM);
    }
    Ok(())
}
