//! From requests to commands: looking up, gating, routing.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::args;
use sherd_shards::error::{CommandError, CROSS_SLOT, OUT_OF_MEMORY};
use sherd_shards::evict;
use sherd_shards::registry::{self, Command, Route};
use sherd_shards::slot::{slot_of, SLOTS};
use sherd_shards::spec::{flag, Group, Plane};
use sherd_shards::table;

use crate::commands;
use crate::connection::{Connection, Multi, QueuedCommand, ReplyMode};
use crate::observe::hot_keys::SAMPLE;
use crate::observe::log::Level;
use crate::request::gate::unknown_command;
use crate::thread::IoThread;

/// A request: its arguments are in the read buffer or, if it is an inline one, kept by the connection.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The arguments; the first one is the command's name.
    pub args: &'a [&'a [u8]],
    /// Bytes that the request takes in the buffer.
    pub length: usize,
}

impl<'a> Request<'a> {
    /// One argument, if there is one; 0 is the command's name.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.args.get(index).copied()
    }

    /// Copies of all arguments.
    pub fn owned_args(&self) -> Vec<Vec<u8>> {
        self.args.iter().map(|arg| arg.to_vec()).collect()
    }
}

/// What became of a request.
#[derive(PartialEq, Eq, Debug)]
pub enum Dispatch {
    /// It was taken: executed, refused, queued or sent to a shard.
    Done,
    /// It has to wait until what the connection has out is done; it is parsed again then.
    Later,
    /// It was taken, and what follows waits until it is answered.
    Wait,
}

impl IoThread {
    /// Takes one request.
    #[inline]
    pub fn take_command(&mut self, connection: &mut Connection, request: &Request<'_>) -> Dispatch {
        let name = request.get(0).unwrap_or_default();
        let command = match connection.last_command {
            Some(last) if last.packed != 0 && last.packed == registry::packed_name(name) => Some(last),
            _ => self.find_command(connection, request),
        };
        let Some(command) = command else {
            if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
                // A browser was made to talk to this port by somebody else's page; what follows may be commands.
                let fields = vec![("address", connection.record.address.clone())];
                self.shared.log.add(Level::Warning, "a client that speaks HTTP was cut: a possible attack", fields);
                connection.closing = true;
                return Dispatch::Wait;
            }
            return self.refuse_bytes(connection, None, &unknown_command(request));
        };
        if let Err(error) = self.gate(connection, command, request) {
            // A container with a subcommand that does not exist is no command that could be counted.
            let known = !matches!(command.spec.plane, Plane::Container) || request.args.len() == 1;
            return self.refuse(connection, known.then_some(command), &error);
        }
        if self.shared.world.pause.may_be_on() {
            if let Some(dispatch) = self.restrain(connection, command) {
                return dispatch;
            }
        }
        if connection.multi.is_some() && !commands::runs_inside_multi(command) {
            return self.queue(connection, command, request);
        }
        self.route(connection, command, request)
    }

    /// Counts an error reply.
    pub fn count_error(&self, error: &CommandError) {
        self.stats().error_replies.increment();
        self.shared.world.logs.count_error(error.0.as_bytes());
    }

    fn queue(&mut self, connection: &mut Connection, command: &'static Command, request: &Request<'_>) -> Dispatch {
        let args = request.owned_args();
        if self.shared.cluster {
            if let Err(error) = check_one_slot(command, request.args) {
                return self.refuse(connection, Some(command), &error);
            }
        }
        if command.spec.has(flag::DENYOOM) && evict::is_hopeless(&self.shared.world) {
            return self.refuse(connection, Some(command), &OUT_OF_MEMORY);
        }
        let limit = self.shared.world.settings.client_query_buffer_limit.size();
        let multi = connection.multi.get_or_insert_with(Box::<Multi>::default);
        multi.bytes += request.length;
        if multi.bytes > limit {
            connection.closing = true;
            return Dispatch::Done;
        }
        multi.commands.push(QueuedCommand { command, args });
        connection.record.queued.store(multi.commands.len() as i64, Relaxed);
        connection.reply(|reply| reply.simple("QUEUED"));
        advance_reply_mode(connection);
        Dispatch::Done
    }

    /// Sends a command to whoever executes it.
    #[inline]
    fn route(&mut self, connection: &mut Connection, command: &'static Command, request: &Request<'_>) -> Dispatch {
        if self.shared.monitors.load(Relaxed) > 0 {
            return self.route_shown(connection, command, request);
        }
        self.route_at_once(connection, command, request)
    }

    #[inline]
    pub fn route_at_once(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        request: &Request<'_>,
    ) -> Dispatch {
        let record = &connection.record;
        match command.spec.plane {
            Plane::Data(_) => self.route_data(connection, command, request),
            Plane::Connection(number) => {
                if !connection.runs.is_empty() && commands::needs_quiet(number) {
                    return Dispatch::Later;
                }
                record.last_command.store(command.id as u32, Relaxed);
                let args = request.args;
                if self.shared.cluster && !command.spec.keys.is_empty() {
                    if let Err(error) = check_one_slot(command, args) {
                        return self.refuse(connection, Some(command), &error);
                    }
                }
                let dispatch = self.run_connection_command(connection, command, number, args);
                self.begin_pauses();
                // Database, protocol or name may be others now.
                connection.turns_open = 0;
                advance_reply_mode(connection);
                dispatch
            }
            Plane::Control => {
                if !connection.runs.is_empty() {
                    return Dispatch::Later;
                }
                record.last_command.store(command.id as u32, Relaxed);
                self.send_to_control(connection, command, request.owned_args())
            }
            Plane::Container => unreachable!("the gate refuses containers"),
        }
    }

    #[inline]
    fn route_data(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        request: &Request<'_>,
    ) -> Dispatch {
        let map = self.shared.world.slots;
        let (mut hash, mut slot, mut shard) = (0, 0, 0);
        match command.route {
            Route::FirstKey => {
                (hash, slot, shard) = self.place_of(request.get(1).unwrap_or_default());
            }
            Route::Keys if map.uses_slots() => {
                let args = request.args;
                if command.needs_all(args, &map) {
                    return self.run_over_shards(connection, command, args, map.all_shards());
                }
                let keys = command.spec.key_positions(args).unwrap_or_default();
                let mut wanted = 0u64;
                for (number, &position) in keys.iter().enumerate() {
                    let of = slot_of(args[position]);
                    if self.shared.cluster && number > 0 && of != slot {
                        return self.refuse(connection, Some(command), &CROSS_SLOT);
                    }
                    if number == 0 {
                        slot = of;
                        hash = table::hash(args[position]);
                        if position != 1 {
                            hash = 0;
                        }
                    }
                    wanted |= 1 << map.shard_of(of);
                }
                if wanted.count_ones() > 1 {
                    return self.run_over_shards(connection, command, args, wanted);
                }
                shard = if wanted == 0 { 0 } else { wanted.trailing_zeros() as usize };
            }
            Route::Keys => {
                // One shard has them all; the first key, if it is in its usual place, is worth prefetching.
                if matches!(command.spec.keys, [first, ..] if first.begin == sherd_shards::spec::Begin::Index(1)) {
                    hash = request.get(1).map_or(0, table::hash);
                }
            }
            Route::Cursor if map.shards() > 1 => {
                // What is no cursor is refused in any shard.
                let cursor = request.get(1).map_or(Ok(0), args::cursor).unwrap_or(0);
                slot = (cursor % SLOTS as u64) as u16;
                shard = map.shard_of(slot);
            }
            Route::All if map.shards() > 1 => {
                let all = self.shared.engine.all_shards();
                return self.run_over_shards(connection, command, request.args, all);
            }
            Route::Each if map.shards() > 1 => return self.run_in_each_shard(connection, command, request.args),
            Route::Cursor | Route::All | Route::Each | Route::Nowhere => {}
        }
        self.send_to_shard(connection, command, request.args, hash, slot, shard);
        let suppressed = connection.reply_mode != ReplyMode::On;
        if suppressed {
            advance_reply_mode(connection);
        }
        if command.spec.has(flag::BLOCKING) && may_wait(command, request) {
            // What follows waits, for this command may.
            connection.wake_suppressed = suppressed;
            return Dispatch::Wait;
        }
        Dispatch::Done
    }

    /// The hash, slot and shard of a key.
    #[inline]
    pub fn place_of(&self, key: &[u8]) -> (u64, u16, usize) {
        let map = self.shared.world.slots;
        let slot = map.slot(key);
        (table::hash(key), slot, map.shard_of(slot))
    }

    /// Puts a command into the batch of its shard.
    #[inline(always)]
    pub fn send_to_shard(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        args: &[&[u8]],
        hash: u64,
        slot: u16,
        shard: usize,
    ) {
        self.sample = self.sample.wrapping_add(1);
        if self.sample % SAMPLE == 0 && !command.spec.keys.is_empty() {
            self.stats().hot_keys.note(args.get(1).copied().unwrap_or_default());
        }
        let heavy = self.building.len() > 1 && self.is_for_the_thread(connection, command, shard);
        let batch = if heavy { &mut self.heavy[shard] } else { &mut self.building[shard] };
        if connection.turns_open >> shard & 1 == 0 {
            connection.turns_open |= 1 << shard;
            batch.begin_turn(connection.token.index, &connection.record, connection.db, connection.resp3);
        }
        // SAFETY: the bytes are in the connection's read buffer or among its inline words, which are neither moved nor
        // changed nor freed while the connection has commands out (`Connection::is_idle`), and the batch is cleared before
        // they are again.
        let args = unsafe { std::mem::transmute::<&[&[u8]], &[&'static [u8]]>(args) };
        batch.push(command, args, hash, slot, connection.db);
        connection.expect_from(shard);
    }

    /// Whether a command goes to the batch that its shard's own thread executes.
    fn is_for_the_thread(&self, connection: &Connection, command: &Command, shard: usize) -> bool {
        if connection.expects_from(shard) {
            // What a connection brings to one shard in a round stays together: it is executed and answered in order.
            return self.heavy[shard].turns.last().is_some_and(|last| last.connection == connection.token.index);
        }
        !command.spec.has(flag::FAST) && self.shared.engine.is_heavy(shard, command.id)
    }

    /// Sends what waits at a connection.
    pub fn flush(&mut self, connection: &mut Connection) -> Result<(), rustix::io::Errno> {
        if connection.unsent() == 0 {
            return Ok(());
        }
        let sent = connection.flush()?;
        self.note_written(connection, sent);
        Ok(())
    }

    /// Counts what was sent and looks at the hard limit of what was not.
    pub fn note_written(&mut self, connection: &mut Connection, sent: usize) {
        let stats = self.stats();
        stats.writes.increment();
        stats.output_bytes.add(sent as u64);
        self.output_peaks.note(connection.unsent());
        let stats = self.stats();
        let limit = self.shared.world.settings.output_limit_hard_bytes.size();
        if limit > 0 && connection.unsent() > limit {
            stats.output_limit_disconnections.increment();
            let fields =
                vec![("client", connection.record.address.clone()), ("bytes", connection.unsent().to_string())];
            self.shared.log.add(Level::Warning, "a client was cut at its output buffer limit", fields);
            connection.closing = true;
        }
        self.look_at_growth(connection);
    }
}

/// Whether a command that can wait is asked to: XREAD and XREADGROUP only where they say BLOCK.
fn may_wait(command: &Command, request: &Request<'_>) -> bool {
    let says_block = |at: usize| request.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"BLOCK"));
    command.spec.group != Group::Stream || (1..request.args.len()).any(says_block)
}

/// CLIENT REPLY SKIP takes effect on the next command and wears off after it.
pub fn advance_reply_mode(connection: &mut Connection) {
    connection.reply_mode = match connection.reply_mode {
        ReplyMode::SkipNext => ReplyMode::Skip,
        ReplyMode::Skip => ReplyMode::On,
        other => other,
    };
}

/// In cluster mode all keys of a command have one slot.
pub fn check_one_slot(command: &Command, args: &[&[u8]]) -> Result<(), CommandError> {
    same_slot(slots_of(command, args))
}

/// The slots of a command's keys.
pub fn slots_of<'a>(command: &Command, args: &'a [&'a [u8]]) -> impl Iterator<Item = u16> + 'a {
    let keys = command.spec.key_positions(args).unwrap_or_default();
    keys.into_iter().map(|position| slot_of(args[position]))
}

/// Refuses slots that differ.
pub fn same_slot(mut slots: impl Iterator<Item = u16>) -> Result<(), CommandError> {
    match slots.next() {
        Some(first) if slots.any(|slot| slot != first) => Err(CROSS_SLOT),
        _ => Ok(()),
    }
}
