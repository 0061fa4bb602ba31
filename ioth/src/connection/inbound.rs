//! A connection's read buffer, and how far its requests were taken.
//!
//! The arguments of commands that are out point into the buffer and to the words of inline requests. Neither is touched
//! before all replies have come.

use crate::net::buffers::{BufferPool, READ_BYTES};
use crate::net::transport::{Received, Transport, READ_BYTES_MAX};
use crate::protocol::parser::Parser;

/// Room that a large argument is given at once.
const RESERVE_BYTES_MAX: usize = 64 << 20;

/// Bytes that have come, and the state of their parsing.
#[derive(Default)]
pub struct Inbound {
    pub buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    pub consumed: usize,
    pub parser: Parser,
    /// The words of inline requests that commands which are out may point to.
    pub inline_words: Vec<Vec<Vec<u8>>>,
    /// Bytes that are sure to come for the request that is being read.
    pub expected: usize,
}

impl Inbound {
    /// Bytes that no request was taken from yet.
    #[inline]
    pub fn unparsed(&self) -> usize {
        self.buffer.len() - self.consumed
    }

    /// Whether no request has begun, where all bytes were taken: the next one begins with what comes.
    #[inline]
    pub fn awaits_request(&mut self) -> bool {
        let awaits = self.parser.is_fresh();
        if awaits {
            self.expected = 1;
        }
        awaits
    }

    /// What it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.buffer.capacity() + self.parser.bytes()
    }

    /// Receives once. Only while no command is out: the buffer may move.
    pub fn receive(&mut self, transport: &mut Transport, pool: &mut BufferPool) -> Received {
        if self.buffer.capacity() == 0 {
            self.buffer = pool.take();
        }
        self.compact();
        let want = self.expected.clamp(READ_BYTES, READ_BYTES_MAX);
        if self.buffer.capacity() - self.buffer.len() < want.min(READ_BYTES / 4).max(self.expected.min(want)) {
            // A large argument is given its room at once, up to a bound, so that it is not copied at every doubling.
            let room = self.expected.clamp(READ_BYTES, RESERVE_BYTES_MAX);
            self.buffer.reserve(room);
        }
        transport.receive(&mut self.buffer)
    }

    /// Moves what is left of the buffer to its beginning.
    fn compact(&mut self) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// Puts requests that were taken in front of the others again. Only between two requests, and while no command is out.
    pub fn put_back(&mut self, requests: &[u8]) {
        if !requests.is_empty() {
            self.compact();
            self.buffer.splice(..0, requests.iter().copied());
        }
    }

    /// Returns an empty buffer to the pool, and what its requests took besides. Only while no command is out.
    pub fn release(&mut self, pool: &mut BufferPool) {
        if self.inline_words.capacity() > 0 {
            self.inline_words = Vec::new();
        }
        if self.unparsed() > 0 || self.buffer.capacity() == 0 {
            return;
        }
        self.consumed = 0;
        self.parser.release();
        pool.give_back(std::mem::take(&mut self.buffer));
    }
}
