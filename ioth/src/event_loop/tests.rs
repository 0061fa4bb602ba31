//! What one connection gets in one round: rounds are run one by one here, without threads.

use std::io::{Read, Write};
use std::net::TcpStream;

use sherd_shards::server::settings::Settings;

use super::*;
use crate::connection::Connection;
use crate::request::intake::{ROUND_BYTES_MAX, ROUND_COMMANDS_MAX};
use crate::server::{Server, Shape};

/// An IO thread's state with one connection, and the other end of it.
struct Bench {
    thread: IoThread,
    client: TcpStream,
    _server: Server,
}

impl Bench {
    fn new() -> Bench {
        sherd_shards::families::install(crate::commands::specs().into_iter());
        let shape = Shape { shards: 1, io_threads: 1, cluster: false };
        let server = Server::new(shape, Settings::default()).expect("a server can be made");
        let port = server.listen("127.0.0.1:0".parse().expect("an address"), 16, false).expect("a free port");
        let bell = Arc::new(rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).expect("an eventfd"));
        let mut thread =
            IoThread::new(Arc::clone(&server.shared), 0, bell, crate::commands::handlers()).expect("a poll");
        prepare(&thread).expect("the listener can be polled");
        let client = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        while thread.stats().received.get() == 0 {
            accept(&mut thread, 0);
        }
        Bench { thread, client, _server: server }
    }

    fn connection(&mut self) -> &mut Connection {
        self.thread.connections.get_mut(0).expect("one connection")
    }

    /// Commands that were executed so far, wherever.
    fn commands(&self) -> u64 {
        self.thread.stats().commands.get() + self.thread.shared.engine.stats(0).0.commands.get()
    }

    /// Puts requests into the read buffer, and takes them; how many rounds that takes. Each of them is bounded in commands
    /// and in bytes, and none changes or moves what is in the buffer.
    fn take_all(&mut self, requests: &[u8], largest: usize) -> usize {
        self.connection().inbound.buffer = requests.to_vec();
        let place = self.connection().inbound.buffer.as_ptr();
        let (mut consumed, mut rounds) = (0, 0);
        while consumed < requests.len() {
            let before = self.commands();
            self.thread.connections.make_ready(0);
            work(&mut self.thread);
            rounds += 1;
            assert!(self.commands() - before <= ROUND_COMMANDS_MAX as u64);
            let inbound = &self.connection().inbound;
            if inbound.buffer.is_empty() {
                // All is done, and the buffer was given back.
                break;
            }
            assert!(inbound.consumed > consumed, "a round got nothing done");
            assert!(inbound.consumed - consumed < ROUND_BYTES_MAX + largest);
            consumed = inbound.consumed;
            assert!(inbound.buffer.as_ptr() == place && inbound.buffer == requests, "the buffer was changed");
        }
        rounds
    }

    /// What the client has been sent.
    fn received(&mut self, length: usize) -> Vec<u8> {
        let mut replies = vec![0; length];
        self.client.read_exact(&mut replies).expect("replies");
        replies
    }
}

#[test]
fn inline_requests_and_arrays_in_turn_are_taken_where_they_are() {
    const PAIRS: usize = 6000;
    for (inline, array, replies) in [
        ("PING\r\n", "*1\r\n$4\r\nPING\r\n", "+PONG\r\n+PONG\r\n"),
        ("SET 'k' \"\\x41\"\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "+OK\r\n$1\r\nA\r\n"),
        ("GET none\n", "*1\r\n$4\r\nPING\r\n", "$-1\r\n+PONG\r\n"),
    ] {
        let mut bench = Bench::new();
        let value = "v".repeat(3 << 20);
        let large = format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n{value}\r\n", value.len());
        let requests = large.clone() + &format!("{inline}{array}").repeat(PAIRS);
        let rounds = bench.take_all(requests.as_bytes(), large.len());
        assert!(rounds <= 2 * PAIRS / ROUND_COMMANDS_MAX + 3, "{rounds} rounds");
        let expected = "+OK\r\n".to_owned() + &replies.repeat(PAIRS);
        assert_eq!(bench.received(expected.len()), expected.as_bytes());
    }
}

#[test]
fn a_round_is_bounded_in_bytes_whatever_they_are() {
    let value = "v".repeat(400_000);
    let large = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    let blank = " ".repeat(60_000) + "\n";
    let words = "ECHO".to_owned() + &" a".repeat(30_000) + "\r\n";
    for request in [large, blank, words] {
        let mut bench = Bench::new();
        let count = 8 * ROUND_BYTES_MAX / request.len();
        let rounds = bench.take_all(request.repeat(count).as_bytes(), request.len());
        assert!(rounds >= 6, "{rounds} rounds for eight times as much as one may have");
    }
}

#[test]
fn a_connection_that_reads_several_times_in_a_round_gets_no_more_for_that() {
    let mut bench = Bench::new();
    let requests = b"PING\r\n".repeat(5 * ROUND_COMMANDS_MAX);
    bench.client.write_all(&requests).expect("the socket takes some kilobytes");
    let (mut answered, mut rounds) = (0, 0);
    while answered < 5 * ROUND_COMMANDS_MAX as u64 {
        bench.thread.connections.make_ready(0);
        bench.connection().transport.assume_readable();
        work(&mut bench.thread);
        assert!(bench.commands() - answered <= ROUND_COMMANDS_MAX as u64);
        answered = bench.commands();
        rounds += 1;
        assert!(rounds < 1_000_000, "the requests do not come");
    }
}

#[test]
fn words_of_inline_requests_are_kept_no_longer_than_they_are_needed() {
    let mut bench = Bench::new();
    bench.take_all(&b"SET k v\r\nPING\r\n".repeat(100), 16);
    assert!(bench.connection().inbound.inline_words.is_empty());
}
