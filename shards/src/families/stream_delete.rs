//! Deleting entries by id: XDEL, and XDELEX and XACKDEL with regard to groups.

use super::effects;
use super::stream::{parse_ids, STREAM};
use super::stream_trim::take_references;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::stream::{BoxedStream, Deletion, References, Stream, StreamId};

const IDS_NOT_POSITIVE: CommandError = CommandError::new("ERR Number of IDs must be a positive integer");
const IDS_MISMATCH: CommandError = CommandError::new("ERR The `numids` parameter must match the number of arguments");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xdel",
        summary: "Deletes entries from a stream and returns how many.",
        complexity: "O(1) for each entry",
        arity: -3,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE", 1)],
        syntax: "key id [id ...]",
        plane: Plane::Data(xdel),
        ..STREAM
    },
    CommandSpec {
        name: "xdelex",
        summary: "Deletes entries from a stream, with a choice of what happens to groups' references to them.",
        since: "8.2.0",
        complexity: "O(1) for each entry",
        arity: -5,
        flags: WRITE | FAST,
        keys: &[one_key("RW DELETE", 1)],
        syntax: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        plane: Plane::Data(xdelex),
        ..STREAM
    },
    CommandSpec {
        name: "xackdel",
        summary: "Acknowledges entries for a group and deletes them from the stream.",
        since: "8.2.0",
        complexity: "O(1) for each entry",
        arity: -6,
        flags: WRITE | FAST,
        keys: &[one_key("RW UPDATE DELETE", 1)],
        syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        plane: Plane::Data(xackdel),
        ..STREAM
    },
];

fn xdel(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let key = context.key(1);
    let Some(stream) = context.write::<BoxedStream>(&key)? else {
        reply.int(0);
        return Ok(());
    };
    let ids = parse_ids(&args[2..])?;
    let deleted = ids.iter().filter(|&&id| stream.log_mut().delete(id)).count();
    if deleted > 0 {
        context.changed_by(deleted, &key, class::STREAM, "xdel");
    }
    reply.count(deleted);
    Ok(())
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]`, in either order.
fn parse_selection(args: &[&[u8]], first: usize) -> Result<(References, Vec<StreamId>), CommandError> {
    let (mut references, mut ids) = (None, None);
    let mut options = Options::new(args, first);
    while options.more() {
        if let Some(named) = take_references(&mut options) {
            if references.replace(named).is_some() {
                return Err(SYNTAX);
            }
            continue;
        }
        let number = options.take_value("IDS").ok_or(SYNTAX)?;
        let number = args::integer_or(number, IDS_NOT_POSITIVE)?;
        let number = usize::try_from(number).ok().filter(|&number| number > 0).ok_or(IDS_NOT_POSITIVE)?;
        if number > options.left() {
            return Err(IDS_MISMATCH);
        }
        let at = options.position();
        options = Options::new(args, at + number);
        ids = Some(&args[at..at + number]);
    }
    Ok((references.unwrap_or_default(), parse_ids(ids.ok_or(SYNTAX)?)?))
}

fn xdelex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (references, ids) = parse_selection(context.args, 2)?;
    delete_each(context, reply, &ids, (references, None), |stream, id| stream.delete(id, references))
}

fn xackdel(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let group = context.args[2];
    let (references, ids) = parse_selection(context.args, 3)?;
    delete_each(context, reply, &ids, (references, Some(group)), |stream, id| {
        let acknowledged = stream.group_mut(group).is_some_and(|(_, group)| group.acknowledge(id));
        if !acknowledged {
            return Deletion::Missing;
        }
        match stream.delete(id, references) {
            // It was pending until now: that the entry went before is no news.
            Deletion::Missing => Deletion::Deleted,
            other => other,
        }
    })
}

fn delete_each(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    ids: &[StreamId],
    (references, acknowledges): (References, Option<&[u8]>),
    mut delete: impl FnMut(&mut Stream, StreamId) -> Deletion,
) -> Outcome {
    let (key, recorded) = (context.key(1), context.is_recorded());
    reply.array(ids.len());
    let Some(stream) = context.write::<BoxedStream>(&key)? else {
        ids.iter().for_each(|_| reply.int(-1));
        return Ok(());
    };
    let present: Vec<StreamId> = ids.iter().copied().filter(|&id| recorded && stream.log().contains(id)).collect();
    // References may go where no entry does.
    let (length_before, mut acted) = (stream.log().len(), references == References::Delete);
    for &id in ids {
        let deletion = delete(stream, id);
        acted |= deletion != Deletion::Missing;
        reply.int(match deletion {
            Deletion::Missing => -1,
            Deletion::Deleted => 1,
            Deletion::Referenced => 2,
        });
    }
    let removed = (length_before - stream.log().len()) as usize;
    let deleted: Vec<StreamId> = present.into_iter().filter(|&id| !stream.log().contains(id)).collect();
    let forgetful = recorded && references == References::Delete;
    let groups: Vec<Vec<u8>> = stream.groups().filter(|_| forgetful).map(|(name, _)| name.to_vec()).collect();
    if acted {
        let groups = acknowledges.into_iter().chain(groups.iter().map(Vec::as_slice));
        groups.for_each(|group| effects::acknowledged(context, &key, group, ids));
    }
    effects::entries_deleted(context, &key, &deleted);
    if removed > 0 {
        context.changed_by(removed, &key, class::STREAM, "xdel");
    } else if acted {
        context.changed_aside(1, &key);
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/stream_delete.rs"]
mod tests;
