//! Reading a range of a stream: XRANGE and XREVRANGE.

use super::stream::{parse_end, parse_start, write_entries, STREAM};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{Outcome, SYNTAX};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::stream::BoxedStream;

const RANGE: CommandSpec = CommandSpec {
    complexity: "O(N) in the number of entries returned",
    arity: -4,
    flags: READONLY,
    keys: &[one_key("RO ACCESS", 1)],
    ..STREAM
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xrange",
        summary: "Returns the entries of a stream between two ids.",
        history: &[("6.2.0", "Ranges without their ends.")],
        syntax: "key start end [COUNT count]",
        plane: Plane::Data(xrange),
        ..RANGE
    },
    CommandSpec {
        name: "xrevrange",
        summary: "Returns the entries of a stream between two ids, last first.",
        history: &[("6.2.0", "Ranges without their ends.")],
        syntax: "key end start [COUNT count]",
        plane: Plane::Data(xrevrange),
        ..RANGE
    },
];

fn xrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(context, reply, false)
}

fn xrevrange(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(context, reply, true)
}

fn range(context: &mut Context<'_>, reply: &mut Reply<'_>, backwards: bool) -> Outcome {
    let args = context.args;
    let (start, end) = if backwards { (args[3], args[2]) } else { (args[2], args[3]) };
    let (start, end) = (parse_start(start)?, parse_end(end)?);
    let mut count = None;
    let mut options = Options::new(args, 4);
    while options.more() {
        count = Some(args::integer(options.take_value("COUNT").ok_or(SYNTAX)?)?.max(0) as usize);
    }
    let key = context.key(1);
    let Some(stream) = context.read::<BoxedStream>(&key)? else {
        reply.array(0);
        return Ok(());
    };
    match count {
        Some(0) => reply.null_array(),
        _ => {
            let count = count.unwrap_or(usize::MAX);
            if backwards {
                write_entries(reply, stream.log().range_back(start, end), count);
            } else {
                write_entries(reply, stream.log().range(start, end), count);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/stream_range.rs"]
mod tests;
