//! A keyspace without sockets and threads: commands are routed as the IO layer routes them, so that a command that touches a
//! key that its specification does not name meets a shard that it does not hold, and panics.

use std::sync::{Arc, OnceLock};

use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::{self, Command, CommandTable};
use sherd_shards::command::spec::flag;
use sherd_shards::entry::object::{ObjectRef, Type};
use sherd_shards::entry::policy;
use sherd_shards::executor::execute::{self, Call};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::keyspace::shard::Shard;
use sherd_shards::server::settings::Settings;
use sherd_shards::server::world::World;
use sherd_shards::slot::{slot_of, SlotMap};
use sherd_types::hash::Fields;
use sherd_types::random::Random;
use sherd_types::table::Entry as _;

/// Strings stay below this, so that a run is quick.
const STRING_BYTES_MAX: i64 = 4096;

/// What a run varies besides its commands.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub resp3: bool,
    /// Collections leave their packed encodings after a few elements.
    pub small_packs: bool,
    pub lfu: bool,
    pub events: bool,
}

impl Variant {
    /// From the bits of a byte.
    pub fn from_bits(bits: u8) -> Variant {
        let bit = |number: u8| bits >> number & 1 == 1;
        Variant { resp3: bit(0), small_packs: bit(1), lfu: bit(2), events: bit(3) }
    }
}

/// See the [module](self).
pub struct Keyspace {
    world: Arc<World>,
    shards: Vec<Shard>,
    resp3: bool,
    /// Milliseconds since the epoch; moved by hand.
    pub now_ms: i64,
}

/// The process's commands, but those of the control plane.
pub fn table() -> &'static CommandTable {
    sherd_shards::families::install(sherd_ioth::commands::specs().into_iter())
}

/// The world of all keyspaces with so many shards: it has a thread, so it is made once.
fn world(shards: usize) -> Arc<World> {
    static WORLDS: [OnceLock<Arc<World>>; 5] = [const { OnceLock::new() }; 5];
    Arc::clone(
        WORLDS[shards].get_or_init(|| World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread")),
    )
}

impl Keyspace {
    /// An empty keyspace of 1 to 4 shards. Keyspaces of the same number of shards share their settings, so only one of each
    /// number may be in use.
    pub fn new(shards: usize, variant: Variant) -> Keyspace {
        let commands = table().commands().len();
        let world = world(shards);
        world.settings.reset();
        world.settings.proto_max_bulk_len.set(STRING_BYTES_MAX);
        if variant.small_packs {
            let names = || Settings::DECLARED.iter().map(|declaration| declaration.name);
            for name in names().filter(|name| name.ends_with("-entries")) {
                world.settings.set(name, 4);
            }
            world.settings.list_max_listpack_size.set(3);
            for name in names().filter(|name| name.ends_with("-listpack-value")) {
                world.settings.set(name, 8);
            }
        }
        world.settings.maxmemory_policy.set(if variant.lfu { 3 } else { 0 });
        world.settings.notify_keyspace_events.set(if variant.events { -1 } else { 0 });
        let mut shards: Vec<Shard> = (0..shards).map(|index| Shard::new(&world, index, commands)).collect();
        shards.iter_mut().for_each(|shard| shard.random = Random::fixed(1));
        Keyspace { world, shards, resp3: variant.resp3, now_ms: 1_700_000_000_000 }
    }

    /// Replies are in RESP2 from now on.
    pub fn speak_resp2(&mut self) {
        self.resp3 = false;
    }

    /// Runs a command and gives its reply.
    pub fn run(&mut self, command: &'static Command, args: &[&[u8]]) -> Vec<u8> {
        let wanted = command.shards_of(args, &self.world.slots).max(1);
        let clock = policy::clock_now(self.world.settings.maxmemory_policy.get(), self.now_ms);
        self.shards.iter_mut().for_each(|shard| shard.clock = clock);
        let call = Call {
            command,
            args,
            first_key: (0, 0),
            client: Client {
                db: 0,
                protocol: if self.resp3 { Protocol::Resp3 } else { Protocol::Resp2 },
                no_touch: false,
                tracks: Default::default(),
                record: None,
                reply_bytes_max: usize::MAX,
            },
            now_ms: self.now_ms,
            // There is nobody who could wait.
            origin: if command.spec.has(flag::BLOCKING) { Origin::Internal } else { Origin::Client },
        };
        let map = self.world.slots;
        let mut held = self.shards.iter_mut().filter(|shard| wanted >> shard.index & 1 == 1);
        let shards = if wanted.count_ones() == 1 {
            Shards::one(map, held.next().expect("one bit is set"))
        } else {
            Shards::many(map, held)
        };
        let mut out = Vec::new();
        execute::call(shards, &self.world, &call, &mut out);
        self.shards.iter_mut().for_each(|shard| drop(shard.outbox.events.take()));
        out
    }

    /// Has all shards at once, as a loader does.
    pub fn with_all<R>(&mut self, work: impl FnOnce(&mut Shards<'_>, &World) -> R) -> R {
        let clock = policy::clock_now(self.world.settings.maxmemory_policy.get(), self.now_ms);
        self.shards.iter_mut().for_each(|shard| shard.clock = clock);
        let result = work(&mut Shards::many(self.world.slots, self.shards.iter_mut()), &self.world);
        self.shards.iter_mut().for_each(|shard| drop(shard.outbox.events.take()));
        result
    }

    /// Runs a command line that the table knows.
    pub fn run_words(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let table = registry::table();
        let container = table.find(args[0]).expect("the command exists");
        let command = args.get(1).and_then(|name| table.find_subcommand(container, name)).unwrap_or(container);
        self.run(command, args)
    }

    /// Waits until what is freed in the background is freed, so that a run leaves nothing to the next one.
    pub fn settle(self) {
        let Keyspace { world, shards, .. } = self;
        drop(shards);
        while world.reaper.counts().0 > 0 {
            std::thread::yield_now();
        }
    }

    /// Changes so far that count for persistence.
    pub fn dirty(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats.dirty.get()).sum()
    }

    /// Keys in all databases, the expired ones that nobody has met included.
    pub fn keys(&self) -> usize {
        (0..16).flat_map(|db| self.shards.iter().filter_map(move |shard| shard.db(db))).map(|db| db.len()).sum()
    }

    /// Checks what must hold for every shard and database whatever was run.
    pub fn check(&self) {
        for shard in &self.shards {
            let map = self.world.slots;
            for db in (0..16).filter_map(|number| shard.db(number)) {
                let (mut keys, mut volatile, mut timed) = (0, 0, 0);
                for entry in db.iter() {
                    keys += 1;
                    volatile += usize::from(entry.expiry().is_some());
                    let fields = entry.object().and_then(ObjectRef::timed);
                    timed += usize::from(fields.is_some_and(Fields::has_announced));
                    let is_forgotten = fields.is_some_and(|fields| fields.has_expiries() && !fields.has_announced());
                    assert!(!is_forgotten, "nobody looks after elements that expire");
                    let key = entry.key();
                    if map.uses_slots() {
                        assert_eq!(map.shard_of(slot_of(key)), shard.index, "a key in a shard that is not its own");
                    }
                    // Only a stream may have nothing in it: it still knows its last ID and its groups.
                    let empty = entry.value_type() != Type::Stream
                        && entry.object().is_some_and(|object| object.element_count() == 0);
                    assert!(!empty, "an empty collection was left behind at {key:?}");
                }
                assert_eq!(db.len(), keys, "the number of keys is wrong");
                assert_eq!(db.timed_len(), timed, "the number of keys with elements that expire is wrong");
                assert_eq!(db.volatile_len(), volatile, "the number of keys with an expiry is wrong");
            }
        }
    }
}
