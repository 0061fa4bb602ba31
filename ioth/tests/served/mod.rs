//! A server on a loopback port and clients of it, in the test's own process: its clocks can be moved and its state looked at.
// Each test binary takes this in and uses a part of it.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use sherd_ioth::server::{Server, Shape};
use sherd_ioth::shared::Shared;
use sherd_shards::server::settings::Settings;

/// How long something may take that happens at once on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct Served {
    server: Server,
    port: u16,
}

impl Served {
    /// A server of so many shards with one IO thread. Commands of the control plane do not exist.
    pub fn start(shards: usize) -> Served {
        Served::with_io_threads(shards, 1)
    }

    /// The same with more IO threads.
    pub fn with_io_threads(shards: usize, io_threads: usize) -> Served {
        sherd_shards::families::install(sherd_ioth::commands::specs().into_iter());
        let settings = Settings::default();
        settings.enable_debug_command.set(1);
        let server = Server::new(Shape { shards, io_threads, cluster: false }, settings).expect("a server can be made");
        let port = server.listen("127.0.0.1:0".parse().expect("an address"), 16, false).expect("a free port");
        server.start().expect("threads can be started");
        Served { server, port }
    }

    /// What its threads share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.server.shared
    }

    /// Stops the clocks, sets the wall clock back by an hour, and lets time pass.
    pub fn advance_with_wall_set_back(&self, milliseconds: i64) {
        let clocks = &self.shared().world.clocks;
        clocks.set_wall_by(-3_600_000);
        clocks.advance(milliseconds);
    }

    /// A client.
    pub fn client(&self) -> Client {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Client { socket }
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Shared) -> bool) {
        let begun = std::time::Instant::now();
        while !is_so(self.shared()) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A running server.
pub struct Client {
    socket: TcpStream,
}

impl Client {
    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server takes requests");
    }

    /// Sends lines as inline requests, in one piece.
    pub fn send_lines(&mut self, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(text.as_bytes());
    }

    /// Expects these bytes, with `|` for each line's end.
    #[track_caller]
    pub fn expect(&mut self, reply: &str) {
        let expected = reply.replace('|', "\r\n");
        let mut got = vec![0; expected.len()];
        let mut filled = 0;
        while filled < got.len() {
            match self.socket.read(&mut got[filled..]) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        assert_eq!(String::from_utf8_lossy(&got[..filled]), expected);
    }

    /// Sends a line and expects its reply.
    #[track_caller]
    pub fn run(&mut self, line: &str, reply: &str) {
        self.send_lines(&[line]);
        self.expect(reply);
    }

    /// Sends a line and returns the integer that answers it.
    #[track_caller]
    pub fn integer(&mut self, line: &str) -> i64 {
        self.send_lines(&[line]);
        let mut text = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            self.socket.read_exact(&mut byte).expect("a reply");
            text.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        text.trim_end().trim_start_matches(':').parse().unwrap_or_else(|_| panic!("no integer: {text}"))
    }

    /// Expects that the server closes the connection.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let ended = self.socket.read_to_end(&mut rest);
        assert!(ended.is_ok() && rest.is_empty(), "{ended:?} after {}", String::from_utf8_lossy(&rest));
    }
}
