//! The world of a command handler: its arguments, its keys, the time.
//!
//! Handlers are given this and a [`crate::protocol::reply::Reply`]. Keys may lie on several shards; the context finds the right
//! one, and every shard that a command's specification names is held while the handler runs.

use std::sync::atomic::Ordering::Relaxed;

use crate::declaration::origin::Origin;
use crate::declaration::spec::{self, flag};
use crate::effects::blocking::Block;
use crate::entry::object::Collection;
use crate::entry::{Entry, NewValue, Text};
use crate::handler::access::Shards;
use crate::journal::recorder;
use crate::keyspace::db::Key;
pub use crate::keyspace::edit::Expiry;
use crate::keyspace::edit::{as_overwritten, Found};
use crate::keyspace::events::class;
use crate::keyspace::shard::Shard;
use crate::protocol::error::{CommandError, Outcome, WRONG_TYPE};
use crate::protocol::reply::Reply;
pub use crate::server::client::Client;
use crate::server::settings::Settings;
use crate::server::world::World;
use sherd_types::table::{Prefetch, Table};

/// A data command's implementation.
pub type Handler = fn(&mut Context<'_>, &mut Reply<'_>) -> Outcome;

pub type CommandSpec = spec::CommandSpec<Handler>;
pub type Plane = spec::Plane<Handler>;

/// See the [module](self).
pub struct Context<'a> {
    /// The whole command, its name first.
    pub args: &'a [&'a [u8]],
    pub spec: &'static CommandSpec,
    /// Milliseconds since the Unix epoch; the same during a command, or a transaction, which see one moment.
    pub now_ms: i64,
    pub client: Client<'a>,
    pub world: &'a World,
    /// The first key's hash and slot, computed while routing.
    pub(crate) first_key: (u64, u16),
    pub(crate) shards: Shards<'a>,
    /// Who has the command executed.
    pub origin: Origin,
    /// What the command waits for, if it does; see [`Context::block`].
    pub(crate) blocked: Option<Box<Block>>,
    /// The command has changed something, and that is recorded.
    pub(crate) has_written: bool,
}

impl<'a> Context<'a> {
    /// The settings.
    #[inline]
    pub fn settings(&self) -> &'a Settings {
        &self.world.settings
    }

    /// The shards that are held, for what executes other commands in them.
    pub fn shards(&mut self) -> &mut Shards<'a> {
        &mut self.shards
    }

    /// The time up to which what expires is gone for the command.
    #[inline]
    pub fn expired_until_ms(&self) -> i64 {
        if self.origin.expires() && !(self.world.settings.import_mode.on() && self.is_for_import_source()) {
            self.now_ms
        } else {
            0
        }
    }

    /// Whether the client brings data from elsewhere, and says itself when they go: CLIENT IMPORT-SOURCE.
    #[cold]
    fn is_for_import_source(&self) -> bool {
        self.client.record.is_some_and(|record| record.import_source.load(Relaxed))
    }

    /// Whether a key that is to expire at a time is gone at once. In import mode it stays, for who brings the data says when it goes.
    pub fn is_over(&self, time_ms: i64) -> bool {
        time_ms <= self.expired_until_ms() && !self.world.settings.import_mode.on()
    }

    /// Reads the clocks again: a command that follows may see another moment.
    #[cold]
    pub(crate) fn look_at_clocks(&mut self) {
        self.now_ms = self.world.now_milliseconds();
        self.shards.iter_mut().for_each(Shard::look_at_clock);
    }

    /// The time on the monotonic clock at which a wait of so long that begins now is over.
    pub fn deadline_after(&self, wait_ms: i64) -> i64 {
        self.world.monotonic_milliseconds().saturating_add(wait_ms)
    }

    /// Argument `index` as a key.
    #[inline]
    pub fn key(&self, index: usize) -> Key<'a> {
        let bytes = self.args[index];
        // Commands whose first key is elsewhere have none at 1.
        if index == 1 && self.first_key.0 != 0 {
            return Key { bytes, hash: self.first_key.0, slot: self.first_key.1 };
        }
        self.key_of(bytes)
    }

    /// Any bytes as a key.
    #[inline]
    pub fn key_of<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(bytes, &self.world.slots)
    }

    /// Visits the keys at every `step`th argument of a range, with their positions. Their entries are asked for in advance,
    /// some keys at a time, so that a command over many keys does not wait for memory at every one of them.
    pub fn for_each_key(
        &mut self,
        arguments: std::ops::Range<usize>,
        step: usize,
        mut visit: impl FnMut(&mut Self, &Key<'a>, usize),
    ) {
        const TOGETHER: usize = 16;
        let mut keys = [Key { bytes: &[], hash: 0, slot: 0 }; TOGETHER];
        for first in arguments.clone().step_by(step * TOGETHER) {
            let mut count = 0;
            for (key, index) in keys.iter_mut().zip((first..arguments.end).step_by(step)) {
                *key = self.key(index);
                count += 1;
            }
            self.for_each_table(&keys[..count], Table::prefetch_bucket);
            self.for_each_table(&keys[..count], Table::prefetch_entry);
            for (number, key) in keys[..count].iter().enumerate() {
                visit(self, key, first + number * step);
            }
        }
    }

    /// Calls with the table and the hash of each key. Keys of one slot are in one table, as all are where there are no slots: it is
    /// looked for once.
    #[inline]
    fn for_each_table(&self, keys: &[Key<'_>], look: impl Fn(&Table<Entry>, u64)) {
        for keys in keys.chunk_by(|one, next| one.slot == next.slot) {
            let Some(db) = self.shard_ref(&keys[0]).db(self.client.db) else { continue };
            let table = db.table(keys[0].slot);
            keys.iter().for_each(|key| look(table, key.hash));
        }
    }

    /// The shard of a key.
    #[inline]
    pub fn shard(&mut self, key: &Key<'_>) -> &mut Shard {
        self.shards.of_slot(key.slot)
    }

    /// The shard of a key, for reading.
    #[inline]
    fn shard_ref(&self, key: &Key<'_>) -> &Shard {
        self.shards.of_slot_ref(key.slot)
    }

    /// All shards that are held, for commands over a whole database.
    pub fn all_shards(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.shards.iter_mut()
    }

    /// 64 random bits.
    pub fn random(&mut self) -> u64 {
        self.shards.first().random.next()
    }

    /// A random number below `bound`.
    pub fn random_below(&mut self, bound: usize) -> usize {
        self.shards.first().random.below(bound)
    }

    // ----- reading -----

    /// The entry of a key for a read by a client: counts a hit or miss, sets the access clock, removes it if expired.
    #[inline]
    pub fn get(&mut self, key: &Key<'_>) -> Option<&Entry> {
        self.get_touching(key, !self.client.no_touch)
    }

    /// The same without setting the access clock, for commands that ask about a key (EXISTS, TYPE, TTL).
    #[inline]
    pub fn look(&mut self, key: &Key<'_>) -> Option<&Entry> {
        self.get_touching(key, false)
    }

    /// As [`Context::get`], inlined: for the commands that are nearly nothing but this.
    #[inline(always)]
    pub fn get_inlined(&mut self, key: &Key<'_>) -> Option<&Entry> {
        self.get_touching(key, !self.client.no_touch)
    }

    #[inline(always)]
    fn get_touching(&mut self, key: &Key<'_>, touch: bool) -> Option<&Entry> {
        let (db, now_ms) = (self.client.db, self.expired_until_ms());
        let shard = self.shards.of_slot(key.slot);
        let entry: *const Entry = match shard.find_to_read(db, key, now_ms, touch) {
            Found::Alive(entry) => entry,
            Found::Absent => {
                self.miss(key, false);
                return None;
            }
            Found::Expired => {
                self.miss(key, true);
                return None;
            }
        };
        shard.stats.keyspace_hits.increment();
        // SAFETY: nothing was inserted or removed since the entry was found; the shard stays borrowed through `self`.
        Some(unsafe { &*entry })
    }

    /// A client has read a key that is not there, or whose time is over.
    // Apart, so that a read that finds its key does not save registers for it.
    #[inline(never)]
    fn miss(&mut self, key: &Key<'_>, has_expired: bool) {
        self.shard(key).stats.keyspace_misses.increment();
        if has_expired {
            self.expire_now(key);
        }
        if self.settings().wanted_events() != 0 {
            self.notify(key, class::KEY_MISS, "keymiss");
        }
    }

    /// The entry of a key without any side effect; an expired one is not there.
    #[inline]
    pub fn peek(&self, key: &Key<'_>) -> Option<&Entry> {
        self.shard_ref(key).db(self.client.db)?.find(key).filter(|entry| !entry.is_expired(self.expired_until_ms()))
    }

    /// Whether the key is there; no side effects.
    #[inline]
    pub fn exists(&self, key: &Key<'_>) -> bool {
        self.peek(key).is_some()
    }

    /// The string of a key, for a read by a client.
    #[inline]
    pub fn read_text(&mut self, key: &Key<'_>) -> Result<Option<Text<'_>>, CommandError> {
        match self.get_touching(key, !self.client.no_touch) {
            None => Ok(None),
            Some(entry) => entry.text().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// The collection of a key, for a read by a client.
    #[inline]
    pub fn read<T: Collection>(&mut self, key: &Key<'_>) -> Result<Option<&T>, CommandError> {
        match self.get(key) {
            None => Ok(None),
            Some(entry) => entry.object().and_then(T::of).map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// The collection of a key without side effects: several may be read at once. Call [`Context::get`] or
    /// [`Context::read`] for each key first where the access shall count.
    pub fn peek_typed<T: Collection>(&self, key: &Key<'_>) -> Result<Option<&T>, CommandError> {
        match self.peek(key) {
            None => Ok(None),
            Some(entry) => entry.object().and_then(T::of).map(Some).ok_or(WRONG_TYPE),
        }
    }

    // ----- writing -----

    /// The entry of a key for a write: sets the access clock, removes it if expired, counts nothing.
    #[inline]
    pub fn get_mut(&mut self, key: &Key<'_>) -> Option<&mut Entry> {
        self.get_mut_inlined(key)
    }

    /// The same, inlined: for the commands that are nearly nothing but this.
    #[inline(always)]
    pub fn get_mut_inlined(&mut self, key: &Key<'_>) -> Option<&mut Entry> {
        let (db, now_ms) = (self.client.db, self.expired_until_ms());
        let entry: *mut Entry = match self.shards.of_slot(key.slot).find_to_edit(db, key, now_ms) {
            Found::Alive(entry) => entry,
            Found::Absent => return None,
            Found::Expired => {
                self.expire_now(key);
                return None;
            }
        };
        // SAFETY: nothing was inserted or removed since the entry was found; the shard stays borrowed through `self`.
        Some(unsafe { &mut *entry })
    }

    /// The entry of a key for a write that only looks at it: an existence, an expiry, a type.
    #[inline]
    pub fn get_to_replace(&mut self, key: &Key<'_>) -> Option<&Entry> {
        self.get_mut(key).map(|entry| &*entry)
    }

    /// Whether a key is there, for a write; an error if it is no such collection.
    pub fn is_there<T: Collection>(&mut self, key: &Key<'_>) -> Result<bool, CommandError> {
        match self.get_to_replace(key) {
            None => Ok(false),
            Some(entry) => entry.object().and_then(T::of).map(|_| true).ok_or(WRONG_TYPE),
        }
    }

    /// The collection of a key for a write.
    #[inline]
    pub fn write<T: Collection>(&mut self, key: &Key<'_>) -> Result<Option<&mut T>, CommandError> {
        match self.get_mut(key) {
            None => Ok(None),
            Some(entry) => entry.object_mut().and_then(T::of_mut).map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// The same where a collection may be out of date: what it does then is looked for once more after `renew`, which makes it good.
    #[inline]
    pub fn write_renewed<T: Collection>(
        &mut self,
        key: &Key<'_>,
        is_stale: impl FnOnce(&T) -> bool,
        renew: impl FnOnce(&mut Self),
    ) -> Result<Option<&mut T>, CommandError> {
        let Some(collection) = self.write::<T>(key)? else { return Ok(None) };
        if is_stale(collection) {
            renew(self);
            return self.write(key);
        }
        let collection: *mut T = collection;
        // SAFETY: nothing was inserted or removed since the collection was found; the shard stays borrowed through `self`. (The
        // borrow checker cannot see that the first borrow ends where `renew` is called.)
        Ok(Some(unsafe { &mut *collection }))
    }

    /// The collection of a key for a write, made empty when the key is not there. The caller adds to it at once.
    #[inline]
    pub fn upsert<T: Collection>(&mut self, key: &Key<'_>) -> Result<&mut T, CommandError> {
        let entry: *mut Entry = match self.get_mut(key) {
            Some(entry) => entry,
            None => {
                let db = self.client.db;
                self.shard(key).insert_empty::<T>(db, key)
            }
        };
        // SAFETY: the entry was found or made just now and nothing was inserted or removed since; the shard stays borrowed
        // through `self`. (The borrow checker cannot see that the `None` arm does not use the first borrow.)
        let entry = unsafe { &mut *entry };
        entry.object_mut().and_then(T::of_mut).ok_or(WRONG_TYPE)
    }

    /// Sets a key's value, whatever it was.
    #[inline(never)]
    pub fn insert(&mut self, key: &Key<'_>, value: NewValue<'_>, expiry: Expiry) {
        self.insert_inlined(key, value, expiry);
    }

    /// The same, inlined: for the commands that are nearly nothing but this.
    #[inline(always)]
    pub fn insert_inlined(&mut self, key: &Key<'_>, value: NewValue<'_>, expiry: Expiry) {
        let (db, now_ms) = (self.client.db, self.expired_until_ms());
        self.shards.of_slot(key.slot).put(db, key, value, expiry, now_ms);
    }

    /// Sets a key to a collection, or removes it when that is empty; true if it is there afterwards.
    pub fn store<T: Collection>(&mut self, key: &Key<'_>, value: T) -> bool {
        if value.element_count() == 0 {
            self.remove(key);
            return false;
        }
        self.insert(key, NewValue::Object(value.wrap()), Expiry::None);
        true
    }

    /// Puts an entry (from [`Context::take`], say) under a key, replacing what is there.
    pub fn put_entry(&mut self, db: u16, key: &Key<'_>, entry: Entry) {
        self.shards.of_slot(key.slot).put_entry(db, key, entry);
    }

    /// Takes a key's entry out of the keyspace; an expired one is not there.
    pub fn take(&mut self, key: &Key<'_>) -> Option<Entry> {
        self.get_mut(key)?;
        let db = self.client.db;
        self.shards.of_slot(key.slot).take(db, key)
    }

    /// Removes a key; true if it was there. The caller raises the event.
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        self.remove_key(key, as_overwritten(&self.world.settings))
    }

    /// Likewise; a big value is freed in the background only if that is wanted. In import mode what has expired is there to be
    /// removed.
    pub fn remove_key(&mut self, key: &Key<'_>, lazily: bool) -> bool {
        let now_ms = if self.world.settings.import_mode.on() { 0 } else { self.expired_until_ms() };
        let db = self.client.db;
        self.shards.of_slot(key.slot).remove(db, key, now_ms, lazily)
    }

    /// Removes a key, expired or not; true if it was there. So do commands whose result, which would have replaced the key, is
    /// empty: Redis does not look first whether it has expired.
    pub fn discard(&mut self, key: &Key<'_>) -> bool {
        let db = self.client.db;
        let shard = self.shards.of_slot(key.slot);
        let removed = shard.take(db, key);
        removed.map(|entry| shard.free(entry, as_overwritten)).is_some()
    }

    /// Removes a key whose collection the command has just emptied, with the `del` event. The change itself was announced by
    /// the command; no look is taken at the key first.
    pub fn remove_emptied(&mut self, key: &Key<'_>) {
        self.remove(key);
        self.notify(key, class::GENERIC, "del");
    }

    /// Whether what has expired stays where it is, though it is not there for this command: clients are paused. A write that
    /// was on its way when the pause began needs the place.
    #[inline]
    pub fn keeps_expired(&self) -> bool {
        !self.spec.has(flag::WRITE) && self.world.keeps_expired()
    }

    /// Removes a key that is known to have expired.
    #[cold]
    pub fn expire_now(&mut self, key: &Key<'_>) {
        if self.keeps_expired() {
            return;
        }
        let db = self.client.db;
        self.shards.of_slot(key.slot).expire(db, key);
    }

    /// Sets or removes a key's expiry; false when there is no such key.
    pub fn set_expiry(&mut self, key: &Key<'_>, expiry: Option<i64>) -> bool {
        let db = self.client.db;
        self.shards.of_slot(key.slot).set_expiry(db, key, expiry)
    }

    /// Has the shard look after the hash or set of a key when its fields or members expire.
    pub fn announce_fields(&mut self, key: &Key<'_>) {
        let db = self.client.db;
        self.shards.of_slot(key.slot).announce_elements(db, key);
    }

    // ----- effects -----

    /// Says that a key has changed: watchers, waiting clients, keyspace events and the count of changes follow from it.
    #[inline]
    pub fn changed(&mut self, key: &Key<'_>, event_class: u32, event: &'static str) {
        self.changed_by(1, key, event_class, event);
    }

    /// The same for a change that counts as `count`: of so many elements, or none where another key's counts for both.
    #[inline]
    pub fn changed_by(&mut self, count: usize, key: &Key<'_>, event_class: u32, event: &'static str) {
        let db = self.client.db;
        self.shards.of_slot(key.slot).changed_with(db, key, count, (event_class, event));
        self.note_own(key);
    }

    /// The same for a change of these elements of the key.
    #[inline]
    pub fn changed_elements<'e>(
        &mut self,
        count: usize,
        key: &Key<'_>,
        event: (u32, &'static str),
        elements: impl Iterator<Item = &'e [u8]>,
    ) {
        let db = self.client.db;
        self.shards.of_slot(key.slot).changed_elements(db, key, count, event, elements);
    }

    /// Whether anybody wants to know which elements an event of a class is about.
    #[inline]
    pub fn names_elements(&self, event_class: u32) -> bool {
        self.world.settings.wants_elements(event_class)
    }

    /// The same without an event, for commands that raise another one for the same change, or none.
    #[inline]
    pub fn touched_by(&mut self, count: usize, key: &Key<'_>) {
        let db = self.client.db;
        self.shards.of_slot(key.slot).changed(db, key, count);
        self.note_own(key);
    }

    /// What clients write to a replica that expires is the replica's to remove.
    #[inline]
    fn note_own(&mut self, key: &Key<'_>) {
        if self.world.follows() && !self.origin.must_be_obeyed() {
            let db = self.client.db;
            self.shards.of_slot(key.slot).note_own(db, key);
        }
    }

    /// What belongs to a key and is not its value has changed so often, as the groups of a stream: a transaction that watches the key goes on.
    pub fn changed_aside(&mut self, count: usize, key: &Key<'_>) {
        self.shards.of_slot(key.slot).changed_aside(count);
    }

    /// Has those who wait for a key look at it again.
    pub fn wake(&mut self, key: &Key<'_>) {
        let db = self.client.db;
        self.shards.of_slot(key.slot).wake(db, key);
    }

    /// Raises a keyspace event.
    #[inline]
    pub fn notify(&mut self, key: &Key<'_>, event_class: u32, event: &'static str) {
        let db = self.client.db;
        self.shards.of_slot(key.slot).raise(db, key, event_class, event);
    }

    // ----- the journal -----

    /// Whether somebody wants to know what the command does.
    #[inline]
    pub fn is_recorded(&self) -> bool {
        self.world.journal.is_on() && self.origin.is_recorded()
    }

    /// Says what the command has done, where repeating it would not do the same. Called as often as it takes; the request itself is
    /// not recorded then.
    #[inline]
    pub fn effect(&mut self, parts: &[&[u8]]) {
        if self.is_recorded() {
            recorder::tell();
            recorder::effect(self.client.db, parts);
        }
    }

    /// Says that the command tells all that it does by [`Context::effect`], which may be nothing.
    #[inline]
    pub fn tells_effects(&mut self) {
        if self.is_recorded() {
            recorder::tell();
        }
    }

    /// Says that the command is to be recorded although it has changed nothing here: it may change something where it is repeated.
    pub fn is_to_be_repeated(&mut self) {
        self.has_written |= self.is_recorded();
    }

    // ----- waiting -----

    /// Makes the client wait instead of answering it; a handler that calls this writes nothing. Where nothing may wait, in a
    /// transaction or a script, the reply is the one for a time that is over.
    pub fn block(&mut self, reply: &mut Reply<'_>, block: Block) {
        if !self.origin.may_wait() {
            reply.timed_out(block.on_timeout);
        } else {
            self.blocked = Some(Box::new(block));
        }
    }

    // ----- databases -----

    /// Runs `use_context` as if the client had selected another database.
    pub fn in_db<R>(&mut self, db: u16, use_context: impl FnOnce(&mut Self) -> R) -> R {
        let own = std::mem::replace(&mut self.client.db, db);
        let result = use_context(self);
        self.client.db = own;
        result
    }

    /// A database number from an argument.
    pub fn parse_db(&self, text: &[u8]) -> Result<u16, CommandError> {
        let number = crate::protocol::args::integer(text)?;
        if i32::try_from(number).is_err() {
            return Err(crate::protocol::error::NOT_INT32);
        }
        if (0..self.settings().databases.get()).contains(&number) {
            Ok(number as u16)
        } else {
            Err(crate::protocol::error::DB_INDEX)
        }
    }
}
