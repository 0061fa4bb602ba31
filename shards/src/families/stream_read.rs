//! Reading on from a position, of several streams: XREAD, and XREADGROUP for the members of a group.

use super::effects::{self, Member};
use super::stream_group::changed_group;
use super::stream::{no_group, parse_id, write_entries, write_entry, write_fields, write_id, STREAM};
use crate::handler::args::{self, Options};
use crate::effects::blocking::{self, Block, TimeoutReply};
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::entry::object::Type;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, Begin, CommandSpec, Find, KeySpec, Plane};
use sherd_types::stream::{BoxedStream, ConsumerNumber, Entry, Group, Log, StreamId};

const GROUP_ELSEWHERE: CommandError =
    CommandError::new("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_ELSEWHERE: CommandError =
    CommandError::new("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const CLAIM_ELSEWHERE: CommandError =
    CommandError::new("ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.");
const GROUP_MISSING: CommandError = CommandError::new("ERR Missing GROUP option for XREADGROUP");
const NEW_ELSEWHERE: CommandError = CommandError::new(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
);
const BAD_TIMEOUT: CommandError = CommandError::new("ERR timeout is not an integer or out of range");
const NEGATIVE_TIMEOUT: CommandError = CommandError::new("ERR timeout is negative");
const TIMEOUT_TOO_LARGE: CommandError = CommandError::new("ERR timeout is out of range");
const BAD_IDLE: CommandError = CommandError::new("ERR min-idle-time is not an integer or out of range");
const NEGATIVE_IDLE: CommandError = CommandError::new("ERR min-idle-time must be a positive integer");

const fn stream_keys(start: i16) -> KeySpec {
    KeySpec {
        flags: "RO ACCESS",
        begin: Begin::Keyword("STREAMS", start),
        find: Find::Range { last: -1, step: 1, limit: 2 },
    }
}

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xread",
        summary: "Returns the entries of streams that come after given ids. Waits for some if asked to.",
        complexity: "O(N) in the number of entries returned",
        arity: -4,
        flags: READONLY | BLOCKING | MOVABLE_KEYS,
        keys: &[stream_keys(1)],
        syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        plane: Plane::Data(xread),
        ..STREAM
    },
    CommandSpec {
        name: "xreadgroup",
        summary: "Returns entries of streams to a member of a group: new ones, or those it has not acknowledged.",
        history: &[("8.4.0", "`CLAIM`.")],
        complexity: "O(N) in the number of entries returned",
        arity: -7,
        flags: WRITE | BLOCKING | MOVABLE_KEYS,
        keys: &[stream_keys(4)],
        find_keys: Some(find_group_keys),
        syntax: "GROUP group consumer [COUNT count] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] \
                 STREAMS key [key ...] id [id ...]",
        plane: Plane::Data(xreadgroup),
        ..STREAM
    },
];

/// The keys of XREADGROUP. A rule would take a group or a consumer of the name STREAMS for that word.
fn find_group_keys(args: &[&[u8]]) -> Vec<usize> {
    let mut options = Options::new(args, 1);
    while options.more() {
        if options.take("STREAMS") {
            return (options.position()..options.position() + options.left() / 2).collect();
        }
        let values = if options.take("GROUP") { 2 } else { usize::from(!options.take("NOACK")) };
        let is_known = ["COUNT", "BLOCK", "CLAIM"].into_iter().any(|word| options.take(word));
        // What is no option is refused, whatever follows it.
        let values = values.max(usize::from(is_known));
        (0..values).for_each(|_| drop(options.value()));
    }
    Vec::new()
}

/// The options of both commands.
struct ReadOptions<'a> {
    count: usize,
    /// BLOCK; 0 is for ever.
    timeout_ms: Option<i64>,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// CLAIM: entries that were not acknowledged for so long are returned first.
    claim_idle_ms: Option<i64>,
    /// The number of the first key's argument, and how many keys there are.
    keys: (usize, usize),
}

impl<'a> ReadOptions<'a> {
    fn parse(args: &'a [&'a [u8]], grouped: bool, now_ms: i64) -> Result<Self, CommandError> {
        let mut parsed = ReadOptions {
            count: usize::MAX,
            timeout_ms: None,
            group: None,
            no_ack: false,
            claim_idle_ms: None,
            keys: (0, 0),
        };
        let mut options = Options::new(args, 1);
        while options.more() {
            if let Some(text) = options.take_value("BLOCK") {
                parsed.timeout_ms = Some(parse_timeout(text, now_ms)?);
            } else if let Some(text) = options.take_value("COUNT") {
                // Nothing and less means no bound, as in Redis.
                let count = args::integer(text)?;
                parsed.count = usize::try_from(count).ok().filter(|&count| count > 0).unwrap_or(usize::MAX);
            } else if options.left() > 1 && options.take("STREAMS") {
                let count = options.left();
                if count % 2 != 0 {
                    return Err(unbalanced(grouped));
                }
                parsed.keys = (options.position(), count / 2);
                break;
            } else if options.left() > 2 && options.take("GROUP") {
                if !grouped {
                    return Err(GROUP_ELSEWHERE);
                }
                parsed.group = Some((options.value()?, options.value()?));
            } else if options.take("NOACK") {
                if !grouped {
                    return Err(NOACK_ELSEWHERE);
                }
                parsed.no_ack = true;
            } else {
                let text = options.take_value("CLAIM").ok_or(SYNTAX)?;
                if !grouped {
                    return Err(CLAIM_ELSEWHERE);
                }
                let idle = args::integer_or(text, BAD_IDLE)?;
                parsed.claim_idle_ms = Some(if idle < 0 { return Err(NEGATIVE_IDLE) } else { idle });
            }
        }
        if parsed.keys.1 == 0 {
            return Err(SYNTAX);
        }
        if grouped && parsed.group.is_none() {
            return Err(GROUP_MISSING);
        }
        Ok(parsed)
    }

    /// Argument numbers of the keys with those of their ids.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let (first, count) = self.keys;
        (first..first + count).map(move |key| (key, key + count))
    }
}

fn parse_timeout(text: &[u8], now_ms: i64) -> Result<i64, CommandError> {
    match args::integer_or(text, BAD_TIMEOUT)? {
        timeout if timeout < 0 => Err(NEGATIVE_TIMEOUT),
        timeout if timeout.checked_add(now_ms).is_none() => Err(TIMEOUT_TOO_LARGE),
        timeout => Ok(timeout),
    }
}

fn unbalanced(grouped: bool) -> CommandError {
    let (name, choice) = if grouped { ("xreadgroup", "an ID or '>'") } else { ("xread", "an ID, '+', or '$'") };
    CommandError::with(format!(
        "ERR Unbalanced '{name}' list of streams: for each stream key {choice} must be specified."
    ))
}

fn meaningless(symbol: char) -> CommandError {
    CommandError::with(format!(
        "ERR The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
         by specifying a proper ID, or use the > ID to get new messages. The {symbol} ID would just return an empty \
         result set."
    ))
}

/// The array (a map in RESP3) of the streams that have something.
struct StreamReplies {
    place: Option<crate::handler::reply::Deferred>,
    count: usize,
}

impl StreamReplies {
    fn new() -> Self {
        StreamReplies { place: None, count: 0 }
    }

    /// Begins the part of a stream; its entries follow.
    fn begin(&mut self, reply: &mut Reply<'_>, key: &[u8]) {
        if self.place.is_none() {
            self.place = Some(reply.deferred());
        }
        self.count += 1;
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// Ends the reply; false if there was nothing.
    fn end(self, reply: &mut Reply<'_>) -> bool {
        let Some(place) = self.place else { return false };
        if reply.is_resp3() {
            reply.close_map(place, self.count);
        } else {
            reply.close_array(place, self.count);
        }
        true
    }
}

/// Nothing is there: waits if the client wants that.
fn nothing(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    options: &ReadOptions<'_>,
    wants: Option<Type>,
    rewrites: Vec<(usize, Vec<u8>)>,
    again_at_ms: Option<i64>,
) {
    let Some(timeout_ms) = options.timeout_ms else {
        reply.null_array();
        return;
    };
    let block = Block {
        keys: blocking::distinct(options.places().map(|(key, _)| context.args[key])),
        deadline_ms: (timeout_ms > 0).then(|| context.deadline_after(timeout_ms)),
        wants,
        on_timeout: TimeoutReply::NullArray,
        rewrites,
        again_at_ms,
    };
    context.block(reply, block);
}

fn xread(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let options = ReadOptions::parse(args, false, context.now_ms)?;
    let mut after = Vec::with_capacity(options.keys.1);
    for (key, id) in options.places() {
        let key = context.key(key);
        let log = context.read::<BoxedStream>(&key)?.map(|stream| stream.log());
        after.push(match args[id] {
            b"$" => log.map_or(StreamId::MIN, Log::last_id),
            // The last entry: what comes after the id before it.
            b"+" => log.map_or(StreamId::MIN, |log| log.last_live_id().previous().unwrap_or(StreamId::MIN)),
            b">" => return Err(NEW_ELSEWHERE),
            id => parse_id(id)?,
        });
    }
    let mut streams = StreamReplies::new();
    for ((key, _), after) in options.places().zip(after.iter().copied()) {
        let key = context.key(key);
        // Another look-up in Redis' statistics and events as well.
        let Some(stream) = context.read::<BoxedStream>(&key)? else { continue };
        let log = stream.log();
        if let Some(start) = after.next().filter(|_| !log.is_empty() && log.last_live_id() > after) {
            streams.begin(reply, key.bytes);
            write_entries(reply, log.range(start, StreamId::MAX), options.count);
        }
    }
    if !streams.end(reply) {
        // What `$` and `+` mean is settled now: what comes later is new.
        let text = |id: StreamId| id.to_string().into_bytes();
        let waits = options.places().zip(after).filter(|_| options.timeout_ms.is_some());
        let rewrites = waits.map(|((_, at), id)| (at, text(id))).collect();
        nothing(context, reply, &options, Some(Type::Stream), rewrites, None);
    }
    Ok(())
}

/// What a member of a group reads.
#[derive(Clone, Copy)]
enum Reading {
    /// `>`: what nobody got yet.
    New,
    /// What it has not acknowledged after an id.
    History(StreamId),
}

fn xreadgroup(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let options = ReadOptions::parse(args, true, context.now_ms)?;
    let (group, consumer) = options.group.ok_or(GROUP_MISSING)?;
    let mut readings = Vec::with_capacity(options.keys.1);
    for (key, id) in options.places() {
        let key = context.key(key);
        let stream = context.read::<BoxedStream>(&key)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            let CommandError(text) = no_group(key.bytes, group);
            return Err(CommandError::with(format!("{text} in XREADGROUP with GROUP option")));
        }
        readings.push(match args[id] {
            b"$" => return Err(meaningless('$')),
            b"+" => return Err(meaningless('+')),
            b">" => Reading::New,
            id => Reading::History(parse_id(id)?),
        });
    }
    let mut streams = StreamReplies::new();
    for ((key, _), reading) in options.places().zip(readings) {
        context.shard(&context.key(key)).stats.keyspace_hits.increment();
        read_for_member(context, reply, &context.key(key), &options, (group, consumer, reading), &mut streams)?;
    }
    if !streams.end(reply) {
        let again_at_ms = options.timeout_ms.and_then(|_| next_idle_ms(context, &options, group));
        // A key that goes wakes the reader as well: there is no group any more then, and that is told.
        nothing(context, reply, &options, None, Vec::new(), again_at_ms);
    }
    Ok(())
}

/// When, on the monotonic clock, the next entry of any of the streams will have been pending for as long as CLAIM says. Where there is nothing yet,
/// whoever reads an entry first changes the stream, and the waiting command is run again.
fn next_idle_ms(context: &mut Context<'_>, options: &ReadOptions<'_>, group: &[u8]) -> Option<i64> {
    let idle_ms = options.claim_idle_ms?;
    let places = options.places().filter_map(|(key, _)| {
        let stream = context.write::<BoxedStream>(&context.key(key)).ok()??;
        let (log, group) = stream.group_mut(group)?;
        let (delivered_ms, _) = group.by_age().find(|&(_, id)| log.contains(id))?;
        Some(delivered_ms.saturating_add(idle_ms))
    });
    // Deliveries have a date, waits have not: who sets the wall clock has the command run in vain, and it asks again then.
    places.min().map(|at_ms| context.deadline_after(at_ms.saturating_sub(context.now_ms).max(1)))
}

/// Delivers entries of one stream.
fn read_for_member(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    key: &Key<'_>,
    options: &ReadOptions<'_>,
    (group, name, reading): (&[u8], &[u8], Reading),
    streams: &mut StreamReplies,
) -> Outcome {
    let (now_ms, recorded) = (context.now_ms, context.is_recorded());
    let member = Member { group, name };
    let Some((log, group)) = context.write::<BoxedStream>(key)?.and_then(|stream| stream.group_mut(group)) else {
        return Ok(());
    };
    let known = group.find_consumer(name);
    let consumer = known.unwrap_or_else(|| group.add_consumer(name, now_ms));
    group.consumer_mut(consumer).seen_ms = now_ms;
    let group_before = group.last_id;
    let mut delivery = Delivery { log, group, consumer, now_ms, options, record: recorded.then(Vec::new) };
    let delivered = match reading {
        Reading::History(after) => {
            streams.begin(reply, key.bytes);
            delivery.write_history(reply, after);
            true
        }
        Reading::New => {
            let idle = delivery.find_idle();
            let has_new = !log.is_empty() && log.last_live_id() > delivery.group.last_id;
            if has_new || !idle.is_empty() {
                streams.begin(reply, key.bytes);
                delivery.write_new(reply, &idle);
            }
            has_new || !idle.is_empty()
        }
    };
    let (last_id, entries_read) = (delivery.group.last_id, delivery.group.entries_read);
    let record = delivery.record.take().unwrap_or_default();
    if known.is_none() {
        changed_group(context, key, "xgroup-createconsumer");
        effects::member_made(context, key, member);
    }
    for assigned in record {
        effects::entry_assigned(context, key, member, assigned);
    }
    if last_id != group_before {
        effects::group_at(context, key, member.group, last_id, entries_read);
    }
    if delivered {
        // To read again what is pending counts no change, though it counts deliveries.
        context.changed_aside(usize::from(matches!(reading, Reading::New)), key);
        context.wake(key);
    }
    Ok(())
}

/// One stream's entries on their way to a member.
struct Delivery<'s> {
    log: &'s Log,
    group: &'s mut Group,
    consumer: ConsumerNumber,
    now_ms: i64,
    options: &'s ReadOptions<'s>,
    /// What was delivered, when and how often, where somebody wants to know.
    record: Option<Vec<(StreamId, i64, u64)>>,
}

impl Delivery<'_> {
    /// Writes entries that the member has not acknowledged, which counts as another delivery.
    fn write_history(&mut self, reply: &mut Reply<'_>, after: StreamId) {
        let ids: Vec<StreamId> = match after.next() {
            Some(start) => self.group.consumer(self.consumer).pending_from(start).take(self.options.count).collect(),
            None => Vec::new(),
        };
        reply.array(ids.len());
        for id in ids {
            let Some(entry) = self.log.get(id) else {
                reply.array(2);
                write_id(reply, id);
                reply.null_array();
                continue;
            };
            write_entry(reply, &entry);
            let deliveries = self.group.find_pending(id).map_or(0, |pending| pending.delivery_count());
            self.assign(id, deliveries.saturating_add(1));
        }
    }

    fn assign(&mut self, id: StreamId, deliveries: u64) {
        self.group.assign(id, self.consumer, self.now_ms, deliveries);
        if let Some(record) = &mut self.record {
            record.push((id, self.now_ms, deliveries));
        }
    }

    /// The entries to be claimed: pending for long enough, longest first. Those whose entry is gone are skipped.
    fn find_idle(&mut self) -> Vec<StreamId> {
        let Some(idle_ms) = self.options.claim_idle_ms else { return Vec::new() };
        let log = self.log;
        self.group
            .idle_since(self.now_ms.saturating_sub(idle_ms))
            .filter(|&id| log.contains(id))
            .take(self.options.count)
            .collect()
    }

    /// Writes claimed entries, then new ones, as many as are wanted in all.
    fn write_new(&mut self, reply: &mut Reply<'_>, idle: &[StreamId]) {
        let place = reply.deferred();
        let mut written = 0;
        for &id in idle {
            let (Some(entry), Some(pending)) = (self.log.get(id), self.group.find_pending(id)) else { continue };
            let idle_ms = (self.now_ms - pending.delivered_ms()).max(0);
            let deliveries = pending.delivery_count();
            write_claimed(reply, &entry, idle_ms, deliveries);
            self.assign(id, deliveries.saturating_add(1));
            written += 1;
        }
        let left = self.options.count - written;
        let start = self.group.last_id.next();
        let new = start.map(|start| self.log.range(start, StreamId::MAX)).into_iter().flatten();
        for entry in new.take(left) {
            if self.options.claim_idle_ms.is_some() {
                write_claimed(reply, &entry, 0, 0);
            } else {
                write_entry(reply, &entry);
            }
            self.log.note_delivery(self.group, entry.id);
            if !self.options.no_ack {
                self.assign(entry.id, 1);
            }
            written += 1;
        }
        reply.close_array(place, written);
        if !self.options.no_ack || !idle.is_empty() {
            self.group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
        }
    }
}

/// Writes an entry with the time since its last delivery and the number of deliveries before this one.
fn write_claimed(reply: &mut Reply<'_>, entry: &Entry<'_>, idle_ms: i64, deliveries: u64) {
    reply.array(4);
    write_id(reply, entry.id);
    write_fields(reply, entry);
    reply.int(idle_ms);
    reply.int(i64::try_from(deliveries).unwrap_or(i64::MAX));
}

#[cfg(test)]
#[path = "tests/stream_read.rs"]
mod tests;
