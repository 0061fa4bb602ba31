//! A shard's own thread: it executes what was left to it, and looks after the keys besides commands.

use sherd_metrics::pages;

use super::saving::SavePace;
use super::{fence, indexes, run_batch, thread, Engine, Ordering, ShardCell, Slice};
use crate::executor::batch::Batch;
use crate::executor::errand;
use crate::executor::rest;
use crate::executor::run::run_next_over;
use crate::journal;
use crate::keyspace::shard::Shard;
use crate::maintenance::defragment;
use crate::maintenance::evict;
use crate::maintenance::expire;
use crate::maintenance::survey::Survey;

/// How often an errand is sent on from one busy shard to another before the thread that has it waits for all of them while it
/// holds some: without an end to it, an errand over busy shards might never run.
const ERRAND_MOVES_MAX: u32 = 4;

/// What the thread does in slices besides commands, and how far it has come.
#[derive(Default)]
struct Upkeep {
    expiry: expire::Pace,
    eviction: evict::Round,
    survey: Survey,
    defragmentation: defragment::Pace,
    saving: SavePace,
}

/// What of it is to be done in the next slice.
#[derive(Clone, Copy)]
struct Due {
    expires: bool,
    evicts: bool,
    surveys: bool,
    defragments: bool,
    saves: bool,
    forgets: bool,
}

impl Due {
    fn is_anything(self) -> bool {
        self.expires || self.evicts || self.surveys || self.defragments || self.saves || self.forgets
    }
}

impl Upkeep {
    fn slice(&mut self, shard: &mut Shard, due: Due) {
        if due.expires {
            self.expiry.slice(shard);
        }
        if due.evicts {
            self.eviction.slice(shard);
        }
        if due.surveys {
            self.survey.slice(shard);
        }
        if due.defragments {
            self.defragmentation.slice(shard);
        }
        if due.saves {
            self.saving.slice(shard);
        }
        if due.forgets {
            shard.trim_slice();
        }
    }
}

impl Engine {
    /// What a shard's thread does until the engine is stopped.
    pub(super) fn shard_thread(&self, index: usize) {
        let cell = &self.cells[index];
        let _ = cell.thread.set(thread::current());
        fence(Ordering::SeqCst);
        #[cfg(not(loom))]
        self.world.pressure.set_thread(index, thread::current());
        let mut upkeep = Upkeep::default();
        // What was left to this thread is done before it ends.
        while !self.stopping.load(Ordering::SeqCst) || !cell.has_no_work() {
            self.sleep(cell, index, &mut upkeep);
            loop {
                let due = self.due(cell, index, &mut upkeep);
                if cell.has_no_work() && !due.is_anything() {
                    break;
                }
                self.slice_of_thread(cell, index, &mut upkeep, due);
                if self.stopping.load(Ordering::SeqCst) {
                    break;
                }
            }
            if upkeep.defragmentation.is_tick_over(&self.world, rest::tick(&self.world)) {
                upkeep.expiry.tick_over();
                upkeep.survey.tick_over();
            }
        }
    }

    /// Sleeps until there is something to do, or to look for.
    fn sleep(&self, cell: &ShardCell, index: usize, upkeep: &mut Upkeep) {
        let Upkeep { eviction, survey, defragmentation, saving, .. } = upkeep;
        let pause = saving.pause();
        // Swaps, which cost what SeqCst stores cost: loom orders a plain store only loosely with the swap in `wake`.
        cell.asleep.swap(true, Ordering::SeqCst);
        if cell.has_no_work() && !eviction.is_due(&self.world, index) {
            if !self.saves(cell, index) {
                cell.rest.sleep(&self.world, &cell.stats, eviction, survey, defragmentation);
            } else if let Some(pause) = pause {
                rest::park(pause.min(rest::tick(&self.world)));
            }
        }
        cell.asleep.swap(false, Ordering::SeqCst);
        eviction.look(&self.world, index);
        pages::give_up_if_asked();
        if index == 0 {
            self.world.look_at_fragmentation();
        }
    }

    fn due(&self, cell: &ShardCell, index: usize, upkeep: &mut Upkeep) -> Due {
        Due {
            expires: upkeep.expiry.is_due(&self.world, &cell.stats),
            evicts: upkeep.eviction.is_due(&self.world, index),
            surveys: upkeep.survey.is_due(&cell.stats),
            defragments: upkeep.defragmentation.is_due(&self.world),
            saves: self.goes_on_saving(cell, index, &mut upkeep.saving),
            forgets: self.world.remembers_too_much(cell.stats.tracked_keys.get()),
        }
    }

    /// One slice: what waits on the ring, one heavy batch, what is due besides; and one errand without the baton.
    fn slice_of_thread(&self, cell: &ShardCell, index: usize, upkeep: &mut Upkeep, mut due: Due) {
        cell.baton.acquire();
        let start = Slice::begin();
        // SAFETY: this thread holds the baton.
        let shard = unsafe { &mut *cell.shard.get() };
        let mut done = self.drain(cell, shard, start);
        let mut left = None;
        if let Some(mut batch) = cell.heavy.pop() {
            if run_batch(shard, &mut batch) {
                done.push(batch);
            } else {
                left = Some(batch);
            }
        }
        let waited = done.iter().map(|batch| batch.segments.len()).sum();
        due.saves = due.saves && !upkeep.saving.pauses_for_clients(waited);
        upkeep.slice(shard, due);
        let mut letters = self.let_go(cell, shard, start);
        self.news.tell(&mut letters);
        let errand = cell.errands.pop();
        if done.is_empty() && left.is_none() && errand.is_none() && (due.saves || !due.is_anything()) {
            // A place on the ring is taken but not filled yet: whoever took it needs the processor. And a snapshot goes on slice after
            // slice while threads that answer clients may wait for this processor; see `threads::give_way`.
            thread::yield_now();
        }
        for mut batch in done {
            batch.ticket = batch.ticket.max(letters.ticket);
            (self.deliver)(batch);
        }
        let ticket = letters.ticket;
        self.tell(letters);
        if let Some(mut batch) = left {
            batch.ticket = batch.ticket.max(ticket);
            self.run_with_all(batch);
        }
        if let Some(waiting) = errand {
            self.run_left(index, waiting);
        }
    }

    /// A script in a batch has left its shard, before it has done anything: it gets all shards, and then the batch goes on.
    fn run_with_all(&self, mut batch: Box<Batch>) {
        let mut held = Engine::hold(self, self.all_shards());
        run_next_over(&mut held.shards(), &self.world, &mut batch);
        drop(held);
        batch.note_ticket(journal::last_ticket());
        if batch.executed < batch.commands.len() {
            self.leave_to_thread(batch);
        } else {
            (self.deliver)(batch);
        }
    }

    /// Runs an errand that was left to the thread of a shard, which may wait for that shard. For the others it does not wait
    /// at first: whoever held this shard meanwhile would hold up its clients.
    fn run_left(&self, index: usize, mut waiting: errand::Waiting) {
        let needs = waiting.errand.needs();
        let held = if waiting.moves < ERRAND_MOVES_MAX {
            self.cells[index].baton.acquire();
            let others = needs & !(1 << index);
            if let Some(busy) = indexes(others).find(|&other| !self.cells[other].baton.try_acquire()) {
                self.give_back(others & ((1 << busy) - 1) | 1 << index);
                waiting.moves += 1;
                self.send_on(busy, waiting);
                return;
            }
            Engine::held(self, needs)
        } else {
            Engine::hold(self, needs)
        };
        self.tell(held.run(waiting.errand));
    }
}
