//! Consumer groups: XGROUP.

use super::generic_object::write_help;
use super::stream::{bad_subcommand, parse_id, INVALID_ID, STREAM};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::handler::error::{CommandError, Outcome};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane, Scope};
use sherd_types::stream::{BoxedStream, Group, Log, StreamId};

const NO_KEY: CommandError = CommandError::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
     to create an empty stream automatically.",
);
const GROUP_EXISTS: CommandError = CommandError::new("BUSYGROUP Consumer Group name already exists");
const READ_NEGATIVE: CommandError = CommandError::new("ERR value for ENTRIESREAD must be positive or -1");

/// The longest calls, in words: options that come twice are one mistake that is not let pass.
const CREATE_WORDS_MAX: usize = 8;
const SETID_WORDS_MAX: usize = 7;

const GROUP: CommandSpec = CommandSpec { flags: WRITE, ..STREAM };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xgroup",
        summary: "Commands about consumer groups.",
        complexity: "Depends on the subcommand.",
        arity: -2,
        plane: Plane::Container,
        ..STREAM
    },
    CommandSpec {
        name: "xgroup|create",
        summary: "Creates a consumer group.",
        history: &[("7.0.0", "`ENTRIESREAD`.")],
        arity: -5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW INSERT", 2)],
        syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
        plane: Plane::Data(create),
        ..GROUP
    },
    CommandSpec {
        name: "xgroup|setid",
        summary: "Sets the id of the last entry that was delivered to a group.",
        history: &[("7.0.0", "`ENTRIESREAD`.")],
        arity: -5,
        keys: &[one_key("RW UPDATE", 2)],
        syntax: "key group <id | $> [ENTRIESREAD entries-read]",
        plane: Plane::Data(setid),
        ..GROUP
    },
    CommandSpec {
        name: "xgroup|destroy",
        summary: "Removes a consumer group.",
        complexity: "O(N) in the number of entries in the group's pending entries list",
        arity: 4,
        keys: &[one_key("RW DELETE", 2)],
        syntax: "key group",
        plane: Plane::Data(destroy),
        ..GROUP
    },
    CommandSpec {
        name: "xgroup|createconsumer",
        summary: "Creates a consumer in a group.",
        since: "6.2.0",
        arity: 5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW INSERT", 2)],
        syntax: "key group consumer",
        plane: Plane::Data(createconsumer),
        ..GROUP
    },
    CommandSpec {
        name: "xgroup|delconsumer",
        summary: "Removes a consumer from a group and returns how many entries it had not acknowledged.",
        arity: 5,
        keys: &[one_key("RW DELETE", 2)],
        syntax: "key group consumer",
        plane: Plane::Data(delconsumer),
        ..GROUP
    },
    CommandSpec {
        name: "xgroup|help",
        summary: "Explains the XGROUP commands.",
        arity: 2,
        flags: LOADING | STALE,
        scope: Scope::All,
        plane: Plane::Data(help),
        ..STREAM
    },
];

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    write_help(reply, HELP);
    Ok(())
}

/// The error for a group that is not there, of a key that is.
pub(super) fn no_group_of_key(args: &[&[u8]]) -> CommandError {
    CommandError::with(format!(
        "NOGROUP No such consumer group '{}' for key name '{}'",
        String::from_utf8_lossy(args[3]),
        String::from_utf8_lossy(args[2])
    ))
}

/// The stream of a key that must be there.
fn existing<'c>(context: &'c mut Context<'_>, key: &Key<'_>) -> Result<&'c mut BoxedStream, CommandError> {
    context.write::<BoxedStream>(key)?.ok_or(NO_KEY)
}

/// The group in argument 3, of the key in argument 2.
fn existing_group<'c>(context: &'c mut Context<'_>, key: &Key<'_>) -> Result<&'c mut Group, CommandError> {
    let args = context.args;
    existing(context, key)?.group_mut(args[3]).map(|(_, group)| group).ok_or_else(|| no_group_of_key(args))
}

/// The options of CREATE and SETID.
#[derive(Default)]
struct CursorOptions {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl CursorOptions {
    /// How many entries the group has read: no more than there were, or it would lag behind by less than none.
    fn entries_read_of(&self, log: &Log) -> Option<u64> {
        self.entries_read.map(|read| read.min(log.entries_added()))
    }

    fn parse(args: &[&[u8]], creating: bool) -> Result<Self, CommandError> {
        let mut parsed = Self::default();
        let mut options = Options::new(args, 5);
        while options.more() {
            if creating && options.take("MKSTREAM") {
                parsed.make_stream = true;
            } else {
                let text = options.take_value("ENTRIESREAD").ok_or_else(|| bad_subcommand(args, "XGROUP"))?;
                parsed.entries_read = match args::integer(text)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| READ_NEGATIVE)?),
                };
            }
        }
        Ok(parsed)
    }
}

/// Groups are not the stream's value: nobody who watches it or keeps a copy is told, as in Redis.
pub(super) fn changed_group(context: &mut Context<'_>, key: &Key<'_>, event: &'static str) {
    context.changed_aside(1, key);
    context.notify(key, class::STREAM, event);
}

fn create(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let options = CursorOptions::parse(args, true)?;
    let key = context.key(2);
    let stream = context.write::<BoxedStream>(&key)?;
    let is_new = stream.is_none();
    if is_new && !options.make_stream {
        return Err(NO_KEY);
    }
    if args.len() > CREATE_WORDS_MAX {
        return Err(bad_subcommand(args, "XGROUP"));
    }
    let last_id = match args[4] {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.log().last_id()),
        id => parse_id(id)?,
    };
    let stream = context.upsert::<BoxedStream>(&key)?;
    let entries_read = options.entries_read_of(stream.log());
    if !stream.add_group(args[3], Group::new(last_id, entries_read)) {
        return Err(GROUP_EXISTS);
    }
    reply.ok();
    if is_new {
        context.changed(&key, class::STREAM, "xgroup-create");
    } else {
        changed_group(context, &key, "xgroup-create");
    }
    Ok(())
}

fn setid(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let options = CursorOptions::parse(args, false)?;
    let key = context.key(2);
    let log = existing(context, &key)?.log();
    let (last_id, entries_read) = (log.last_id(), options.entries_read_of(log));
    let group = existing_group(context, &key)?;
    if args.len() > SETID_WORDS_MAX {
        return Err(bad_subcommand(args, "XGROUP"));
    }
    group.last_id = match args[4] {
        b"$" => last_id,
        id => StreamId::parse_bound(id, 0).ok_or(INVALID_ID)?,
    };
    group.entries_read = entries_read;
    reply.ok();
    changed_group(context, &key, "xgroup-setid");
    Ok(())
}

fn destroy(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    let name = context.args[3];
    let removed = existing(context, &key)?.remove_group(name);
    reply.flag(removed);
    if removed {
        changed_group(context, &key, "xgroup-destroy");
        context.wake(&key);
    }
    Ok(())
}

fn createconsumer(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    let (name, now_ms) = (context.args[4], context.now_ms);
    let group = existing_group(context, &key)?;
    let is_new = group.find_consumer(name).is_none();
    if is_new {
        group.add_consumer(name, now_ms);
        changed_group(context, &key, "xgroup-createconsumer");
    }
    reply.flag(is_new);
    Ok(())
}

fn delconsumer(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(2);
    let name = context.args[4];
    let pending = existing_group(context, &key)?.delete_consumer(name);
    if pending.is_some() {
        changed_group(context, &key, "xgroup-delconsumer");
    }
    reply.count(pending.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
#[path = "tests/stream_group.rs"]
mod tests;
