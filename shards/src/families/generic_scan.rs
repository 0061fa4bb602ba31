//! Looking through the keyspace: KEYS, SCAN, RANDOMKEY, DBSIZE.
//!
//! A SCAN cursor carries the slot it stands in below the position in the slot's table, so that every call is routed to
//! one shard and needs only that one. KEYS goes through the shards one after the other, so that each is held for its own keys
//! only: a key that comes while it does is found or not. In a transaction all are held. A SCAN call goes on over empty slots, but ends with its shard's last slot: the next
//! call begins with the first slot of the next shard. Rejected: going on into the shards that follow while there is something left of
//! COUNT. What the client has sent before, in the same pipeline, may not have been executed there yet. Outside cluster mode a shard has one table, and its first slot stands
//! for it; where no slots are used, the cursor is the table's alone.

use crate::command::category;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::keyspace::db::Db;
use crate::entry::Entry;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::glob::Pattern;
use crate::handler::reply::Reply;
use crate::slot::{SlotMap, SLOTS};
use crate::command::spec::{flag::*, CommandSpec, Group, Plane, Scope};
use sherd_types::table::Entry as _;

const GENERIC: CommandSpec = CommandSpec { group: Group::Generic, categories: category::KEYSPACE, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "keys",
        summary: "Returns all keys that match a pattern.",
        complexity: "O(N) in the number of keys in the database",
        arity: 2,
        flags: READONLY,
        categories: category::KEYSPACE.with(category::DANGEROUS),
        syntax: "pattern",
        scope: Scope::Each,
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        plane: Plane::Data(keys),
        ..GENERIC
    },
    CommandSpec {
        name: "scan",
        summary: "Goes through the keys of the database in steps.",
        since: "2.8.0",
        history: &[("6.0.0", "`TYPE`.")],
        complexity: "O(1) a call, O(N) for all calls until the cursor is 0 again",
        arity: -2,
        flags: READONLY,
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        scope: Scope::Cursor,
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        plane: Plane::Data(scan),
        ..GENERIC
    },
    CommandSpec {
        name: "randomkey",
        summary: "Returns some key of the database.",
        arity: 1,
        flags: READONLY,
        scope: Scope::All,
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        plane: Plane::Data(randomkey),
        ..GENERIC
    },
    CommandSpec {
        name: "dbsize",
        summary: "Returns the number of keys in the database.",
        group: Group::Server,
        arity: 1,
        flags: READONLY | FAST,
        scope: Scope::All,
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        plane: Plane::Data(dbsize),
        ..GENERIC
    },
];

const NOVALUES: CommandError = CommandError::new("ERR NOVALUES option can only be used in HSCAN");

/// Bits of a cursor that name the slot.
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// Buckets that one SCAN looks at, for each key it was asked for, before it gives back what it has.
const BUCKETS_A_KEY: u64 = 10;
/// Expired keys that RANDOMKEY removes before it gives up finding another.
const EXPIRED_DRAWS_MAX: usize = 1000;

fn keys(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pattern = Pattern::new(context.args[1]);
    let (db, now_ms) = (context.client.db, context.expired_until_ms());
    let place = reply.deferred();
    let mut found = 0;
    let mut expired = Vec::new();
    for database in context.all_shards().filter_map(|shard| shard.db(db)) {
        for entry in database.iter() {
            if !pattern.matches(entry.key()) {
                continue;
            }
            if entry.is_expired(now_ms) {
                expired.push(Box::from(entry.key()));
            } else {
                reply.bulk(entry.key());
                found += 1;
            }
        }
    }
    reply.close_array(place, found);
    remove_expired(context, &expired);
    Ok(())
}

/// Removes what a scan has met and found expired.
pub(super) fn remove_expired(context: &mut Context<'_>, keys: &[Box<[u8]>]) {
    for bytes in keys {
        let key = context.key_of(bytes);
        context.expire_now(&key);
    }
}

/// The options of SCAN.
pub(super) struct ScanOptions<'a> {
    pub pattern: Option<Pattern<'a>>,
    pub count: usize,
    pub value_type: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let mut parsed = Self::new();
        let mut options = Options::new(args, 2);
        while options.more() {
            parsed.take(&mut options)?;
        }
        Ok(parsed)
    }

    /// All keys, about ten a call.
    pub fn new() -> Self {
        ScanOptions { pattern: None, count: 10, value_type: None }
    }

    /// Takes the next option.
    pub fn take(&mut self, options: &mut Options<'a>) -> Outcome {
        if let Some(pattern) = options.take_value("MATCH") {
            self.pattern = Some(Pattern::new(pattern));
        } else if let Some(text) = options.take_value("COUNT") {
            self.count = usize::try_from(args::integer(text)?).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
        } else if let Some(name) = options.take_value("TYPE") {
            self.value_type = Some(name);
        } else if options.take("NOVALUES") {
            return Err(NOVALUES);
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    }

    /// Whether an entry is one of those that are looked for. One that would be, but for its type, and has expired is noted.
    #[inline]
    pub fn wants(&self, entry: &Entry, now_ms: i64, expired: &mut Vec<Box<[u8]>>) -> bool {
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.matches(entry.key())) {
            return false;
        }
        if entry.is_expired(now_ms) {
            note(expired, entry);
            return false;
        }
        self.value_type.is_none_or(|name| name.eq_ignore_ascii_case(entry.value_type().name().as_bytes()))
    }
}

#[cold]
fn note(expired: &mut Vec<Box<[u8]>>, entry: &Entry) {
    expired.push(Box::from(entry.key()));
}

/// Where a scan stands.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub slot: usize,
    pub bucket: u64,
}

impl Position {
    fn parse(map: &SlotMap, text: &[u8]) -> Result<Position, CommandError> {
        let cursor = args::cursor(text)?;
        if !map.uses_slots() {
            return Ok(Position { slot: 0, bucket: cursor });
        }
        Ok(Position { slot: (cursor % SLOTS as u64) as usize, bucket: cursor >> SLOT_BITS })
    }

    /// The cursor that leads here; past the last slot is the end.
    fn cursor(self, map: &SlotMap) -> u64 {
        match map.uses_slots() {
            false => self.bucket,
            true if self.slot >= SLOTS => 0,
            true => self.bucket << SLOT_BITS | self.slot as u64,
        }
    }
}

fn scan(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let map = context.world.slots;
    let mut position = Position::parse(&map, context.args[1])?;
    let options = ScanOptions::parse(context.args)?;
    let now_ms = context.expired_until_ms();
    // The cursor comes before the keys in the reply, but is known after them.
    let mut body = Vec::new();
    let mut keys = Reply::new(&mut body, reply.protocol());
    let mut found = 0;
    let mut expired = Vec::new();
    let shard = context.shards.of_slot_ref(position.slot as u16);
    let database = shard.db(context.client.db);
    if let Some(database) = database {
        scan_slots(database, &mut position, database.slots().end, options.count, |entry| {
            if options.wants(entry, now_ms, &mut expired) {
                keys.bulk(entry.key());
                found += 1;
            }
        });
    }
    if database.is_none_or(|database| position.slot >= database.slots().end) {
        position = Position { slot: map.slots_of(shard.index).end, bucket: 0 };
    }
    reply.array(2);
    // A table's position has 32 bits, so the cursor is far from the sign bit.
    reply.bulk_int(position.cursor(&map) as i64);
    reply.array(found);
    reply.raw(&body);
    remove_expired(context, &expired);
    Ok(())
}

/// Visits entries of the slots below `end` until there are enough of them or enough work was done, and moves the position to
/// where to go on.
pub(super) fn scan_slots(
    database: &Db,
    position: &mut Position,
    end: usize,
    count: usize,
    mut visit: impl FnMut(&Entry),
) {
    let mut buckets_left = (count as u64).saturating_mul(BUCKETS_A_KEY);
    let mut visited = 0;
    while position.slot < end && visited < count && buckets_left > 0 {
        // An empty slot costs nanoseconds, and a shard has a bounded number of them.
        if database.table(position.slot as u16).is_empty() {
            position.bucket = 0;
        } else {
            buckets_left -= 1;
            position.bucket = database.scan_slot(position.slot, position.bucket, |entry| {
                visited += 1;
                visit(entry);
            });
        }
        position.slot += usize::from(position.bucket == 0);
    }
}

fn randomkey(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    for _ in 0..EXPIRED_DRAWS_MAX {
        let Some((key, expired)) = draw(context) else { break };
        if !expired {
            reply.bulk(&key);
            return Ok(());
        }
        let key = context.key_of(&key);
        context.expire_now(&key);
    }
    reply.null();
    Ok(())
}

/// Some key of the database, each with about the same chance, and whether it has expired.
fn draw(context: &mut Context<'_>) -> Option<(Vec<u8>, bool)> {
    let (db, now_ms) = (context.client.db, context.expired_until_ms());
    let total: usize = context.all_shards().filter_map(|shard| shard.db(db)).map(Db::len).sum();
    if total == 0 {
        return None;
    }
    let mut chosen = context.random_below(total);
    for shard in context.all_shards() {
        let mut random = shard.random.clone();
        let Some(database) = shard.db(db) else { continue };
        if chosen >= database.len() {
            chosen -= database.len();
            continue;
        }
        let drawn = database.random(|| random.next()).map(|entry| (entry.key().to_vec(), entry.is_expired(now_ms)));
        shard.random = random;
        return drawn;
    }
    None
}

fn dbsize(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let db = context.client.db;
    reply.count(context.all_shards().filter_map(|shard| shard.db(db)).map(Db::len).sum());
    Ok(())
}

#[cfg(test)]
#[path = "tests/generic_scan.rs"]
mod tests;
