//! Resident memory against what is counted: `cargo run --release --example resident_memory -- KIND KEYS THREADS [SHARDS]`.
//!
//! Fills a keyspace through the engine, from as many threads as a server would have IO threads, and prints what each key
//! takes. KIND is string, ttl, hash, set, zset, list or counter; with `churn` behind it, every key is overwritten with values
//! of other sizes afterwards.

use std::sync::Arc;

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};
use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry;
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::execute::{call, Call};
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::server::settings::Settings;
use sherd_shards::server::world::World;
use sherd_shards::slot::SlotMap;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn run(engine: &Engine, line: &str, out: &mut Vec<u8>) {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let world = &engine.world;
    let command = registry::table().find(args[0]).expect("a command");
    let one = Call {
        command,
        args: &args,
        first_key: (0, 0),
        client: Client {
            db: 0,
            protocol: Protocol::Resp2,
            no_touch: false,
            tracks: Default::default(),
            record: None,
            reply_bytes_max: usize::MAX,
        },
        now_ms: world.now_milliseconds(),
        origin: Origin::Client,
    };
    out.clear();
    let shard = world.slots.shard_of(world.slots.slot(args[1]));
    engine.with_shards(1 << shard, |shards| {
        call(shards, world, &one, out);
    });
    assert_ne!(out.first(), Some(&b'-'), "{}", String::from_utf8_lossy(out));
}

fn line(kind: &str, number: usize, round: usize) -> String {
    let key = format!("key:{number:06}");
    let value = "v".repeat(16 + number * round % 40);
    match kind {
        "string" => format!("SET {key} {value}"),
        "ttl" => format!("SET {key} {value} EX 100000"),
        "hash" => format!("HSET {key} name {value} age 33 city Berlin id {number} x y"),
        "set" => format!("SADD {key} alpha beta gamma delta {value}"),
        "zset" => format!("ZADD {key} 1 alpha 2 beta 3 gamma 4 delta 5 {value}"),
        "list" => format!("RPUSH {key} alpha beta gamma delta {value}"),
        _ => format!("SET {key} {number}"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let kind = args.first().map_or("string", String::as_str).to_owned();
    let (keys, threads, shards) = (number(1, 1_000_000), number(2, 1), number(3, 1));
    let rounds = if args.iter().any(|arg| arg == "churn") { 4 } else { 1 };
    let table = sherd_shards::families::install(std::iter::empty());
    let world = World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread");
    let engine = Engine::new(world, table.commands().len(), Box::new(|_| {}), Box::new(|_| {}));
    let (used, resident) = (memory::used_bytes(), resident_bytes());
    for round in 0..rounds {
        let fillers = (0..threads).map(|thread| {
            let (engine, kind) = (Arc::clone(&engine), kind.clone());
            std::thread::spawn(move || {
                let mut out = Vec::new();
                for number in (thread..keys).step_by(threads) {
                    run(&engine, &line(&kind, (number + round) % keys, round), &mut out);
                }
            })
        });
        let fillers: Vec<_> = fillers.collect();
        fillers.into_iter().for_each(|filler| filler.join().expect("the filler ends well"));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let each = |bytes: usize| bytes as f64 / keys as f64;
    let (used, resident) = (memory::used_bytes() - used, resident_bytes() - resident);
    println!(
        "{kind:8} {keys} keys, {threads} threads, {shards} shards: counted {:.1} bytes a key, resident {:.1}, ratio {:.3}",
        each(used),
        each(resident),
        resident as f64 / used as f64
    );
}
