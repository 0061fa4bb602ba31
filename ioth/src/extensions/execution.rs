//! One execution of an extension's command: the data commands that it calls are executed here, in the shards that its thread
//! holds, within what it has declared: the keys that it names, and whether it writes.
//!
//! A key that it has not named could be in another shard, which is not held. That it happens to be in one that is depends on how
//! many there are, so it is refused in any case: what works with one shard works with many.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::memory;
use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::{self, Command, Route};
use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::executor::execute::{self, Call, Counts, Done, INTERNAL_ERROR};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::error::{CommandError, OUT_OF_MEMORY};
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::maintenance::evict;
use sherd_shards::rights::Denied;
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::tracking::Tracks;
use sherd_shards::slot::slot_of;
use sherd_types::invariant::contain;
use sherd_types::table;

use crate::connection::subscriptions::Kind;
use crate::observe::monitor::nested_line;
use crate::request::monitor::show_line;
use crate::request::paused::MAY_WRITE;
use crate::request::rights::{note, reason as reason_of};
use crate::shared::access::log::{Event, Reason, Setting};
use crate::shared::Shared;

/// Bytes of a key or a name that an error shows.
const SHOWN_BYTES_MAX: usize = 64;

/// The keys that a command may use.
pub enum Reach {
    /// All of them; it holds all shards.
    All,
    Keys(Vec<Vec<u8>>),
}

impl Reach {
    /// The shards to be held, as a bit set.
    pub fn shards(&self, shared: &Shared) -> u64 {
        let map = &shared.world.slots;
        match self {
            Reach::All => map.all_shards(),
            // Some shard, for what it publishes and counts.
            Reach::Keys(keys) => keys.iter().fold(0, |wanted, key| wanted | 1u64 << map.shard_of(map.slot(key))).max(1),
        }
    }

    /// Whether a client may use the keys that only its command could tell: what it names was looked at before.
    pub fn is_allowed(
        &self,
        shared: &Shared,
        record: &ClientRecord,
        (command, args): (&'static Command, &[&[u8]]),
        (db, setting): (u16, Setting),
    ) -> Result<(), CommandError> {
        let (Some(user), Reach::Keys(keys)) = (record.restricted_user(), self) else { return Ok(()) };
        user.check_found(command, args, db, keys).map_err(|at| {
            let object = keys.get(at).cloned().unwrap_or_default();
            let (reason, username) = (Reason::Key, user.name.clone());
            note(shared, record, Event { reason, setting, object, username });
            CommandError::with(format!("NOPERM {}", reason_of(&user, Denied::Key(at), command)))
        })
    }

    /// In cluster mode, whether the keys are in one slot.
    pub fn is_in_one_slot(&self) -> bool {
        match self {
            Reach::All => true,
            Reach::Keys(keys) => keys.windows(2).all(|pair| slot_of(&pair[0]) == slot_of(&pair[1])),
        }
    }
}

/// Who calls.
#[derive(Clone, Default)]
pub struct CalledBy {
    pub db: u16,
    /// `None` for jobs and hooks.
    pub record: Option<Arc<ClientRecord>>,
    /// What its commands have to do for the client's tracking, as those of a script.
    pub tracks: Tracks,
}

/// See the [module](self).
pub struct Execution {
    shared: Arc<Shared>,
    name: Arc<str>,
    /// As its specification has them.
    flags: u32,
    reach: Reach,
    by: CalledBy,
    now_ms: i64,
    has_written: bool,
    /// The command that was called last: the next one is often the same.
    last: Option<&'static Command>,
    is_monitored: bool,
    /// What its commands have allocated, all of which is the shards'.
    allocated: i64,
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]).into_owned()
}

impl Execution {
    /// Begins one, at a time that all its commands see.
    pub fn new(
        shared: &Arc<Shared>,
        name: &Arc<str>,
        flags: u32,
        reach: Reach,
        by: CalledBy,
        now_ms: i64,
    ) -> Execution {
        Execution {
            shared: Arc::clone(shared),
            name: Arc::clone(name),
            flags,
            reach,
            by,
            now_ms,
            has_written: false,
            last: None,
            is_monitored: shared.monitors.load(Relaxed) > 0,
            allocated: 0,
        }
    }

    /// Whether a client's command may still be executed, now that it has its shards: writes may be refused by now; and whether
    /// there is room for what one that needs memory is going to write, or some could be made.
    pub fn may_begin(&self, shards: &mut Shards<'_>) -> Result<(), CommandError> {
        let pause = &self.shared.world.pause;
        if self.flags & flag::WRITE != 0 && self.by.record.is_some() && pause.may_be_on() {
            if let Some(error) = pause.late_refusal() {
                return Err(error.clone());
            }
        }
        if self.flags & flag::DENYOOM != 0 && !evict::has_room(shards, &self.shared.world) {
            return Err(OUT_OF_MEMORY);
        }
        Ok(())
    }

    /// Whether a job or a hook, which no gate holds back, is to wait now that it has its shards: whoever has writes paused wants the data to
    /// stay as they are, and what is written while a replica takes over nobody would have.
    pub fn is_put_off(&self) -> bool {
        let world = &self.shared.world;
        self.by.record.is_none()
            && self.flags & MAY_WRITE != 0
            && world.pause.may_be_on()
            && world.pause.holds_writers(world.monotonic_milliseconds())
    }

    /// What its commands have allocated.
    pub fn allocated(&self) -> i64 {
        self.allocated
    }

    fn error(&self, text: &str) -> CommandError {
        CommandError::with(format!("ERR {}: {text}", self.name))
    }

    /// Executes a data command in the shards that are held, and appends its reply. An error that is returned was not written.
    pub fn call(&mut self, shards: &mut Shards<'_>, args: &[&[u8]], out: &mut Vec<u8>) -> Result<(), CommandError> {
        let command = self.command(args)?;
        if self.is_monitored {
            if let Some(line) = nested_line(self.by.db, "python", command, args) {
                show_line(&self.shared, &line);
            }
        }
        match command.spec.plane {
            Plane::Data(_) => self.run(shards, command, args, out),
            Plane::Connection(_) => self.publish(shards, command, args, out),
            _ => Err(self.error(&format!("'{}' is no data command", command.spec.name))),
        }
    }

    /// The command that is called, or what is wrong with it.
    fn command(&mut self, args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let name = args[0];
        let command = match self.last {
            Some(last) if last.packed != 0 && last.packed == registry::packed_name(name) => last,
            _ => self.find(name, args)?,
        };
        self.last = Some(command);
        let spec = &command.spec;
        if matches!(spec.plane, Plane::Container) || !spec.accepts(args.len()) {
            return Err(CommandError::arity(spec.name));
        }
        if spec.has(flag::NOSCRIPT) {
            return Err(self.error(&format!("'{}' is not allowed in a Python command", spec.name)));
        }
        if spec.has(flag::WRITE | flag::MAY_REPLICATE) && self.flags & flag::WRITE == 0 {
            return Err(
                self.error(&format!("'{}' writes, and the command is not declared with the flag write", spec.name))
            );
        }
        Ok(command)
    }

    fn find(&self, name: &[u8], args: &[&[u8]]) -> Result<&'static Command, CommandError> {
        let found = registry::table().find(name);
        let found = found.ok_or_else(|| self.no_such_command(name))?;
        Ok(match args.get(1) {
            Some(name) if !found.subcommands.is_empty() => {
                registry::table().find_subcommand(found, name).unwrap_or(found)
            }
            _ => found,
        })
    }

    fn no_such_command(&self, name: &[u8]) -> CommandError {
        let shown = shown(name);
        if self.shared.extensions.find(name).is_some() {
            return self.error(&format!("'{shown}' is a command in Python too: its function can be called"));
        }
        // Some clients split a text into words; here that would be a guess.
        let hint = if name.contains(&b' ') { ": its name and its arguments are given one by one" } else { "" };
        self.error(&format!("there is no command '{shown}'{hint}"))
    }

    /// Sees to it that a command keeps to the keys. Returns the first key's hash and slot where that is the only one.
    fn check_reach(&self, command: &'static Command, args: &[&[u8]]) -> Result<(u64, u16), CommandError> {
        let map = &self.shared.world.slots;
        let first_key = match command.route {
            Route::FirstKey => (table::hash(args[1]), map.slot(args[1])),
            _ => (0, 0),
        };
        let Reach::Keys(keys) = &self.reach else { return Ok(first_key) };
        let check = |key: &[u8]| {
            if keys.iter().any(|named| named == key) {
                return Ok(());
            }
            Err(self.error(&format!("the key '{}' is none that the command names", shown(key))))
        };
        match command.route {
            Route::FirstKey => check(args[1])?,
            Route::Keys if !command.needs_all(args, map) => {
                let positions = command.spec.key_positions(args).unwrap_or_default();
                positions.into_iter().try_for_each(|at| check(args[at]))?;
            }
            Route::Nowhere => {}
            _ => {
                let text = format!("'{}' needs all keys, which a command names with keys=\"all\"", command.spec.name);
                return Err(self.error(&text));
            }
        }
        Ok(first_key)
    }

    fn run(
        &mut self,
        shards: &mut Shards<'_>,
        command: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let first_key = self.check_reach(command, args)?;
        let (spec, shared) = (&command.spec, &self.shared);
        let world = &shared.world;
        // What a client has sent was looked at before; jobs and hooks write nothing that no client could. What has begun to write comes
        // to its end.
        if self.by.record.is_none() && spec.has(flag::WRITE) && !self.has_written && world.pause.may_be_on() {
            if let Some(error) = world.pause.late_refusal() {
                return Err(error.clone());
            }
        }
        // One that has begun to write comes to its end.
        if spec.has(flag::DENYOOM) && !self.has_written && !evict::has_room(shards, world) {
            return Err(OUT_OF_MEMORY);
        }
        self.has_written |= spec.has(flag::WRITE);
        let client = Client {
            db: self.by.db,
            protocol: Protocol::Resp3,
            no_touch: self.by.record.as_ref().is_some_and(|record| record.no_touch.load(Relaxed)),
            tracks: self.by.tracks,
            record: self.by.record.as_deref(),
            // What it answers goes to the command that has called it.
            reply_bytes_max: usize::MAX,
        };
        let call = Call { command, args, first_key, client, now_ms: self.now_ms, origin: Origin::Script };
        let (tick, bytes, capacity) = (clock::ticks(), memory::data_bytes(), out.capacity());
        let start = out.len();
        let result = contain(|| match first_key.0 {
            // The usual case without a list of all shards.
            hash if hash != 0 => {
                let one = Shards::one(world.slots, shards.of_slot(first_key.1));
                execute::call(one, world, &call, out)
            }
            _ => execute::call(shards.reborrow(), world, &call, out),
        });
        let Ok(failed) = result else {
            out.truncate(start);
            shards.first().stats.panics.increment();
            return Err(INTERNAL_ERROR);
        };
        let ticks = clock::ticks().wrapping_sub(tick);
        // The reply's buffer is not the shards'.
        self.allocated += memory::data_bytes() - bytes - (out.capacity() as i64 - capacity as i64);
        let first = shards.first();
        first.stats.commands.increment();
        let counts = Counts { cells: &first.cells, stats: &first.stats, rate: TickRate::get() };
        execute::account_nested(&counts, world, &Done { command, args, client: None, ticks, failed, reply: out });
        Ok(())
    }

    /// Messages are told with the events of the commands, in their place among them.
    fn publish(
        &mut self,
        shards: &mut Shards<'_>,
        command: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let is_sharded = match command.spec.name {
            "publish" => false,
            "spublish" => true,
            name => return Err(self.error(&format!("'{name}' concerns a connection, and there is none"))),
        };
        let kind = if is_sharded { Kind::ShardChannel } else { Kind::Channel };
        let first = shards.first();
        first.outbox.events.publish(args[1], args[2], is_sharded);
        first.stats.commands.increment();
        first.cells.cell(command.id).record(0, false);
        Reply::new(out, Protocol::Resp3).int(self.shared.pubsub.receivers(kind, args[1]) as i64);
        Ok(())
    }
}
