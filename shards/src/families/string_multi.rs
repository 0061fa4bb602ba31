//! Strings of several keys at once: MGET, MSET, MSETNX, MSETEX.

use crate::handler::args::{self, Options};
use crate::handler::context::{Context, Expiry};
use crate::entry::{Entry, NewValue};
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::families::lifetime::{Also, Lifetime};
use crate::families::string::{store, write_text};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, Begin, CommandSpec, Find, Group, KeySpec, Plane};

const STRING: CommandSpec = CommandSpec { group: Group::String, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "mget",
        summary: "Returns the string values of several keys in one moment.",
        complexity: "O(N) in the number of keys",
        arity: -2,
        flags: READONLY | FAST,
        keys: &[key_range("RO ACCESS", 1, -1, 1)],
        syntax: "key [key ...]",
        tips: &["request_policy:multi_shard"],
        plane: Plane::Data(mget),
        ..STRING
    },
    CommandSpec {
        name: "mset",
        summary: "Sets several keys in one moment.",
        since: "1.0.1",
        complexity: "O(N) in the number of keys",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: &[key_range("OW UPDATE", 1, -1, 2)],
        syntax: "(key value) [(key value) ...]",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        plane: Plane::Data(mset),
        ..STRING
    },
    CommandSpec {
        name: "msetnx",
        summary: "Sets several keys in one moment if none of them is there.",
        since: "1.0.1",
        complexity: "O(N) in the number of keys",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: &[key_range("OW INSERT", 1, -1, 2)],
        syntax: "(key value) [(key value) ...]",
        plane: Plane::Data(msetnx),
        ..STRING
    },
    CommandSpec {
        name: "msetex",
        summary: "Sets several keys and their common expiry in one moment, if all or none of them are there.",
        since: "8.4.0",
        complexity: "O(N) in the number of keys",
        arity: -4,
        flags: WRITE | DENYOOM | MOVABLE_KEYS,
        keys: &[KeySpec {
            flags: "OW UPDATE",
            begin: Begin::Index(1),
            find: Find::Number { number: 0, first: 1, step: 2 },
        }],
        syntax: "numkeys (key value) [(key value) ...] [NX | XX] [EX seconds | PX milliseconds | \
                 EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        plane: Plane::Data(msetex),
        ..STRING
    },
];

const NUMKEYS: CommandError = CommandError::new("ERR invalid numkeys value");
const PAIRS: CommandError = CommandError::new("ERR wrong number of key-value pairs");

fn mget(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(context.args.len() - 1);
    context.for_each_key(1..context.args.len(), 1, |context, key, _| {
        match context.get(key).and_then(Entry::text) {
            Some(text) => write_text(reply, text),
            None => reply.null(),
        }
    });
    Ok(())
}

fn set_pairs(context: &mut Context<'_>) {
    context.for_each_key(1..context.args.len(), 2, |context, key, index| {
        context.insert_inlined(key, NewValue::Text(context.args[index + 1]), Expiry::None);
        context.changed(key, class::STRING, "set");
    });
}

fn mset(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if context.args.len() % 2 == 0 {
        return Err(CommandError::arity("mset"));
    }
    set_pairs(context);
    reply.ok();
    Ok(())
}

fn msetnx(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if context.args.len() % 2 == 0 {
        return Err(CommandError::arity("msetnx"));
    }
    let none = present(context, 1, context.args.len()) == 0;
    if none {
        set_pairs(context);
    }
    reply.flag(none);
    Ok(())
}

/// How many of the keys at every second argument of a range are there.
fn present(context: &mut Context<'_>, first: usize, end: usize) -> usize {
    let mut count = 0;
    context.for_each_key(first..end, 2, |context, key, _| count += usize::from(context.get_to_replace(key).is_some()));
    count
}

fn msetex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let args = context.args;
    let count = args::integer_or(args[1], NUMKEYS)?;
    if !(1..=i64::from(i32::MAX)).contains(&count) {
        return Err(NUMKEYS);
    }
    let end = 2 + 2 * count as usize;
    if end > args.len() {
        return Err(PAIRS);
    }
    let (mut wanted, mut lifetime) = (None, Lifetime::Unsaid);
    let mut options = Options::new(args, end);
    while options.more() {
        let condition = if options.take("NX") {
            Some(0)
        } else if options.take("XX") {
            Some(count as usize)
        } else {
            None
        };
        match condition {
            Some(_) if wanted.is_some_and(|before| Some(before) != condition) => return Err(SYNTAX),
            Some(_) => wanted = condition,
            None if lifetime.take(&mut options, Also::KeepTtl)? => {}
            None => return Err(SYNTAX),
        }
    }
    let time = lifetime.time(context.now_ms, "msetex")?;
    let allowed = wanted.is_none_or(|wanted| present(context, 2, end) == wanted);
    if allowed {
        for index in (2..end).step_by(2) {
            let key = context.key(index);
            store(context, &key, args[index + 1], lifetime, time);
        }
    }
    reply.flag(allowed);
    Ok(())
}
