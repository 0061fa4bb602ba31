//! Adding to streams: XADD.

use super::effects;
use super::stream::{write_id, STREAM};
use super::stream_idempotent::{default_limits, Named};
use super::stream_trim::AddOrTrim;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::stream::{BlockLimits, BoxedStream, IdRefused, RequestedId, StreamId, BLOCK_BYTES_MAX};

const ID_ZERO: CommandError = CommandError::new("ERR The ID specified in XADD must be greater than 0-0");
const ID_TOO_SMALL: CommandError =
    CommandError::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const ID_EXHAUSTED: CommandError =
    CommandError::new("ERR The stream has exhausted the last possible ID, unable to add more items");
const TOO_LARGE: CommandError = CommandError::new("ERR Elements are too large to be stored");

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xadd",
    summary: "Adds an entry to a stream. Creates the stream if it is not there.",
    history: &[("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT`."), ("7.0.0", "Ids of the form `<ms>-*`."), ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`."), ("8.6.0", "`IDMPAUTO` and `IDMP`.")],
    complexity: "O(1) for adding, O(N) in the number of entries trimmed",
    arity: -5,
    flags: WRITE | DENYOOM | FAST,
    keys: &[one_key("RW UPDATE", 1)],
    syntax: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] \
             [IDMPAUTO producer-id | IDMP producer-id idempotent-id] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] \
             <* | id> (field value) [(field value) ...]",
    tips: &["nondeterministic_output"],
    plane: Plane::Data(xadd),
    ..STREAM
}];

fn block_limits(context: &Context<'_>) -> BlockLimits {
    let settings = context.settings();
    BlockLimits {
        bytes_max: settings.stream_node_max_bytes.size(),
        entries_max: settings.stream_node_max_entries.size(),
    }
}

fn xadd(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let parsed = AddOrTrim::parse(context, true)?;
    let (requested, pairs) = match parsed.id {
        Some((requested, at)) if args.len() > at + 1 && (args.len() - at - 1) % 2 == 0 => (requested, &args[at + 1..]),
        _ => return Err(CommandError::arity("xadd")),
    };
    if requested == RequestedId::Exact(StreamId::MIN) {
        return Err(ID_ZERO);
    }
    if parsed.named.is_some() {
        // A journal says which id was chosen.
        if !context.origin.must_be_obeyed() {
            Named::check(requested)?;
        }
    }
    let key = context.key(1);
    let limits = block_limits(context);
    let now_ms = context.now_ms as u64;
    if parsed.only_existing && !context.is_there::<BoxedStream>(&key)? {
        reply.null();
        return Ok(());
    }
    if pairs.iter().map(|text| text.len()).sum::<usize>() > BLOCK_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    let named = parsed.named.map(|named| named.of(args, pairs));
    let producer_limits = default_limits(context.settings());
    if let Some((producer, id)) = &named {
        let producers = context.write::<BoxedStream>(&key)?.map(|stream| stream.producers_or_new(producer_limits));
        if let Some(known) = producers.and_then(|producers| producers.find(producer, id, now_ms as i64)) {
            write_id(reply, known);
            return Ok(());
        }
    }
    // An id can be refused by a stream that is there, never by a new one.
    let stream = context.upsert::<BoxedStream>(&key)?;
    let id = stream.log().choose_id(requested, now_ms).map_err(|refused| match refused {
        IdRefused::TooSmall => ID_TOO_SMALL,
        IdRefused::Exhausted => ID_EXHAUSTED,
    })?;
    stream.log_mut().append(id, pairs, limits);
    if let Some((producer, name)) = &named {
        stream.producers_or_new(producer_limits).add(producer, name, id, now_ms as i64);
    }
    let trimmed = parsed.trim.map_or(0, |trim| stream.trim(&trim));
    let length = stream.log().len();
    write_id(reply, id);
    context.changed(&key, class::STREAM, "xadd");
    if context.is_recorded() {
        let trim = parsed.trim.filter(|_| trimmed > 0).map(|trim| (trim.references, length));
        effects::entry_added(context, &key, id, named, trim, pairs);
    }
    if trimmed > 0 {
        context.notify(&key, class::STREAM, "xtrim");
    }
    Ok(())
}
