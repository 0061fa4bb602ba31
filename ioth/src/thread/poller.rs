//! What a thread polls: its bell, its connections, and the listeners if it is the one that accepts.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;

/// Events taken from one poll.
const EVENTS: usize = 256;
/// Poll data of the bell and of the listeners; connections have their place.
const BELL: u64 = u64::MAX;
const LISTENER: u64 = 1 << 63;

/// What a poll tells.
#[derive(Clone, Copy)]
pub enum Event {
    /// Something is in the mailbox.
    Bell,
    /// Connections wait at the listener of this id.
    Listener(u64),
    /// The connection in this place may be able to do more.
    Connection(u32, EventFlags),
}

/// An epoll descriptor.
pub struct Poller {
    epoll: OwnedFd,
}

/// Room for what a poll returns.
pub struct Events(Vec<epoll::Event>);

impl Events {
    /// None yet.
    pub fn new() -> Events {
        Events(Vec::with_capacity(EVENTS))
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has happened.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|event| match event.data.u64() {
            BELL => Event::Bell,
            data if data & LISTENER != 0 => Event::Listener(data & !LISTENER),
            data => Event::Connection(data as u32, event.flags),
        })
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl Poller {
    /// Polls a bell, which is an eventfd: edge-triggered, so that each time it rings wakes, and nobody has to read it. What it
    /// rang for is in the mailbox.
    pub fn new(bell: &OwnedFd) -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        Ok(Poller { epoll })
    }

    /// Polls a listener. One that is polled already stays so.
    pub fn add_listener(&self, descriptor: impl AsFd, id: u64) -> io::Result<()> {
        match epoll::add(&self.epoll, descriptor, EventData::new_u64(LISTENER | id), EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Polls a connection, edge-triggered.
    pub fn add_connection(&self, descriptor: impl AsFd, index: u32) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(u64::from(index)), flags)?)
    }

    /// Polls a connection no longer. Closing its socket is not enough where somebody else keeps it a moment longer.
    pub fn remove_connection(&self, descriptor: impl AsFd) {
        // It was added, so nothing but its end can be in the way.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits for at most so long until something happens.
    pub fn wait(&self, events: &mut Events, at_most_ms: i64) {
        let timeout = Timespec { tv_sec: at_most_ms / 1000, tv_nsec: at_most_ms % 1000 * 1_000_000 };
        events.0.clear();
        // An interrupted poll is an empty one.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events.0), Some(&timeout));
    }
}
