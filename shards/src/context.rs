//! The world of a command handler: its arguments, its keys, the time.
//!
//! Handlers are given this and a [`crate::reply::Reply`]. Keys may lie on several shards; the context finds the right
//! one, and every shard that a command's specification names is held while the handler runs.

use crate::access::Shards;
use crate::blocking::Block;
use crate::client::ClientRecord;
use crate::db::{Db, Key, Put};
use crate::entry::{Entry, NewValue, Text};
use crate::error::{CommandError, Outcome, WRONG_TYPE};
use crate::expire;
use crate::field_calendar;
use crate::notify::class;
use crate::object::Collection;
use crate::origin::Origin;
use crate::policy;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::spec::{flag, CommandSpec};
use crate::table::{Prefetch, Table};
use crate::types::hash::Fields;
use crate::world::World;

/// What a handler may know of its client.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub db: u16,
    pub resp3: bool,
    /// CLIENT NO-TOUCH is on: reads leave the access clock alone.
    pub no_touch: bool,
    pub record: Option<&'a ClientRecord>,
}

/// See the file's head.
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

impl<'a> Context<'a> {
    /// The settings.
    #[inline]
    pub fn settings(&self) -> &'a Settings {
        &self.world.settings
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
        if index == 1 && self.first_key.0 != 0 {
            return Key { bytes, hash: self.first_key.0, slot: self.first_key.1 };
        }
        self.key_of(bytes)
    }

    /// Any bytes as a key.
    #[inline]
    pub fn key_of<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: crate::table::hash(bytes), slot: self.world.slots.slot(bytes) }
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
                self.table_of(key, |table| table.prefetch_bucket(key.hash));
                count += 1;
            }
            keys[..count].iter().for_each(|key| self.table_of(key, |table| table.prefetch_entry(key.hash)));
            for (number, key) in keys[..count].iter().enumerate() {
                visit(self, key, first + number * step);
            }
        }
    }

    #[inline]
    fn table_of(&self, key: &Key<'_>, look: impl FnOnce(&Table<Entry>)) {
        if let Some(db) = self.shard_ref(key).db(self.client.db) {
            look(db.table(key.slot));
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

    #[inline]
    fn get_touching(&mut self, key: &Key<'_>, touch: bool) -> Option<&Entry> {
        let (db, now) = (self.client.db, self.now_ms);
        let settings = &self.world.settings;
        let shard = self.shards.of_slot(key.slot);
        let clock = shard.clock;
        let Some(entry) = shard.dbs_get(db, key).map(|entry| entry as *mut Entry) else {
            shard.stats.keyspace_misses.increment();
            self.miss(key);
            return None;
        };
        // SAFETY: the entry is looked for once; nothing is inserted or removed before it is returned, except where it has
        // expired and is not used again. The shard is borrowed through `self` all the time.
        let entry = unsafe { &mut *entry };
        if entry.is_expired(now) {
            shard.stats.keyspace_misses.increment();
            self.expire_now(key);
            self.miss(key);
            return None;
        }
        shard.stats.keyspace_hits.increment();
        let lfu = policy::is_lfu(settings.maxmemory_policy.get());
        if touch {
            if lfu {
                let next = policy::accessed(entry.clock(), clock, settings, &mut shard.random);
                entry.set_clock(next);
            } else {
                entry.set_clock(clock);
            }
        }
        Some(entry)
    }

    #[inline]
    fn miss(&mut self, key: &Key<'_>) {
        if self.settings().notify_keyspace_events.on() {
            self.notify(key, class::KEY_MISS, "keymiss");
        }
    }

    /// The entry of a key without any side effect; an expired one is not there.
    #[inline]
    pub fn peek(&self, key: &Key<'_>) -> Option<&Entry> {
        self.peek_in(self.client.db, key)
    }

    /// The same in another database.
    pub fn peek_in(&self, db: u16, key: &Key<'_>) -> Option<&Entry> {
        self.shard_ref(key).db(db)?.find(key).filter(|entry| !entry.is_expired(self.now_ms))
    }

    /// Whether the key is there; no side effects.
    #[inline]
    pub fn exists(&self, key: &Key<'_>) -> bool {
        self.peek(key).is_some()
    }

    /// The string of a key, for a read by a client.
    #[inline]
    pub fn read_text(&mut self, key: &Key<'_>) -> Result<Option<Text<'_>>, CommandError> {
        match self.get(key) {
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
        let (db, now) = (self.client.db, self.now_ms);
        let settings = &self.world.settings;
        let shard = self.shards.of_slot(key.slot);
        let clock = shard.clock;
        let entry: *mut Entry = shard.dbs_get(db, key)?;
        // SAFETY: nothing is inserted or removed between the look-up and the return; the shard is borrowed.
        let entry = unsafe { &mut *entry };
        if entry.is_expired(now) {
            self.expire_now(key);
            return None;
        }
        let next = if policy::is_lfu(settings.maxmemory_policy.get()) {
            policy::accessed(entry.clock(), clock, settings, &mut shard.random)
        } else {
            clock
        };
        entry.set_clock(next);
        Some(entry)
    }

    /// The collection of a key for a write.
    #[inline]
    pub fn write<T: Collection>(&mut self, key: &Key<'_>) -> Result<Option<&mut T>, CommandError> {
        match self.get_mut(key) {
            None => Ok(None),
            Some(entry) => entry.object_mut().and_then(T::of_mut).map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// The collection of a key for a write, made empty when the key is not there. The caller adds to it at once.
    #[inline]
    pub fn upsert<T: Collection>(&mut self, key: &Key<'_>) -> Result<&mut T, CommandError> {
        let entry: *mut Entry = match self.get_mut(key) {
            Some(entry) => entry,
            None => self.insert_empty::<T>(key),
        };
        // SAFETY: the entry was found or made just now and nothing was inserted or removed since; the shard stays borrowed
        // through `self`. (The borrow checker cannot see that the `None` arm does not use the first borrow.)
        let entry = unsafe { &mut *entry };
        entry.object_mut().and_then(T::of_mut).ok_or(WRONG_TYPE)
    }

    /// Makes an empty collection under a key that is known not to be there.
    fn insert_empty<T: Collection>(&mut self, key: &Key<'_>) -> &mut Entry {
        self.notify_new(key);
        let db = self.client.db;
        let policy_number = self.world.settings.maxmemory_policy.get();
        let shard = self.shards.of_slot(key.slot);
        let clock = policy::initial(policy_number, shard.clock);
        let entry = Entry::new(key.bytes, NewValue::Object(T::empty().wrap()), None, clock);
        shard.db_or_new(db).insert_new(key, entry)
    }

    /// Sets a key's value, whatever it was. The old value is freed, in the background if it is big; a short string takes
    /// its place in the same allocation where it fits.
    pub fn insert(&mut self, key: &Key<'_>, value: NewValue<'_>, expiry: Expiry) {
        let has_timed_fields = match &value {
            NewValue::Object(object) => object.view().timed().is_some_and(Fields::has_expiries),
            _ => false,
        };
        let (db, now) = (self.client.db, self.now_ms);
        let policy_number = self.world.settings.maxmemory_policy.get();
        let shard = self.shards.of_slot(key.slot);
        let new_clock = policy::initial(policy_number, shard.clock);
        let overwrite = match (&value, expiry) {
            (NewValue::Text(text), Expiry::None) => Some(*text),
            _ => None,
        };
        // How often a key is used does not change with its value.
        let keeps_clock = policy::is_lfu(policy_number);
        let put = shard.db_or_new(db).put(key, overwrite, (!keeps_clock).then_some(new_clock), |old| {
            let (clock, kept) = match old {
                Some(old) if keeps_clock => (old.clock(), old.expiry()),
                Some(old) => (new_clock, old.expiry()),
                None => (new_clock, None),
            };
            let expiry = match expiry {
                Expiry::None => None,
                Expiry::At(at) => Some(at),
                Expiry::Keep => kept.filter(|&at| at > now),
            };
            Entry::new(key.bytes, value, expiry, clock)
        });
        match put {
            Put::Created => self.notify_new(key),
            Put::Overwritten => {}
            Put::Replaced(old) => shard.free(old),
        }
        if has_timed_fields {
            self.announce_fields(key);
        }
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
        let shard = self.shards.of_slot(key.slot);
        match shard.db_or_new(db).replace(key, entry.with_key(key.bytes)) {
            Some(old) => shard.free(old),
            None => self.in_db(db, |context| context.notify_new(key)),
        }
        self.in_db(db, |context| context.announce_fields(key));
    }

    /// Takes a key's entry out of the keyspace; an expired one is not there.
    pub fn take(&mut self, key: &Key<'_>) -> Option<Entry> {
        self.get_mut(key)?;
        let db = self.client.db;
        self.shards.of_slot(key.slot).db_mut(db)?.remove(key)
    }

    /// Removes a key; true if it was there. The caller raises the event.
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        self.remove_key(key, true)
    }

    /// Likewise; a big value is freed in the background only if that is wanted.
    pub fn remove_key(&mut self, key: &Key<'_>, lazily: bool) -> bool {
        let (db, now) = (self.client.db, self.now_ms);
        let shard = self.shards.of_slot(key.slot);
        let Some(entry) = shard.db_mut(db).and_then(|database| database.remove(key)) else { return false };
        let expired = entry.is_expired(now);
        if expired {
            expire::note(shard, db, key.bytes);
        }
        if lazily {
            shard.free(entry);
        } else {
            drop(entry);
        }
        !expired
    }

    /// Removes a key, expired or not; true if it was there. So do commands whose result, which would have replaced the key, is
    /// empty: Redis does not look first whether it has expired.
    pub fn discard(&mut self, key: &Key<'_>) -> bool {
        let db = self.client.db;
        let shard = self.shards.of_slot(key.slot);
        let removed = shard.db_mut(db).and_then(|database| database.remove(key));
        removed.map(|entry| shard.free(entry)).is_some()
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
        let shard = self.shards.of_slot(key.slot);
        if let Some(entry) = shard.db_mut(db).and_then(|database| database.remove(key)) {
            expire::note(shard, db, key.bytes);
            shard.free(entry);
        }
    }

    /// Sets or removes a key's expiry; false when there is no such key.
    pub fn set_expiry(&mut self, key: &Key<'_>, expiry: Option<i64>) -> bool {
        let db = self.client.db;
        self.shards.of_slot(key.slot).db_mut(db).is_some_and(|database| database.set_expiry(key, expiry))
    }

    /// Has the shard look after the hash or set of a key when its fields or members expire.
    pub fn announce_fields(&mut self, key: &Key<'_>) {
        let db = self.client.db;
        field_calendar::announce(self.shards.of_slot(key.slot), db, key);
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
        self.touched_by(count, key);
        self.notify(key, event_class, event);
    }

    /// The same without an event, for commands that raise another one for the same change, or none.
    #[inline]
    pub fn touched_by(&mut self, count: usize, key: &Key<'_>) {
        let db = self.client.db;
        let shard = self.shards.of_slot(key.slot);
        shard.stats.dirty.add(count as u64);
        shard.touches += 1;
        shard.touch_watches(db, key);
        if !shard.blocking.is_empty() {
            shard.blocking.mark_ready(db, key.bytes);
        }
    }

    /// Raises a keyspace event.
    #[inline]
    pub fn notify(&mut self, key: &Key<'_>, event_class: u32, event: &'static str) {
        let wanted = self.world.settings.notify_keyspace_events.get() as u32;
        if wanted & event_class != 0 {
            let db = self.client.db;
            self.shards.of_slot(key.slot).events.push(db, event, key.bytes);
        }
    }

    /// Raises the `new` event of a key that was not there before.
    #[inline]
    fn notify_new(&mut self, key: &Key<'_>) {
        self.notify(key, class::NEW, "new");
    }

    // ----- waiting -----

    /// Makes the client wait instead of answering it; a handler that calls this writes nothing. Where nothing may wait, in a
    /// transaction or a script, the reply is the one for a time that is over.
    pub fn block(&mut self, reply: &mut crate::reply::Reply<'_>, block: Block) {
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
        let number = crate::args::integer(text)?;
        if i32::try_from(number).is_err() {
            return Err(crate::error::NOT_INT32);
        }
        if (0..self.settings().databases.get()).contains(&number) {
            Ok(number as u16)
        } else {
            Err(crate::error::DB_INDEX)
        }
    }

    /// The client's database on one shard.
    pub fn db_of<'s>(&self, shard: &'s Shard) -> Option<&'s Db> {
        shard.db(self.client.db)
    }
}

impl Shard {
    #[inline]
    pub(crate) fn dbs_get(&mut self, db: u16, key: &Key<'_>) -> Option<&mut Entry> {
        self.db_mut(db)?.find_slot(key).map(crate::table::Slot::into_mut)
    }
}

/// `Err(WRONG_TYPE)` unless the entry is a string.
pub fn require_text(entry: &Entry) -> Outcome {
    entry.text().map(|_| ()).ok_or(WRONG_TYPE)
}
