//! Taking over entries that another member of a group did not acknowledge: XCLAIM by id, XAUTOCLAIM by searching.

use super::effects::{self, Member};
use super::stream_group::changed_group;
use super::stream::{look_for_group, no_group, parse_id, parse_start, stream_of_group, write_entry, write_id, STREAM};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::stream::{ConsumerNumber, Group, Log, Stream, StreamId};

const CLAIM_BAD_IDLE: CommandError = CommandError::new("ERR Invalid min-idle-time argument for XCLAIM");
const CLAIM_BAD_IDLE_OPTION: CommandError = CommandError::new("ERR Invalid IDLE option argument for XCLAIM");
const CLAIM_BAD_TIME: CommandError = CommandError::new("ERR Invalid TIME option argument for XCLAIM");
const CLAIM_BAD_RETRY: CommandError = CommandError::new("ERR Invalid RETRYCOUNT option argument for XCLAIM");
const SEARCH_BAD_IDLE: CommandError = CommandError::new("ERR Invalid min-idle-time argument for XAUTOCLAIM");
const SEARCH_BAD_COUNT: CommandError = CommandError::new("ERR COUNT must be > 0");

/// XAUTOCLAIM: entries wanted unless COUNT says otherwise, and how many it looks at for each.
const SEARCH_COUNT_DEFAULT: usize = 100;
const SEARCH_ATTEMPTS: usize = 10;
/// The highest COUNT: a number of ids that fits Redis' memory.
const SEARCH_COUNT_MAX: i64 = i64::MAX / 16;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xclaim",
        summary: "Makes a consumer the owner of pending entries, as if they were delivered to it.",
        complexity: "O(log N) for each entry, in the number of the group's pending entries",
        arity: -6,
        flags: WRITE | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] \
                 [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(xclaim),
        ..STREAM
    },
    CommandSpec {
        name: "xautoclaim",
        summary: "Looks for entries that are pending for long and makes a consumer their owner.",
        since: "6.2.0",
        history: &[("7.0.0", "The ids of deleted entries, in a third element.")],
        complexity: "O(1) if COUNT is small",
        arity: -6,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE", 1)],
        syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(xautoclaim),
        ..STREAM
    },
];

/// How entries are handed over.
struct Claim {
    min_idle_ms: i64,
    /// When they count as delivered.
    delivered_ms: i64,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    /// Entries that are gone are handed over as well: from a file of this server, which says so by a negative time.
    takes_gone: bool,
}

/// The options of XCLAIM.
struct ClaimOptions {
    ids: Vec<StreamId>,
    claim: Claim,
    last_id: Option<StreamId>,
}

impl ClaimOptions {
    fn parse(args: &[&[u8]], now_ms: i64, is_obeyed: bool) -> Result<Self, CommandError> {
        let min_idle_ms = args::integer_or(args[4], CLAIM_BAD_IDLE)?;
        // Ids come first; what is none begins the options.
        let ids: Vec<StreamId> = args[5..].iter().map_while(|text| StreamId::parse(text, 0)).collect();
        let (mut delivered_ms, mut retry_count, mut last_id) = (None, None, None);
        let (mut force, mut just_id) = (false, false);
        let mut options = Options::new(args, 5 + ids.len());
        while let Some(word) = options.peek() {
            if options.take("FORCE") {
                force = true;
            } else if options.take("JUSTID") {
                just_id = true;
            } else if let Some(text) = options.take_value("IDLE") {
                delivered_ms = Some(now_ms.wrapping_sub(args::integer_or(text, CLAIM_BAD_IDLE_OPTION)?));
            } else if let Some(text) = options.take_value("TIME") {
                delivered_ms = Some(args::integer_or(text, CLAIM_BAD_TIME)?);
            } else if let Some(text) = options.take_value("RETRYCOUNT") {
                retry_count = u64::try_from(args::integer_or(text, CLAIM_BAD_RETRY)?).ok();
            } else if let Some(text) = options.take_value("LASTID") {
                last_id = Some(parse_id(text)?);
            } else {
                let word = String::from_utf8_lossy(word);
                return Err(CommandError::with(format!("ERR Unrecognized XCLAIM option '{word}'")));
            }
        }
        // A time that makes no sense is now; a journal tells when it was.
        let makes_sense = |time: &i64| is_obeyed || (0..=now_ms).contains(time);
        let delivered_ms = delivered_ms.filter(makes_sense).unwrap_or(now_ms);
        let takes_gone = is_obeyed && just_id && min_idle_ms < 0;
        let min_idle_ms = min_idle_ms.max(0);
        let claim = Claim { min_idle_ms, delivered_ms, retry_count, force, just_id, takes_gone };
        Ok(ClaimOptions { ids, claim, last_id })
    }
}

/// An entry that was handed over, with when it counts as delivered and how often, or that is pending no more.
type Handed = (StreamId, Option<(i64, u64)>);

/// A group at work for one of its members.
struct Claimer<'s> {
    log: &'s Log,
    group: &'s mut Group,
    consumer: ConsumerNumber,
    now_ms: i64,
    /// The consumer was made for this command.
    is_new: bool,
    /// Entries that were handed over or are pending no more.
    changes: usize,
    /// The same one by one, where somebody wants to know: when it was delivered and how often, if it was handed over.
    record: Option<Vec<Handed>>,
}

impl<'s> Claimer<'s> {
    /// The member named in argument 3, made if it is not there.
    fn new(stream: &'s mut Stream, args: &[&[u8]], now_ms: i64, recorded: bool) -> Result<Self, CommandError> {
        let (log, group) = stream.group_mut(args[2]).ok_or_else(|| no_group(args[1], args[2]))?;
        let known = group.find_consumer(args[3]);
        let consumer = known.unwrap_or_else(|| group.add_consumer(args[3], now_ms));
        group.consumer_mut(consumer).seen_ms = now_ms;
        let record = recorded.then(Vec::new);
        Ok(Claimer { log, group, consumer, now_ms, is_new: known.is_none(), changes: 0, record })
    }

    /// Hands an entry over and writes it; false if it is not pending, or not for long enough.
    fn take(&mut self, reply: &mut Reply<'_>, id: StreamId, claim: &Claim) -> bool {
        let entry = self.log.get(id);
        if entry.is_none() && !claim.takes_gone {
            self.acknowledge(id);
            return false;
        }
        let deliveries = match self.group.find_pending(id) {
            Some(pending) => {
                // One whose delivery is to come by a clock that was set back has not been idle at all.
                let idle_ms = self.now_ms.saturating_sub(pending.delivered_ms()).max(0);
                if pending.consumer().is_some() && idle_ms < claim.min_idle_ms {
                    return false;
                }
                pending.delivery_count()
            }
            // It counts as delivered once before it is claimed.
            None if claim.force => 1,
            None => return false,
        };
        let deliveries = claim.retry_count.unwrap_or(deliveries.saturating_add(u64::from(!claim.just_id)));
        self.group.assign(id, self.consumer, claim.delivered_ms, deliveries);
        self.group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
        self.changes += 1;
        if let Some(record) = &mut self.record {
            record.push((id, Some((claim.delivered_ms, deliveries))));
        }
        match entry {
            Some(entry) if !claim.just_id => write_entry(reply, &entry),
            _ => write_id(reply, id),
        }
        true
    }

    /// Nobody can ever process an entry that is gone.
    fn acknowledge(&mut self, id: StreamId) {
        let was_pending = self.group.acknowledge(id);
        self.changes += usize::from(was_pending);
        if let Some(record) = self.record.as_mut().filter(|_| was_pending) {
            record.push((id, None));
        }
    }

    /// What there is to tell.
    fn done(self) -> Claimed {
        Claimed { new_consumer: self.is_new, changes: self.changes, record: self.record.unwrap_or_default() }
    }
}

/// What a command has done to a group.
struct Claimed {
    new_consumer: bool,
    changes: usize,
    record: Vec<Handed>,
}

fn announce(context: &mut Context<'_>, key: &Key<'_>, claimed: &Claimed) {
    let member = Member { group: context.args[2], name: context.args[3] };
    if claimed.new_consumer {
        changed_group(context, key, "xgroup-createconsumer");
        effects::member_made(context, key, member);
    }
    if claimed.changes > 0 {
        context.changed_aside(claimed.changes, key);
        context.wake(key);
    }
    for (id, assigned) in &claimed.record {
        match assigned {
            Some((delivered_ms, deliveries)) => {
                effects::entry_assigned(context, key, member, (*id, *delivered_ms, *deliveries));
            }
            None => effects::acknowledged(context, key, member.group, &[*id]),
        }
    }
}

fn xclaim(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (args, now_ms) = (context.args, context.now_ms);
    let key = context.key(1);
    // That the group is missing is told before an option is wrong.
    look_for_group(context, &key, args[2])?;
    let options = ClaimOptions::parse(args, now_ms, context.origin.must_be_obeyed())?;
    let recorded = context.is_recorded();
    // Whoever takes what was delivered elsewhere was seen there then.
    let seen_ms = if context.origin.must_be_obeyed() { options.claim.delivered_ms } else { now_ms };
    let mut claimer = Claimer::new(stream_of_group(context, &key, args[2])?, args, seen_ms, recorded)?;
    let last_id = options.last_id.filter(|&id| id > claimer.group.last_id);
    if let Some(last_id) = last_id {
        claimer.group.last_id = last_id;
    }
    let place = reply.deferred();
    let claimed = options.ids.iter().filter(|&&id| claimer.take(reply, id, &options.claim)).count();
    reply.close_array(place, claimed);
    // The new last id goes with the entries; alone it is a change of its own.
    if last_id.is_some() && claimer.changes == 0 {
        claimer.changes = 1;
    }
    let entries_read = claimer.group.entries_read;
    let claimed = claimer.done();
    announce(context, &key, &claimed);
    if let Some(last_id) = last_id {
        effects::group_at(context, &key, args[2], last_id, entries_read);
    }
    Ok(())
}

fn xautoclaim(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (args, now_ms) = (context.args, context.now_ms);
    let min_idle_ms = args::integer_or(args[4], SEARCH_BAD_IDLE)?.max(0);
    let start = parse_start(args[5])?;
    let (mut count, mut just_id) = (SEARCH_COUNT_DEFAULT, false);
    let mut options = Options::new(args, 6);
    while options.more() {
        if options.take("JUSTID") {
            just_id = true;
            continue;
        }
        let wanted = args::integer_or(options.take_value("COUNT").ok_or(SYNTAX)?, SEARCH_BAD_COUNT)?;
        count = if (1..=SEARCH_COUNT_MAX).contains(&wanted) { wanted as usize } else { return Err(SEARCH_BAD_COUNT) };
    }
    let key = context.key(1);
    let recorded = context.is_recorded();
    look_for_group(context, &key, args[2])?;
    let mut claimer = Claimer::new(stream_of_group(context, &key, args[2])?, args, now_ms, recorded)?;
    let claim = Claim { min_idle_ms, delivered_ms: now_ms, retry_count: None, force: false, just_id, takes_gone: false };
    search(reply, &mut claimer, start, count, &claim);
    let claimed = claimer.done();
    announce(context, &key, &claimed);
    Ok(())
}

/// Claims up to `count` entries from `start` on and writes where to go on, what was claimed, and which are gone.
fn search(reply: &mut Reply<'_>, claimer: &mut Claimer<'_>, start: StreamId, count: usize, claim: &Claim) {
    let (mut left, mut attempts, mut next) = (count, count.saturating_mul(SEARCH_ATTEMPTS), Some(start));
    let mut claimed = 0;
    let mut gone = Vec::new();
    // Where to go on stands before the entries, and is known after them.
    let mut entries = Vec::new();
    let mut entries_reply = Reply::new(&mut entries, reply.protocol());
    while left > 0 && attempts > 0 {
        let Some(id) = next_pending(claimer.group, next) else {
            next = None;
            break;
        };
        next = id.next();
        attempts -= 1;
        if !claimer.log.contains(id) {
            claimer.acknowledge(id);
            gone.push(id);
            left -= 1;
        } else if claimer.take(&mut entries_reply, id, claim) {
            claimed += 1;
            left -= 1;
        }
    }
    let cursor = next_pending(claimer.group, next).unwrap_or(StreamId::MIN);
    reply.array(3);
    write_id(reply, cursor);
    reply.array(claimed);
    reply.raw(&entries);
    reply.array(gone.len());
    gone.into_iter().for_each(|id| write_id(reply, id));
}

/// The first pending id from `start` on.
fn next_pending(group: &Group, start: Option<StreamId>) -> Option<StreamId> {
    group.pending_in(start?..).next().map(|(id, _)| id)
}

#[cfg(test)]
#[path = "tests/stream_claim.rs"]
mod tests;
