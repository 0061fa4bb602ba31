//! Keys whatever they hold: DEL, UNLINK, EXISTS, TYPE, TOUCH, RENAME, RENAMENX, COPY, MOVE.
//!
//! DEL and UNLINK do the same here: a value that takes long to free is always freed in the background.

use crate::command::category;
use crate::handler::args::{self, Options};
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::{Entry, NewValue, Text, Value};
use crate::handler::error::{CommandError, Outcome, NO_SUCH_KEY, SAME_OBJECT, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{database_at, flag::*, key_range, one_key, CommandSpec, Databases, Group, Plane};

const GENERIC: CommandSpec = CommandSpec { group: Group::Generic, categories: category::KEYSPACE, ..CommandSpec::DEFAULT };
const SUM_TIPS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "del",
        summary: "Deletes keys and says how many of them were there.",
        complexity: "O(N) in the number of keys; large values are freed in the background",
        arity: -2,
        flags: WRITE,
        keys: &[key_range("RM DELETE", 1, -1, 1)],
        syntax: "key [key ...]",
        tips: SUM_TIPS,
        plane: Plane::Data(del),
        ..GENERIC
    },
    CommandSpec {
        name: "unlink",
        summary: "Deletes keys and says how many of them were there, freeing large values in the background.",
        since: "4.0.0",
        complexity: "O(N) in the number of keys",
        arity: -2,
        flags: WRITE | FAST,
        keys: &[key_range("RM DELETE", 1, -1, 1)],
        syntax: "key [key ...]",
        tips: SUM_TIPS,
        plane: Plane::Data(unlink),
        ..GENERIC
    },
    CommandSpec {
        name: "exists",
        summary: "Says how many of the keys are there; a key that is named twice counts twice.",
        history: &[("3.0.3", "Several keys.")],
        complexity: "O(N) in the number of keys",
        arity: -2,
        flags: READONLY | FAST,
        keys: &[key_range("RO", 1, -1, 1)],
        syntax: "key [key ...]",
        tips: SUM_TIPS,
        plane: Plane::Data(exists),
        ..GENERIC
    },
    CommandSpec {
        name: "type",
        summary: "Names the type of the value of a key.",
        arity: 2,
        flags: READONLY | FAST,
        keys: &[one_key("RO", 1)],
        syntax: "key",
        plane: Plane::Data(type_of),
        ..GENERIC
    },
    CommandSpec {
        name: "touch",
        summary: "Marks keys as used now and says how many of them are there.",
        since: "3.2.1",
        complexity: "O(N) in the number of keys",
        arity: -2,
        flags: READONLY | FAST,
        keys: &[key_range("RO", 1, -1, 1)],
        syntax: "key [key ...]",
        tips: SUM_TIPS,
        plane: Plane::Data(touch),
        ..GENERIC
    },
    CommandSpec {
        name: "rename",
        summary: "Gives a key another name, in the place of a key that has it already.",
        arity: 3,
        flags: WRITE,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("OW UPDATE", 2)],
        syntax: "key newkey",
        plane: Plane::Data(rename),
        ..GENERIC
    },
    CommandSpec {
        name: "renamenx",
        summary: "Gives a key another name if no key has it.",
        history: &[("3.2.0", "A key may be renamed to its own name.")],
        arity: 3,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS DELETE", 1), one_key("OW INSERT", 2)],
        syntax: "key newkey",
        plane: Plane::Data(renamenx),
        ..GENERIC
    },
    CommandSpec {
        name: "copy",
        summary: "Copies the value and the expiry of a key to another key.",
        since: "6.2.0",
        complexity: "O(N) in the number of elements of the value",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RO ACCESS", 1), one_key("OW UPDATE", 2)],
        databases: Databases::Named(copy_databases),
        syntax: "source destination [DB destination-db] [REPLACE]",
        plane: Plane::Data(copy),
        ..GENERIC
    },
    CommandSpec {
        name: "move",
        summary: "Moves a key to another database, unless that has a key of the same name.",
        arity: 3,
        flags: WRITE | FAST,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        databases: Databases::Named(|args| database_at(args, 2).into_iter().collect()),
        syntax: "key db",
        plane: Plane::Data(move_key),
        ..GENERIC
    },
];

const MOVE_IN_CLUSTER: CommandError = CommandError::new("ERR MOVE is not allowed in cluster mode");

fn del(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lazily = context.settings().lazyfree_lazy_user_del.on();
    delete(context, reply, lazily)
}

fn unlink(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    delete(context, reply, true)
}

fn delete(context: &mut Context<'_>, reply: &mut Reply<'_>, lazily: bool) -> Outcome {
    let mut deleted = 0;
    context.for_each_key(1..context.args.len(), 1, |context, key, _| {
        if context.remove_key(key, lazily) {
            context.changed(key, class::GENERIC, "del");
            deleted += 1;
        }
    });
    reply.int(deleted);
    Ok(())
}

fn exists(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut found = 0;
    context.for_each_key(1..context.args.len(), 1, |context, key, _| {
        found += i64::from(context.look(key).is_some());
    });
    reply.int(found);
    Ok(())
}

fn type_of(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    reply.simple(context.look(&key).map_or("none", |entry| entry.value_type().name()));
    Ok(())
}

fn touch(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut found = 0;
    for index in 1..context.args.len() {
        let key = context.key(index);
        // TOUCH is an access even where the client's reads are not (CLIENT NO-TOUCH).
        let no_touch = std::mem::replace(&mut context.client.no_touch, false);
        found += i64::from(context.get(&key).is_some());
        context.client.no_touch = no_touch;
    }
    reply.int(found);
    Ok(())
}

fn rename(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (context.key(1), context.key(2));
    if context.get_to_replace(&from).is_none() {
        return Err(NO_SUCH_KEY);
    }
    if from.bytes != to.bytes {
        rename_key(context, &from, &to);
    }
    reply.ok();
    Ok(())
}

fn renamenx(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (context.key(1), context.key(2));
    if context.get_to_replace(&from).is_none() {
        return Err(NO_SUCH_KEY);
    }
    let free = context.get_to_replace(&to).is_none();
    if free {
        rename_key(context, &from, &to);
    }
    reply.flag(free);
    Ok(())
}

/// Moves what is under one key to another, expiry included.
fn rename_key(context: &mut Context<'_>, from: &Key<'_>, to: &Key<'_>) {
    let Some(entry) = context.take(from) else { return };
    context.remove(to);
    context.put_entry(context.client.db, to, entry);
    // One change for the two keys.
    context.changed_by(0, from, class::GENERIC, "rename_from");
    context.changed(to, class::GENERIC, "rename_to");
}

/// Where COPY copies to. The last DB counts.
fn copy_databases(args: &[&[u8]]) -> Vec<(usize, u32)> {
    let options = args.iter().enumerate().skip(3).filter(|(_, word)| args::is(word, "DB"));
    options.filter_map(|(at, _)| database_at(args, at + 1)).collect()
}

fn copy(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut target_db, mut replace) = (context.client.db, false);
    let mut options = Options::new(context.args, 3);
    while options.more() {
        if options.take("REPLACE") {
            replace = true;
        } else if let Some(text) = options.take_value("DB") {
            target_db = context.parse_db(text)?;
        } else {
            return Err(SYNTAX);
        }
    }
    let (from, to) = (context.key(1), context.key(2));
    if target_db == context.client.db && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    let Some(entry) = context.get(&from) else {
        reply.flag(false);
        return Ok(());
    };
    let expiry = entry.expiry().map_or(Expiry::None, Expiry::At);
    let text: Vec<u8>;
    let value = match entry.value() {
        Value::Text(Text::Integer(value)) => NewValue::Integer(value),
        Value::Text(Text::Bytes(bytes)) => {
            // The copy says the same to OBJECT ENCODING.
            let edited = bytes.len() <= 44 && entry.encoding() == "raw";
            text = bytes.to_vec();
            if edited {
                NewValue::Editable(text)
            } else {
                NewValue::Verbatim(&text)
            }
        }
        Value::Object(object) => NewValue::Object(object.duplicate()),
    };
    let done = context.in_db(target_db, |context| {
        let free = context.get_to_replace(&to).is_none();
        if !free && replace {
            context.remove(&to);
        }
        if free || replace {
            context.insert(&to, value, expiry);
            context.changed(&to, class::GENERIC, "copy_to");
        }
        free || replace
    });
    reply.flag(done);
    Ok(())
}

fn move_key(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if context.settings().cluster_enabled.on() {
        return Err(MOVE_IN_CLUSTER);
    }
    let key = context.key(1);
    let target_db = context.parse_db(context.args[2])?;
    if target_db == context.client.db {
        return Err(SAME_OBJECT);
    }
    let taken = context.in_db(target_db, |context| context.get_to_replace(&key).is_some());
    let entry: Option<Entry> = if taken { None } else { context.take(&key) };
    let moved = entry.is_some();
    if let Some(entry) = entry {
        context.put_entry(target_db, &key, entry);
        context.changed_by(0, &key, class::GENERIC, "move_from");
        context.in_db(target_db, |context| context.changed(&key, class::GENERIC, "move_to"));
    }
    reply.flag(moved);
    Ok(())
}

#[cfg(test)]
#[path = "tests/generic.rs"]
mod tests;
