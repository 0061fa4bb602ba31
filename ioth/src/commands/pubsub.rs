//! SUBSCRIBE, PUBLISH and their relatives, PUBSUB.
//!
//! They wait for what the connection has out: who gets a message must find what its publisher has written before it.

use sherd_shards::command::category::Categories;
use sherd_shards::command::spec::{flag::*, key_range, one_key, Channels, CommandSpec, Group};
use sherd_shards::handler::error::{CommandError, Outcome};
use sherd_shards::handler::reply::Reply;

use super::{answer, container, declare, help, Declared};
use crate::connection::subscriptions::Kind;
use crate::connection::Connection;
use crate::request::{publish, subscribe as subscriptions};
use crate::shared::Shared;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result = std::result::Result<Dispatch, CommandError>;

const PUBSUB_GROUP: CommandSpec = CommandSpec {
    group: Group::PubSub,
    since: "2.0.0",
    flags: PUBSUB | NOSCRIPT | LOADING | STALE,
    ..CommandSpec::DEFAULT
};
const INTROSPECTION: CommandSpec =
    CommandSpec { since: "2.8.0", arity: -2, flags: PUBSUB | LOADING | STALE, ..PUBSUB_GROUP };

pub(super) const COMMANDS: &[Declared] = &[
    declare(
        CommandSpec {
            name: "subscribe",
            summary: "Listens to channels.",
            complexity: "O(N) in the number of channels",
            arity: -2,
            syntax: "channel [channel ...]",
            channels: Channels::All,
            ..PUBSUB_GROUP
        },
        |io, connection, args| subscribe(io, connection, args, Kind::Channel, b"subscribe"),
    ),
    declare(
        CommandSpec {
            name: "unsubscribe",
            summary: "Listens to channels, or to all of them, no longer.",
            complexity: "O(N) in the number of channels",
            arity: -1,
            syntax: "[channel [channel ...]]",
            ..PUBSUB_GROUP
        },
        |io, connection, args| unsubscribe(io, connection, args, Kind::Channel, b"unsubscribe"),
    ),
    declare(
        CommandSpec {
            name: "psubscribe",
            summary: "Listens to the channels that patterns match.",
            complexity: "O(N) in the number of patterns",
            arity: -2,
            syntax: "pattern:pattern [pattern:pattern ...]",
            channels: Channels::AllPatterns,
            ..PUBSUB_GROUP
        },
        |io, connection, args| subscribe(io, connection, args, Kind::Pattern, b"psubscribe"),
    ),
    declare(
        CommandSpec {
            name: "punsubscribe",
            summary: "Listens to what patterns match, or to all of them, no longer.",
            complexity: "O(N) in the number of patterns",
            arity: -1,
            syntax: "[pattern:pattern [pattern:pattern ...]]",
            ..PUBSUB_GROUP
        },
        |io, connection, args| unsubscribe(io, connection, args, Kind::Pattern, b"punsubscribe"),
    ),
    declare(
        CommandSpec {
            name: "ssubscribe",
            summary: "Listens to channels of shards.",
            since: "7.0.0",
            complexity: "O(N) in the number of channels",
            arity: -2,
            keys: &[key_range("NOT_KEY", 1, -1, 1)],
            syntax: "shardchannel [shardchannel ...]",
            channels: Channels::All,
            ..PUBSUB_GROUP
        },
        ssubscribe,
    ),
    declare(
        CommandSpec {
            name: "sunsubscribe",
            summary: "Listens to channels of shards, or to all of them, no longer.",
            since: "7.0.0",
            complexity: "O(N) in the number of channels",
            arity: -1,
            keys: &[key_range("NOT_KEY", 1, -1, 1)],
            syntax: "[shardchannel [shardchannel ...]]",
            ..PUBSUB_GROUP
        },
        |io, connection, args| unsubscribe(io, connection, args, Kind::ShardChannel, b"sunsubscribe"),
    ),
    declare(
        CommandSpec {
            name: "publish",
            summary: "Sends a message to those who listen to a channel.",
            complexity: "O(N+M) in the number of its subscribers and of all patterns",
            arity: 3,
            flags: PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
            syntax: "channel message",
            channels: Channels::First,
            ..PUBSUB_GROUP
        },
        |io, connection, args| publish_to(io, connection, args, Kind::Channel),
    ),
    declare(
        CommandSpec {
            name: "spublish",
            summary: "Sends a message to those who listen to a shard's channel.",
            since: "7.0.0",
            complexity: "O(N) in the number of its subscribers",
            arity: 3,
            flags: PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
            keys: &[one_key("NOT_KEY", 1)],
            syntax: "shardchannel message",
            channels: Channels::First,
            ..PUBSUB_GROUP
        },
        |io, connection, args| publish_to(io, connection, args, Kind::ShardChannel),
    ),
    container(CommandSpec {
        name: "pubsub",
        summary: "Commands about channels and their subscribers.",
        complexity: "depends on the subcommand",
        flags: 0,
        categories: Categories::NONE,
        ..INTROSPECTION
    }),
    declare(
        CommandSpec {
            name: "pubsub|channels",
            summary: "Lists the channels that somebody listens to.",
            complexity: "O(N) in the number of channels",
            syntax: "[pattern:pattern]",
            ..INTROSPECTION
        },
        |io, connection, args| answer(io, connection, args, plain_channels),
    )
    .in_scripts(plain_channels),
    declare(
        CommandSpec {
            name: "pubsub|numsub",
            summary: "Counts the subscribers of channels.",
            complexity: "O(N) in the number of channels asked for",
            syntax: "[channel [channel ...]]",
            ..INTROSPECTION
        },
        |io, connection, args| answer(io, connection, args, plain_numsub),
    )
    .in_scripts(plain_numsub),
    declare(
        CommandSpec {
            name: "pubsub|numpat",
            summary: "Counts the patterns that somebody listens to.",
            complexity: "O(1)",
            arity: 2,
            ..INTROSPECTION
        },
        |io, connection, args| answer(io, connection, args, numpat),
    )
    .in_scripts(numpat),
    declare(
        CommandSpec {
            name: "pubsub|shardchannels",
            summary: "Lists the channels of shards that somebody listens to.",
            since: "7.0.0",
            complexity: "O(N) in the number of channels",
            syntax: "[pattern:pattern]",
            ..INTROSPECTION
        },
        |io, connection, args| answer(io, connection, args, shard_channels),
    )
    .in_scripts(shard_channels),
    declare(
        CommandSpec {
            name: "pubsub|shardnumsub",
            summary: "Counts the subscribers of shards' channels.",
            since: "7.0.0",
            complexity: "O(N) in the number of channels asked for",
            syntax: "[shardchannel [shardchannel ...]]",
            ..INTROSPECTION
        },
        |io, connection, args| answer(io, connection, args, shard_numsub),
    )
    .in_scripts(shard_numsub),
    declare(
        CommandSpec {
            name: "pubsub|help",
            summary: "Describes the subcommands.",
            since: "6.2.0",
            arity: 2,
            flags: LOADING | STALE,
            categories: Categories::NONE,
            ..INTROSPECTION
        },
        |io, connection, args| answer(io, connection, args, help_text),
    )
    .in_scripts(help_text),
];

/// Confirms a subscription or its end. It is a push, so that CLIENT REPLY does not suppress it.
fn confirm(connection: &mut Connection, kind: Kind, word: &[u8], name: Option<&[u8]>) {
    let count = connection.session.subscriptions.as_ref().map_or(0, |those| those.announced(kind));
    let write = |reply: &mut Reply<'_>| {
        reply.push(3);
        reply.bulk(word);
        reply.bulk_or_null(name);
        reply.count(count);
    };
    let protocol = connection.session.protocol;
    let is_suppressed = connection.wait.is_suppressed || connection.session.reply_mode.suppresses();
    if connection.session.is_in_exec && is_suppressed {
        // What it stands in is dropped.
        let mut bytes = Vec::new();
        write(&mut Reply::new(&mut bytes, protocol));
        connection.outbound.push_later(&bytes);
    } else {
        connection.outbound.reply(protocol, false, write);
    }
}

fn subscribe(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]], kind: Kind, word: &[u8]) -> Result {
    for name in &args[1..] {
        subscriptions::subscribe(io, connection, kind, name);
        confirm(connection, kind, word, Some(name));
    }
    Ok(Dispatch::Done)
}

/// As in the references a transaction has no place for it, although it has one for SUBSCRIBE.
fn ssubscribe(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    if connection.session.is_in_exec {
        return Err(CommandError::new("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    subscribe(io, connection, args, Kind::ShardChannel, b"ssubscribe")
}

fn unsubscribe(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]], kind: Kind, word: &[u8]) -> Result {
    for name in &args[1..] {
        subscriptions::unsubscribe(io, connection, kind, name);
        confirm(connection, kind, word, Some(name));
    }
    if args.len() == 1 {
        let all = connection.session.subscriptions.as_ref().map(|those| those.names(kind)).unwrap_or_default();
        for name in &all {
            subscriptions::unsubscribe(io, connection, kind, name);
            confirm(connection, kind, word, Some(name));
        }
        if all.is_empty() {
            confirm(connection, kind, word, None);
        }
    }
    Ok(Dispatch::Done)
}

fn publish_to(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]], kind: Kind) -> Result {
    publish::publish(io, connection, kind, args[1], args[2]);
    Ok(Dispatch::Done)
}

fn channels(shared: &Shared, args: &[&[u8]], reply: &mut Reply<'_>, kind: Kind) -> Outcome {
    if args.len() > 3 {
        return Err(unknown_or_miscounted(args));
    }
    let names = shared.pubsub.registry.names(kind, args.get(2).copied());
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn plain_channels(shared: &Shared, args: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    channels(shared, args, reply, Kind::Channel)
}

fn shard_channels(shared: &Shared, args: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    channels(shared, args, reply, Kind::ShardChannel)
}

/// What the references answer where a subcommand does not take so many arguments.
fn unknown_or_miscounted(args: &[&[u8]]) -> CommandError {
    let name = String::from_utf8_lossy(args[1]).into_owned();
    CommandError::with(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP."))
}

fn numsub(shared: &Shared, args: &[&[u8]], reply: &mut Reply<'_>, kind: Kind) -> Outcome {
    let registry = &shared.pubsub.registry;
    reply.array(2 * (args.len() - 2));
    for name in &args[2..] {
        reply.bulk(name);
        reply.int(registry.subscriber_count(kind, name) as i64);
    }
    Ok(())
}

fn plain_numsub(shared: &Shared, args: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    numsub(shared, args, reply, Kind::Channel)
}

fn shard_numsub(shared: &Shared, args: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    numsub(shared, args, reply, Kind::ShardChannel)
}

fn numpat(shared: &Shared, _: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    reply.count(shared.pubsub.registry.count(Kind::Pattern));
    Ok(())
}

fn help_text(_: &Shared, _: &[&[u8]], reply: &mut Reply<'_>) -> Outcome {
    help(
        reply,
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    )
}
