//! From bytes to requests: reading and parsing, and how much of it one connection gets in one round.
//!
//! Nothing changes the read buffer while requests are taken from it, for the arguments of commands that are out point into
//! it. Words of inline requests, which may have been quoted, are kept beside it until the connection has nothing out.
//! Rejected: putting inline requests into the buffer as arrays, which moves the rest of it for each of them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::handler::error::CommandError;

use crate::connection::outbound::OUTPUT_PAUSE_BYTES;
use crate::connection::session::ReplyMode;
use crate::connection::Connection;
use crate::net::tls::TlsStream;
use crate::net::transport::Received;
use crate::observe::log::Level;
use crate::protocol::inline::split_inline;
use crate::protocol::parser::{
    short_request, Limits, Parsed, ProtocolError, RequestPrefix, SHORT_ARGS_MAX, SHORT_ARG_BYTES_MAX,
};
use crate::protocol::request::Request;
use crate::thread::client_eviction::look_at_growth;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::by_certificate;
use super::dispatch::take_command;
use super::extension::{join, send_calls};
use super::gate::count_error;
use super::output::{flush, log_tls_trouble};
use super::own_command::comes_in_rows;
use super::own_requests::run_row;
use super::parked::go_on_with_parked;
use super::publish::hear;
use super::rights::keep_up;
use super::submit::{send_row, Row};

/// Commands of one connection in one round; the rest waits for the next one.
pub const ROUND_COMMANDS_MAX: usize = 1024;
/// Bytes of one connection's requests that are taken in one round, the last request not counted.
pub const ROUND_BYTES_MAX: usize = 1 << 20;
/// Reads of one connection in one round.
const ROUND_READS_MAX: usize = 4;
/// What a word of an inline request counts besides its bytes: about what it takes in memory until it was executed.
const INLINE_WORD_BYTES: usize = 48;

/// What one connection may still take in this round, however often it reads.
struct Budget {
    commands: usize,
    bytes: usize,
}

impl Budget {
    #[inline]
    fn is_spent(&self) -> bool {
        self.commands == 0 || self.bytes == 0
    }

    #[inline]
    fn spend(&mut self, bytes: usize) {
        self.commands -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Why no more requests are taken from a buffer for now.
#[derive(PartialEq, Eq)]
enum Stop {
    /// It holds no further whole request.
    NeedsBytes,
    /// The connection waits, or has had its share.
    Enough,
}

/// Reads and takes the requests of a ready connection.
pub fn process(io: &mut IoThread, connection: &mut Connection) {
    if connection.record.killed.load(Relaxed) {
        connection.closing = true;
    }
    let shakes_hands = connection.transport.is_handshaking();
    if shakes_hands && !may_go_on_with_handshake(io, connection) {
        return;
    }
    if connection.unsent() > 0 {
        flush(io, connection);
    }
    if connection.outbound.has_parked() {
        go_on_with_parked(io, connection);
    }
    if !connection.is_idle() || connection.is_deferred {
        // A client that has gone while it is blocked or paused. The control plane's answer comes soon otherwise, and a
        // client that has closed only its side for sending may want it.
        let waits = connection.record.blocked.load(Relaxed) || connection.record.paused.load(Relaxed);
        if waits && connection.transport.is_closed_by_peer() {
            connection.closing = true;
            note_trouble(io, connection);
        }
        return;
    }
    if connection.unsent() >= OUTPUT_PAUSE_BYTES {
        return;
    }
    if connection.record.tracking.hears.load(Relaxed) {
        // It is told of its own changes before it goes on.
        hear(io, connection);
    }
    take_and_read(io, connection, shakes_hands);
    if !connection.outbound.awaits_shards() {
        flush(io, connection);
    }
    if connection.close_after_reply && !connection.outbound.has_pending() && connection.unsent() == 0 {
        connection.closing = true;
    }
}

/// Takes the requests that a connection has brought, and reads more of them, up to a round's bounds. Where it is still shaking
/// hands, that may come to its end with what is read.
#[inline]
fn take_and_read(io: &mut IoThread, connection: &mut Connection, mut shakes_hands: bool) {
    let mut budget = Budget { commands: ROUND_COMMANDS_MAX, bytes: ROUND_BYTES_MAX };
    connection.outbound.begin_round();
    let mut reads = 0;
    loop {
        let stop = take_requests(io, connection, &mut budget);
        if stop == Stop::Enough
            || connection.closing
            || connection.outbound.has_pending()
            || !connection.transport.is_readable()
        {
            break;
        }
        if reads == ROUND_READS_MAX {
            break;
        }
        reads += 1;
        let received = connection.inbound.receive(&mut connection.transport, &mut io.buffers);
        if shakes_hands {
            shakes_hands = by_certificate::goes_on(io, connection);
        }
        match received {
            Received::Bytes(count) => {
                note_read(io, connection, count);
                if connection.session.subscriptions.is_some() || connection.record.tracking.hears.load(Relaxed) {
                    hear(io, connection);
                }
            }
            Received::Nothing => break,
            Received::Closed => {
                connection.closing = true;
                note_trouble(io, connection);
                break;
            }
        }
    }
}

/// Whether a handshake may go on in this round, of which a thread takes few: the others go on in the next one.
#[cold]
fn may_go_on_with_handshake(io: &mut IoThread, connection: &mut Connection) -> bool {
    if !connection.transport.is_readable() || connection.closing {
        return true;
    }
    let goes_on = io.handshakes_left > 0;
    if goes_on {
        io.handshakes_left -= 1;
    } else {
        io.connections.make_ready_again(connection);
    }
    goes_on
}

/// Why an encrypted stream has ended, if there is anything to say of that.
fn note_trouble(io: &mut IoThread, connection: &mut Connection) {
    let trouble = connection.transport.encrypted().and_then(TlsStream::take_trouble);
    if let Some(reason) = trouble {
        log_tls_trouble(&io.shared, &mut io.tls_failures, io.clock.now_ms, connection, reason);
    }
}

fn note_read(io: &mut IoThread, connection: &mut Connection, count: usize) {
    io.peaks.input.note(connection.inbound.buffer.len());
    let stats = io.stats();
    stats.reads.increment();
    stats.input_bytes.add(count as u64);
    let record = &connection.record;
    record.input_bytes.store(record.input_bytes.load(Relaxed) + count as u64, Relaxed);
    record.last_interaction_at.store(io.clock.now_ms, Relaxed);
    let limit = io.shared.world.settings.client_query_buffer_limit.size();
    if connection.inbound.unparsed() > limit {
        stats.query_limit_disconnections.increment();
        let fields = vec![("client", record.id.to_string()), ("address", record.address.clone())];
        io.shared.log.add(Level::Warning, "a client was cut at its query buffer limit", fields);
        connection.closing = true;
    }
    look_at_growth(io, connection);
}

/// Takes what requests there are in the buffer.
fn take_requests(io: &mut IoThread, connection: &mut Connection, budget: &mut Budget) -> Stop {
    if connection.inbound.unparsed() == 0 && !connection.close_after_reply && !budget.is_spent() {
        // So it nearly always is before the first read of a round.
        connection.inbound.expected = 1;
        return Stop::NeedsBytes;
    }
    keep_up(&io.shared, connection);
    if connection.closing {
        return Stop::Enough;
    }
    // The bytes are borrowed apart from the connection while requests are taken from them.
    let buffer = std::mem::take(&mut connection.inbound.buffer);
    let mut consumed = std::mem::take(&mut connection.inbound.consumed);
    let stop = take_from(io, connection, (&buffer, &mut consumed), budget);
    (connection.inbound.buffer, connection.inbound.consumed) = (buffer, consumed);
    if let Some(calls) = connection.wait.calls.take() {
        send_calls(io, connection, calls);
    }
    if !connection.outbound.awaits_shards() {
        connection.inbound.inline_words.clear();
    }
    stop
}

fn take_from(
    io: &mut IoThread,
    connection: &mut Connection,
    (buffer, consumed): (&[u8], &mut usize),
    budget: &mut Budget,
) -> Stop {
    let bulk_bytes_max = io.shared.world.settings.proto_max_bulk_len.size();
    let mut short_args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
    let mut long_args: Vec<&[u8]> = Vec::new();
    while !budget.is_spent() {
        if connection.close_after_reply {
            // What follows QUIT or a broken request is not looked at.
            return Stop::Enough;
        }
        let rest = &buffer[*consumed..];
        if rest.is_empty() && connection.inbound.awaits_request() {
            return Stop::NeedsBytes;
        }
        if connection.inbound.parser.is_fresh() && bulk_bytes_max >= SHORT_ARG_BYTES_MAX {
            if let Some((count, length)) = short_request(rest, &mut short_args) {
                let request = Request { args: &short_args[..count], length };
                if !take_request(io, connection, &request, consumed, budget) {
                    join_calls(io, connection, (buffer, consumed), budget);
                    return Stop::Enough;
                }
                if rest.len() > length {
                    take_repeats(io, connection, &request, (buffer, consumed), budget);
                }
                continue;
            }
        }
        if let Some(stop) = take_any(io, connection, (rest, consumed), &mut long_args, budget) {
            return stop;
        }
    }
    // The budget is used up; the connection goes on in the next round.
    io.connections.make_ready_again(connection);
    Stop::Enough
}

/// Takes a request of any kind, or finds that it is not there whole; returns why no more are taken, unless the next one may be.
// Apart from the loop around it: what it needs would be made ready there for each connection.
#[inline(never)]
fn take_any<'b>(
    io: &mut IoThread,
    connection: &mut Connection,
    (rest, consumed): (&'b [u8], &mut usize),
    args: &mut Vec<&'b [u8]>,
    budget: &mut Budget,
) -> Option<Stop> {
    let bulk_bytes_max = io.shared.world.settings.proto_max_bulk_len.size();
    let limits = Limits { bulk_bytes_max, authenticated: connection.session.authenticated };
    let goes_on = match connection.inbound.parser.next(rest, limits) {
        Ok(Parsed::Command(length)) => {
            args.clear();
            args.extend(connection.inbound.parser.args().iter().map(|&(start, end)| &rest[start..end]));
            take_request(io, connection, &Request { args, length }, consumed, budget)
        }
        Ok(Parsed::Nothing(length)) => pass_over(length, consumed, budget),
        Ok(Parsed::Inline(length)) => take_inline(io, connection, &rest[..length], consumed, budget),
        Ok(Parsed::Incomplete(bytes)) => {
            connection.inbound.expected = bytes;
            return Some(Stop::NeedsBytes);
        }
        Err(error) => {
            protocol_error(io, connection, &error);
            false
        }
    };
    if goes_on {
        return None;
    }
    // Where the request has to wait it is parsed again.
    connection.inbound.parser.reset();
    Some(Stop::Enough)
}

/// Passes bytes over that ask for nothing; the next request may be taken.
fn pass_over(length: usize, consumed: &mut usize, budget: &mut Budget) -> bool {
    budget.spend(length);
    *consumed += length;
    true
}

/// Takes a request; whether the next one may be taken.
#[inline]
fn take_request(
    io: &mut IoThread,
    connection: &mut Connection,
    request: &Request<'_>,
    consumed: &mut usize,
    budget: &mut Budget,
) -> bool {
    budget.spend(request.length);
    let dispatch = take_command(io, connection, request);
    if dispatch != Dispatch::Later {
        *consumed += request.length;
    }
    if connection.outbound.has_replied_enough() {
        budget.bytes = 0;
    }
    dispatch == Dispatch::Done
}

/// Takes an inline request, whose words are kept: a shard may have to read them until it has executed the command.
fn take_inline(
    io: &mut IoThread,
    connection: &mut Connection,
    line: &[u8],
    consumed: &mut usize,
    budget: &mut Budget,
) -> bool {
    let words = match split_inline(line) {
        Ok(words) => words,
        Err(error) => {
            protocol_error(io, connection, &error);
            return false;
        }
    };
    if words.is_empty() {
        return pass_over(line.len(), consumed, budget);
    }
    let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    budget.bytes = budget.bytes.saturating_sub(args.len() * INLINE_WORD_BYTES);
    let goes_on = take_request(io, connection, &Request { args: &args, length: line.len() }, consumed, budget);
    // The words stay where they are when what holds them is moved.
    connection.inbound.inline_words.push(words);
    goes_on
}

#[cold]
fn protocol_error(io: &mut IoThread, connection: &mut Connection, error: &ProtocolError) {
    io.stats().protocol_errors.increment();
    let fields = vec![("client", connection.record.address.clone()), ("error", error.0.clone())];
    io.shared.log.add(Level::Verbose, "protocol error", fields);
    let error = CommandError::with(format!("ERR Protocol error: {}", error.0));
    connection.session.reply_mode = ReplyMode::On;
    count_error(io, &error);
    connection.reply(|reply| reply.error(&error));
    connection.close_after_reply = true;
}

/// The requests that follow one and begin with the same bytes.
struct Repeats<'b, 'r, A> {
    buffer: &'b [u8],
    prefix: RequestPrefix<'r>,
    /// Where the next one begins.
    at: usize,
    /// None is taken that begins here or later, nor more than so many.
    end: usize,
    commands: usize,
    /// Whether the client may send it, if that is to be asked.
    allows: Option<A>,
}

impl<'b, A: FnMut(&[&[u8]]) -> bool> Row<'b> for Repeats<'b, '_, A> {
    #[inline(always)]
    fn next(&mut self, args: &mut [&'b [u8]; SHORT_ARGS_MAX]) -> bool {
        if self.commands == 0 || self.at >= self.end {
            return false;
        }
        let Some(length) = self.prefix.request(&self.buffer[self.at..], args) else { return false };
        if self.allows.as_mut().is_some_and(|allows| !allows(&args[..self.prefix.count])) {
            // The gate says why.
            return false;
        }
        self.commands -= 1;
        self.at += length;
        true
    }
}

/// Takes the requests that follow one and begin with the same bytes, which is most of a pipeline: nothing but their
/// other arguments is looked at, if the command is such that this will do.
// As [`take_any`].
#[inline(never)]
fn take_repeats<'a>(
    io: &mut IoThread,
    connection: &mut Connection,
    request: &Request<'a>,
    (buffer, consumed): (&'a [u8], &mut usize),
    budget: &mut Budget,
) {
    // It may have been refused, or not be known at all.
    let was_taken = |last: &&Command| {
        (last.plain || answers_only(io, connection, last))
            && last.spec.accepts(request.args.len())
            && last.spec.name.as_bytes().eq_ignore_ascii_case(request.args[0])
    };
    let Some(command) = connection.session.last_command.filter(was_taken) else { return };
    if !takes_plain_commands(io, connection) {
        return;
    }
    let db = connection.session.db;
    let user = connection.session.is_checked.then(|| Arc::clone(&connection.session.user));
    let checked = user.as_ref().map(|user| user.in_row(command, db));
    let mut likely = connection.session.likely_pattern;
    let likely_now = &mut likely;
    let (first, begin) = (*consumed, *consumed - request.length);
    let mut args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
    args[0] = request.args[0];
    let mut repeats = Repeats {
        buffer,
        prefix: RequestPrefix::new(&buffer[begin..], request.args),
        at: first,
        end: first.saturating_add(budget.bytes),
        commands: budget.commands,
        allows: checked.map(|row| move |args: &[&[u8]]| row.allows(args, likely_now)),
    };
    let count = request.args.len();
    if command.plain {
        send_row(io, connection, command, &mut args, count, &mut repeats);
    } else {
        run_row(io, connection, command, &mut args, count, &mut repeats);
    }
    let Repeats { at, end, commands, .. } = repeats;
    *budget = Budget { commands, bytes: end.saturating_sub(at) };
    *consumed = at;
    connection.session.likely_pattern = likely;
}

/// Whether all that a command does is to answer, and nothing is to be seen to between two answers: neither the client's rights,
/// nor what it is told of keys that it has read.
#[inline]
fn answers_only(io: &IoThread, connection: &Connection, command: &Command) -> bool {
    comes_in_rows(io, command)
        && command.packed != 0
        && !connection.session.is_checked
        && !connection.record.tracking.hears.load(Relaxed)
}

/// Takes the requests that follow one of an extension and are such as well.
#[cold]
fn join_calls(
    io: &mut IoThread,
    connection: &mut Connection,
    (buffer, consumed): (&[u8], &mut usize),
    budget: &mut Budget,
) {
    if connection.wait.calls.is_none() || !takes_plain_commands(io, connection) {
        return;
    }
    let mut args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
    while !budget.is_spent() {
        let Some((count, length)) = short_request(&buffer[*consumed..], &mut args) else { return };
        if !join(io, connection, &Request { args: &args[..count], length }) {
            return;
        }
        budget.spend(length);
        *consumed += length;
    }
}

/// Whether plain commands of this connection need not be looked at one by one before they go to their shards. What
/// others may change meanwhile counts from the next round on.
fn takes_plain_commands(io: &IoThread, connection: &Connection) -> bool {
    let shared = &io.shared;
    (connection.session.authenticated || !shared.access.asks_for_password())
        && connection.session.multi.is_none()
        && !connection.session.is_restricted()
        && !connection.session.reply_mode.suppresses()
        && !connection.close_after_reply
        && !connection.outbound.has_script_out()
        && !shared.world.pause.may_be_on()
        && shared.monitors.load(Relaxed) == 0
}
