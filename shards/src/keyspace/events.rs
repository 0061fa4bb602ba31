//! Keyspace events: raised where a command takes effect, kept until their consumer takes them.
//!
//! Nothing is raised unless a class is switched on by `notify-keyspace-events`, and nothing is kept unless a consumer has
//! said that it will take what is kept: without one, a server that was merely configured to raise events would collect
//! them for ever. A consumer takes them whenever the baton is let go, so what waits is what one slice has raised; should it
//! not come in time, the oldest stay, the newer ones are dropped and counted.

use std::cell::Cell;

use sherd_metrics::memory;

pub use crate::server::event_class as class;

/// A message of a script.
#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    /// Whether its channel belongs to a shard.
    pub is_sharded: bool,
}

/// One event to be delivered.
#[derive(Clone, Debug)]
pub struct Event {
    pub db: u16,
    /// One bit of [`class`]: not everybody who is told wants all classes that are raised.
    pub class: u32,
    pub name: &'static str,
    pub key: Vec<u8>,
    /// The elements of the key that it is about, if anybody wants to know; see [`super::element_events`].
    pub elements: Vec<u8>,
    /// What a script publishes has its place among the events; `key` is the channel then.
    pub message: Option<Message>,
    /// Puts events in order that one thread has raised in several shards.
    pub number: u64,
}

thread_local! {
    /// Events that this thread has raised.
    static RAISED: Cell<u64> = const { Cell::new(0) };
}

/// Events that may wait in one shard: more than a slice raises, unless a command removes a whole database of keys.
pub const PENDING_MAX: usize = 1 << 16;

/// Events that wait for the consumer.
#[derive(Default, Debug)]
pub struct Events {
    pending: Vec<Event>,
    consumed: bool,
    lost: u64,
    /// What the pending ones take, which is no part of the data.
    bytes: i64,
}

impl Events {
    /// A consumer begins (or ends) to take events. What nobody has taken when it ends is forgotten.
    pub fn set_consumed(&mut self, consumed: bool) {
        self.consumed = consumed;
        if !consumed {
            self.pending = Vec::new();
        }
    }

    /// Adds an event, if there is a consumer.
    #[inline]
    pub fn push(&mut self, db: u16, class: u32, name: &'static str, key: &[u8]) {
        if self.consumed {
            self.keep(db, class, name, key, Vec::new);
        }
    }

    /// The same with the elements that it is about.
    pub fn push_with(
        &mut self,
        db: u16,
        class: u32,
        name: &'static str,
        key: &[u8],
        elements: impl FnOnce() -> Vec<u8>,
    ) {
        if self.consumed {
            self.keep(db, class, name, key, elements);
        }
    }

    fn keep(&mut self, db: u16, class: u32, name: &'static str, key: &[u8], elements: impl FnOnce() -> Vec<u8>) {
        debug_assert_eq!(class::classes_of(name) & class, class, "{name} is not among the events of its class");
        if self.pending.len() < PENDING_MAX {
            self.add(|number| Event {
                db,
                class,
                name,
                key: key.to_vec(),
                elements: elements(),
                message: None,
                number,
            });
        } else {
            self.lost += 1;
        }
    }

    /// Adds a message, which is not dropped: its publisher is told how many clients get it.
    pub fn publish(&mut self, channel: &[u8], message: &[u8], is_sharded: bool) {
        if self.consumed {
            self.add(|number| {
                let message = Some(Message { bytes: message.to_vec(), is_sharded });
                Event { db: 0, class: 0, name: "publish", key: channel.to_vec(), elements: Vec::new(), message, number }
            });
        }
    }

    fn add(&mut self, event: impl FnOnce(u64) -> Event) {
        let before = memory::data_bytes();
        let number = RAISED.get();
        RAISED.set(number + 1);
        self.pending.push(event(number));
        self.bytes += memory::data_bytes() - before;
    }

    /// The number that the next event of this thread gets.
    pub fn next_number() -> u64 {
        RAISED.get()
    }

    /// Takes back the messages of this thread from a number on, and what it has raised of keys that it has not found: what it was
    /// doing is done once more. Other events tell of changes, which stay.
    pub fn retract_since(&mut self, number: u64) {
        let before = memory::data_bytes();
        let is_repeated = |event: &Event| event.message.is_some() || event.class == class::KEY_MISS;
        self.pending.retain(|event| event.number < number || !is_repeated(event));
        self.bytes += memory::data_bytes() - before;
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes them all.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.pending)
    }

    /// What was allocated for events since the last call, with the baton held: it is not the shard's.
    #[inline]
    pub fn take_bytes(&mut self) -> i64 {
        std::mem::take(&mut self.bytes)
    }

    /// Events that were dropped because too many waited.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_nobody_takes_are_not_kept() {
        let mut events = Events::default();
        events.push(0, class::STRING, "set", b"k");
        assert!(events.is_empty());
        events.set_consumed(true);
        events.push(1, class::GENERIC, "del", b"k");
        let taken: Vec<_> = events.take().into_iter().map(|event| (event.db, event.name, event.key)).collect();
        assert_eq!(taken, [(1, "del", b"k".to_vec())]);
        events.push(0, class::STRING, "set", b"k");
        events.set_consumed(false);
        assert!(events.is_empty());
    }

    #[test]
    fn what_is_done_again_is_told_once_and_what_has_changed_stays_told() {
        let mut events = Events::default();
        events.set_consumed(true);
        events.publish(b"c", b"before", false);
        let since = Events::next_number();
        events.publish(b"c", b"message", false);
        events.push(0, class::KEY_MISS, "keymiss", b"k");
        events.push(0, class::EXPIRED, "expired", b"k");
        events.retract_since(since);
        let taken: Vec<_> = events.take().into_iter().map(|event| (event.name, event.key)).collect();
        assert_eq!(taken, [("publish", b"c".to_vec()), ("expired", b"k".to_vec())]);
    }

    #[test]
    fn a_consumer_that_does_not_come_loses_the_newest_events() {
        let mut events = Events::default();
        events.set_consumed(true);
        for number in 0..PENDING_MAX + 3 {
            events.push(0, class::STRING, "set", number.to_string().as_bytes());
        }
        let kept = events.take();
        assert_eq!((kept.len(), kept[0].key.as_slice(), events.lost()), (PENDING_MAX, b"0".as_slice(), 3));
    }

    #[test]
    fn a_shard_whose_events_nobody_takes_keeps_none() {
        let mut tester = crate::testing::Tester::new(1);
        tester.world.settings.notify_keyspace_events.set(i64::from(u16::MAX));
        tester.run("SET a 1");
        assert_eq!(tester.events(), ["new a", "set a"]);
        tester.consume_events(false);
        tester.run("SET a 2");
        tester.consume_events(true);
        assert!(tester.events().is_empty());
    }
}
