//! Taking over the data of a shard that was filled beside this one: a replica serves what it has until the snapshot of its primary is
//! there as a whole.

use super::db::{presence, Db, Key};
use super::own_volatile::OwnVolatile;
use super::shard::Shard;

impl Shard {
    /// A shard without data, to be filled while this one is used.
    pub(crate) fn beside(&self) -> Shard {
        let mut beside = Shard::new(&self.world, self.index, 0);
        (beside.mark, beside.clock) = (self.mark, self.clock);
        beside
    }

    /// What the entries of this shard have that no snapshot has to save.
    pub(crate) fn mark(&self) -> bool {
        self.mark
    }

    /// Gives all entries the mark of a shard of which a snapshot has begun since: it is none of its business what they are.
    pub(crate) fn turn_mark(&mut self, mark: bool) {
        if self.mark != mark {
            self.mark = mark;
            let databases = (0..self.databases.count() as u16).filter_map(|db| self.databases.get(db));
            databases.flat_map(Db::iter).for_each(|entry| entry.set_mark(mark));
        }
    }

    /// Takes the data of such a shard, which have its mark and take so many bytes, in the place of its own. These are returned, and
    /// freed by whoever has them when no shard is held.
    pub(crate) fn adopt(&mut self, beside: &mut Shard, bytes: i64) -> Vec<Db> {
        assert_eq!(self.mark, beside.mark, "a snapshot would save what was not there at its cut");
        if self.world.tracking.is_on() {
            self.invalidate_everything();
        }
        let mut freed = Vec::new();
        for db in 0..self.databases.count() as u16 {
            let (old, new) = (self.databases.take(db), beside.databases.take(db));
            if old.is_some() || new.is_some() {
                self.tell_watches_of(db, old.as_deref(), new.as_deref());
                let old = old.and_then(|old| self.keep_flushed(db, old));
                freed.extend(old.map(|old| *old));
                self.databases.put(db, new);
                self.all_changed(db);
            }
        }
        self.ttl_index = std::mem::take(&mut beside.ttl_index);
        self.publish_ttl_index();
        self.own_volatile = OwnVolatile::default();
        self.publish_own();
        self.stats.memory_bytes.begin_anew(bytes);
        freed
    }

    fn tell_watches_of(&mut self, db: u16, old: Option<&Db>, new: Option<&Db>) {
        let (map, now_ms) = (self.world.slots, self.world.now_milliseconds());
        self.watches.replace_database(db, |bytes| {
            let key = Key::new(bytes, &map);
            (presence(old, &key, now_ms), presence(new, &key, now_ms))
        });
    }
}
