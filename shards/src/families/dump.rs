//! DUMP and RESTORE: values as bytes that other servers of the Redis kind exchange. The format is in [`crate::rdb`].

use super::effects;
use super::timed_access;
use crate::command::category;
use crate::handler::args::{self, Options};
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::object::Object;
use crate::entry::NewValue;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::entry::policy;
use crate::rdb::dump::{self, Refused};
use crate::rdb::{Dialect, Limits, Loaded};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::number::format_i64;
use sherd_types::set::Set;

const BUSY_KEY: CommandError = CommandError::new("BUSYKEY Target key name already exists.");
const TTL_NEGATIVE: CommandError = CommandError::new("ERR Invalid TTL value, must be >= 0");
const IDLE_TIME_NEGATIVE: CommandError = CommandError::new("ERR Invalid IDLETIME value, must be >= 0");
const FREQUENCY_RANGE: CommandError = CommandError::new("ERR Invalid FREQ value, must be >= 0 and <= 255");
const WRONG_FOOTER: CommandError = CommandError::new("ERR DUMP payload version or checksum are wrong");
const WRONG_VALUE: CommandError = CommandError::new("ERR Bad data format");

/// The longest idle time that the access clock can tell from none, in seconds.
const IDLE_SECONDS_MAX: i64 = (1 << 23) - 1;

const RESTORE: CommandSpec = CommandSpec {
    since: "2.6.0",
    complexity: "O(1) to create the key, O(N*M) to read N elements of size M; O(N*M*log(N)) for sorted sets",
    arity: -4,
    flags: WRITE | DENYOOM,
    history: &[("3.0.0", "`REPLACE`."), ("5.0.0", "`ABSTTL`."), ("5.0.0", "`IDLETIME` and `FREQ`.")],
    categories: category::KEYSPACE.with(category::DANGEROUS),
    keys: &[one_key("OW UPDATE", 1)],
    syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
    plane: Plane::Data(restore),
    ..CommandSpec::DEFAULT
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "dump",
        summary: "Returns the value of a key as bytes that RESTORE turns into a value again.",
        since: "2.6.0",
        complexity: "O(1) to find the key, O(N*M) to write N elements of size M",
        arity: 2,
        flags: READONLY,
        categories: category::KEYSPACE,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key",
        tips: &["nondeterministic_output"],
        plane: Plane::Data(dump),
        ..CommandSpec::DEFAULT
    },
    CommandSpec { name: "restore", summary: "Creates a key from the bytes that DUMP gave.", ..RESTORE },
    CommandSpec {
        name: "restore-asking",
        summary: "Creates a key from the bytes that DUMP gave, in a slot that is moving here.",
        since: "3.0.0",
        system: true,
        group: Group::Server,
        flags: WRITE | DENYOOM | ASKING,
        ..RESTORE
    },
];

fn dump(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let dialect = Dialect::of(&context.world.settings);
    match context.get(&key) {
        Some(entry) => reply.bulk(&dump::dump_in(&entry.value(), dialect)),
        None => reply.null(),
    }
    Ok(())
}

/// The options of RESTORE.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<u8>,
}

impl RestoreOptions {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut parsed = Self::default();
        let mut options = Options::new(args, 4);
        while options.more() {
            if options.take("replace") {
                parsed.replace = true;
            } else if options.take("absttl") {
                parsed.absolute = true;
            } else if let Some(seconds) = parsed.frequency.is_none().then(|| options.take_value("idletime")).flatten() {
                let seconds = args::integer(seconds)?;
                if seconds < 0 {
                    return Err(IDLE_TIME_NEGATIVE);
                }
                parsed.idle_seconds = Some(seconds);
            } else if let Some(count) = parsed.idle_seconds.is_none().then(|| options.take_value("freq")).flatten() {
                parsed.frequency = Some(u8::try_from(args::integer(count)?).map_err(|_| FREQUENCY_RANGE)?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(parsed)
    }
}

fn restore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let options = RestoreOptions::parse(args)?;
    let key = context.key(1);
    let is_there = context.get_to_replace(&key).is_some();
    if is_there && !options.replace {
        return Err(BUSY_KEY);
    }
    let ttl_ms = args::integer(args[2])?;
    if ttl_ms < 0 {
        return Err(TTL_NEGATIVE);
    }
    let limits = Limits::from_settings(context.settings());
    let mut loaded = dump::restore(args[3], &limits, 0).map_err(|refused| match refused {
        Refused::Footer => WRONG_FOOTER,
        Refused::Value => WRONG_VALUE,
    })?;
    let expired = leave_out_expired(&mut loaded, timed_access::now(context));
    let expiry = match ttl_ms {
        0 => None,
        at if options.absolute => Some(at),
        ttl => Some(context.now_ms.saturating_add(ttl)),
    };
    let value = match loaded {
        Loaded::Text(ref bytes) => Some(NewValue::Text(bytes)),
        Loaded::Object(object) if !expired.is_empty() && object.view().element_count() == 0 => None,
        Loaded::Object(object) => Some(NewValue::Object(object)),
        Loaded::Expired | Loaded::Empty => None,
    };
    match value.filter(|_| expiry.is_none_or(|at| !context.is_over(at))) {
        Some(value) => {
            if is_there {
                // What it replaces goes first, so it is a new key in any case.
                context.notify(&key, class::NEW, "new");
            }
            context.insert(&key, value, expiry.map_or(Expiry::None, Expiry::At));
            set_clock(context, &key, &options);
            context.changed(&key, class::GENERIC, "restore");
            record(context, expiry.filter(|_| !options.absolute), &expired);
        }
        // What has expired before it is there only removes what it would have replaced.
        None if context.discard(&key) => {
            context.changed(&key, class::GENERIC, "del");
            effects::deleted(context, &key);
        }
        None => {}
    }
    reply.ok();
    Ok(())
}

/// Takes out of a hash or a set what has expired, and returns the names.
fn leave_out_expired(loaded: &mut Loaded<'_>, now: u64) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let timed = match loaded {
        Loaded::Object(Object::Hash(hash)) => hash.timed_mut(),
        Loaded::Object(Object::Set(set)) => set.timed_mut(),
        _ => None,
    };
    if let Some(timed) = timed.filter(|timed| timed.is_due(now)) {
        timed.remove_all_expired(now, |name| names.push(name.to_vec()));
    }
    names
}

/// Records a RESTORE that has told its time as one from now on, and what of the value was left out as it had expired: whoever
/// repeats the command keeps that.
fn record(context: &mut Context<'_>, expiry: Option<i64>, expired: &[Vec<u8>]) {
    if !context.is_recorded() || expiry.is_none() && expired.is_empty() {
        return;
    }
    let (args, key) = (context.args, context.key(1));
    let mut at = Default::default();
    let (time, absolute): (_, &[&[u8]]) = match expiry {
        Some(at_ms) => (format_i64(at_ms, &mut at), &[b"ABSTTL"]),
        None => (args[2], &[]),
    };
    let parts: Vec<&[u8]> =
        [b"RESTORE", args[1], time].into_iter().chain(args[3..].iter().copied()).chain(absolute.iter().copied()).collect();
    context.effect(&parts);
    let is_set = context.peek_typed::<Set>(&key).is_ok_and(|set| set.is_some());
    let remove = if is_set { "SREM" } else { "HDEL" };
    effects::with_elements(context, remove, &key, expired.iter().map(Vec::as_slice));
}

/// Makes the key look as if it had not been used for a time, or had been used so often, where the eviction policy asks for
/// that.
fn set_clock(context: &mut Context<'_>, key: &Key<'_>, options: &RestoreOptions) {
    let counts = policy::is_lfu(context.settings().maxmemory_policy.get());
    let now = context.shard(key).clock;
    let clock = match (counts, options.frequency, options.idle_seconds) {
        (true, Some(frequency), _) => now & !0xFF | u32::from(frequency),
        (false, _, Some(seconds)) => now.wrapping_sub(seconds.min(IDLE_SECONDS_MAX) as u32) & 0x00FF_FFFF,
        _ => return,
    };
    if let Some(entry) = context.get_mut(key) {
        entry.set_clock(clock);
    }
}

#[cfg(test)]
#[path = "tests/dump.rs"]
mod tests;
