//! WAITAOF on a server that has no append-only file, which it tells.

use crate::command::category;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, CommandSpec, Group, Plane, Scope};

const WAITS: CommandSpec = CommandSpec {
    group: Group::Generic,
    categories: category::CONNECTION,
    flags: BLOCKING,
    scope: Scope::All,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    ..CommandSpec::DEFAULT
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "waitaof",
        summary: "Waits until the client's writes are on disk here and on replicas.",
        since: "7.2.0",
        arity: 4,
        syntax: "numlocal numreplicas timeout",
        plane: Plane::Data(waitaof),
        ..WAITS
    },
];

const TIMEOUT: CommandError = CommandError::new("ERR timeout is not an integer or out of range");
const TIMEOUT_RANGE: CommandError = CommandError::new("ERR timeout is out of range");
const NEGATIVE_TIMEOUT: CommandError = CommandError::new("ERR timeout is negative");
const LOCAL_RANGE: CommandError = CommandError::new("ERR value is out of range, value must between 0 and 1");
const NO_AOF: CommandError =
    CommandError::new("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

/// A timeout in milliseconds; `None`, which is given as 0, is for ever.
fn parse_timeout(context: &Context<'_>, text: &[u8]) -> Result<Option<i64>, CommandError> {
    match args::integer_or(text, TIMEOUT)? {
        0 => Ok(None),
        // As in Redis, where the end of the wait is a date.
        wait @ 1.. => context.now_ms.checked_add(wait).map(|_| Some(wait)).ok_or(TIMEOUT_RANGE),
        _ => Err(NEGATIVE_TIMEOUT),
    }
}

fn waitaof(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let local = args::integer(context.args[1])?;
    if !(0..=1).contains(&local) {
        return Err(LOCAL_RANGE);
    }
    args::non_negative(context.args[2])?;
    parse_timeout(context, context.args[3])?;
    if local > 0 {
        return Err(NO_AOF);
    }
    reply.array(2);
    reply.int(0);
    reply.int(0);
    Ok(())
}
