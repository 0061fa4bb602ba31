//! From bytes to commands: reading, parsing, looking up, gating, routing.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::args;
use sherd_shards::error::{CommandError, CROSS_SLOT, OUT_OF_MEMORY};
use sherd_shards::evict;
use sherd_shards::registry::{self, Command, Route};
use sherd_shards::slot::{slot_of, SLOTS};
use sherd_shards::spec::{flag, Group, Plane};
use sherd_shards::table;

use crate::commands;
use crate::connection::{Connection, Multi, QueuedCommand, Read, ReplyMode, Waiting};
use crate::gate::{find_command, unknown_command};
use crate::hot_keys::SAMPLE;
use crate::io_thread::IoThread;
use crate::log::Level;
use crate::parser::{short_request, split_inline, Head, Limits, Parsed, Parser, ProtocolError};
use crate::parser::{SHORT_ARGS_MAX, SHORT_ARG_BYTES_MAX};

/// Commands of one connection in one round; the rest waits for the others to have had their turn.
const ROUND_COMMANDS_MAX: usize = 1024;
/// Bytes of inline requests that are turned into arrays together; more of them wait for the next round.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Inline requests have a limit of their own, the length of a line.
const INLINE_LIMITS: Limits = Limits { bulk_bytes_max: 0, authenticated: true };
/// Reads of one connection in one round.
const ROUND_READS_MAX: usize = 4;

/// A request in the read buffer.
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

/// Why no more requests are taken from a buffer for now.
enum Pause {
    /// It holds no further whole request.
    Hungry,
    /// The connection waits, or has had its share.
    Enough,
    /// An inline request of so many bytes comes next.
    Inline(usize),
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
    /// Reads and takes the requests of a ready connection.
    pub fn process(&mut self, connection: &mut Connection) {
        if connection.record.killed.load(Relaxed) {
            connection.closing = true;
        }
        if connection.unsent() > 0 && self.flush(connection).is_err() {
            connection.closing = true;
        }
        if !connection.is_idle() {
            // A client that has gone while it waits for a key. The control plane's answer comes soon in any case, and who
            // has closed only his side for sending may want it.
            connection.closing |= connection.peer_closed && connection.waiting == Waiting::Blocked;
            return;
        }
        if connection.unsent() >= crate::connection::OUTPUT_PAUSE_BYTES {
            return;
        }
        let mut reads = 0;
        loop {
            let hungry = self.take_requests(connection);
            if !hungry || connection.closing || !connection.runs.is_empty() || !connection.readable {
                break;
            }
            if reads == ROUND_READS_MAX {
                break;
            }
            reads += 1;
            match connection.read(&mut self.buffers) {
                Read::Some(count) => self.note_read(connection, count),
                Read::Nothing => break,
                Read::Closed => {
                    connection.closing = true;
                    break;
                }
            }
        }
        if connection.shards_out == 0 && self.flush(connection).is_err() {
            connection.closing = true;
        }
        if connection.close_after_reply && connection.runs.is_empty() && connection.unsent() == 0 {
            connection.closing = true;
        }
    }

    fn note_read(&mut self, connection: &mut Connection, count: usize) {
        self.input_peaks.note(connection.buffer.len());
        let stats = self.stats();
        stats.reads.increment();
        stats.input_bytes.add(count as u64);
        let record = &connection.record;
        record.input_bytes.store(record.input_bytes.load(Relaxed) + count as u64, Relaxed);
        record.last_interaction_at.store(self.now_ms, Relaxed);
        let limit = self.shared.world.settings.client_query_buffer_limit.size();
        if connection.buffer.len() - connection.consumed > limit {
            stats.query_limit_disconnections.increment();
            let fields = vec![("client", record.id.to_string()), ("address", record.address.clone())];
            self.shared.log.add(Level::Warning, "a client was cut at its query buffer limit", fields);
            connection.closing = true;
        }
    }

    /// Takes what requests there are in the buffer; true if more bytes are wanted.
    fn take_requests(&mut self, connection: &mut Connection) -> bool {
        loop {
            // Buffer and parser are borrowed apart from the connection; nothing changes the buffer while commands are
            // taken, for their arguments point into it.
            let buffer = std::mem::take(&mut connection.buffer);
            let mut parser = std::mem::take(&mut connection.parser);
            let pause = self.take_from(connection, &mut parser, &buffer);
            connection.parser = parser;
            connection.buffer = buffer;
            match pause {
                Pause::Hungry => return true,
                Pause::Enough => return false,
                Pause::Inline(length) => {
                    if let Err(error) = inline_as_arrays(connection, connection.consumed, length) {
                        self.protocol_error(connection, &error);
                        return false;
                    }
                }
            }
        }
    }

    fn take_from(&mut self, connection: &mut Connection, parser: &mut Parser, buffer: &[u8]) -> Pause {
        let bulk_bytes_max = self.shared.world.settings.proto_max_bulk_len.size();
        let mut short_args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
        let mut long_args: Vec<&[u8]> = Vec::new();
        let mut budget = ROUND_COMMANDS_MAX;
        while budget > 0 {
            budget -= 1;
            if connection.close_after_reply {
                // What follows QUIT or a broken request is not looked at.
                return Pause::Enough;
            }
            let rest = &buffer[connection.consumed..];
            if parser.is_fresh() && bulk_bytes_max >= SHORT_ARG_BYTES_MAX {
                if let Some((count, length)) = short_request(rest, &mut short_args) {
                    let request = Request { args: &short_args[..count], length };
                    match self.take_command(connection, &request) {
                        Dispatch::Done => {
                            connection.consumed += length;
                            if rest.len() > length {
                                self.take_repeats(connection, &request, buffer, &mut budget);
                            }
                        }
                        Dispatch::Wait => {
                            connection.consumed += length;
                            return Pause::Enough;
                        }
                        Dispatch::Later => return Pause::Enough,
                    }
                    continue;
                }
            }
            let limits = Limits { bulk_bytes_max, authenticated: connection.authenticated };
            match parser.next(rest, limits) {
                Ok(Parsed::Command(length)) => {
                    long_args.clear();
                    long_args.extend(parser.args().iter().map(|&(start, end)| &rest[start..end]));
                    let request = Request { args: &long_args, length };
                    match self.take_command(connection, &request) {
                        Dispatch::Done => connection.consumed += length,
                        Dispatch::Wait => {
                            connection.consumed += length;
                            return Pause::Enough;
                        }
                        Dispatch::Later => {
                            parser.reset();
                            return Pause::Enough;
                        }
                    }
                }
                Ok(Parsed::Nothing(length)) => connection.consumed += length,
                Ok(Parsed::Inline(length)) if connection.runs.is_empty() => return Pause::Inline(length),
                Ok(Parsed::Inline(_)) => return Pause::Enough,
                Ok(Parsed::Incomplete(expected)) => {
                    connection.expected = expected;
                    return Pause::Hungry;
                }
                Err(error) => {
                    self.protocol_error(connection, &error);
                    return Pause::Enough;
                }
            }
        }
        // The budget is used up; the connection goes on in the next round.
        self.ready_again(connection);
        Pause::Enough
    }

    /// Sees to it that a connection which is being worked on is looked at in the next round.
    pub fn ready_again(&mut self, connection: &mut Connection) {
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push(connection.token.index);
        }
    }

    #[cold]
    fn protocol_error(&mut self, connection: &mut Connection, error: &ProtocolError) {
        self.stats().protocol_errors.increment();
        let fields = vec![("client", connection.record.address.clone()), ("error", error.0.clone())];
        self.shared.log.add(Level::Verbose, "protocol error", fields);
        let error = CommandError::with(format!("ERR Protocol error: {}", error.0));
        connection.reply_mode = ReplyMode::On;
        self.count_error(&error);
        connection.reply(|reply| reply.error(&error));
        connection.close_after_reply = true;
    }

    /// Takes the requests that follow one and begin with the same bytes, which is most of a pipeline: nothing but their
    /// other arguments is looked at, if the command is such that this will do.
    fn take_repeats(&mut self, connection: &mut Connection, request: &Request<'_>, buffer: &[u8], budget: &mut usize) {
        // It may have been refused, or not be known at all.
        let was_taken = |last: &&Command| {
            last.plain
                && last.spec.accepts(request.args.len())
                && last.spec.name.as_bytes().eq_ignore_ascii_case(request.args[0])
        };
        let Some(command) = connection.last_command.filter(was_taken) else { return };
        if !self.takes_plain_commands(connection) {
            return;
        }
        let begin = connection.consumed - request.length;
        let head = Head::new(&buffer[begin..], request.args);
        let mut args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
        while *budget > 0 {
            let Some(length) = head.request(&buffer[connection.consumed..], &mut args) else { return };
            *budget -= 1;
            connection.consumed += length;
            let (hash, slot, shard) = self.place_of(args[1]);
            self.send_to_shard(connection, command, &args[..head.count], hash, slot, shard);
        }
    }

    /// Whether plain commands of this connection need not be looked at one by one before they go to their shards. What
    /// others may change meanwhile counts from the next round on.
    fn takes_plain_commands(&self, connection: &Connection) -> bool {
        let shared = &self.shared;
        (connection.authenticated || !shared.has_password.load(Relaxed))
            && connection.multi.is_none()
            && connection.reply_mode == ReplyMode::On
            && !connection.close_after_reply
            && !shared.pause.may_be_on()
            && shared.monitors.load(Relaxed) == 0
    }

    /// Takes one request, whose bytes begin at `request`.
    #[inline]
    fn take_command(&mut self, connection: &mut Connection, request: &Request<'_>) -> Dispatch {
        let name = request.get(0).unwrap_or_default();
        let command = match connection.last_command {
            Some(last) if last.packed != 0 && last.packed == registry::packed_name(name) => Some(last),
            _ => find_command(request),
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
        connection.last_command = Some(command);
        if let Err(error) = self.gate(connection, command, request) {
            // A container with a subcommand that does not exist is no command that could be counted.
            let known = !matches!(command.spec.plane, Plane::Container) || request.args.len() == 1;
            return self.refuse(connection, known.then_some(command), &error);
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
        if self.shared.pause.may_be_on() && self.is_paused(connection, command) {
            return Dispatch::Later;
        }
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
            Route::Cursor | Route::All | Route::Nowhere => {}
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
    fn place_of(&self, key: &[u8]) -> (u64, u16, usize) {
        let map = self.shared.world.slots;
        let slot = map.slot(key);
        (table::hash(key), slot, map.shard_of(slot))
    }

    /// Puts a command into the batch of its shard.
    #[inline(always)]
    fn send_to_shard(
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
        // SAFETY: the bytes are in the connection's read buffer, which is neither moved nor changed nor freed while the
        // connection has commands out (`Connection::is_idle`), and the batch is cleared before it is again.
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

    fn is_paused(&mut self, connection: &Connection, command: &Command) -> bool {
        let Some((_, writes_only)) = self.shared.pause.get(self.now_ms) else { return false };
        let spec = &command.spec;
        let concerned = match spec.plane {
            Plane::Data(_) => !writes_only || spec.has(flag::WRITE),
            Plane::Connection(number) => commands::is_exec(number),
            _ => false,
        };
        if concerned {
            self.held_back.push(connection.token);
        }
        concerned
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

/// Puts inline requests into the buffer as arrays, so that only one path follows from here: the one of `length` bytes at
/// `begin` and those that follow it, as far as they are whole, up to a bound.
fn inline_as_arrays(connection: &mut Connection, begin: usize, length: usize) -> Result<(), ProtocolError> {
    let mut arrays = Vec::new();
    let mut end = begin + length;
    append_array(&split_inline(&connection.buffer[begin..end])?, &mut arrays);
    while end - begin < INLINE_BYTES_MAX && connection.buffer.get(end).is_some_and(|&first| first != b'*') {
        let Ok(Parsed::Inline(length)) = Parser::default().next(&connection.buffer[end..], INLINE_LIMITS) else {
            break;
        };
        // One that is wrong is answered when its turn comes.
        let Ok(words) = split_inline(&connection.buffer[end..end + length]) else { break };
        append_array(&words, &mut arrays);
        end += length;
    }
    connection.buffer.splice(begin..end, arrays);
    Ok(())
}

fn append_array(words: &[Vec<u8>], arrays: &mut Vec<u8>) {
    arrays.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        arrays.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        arrays.extend_from_slice(word);
        arrays.extend_from_slice(b"\r\n");
    }
}
