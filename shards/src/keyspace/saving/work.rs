//! What a snapshot did, for tests: how many bytes were serialised at once, which bounds the stalls that it causes, and which ways
//! big entries have gone.

use std::cell::Cell;

/// What happens to big entries.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Begun,
    /// It left the keyspace before it was written whole.
    Out,
    /// It came to another key, or to another shard.
    Moved,
    /// It was too big for one chunk.
    InPieces,
}

pub const EVENTS: [Event; 4] = [Event::Begun, Event::Out, Event::Moved, Event::InPieces];

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static COUNTS: Cell<[usize; EVENTS.len()]> = const { Cell::new([0; EVENTS.len()]) };
}

/// So many bytes were written.
pub fn add(bytes: usize) {
    BYTES.with(|sum| sum.set(sum.get() + bytes));
}

/// The bytes since the last call.
pub fn take() -> usize {
    BYTES.with(|sum| sum.replace(0))
}

pub fn count(event: Event) {
    COUNTS.with(|counts| {
        let mut all = counts.get();
        all[event as usize] += 1;
        counts.set(all);
    });
}

/// How often each of [`EVENTS`] has happened in this thread.
pub fn counts() -> [usize; EVENTS.len()] {
    COUNTS.with(Cell::get)
}
