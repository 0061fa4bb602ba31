//! A hundred thousand clients that wait for one key, without sockets: each is told exactly once, and nothing remains of them.
//!
//! Whatever takes time in the square of the number of waiters does not end here within anybody's patience.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry;
use sherd_shards::effects::blocking::{Interrupt, Waiter, Wake};
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::execute::{call_or_block, Call};
use sherd_shards::executor::waiting;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::server::settings::Settings;
use sherd_shards::server::world::World;
use sherd_shards::slot::SlotMap;

const CROWD: u64 = if cfg!(miri) { 50 } else { 100_000 };

struct Crowd {
    engine: Arc<Engine>,
    /// Messages about each client.
    told: Arc<Mutex<HashMap<u64, Vec<Vec<u8>>>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Crowd {
    fn new(shards: usize) -> Crowd {
        let commands = sherd_shards::families::install(std::iter::empty()).commands().len();
        let world = World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread");
        let told: Arc<Mutex<HashMap<u64, Vec<Vec<u8>>>>> = Arc::default();
        let to = Arc::clone(&told);
        let wake = move |wake: Wake| {
            let token = wake.token();
            if let Wake::Reply { reply, .. } = wake {
                to.lock().expect("nobody panics under the lock").entry(token).or_default().push(reply);
            }
        };
        let engine = Engine::new(world, commands, Box::new(|_| ()), Box::new(wake));
        let mut threads = Vec::new();
        engine.start_threads(&mut threads, || ()).expect("threads can be started");
        Crowd { engine, told, threads }
    }

    /// Executes a command for a client; returns what it waits for.
    fn run(&self, token: u64, line: &str) -> Option<Arc<Waiter>> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let world = &self.engine.world;
        let call = Call {
            command: registry::table().find(args[0]).expect("the command is known"),
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
        self.engine.with_shards(self.engine.all_shards(), |mut shards| {
            let block = call_or_block(shards.reborrow(), world, &call, &mut Vec::new()).1?;
            Some(waiting::register(&mut shards, world, &call, token, *block))
        })
    }

    fn waiting_keys(&self) -> u64 {
        self.engine.with_shards(self.engine.all_shards(), |mut shards| {
            shards.iter_mut().map(|shard| shard.stats.waits.keys.get()).sum()
        })
    }

    fn told(&self) -> usize {
        self.told.lock().expect("nobody panics under the lock").len()
    }

    fn end(self) {
        self.engine.stop();
        self.threads.into_iter().for_each(|thread| thread.join().expect("a shard's thread ends well"));
    }
}

/// One stream, or two on different shards.
const READS: [&str; 2] = ["XREAD BLOCK 0 STREAMS a $", "XREAD BLOCK 0 STREAMS a b c d $ $ $ $"];

#[test]
fn everybody_who_reads_a_stream_is_told_of_an_entry_once() {
    for (shards, read) in [(1, READS[0]), (1, READS[1]), (4, READS[0]), (4, READS[1])] {
        let crowd = Crowd::new(shards);
        for token in 0..CROWD {
            assert!(crowd.run(token, read).is_some(), "there is nothing to read yet");
        }
        crowd.run(CROWD, "XADD a 1-1 field value");
        // Runs over several shards may be left to the shards' threads.
        while crowd.told() < CROWD as usize {
            std::thread::yield_now();
        }
        let expected = b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$5\r\nfield\r\n$5\r\nvalue\r\n".to_vec();
        let told = Arc::clone(&crowd.told);
        assert_eq!(crowd.waiting_keys(), 0);
        crowd.end();
        assert!(told.lock().expect("all threads have ended").values().all(|replies| *replies == [expected.clone()]));
    }
}

#[test]
fn whoever_leaves_a_crowd_leaves_nothing_behind_and_the_rest_is_served_in_order() {
    for shards in [1, 4] {
        let crowd = Crowd::new(shards);
        let waiters: Vec<_> =
            (0..CROWD).map(|token| crowd.run(token, "BLPOP a b 0").expect("there is nothing to pop")).collect();
        for waiter in waiters.iter().filter(|waiter| waiter.token % 10 != 0) {
            assert_eq!(waiter.state.interrupt(), Interrupt::Ended);
            crowd.engine.forget(waiter);
        }
        for number in 0..CROWD / 10 {
            crowd.run(CROWD, &format!("RPUSH b {number}"));
        }
        while crowd.told() < (CROWD / 10) as usize {
            std::thread::yield_now();
        }
        assert_eq!(crowd.waiting_keys(), 0);
        let told = Arc::clone(&crowd.told);
        crowd.end();
        for (token, replies) in told.lock().expect("all threads have ended").iter() {
            let number = (token / 10).to_string();
            let expected = format!("*2\r\n$1\r\nb\r\n${}\r\n{number}\r\n", number.len()).into_bytes();
            assert_eq!((token % 10, replies), (0, &vec![expected]), "client {token}");
        }
    }
}
