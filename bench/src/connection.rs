//! One connection: its stream, the batch under way and the reply stream's state.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::options::Options;
use crate::reply::{Counts, Scanner};
use crate::stream::Stream;

/// A command before the run is a short one.
const SETUP_SECONDS_MAX: Duration = Duration::from_secs(60);

pub struct Connection {
    stream: Stream,
    scanner: Scanner,
    /// The tail of a batch that the socket did not take yet.
    unsent: Vec<u8>,
    /// Replies that the current batch still waits for.
    pub in_flight: u64,
    /// From when the current batch's latency counts, in nanoseconds since the worker's start.
    pub started_nanos: u64,
}

impl Connection {
    /// Connects, and has the server answer each command of the set-up with something else than an error.
    pub fn open(options: &Options, encryption: Option<&Arc<ClientConfig>>) -> Result<Connection, String> {
        let (host, port) = (options.host.as_str(), options.port);
        let describe = |error: io::Error| format!("cannot connect to {host}:{port}: {error}");
        let address =
            (host, port).to_socket_addrs().map_err(describe)?.next().ok_or_else(|| format!("{host} has no address"))?;
        let socket = TcpStream::connect(address).map_err(describe)?;
        socket.set_nodelay(true).map_err(describe)?;
        let mut stream = match encryption {
            Some(config) => Stream::encrypt(socket, host, config).map_err(describe)?,
            None => Stream::Plain(socket),
        };
        for command in &options.setup {
            prepare(&mut stream, command)?;
        }
        stream.socket().set_nonblocking(true).map_err(describe)?;
        Ok(Connection { stream, scanner: Scanner::default(), unsent: Vec::new(), in_flight: 0, started_nanos: 0 })
    }

    pub fn descriptor(&self) -> RawFd {
        self.stream.descriptor()
    }

    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.stream.has_unsent()
    }

    /// Sends as much as the socket takes and keeps the rest.
    pub fn send(&mut self, batch: &[u8], requests: u64, started_nanos: u64) -> io::Result<()> {
        debug_assert!(self.in_flight == 0 && !self.has_unsent(), "a batch is still under way");
        self.in_flight = requests;
        self.started_nanos = started_nanos;
        let sent = write_some(&mut self.stream, batch)?;
        self.unsent.extend_from_slice(&batch[sent..]);
        Ok(())
    }

    pub fn send_rest(&mut self) -> io::Result<()> {
        self.stream.flush()?;
        let sent = write_some(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Reads once and counts what came; poll reports the socket again if there is more.
    pub fn receive(&mut self, buffer: &mut [u8], counts: &mut Counts) -> Result<(), String> {
        let length = match self.stream.read(buffer) {
            Ok(0) => return Err("the server closed a connection".to_string()),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(())
            }
            Err(error) => return Err(format!("reading failed: {error}")),
        };
        let before = counts.replies;
        self.scanner.scan(&buffer[..length], counts)?;
        let replies = counts.replies - before;
        if replies > self.in_flight {
            return Err("the server sent more replies than it got requests".to_string());
        }
        self.in_flight -= replies;
        Ok(())
    }
}

/// Sends one command over a stream that blocks, and waits for its whole reply.
fn prepare(stream: &mut Stream, command: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("a command before the run has failed: {error}");
    stream.socket().set_read_timeout(Some(SETUP_SECONDS_MAX)).map_err(failed)?;
    stream.write_all(command).map_err(failed)?;
    let (mut scanner, mut counts, mut buffer) = (Scanner::default(), Counts::default(), [0; 4096]);
    while counts.replies == 0 {
        let length = stream.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            return Err("the server closed a connection before the run".to_string());
        }
        scanner.scan(&buffer[..length], &mut counts)?;
    }
    counts.error_text.map_or(Ok(()), |text| Err(format!("a command before the run was answered: {text}")))
}

fn write_some(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => sent += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
