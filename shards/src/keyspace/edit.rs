//! The one door: every alteration of a database, whoever makes it, is a method of [`Shard`] in this file.
//!
//! What follows from a change is decided here, once, by its [`Cause`]: the count of changes, WATCH, the keyspace event, waiting
//! clients, what the shard publishes of itself. What is to be told to others goes into the shard's outbox. A handler changes a
//! value in place: it gets hold of it here ([`Shard::find_to_edit`]) and says here what it did ([`Shard::changed`]), by way of
//! [`crate::handler::context::Context`]. What a snapshot has to see first is in [`super::saving::door`].

use std::sync::atomic::Ordering;

use sherd_metrics::memory;

use super::db::{presence, Db, Key, Sweep};
use super::events::class;
use super::shard::Shard;
use super::ttl_index::Announcement;
use crate::effects::watch::Presence;
use crate::entry::object::{Collection, ObjectMut, Type};
use crate::entry::policy;
use crate::entry::{Entry, NewValue};
use crate::journal;
use crate::server::lazyfree::Reaper;
use crate::server::settings::Settings;
use sherd_types::hash::Fields;
use sherd_types::mover::Mover;
use sherd_types::random::Random;
use sherd_types::table::{self, Slot};

/// Elements from which the size of what comes free later is estimated.
const ENTRY_SAMPLES: usize = 32;

/// Why a key changes or goes without a command's asking for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Its time was over, whoever found it.
    Expired,
    /// It had to make room.
    Evicted,
    /// So many of its fields or members have expired.
    ElementsExpired(Type, usize),
    /// The last of its fields or members has expired.
    Emptied,
}

/// Whether what another value takes the place of, or what a command removes on its way, is freed in the background.
pub(crate) fn as_overwritten(settings: &Settings) -> bool {
    settings.lazyfree_lazy_server_del.on()
}

/// Whether what has expired is freed in the background.
fn as_expired(settings: &Settings) -> bool {
    settings.lazyfree_lazy_expire.on()
}

/// What became of looking for a key.
pub enum Found<E> {
    Absent,
    /// It is there, but its time is over.
    Expired,
    Alive(E),
}

/// How a write treats a key's expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// The key has none afterwards.
    None,
    /// It keeps what it has.
    Keep,
    /// It expires at this time, in milliseconds since the epoch.
    At(i64),
}

impl Expiry {
    /// When a key expires that is written and had an expiry of its own, if it had.
    fn after(self, old: Option<i64>) -> Option<i64> {
        match self {
            Expiry::None => None,
            Expiry::At(at) => Some(at),
            Expiry::Keep => old,
        }
    }
}

/// The access clock of an entry that is used at this moment of the shard's clock.
#[inline(always)]
fn clock_after_use(entry: &Entry, clock: u32, settings: &Settings, random: &mut Random) -> u32 {
    if policy::is_lfu(settings.maxmemory_policy.get()) {
        policy::accessed(entry.clock(), clock, settings.lfu(), random)
    } else {
        clock
    }
}

/// Getting hold of an entry.
impl Shard {
    #[inline(always)]
    fn look_up(&mut self, db: u16, key: &Key<'_>, now_ms: i64, touch: bool) -> Found<&mut Entry> {
        let clock = self.clock;
        let settings = &self.world.settings;
        // Not by combinators: their closures were called, with all registers saved.
        let Some(database) = self.databases.get_mut(db) else { return Found::Absent };
        let Some(slot) = database.find_slot(key) else { return Found::Absent };
        let entry = slot.into_mut();
        if entry.is_expired(now_ms) {
            return Found::Expired;
        }
        if touch {
            entry.set_clock(clock_after_use(entry, clock, settings, &mut self.random));
        }
        Found::Alive(entry)
    }

    /// A key's entry, for reading; with `touch`, its access clock is set.
    #[inline(always)]
    pub(crate) fn find_to_read(&mut self, db: u16, key: &Key<'_>, now_ms: i64, touch: bool) -> Found<&Entry> {
        match self.look_up(db, key, now_ms, touch) {
            Found::Alive(entry) => Found::Alive(entry),
            Found::Expired => Found::Expired,
            Found::Absent => Found::Absent,
        }
    }

    /// A key's entry, for changing its value in place.
    #[inline(always)]
    pub(crate) fn find_to_edit(&mut self, db: u16, key: &Key<'_>, now_ms: i64) -> Found<&mut Entry> {
        self.save_before(db, key);
        self.look_up(db, key, now_ms, true)
    }
}

/// Putting and taking entries.
impl Shard {
    #[inline]
    fn db_or_new(&mut self, db: u16) -> &mut Db {
        self.databases.get_or_new(db, &self.world.slots, self.index)
    }

    /// Makes an empty collection under a key that is known not to be there.
    pub(crate) fn insert_empty<T: Collection>(&mut self, db: u16, key: &Key<'_>) -> &mut Entry {
        self.insert_new(db, key, NewValue::Object(T::empty().wrap()), None)
    }

    /// Adds a key that is known not to be there.
    fn insert_new(&mut self, db: u16, key: &Key<'_>, value: NewValue<'_>, expiry: Option<i64>) -> &mut Entry {
        self.raise(db, key, class::NEW, "new");
        let clock = policy::initial(self.world.settings.maxmemory_policy.get(), self.clock);
        let entry = Entry::new(key.bytes, value, expiry, clock);
        entry.set_mark(self.mark);
        self.db_or_new(db).insert_new(key, entry)
    }

    /// Sets a key's value, whatever it was. The old value is freed, in the background if it is big; a short string takes
    /// its place in the same allocation where it fits. The key is looked up once.
    #[inline(always)]
    pub(crate) fn put(&mut self, db: u16, key: &Key<'_>, value: NewValue<'_>, expiry: Expiry, now_ms: i64) {
        self.save_before(db, key);
        let database = self.databases.get_or_new(db, &self.world.slots, self.index);
        let Some(mut slot) = database.find_slot(key) else { return self.put_new(db, key, value, expiry) };
        // A new value is a use of the key like any other.
        let clock = clock_after_use(slot.get(), self.clock, &self.world.settings, &mut self.random);
        if let (NewValue::Text(text), Expiry::None) = (&value, expiry) {
            if slot.get().expiry().is_none() && slot.get_mut().set_text_in_place(text) {
                return slot.get().set_clock(clock);
            }
        }
        // What has expired goes first, and is told of: the key is a new one then.
        if slot.get().is_expired(now_ms) {
            self.expire(db, key);
            return self.put_new(db, key, value, expiry);
        }
        let has_timed_elements = value.has_timed_elements();
        let expiry = expiry.after(slot.get().expiry());
        let entry = Entry::new(key.bytes, value, expiry, clock);
        entry.set_mark(self.mark);
        let mut old = slot.replace(entry);
        database.has_replaced(&mut old, expiry.is_some());
        self.has_put(db, key, Some(old), has_timed_elements);
    }

    // Apart, as is `has_put`, so that a string which takes another one's place is written without saving registers for the rest.
    #[inline(never)]
    fn put_new(&mut self, db: u16, key: &Key<'_>, value: NewValue<'_>, expiry: Expiry) {
        let has_timed_elements = value.has_timed_elements();
        self.insert_new(db, key, value, expiry.after(None));
        self.has_put(db, key, None, has_timed_elements);
    }

    #[inline(never)]
    fn has_put(&mut self, db: u16, key: &Key<'_>, old: Option<Entry>, has_timed_elements: bool) {
        if let Some(old) = old {
            self.free(old, as_overwritten);
        }
        if has_timed_elements {
            self.announce_elements(db, key);
        }
    }

    /// Puts an entry that was taken from somewhere under a key, replacing what is there.
    pub(crate) fn put_entry(&mut self, db: u16, key: &Key<'_>, entry: Entry) {
        self.save_before(db, key);
        let entry = entry.with_key(key.bytes);
        entry.set_mark(self.mark);
        match self.db_or_new(db).replace(key, entry) {
            Some(old) => self.free(old, as_overwritten),
            None => self.raise(db, key, class::NEW, "new"),
        }
        self.note_arrival(db, key);
        self.announce_elements(db, key);
    }

    /// Replaces a key's entry by what was loaded for it, or removes it. To load is no change.
    pub(crate) fn load(&mut self, db: u16, key: &Key<'_>, entry: Option<Entry>) {
        self.save_before(db, key);
        let mark = self.mark;
        let database = self.db_or_new(db);
        let old = match entry {
            Some(entry) => {
                entry.set_mark(mark);
                database.replace(key, entry)
            }
            None => database.remove(key),
        };
        if let Some(old) = old {
            self.free(old, as_overwritten);
        }
        self.announce_elements(db, key);
    }

    /// Takes a key's entry out of the keyspace, expired or not. The caller says what it did ([`Shard::changed`]).
    pub(crate) fn take(&mut self, db: u16, key: &Key<'_>) -> Option<Entry> {
        self.save_before(db, key);
        self.databases.get_mut(db)?.remove(key)
    }

    /// Removes a key; a big value is freed in the background if that is wanted. Returns whether it was there and alive; the
    /// caller says then that it removed it.
    pub(crate) fn remove(&mut self, db: u16, key: &Key<'_>, now_ms: i64, lazily: bool) -> bool {
        let Some(entry) = self.take(db, key) else { return false };
        let has_expired = entry.is_expired(now_ms);
        if has_expired {
            self.has_gone(db, key, Cause::Expired, &[]);
            self.free(entry, as_expired);
        } else {
            self.free(entry, |_| lazily);
        }
        !has_expired
    }

    /// Sets or removes a key's expiry; false when there is no such key. The caller says that it did.
    pub(crate) fn set_expiry(&mut self, db: u16, key: &Key<'_>, expiry: Option<i64>) -> bool {
        self.save_before(db, key);
        self.databases.get_mut(db).is_some_and(|database| database.set_expiry(key, expiry))
    }

    /// Removes a key that is known to have expired.
    #[cold]
    pub(crate) fn expire(&mut self, db: u16, key: &Key<'_>) {
        if let Some(entry) = self.take(db, key) {
            self.has_gone(db, key, Cause::Expired, &[]);
            self.free(entry, as_expired);
        }
    }

    /// Removes what has expired from the next `limit` buckets of a database.
    pub(crate) fn sweep_expired(&mut self, db: u16, now_ms: i64, limit: usize) -> Sweep {
        let mut gone = Vec::new();
        let Some(database) = self.databases.get_mut(db) else { return Sweep::default() };
        let swept = database.sweep(now_ms, limit, |entry| gone.push(entry));
        for mut entry in gone {
            self.save_gone(db, &mut entry);
            let key = self.key_of(table::Entry::key(&entry));
            self.has_gone(db, &key, Cause::Expired, &[]);
            self.free(entry, as_expired);
        }
        swept
    }

    /// Removes a key to make room; returns the bytes that come free, those that the background thread frees included.
    pub(crate) fn evict(&mut self, db: u16, key: &Key<'_>, has_expired: bool) -> usize {
        let before = memory::data_bytes();
        let Some(entry) = self.take(db, key) else { return 0 };
        let of_table = before - memory::data_bytes();
        // At once: should anything fail from here on, nobody would know that it has gone.
        self.has_gone(db, key, if has_expired { Cause::Expired } else { Cause::Evicted }, &[]);
        self.world.settings.fail_if_wanted();
        let before = memory::data_bytes() + of_table;
        let mut later = 0;
        if entry.is_walked() {
            // It comes free when a snapshot has saved it.
            later = entry.memory_bytes(ENTRY_SAMPLES);
            self.free(entry, |_| true);
        } else if self.world.settings.lazyfree_lazy_eviction.on() {
            later = self.world.reaper.free(entry, &self.stats.memory_bytes).unwrap_or(0);
            self.stats.memory_bytes.fetch_sub(later as i64, Ordering::Relaxed);
        } else {
            drop(entry);
        }
        let freed = (before - memory::data_bytes()).max(0) as usize;
        freed + later
    }

    /// Visits some keys of a database, from where the last call ended; see [`Db::sample`].
    pub(crate) fn sample(
        &mut self,
        db: u16,
        only_volatile: bool,
        want: usize,
        visit: impl FnMut(&Entry, u16),
    ) -> usize {
        self.databases.get_mut(db).map_or(0, |database| database.sample(only_volatile, want, visit))
    }

    /// Moves what is to be moved of one bucket of a database, and has `visit` do so with the entries in it, whose keys and values
    /// stay as they are; see [`Db::defragment`].
    pub(crate) fn defragment(
        &mut self,
        db: u16,
        at: (usize, usize),
        mover: &mut Mover<'_>,
        visit: impl FnMut(&mut Entry, &mut Mover<'_>),
    ) -> Option<(usize, usize)> {
        self.databases.get_mut(db)?.defragment(at, mover, visit)
    }

    /// Moves what is to be moved of a collection, as [`Collection::defragment`]; 0 where there is none.
    pub(crate) fn defragment_elements(
        &mut self,
        db: u16,
        key: &Key<'_>,
        mover: &mut Mover<'_>,
        at: usize,
        limit: usize,
    ) -> usize {
        let slot = self.databases.get_mut(db).and_then(|database| database.find_slot(key));
        let object = slot.map(Slot::into_mut).and_then(Entry::object_mut);
        object.map_or(0, |object| object.defragment(mover, at, limit))
    }

    /// Frees an entry that was taken out of the keyspace. A big one is freed in the background if that is wanted; of others it is not
    /// asked.
    #[inline]
    pub(crate) fn free(&mut self, entry: Entry, lazily: impl FnOnce(&Settings) -> bool) {
        let entry = match &self.saving {
            None => entry,
            Some(_) => match self.keep_unsaved(entry) {
                Some(entry) => entry,
                None => return,
            },
        };
        if !Reaper::is_effort(&entry) || !lazily(&self.world.settings) {
            return drop(entry);
        }
        if let Some(bytes) = self.world.reaper.free(entry, &self.stats.memory_bytes) {
            self.stats.memory_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        }
    }
}

/// Elements that expire.
impl Shard {
    /// Has the shard look after the hash or set of a key when its fields or members expire.
    pub(crate) fn announce_elements(&mut self, db: u16, key: &Key<'_>) {
        if let Some(due_ms) = self.next_announcement(db, key, false) {
            self.ttl_index.enter(&self.databases, &self.world.slots, Announcement::new(due_ms, db, key.bytes));
            self.publish_ttl_index();
        }
    }

    /// When the elements of a key should be looked at, if that is earlier than it has said; with `again`, whatever it has said.
    pub(crate) fn next_announcement(&mut self, db: u16, key: &Key<'_>, again: bool) -> Option<u64> {
        self.databases.get_mut(db)?.announce(key, again)
    }

    /// Removes fields or members whose time is over as `remove` does it, which names each of them to the function that it is
    /// given, and the key with the last of them. Returns whether the key is still there.
    pub(crate) fn expire_elements(
        &mut self,
        db: u16,
        key: &Key<'_>,
        remove: impl FnOnce(&mut Fields, &mut dyn FnMut(&[u8])),
    ) -> bool {
        self.save_before(db, key);
        let is_recorded = self.world.journal.is_on();
        let found = self.databases.get_mut(db).and_then(|database| database.find_slot(key));
        let Some(entry) = found.map(table::Slot::into_mut) else { return false };
        let kind = entry.value_type();
        let are_named = is_recorded || self.world.settings.wants_elements(class::WITH_ELEMENTS);
        let Some(fields) = entry.object_mut().and_then(ObjectMut::timed_mut) else { return true };
        let (mut removed, mut names) = (0, Vec::new());
        remove(fields, &mut |name| {
            removed += 1;
            if are_named {
                names.push(name.to_vec());
            }
        });
        let emptied = entry.object().is_some_and(|object| object.element_count() == 0);
        if is_recorded && removed > 0 {
            let command: &[u8] = if kind == Type::Set { b"SREM" } else { b"HDEL" };
            let parts: Vec<&[u8]> = [command, key.bytes].into_iter().chain(names.iter().map(Vec::as_slice)).collect();
            journal::effect(db, &parts);
        }
        if removed > 0 {
            self.has_gone(db, key, Cause::ElementsExpired(kind, removed), &names);
        }
        if emptied {
            if let Some(entry) = self.take(db, key) {
                self.free(entry, as_expired);
            }
            self.has_gone(db, key, Cause::Emptied, &[]);
        }
        !emptied
    }
}

/// Whole databases.
impl Shard {
    /// Empties a database; its contents are freed in the background, or at once with `sync`. Each key counts as a change.
    pub(crate) fn flush(&mut self, db: u16, sync: bool) {
        if self.world.tracking.is_on() {
            self.invalidate_everything();
        } else {
            self.forget_read_keys();
        }
        self.own_volatile.forget_database(db);
        let now_ms = self.world.now_milliseconds();
        let Some(old) = self.databases.take(db) else { return };
        self.stats.dirty.add(old.len() as u64);
        let map = self.world.slots;
        self.watches
            .replace_database(db, |bytes| (presence(Some(&old), &Key::new(bytes, &map), now_ms), Presence::Absent));
        let old = self.keep_flushed(db, old);
        if sync {
            drop(old);
        } else {
            let is_all = self.databases.are_empty();
            if let Some(old) = old.filter(|old| !old.is_empty()) {
                self.world.reaper.free_whole(old, (!is_all).then_some(&self.stats.memory_bytes));
            }
            if is_all {
                self.stats.memory_bytes.begin_anew(0);
            }
        }
        self.all_changed(db);
    }

    /// Exchanges two databases.
    pub(crate) fn swap(&mut self, a: u16, b: u16) {
        if a == b {
            return;
        }
        let (map, now_ms) = (self.world.slots, self.world.now_milliseconds());
        for (old, new) in [(a, b), (b, a)] {
            let (old_db, new_db) = (self.databases.get(old), self.databases.get(new));
            self.watches.replace_database(old, |bytes| {
                let key = Key::new(bytes, &map);
                (presence(old_db, &key, now_ms), presence(new_db, &key, now_ms))
            });
        }
        if self.world.tracking.is_on() {
            self.invalidate_everything();
        }
        self.databases.swap(a, b);
        self.note_swap(a, b);
        self.ttl_index.swap(a, b);
        self.own_volatile.swap(a, b);
        self.all_changed(a);
        self.all_changed(b);
    }

    /// Every key of a database may be another one.
    pub(super) fn all_changed(&mut self, db: u16) {
        if !self.blocking.is_empty() {
            self.blocking.mark_all_ready(db);
        }
        self.publish_sizes();
    }

    /// Frees all keys at once: the server has stopped, and there is nobody to tell.
    pub(crate) fn clear_databases(&mut self) {
        self.databases.clear();
    }
}

/// What follows.
impl Shard {
    /// A command has changed a key, which counts as so many changes.
    #[inline]
    pub(crate) fn changed(&mut self, db: u16, key: &Key<'_>, count: usize) {
        self.stats.dirty.add(count as u64);
        self.tell(db, key);
    }

    /// A command has changed what belongs to a key and is not its value, as the groups of a stream: it counts, but neither those who watch
    /// the key nor those who keep copies are told.
    pub(crate) fn changed_aside(&mut self, count: usize) {
        self.stats.dirty.add(count as u64);
        self.changes += 1;
    }

    /// Has those who wait for a key look at it again.
    pub(crate) fn wake(&mut self, db: u16, key: &Key<'_>) {
        if !self.blocking.is_empty() {
            self.blocking.mark_ready(db, key.bytes);
        }
    }

    /// A key has changed or gone for another reason than a command; its elements that have gone, if anybody wants to know them.
    fn has_gone(&mut self, db: u16, key: &Key<'_>, cause: Cause, elements: &[Vec<u8>]) {
        let (counter, count, event_class, event) = match cause {
            Cause::Expired => (Some(&self.stats.expired_keys), 1, class::EXPIRED, "expired"),
            Cause::Evicted => (Some(&self.stats.evicted_keys), 1, class::EVICTED, "evicted"),
            Cause::ElementsExpired(Type::Set, count) => {
                (Some(&self.stats.expired_members), count, class::SET, "sexpired")
            }
            Cause::ElementsExpired(_, count) => (Some(&self.stats.expired_fields), count, class::HASH, "hexpired"),
            Cause::Emptied => (None, 0, class::GENERIC, "del"),
        };
        if let Some(counter) = counter {
            counter.add(count as u64);
        }
        // Elements are named where they go, and a key that goes with its last one goes wherever that is repeated.
        if matches!(cause, Cause::Expired | Cause::Evicted) && self.world.journal.is_on() {
            journal::effect(db, &[b"UNLINK", key.bytes]);
        }
        self.tell(db, key);
        self.raise_about(db, key, (event_class, event), elements.iter().map(Vec::as_slice));
    }

    /// As [`Shard::changed`], with an event.
    #[inline(always)]
    pub(crate) fn changed_with(&mut self, db: u16, key: &Key<'_>, count: usize, event: (u32, &'static str)) {
        self.stats.dirty.add(count as u64);
        self.changes += 1;
        if self.has_listeners() || self.wants(event.0) {
            self.tell_with(db, key, event);
        }
    }

    // Apart, so that a write that nobody listens to does not save registers for it.
    #[inline(never)]
    fn tell_with(&mut self, db: u16, key: &Key<'_>, (event_class, event): (u32, &'static str)) {
        if self.has_listeners() {
            self.tell_listeners(db, key);
        }
        self.raise(db, key, event_class, event);
    }

    /// Whether anybody watches keys, waits for them, or keeps copies of them.
    #[inline(always)]
    fn has_listeners(&self) -> bool {
        !self.watches.is_empty() || !self.blocking.is_empty() || self.world.tracking.is_on()
    }

    /// Tells those who watch a key, wait for it, or keep a copy of it.
    #[inline(always)]
    fn tell(&mut self, db: u16, key: &Key<'_>) {
        self.changes += 1;
        if self.has_listeners() {
            self.tell_listeners(db, key);
        }
    }

    #[inline(never)]
    fn tell_listeners(&mut self, db: u16, key: &Key<'_>) {
        if !self.watches.is_empty() {
            let database = self.databases.get(db);
            self.watches.touch(db, key.bytes, || database.is_some_and(|database| database.find(key).is_some()));
        }
        if !self.blocking.is_empty() {
            self.blocking.mark_ready(db, key.bytes);
        }
        if self.world.tracking.is_on() {
            self.invalidate(key);
        }
    }

    /// Whether anybody wants keyspace events of a class.
    #[inline(always)]
    fn wants(&self, event_class: u32) -> bool {
        self.world.settings.wanted_events() & event_class != 0
    }

    /// Raises a keyspace event, if its class is wanted.
    #[inline]
    pub(crate) fn raise(&mut self, db: u16, key: &Key<'_>, event_class: u32, event: &'static str) {
        if self.wants(event_class) {
            self.outbox.events.push(db, event_class, event, key.bytes);
        }
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
