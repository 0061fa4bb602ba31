//! A server's extensions, as far as its threads know of them: the commands that they bring, what they count, and the work that
//! waits for their threads ([`work`]), which are Python's. What holds a client up for too long is found by [`deadline`].
//!
//! A name is looked up here only when the command table does not have it, so that nobody pays for extensions who does not call
//! them.

pub mod deadline;
pub mod hooks;
pub mod work;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::CommandCell;
use sherd_shards::command::registry::{self, Command, EXTENSIONS_MAX};
use sherd_shards::executor::execute;
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::world::World;

use crate::observe::log::Occasional;
use crate::observe::stats::ControlStats;

use deadline::Deadlines;
use hooks::Hooks;
use work::{Task, Work, WorkQueue};

/// Bytes that the name of an extension's command may have.
pub const NAME_BYTES_MAX: usize = 64;

/// See the [module](self).
pub struct Extensions {
    /// By their names in lower case.
    commands: RwLock<HashMap<&'static str, &'static Command>>,
    /// Whether there are any, without the lock.
    has_commands: AtomicBool,
    /// By number behind the table, once a command was called or refused.
    cells: Box<[OnceLock<Box<CommandCell>>]>,
    /// What the extensions' threads count of the commands that they execute; with [`Extensions::counting`] held.
    pub stats: ControlStats,
    /// Counters have one writer at a time; these threads may be several.
    counting: Mutex<()>,
    pub work: WorkQueue,
    pub deadlines: Deadlines,
    pub hooks: Hooks,
    /// Jobs and events that wait for the end of a pause, in their order, and whether there are any.
    put_off: Mutex<Vec<Work>>,
    has_put_off: AtomicBool,
    /// What commands raise as often as clients like; see [`Extensions::may_log_failure`].
    failures: Mutex<Occasional>,
}

impl Default for Extensions {
    fn default() -> Extensions {
        Extensions {
            commands: RwLock::default(),
            has_commands: AtomicBool::new(false),
            cells: (0..EXTENSIONS_MAX).map(|_| OnceLock::new()).collect(),
            stats: ControlStats::new(0),
            counting: Mutex::default(),
            work: WorkQueue::default(),
            deadlines: Deadlines::default(),
            hooks: Hooks::default(),
            put_off: Mutex::default(),
            has_put_off: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }
}

impl Extensions {
    /// The command that a client calls so, in either case.
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        if !self.has_commands.load(Relaxed) || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let name = std::str::from_utf8(lower).ok()?;
        self.commands.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Has these commands from now on, and no others.
    pub fn set_commands(&self, commands: &[&'static Command]) {
        let by_name: HashMap<_, _> = commands.iter().map(|command| (command.spec.name, *command)).collect();
        let has_commands = !by_name.is_empty();
        *self.commands.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        self.has_commands.store(has_commands, Relaxed);
    }

    /// Keeps what is not to be executed before the end of a pause.
    pub fn put_off(&self, task: Box<Task>) {
        let mut put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        put_off.push(Work::Task(task));
        self.has_put_off.store(true, Relaxed);
    }

    /// The pause may be over: whoever executes looks again.
    pub fn take_up(&self) {
        if !self.has_put_off.load(Relaxed) {
            return;
        }
        let mut put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_put_off.store(false, Relaxed);
        put_off.drain(..).for_each(|task| self.work.push(task));
    }

    /// Whether an exception is to be logged, with the number of those that were not since the last one that was.
    pub fn may_log_failure(&self, now_ms: i64) -> Option<u64> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).note(now_ms)
    }

    fn counting(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, command: usize) -> Option<&CommandCell> {
        let place = command.checked_sub(registry::table().commands().len())?;
        Some(self.cells.get(place)?.get_or_init(Box::default))
    }

    /// The counters of the commands that have any, with the commands.
    pub fn counted(&self) -> impl Iterator<Item = (&'static Command, &CommandCell)> {
        let first = registry::table().commands().len();
        self.cells.iter().enumerate().filter_map(move |(place, cell)| {
            let cell = cell.get()?;
            Some((registry::by_number(first + place)?, &**cell))
        })
    }

    /// Counts a call that was refused before it was executed.
    pub fn count_refused(&self, command: &Command) {
        let _counting = self.counting();
        if let Some(cell) = self.cell(command.id) {
            cell.rejected.increment();
        }
    }

    /// Counts an executed command, before anybody can know that it was; its time is that since `tick`.
    pub fn count(
        &self,
        world: &World,
        record: Option<&ClientRecord>,
        (command, args): (&Command, &[&[u8]]),
        tick: u64,
        reply: &[u8],
    ) {
        let failed = reply.first() == Some(&b'-');
        let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(tick));
        {
            let _counting = self.counting();
            if let Some(cell) = self.cell(command.id) {
                cell.record(nanoseconds, failed);
                if !world.settings.latency_tracking.on() {
                    cell.latency.take_back(nanoseconds);
                }
            }
            self.stats.commands.increment();
            if failed {
                self.stats.error_replies.increment();
            }
        }
        if let Some(record) = record {
            // Nobody else counts meanwhile: the connection waits for the answer.
            record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
        }
        execute::note_command(world, command, args, record, (nanoseconds, reply.len()));
        if failed {
            world.logs.count_error(reply);
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&self) {
        use sherd_metrics::catalogue::Catalogue;
        let _counting = self.counting();
        self.stats.reset_counters();
        self.cells.iter().filter_map(OnceLock::get).for_each(|cell| cell.reset());
    }
}
