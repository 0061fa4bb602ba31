//! One picture of all counters, for INFO and the exporter alike.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use sherd_ioth::connection::subscriptions::Kind;
use sherd_ioth::shared::access::log::Reason;
use sherd_ioth::shared::Shared;
use sherd_metrics::catalogue::{Catalogue, Declared, Shown};
use sherd_metrics::{histogram, memory, CommandCells, Counter};
use sherd_scripts::pool::{self, Use};
use sherd_shards::command::registry;
use sherd_shards::entry::policy;
use sherd_shards::keyspace::stats::ShardStats;
use sherd_shards::server::command_log::CommandLog;
use sherd_shards::server::defragmentation::Fragmentation;

/// Each counter of several threads or shards of one kind with its sum and its largest value, in the order of the
/// declarations: added up by place, for names are looked up once a kind.
#[derive(Default)]
struct Sums(Vec<(&'static Declared, u64, u64)>);

impl Sums {
    /// Adds one thread or shard: always the same groups, in the same order.
    fn add<'a>(&mut self, groups: impl IntoIterator<Item = &'a dyn Catalogue>) {
        let mut place = 0;
        for group in groups {
            group.for_each(&mut |declared, counter| {
                let value = counter.get();
                match self.0.get_mut(place) {
                    Some((_, sum, max)) => {
                        *sum += value;
                        *max = value.max(*max);
                    }
                    None => self.0.push((declared, value, value)),
                }
                place += 1;
            });
        }
    }
}

/// What the counters of all threads and shards come to, by part and name.
struct Totals(BTreeMap<(&'static str, &'static str), u64>);

impl Totals {
    fn take(shared: &Shared) -> Totals {
        let (mut io, mut shards, mut control) = (Sums::default(), Sums::default(), Sums::default());
        shared.io.iter().for_each(|stats| io.add([stats as &dyn Catalogue]));
        for shard in 0..shared.world.slots.shards() {
            shards.add(shared.engine.stats(shard).0.groups());
        }
        control.add([&shared.control as &dyn Catalogue, &shared.extensions.stats]);
        let mut totals = Totals(BTreeMap::new());
        [io, shards, control].iter().for_each(|sums| totals.add(sums));
        totals
    }

    fn add(&mut self, sums: &Sums) {
        for (declared, sum, max) in &sums.0 {
            for shown in declared.shown {
                match *shown {
                    Shown::Sum(part, name) => *self.0.entry((part, name)).or_default() += sum,
                    Shown::Max(part, name) => {
                        let largest = self.0.entry((part, name)).or_default();
                        *largest = (*largest).max(*max);
                    }
                    Shown::Each(_) | Shown::EachInSeconds(_) => {}
                }
            }
        }
    }

    /// A part with its counters.
    fn part<'py>(&self, py: Python<'py>, part: &'static str) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        self.0
            .iter()
            .filter(|((shown_in, _), _)| *shown_in == part)
            .try_for_each(|((_, name), number)| numbers.set_item(name, number))?;
        Ok(numbers)
    }
}

/// What a group of counters shows of one shard or thread.
fn put_each(part: &Bound<'_, PyDict>, group: &dyn Catalogue) -> PyResult<()> {
    let mut result = Ok(());
    group.for_each(&mut |declared, counter| {
        for shown in declared.shown {
            let put = match *shown {
                Shown::Each(name) => part.set_item(name, counter.get()),
                Shown::EachInSeconds(name) => part.set_item(name, counter.get() as f64 / 1e9),
                Shown::Sum(..) | Shown::Max(..) => Ok(()),
            };
            if result.is_ok() {
                result = put;
            }
        }
    });
    result
}

fn sum_shards(shared: &Shared, counter: impl Fn(&ShardStats) -> &Counter) -> u64 {
    (0..shared.world.slots.shards()).map(|shard| counter(shared.engine.stats(shard).0).get()).sum()
}

/// Takes the picture, with the histograms of all commands only where they are asked for: they are most of it. Its form is
/// described in the module's `.pyi`.
pub fn take<'py>(py: Python<'py>, shared: &Shared, commands: bool) -> PyResult<Bound<'py, PyDict>> {
    let picture = PyDict::new(py);
    let now_ms = shared.world.monotonic_milliseconds();
    picture.set_item("uptime_seconds", (now_ms - shared.started_at_ms) as f64 / 1000.0)?;
    picture.set_item("start_time", shared.started_unix_ms as f64 / 1000.0)?;
    // As DEBUG OBJECT tells it of keys, whatever the policy.
    picture.set_item("lru_clock", policy::clock_now(policy::NO_EVICTION, now_ms))?;
    picture.set_item("run_id", &shared.run_id)?;
    picture.set_item("shards", shared.world.slots.shards())?;
    picture.set_item("io_threads", shared.io.len())?;
    picture.set_item("memory", memory_part(py, shared)?)?;
    let totals = Totals::take(shared);
    picture.set_item("defragmentation", defragmentation_part(totals.part(py, "defragmentation")?, shared)?)?;
    picture.set_item("clients", clients_part(totals.part(py, "clients")?, shared, now_ms)?)?;
    picture.set_item("net", totals.part(py, "net")?)?;
    picture.set_item("totals", totals_part(totals.part(py, "totals")?, shared)?)?;
    picture.set_item("shards_detail", shards_part(py, shared)?)?;
    picture.set_item("io_detail", io_part(py, shared)?)?;
    picture.set_item("dbs", dbs_part(shared))?;
    picture.set_item("commands", if commands { commands_part(py, shared)? } else { PyList::empty(py) })?;
    picture.set_item("errors", shared.world.logs.errors())?;
    let slowlog = PyDict::new(py);
    let (length, next) = shared.world.logs.commands.len(CommandLog::Slow);
    let last = shared.world.logs.commands.entries(CommandLog::Slow, 1);
    slowlog.set_item("length", length)?;
    slowlog.set_item("last_id", next as i64 - 1)?;
    slowlog.set_item("last_duration_us", last.first().map_or(0, |entry| entry.value))?;
    picture.set_item("slowlog", slowlog)?;
    let scripts = PyDict::new(py);
    let known = shared.scripts.cache.numbers();
    scripts.set_item("cached", known.scripts)?;
    scripts.set_item("text_bytes", known.bytes)?;
    scripts.set_item("evicted", known.evicted)?;
    scripts.set_item("vm_bytes", pool::memory_bytes(Use::Scripts))?;
    let libraries = shared.scripts.libraries.numbers();
    scripts.set_item("libraries", libraries.libraries)?;
    scripts.set_item("functions", libraries.functions)?;
    scripts.set_item("library_bytes", libraries.bytes)?;
    scripts.set_item("function_vm_bytes", pool::memory_bytes(Use::Functions))?;
    picture.set_item("scripts", scripts)?;
    Ok(picture)
}

fn memory_part<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Bound<'py, PyDict>> {
    let part = PyDict::new(py);
    part.set_item("used", memory::used_bytes())?;
    part.set_item("peak", memory::peak_bytes())?;
    part.set_item("not_counted", shared.world.journal.buffer_bytes())?;
    part.set_item("startup", shared.startup_bytes)?;
    part.set_item("active", Fragmentation::recent().active)?;
    Ok(part)
}

fn defragmentation_part<'py>(part: Bound<'py, PyDict>, shared: &Shared) -> PyResult<Bound<'py, PyDict>> {
    let (before_ms, current_ms) = shared.world.defragmentation.milliseconds();
    part.set_item("effort_percent", shared.world.defragmentation.effort_percent())?;
    part.set_item("total_ms", before_ms + current_ms)?;
    part.set_item("current_ms", current_ms)?;
    Ok(part)
}

fn clients_part<'py>(part: Bound<'py, PyDict>, shared: &Shared, now_ms: i64) -> PyResult<Bound<'py, PyDict>> {
    let (mut watching, mut watched_keys) = (0, 0);
    shared.clients.for_each(|record| {
        let watched = record.watched.load(Relaxed);
        watched_keys += watched;
        watching += usize::from(watched > 0);
    });
    let pause = shared.world.pause.get(now_ms);
    part.set_item("connected", shared.connection_count())?;
    // Those who wait for a key or a pause are counted by their threads.
    let waits_of_threads = part.get_item("blocked")?.map_or(Ok(0), |number| number.extract::<usize>())?;
    part.set_item("blocked", waits_of_threads + shared.interruptions.waiting())?;
    part.set_item("maxclients", shared.world.settings.maxclients.get())?;
    let count = |kind| shared.pubsub.registry.count(kind);
    part.set_item("channels", count(Kind::Channel))?;
    part.set_item("patterns", count(Kind::Pattern))?;
    part.set_item("shard_channels", count(Kind::ShardChannel))?;
    part.set_item("tracking", shared.world.tracking.clients())?;
    part.set_item("tracked_prefixes", shared.pubsub.trackers.prefix_count())?;
    part.set_item("monitors", shared.monitors.load(Relaxed))?;
    part.set_item("watching", watching)?;
    part.set_item("watched_keys", watched_keys)?;
    part.set_item("rejected", shared.rejected_connections.load(Relaxed))?;
    part.set_item("paused_ms", pause.map_or(0, |(until, _)| until - now_ms))?;
    part.set_item("paused_reason", pause.map_or("", |(_, writes)| if writes { "write" } else { "all" }))?;
    part.set_item("evicted", shared.evicted_clients.load(Relaxed))?;
    Ok(part)
}

fn totals_part<'py>(part: Bound<'py, PyDict>, shared: &Shared) -> PyResult<Bound<'py, PyDict>> {
    let (pending, freed) = shared.world.reaper.counts();
    part.set_item("command_nanoseconds", command_nanoseconds(shared))?;
    part.set_item("expired_stale_millionths", stale_millionths(shared))?;
    let (exceeded_ms, current_exceeded_ms) = shared.world.pressure.exceeded_ms();
    part.set_item("eviction_exceeded_ms", exceeded_ms)?;
    part.set_item("current_eviction_exceeded_ms", current_exceeded_ms)?;
    part.set_item("cross_shard", shared.engine.cross_shard_count())?;
    part.set_item("lazyfree_pending", pending)?;
    part.set_item("lazyfreed", freed)?;
    for reason in Reason::ALL {
        part.set_item(format!("denied_{}", reason.name().replace('-', "_")), shared.access.denials(reason))?;
    }
    Ok(part)
}

/// The mean of all shards, each weighing as much as it has keys with an expiry.
fn stale_millionths(shared: &Shared) -> u64 {
    let volatile = sum_shards(shared, |shard| &shard.volatile_keys);
    let stale = |shard: usize| {
        let stats = shared.engine.stats(shard).0;
        stats.expiry.stale_millionths.get() * stats.volatile_keys.get()
    };
    (0..shared.world.slots.shards()).map(stale).sum::<u64>().checked_div(volatile).unwrap_or(0)
}

/// The counters of commands of everybody who executes any.
fn all_cells(shared: &Shared) -> impl Iterator<Item = &CommandCells> {
    let shards = (0..shared.world.slots.shards()).map(|shard| &**shared.engine.cells_of(shard).0);
    shards.chain(shared.io.iter().map(|io| &io.cells)).chain(std::iter::once(&shared.control.cells))
}

/// The time that all commands have taken.
fn command_nanoseconds(shared: &Shared) -> u64 {
    let commands = registry::table().commands();
    let of_extensions = shared.extensions.counted().map(|(_, cell)| cell.nanoseconds.get());
    all_cells(shared)
        .flat_map(|cells| commands.iter().map(|command| cells.cell(command.id).nanoseconds.get()))
        .chain(of_extensions)
        .sum()
}

fn shards_part<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for shard in 0..shared.world.slots.shards() {
        let (stats, _, hand_off) = shared.engine.stats(shard);
        let part = PyDict::new(py);
        put_each(&part, stats)?;
        part.set_item("keys", shared.world.shard_keys[shard].load(Relaxed))?;
        part.set_item("memory_bytes", stats.memory_bytes.load(Relaxed))?;
        part.set_item("queue_depth", shared.engine.queue_len(shard))?;
        part.set_item("direct_batches", hand_off.direct.load(Relaxed))?;
        part.set_item("queued_batches", hand_off.queued.load(Relaxed))?;
        part.set_item("wakes", hand_off.wakes.load(Relaxed))?;
        list.append(part)?;
    }
    Ok(list)
}

fn io_part<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for io in &shared.io {
        let part = PyDict::new(py);
        put_each(&part, io)?;
        list.append(part)?;
    }
    Ok(list)
}

fn dbs_part(shared: &Shared) -> Vec<(usize, u64, u64, u64, u64)> {
    (0..shared.engine.stats(0).0.databases.len())
        .map(|db| {
            let keys = sum_shards(shared, |shard| &shard.databases[db].keys);
            let volatile = sum_shards(shared, |shard| &shard.databases[db].volatile_keys);
            let shards = 0..shared.world.slots.shards();
            let averages: Vec<u64> = shards
                .map(|shard| shared.engine.stats(shard).0.databases[db].average_ttl_ms.get())
                .filter(|&ttl| ttl > 0)
                .collect();
            let average = if averages.is_empty() { 0 } else { averages.iter().sum::<u64>() / averages.len() as u64 };
            let timed = sum_shards(shared, |shard| &shard.databases[db].timed_keys);
            (db, keys, volatile, if volatile == 0 { 0 } else { average }, timed)
        })
        .filter(|(_, keys, ..)| *keys > 0)
        .collect()
}

fn commands_part<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for command in registry::table().commands() {
        let cells: Vec<_> = all_cells(shared).map(|cells| cells.cell(command.id)).collect();
        let sum = |counter: fn(&sherd_metrics::CommandCell) -> &Counter| -> u64 {
            cells.iter().map(|cell| counter(cell).get()).sum()
        };
        let (calls, rejected) = (sum(|cell| &cell.calls), sum(|cell| &cell.rejected));
        if calls == 0 && rejected == 0 {
            continue;
        }
        let mut counts = vec![0; histogram::BUCKETS];
        for cell in &cells {
            cell.latency.add_to(&mut counts);
        }
        let (nanoseconds, failed) = (sum(|cell| &cell.nanoseconds), sum(|cell| &cell.failed));
        list.append((command.spec.name, calls, nanoseconds, rejected, failed, counts))?;
    }
    for (command, cell) in shared.extensions.counted() {
        let (calls, rejected) = (cell.calls.get(), cell.rejected.get());
        if calls > 0 || rejected > 0 {
            let mut counts = vec![0; histogram::BUCKETS];
            cell.latency.add_to(&mut counts);
            list.append((command.spec.name, calls, cell.nanoseconds.get(), rejected, cell.failed.get(), counts))?;
        }
    }
    Ok(list)
}
