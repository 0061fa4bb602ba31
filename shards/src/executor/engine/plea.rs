//! Waiting for several shards: in ascending order, or out of it.
//!
//! Threads that wait for shards while they hold others take them in ascending order. A script that has written and needs another shard cannot:
//! what it holds was chosen by its keys. It *pleads*. Who waits for one of the shards that it holds, and has others itself, gives
//! those back, waits until the plea is over, and begins anew. One thread pleads at a time, so pleas do not wait for each other; a
//! second one has to find its shards free.

use std::cell::Cell;
use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

use super::{indexes, Engine, Hold, Ordering};
use crate::keyspace::outbox::Letters;

/// How often whoever waits for a bounded time looks whether a shard is free.
const LOOK_AGAIN: Duration = Duration::from_micros(20);

/// The right to wait for shards while others are held, until this is dropped.
pub struct Plea<E: Deref<Target = Engine>> {
    engine: E,
    /// The shards that this thread holds, whose waiting threads give way.
    held: u64,
}

impl Engine {
    /// Waits for shards in ascending order.
    pub(super) fn acquire_ascending(&self, wanted: u64) {
        let mut left = indexes(wanted);
        while let Some(index) = left.next() {
            let below = wanted & ((1 << index) - 1);
            let baton = &self.cells[index].baton;
            if below == 0 {
                baton.acquire();
            } else if !baton.acquire_unless_pleaded() {
                self.give_back(below);
                baton.acquire();
                self.give_back(1 << index);
                left = indexes(wanted);
            }
        }
    }
}

impl Engine {
    /// Waits for the named shards as [`Engine::hold`] does, for so long at most; `None` if they were busy all the while.
    pub fn hold_within<E: Deref<Target = Engine>>(engine: E, wanted: u64, at_most: Duration) -> Option<Hold<E>> {
        let until = Instant::now() + at_most;
        let goes_on = || {
            thread::sleep(LOOK_AGAIN);
            Instant::now() < until
        };
        if !engine.acquire_ascending_while(wanted, goes_on) {
            return None;
        }
        if wanted.count_ones() > 1 {
            engine.cross_shard.fetch_add(1, Ordering::Relaxed);
        }
        Some(Engine::held(engine, wanted))
    }

    /// Waits for shards in ascending order as long as `goes_on`, which is asked again and again and takes its time; whether this
    /// thread has them. If not, it has none.
    fn acquire_ascending_while(&self, wanted: u64, mut goes_on: impl FnMut() -> bool) -> bool {
        let mut left = indexes(wanted);
        while let Some(index) = left.next() {
            let below = wanted & ((1 << index) - 1);
            let cell = &self.cells[index];
            let is_late = Cell::new(false);
            let mut asks = || {
                is_late.set(!goes_on());
                !is_late.get()
            };
            let has_it = match below {
                0 => cell.baton.acquire_while(&mut asks),
                _ => cell.baton.acquire_unless_pleaded_while(&mut asks),
            };
            if has_it {
                continue;
            }
            // What was brought while this thread waited is its to look at.
            self.give_back(below);
            self.after(cell, Vec::new(), Letters::default());
            if is_late.get() || !cell.baton.acquire_while(&mut asks) {
                self.after(cell, Vec::new(), Letters::default());
                return false;
            }
            self.give_back(1 << index);
            left = indexes(wanted);
        }
        true
    }
}

impl<E: Deref<Target = Engine> + Clone> Plea<E> {
    /// A plea of a thread that holds these shards, unless another thread pleads.
    pub fn begin(engine: E, held: u64) -> Option<Plea<E>> {
        if engine.is_pleaded.swap(true, Ordering::SeqCst) {
            return None;
        }
        indexes(held).for_each(|index| engine.cells[index].baton.plead());
        Some(Plea { engine, held })
    }

    /// Waits for more shards as long as `goes_on`, which is asked again and again and takes its time. Takes all of them or none.
    pub fn wait(mut self, missing: u64, mut goes_on: impl FnMut() -> bool) -> Option<Hold<E>> {
        let mut taken = 0;
        for index in indexes(missing) {
            if !self.engine.cells[index].baton.acquire_while(&mut goes_on) {
                self.end();
                self.engine.give_back(taken);
                self.engine.after(&self.engine.cells[index], Vec::new(), Letters::default());
                return None;
            }
            self.engine.cells[index].baton.plead();
            taken |= 1 << index;
            self.held |= 1 << index;
        }
        let engine = self.engine.clone();
        drop(self);
        Some(Engine::held(engine, missing))
    }
}

impl<E: Deref<Target = Engine>> Plea<E> {
    fn end(&mut self) {
        let held = std::mem::take(&mut self.held);
        indexes(held).for_each(|index| self.engine.cells[index].baton.end_plea());
    }
}

impl<E: Deref<Target = Engine>> Drop for Plea<E> {
    fn drop(&mut self) {
        self.end();
        self.engine.is_pleaded.store(false, Ordering::SeqCst);
    }
}
