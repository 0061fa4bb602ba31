//! How commands get at a hash or a set: with the fields or members that they name removed first, if these have expired.
//!
//! Nothing is looked at twice unless the collection says that something may have expired ([`Fields::is_due`]); where nothing
//! expires that is one comparison. What no command names is removed by the shard ([`crate::maintenance::element_expiry`]).
//!
//! While clients are paused ([`crate::server::pause`]) readers leave what has expired where it is and pass over it ([`living`],
//! [`without_expired`]).

use crate::entry::object::Collection;
use crate::handler::context::Context;
use crate::handler::error::CommandError;
use crate::keyspace::db::Key;
use sherd_types::hash::Fields;
use sherd_types::random::Random;

/// The moment up to which fields and members are gone, as hashes and sets count it.
#[inline]
pub(super) fn now(context: &Context<'_>) -> u64 {
    context.expired_until_ms().max(0) as u64
}

/// Whether anything may have expired.
#[inline]
pub(super) fn is_due<T: Collection>(collection: &T, now: u64) -> bool {
    collection.timed().is_some_and(|timed| timed.is_due(now))
}

/// The collection, if what it has under a name has not expired; it may still be there while clients are paused.
#[inline]
pub(super) fn living<'c, T: Collection>(found: Option<&'c T>, name: &[u8], now: u64) -> Option<&'c T> {
    let has_expired = |timed: &Fields| timed.expiry(name).flatten().is_some_and(|expiry| expiry <= now);
    found.filter(|found| !is_due(*found, now) || !found.timed().is_some_and(has_expired))
}

/// A copy of a collection without what has expired, for a reader who must not remove it; `None` if nothing is left.
#[cold]
pub(super) fn without_expired<T: Collection + Clone>(context: &Context<'_>, key: &Key<'_>) -> Option<T> {
    let mut copy = context.peek_typed::<T>(key).ok()??.clone();
    if let Some(timed) = copy.timed_mut() {
        timed.remove_all_expired(now(context), |_| {});
    }
    (copy.element_count() > 0).then_some(copy)
}

/// The collection of a key for a read by a client. What it has under the names may have expired: see [`living`].
#[inline]
pub(super) fn read<'c, 'f, T: Collection + 'c>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    fields: impl Iterator<Item = &'f &'f [u8]>,
) -> Result<Option<&'c T>, CommandError> {
    let now = now(context);
    let Some(found) = context.read::<T>(key)?.map(std::ptr::from_ref) else { return Ok(None) };
    // SAFETY: it was found just now in the context, which stays borrowed; nothing was inserted or removed since. (The
    // borrow checker does not see that the other branch does not use it.)
    let found = unsafe { &*found };
    if !is_due(found, now) {
        return Ok(Some(found));
    }
    expire_named::<T>(context, key, fields);
    context.peek_typed(key)
}

/// The collection of a key for a write.
#[inline]
pub(super) fn write<'c, 'f, T: Collection + 'c>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    fields: impl Iterator<Item = &'f &'f [u8]>,
) -> Result<Option<&'c mut T>, CommandError> {
    let now = now(context);
    let Some(found) = context.write::<T>(key)?.map(std::ptr::from_mut) else { return Ok(None) };
    // SAFETY: as in `read`.
    let found = unsafe { &mut *found };
    if !is_due(found, now) {
        return Ok(Some(found));
    }
    expire_named::<T>(context, key, fields);
    context.write(key)
}

/// The collection of a key for a write, made empty when the key is not there. The caller adds to it at once.
#[inline]
pub(super) fn upsert<'c, 'f, T: Collection + 'c>(
    context: &'c mut Context<'_>,
    key: &Key<'_>,
    fields: impl Iterator<Item = &'f &'f [u8]>,
) -> Result<&'c mut T, CommandError> {
    let now = now(context);
    let found = std::ptr::from_mut(context.upsert::<T>(key)?);
    // SAFETY: as in `read`.
    let found = unsafe { &mut *found };
    if !is_due(found, now) {
        return Ok(found);
    }
    expire_named::<T>(context, key, fields);
    context.upsert(key)
}

/// Removes those of the fields that have expired, and the key if none is left.
#[cold]
fn expire_named<'f, T: Collection>(
    context: &mut Context<'_>,
    key: &Key<'_>,
    mut fields: impl Iterator<Item = &'f &'f [u8]>,
) {
    if context.keeps_expired() {
        return;
    }
    let now = now(context);
    remove::<T>(context, key, |timed, gone| {
        fields.by_ref().filter(|field| timed.remove_if_expired(field, now)).for_each(|field| gone(field));
    });
}

/// Removes all fields or members that have expired, and the key if none is left.
#[cold]
pub(super) fn expire_all<T: Collection>(context: &mut Context<'_>, key: &Key<'_>) {
    let now = now(context);
    remove::<T>(context, key, |timed, gone| timed.remove_all_expired(now, gone));
}

/// The same for what a command only reads on its way to a write: who repeats it elsewhere, a replica or a journal's reader, has to
/// find what it has found, and knows of nothing that has expired before it is told. No read is counted, and none refused.
pub(super) fn renew<T: Collection>(context: &mut Context<'_>, key: &Key<'_>) {
    let now = now(context);
    if context.peek_typed::<T>(key).is_ok_and(|found| found.is_some_and(|found| is_due(found, now))) {
        expire_all::<T>(context, key);
    }
}

/// Draws that are tried before everything that has expired is removed: by then it is nearly all.
const DRAWS_MAX: usize = 64;

/// Sees to it that the next draw finds an element that lives, if there is one. What is drawn before and has expired is removed;
/// to look through all of a large collection would hold up its shard, and what was not drawn goes in passing.
#[cold]
pub(super) fn expire_drawn<T: Collection>(
    context: &mut Context<'_>,
    key: &Key<'_>,
    random: &mut Random,
    draw: impl Fn(&T, &mut Random) -> Option<Vec<u8>>,
) {
    let now = now(context);
    for _ in 0..DRAWS_MAX {
        let before = random.clone();
        let Ok(Some(found)) = context.peek_typed::<T>(key) else { return };
        let Some(name) = draw(found, random) else { return };
        if found.timed().and_then(|timed| timed.expiry(&name).flatten()).is_none_or(|expiry| expiry > now) {
            *random = before;
            return;
        }
        remove::<T>(context, key, |timed, gone| {
            if timed.remove(&name) {
                gone(&name);
            }
        });
    }
    expire_all::<T>(context, key);
}

fn remove<T: Collection>(
    context: &mut Context<'_>,
    key: &Key<'_>,
    remove_from: impl FnOnce(&mut Fields, &mut dyn FnMut(&[u8])),
) {
    if context.is_there::<T>(key).is_ok_and(|is_there| is_there) {
        let db = context.client.db;
        context.shard(key).expire_elements(db, key, remove_from);
    }
}
