//! Times at which connections that wait for a key are to be looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::connection::token::Token;

use super::connections::Connections;

/// Times that are kept before those that no longer mean anything are looked for.
const LENGTH_MIN: usize = 1024;

/// The times of one thread's connections, the earliest first.
pub struct Deadlines {
    /// Milliseconds and token.
    times: BinaryHeap<Reverse<(i64, u64)>>,
    /// How many there may be before the useless ones are removed.
    length_max: usize,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines { times: BinaryHeap::new(), length_max: LENGTH_MIN }
    }
}

impl Deadlines {
    /// Has a connection looked at when a time has come.
    pub fn add(&mut self, connections: &mut Connections, token: Token, at_ms: i64) {
        self.times.push(Reverse((at_ms, token.to_bits())));
        // Most waits end long before their time; what they leave here is cleared away when it has become the larger part.
        if self.times.len() >= self.length_max {
            self.times.retain(|Reverse((at_ms, bits))| {
                let waiter = connections.by_token(Token::from_bits(*bits)).and_then(|other| other.wait.waiter.as_ref());
                *bits == token.to_bits()
                    || waiter.is_some_and(|waiter| {
                        waiter.block.deadline_ms == Some(*at_ms) || waiter.again_at_ms() == Some(*at_ms)
                    })
            });
            self.length_max = LENGTH_MIN.max(2 * self.times.len());
        }
    }

    /// The earliest time.
    pub fn next_ms(&self) -> Option<i64> {
        self.times.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// Takes the earliest time that has come, with the connection to look at.
    pub fn take_due(&mut self, now_ms: i64) -> Option<(i64, Token)> {
        let &Reverse((at_ms, bits)) = self.times.peek()?;
        if at_ms > now_ms {
            return None;
        }
        self.times.pop();
        Some((at_ms, Token::from_bits(bits)))
    }
}
