//! CLUSTERSCAN: going through the keys of a whole cluster, one slot after the other.
//!
//! Its cursor, `fingerprint-{tag}-position`, is routed like a key: the tag hashes to the slot that the scan stands in, so a
//! client sends the cursor to the node that has the slot, and here to the shard. The position is one of SCAN's, inside the
//! slot's table; as those mean something only with the same hash seed, the fingerprint tells whose it is, and a foreign
//! one begins the slot again. Valkey's own tags are others, which is why a cursor is read by its hash alone.

use std::sync::OnceLock;

use super::generic_scan::{remove_expired, scan_slots, Position, ScanOptions};
use crate::command::category;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::handler::reply::Reply;
use crate::slot::{crc16, hash_tag, slot_of, SLOTS};
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::number;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "clusterscan",
    summary: "Goes through the keys of a cluster in steps, slot by slot.",
    since: "9.1.0",
    complexity: "O(N) in the number of keys returned",
    group: Group::Cluster,
    categories: category::KEYSPACE,
    arity: -2,
    flags: READONLY,
    keys: &[one_key("NOT_KEY", 1)],
    syntax: "cursor [MATCH match-pattern] [COUNT count] [TYPE type] [SLOT slot]",
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    plane: Plane::Data(clusterscan),
    ..CommandSpec::DEFAULT
}];

const NO_CLUSTER: CommandError = CommandError::new("ERR This instance has cluster support disabled");
const BAD_CURSOR: CommandError = CommandError::new("ERR Invalid cursor");
const BAD_SLOT: CommandError = CommandError::new("ERR Invalid or out of range slot");
const SLOT_TWICE: CommandError = CommandError::new("ERR SLOT option can only be specified once");
const OTHER_SLOT: CommandError = CommandError::new("ERR Cursor slot mismatch with SLOT argument");
const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

/// Characters of a tag, which are what distinguishes it: enough of them for each slot to have one.
const TAG_LENGTH: usize = 3;
type Tag = [u8; TAG_LENGTH];

/// A tag for every slot: the first one that hashes to it.
fn tags() -> &'static [Tag] {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static TAGS: OnceLock<Vec<Tag>> = OnceLock::new();
    TAGS.get_or_init(|| {
        let mut tags = vec![Tag::default(); SLOTS];
        for &a in ALPHABET {
            for &b in ALPHABET {
                for &c in ALPHABET {
                    let place = &mut tags[usize::from(crc16(&[a, b, c])) % SLOTS];
                    if *place == Tag::default() {
                        *place = [a, b, c];
                    }
                }
            }
        }
        tags
    })
}

/// What a position inside a table depends on.
fn fingerprint() -> u64 {
    sherd_types::table::hash(b"clusterscan") & 0xFFFF_FFFF
}

/// Where the keys that a pattern can match are, if they are all in one slot: its hash tag, or all of it, is plain text.
fn slot_of_pattern(pattern: &[u8]) -> Option<usize> {
    let plain = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
    let has_tag = hash_tag(&pattern[..plain]).len() < plain;
    (has_tag || plain == pattern.len()).then(|| usize::from(slot_of(&pattern[..plain])))
}

/// What the cursor and SLOT ask for: where to begin; `None` for a scan that has yet to be led to its first slot.
fn parse_cursor(cursor: &[u8], slot: Option<usize>) -> Result<Option<Position>, CommandError> {
    if cursor == b"0" {
        return Ok(None);
    }
    let mut parts = cursor.split(|&byte| byte == b'-');
    let (Some(print), Some(_), Some(bucket), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(BAD_CURSOR);
    };
    let bucket = args::cursor(bucket).map_err(|_| BAD_CURSOR)?;
    let at = usize::from(slot_of(cursor));
    if slot.is_some_and(|slot| slot != at) {
        return Err(OTHER_SLOT);
    }
    let is_ours = std::str::from_utf8(print).is_ok_and(|print| u64::from_str_radix(print, 16) == Ok(fingerprint()));
    Ok(Some(Position { slot: at, bucket: if is_ours { bucket } else { 0 } }))
}

/// The cursor that leads to a position; one at the beginning of a slot is the same for everybody.
fn write_cursor(reply: &mut Reply<'_>, position: Option<Position>) {
    let Some(Position { slot, bucket }) = position else {
        reply.bulk(b"0");
        return;
    };
    let tag = String::from_utf8_lossy(&tags()[slot]);
    let print = if bucket == 0 { 0 } else { fingerprint() };
    reply.bulk(format!("{print:x}-{{{tag}}}-{bucket}").as_bytes());
}

fn clusterscan(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !context.settings().cluster_enabled.on() {
        return Err(NO_CLUSTER);
    }
    let mut scan = ScanOptions::new();
    let mut slot = None;
    let mut options = Options::new(context.args, 2);
    while options.more() {
        let Some(text) = options.take_value("SLOT") else {
            scan.take(&mut options)?;
            continue;
        };
        let number = number::parse_i64(text).and_then(|number| usize::try_from(number).ok());
        if slot.replace(number.filter(|&number| number < SLOTS).ok_or(BAD_SLOT)?).is_some() {
            return Err(SLOT_TWICE);
        }
    }
    if let Some(name) = scan.value_type.filter(|name| !TYPES.iter().any(|known| args::is(name, known))) {
        return Err(CommandError::with(format!("ERR unknown type name '{}'", String::from_utf8_lossy(name))));
    }
    let begin = parse_cursor(context.args[1], slot)?;
    let wanted = scan.pattern.as_ref().and_then(|pattern| slot_of_pattern(pattern.source()));
    // A scan of the slot that the pattern cannot match is over, as is one that has passed the slot that it can.
    let is_over = match (wanted, slot, begin) {
        (Some(wanted), Some(slot), _) => wanted != slot,
        (Some(wanted), None, Some(begin)) => begin.slot > wanted,
        _ => false,
    };
    let only = slot.or(wanted);
    reply.array(2);
    let position = match begin {
        _ if is_over => None,
        // The caller is led to the node that has the slot.
        None => Some(Position { slot: only.unwrap_or(0), bucket: 0 }),
        Some(begin) if only.is_some_and(|only| begin.slot < only) => only.map(|slot| Position { slot, bucket: 0 }),
        Some(begin) => return scan_from(context, reply, &scan, begin, only.is_some()),
    };
    write_cursor(reply, position);
    reply.array(0);
    Ok(())
}

/// Scans from a position on: its slot, or all that follow on its shard.
fn scan_from(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    options: &ScanOptions<'_>,
    mut position: Position,
    one_slot: bool,
) -> Outcome {
    let (map, now_ms, db) = (context.world.slots, context.expired_until_ms(), context.client.db);
    let shard = context.shards.of_slot_ref(position.slot as u16);
    let shard_end = map.slots_of(shard.index).end;
    let end = if one_slot { position.slot + 1 } else { shard_end };
    let mut body = Vec::new();
    let mut keys = Reply::new(&mut body, reply.protocol());
    let mut found = 0;
    let mut expired = Vec::new();
    match shard.db(db) {
        None => position = Position { slot: end, bucket: 0 },
        Some(database) => scan_slots(database, &mut position, end, options.count, |entry| {
            if options.wants(entry, now_ms, &mut expired) {
                keys.bulk(sherd_types::table::Entry::key(entry));
                found += 1;
            }
        }),
    }
    let is_over = position.slot >= SLOTS || one_slot && position.slot >= end;
    write_cursor(reply, (!is_over).then_some(position));
    reply.array(found);
    reply.raw(&body);
    remove_expired(context, &expired);
    Ok(())
}

#[cfg(test)]
#[path = "tests/cluster_scan.rs"]
mod tests;
