//! Values of fields together with their expiry: HGETEX, HSETEX.

use super::effects;
use super::element_expire::{parse_time, record_time, Base, Timed, Unit};
use super::hash::{limits, parse_fields, write_value, HASH};
use super::timed_access;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::hash::Hash;

const ONE_CONDITION: CommandError = CommandError::new("ERR Only one of FXX or FNX arguments can be specified");
pub(super) const ONE_LIFETIME: CommandError =
    CommandError::new("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const FIELD_COUNT: CommandError = CommandError::new("ERR invalid number of fields");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hgetex",
        summary: "Returns the values of fields of a hash and sets or removes their expiry.",
        since: "8.0.0",
        complexity: "O(N) in the number of fields given",
        arity: -5,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
                 FIELDS numfields field [field ...]",
        plane: Plane::Data(hgetex),
        ..HASH
    },
    CommandSpec {
        name: "hsetex",
        summary: "Sets fields of a hash to values, with an expiry and under a condition.",
        since: "8.0.0",
        complexity: "O(N) in the number of fields set",
        arity: -6,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields (field value) [(field value) ...]",
        plane: Plane::Data(hsetex),
        ..HASH
    },
];

/// What becomes of the expiry of the fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// Nothing said: reading leaves it, writing removes it.
    Unsaid,
    Keep,
    Persist,
    Until(u64),
}

/// How the word introduces a time, if it does.
pub(super) fn time_option(word: &[u8]) -> Option<(Unit, Base)> {
    [
        ("EX", Unit::Seconds, Base::Now),
        ("PX", Unit::Milliseconds, Base::Now),
        ("EXAT", Unit::Seconds, Base::Epoch),
        ("PXAT", Unit::Milliseconds, Base::Epoch),
    ]
    .into_iter()
    .find_map(|(name, unit, base)| args::is(word, name).then_some((unit, base)))
}

fn hgetex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args, now) = (context.key(1), context.args, timed_access::now(context));
    let are_named = context.is_recorded() || context.names_elements(class::HASH);
    context.is_there::<Hash>(&key)?;
    // The options have fixed places: at most one of them, then FIELDS.
    let (lifetime, first) = match time_option(args[2]) {
        Some((unit, base)) => (Lifetime::Until(parse_time(context, args[3], unit, base)?), 4),
        None if args::is(args[2], "PERSIST") => (Lifetime::Persist, 3),
        None => (Lifetime::Unsaid, 2),
    };
    if first + 1 >= args.len() {
        return Err(CommandError::arity("hgetex"));
    }
    let fields = parse_fields(args, first)?;
    reply.array(fields.len());
    let Some(hash) = timed_access::write::<Hash>(context, &key, fields.iter())? else {
        fields.iter().for_each(|_| reply.null());
        return Ok(());
    };
    if lifetime != Lifetime::Unsaid {
        hash.expect_expiries();
    }
    let (mut timed, mut applied) = (Timed::default(), Vec::new());
    for field in fields {
        write_value(reply, Some(&*hash), field);
        match lifetime {
            Lifetime::Until(time) if hash.contains(field) => {
                timed.apply(hash, field, time, now, ());
                applied.extend(are_named.then_some(*field));
            }
            Lifetime::Persist if timed.persist(hash, field, ()) => applied.extend(are_named.then_some(*field)),
            _ => {}
        }
    }
    let emptied = hash.is_empty();
    match lifetime {
        Lifetime::Until(time) => record_time::<Hash>(context, &key, (time, now), &applied),
        Lifetime::Persist => effects::elements_persist(context, &key, &applied),
        _ => {}
    }
    timed.finish::<Hash>(context, &key, emptied, &applied);
    Ok(())
}

/// Which fields HSETEX wants to find, or, of the key, whether it wants to find that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    NoneExists,
    AllExist,
}

/// What HSETEX is asked for.
struct SetRequest<'a> {
    of_key: Condition,
    of_fields: Condition,
    lifetime: Lifetime,
    /// Fields and values, and before them their number.
    counted: &'a [&'a [u8]],
    pairs: &'a [&'a [u8]],
}

impl<'a> SetRequest<'a> {
    fn parse(context: &Context<'a>) -> Result<Self, CommandError> {
        let args = context.args;
        let arity = || CommandError::arity("hsetex");
        let (mut of_key, mut of_fields, mut lifetime) = (Condition::Always, Condition::Always, Lifetime::Unsaid);
        let mut at = 2;
        loop {
            let word = args.get(at).ok_or_else(arity)?;
            at += 1;
            if args::is(word, "FIELDS") {
                break;
            }
            if args::is(word, "FNX") || args::is(word, "FXX") {
                if of_fields != Condition::Always {
                    return Err(ONE_CONDITION);
                }
                of_fields = if args::is(word, "FNX") { Condition::NoneExists } else { Condition::AllExist };
                continue;
            }
            if args::is(word, "NX") || args::is(word, "XX") {
                let wanted = if args::is(word, "NX") { Condition::NoneExists } else { Condition::AllExist };
                if of_key != Condition::Always && of_key != wanted {
                    return Err(SYNTAX);
                }
                of_key = wanted;
                continue;
            }
            let time = time_option(word);
            if time.is_none() && !args::is(word, "KEEPTTL") {
                let word = String::from_utf8_lossy(word);
                return Err(CommandError::with(format!("ERR unknown argument: {word}")));
            }
            if lifetime != Lifetime::Unsaid {
                return Err(ONE_LIFETIME);
            }
            lifetime = Lifetime::Keep;
            if let Some((unit, base)) = time {
                lifetime = Lifetime::Until(parse_time(context, args.get(at).ok_or_else(arity)?, unit, base)?);
                at += 1;
            }
        }
        // A number, a field and a value are missed before the number is read.
        if args.len() < at + 3 {
            return Err(arity());
        }
        let count = args::non_negative(args[at]).map_err(|_| FIELD_COUNT)?;
        if !(1..=i32::MAX as usize).contains(&count) {
            return Err(FIELD_COUNT);
        }
        let pairs = &args[at + 1..];
        if pairs.len() != 2 * count {
            return Err(arity());
        }
        Ok(Self { of_key, of_fields, lifetime, counted: &args[at..], pairs })
    }

    fn fields(&self) -> impl Iterator<Item = &'a &'a [u8]> + Clone {
        self.pairs.iter().step_by(2)
    }

    fn is_met_by(&self, hash: Option<&Hash>) -> bool {
        let exists = |field: &&[u8]| hash.is_some_and(|hash| hash.contains(field));
        let is_key_met = match self.of_key {
            Condition::Always => true,
            Condition::NoneExists => hash.is_none(),
            Condition::AllExist => hash.is_some(),
        };
        is_key_met
            && match self.of_fields {
                Condition::Always => true,
                Condition::NoneExists => !self.fields().any(exists),
                Condition::AllExist => self.fields().all(exists),
            }
    }
}

fn hsetex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, now) = (context.key(1), limits(context), timed_access::now(context));
    let request = SetRequest::parse(context)?;
    let hash = timed_access::write::<Hash>(context, &key, request.fields())?;
    if !request.is_met_by(hash.as_deref()) {
        reply.int(0);
        return Ok(());
    }
    let hash = context.upsert::<Hash>(&key)?;
    hash.expect_additions(request.pairs.len() / 2, limits);
    for pair in request.pairs.chunks_exact(2) {
        hash.set(pair[0], pair[1], limits);
        if request.lifetime != Lifetime::Keep && hash.has_expiries() {
            hash.set_expiry(pair[0], None);
        }
    }
    let mut timed = Timed::default();
    if let Lifetime::Until(time) = request.lifetime {
        hash.expect_expiries();
        request.fields().for_each(|field| timed.apply(hash, field, time, now, ()));
    }
    let emptied = hash.is_empty();
    context.changed_elements(request.pairs.len() / 2, &key, (class::HASH, "hset"), request.fields().copied());
    // Without the conditions, which are met, and which not every server knows.
    if request.lifetime != Lifetime::Keep {
        effects::with_elements(context, "HSET", &key, request.pairs.iter().copied());
    } else if context.is_recorded() {
        let head: [&[u8]; 4] = [b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS"];
        context.effect(&[&head, request.counted].concat());
    }
    let mut fields: Vec<&[u8]> = Vec::new();
    if let Lifetime::Until(time) = request.lifetime {
        if context.is_recorded() || context.names_elements(class::HASH) {
            fields.extend(request.fields());
        }
        record_time::<Hash>(context, &key, (time, now), &fields);
    }
    timed.finish_written::<Hash>(context, &key, emptied, &fields);
    reply.int(1);
    Ok(())
}

#[cfg(test)]
#[path = "tests/hash_timed.rs"]
mod tests;
