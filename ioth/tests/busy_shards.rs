//! Commands over shards of which one is busy: the command waits, its IO thread does not.
//!
//! One IO thread, several shards, and this test's own thread that holds a shard for as long as it likes. A thread that waited
//! for the baton would answer nobody meanwhile, and the reads below would end at their bound.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use sherd_ioth::server::{Server, Shape};
use sherd_shards::executor::engine::Engine;
use sherd_shards::server::settings::Settings;
use sherd_shards::slot::SlotMap;

const SHARDS: usize = 3;

/// A server with one IO thread.
fn server() -> (Server, SocketAddr) {
    sherd_shards::families::install(sherd_ioth::commands::specs().into_iter());
    let shape = Shape { shards: SHARDS, io_threads: 1, cluster: false };
    let server = Server::new(shape, Settings::default()).expect("a server can be made");
    let port = server.listen("127.0.0.1:0".parse().expect("an address"), 128, false).expect("a port is free");
    server.start().expect("threads can be started");
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

struct Client(TcpStream);

impl Client {
    fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time can be set");
        Client(stream)
    }

    fn send(&mut self, lines: &str) {
        self.0.write_all(lines.replace('\n', "\r\n").as_bytes()).expect("the server reads");
    }

    #[track_caller]
    fn expect(&mut self, reply: &str) {
        let wanted = reply.replace('\n', "\r\n");
        let mut bytes = vec![0; wanted.len()];
        self.0.read_exact(&mut bytes).expect("the server answers");
        assert_eq!(String::from_utf8_lossy(&bytes), wanted);
    }

    fn call(&mut self, lines: &str, reply: &str) {
        self.send(lines);
        self.expect(reply);
    }
}

/// A key of each shard.
fn keys() -> Vec<String> {
    let map = SlotMap::new(SHARDS, false);
    let of = |shard| (0..).map(|i| format!("key{i}")).find(|key| map.shard_of(map.slot(key.as_bytes())) == shard);
    (0..SHARDS).map(|shard| of(shard).expect("some key is there")).collect()
}

#[test]
fn a_command_that_waits_for_a_busy_shard_holds_up_neither_its_thread_nor_other_shards() {
    let (server, address) = server();
    let keys = keys();
    let [a, b, c] = [&keys[0], &keys[1], &keys[2]];
    let (mut over, mut watcher, mut exec, mut other) =
        (Client::new(address), Client::new(address), Client::new(address), Client::new(address));
    other.call(&format!("SET {b} 1\nGET {b}\n"), "+OK\n$1\n1\n");
    exec.call(&format!("MULTI\nINCR {a}\nINCR {c}\n"), "+OK\n+QUEUED\n+QUEUED\n");
    let engine = Arc::clone(&server.shared.engine);
    for busy in [1u64, 4] {
        let held = Engine::hold(&*engine, busy);
        over.send(&format!("MSET {a} x {b} y {c} z\nGET {b}\nPING\n"));
        watcher.send(&format!("WATCH {a} {c}\nPING\n"));
        exec.send("EXEC\n");
        // All three are under way when another client has been answered a few times.
        for _ in 0..10 {
            other.call(&format!("GET {b}\nPING\n"), "$1\n1\n+PONG\n");
        }
        drop(held);
        over.expect("+OK\n$1\ny\n+PONG\n");
        watcher.expect("+OK\n+PONG\n");
        // Before MSET or after it: the one finds numbers, the other texts.
        let mut first = [0; 4];
        exec.0.read_exact(&mut first).expect("the server answers");
        assert_eq!(&first, b"*2\r\n");
        let mut line = [0; 1];
        exec.0.read_exact(&mut line).expect("the server answers");
        exec = Client::new(address);
        exec.call(
            &format!("SET {a} 0\nSET {b} 1\nSET {c} 0\nMULTI\nINCR {a}\nINCR {c}\n"),
            "+OK\n+OK\n+OK\n+OK\n+QUEUED\n+QUEUED\n",
        );
    }
    assert!(server.stop(Duration::from_secs(60)), "the threads have ended");
}

#[test]
fn a_client_that_is_killed_while_its_command_waits_gets_its_answer_and_is_closed() {
    let (server, address) = server();
    let keys = keys();
    let (mut popper, mut other) = (Client::new(address), Client::new(address));
    popper.call("CLIENT SETNAME popper\n", "+OK\n");
    other.call(&format!("RPUSH {} element\n", keys[2]), ":1\n");
    let held = Engine::hold(&*server.shared.engine, 1);
    popper.send(&format!("BLPOP {} {} 0\n", keys[0], keys[2]));
    other.call("PING\n", "+PONG\n");
    other.call("CLIENT KILL TYPE normal SKIPME yes\n", ":1\n");
    other.call("PING\n", "+PONG\n");
    drop(held);
    popper.expect(&format!("*2\n${}\n{}\n$7\nelement\n", keys[2].len(), keys[2]));
    assert_eq!(popper.0.read(&mut [0; 1]).expect("an end"), 0, "the connection was closed");
    other.call(&format!("EXISTS {}\n", keys[2]), ":0\n");
    assert!(server.stop(Duration::from_secs(60)), "the threads have ended");
}

#[test]
fn waiters_over_several_shards_are_served_however_busy_these_are() {
    let (server, address) = server();
    let keys = keys();
    let mut waiters: Vec<Client> = (0..20).map(|_| Client::new(address)).collect();
    for waiter in &mut waiters {
        waiter.send(&format!("BLPOP {} {} 0\n", keys[0], keys[2]));
    }
    let mut other = Client::new(address);
    let reply = format!("*2\n${}\n{}\n$1\nx\n", keys[2].len(), keys[2]);
    while server.shared.io[0].blocked.get() < 20 {
        other.call("PING\n", "+PONG\n");
    }
    let held = Engine::hold(&*server.shared.engine, 1);
    for _ in 0..20 {
        other.send(&format!("RPUSH {} x\n", keys[2]));
        let mut digits = [0; 1];
        other.0.read_exact(&mut digits).expect("the server answers");
        let mut rest = Vec::new();
        while rest.last() != Some(&b'\n') {
            let mut byte = [0; 1];
            other.0.read_exact(&mut byte).expect("the server answers");
            rest.push(byte[0]);
        }
    }
    drop(held);
    for waiter in &mut waiters {
        waiter.expect(&reply);
    }
    other.call(&format!("EXISTS {}\n", keys[2]), ":0\n");
    assert!(server.stop(Duration::from_secs(60)), "the threads have ended");
}

#[test]
fn who_stands_behind_a_waiter_that_is_unblocked_before_its_run_is_served() {
    let (server, address) = server();
    let keys = keys();
    let (mut first, mut second, mut other) = (Client::new(address), Client::new(address), Client::new(address));
    first.call("CLIENT ID\n", ":1\n");
    first.send(&format!("BLPOP {} {} 0\n", keys[0], keys[2]));
    while server.shared.io[0].blocked.get() < 1 {
        other.call("PING\n", "+PONG\n");
    }
    second.send(&format!("BLPOP {} 0\n", keys[2]));
    while server.shared.io[0].blocked.get() < 2 {
        other.call("PING\n", "+PONG\n");
    }
    // The first one's run waits for a busy shard when it is unblocked: the element is the second one's.
    let held = Engine::hold(&*server.shared.engine, 1);
    other.call(&format!("RPUSH {} x\n", keys[2]), ":1\n");
    other.call("CLIENT UNBLOCK 1\n", ":1\n");
    first.expect("*-1\n");
    drop(held);
    second.expect(&format!("*2\n${}\n{}\n$1\nx\n", keys[2].len(), keys[2]));
    assert!(server.stop(Duration::from_secs(60)), "the threads have ended");
}

#[test]
fn keys_holds_each_shard_for_its_own_part_unless_in_a_transaction() {
    let (server, address) = server();
    let keys = keys();
    let [a, b, c] = [&keys[0], &keys[1], &keys[2]];
    let (mut lister, mut exec, mut other) = (Client::new(address), Client::new(address), Client::new(address));
    let bulk = |key: &str| format!("${}\n{key}\n", key.len());
    other.call(&format!("SET {b} 1\nSET {c} 1\n"), "+OK\n+OK\n");
    exec.call("MULTI\nKEYS *\n", "+OK\n+QUEUED\n");
    let held = Engine::hold(&*server.shared.engine, 4);
    lister.send("KEYS *\nPING\n");
    exec.send("EXEC\n");
    // Both are under way when another client has been answered a few times.
    for _ in 0..10 {
        other.call("PING\n", "+PONG\n");
    }
    // KEYS has been in the first shard already, the transaction has not begun.
    other.call(&format!("SET {a} 1\n"), "+OK\n");
    drop(held);
    lister.expect(&format!("*2\n{}{}+PONG\n", bulk(b), bulk(c)));
    exec.expect(&format!("*1\n*3\n{}{}{}", bulk(a), bulk(b), bulk(c)));
    let over_shards = server.shared.engine.cross_shard_count();
    lister.call("KEYS *\n", &format!("*3\n{}{}{}", bulk(a), bulk(b), bulk(c)));
    lister.call("KEYS none\n", "*0\n");
    assert_eq!(server.shared.engine.cross_shard_count(), over_shards, "no two shards were held at once");
    assert!(server.stop(Duration::from_secs(60)), "the threads have ended");
}
