//! What is sent before a connection's buffer: large messages, which all who have yet to be sent them share, and what was in the buffer
//! when they came.
//!
//! A copy for each subscriber would take a thousand times the memory of a message to a thousand clients that do not read for a
//! while. What is small is copied: a buffer is sent at once, and pieces one by one.

use std::collections::VecDeque;
use std::sync::Arc;

pub enum Piece {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Ahead {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that were sent.
    sent: usize,
    /// Bytes of all of them.
    bytes: usize,
}

impl Ahead {
    /// Adds a piece, of which so many bytes were sent: none, unless it is the first.
    pub fn push(&mut self, piece: Piece, sent: usize) {
        debug_assert!(sent == 0 || self.pieces.is_empty(), "what is behind others cannot have been sent");
        self.sent += sent;
        self.bytes += piece.bytes().len();
        self.pieces.push_back(piece);
    }

    /// What is to be sent next, if anything is.
    pub fn next(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece.bytes()[self.sent..])
    }

    /// So much of that was sent.
    pub fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        while let Some(length) =
            self.pieces.front().map(|piece| piece.bytes().len()).filter(|&length| length <= self.sent)
        {
            self.pieces.pop_front();
            self.sent -= length;
            self.bytes -= length;
        }
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.bytes - self.sent
    }

    /// Bytes that it takes, what it shares with others included.
    pub fn capacity(&self) -> usize {
        self.bytes + self.pieces.capacity() * size_of::<Piece>()
    }

    /// All that waits to be sent.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.bytes()).copied().collect();
        bytes.drain(..self.sent);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_sent_in_their_order_however_much_of_them_goes_at_once() {
        for step in 1..12 {
            let mut ahead = Ahead::default();
            ahead.push(Piece::Shared(b"-first"[..].into()), 1);
            ahead.push(Piece::Own(b"own".to_vec()), 0);
            ahead.push(Piece::Shared(b"last".as_slice().into()), 0);
            let mut sent = Vec::new();
            while let Some(next) = ahead.next() {
                assert_eq!(ahead.unsent(), 12 - sent.len());
                let part = next[..next.len().min(step)].to_vec();
                ahead.note_sent(part.len());
                sent.extend(part);
            }
            assert_eq!((String::from_utf8_lossy(&sent).as_ref(), ahead.unsent()), ("firstownlast", 0), "{step}");
        }
    }

    #[test]
    fn what_is_taken_is_what_was_not_sent() {
        let mut ahead = Ahead::default();
        ahead.push(Piece::Own(b"abc".to_vec()), 0);
        ahead.push(Piece::Shared(b"def"[..].into()), 0);
        ahead.note_sent(4);
        assert_eq!((ahead.unsent(), ahead.into_bytes()), (2, b"ef".to_vec()));
    }
}
