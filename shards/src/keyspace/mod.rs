//! A shard: its databases, the one door through which they are altered, and what it remembers and counts besides.
//!
//! [`Databases`] lends databases for reading to everybody. What alters one, [`edit`] and [`loading`] alone can call: the methods are visible in
//! this module only, so what follows from a change (count, WATCH, keyspace event, waiting clients) cannot be forgotten by
//! whoever makes one.

pub mod adopt;
pub mod big_keys;
pub mod candidates;
pub mod db;
pub mod edit;
pub mod element_events;
pub mod events;
pub mod heat;
pub mod invalidations;
mod loading;
pub mod outbox;
pub mod own_volatile;
pub mod read_keys;
pub mod saving;
pub mod shard;
pub mod stats;
pub mod tracking;
pub mod ttl_index;

use db::Db;

use crate::slot::SlotMap;

/// A shard's part of each database.
pub struct Databases {
    places: Vec<Option<Box<Db>>>,
    /// Databases from this one on have never had keys.
    touched: usize,
}

impl Databases {
    /// So many databases without keys.
    pub fn new(count: usize) -> Databases {
        Databases { places: (0..count).map(|_| None).collect(), touched: 0 }
    }

    /// Databases that there can be.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Databases that there is something to do for: those after them have never had keys.
    pub fn touched(&self) -> usize {
        self.touched
    }

    /// A database, if it has ever had keys.
    #[inline]
    pub fn get(&self, number: u16) -> Option<&Db> {
        self.places[usize::from(number)].as_deref()
    }

    /// Whether no database has ever had keys, or all were emptied.
    pub fn are_empty(&self) -> bool {
        self.places.iter().all(Option::is_none)
    }

    #[inline]
    fn get_mut(&mut self, number: u16) -> Option<&mut Db> {
        self.places[usize::from(number)].as_deref_mut()
    }

    /// A database, made when it is not there yet.
    // Inlined wherever it is used: as a call it was a hundredth of a SET.
    #[inline(always)]
    fn get_or_new(&mut self, number: u16, map: &SlotMap, shard: usize) -> &mut Db {
        let index = usize::from(number);
        if self.places[index].is_none() {
            self.make(index, map, shard);
        }
        self.places[index].as_deref_mut().expect("a database that was made if it was not there")
    }

    #[cold]
    fn make(&mut self, index: usize, map: &SlotMap, shard: usize) {
        self.touched = self.touched.max(index + 1);
        self.places[index] = Some(Box::new(Db::new(map, shard)));
    }

    fn take(&mut self, number: u16) -> Option<Box<Db>> {
        self.places[usize::from(number)].take()
    }

    fn put(&mut self, number: u16, database: Option<Box<Db>>) {
        if database.is_some() {
            self.touched = self.touched.max(usize::from(number) + 1);
        }
        self.places[usize::from(number)] = database;
    }

    fn swap(&mut self, a: u16, b: u16) {
        self.places.swap(usize::from(a), usize::from(b));
        self.touched = self.touched.max(usize::from(a.max(b)) + 1);
    }

    fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| *place = None);
    }
}
