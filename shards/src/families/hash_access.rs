//! How hash commands get at their hash: with the fields that they name removed first, if these have expired.
//!
//! Nothing is looked at twice unless the hash says that something may have expired ([`Hash::is_due`]); hashes without
//! expiries pay one comparison. Fields that no command names are removed by the shard ([`crate::field_calendar`]).

use crate::context::Context;
use crate::db::Key;
use crate::error::CommandError;
use crate::field_calendar;
use crate::types::hash::Hash;

/// This moment as hashes count it.
#[inline]
pub(super) fn now(context: &Context<'_>) -> u64 {
    context.now_ms.max(0) as u64
}

/// The hash of a key for a read by a client.
#[inline]
pub(super) fn read<'c, 'f>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    fields: impl Iterator<Item = &'f &'f [u8]>,
) -> Result<Option<&'c Hash>, CommandError> {
    let now = now(context);
    let Some(hash) = context.read::<Hash>(key)?.map(std::ptr::from_ref) else { return Ok(None) };
    // SAFETY: the hash was found just now in the context, which stays borrowed; nothing was inserted or removed since. (The
    // borrow checker does not see that the other branch does not use it.)
    let hash = unsafe { &*hash };
    if !hash.is_due(now) {
        return Ok(Some(hash));
    }
    expire_named(context, key, fields);
    context.peek_typed(key)
}

/// The hash of a key for a write.
#[inline]
pub(super) fn write<'c, 'f>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    fields: impl Iterator<Item = &'f &'f [u8]>,
) -> Result<Option<&'c mut Hash>, CommandError> {
    let now = now(context);
    let Some(hash) = context.write::<Hash>(key)?.map(std::ptr::from_mut) else { return Ok(None) };
    // SAFETY: as in `read`.
    let hash = unsafe { &mut *hash };
    if !hash.is_due(now) {
        return Ok(Some(hash));
    }
    expire_named(context, key, fields);
    context.write(key)
}

/// The hash of a key for a write, made empty when the key is not there. The caller adds to it at once.
#[inline]
pub(super) fn upsert<'c, 'f>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    fields: impl Iterator<Item = &'f &'f [u8]>,
) -> Result<&'c mut Hash, CommandError> {
    let now = now(context);
    let hash = std::ptr::from_mut(context.upsert::<Hash>(key)?);
    // SAFETY: as in `read`.
    let hash = unsafe { &mut *hash };
    if !hash.is_due(now) {
        return Ok(hash);
    }
    expire_named(context, key, fields);
    context.upsert(key)
}

/// Removes those of the fields that have expired, and the key if none is left.
#[cold]
fn expire_named<'f>(context: &mut Context<'_>, key: &Key<'_>, mut fields: impl Iterator<Item = &'f &'f [u8]>) {
    let now = now(context);
    remove(context, key, |hash| fields.by_ref().filter(|field| hash.remove_if_expired(field, now)).count());
}

/// Removes all fields that have expired, and the key if none is left.
#[cold]
pub(super) fn expire_all(context: &mut Context<'_>, key: &Key<'_>) {
    let now = now(context);
    remove(context, key, |hash| hash.remove_all_expired(now));
}

fn remove(context: &mut Context<'_>, key: &Key<'_>, remove_from: impl FnOnce(&mut Hash) -> usize) {
    let Ok(Some(hash)) = context.write::<Hash>(key) else { return };
    let removed = remove_from(hash);
    let emptied = hash.is_empty();
    let db = context.client.db;
    let shard = context.shard(key);
    if removed > 0 {
        field_calendar::fields_expired(shard, db, key);
    }
    if emptied {
        field_calendar::remove_emptied(shard, db, key);
    }
}
