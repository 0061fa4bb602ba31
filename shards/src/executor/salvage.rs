//! What a write that panics leaves behind, told to whoever reads the journal.
//!
//! A mistake in the program may show when a command has changed some of its keys and recorded nothing: replicas and files would go
//! on with other data than clients see, for good. So what its keys are worth by then is recorded in its place, as one, whatever
//! it had recorded before. Its specification tells which keys these are; all databases are looked at, as some commands concern two.
//!
//! Where that cannot be said, of a command over whole databases or a value that cannot be read any more, the process ends with a crash
//! report: what was recorded is right, and nobody has got the answer. Rejected: a new history, with a snapshot for each
//! replica and a rewrite of the file, because of one key.

use crate::declaration::spec::{flag, Group, Scope};
use crate::handler::context::Context;
use crate::journal::recorder;
use crate::keyspace::db::Key;
use crate::rdb::dump::dump_in;
use crate::rdb::Dialect;
use sherd_types::invariant::{broken, contain};
use sherd_types::number::format_i64;

/// Records what the keys of a command are worth that has panicked within its unit; `has_changed` says whether it had counted a change.
#[cold]
pub(super) fn record_keys(context: &mut Context<'_>, own_db: u16, has_changed: bool) {
    let (spec, args) = (context.spec, context.args);
    let may_write = spec.has(flag::WRITE);
    // A script has changed what its commands have, each of which was here before it. Libraries are changed by commands that write.
    let is_script = spec.group == Group::Scripting && !may_write;
    if is_script || !has_changed && !spec.has(flag::WRITE | flag::MAY_REPLICATE) {
        return;
    }
    let positions = match spec.scope {
        Scope::Keys => spec.key_positions(args).unwrap_or_default(),
        _ => Vec::new(),
    };
    let recorded = contain(|| positions.iter().for_each(|&at| record_key(context, own_db, args[at])));
    if recorded.is_err() || positions.is_empty() && (has_changed || may_write) {
        let what = format!("'{}' has panicked, and nobody can say what it has changed", spec.name);
        broken(&what, file!(), line!());
    }
}

fn record_key(context: &mut Context<'_>, own_db: u16, bytes: &[u8]) {
    let key = context.key_of(bytes);
    let dialect = Dialect::of(&context.world.settings);
    let databases = context.shard(&key).dbs_touched() as u16;
    (0..databases.max(own_db + 1)).for_each(|db| record_value(context, db, &key, dialect));
}

fn record_value(context: &mut Context<'_>, db: u16, key: &Key<'_>, dialect: Dialect) {
    let found = context.shard(key).db(db).and_then(|database| database.find(key));
    let Some(entry) = found else { return recorder::effect(db, &[b"DEL", key.bytes]) };
    let (payload, mut time) = (dump_in(&entry.value(), dialect), Default::default());
    let time = format_i64(entry.expiry().unwrap_or(0), &mut time);
    recorder::effect(db, &[b"RESTORE", key.bytes, time, &payload, b"REPLACE", b"ABSTTL"]);
}
