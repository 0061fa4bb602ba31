//! Trimming streams: XTRIM, and the options that it shares with XADD.

use super::stream_idempotent::Named;
use super::stream::{parse_id, INVALID_ID, STREAM};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::server::settings::Settings;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::stream::{BoxedStream, Keep, References, RequestedId, Trim};

const TWO_STRATEGIES: CommandError =
    CommandError::new("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const NO_STRATEGY: CommandError = CommandError::new("ERR syntax error, XTRIM must be called with a trimming strategy");
const LIMIT_ALONE: CommandError =
    CommandError::new("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const LIMIT_EXACT: CommandError =
    CommandError::new("ERR syntax error, LIMIT cannot be used without the special ~ option");
const LENGTH_NEGATIVE: CommandError = CommandError::new("ERR The MAXLEN argument must be >= 0.");
const LIMIT_NEGATIVE: CommandError = CommandError::new("ERR The LIMIT argument must be >= 0.");

/// Blocks that an approximate trim removes at most unless LIMIT says otherwise.
const BLOCKS_LIMIT: u64 = 100;
/// The limit where blocks have no limit of entries, and the highest one that follows from the setting.
const ENTRIES_LIMIT_DEFAULT: u64 = 10_000;
const ENTRIES_LIMIT_MAX: u64 = 1_000_000;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xtrim",
    summary: "Removes the oldest entries of a stream.",
    history: &[("6.2.0", "`MINID` and `LIMIT`."), ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`.")],
    complexity: "O(N) in the number of entries removed; whole blocks are removed at once",
    arity: -4,
    flags: WRITE,
    keys: &[one_key("RW DELETE", 1)],
    syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
    tips: &["nondeterministic_output"],
    plane: Plane::Data(xtrim),
    ..STREAM
}];

/// What the options of XADD or XTRIM say.
pub(super) struct AddOrTrim {
    /// The id of the entry to be added and the number of its argument.
    pub id: Option<(RequestedId, usize)>,
    /// NOMKSTREAM
    pub only_existing: bool,
    /// IDMP, IDMPAUTO
    pub named: Option<Named>,
    pub trim: Option<Trim>,
}

impl AddOrTrim {
    /// Reads the options from argument 2 on: all of them, or as far as the id if an entry is added.
    pub fn parse(context: &Context<'_>, adding: bool) -> Result<Self, CommandError> {
        let args = context.args;
        let mut parsed = AddOrTrim { id: None, only_existing: false, named: None, trim: None };
        let (mut keep, mut approximate, mut limit, mut references) = (None, false, None, None);
        let mut options = Options::new(args, 2);
        while let Some(word) = options.peek() {
            if adding && word == b"*" {
                parsed.id = Some((RequestedId::Next, options.position()));
                break;
            }
            let more = options.left() > 1;
            if more && (args::is(word, "MAXLEN") || args::is(word, "MINID")) {
                options.value()?;
                if keep.is_some() {
                    return Err(TWO_STRATEGIES);
                }
                let sign_fits = options.left() > 1;
                approximate = sign_fits && options.take("~");
                if sign_fits && !approximate {
                    options.take("=");
                }
                keep = Some(parse_threshold(word, options.value()?)?);
            } else if more && options.take("LIMIT") {
                limit = Some(u64::try_from(args::integer(options.value()?)?).map_err(|_| LIMIT_NEGATIVE)?);
            } else if adding && options.take("NOMKSTREAM") {
                parsed.only_existing = true;
            } else if let Some(named) = take_named(&mut options, adding, parsed.named)? {
                parsed.named = Some(named);
            } else if let Some(named) = take_references(&mut options) {
                if references.replace(named).is_some() {
                    return Err(SYNTAX);
                }
            } else if adding {
                parsed.id = Some((RequestedId::parse(word).ok_or(INVALID_ID)?, options.position()));
                break;
            } else {
                return Err(SYNTAX);
            }
        }
        if context.origin.must_be_obeyed() {
            // The threshold says what was removed. Redis and Valkey leave the limit that led to it where it was.
            limit = approximate.then_some(0);
        }
        check_limit(limit, keep.is_some(), approximate, adding)?;
        parsed.trim = keep.map(|keep| Trim {
            keep,
            approximate,
            limit: if approximate { limit.unwrap_or_else(|| default_limit(context.settings())) } else { 0 },
            references: references.unwrap_or_default(),
        });
        Ok(parsed)
    }
}

fn take_named(options: &mut Options<'_>, adding: bool, before: Option<Named>) -> Result<Option<Named>, CommandError> {
    if adding {
        Named::take(options, before)
    } else {
        Ok(None)
    }
}

fn parse_threshold(word: &[u8], text: &[u8]) -> Result<Keep, CommandError> {
    if args::is(word, "MINID") {
        return parse_id(text).map(Keep::From);
    }
    u64::try_from(args::integer(text)?).map(Keep::Newest).map_err(|_| LENGTH_NEGATIVE)
}

/// LIMIT needs a strategy, and an approximate one.
fn check_limit(limit: Option<u64>, strategy: bool, approximate: bool, adding: bool) -> Outcome {
    if limit.is_some_and(|limit| limit > 0) && !strategy {
        return Err(LIMIT_ALONE);
    }
    if !adding && !strategy {
        return Err(NO_STRATEGY);
    }
    if limit.is_some() && !approximate {
        return Err(LIMIT_EXACT);
    }
    Ok(())
}

fn default_limit(settings: &Settings) -> u64 {
    match settings.stream_node_max_entries.size() as u64 {
        0 => ENTRIES_LIMIT_DEFAULT,
        entries => entries.saturating_mul(BLOCKS_LIMIT).min(ENTRIES_LIMIT_MAX),
    }
}

/// Takes the word that says what happens to groups' references.
pub(super) fn take_references(options: &mut Options<'_>) -> Option<References> {
    let words = [("KEEPREF", References::Keep), ("DELREF", References::Delete), ("ACKED", References::Acknowledged)];
    words.into_iter().find(|(word, _)| options.take(word)).map(|(_, references)| references)
}

fn xtrim(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let trim = AddOrTrim::parse(context, false)?.trim.ok_or(NO_STRATEGY)?;
    let key = context.key(1);
    let trimmed = context.write::<BoxedStream>(&key)?.map(|stream| (stream.trim(&trim), stream.log().len()));
    let (removed, length) = trimmed.unwrap_or_default();
    if removed > 0 {
        context.changed_by(removed as usize, &key, class::STREAM, "xtrim");
        super::effects::trimmed(context, &key, trim.references, length);
    }
    reply.int(removed as i64);
    Ok(())
}

#[cfg(test)]
#[path = "tests/stream_trim.rs"]
mod tests;
