//! A script's commands, executed in the shards that it holds.
//!
//! Commands that need a shard which the script does not hold take it ([`reach`]); it is held until the script ends, so that others
//! see all of it or nothing.

mod again;
mod reach;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::memory;
use sherd_scripts::host::{Called, Host, Interruption};
use sherd_scripts::shebang::{Flag, Flags};
use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::{self, Command};
use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::executor::execute::{self, Call, Counts, Done};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::{Client, Context};
use sherd_shards::handler::error::{CommandError, OUT_OF_MEMORY};
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::journal::recorder::{Only, FILES, LINKS};
use sherd_shards::keyspace::events::Events;
use sherd_shards::rights::{Denied, User};
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::pause::Condition;
use sherd_shards::slot::slot_of;

pub use again::{add_to_log, Told};
use reach::{Taken, SHARDS_BUSY};

use super::{lacks_room, Started};
use crate::connection::subscriptions::Kind;
use crate::connection::token::Token;
use crate::observe::monitor::nested_line;
use crate::protocol::request::owned;
use crate::request::rights::{note_denial, reason};
use crate::shared::access::log::Setting;
use crate::shared::message::ControlRequest;
use crate::shared::scripts::{busy_error, LongScript};
use crate::shared::Shared;
use crate::thread::handlers::Handlers;

const UNKNOWN: CommandError = CommandError::new("ERR Unknown Redis command called from script");
const WRONG_COUNT: CommandError = CommandError::new("ERR Wrong number of args calling Redis command from script");
const NOT_ALLOWED: CommandError = CommandError::new("ERR This Redis command is not allowed from script");
const STALE_DATA: CommandError = CommandError::new("ERR Can not execute the command on a stale replica");
const READ_ONLY: CommandError = CommandError::new("ERR Write commands are not allowed from read-only scripts.");
const ELSEWHERE: CommandError = CommandError::new("ERR This command concerns a connection, which a script has not");
const NO_ANSWER: CommandError =
    CommandError::new("ERR The control plane has not answered in time. Scripts cannot wait for it any longer");
/// What a script is answered that wants to write after it was killed.
const KILLED: CommandError = CommandError::new("ERR Script killed by user with SCRIPT KILL.");
/// Commands after which a script counts as one that takes long.
const COMMANDS_QUICK_MAX: u64 = 10_000;

/// See the [module](self).
pub struct ScriptHost<'h, 'c> {
    shared: &'h Arc<Shared>,
    context: &'h mut Context<'c>,
    handlers: Handlers,
    /// What runs is a function, not a script.
    is_function: bool,
    flags: Flags,
    read_only: bool,
    /// Who calls the script, if there is anything that it may not do.
    user: Option<Arc<User>>,
    /// The database that its commands use.
    db: u16,
    /// The shards of the keys that it names, and those that it holds.
    named: u64,
    held: u64,
    /// Shards that it has taken on its way.
    taken: Taken,
    /// The slot of all keys, in a cluster.
    slot: Option<u16>,
    /// Whether it has touched other shards than those of its keys.
    has_left: bool,
    has_written: bool,
    /// The command that was called last, or first in the run before: the next one is mostly the same. It never is one that goes by
    /// another name than its own.
    last: Option<&'static Command>,
    /// The command that was called first, if it is another one than was expected.
    first_command: Option<&'static Command>,
    is_monitored: bool,
    /// Who gets what it writes, of files and links.
    targets: u8,
    /// What monitors and the log are to be told once it is certain that it is not executed again.
    told: Vec<Told>,
    /// The number of the first event that it can have raised.
    first_event: u64,
    commands: u64,
    /// When it has called its first command, or else was first found to take long; 0 before that. The clock is not read for it alone.
    begun: u64,
    /// It is to be executed again: by a thread that has no connections, or with all shards.
    is_handed_on: bool,
    /// Others have been told of it, although it might have begun again.
    has_told: bool,
    /// It has taken long, which was found out before it was entered.
    is_long: bool,
    /// Where it is entered, once it has taken long.
    long: Option<Arc<LongScript>>,
}

impl<'h, 'c> ScriptHost<'h, 'c> {
    /// For a script that begins.
    pub fn new(
        shared: &'h Arc<Shared>,
        context: &'h mut Context<'c>,
        started: &Started<'_>,
        keys: &[&[u8]],
    ) -> ScriptHost<'h, 'c> {
        let map = shared.world.slots;
        let (named, held, slot) = if map.shards() == 1 && !shared.cluster {
            (1, 1, None)
        } else {
            let named = keys.iter().fold(0, |named, key| named | 1u64 << map.shard_of(slot_of(key)));
            (named, context.shards().held(), keys.first().filter(|_| shared.cluster).map(|key| slot_of(key)))
        };
        ScriptHost {
            handlers: started.handlers,
            is_function: started.is_function(),
            flags: started.flags,
            read_only: started.read_only || started.flags.has(Flag::NoWrites),
            user: context.client.record.and_then(ClientRecord::restricted_user),
            db: context.client.db,
            named,
            held,
            taken: Taken::default(),
            slot,
            has_left: false,
            has_written: false,
            last: started.program.first_command(),
            first_command: None,
            targets: FILES | LINKS,
            is_monitored: shared.monitors.load(Relaxed) > 0,
            told: Vec::new(),
            first_event: Events::next_number(),
            commands: 0,
            begun: 0,
            is_handed_on: false,
            has_told: false,
            is_long: false,
            long: None,
            shared,
            context,
        }
    }

    /// The script has ended. Returns whether it has kept to its keys' shards, and whether it was quick.
    pub fn end(&mut self) -> (bool, bool) {
        if !self.is_handed_on {
            self.tell_all();
        }
        if let Some(long) = &self.long {
            let others_are_busy = self.shared.scripts.running.leave(long);
            self.shared.world.pause.set_busy(others_are_busy);
        }
        let is_quick = self.long.is_none() && !self.is_long && self.commands <= COMMANDS_QUICK_MAX;
        (!self.has_left, is_quick)
    }

    /// The command that it has called first, if that was not the one that was expected.
    pub fn first_command(&self) -> Option<&'static Command> {
        self.first_command
    }

    /// The command that a call names, or what is wrong with it.
    fn command(&mut self, args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let name = args[0];
        let command = match self.last {
            Some(last) if last.packed != 0 && last.packed == registry::packed_name(name) => last,
            _ => {
                let found = self.find(name, args)?;
                // Who calls it by its new name does not get at it by the old one.
                let is_renamed = self.shared.renames.get().is_some_and(|renames| renames.concern(name));
                self.last = (!is_renamed).then_some(found);
                if self.commands == 1 {
                    self.first_command = self.last;
                }
                found
            }
        };
        let spec = &command.spec;
        if matches!(spec.plane, Plane::Container) {
            return Err(if args.len() > 1 { UNKNOWN } else { WRONG_COUNT });
        }
        if !spec.accepts(args.len()) {
            return Err(WRONG_COUNT);
        }
        if spec.has(flag::NOSCRIPT) {
            return Err(NOT_ALLOWED);
        }
        if self.shared.world.pause.is(Condition::Stale) && !spec.has(flag::STALE) {
            return Err(STALE_DATA);
        }
        if let Some(user) = &self.user {
            user.check(command, args, self.db).map_err(|denied| self.refusal(user, denied, command, args))?;
        }
        if self.read_only && spec.has(flag::WRITE | flag::MAY_REPLICATE) {
            return Err(READ_ONLY);
        }
        Ok(command)
    }

    /// What a script is told that its caller may not do something.
    #[cold]
    fn refusal(&self, user: &User, denied: Denied, command: &Command, args: &[&[u8]]) -> CommandError {
        if let Some(record) = self.context.client.record {
            note_denial(self.shared, record, user, (denied, Setting::Script), command, args);
        }
        CommandError::with(format!("ERR ACL failure in script: {}", reason(user, denied, command)))
    }

    fn find(&self, name: &[u8], args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let found = match self.shared.renames.get() {
            Some(renames) => renames.find(name),
            None => registry::table().find(name),
        };
        let found = found.ok_or(UNKNOWN)?;
        Ok(match args.get(1) {
            Some(name) if !found.subcommands.is_empty() => {
                registry::table().find_subcommand(found, name).unwrap_or(found)
            }
            _ => found,
        })
    }

    fn run(&mut self, args: &[&[u8]], protocol: Protocol, out: &mut Vec<u8>) -> Result<(), CommandError> {
        let command = match self.command(args) {
            Ok(command) => command,
            Err(error) => return Err(self.rejected(args, error)),
        };
        if let Plane::Connection(number) = command.spec.plane {
            let result = self.run_for_connection(command, number, args, &mut Reply::new(out, protocol));
            // Behind it, for SELECT is shown in its new database.
            self.show(command, args);
            return result;
        }
        if let Plane::Data(_) = command.spec.plane {
            return self.run_data(command, args, protocol, out).map_err(|error| self.rejected(args, error));
        }
        self.show(command, args);
        match command.spec.plane {
            Plane::Control if command.spec.name == "time" => {
                self.tell_time(&mut Reply::new(out, protocol));
                self.count(command);
                Ok(())
            }
            Plane::Control => self.ask_control_plane(command, args, protocol, out),
            _ => Err(ELSEWHERE),
        }
    }

    /// Shows a command to the monitors, if there are any.
    fn show(&mut self, command: &Command, args: &[&[u8]]) {
        if self.is_monitored {
            if let Some(line) = nested_line(self.db, "lua", command, args) {
                self.tell(Told::Line(line));
            }
        }
    }

    /// Counts a call that was not executed, unless the script begins again.
    #[cold]
    fn rejected(&mut self, args: &[&[u8]], error: CommandError) -> CommandError {
        let begins_again = error == SHARDS_BUSY && self.may_begin_again();
        let named = self.find(args[0], args).ok().filter(|found| !matches!(found.spec.plane, Plane::Container));
        if let Some(command) = named.filter(|_| !begins_again) {
            self.context.shards().first().cells.cell(command.id).rejected.increment();
        }
        error
    }

    fn run_data(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let map = self.shared.world.slots;
        let mut first_key = (0, 0);
        if map.uses_slots() {
            first_key = self.reach(command, args)?;
        }
        let spec = &command.spec;
        let pause = &self.shared.world.pause;
        // A script that has begun to write comes to its end.
        if spec.has(flag::WRITE) && !self.has_written && pause.may_be_on() {
            if let Some(error) = pause.late_refusal() {
                return Err(error.clone());
            }
        }
        if spec.has(flag::DENYOOM) && !self.has_written && !self.flags.has(Flag::AllowOom) && lacks_room(self.context) {
            return Err(OUT_OF_MEMORY);
        }
        if spec.has(flag::WRITE) && !self.has_written {
            if self.long.as_ref().is_some_and(|long| !long.may_write()) {
                // The next look at it ends it.
                return Err(KILLED);
            }
            self.has_written = true;
        }
        self.show(command, args);
        // What it answers is the script's, however long.
        let client = Client { db: self.db, protocol, reply_bytes_max: usize::MAX, ..self.context.client };
        let call = Call { command, args, first_key, client, now_ms: self.context.now_ms, origin: Origin::Script };
        let tick = self.tick();
        let _only = (self.targets != FILES | LINKS).then(|| Only::begin(self.targets));
        let shared = self.shared;
        let world = &shared.world;
        let failed = match first_key.0 {
            // The usual case without a list of all shards.
            hash if hash != 0 && self.taken.0.is_empty() => {
                let one = Shards::one(map, self.context.shards().of_slot(first_key.1));
                execute::call(one, world, &call, out)
            }
            _ => execute::call(self.shards(), world, &call, out),
        };
        let ticks = clock::ticks().wrapping_sub(tick);
        let first = self.context.shards().first();
        first.stats.commands.increment();
        let counts = Counts { cells: &first.cells, stats: &first.stats, rate: TickRate::get() };
        let client = call.client.record;
        execute::account_nested(&counts, world, &Done { command, args, client, ticks, failed, reply: out });
        Ok(())
    }

    /// Reads the clock.
    #[inline(always)]
    fn tick(&mut self) -> u64 {
        let tick = clock::ticks();
        if self.begun == 0 {
            self.begun = tick;
        }
        tick
    }

    /// The shards that the script holds.
    fn shards(&mut self) -> Shards<'_> {
        if self.taken.0.is_empty() {
            return self.context.shards().reborrow();
        }
        let mut all = self.context.shards().reborrow();
        self.taken.0.iter_mut().for_each(|hold| all.join(&mut hold.shards()));
        all
    }

    /// Commands of the connection that make sense in a script.
    fn run_for_connection(
        &mut self,
        command: &'static Command,
        number: u16,
        args: &[&[u8]],
        reply: &mut Reply<'_>,
    ) -> Result<(), CommandError> {
        if let Some(answer) = self.handlers[usize::from(number)].in_script {
            self.count(command);
            return answer(self.shared, args, reply);
        }
        match (command.spec.name, args) {
            ("ping", [_]) => reply.simple("PONG"),
            ("ping" | "echo", [_, message]) => reply.bulk(message),
            ("ping", _) => return Err(CommandError::arity(command.spec.name)),
            ("select", [_, database]) => {
                self.db = self.context.parse_db(database)?;
                reply.ok();
            }
            ("publish" | "spublish", [_, channel, message]) => {
                let is_sharded = command.spec.name == "spublish";
                let kind = if is_sharded { Kind::ShardChannel } else { Kind::Channel };
                // It is told with the events of the script's commands, in its place among them.
                self.context.shards().first().outbox.events.publish(channel, message, is_sharded);
                reply.int(self.shared.pubsub.receivers(kind, channel) as i64);
            }
            ("readonly" | "readwrite", _) => reply.ok(),
            _ => return Err(ELSEWHERE),
        }
        self.count(command);
        Ok(())
    }

    /// Has a command answered by the control plane.
    fn ask_control_plane(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let record = self.context.client.record.and_then(|record| record.own.upgrade()).ok_or(NO_ANSWER)?;
        let request = ControlRequest {
            token: Token::from_bits(record.token),
            // The control plane's, as the answer is.
            args: memory::apart(|| owned(args)),
            command,
            tick: self.tick(),
            lent: None,
            wait: 0,
            record,
            db: self.db,
            protocol,
            tracks: self.context.client.tracks,
            in_multi: false,
            transaction: None,
            script: None,
        };
        let reply = memory::apart(|| self.shared.script_calls.ask(request)).ok_or(NO_ANSWER)?;
        if reply.first() == Some(&b'-') {
            self.shared.world.logs.count_error(&reply);
            self.context.shards().first().stats.error_replies.increment();
        }
        out.extend_from_slice(&reply);
        memory::apart(|| drop(reply));
        self.count(command);
        Ok(())
    }

    /// TIME, which stands still while a script runs.
    fn tell_time(&self, reply: &mut Reply<'_>) {
        let now_ms = self.context.now_ms;
        reply.array(2);
        reply.bulk_int(now_ms.div_euclid(1000));
        reply.bulk_int(now_ms.rem_euclid(1000) * 1000);
    }

    /// Counts a command that took no time.
    fn count(&mut self, command: &Command) {
        let first = self.context.shards().first();
        first.stats.commands.increment();
        first.cells.cell(command.id).record(0, false);
    }

    /// Whether it must be answered that others cannot get its shards for now.
    fn is_busy(&self) -> bool {
        self.long.as_ref().is_some_and(|long| long.busy_shards.load(Relaxed) != 0)
    }

    fn milliseconds(&self) -> u64 {
        TickRate::get().nanoseconds(clock::ticks().wrapping_sub(self.begun)) / 1_000_000
    }
}

impl Host for ScriptHost<'_, '_> {
    fn call(&mut self, args: &[&[u8]], protocol: Protocol, out: &mut Vec<u8>) -> Called {
        self.commands += 1;
        if let Err(error) = self.run(args, protocol, out) {
            if error == SHARDS_BUSY && self.may_begin_again() {
                // Nothing was done: it may just as well begin again, with all shards from the start.
                self.begin_again();
                return Called::Stop;
            }
            self.shared.world.logs.count_error(error.0.as_bytes());
            self.context.shards().first().stats.error_replies.increment();
            Reply::new(out, protocol).error(&error);
        }
        Called::Replied
    }

    fn logs(&self, _: u8) -> bool {
        true
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.tell(Told::Log(level, text.to_vec()));
    }

    fn may_call(&mut self, args: &[&[u8]]) -> Option<bool> {
        let command = self.find(args[0], args).ok()?;
        if matches!(command.spec.plane, Plane::Container) && args.len() > 1 {
            // It has no such subcommand.
            return None;
        }
        Some(self.user.as_ref().is_none_or(|user| user.check(command, args, self.db).is_ok()))
    }

    fn set_replication(&mut self, targets: u8) {
        self.targets = targets;
    }

    fn interruption(&mut self) -> Interruption {
        // What has written must go on here; all else may as well begin again where nobody waits for it.
        if self.may_be_handed_on() {
            self.is_long = true;
            self.begin_again();
            return Interruption::Stop;
        }
        self.tick();
        let long = self.long.get_or_insert_with(|| {
            let command = || self.context.args.iter().map(|arg| arg.to_vec()).collect();
            self.shared.scripts.running.enter(self.is_function.then(command), self.begun, self.has_written)
        });
        // At the end of the server too what has written is not cut in two while anybody could see it, or a file keep it.
        let is_cut = match self.has_written {
            true => self.shared.scripts.running.are_abandoned(),
            false => self.shared.stopping.load(Relaxed),
        };
        if long.is_killed() || is_cut {
            return Interruption::Kill;
        }
        let threshold = self.shared.world.settings.busy_reply_threshold.size() as u64;
        if long.busy_shards.load(Relaxed) == 0 && threshold > 0 {
            let (held, long) = (self.held, Arc::clone(long));
            if self.milliseconds() >= threshold {
                long.busy_shards.store(held, Relaxed);
                self.shared.world.pause.set_busy(true);
                self.shared.wake_all();
            }
        }
        if self.is_busy() {
            self.shared.engine.refuse_waiting(self.held, busy_error(self.is_function));
        }
        Interruption::None
    }
}
