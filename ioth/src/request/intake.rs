//! From bytes to requests: reading and parsing, and how much of it one connection gets in one round.
//!
//! Nothing changes the read buffer while requests are taken from it, for the arguments of commands that are out point into
//! it. Words of inline requests, which may have been quoted, are kept beside it until the connection has nothing out.
//! Rejected: putting inline requests into the buffer as arrays, which moves the rest of it for each of them.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::error::CommandError;
use sherd_shards::registry::Command;

use crate::connection::{Connection, Read, ReplyMode, Waiting};
use crate::observe::log::Level;
use crate::protocol::parser::{short_request, split_inline, Head, Limits, Parsed, Parser, ProtocolError};
use crate::protocol::parser::{SHORT_ARGS_MAX, SHORT_ARG_BYTES_MAX};
use crate::request::dispatch::{Dispatch, Request};
use crate::thread::IoThread;

/// Commands of one connection in one round; the rest waits for the others to have had their turn.
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
enum Pause {
    /// It holds no further whole request.
    Hungry,
    /// The connection waits, or has had its share.
    Enough,
}

/// What a connection's requests are found in. It is borrowed apart from the connection while they are taken.
#[derive(Default)]
struct Source {
    buffer: Vec<u8>,
    parser: Parser,
    inline_words: Vec<Vec<Vec<u8>>>,
}

impl Source {
    /// Exchanges this with what the connection has.
    fn swap(&mut self, connection: &mut Connection) {
        std::mem::swap(&mut self.buffer, &mut connection.buffer);
        std::mem::swap(&mut self.parser, &mut connection.parser);
        std::mem::swap(&mut self.inline_words, &mut connection.inline_words);
    }
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
        if !connection.is_idle() || connection.held {
            // A client that has gone while it waits for a key or is paused. The control plane's answer comes soon in any case, and who
            // has closed only his side for sending may want it.
            let waits = connection.waiting == Waiting::Blocked || connection.record.paused.load(Relaxed);
            connection.closing |= connection.peer_closed && waits;
            return;
        }
        if connection.unsent() >= crate::connection::OUTPUT_PAUSE_BYTES {
            return;
        }
        let mut budget = Budget { commands: ROUND_COMMANDS_MAX, bytes: ROUND_BYTES_MAX };
        let mut reads = 0;
        loop {
            let hungry = self.take_requests(connection, &mut budget) == Pause::Hungry;
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
        self.look_at_growth(connection);
    }

    /// Takes what requests there are in the buffer.
    fn take_requests(&mut self, connection: &mut Connection, budget: &mut Budget) -> Pause {
        let mut source = Source::default();
        source.swap(connection);
        let pause = self.take_from(connection, &mut source, budget);
        source.swap(connection);
        if connection.shards_out == 0 {
            connection.inline_words.clear();
        }
        pause
    }

    fn take_from(&mut self, connection: &mut Connection, source: &mut Source, budget: &mut Budget) -> Pause {
        let Source { buffer, parser, inline_words } = source;
        let bulk_bytes_max = self.shared.world.settings.proto_max_bulk_len.size();
        let mut short_args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
        let mut long_args: Vec<&[u8]> = Vec::new();
        while !budget.is_spent() {
            if connection.close_after_reply {
                // What follows QUIT or a broken request is not looked at.
                return Pause::Enough;
            }
            let rest = &buffer[connection.consumed..];
            if parser.is_fresh() && bulk_bytes_max >= SHORT_ARG_BYTES_MAX {
                if let Some((count, length)) = short_request(rest, &mut short_args) {
                    let request = Request { args: &short_args[..count], length };
                    if !self.take_request(connection, &request, budget) {
                        return Pause::Enough;
                    }
                    if rest.len() > length {
                        self.take_repeats(connection, &request, buffer, budget);
                    }
                    continue;
                }
            }
            let limits = Limits { bulk_bytes_max, authenticated: connection.authenticated };
            let goes_on = match parser.next(rest, limits) {
                Ok(Parsed::Command(length)) => {
                    long_args.clear();
                    long_args.extend(parser.args().iter().map(|&(start, end)| &rest[start..end]));
                    self.take_request(connection, &Request { args: &long_args, length }, budget)
                }
                Ok(Parsed::Nothing(length)) => {
                    budget.spend(length);
                    connection.consumed += length;
                    true
                }
                Ok(Parsed::Inline(length)) => self.take_inline(connection, &rest[..length], inline_words, budget),
                Ok(Parsed::Incomplete(expected)) => {
                    connection.expected = expected;
                    return Pause::Hungry;
                }
                Err(error) => {
                    self.protocol_error(connection, &error);
                    false
                }
            };
            if !goes_on {
                // Where the request has to wait it is parsed again.
                parser.reset();
                return Pause::Enough;
            }
        }
        // The budget is used up; the connection goes on in the next round.
        self.ready_again(connection);
        Pause::Enough
    }

    /// Takes a request; whether the next one may be taken.
    #[inline]
    fn take_request(&mut self, connection: &mut Connection, request: &Request<'_>, budget: &mut Budget) -> bool {
        budget.spend(request.length);
        let dispatch = self.take_command(connection, request);
        if dispatch != Dispatch::Later {
            connection.consumed += request.length;
        }
        dispatch == Dispatch::Done
    }

    /// Takes an inline request, whose words go to `kept`: a shard may have to read them until it has executed the command.
    fn take_inline(
        &mut self,
        connection: &mut Connection,
        line: &[u8],
        kept: &mut Vec<Vec<Vec<u8>>>,
        budget: &mut Budget,
    ) -> bool {
        let words = match split_inline(line) {
            Ok(words) => words,
            Err(error) => {
                self.protocol_error(connection, &error);
                return false;
            }
        };
        if words.is_empty() {
            budget.spend(line.len());
            connection.consumed += line.len();
            return true;
        }
        let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        budget.bytes = budget.bytes.saturating_sub(args.len() * INLINE_WORD_BYTES);
        let goes_on = self.take_request(connection, &Request { args: &args, length: line.len() }, budget);
        // The words stay where they are when what holds them is moved.
        kept.push(words);
        goes_on
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
    fn take_repeats(&mut self, connection: &mut Connection, request: &Request<'_>, buffer: &[u8], budget: &mut Budget) {
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
        while !budget.is_spent() {
            let Some(length) = head.request(&buffer[connection.consumed..], &mut args) else { return };
            budget.spend(length);
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
            && !shared.world.pause.may_be_on()
            && shared.monitors.load(Relaxed) == 0
    }
}
