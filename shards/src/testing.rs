//! Running commands in unit tests without sockets or threads. Integration tests take this file in as a module of their own, and
//! each uses a part of it.

use std::sync::Arc;

use crate::command::origin::Origin;
use crate::command::registry;
use crate::executor::execute::{call, Call};
use crate::handler::access::Shards;
use crate::handler::context::Client;
use crate::keyspace::shard::Shard;
use crate::protocol::reply::Protocol;
use crate::server::client::ClientRecord;
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::slot::SlotMap;

/// Runs a command line in an engine's shards, as [`Tester::run`] does.
pub fn run_in(engine: &crate::executor::engine::Engine, db: u16, line: &str) -> String {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let table = registry::table();
    let found = table.find(args[0]).expect("there is such a command");
    let command = args.get(1).and_then(|name| table.find_subcommand(found, name)).unwrap_or(found);
    let client = Client {
        db,
        protocol: Protocol::Resp2,
        no_touch: false,
        tracks: Default::default(),
        record: None,
        reply_bytes_max: usize::MAX,
    };
    let now_ms = engine.world.now_milliseconds();
    let one = Call { command, args: &args, first_key: (0, 0), client, now_ms, origin: Origin::Client };
    let mut out = Vec::new();
    engine.with_shards(engine.all_shards(), |shards| call(shards, &engine.world, &one, &mut out));
    String::from_utf8_lossy(&out).into_owned()
}

/// A keyspace and a client, for tests.
pub struct Tester {
    pub world: Arc<World>,
    pub(crate) shards: Vec<Shard>,
    pub db: u16,
    pub protocol: Protocol,
    /// Run commands as EXEC does: nothing waits.
    pub in_transaction: bool,
    /// Run commands as those of a journal.
    pub is_replaying: bool,
}

impl Drop for Tester {
    /// What is freed in the background is freed before the next test looks at the memory.
    fn drop(&mut self) {
        self.world.reaper.wait_until_idle();
    }
}

impl Tester {
    /// An empty keyspace of so many shards.
    pub fn new(shards: usize) -> Tester {
        Tester::of_map(SlotMap::new(shards, false))
    }

    /// The same in cluster mode.
    pub fn of_cluster(shards: usize) -> Tester {
        Tester::of_map(SlotMap::new(shards, true))
    }

    fn of_map(map: SlotMap) -> Tester {
        let table = crate::families::install(std::iter::empty());
        let world = World::new(map, Settings::default()).expect("a thread");
        world.stop_clock();
        let shards = (0..map.shards()).map(|index| Shard::new(&world, index, table.commands().len())).collect();
        let mut tester =
            Tester { world, shards, db: 0, protocol: Protocol::Resp2, in_transaction: false, is_replaying: false };
        tester.consume_events(true);
        tester
    }

    /// Whether the shards keep events for [`Tester::events`]; they do from the beginning.
    pub fn consume_events(&mut self, consume: bool) {
        self.shards.iter_mut().for_each(|shard| shard.outbox.events.set_consumed(consume));
    }

    /// Runs a command line whose words are separated by single spaces and returns the reply's bytes as text.
    pub fn run(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        String::from_utf8_lossy(&self.run_args(&args)).into_owned()
    }

    /// Runs lines and compares each reply with what is beside it; `|` stands for a line end there.
    #[track_caller]
    pub fn expect(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            let reply = self.run(line);
            let reply = reply.strip_suffix("\r\n").unwrap_or(&reply).replace("\r\n", "|");
            assert_eq!(reply, *expected, "{line}");
        }
    }

    /// The keyspace events raised since the last call, as `event key`; in order as far as they come from one shard. They are
    /// raised only when the setting says so.
    pub fn events(&mut self) -> Vec<String> {
        let events = self.shards.iter_mut().flat_map(|shard| shard.outbox.events.take());
        events.map(|event| format!("{} {}", event.name, String::from_utf8_lossy(&event.key))).collect()
    }

    /// Removes the keys, fields and members that have expired, as the shards' own threads do.
    pub fn sweep_fields(&mut self) {
        for shard in &mut self.shards {
            shard.publish_sizes();
            let mut pace = crate::maintenance::expire::Pace::default();
            while pace.is_due(&self.world, &shard.stats) {
                pace.slice(shard);
            }
        }
    }

    /// One tick of the shards' own sweeps; returns how many keys with an expiry are left.
    #[cfg(test)]
    pub fn sweep_tick(&mut self) -> u64 {
        self.sweep_fields();
        self.shards
            .iter_mut()
            .map(|shard| {
                shard.publish_sizes();
                shard.stats.volatile_keys.get()
            })
            .sum()
    }

    /// How often a sweep has stopped because its time was over.
    pub fn time_caps(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats.expiry.time_cap_reached.get()).sum()
    }

    /// Buckets of the first shard that its own thread sweeps in one tick.
    pub fn swept_in_a_tick(&mut self) -> usize {
        let shard = &mut self.shards[0];
        shard.publish_sizes();
        let mut pace = crate::maintenance::expire::Pace::default();
        while pace.is_due(&self.world, &shard.stats) {
            pace.slice(shard);
        }
        pace.buckets()
    }

    /// One round of eviction in each shard, as the shards' own threads do it, however many slices it takes.
    pub fn evict_round(&mut self) {
        for shard in &self.shards {
            shard.publish_sizes();
        }
        for shard in &mut self.shards {
            let mut round = crate::maintenance::evict::Round::default();
            while round.slice(shard) {}
        }
    }

    /// The cut of a snapshot over all shards, and the way on which its bytes come.
    pub fn begin_snapshot(&mut self) -> Arc<crate::keyspace::saving::Sink> {
        self.begin_snapshot_as(false)
    }

    /// The same, as commands if that is wanted.
    pub fn begin_snapshot_as(&mut self, as_commands: bool) -> Arc<crate::keyspace::saving::Sink> {
        let sink = crate::keyspace::saving::Sink::new(self.shards.len());
        let policy = self.world.settings.maxmemory_policy.get();
        for shard in &mut self.shards {
            shard.look_at_clock();
            let form =
                crate::keyspace::saving::Form { compress: true, dialect: crate::rdb::Dialect::Redis, as_commands };
            let manner = crate::keyspace::saving::Manner { form, policy, clock: shard.clock, key_delay: 0 };
            shard.begin_saving(manner, &sink);
        }
        sink
    }

    /// One slice of the snapshot in one shard, however short; true while it goes on.
    pub fn snapshot_slice(&mut self, shard: usize) -> bool {
        self.shards[shard].save_slice();
        self.is_saving(shard)
    }

    /// Whether a shard has not come to the end of its part of the snapshot.
    pub fn is_saving(&self, shard: usize) -> bool {
        self.shards[shard].stats.saving.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Loads an RDB file.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), crate::persistence::loader::Fault> {
        let mut loading = crate::persistence::loader::Loading::begin(&self.world, bytes)?;
        let mut shards = Shards::many(self.world.slots, self.shards.iter_mut());
        while !loading.some(&mut shards)? {}
        Ok(())
    }

    /// The shards' parts of database 0.
    pub fn databases(&self) -> impl Iterator<Item = &crate::keyspace::db::Db> {
        self.shards.iter().filter_map(|shard| shard.db(0))
    }

    /// Moves every block of every value once, as the shards' own threads do with those that are worth it; how many blocks.
    pub fn defragment(&mut self) -> u64 {
        let before: u64 = self.shards.iter().map(|shard| shard.stats.defrag_hits.get()).sum();
        self.world.defragmentation.begin(50, sherd_metrics::pages::SparsePages::everything());
        for shard in &mut self.shards {
            let mut pace = crate::maintenance::defragment::Pace::default();
            while !pace.has_finished(&self.world) {
                pace.slice(shard);
            }
        }
        self.shards.iter().map(|shard| shard.stats.defrag_hits.get()).sum::<u64>() - before
    }

    /// Keys of each shard.
    pub fn shard_sizes(&self) -> Vec<usize> {
        self.shards.iter().map(|shard| (0..16).filter_map(|db| shard.db(db)).map(|db| db.len()).sum()).collect()
    }

    /// Reads of keys that were there, and of keys that were not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let stats = self.shards.iter().map(|shard| &shard.stats);
        stats.fold((0, 0), |sum, stats| (sum.0 + stats.keyspace_hits.get(), sum.1 + stats.keyspace_misses.get()))
    }

    /// Announcements in the shards' TTL indexes, those that are void included.
    pub fn announcements(&self) -> usize {
        self.shards.iter().map(|shard| shard.ttl_index.len()).sum()
    }

    /// Keys with elements that expire in database 0, and elements that have: what INFO tells.
    pub fn expiring_elements(&self) -> (usize, u64) {
        let keys = self.shards.iter().map(|shard| shard.db(0).map_or(0, |db| db.timed_len())).sum();
        let expired = |shard: &Shard| shard.stats.expired_fields.get() + shard.stats.expired_members.get();
        (keys, self.shards.iter().map(expired).sum())
    }

    /// The biggest keys, after the shards' own threads have gone once through everything.
    #[cfg(test)]
    pub fn big_keys(&mut self) -> Vec<crate::keyspace::big_keys::BigKey> {
        let mut found = Vec::new();
        for shard in &self.shards {
            shard.publish_sizes();
            let mut survey = crate::maintenance::survey::Survey::default();
            while survey.is_due(&shard.stats) {
                survey.slice(shard);
                survey.tick_over();
            }
            found.extend(shard.stats.findings.all());
        }
        found
    }

    /// Runs a command line as a client.
    pub fn run_as(&mut self, client: &ClientRecord, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        String::from_utf8_lossy(&self.run_for(Some(client), &args)).into_owned()
    }

    /// What clients with caches are to be told, in order.
    pub fn invalidations(&mut self) -> Vec<crate::keyspace::invalidations::Invalidation> {
        let mut told: Vec<_> = self.shards.iter_mut().flat_map(|shard| shard.outbox.invalidations.take()).collect();
        told.sort_by_key(|invalidation| invalidation.number);
        told.dedup_by(|a, b| a.is_everything() && b.is_everything());
        told
    }

    /// Readers that are remembered, of all keys.
    pub fn tracked_items(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats.tracked_items.get()).sum()
    }

    /// Forgets keys that were read as long as there are too many, as the shards' own threads do.
    pub fn trim_read_keys(&mut self) {
        for shard in &mut self.shards {
            while self.world.remembers_too_much(shard.stats.tracked_keys.get()) {
                shard.trim_slice();
            }
        }
    }

    /// Runs a command and returns the reply's bytes.
    pub fn run_args(&mut self, args: &[&[u8]]) -> Vec<u8> {
        self.run_for(None, args)
    }

    fn run_for(&mut self, record: Option<&ClientRecord>, args: &[&[u8]]) -> Vec<u8> {
        let table = registry::table();
        let Some(command) = table.find(args[0]) else { panic!("no such command: {:?}", args[0]) };
        let command = match args.get(1).and_then(|name| table.find_subcommand(command, name)) {
            Some(subcommand) => subcommand,
            None => command,
        };
        if !command.spec.accepts(args.len()) {
            return format!("-ERR wrong number of arguments for '{}' command\r\n", command.spec.name).into_bytes();
        }
        let now_ms = self.world.now_milliseconds();
        self.shards.iter_mut().for_each(Shard::look_at_clock);
        let mut out = Vec::new();
        let one = Call {
            command,
            args,
            first_key: (0, 0),
            client: Client {
                db: self.db,
                protocol: self.protocol,
                no_touch: false,
                tracks: record.map(|record| record.tracking.tracks()).unwrap_or_default(),
                record,
                reply_bytes_max: record.map_or(usize::MAX, |record| record.reply_bytes_max(&self.world.settings)),
            },
            now_ms,
            origin: match (self.is_replaying, self.in_transaction) {
                (true, _) => Origin::Replica,
                (false, true) => Origin::Exec,
                (false, false) => Origin::Client,
            },
        };
        let map = self.world.slots;
        let shards = if self.shards.len() == 1 {
            Shards::one(map, &mut self.shards[0])
        } else {
            Shards::many(map, self.shards.iter_mut())
        };
        call(shards, &self.world, &one, &mut out);
        out
    }
}

#[test]
fn strings_work_over_one_and_several_shards() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        assert_eq!(t.run("SET a 1"), "+OK\r\n");
        assert_eq!(t.run("INCR a"), ":2\r\n");
        assert_eq!(t.run("MSET b x c y"), "+OK\r\n");
        assert_eq!(t.run("MGET a b c d"), "*4\r\n$1\r\n2\r\n$1\r\nx\r\n$1\r\ny\r\n$-1\r\n");
        assert_eq!(t.run("SET a v PX 5 GET"), "$1\r\n2\r\n");
        t.world.advance_clock(10);
        assert_eq!(t.run("GET a"), "$-1\r\n");
    }
}
