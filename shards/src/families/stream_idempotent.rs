//! Idempotent additions: the options of XADD that name a producer, and XCFGSET, which says what is kept of producers.
//!
//! XADD IDMP names an entry itself, IDMPAUTO has it named by its fields and values in any order. An entry that its producer
//! has added already is not added again; the reply is the id that it got. What is kept of producers belongs to the stream, but
//! not to DUMP's payload: no release's format for it is fixed here.

use super::stream::STREAM;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, NO_SUCH_KEY, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::server::settings::Settings;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::sha1::sha1;
use sherd_types::stream::{BoxedStream, ProducerLimits, RequestedId};

const TWICE: CommandError = CommandError::new("ERR IDMP/IDMPAUTO specified multiple times");
const ONLY_WITH_NEXT: CommandError =
    CommandError::new("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");
const NO_PRODUCER: CommandError = CommandError::new("ERR IDMP requires a non-empty producer ID");
const NO_PRODUCER_AUTO: CommandError = CommandError::new("ERR IDMPAUTO requires a non-empty producer ID");
const NO_ID: CommandError = CommandError::new("ERR IDMP requires a non-empty idempotent ID");
const NOTHING_TO_SET: CommandError =
    CommandError::new("ERR At least one parameter must be specified: IDMP-DURATION or IDMP-MAXSIZE");
const DURATION_RANGE: CommandError = CommandError::new("ERR IDMP-DURATION must be between 1 and 86400 seconds");
const IDS_RANGE: CommandError = CommandError::new("ERR IDMP-MAXSIZE must be between 1 and 10000 entries");

const DURATION_SECONDS_MAX: i64 = 86_400;
const IDS_MAX: i64 = 10_000;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xcfgset",
    summary: "Sets for how long, and how many, idempotent ids of each producer a stream keeps.",
    since: "8.6.0",
    arity: -2,
    flags: WRITE | DENYOOM | FAST,
    keys: &[one_key("RW UPDATE", 1)],
    syntax: "key [IDMP-DURATION idmp-duration:integer] [IDMP-MAXSIZE idmp-maxsize:integer]",
    plane: Plane::Data(xcfgset),
    ..STREAM
}];

/// Where XADD's arguments name a producer, and the entry if it is not to be named by what is in it.
#[derive(Clone, Copy)]
pub(super) struct Named {
    producer_at: usize,
    id_at: Option<usize>,
}

impl Named {
    /// Takes `IDMP producer id` or `IDMPAUTO producer` if they come next.
    pub fn take(options: &mut Options<'_>, before: Option<Named>) -> Result<Option<Named>, CommandError> {
        let left = options.left();
        let by_itself = left > 1 && options.peek().is_some_and(|word| args::is(word, "IDMPAUTO"));
        let by_client = left > 2 && options.peek().is_some_and(|word| args::is(word, "IDMP"));
        if !by_itself && !by_client {
            return Ok(None);
        }
        if before.is_some() {
            return Err(TWICE);
        }
        options.value()?;
        let named = Named { producer_at: options.position(), id_at: by_client.then(|| options.position() + 1) };
        if options.value()?.is_empty() {
            return Err(if by_client { NO_PRODUCER } else { NO_PRODUCER_AUTO });
        }
        if by_client && options.value()?.is_empty() {
            return Err(NO_ID);
        }
        Ok(Some(named))
    }

    /// Only ids that the stream chooses can be told to a producer that asks again.
    pub fn check(requested: RequestedId) -> Outcome {
        if requested == RequestedId::Next {
            return Ok(());
        }
        Err(ONLY_WITH_NEXT)
    }

    /// The producer, and the idempotent id of an entry with these fields and values.
    pub fn of<'a>(&self, args: &[&'a [u8]], pairs: &[&[u8]]) -> (&'a [u8], Vec<u8>) {
        let id = self.id_at.map_or_else(|| name_of(pairs), |at| args[at].to_vec());
        (args[self.producer_at], id)
    }
}

/// What names an entry by its fields and values, in whichever order they come.
fn name_of(pairs: &[&[u8]]) -> Vec<u8> {
    let mut fields: Vec<&[&[u8]]> = pairs.chunks_exact(2).collect();
    fields.sort_unstable();
    let mut text = Vec::with_capacity(pairs.iter().map(|word| word.len() + size_of::<u64>()).sum());
    for word in fields.into_iter().flatten() {
        text.extend_from_slice(&(word.len() as u64).to_le_bytes());
        text.extend_from_slice(word);
    }
    sha1(&text).to_vec()
}

/// The limits of a stream that has none of its own.
pub(super) fn default_limits(settings: &Settings) -> ProducerLimits {
    ProducerLimits {
        duration_seconds: settings.stream_idmp_duration.get().clamp(1, DURATION_SECONDS_MAX) as u32,
        ids_max: settings.stream_idmp_maxsize.get().clamp(1, IDS_MAX) as u32,
    }
}

fn xcfgset(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut duration, mut ids) = (None, None);
    let mut options = Options::new(context.args, 2);
    if !options.more() {
        return Err(NOTHING_TO_SET);
    }
    while options.more() {
        if let Some(text) = options.take_value("IDMP-DURATION") {
            duration = Some(within(text, DURATION_SECONDS_MAX, DURATION_RANGE)?);
        } else if let Some(text) = options.take_value("IDMP-MAXSIZE") {
            ids = Some(within(text, IDS_MAX, IDS_RANGE)?);
        } else {
            return Err(SYNTAX);
        }
    }
    let (key, defaults) = (context.key(1), default_limits(context.settings()));
    let stream = context.write::<BoxedStream>(&key)?.ok_or(NO_SUCH_KEY)?;
    let before = stream.producers().map_or(defaults, |producers| producers.limits());
    let limits = ProducerLimits {
        duration_seconds: duration.unwrap_or(before.duration_seconds),
        ids_max: ids.unwrap_or(before.ids_max),
    };
    stream.producers_or_new(defaults).set_limits(limits);
    reply.ok();
    context.changed(&key, class::STREAM, "xcfgset");
    Ok(())
}

fn within(text: &[u8], max: i64, error: CommandError) -> Result<u32, CommandError> {
    let value = args::integer(text)?;
    if (1..=max).contains(&value) {
        return Ok(value as u32);
    }
    Err(error)
}
