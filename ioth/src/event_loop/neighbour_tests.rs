//! Messages for subscribers of another thread: rounds are run one by one here, without threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sherd_shards::server::settings::Settings;

use super::*;
use crate::connection::subscriptions::Kind;
use crate::server::{Server, Shape};
use crate::thread::neighbours::Neighbours;

/// Two threads: a publisher belongs to the first, subscribers to the second.
struct Scene {
    threads: [Arc<Mutex<IoThread>>; 2],
    publisher: TcpStream,
    subscribers: Vec<TcpStream>,
    _server: Server,
}

const ROUNDS_MAX: usize = 100_000;

impl Scene {
    fn new(subscribers: usize) -> Scene {
        sherd_shards::families::install(crate::commands::specs().into_iter());
        let shape = Shape { shards: 1, io_threads: 2, cluster: false };
        let server = Server::new(shape, Settings::default()).expect("a server can be made");
        let port = server.listen("127.0.0.1:0".parse().expect("an address"), 16, false).expect("a free port");
        let neighbours = Arc::new(Neighbours::default());
        let threads = [0, 1].map(|index| {
            let bell = Arc::new(rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).expect("an eventfd"));
            let mut thread =
                IoThread::new(Arc::clone(&server.shared), index, bell, crate::commands::handlers()).expect("a poll");
            thread.neighbours = Arc::clone(&neighbours);
            Arc::new(Mutex::new(thread))
        });
        neighbours.set(&threads);
        let connect = |thread: usize| {
            let mut first = lock(&threads[0]);
            first.acceptor.next_thread = thread;
            let client = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
            client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
            let before = server.shared.connection_count();
            let rounds = (0..ROUNDS_MAX).take_while(|_| server.shared.connection_count() == before);
            rounds.for_each(|_| {
                accept(&mut first, 0);
            });
            client
        };
        let publisher = connect(0);
        let mut subscribers: Vec<TcpStream> = (0..subscribers).map(|_| connect(1)).collect();
        // The accepting thread chooses the one with the fewest, which those on their way are not counted for.
        let shared = Arc::clone(&server.shared);
        for (number, client) in subscribers.iter_mut().enumerate() {
            client.write_all(b"SUBSCRIBE c\r\n").expect("the socket takes a line");
            let is_missing = || shared.pubsub.receivers(Kind::Channel, b"c") as usize <= number;
            (0..ROUNDS_MAX).take_while(|_| is_missing()).for_each(|_| go(&mut lock(&threads[1])));
            client.read_exact(&mut [0; 30]).expect("a confirmation");
        }
        Scene { threads, publisher, subscribers, _server: server }
    }

    /// Has the first thread publish so many messages in one round.
    fn publish(&mut self, count: usize) {
        self.publisher.write_all(&b"PUBLISH c m\r\n".repeat(count)).expect("the socket takes some lines");
        let thread = Arc::clone(&self.threads[0]);
        let expected = format!(":{}\r\n", self.subscribers.len()).repeat(count);
        let mut replies = vec![0; expected.len()];
        self.publisher.set_nonblocking(true).expect("a socket");
        let mut length = 0;
        for _ in 0..ROUNDS_MAX {
            go(&mut lock(&thread));
            length += self.publisher.read(&mut replies[length..]).unwrap_or(0);
            if length == replies.len() {
                break;
            }
        }
        assert_eq!(replies, expected.as_bytes());
    }

    fn expect_messages(&mut self, count: usize) {
        let expected = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n".repeat(count);
        for client in &mut self.subscribers {
            let mut received = vec![0; expected.len()];
            client.read_exact(&mut received).expect("messages");
            assert_eq!(received, expected);
        }
    }

    fn rounds_of_subscribers(&self) -> u64 {
        lock(&self.threads[1]).stats().busy_nanoseconds.get()
    }
}

/// A round of all connections, whatever a poll would say.
fn go(io: &mut IoThread) {
    for index in io.connections.indexes() {
        io.connections.get_mut(index).expect("a connection").transport.assume_readable();
        io.connections.make_ready(index);
    }
    round(io, &Events::new());
}

#[test]
fn a_thread_that_sleeps_is_delivered_for_and_one_that_is_awake_is_told() {
    let mut scene = Scene::new(3);
    let before = scene.rounds_of_subscribers();
    for count in [1, 5] {
        scene.publish(count);
        scene.expect_messages(count);
    }
    assert_eq!(scene.rounds_of_subscribers(), before, "the subscribers' thread has done nothing itself");
    let awake = Arc::clone(&scene.threads[1]);
    let mailbox = |scene: &Scene| lock(&scene.threads[0]).shared.mailboxes[1].len();
    {
        let _awake = lock(&awake);
        scene.publish(2);
        assert_eq!(mailbox(&scene), 1, "it is told once");
    }
    go(&mut lock(&awake));
    scene.expect_messages(2);
    assert_eq!(mailbox(&scene), 0);
}

#[test]
fn what_many_get_is_left_to_their_own_thread() {
    let mut scene = Scene::new(9);
    scene.publish(3);
    assert_eq!(lock(&scene.threads[0]).shared.mailboxes[1].len(), 1);
    go(&mut lock(&scene.threads[1].clone()));
    scene.expect_messages(3);
}

/// A round in which nothing happens at the sockets.
fn only_what_is_due(thread: &Mutex<IoThread>) {
    round(&mut lock(thread), &Events::new());
}

#[test]
fn messages_to_many_are_sent_by_turns_and_what_comes_meanwhile_goes_with_them() {
    let mut scene = Scene::new(200);
    let subscribers = Arc::clone(&scene.threads[1]);
    let writes = |scene: &Scene| lock(&scene.threads[1]).stats().writes.get();
    let before = writes(&scene);
    scene.publish(3);
    only_what_is_due(&subscribers);
    assert_eq!(writes(&scene) - before, SENDS_A_ROUND as u64);
    assert!(has_work(&lock(&subscribers)), "the thread does not sleep beside what it has to send");
    scene.publish(2);
    for _ in 0..ROUNDS_MAX {
        only_what_is_due(&subscribers);
        if !has_work(&lock(&subscribers)) {
            break;
        }
    }
    // Those who were sent the first three were sent the other two as well, the others all five at once.
    assert_eq!(writes(&scene) - before, 200 + SENDS_A_ROUND as u64);
    scene.expect_messages(5);
}

#[test]
fn a_place_that_has_another_connection_is_not_sent_what_the_first_one_was_given() {
    let mut scene = Scene::new(100);
    let subscribers = Arc::clone(&scene.threads[1]);
    scene.publish(1);
    only_what_is_due(&subscribers);
    let last = lock(&subscribers).connections.indexes().into_iter().max().expect("a connection");
    {
        let mut io = lock(&subscribers);
        let connection = io.connections.take(last).expect("the last one");
        assert!(connection.is_fed);
        close(&mut io, connection);
        assert!(io.connections.take(last).is_none());
    }
    (0..3).for_each(|_| only_what_is_due(&subscribers));
    assert!(!has_work(&lock(&subscribers)));
    scene.subscribers.pop();
    scene.expect_messages(1);
}

#[test]
fn who_only_waits_for_its_turn_is_not_cut_at_the_limit() {
    let mut scene = Scene::new(9);
    lock(&scene.threads[1]).shared.world.settings.pubsub_output_limit_hard_bytes.set(1000);
    scene.publish(100);
    go(&mut lock(&scene.threads[1].clone()));
    scene.expect_messages(100);
    assert_eq!(lock(&scene.threads[1]).stats().output_limit_disconnections.get(), 0);
}
