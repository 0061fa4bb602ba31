//! Entries that were delivered to a group: acknowledging them (XACK), giving them back (XNACK), listing them (XPENDING).

use super::stream::{no_group, parse_end, parse_ids, parse_start, stream_of_group, write_id, STREAM};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::stream::{BoxedStream, Group, Pending, StreamId};

const NACK_MODE: CommandError = CommandError::new("ERR mode must be SILENT, FAIL, or FATAL");
const NACK_IDS_MISSING: CommandError = CommandError::new("ERR syntax error, expected IDS keyword");
const NACK_IDS_NOT_POSITIVE: CommandError = CommandError::new("ERR numids must be a positive integer");
const NACK_IDS_MISMATCH: CommandError = CommandError::new("ERR number of IDs doesn't match numids");
const NACK_RETRY_NEGATIVE: CommandError = CommandError::new("ERR Invalid RETRYCOUNT value, must be >= 0");

/// The number of deliveries of an entry that is not to be tried again.
const FATAL_COUNT: u64 = i64::MAX as u64;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xack",
        summary: "Acknowledges entries for a group and returns how many were pending.",
        complexity: "O(1) for each entry",
        arity: -4,
        flags: WRITE | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key group id [id ...]",
        plane: Plane::Data(xack),
        ..STREAM
    },
    CommandSpec {
        name: "xnack",
        summary: "Gives pending entries back to their group, so that any member may claim them at once.",
        since: "8.8.0",
        complexity: "O(1) for each entry",
        arity: -7,
        flags: WRITE | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]",
        plane: Plane::Data(xnack),
        ..STREAM
    },
    CommandSpec {
        name: "xpending",
        summary: "Tells which entries a group has been given and has not acknowledged.",
        history: &[("6.2.0", "`IDLE`, and ranges without their ends.")],
        complexity: "O(N) in the number of entries returned, or of consumers",
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(xpending),
        ..STREAM
    },
];

fn xack(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let key = context.key(1);
    let group = context.write::<BoxedStream>(&key)?.and_then(|stream| stream.group_mut(args[2]));
    let Some((_, group)) = group else {
        context.get(&key);
        reply.int(0);
        return Ok(());
    };
    let ids = parse_ids(&args[3..]);
    let acknowledged = ids.map(|ids| ids.iter().filter(|&&id| group.acknowledge(id)).count());
    // It looks for its key as a reader does; another search for it would cost time.
    context.shard(&key).stats.keyspace_hits.increment();
    let acknowledged = acknowledged?;
    if acknowledged > 0 {
        context.changed_aside(acknowledged, &key);
    }
    reply.count(acknowledged);
    Ok(())
}

/// What giving back does to the number of deliveries.
#[derive(Clone, Copy)]
enum NackMode {
    /// The delivery does not count.
    Silent,
    Fail,
    Fatal,
}

struct NackOptions {
    mode: NackMode,
    ids: Vec<StreamId>,
    retry_count: Option<u64>,
    force: bool,
}

impl NackOptions {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let modes = [("SILENT", NackMode::Silent), ("FAIL", NackMode::Fail), ("FATAL", NackMode::Fatal)];
        let mode = modes.into_iter().find(|(word, _)| args::is(args[3], word)).ok_or(NACK_MODE)?.1;
        let (mut ids, mut retry_count, mut force): (Option<&[&[u8]]>, _, _) = (None, None, false);
        let mut options = Options::new(args, 4);
        while let Some(word) = options.peek() {
            if let Some(number) = options.take_value("IDS") {
                let number = args::integer_or(number, NACK_IDS_NOT_POSITIVE)?;
                let number = usize::try_from(number).ok().filter(|&number| number > 0).ok_or(NACK_IDS_NOT_POSITIVE)?;
                if number > options.left() {
                    return Err(NACK_IDS_MISMATCH);
                }
                let at = options.position();
                ids = Some(&args[at..at + number]);
                options = Options::new(args, at + number);
            } else if let Some(text) = options.take_value("RETRYCOUNT") {
                retry_count = Some(u64::try_from(args::integer(text)?).map_err(|_| NACK_RETRY_NEGATIVE)?);
            } else if options.take("FORCE") {
                force = true;
            } else {
                let word = String::from_utf8_lossy(word);
                return Err(CommandError::with(format!("ERR Unrecognized XNACK option '{word}'")));
            }
        }
        Ok(NackOptions { mode, ids: parse_ids(ids.ok_or(NACK_IDS_MISSING)?)?, retry_count, force })
    }

    /// How often an entry counts as delivered afterwards; `before` is none for one that was not pending.
    fn deliveries(&self, before: Option<u64>) -> u64 {
        self.retry_count.unwrap_or(match self.mode {
            NackMode::Silent => before.unwrap_or(0).saturating_sub(1),
            NackMode::Fail => before.unwrap_or(0),
            NackMode::Fatal => FATAL_COUNT,
        })
    }
}

fn xnack(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let key = context.key(1);
    stream_of_group(context, &key, args[2])?;
    let options = NackOptions::parse(args)?;
    let Some((log, group)) = stream_of_group(context, &key, args[2])?.group_mut(args[2]) else { return Ok(()) };
    let mut released = 0;
    for &id in &options.ids {
        let before = group.find_pending(id).map(Pending::delivery_count);
        if before.is_some() || options.force && log.contains(id) {
            group.release(id, options.deliveries(before));
            released += 1;
        }
    }
    if released > 0 {
        context.changed_aside(released, &key);
        context.wake(&key);
    }
    reply.count(released);
    Ok(())
}

/// The extended form's arguments.
struct PendingQuery<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> PendingQuery<'a> {
    /// Reads the arguments behind the group; none for the short form.
    fn parse(args: &[&'a [u8]]) -> Result<Option<Self>, CommandError> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(SYNTAX);
        }
        let (mut min_idle_ms, mut at) = (0, 3);
        if args::is(args[3], "IDLE") {
            min_idle_ms = args::integer(args[4])?;
            if args.len() < 8 {
                return Err(SYNTAX);
            }
            at = 5;
        }
        let count = args::integer(args[at + 2])?.max(0) as usize;
        let (start, end) = (parse_start(args[at])?, parse_end(args[at + 1])?);
        Ok(Some(PendingQuery { min_idle_ms, start, end, count, consumer: args.get(at + 3).copied() }))
    }
}

fn xpending(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let query = PendingQuery::parse(args)?;
    let key = context.key(1);
    let now_ms = context.now_ms;
    let stream = context.read::<BoxedStream>(&key)?;
    let group = stream.and_then(|stream| stream.group(args[2])).ok_or_else(|| no_group(args[1], args[2]))?;
    match query {
        None => write_summary(reply, group),
        Some(query) => write_list(reply, group, &query, now_ms),
    }
    Ok(())
}

/// The number of pending entries, the first and the last, and how many each consumer has.
fn write_summary(reply: &mut Reply<'_>, group: &Group) {
    reply.array(4);
    reply.count(group.pending_count());
    let ends = (group.pending().next(), group.pending().next_back());
    let (Some((first, _)), Some((last, _))) = ends else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first);
    write_id(reply, last);
    let place = reply.deferred();
    let mut consumers = 0;
    for consumer in group.consumers().filter(|consumer| consumer.pending_count() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending_count() as i64);
        consumers += 1;
    }
    reply.close_array(place, consumers);
}

fn write_list(reply: &mut Reply<'_>, group: &Group, query: &PendingQuery<'_>, now_ms: i64) {
    let consumer = query.consumer.map(|name| group.find_consumer(name));
    if query.start > query.end || consumer == Some(None) {
        reply.array(0);
        return;
    }
    let place = reply.deferred();
    // Where the clock was set back, or XCLAIM has said so, delivery is to come: then an entry has not been idle at all.
    let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms()).max(0);
    let idle_enough = |pending: &Pending| idle_ms(pending) >= query.min_idle_ms;
    let mut written = 0;
    let mut write = |id: StreamId, pending: &Pending| {
        reply.array(4);
        write_id(reply, id);
        match pending.consumer() {
            Some(number) => {
                reply.bulk(group.consumer(number).name());
                reply.int(idle_ms(pending));
            }
            // Given back: of no consumer, and idle for as long as one likes.
            None => {
                reply.bulk(b"");
                reply.int(-1);
            }
        }
        reply.int(i64::try_from(pending.delivery_count()).unwrap_or(i64::MAX));
        written += 1;
    };
    match consumer.flatten() {
        Some(number) => group
            .consumer(number)
            .pending_from(query.start)
            .take_while(|&id| id <= query.end)
            .filter_map(|id| group.find_pending(id).map(|pending| (id, pending)))
            .filter(|(_, pending)| idle_enough(pending))
            .take(query.count)
            .for_each(|(id, pending)| write(id, pending)),
        None => group
            .pending_in(query.start..=query.end)
            .filter(|(_, pending)| idle_enough(pending))
            .take(query.count)
            .for_each(|(id, pending)| write(id, pending)),
    }
    reply.close_array(place, written);
}

#[cfg(test)]
#[path = "tests/stream_pending.rs"]
mod tests;
