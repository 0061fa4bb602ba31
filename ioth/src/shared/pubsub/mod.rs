//! Pub/Sub between threads: who is subscribed where, and the messages on their way. What clients with caches are told
//! ([`trackers`]) takes the same way.
//!
//! Subscribers live on their IO threads ([`crate::thread::subscribers`]). Whoever publishes, from any thread, asks the
//! [`registry`] which threads have subscribers and puts the message, encoded once ([`published`]), into the box of each of
//! them. A box that had been empty is announced by one message in its thread's mailbox; the thread takes all that is there.
//!
//! What causes what stays in order: a message that is put into a box before another one, by the same thread or by one that was
//! told of it, is taken out before it. Nothing is put into a thread's hands beside its box while anything is in it.
//!
//! A box takes whatever comes, for what keyspace events tell cannot be held back; publishers are, while any box is full.

pub mod published;
pub mod registry;
pub mod trackers;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;

use sherd_shards::keyspace::element_events::decode;
use sherd_shards::keyspace::events::{class, Event};
use sherd_shards::queues::mailbox::Mailbox;
use sherd_shards::queues::queue::Queue;

use crate::connection::subscriptions::Kind;

use crate::connection::token::Token;

use super::message::Message;
use published::{Addressed, Published};
use registry::Registry;
use trackers::{Invalidated, Trackers};

/// Messages for which a box has room without a lock.
const BOX_CAPACITY: usize = 256;
/// A box with more bytes than this is full: publishers wait until its thread has taken some.
const BOX_BYTES_MAX: usize = 64 << 20;

/// What is on its way to a thread.
pub enum Post {
    /// A message for subscribers.
    Published(Arc<Published>),
    /// What clients with caches are to be told.
    Invalidated(Vec<Invalidated>),
    /// The client has gone that this one's invalidations are sent to.
    Broken(Token),
}

impl Post {
    /// What it takes, about.
    fn bytes(&self) -> usize {
        match self {
            Post::Published(published) => published.bytes(),
            Post::Invalidated(parcel) => parcel.iter().map(Invalidated::bytes).sum(),
            Post::Broken(_) => size_of::<Post>(),
        }
    }
}

/// What is on its way to one thread.
struct PostBox {
    posts: Queue<Post>,
    /// The thread was told that there are some, and has not looked since.
    announced: AtomicBool,
    bytes: AtomicUsize,
}

/// What a publisher is told.
pub struct Sent {
    /// Clients that get the message.
    pub receivers: u64,
    /// The message, where the thread that was left out has subscribers of it.
    pub left: Option<Arc<Published>>,
    /// The threads into whose boxes it was put without telling them, as a bit set.
    pub untold: u64,
}

/// See the [module](self).
pub struct PubSub {
    pub registry: Registry,
    pub trackers: Trackers,
    boxes: Vec<PostBox>,
    mailboxes: Arc<Vec<Mailbox<Message>>>,
}

impl PubSub {
    /// Nobody is subscribed yet.
    pub fn new(mailboxes: Arc<Vec<Mailbox<Message>>>) -> PubSub {
        let boxes = mailboxes.iter().map(|_| PostBox {
            posts: Queue::new(BOX_CAPACITY),
            announced: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
        });
        PubSub { registry: Registry::default(), trackers: Trackers::default(), boxes: boxes.collect(), mailboxes }
    }

    /// Publishes to a channel, of a shard or not. The thread `except`, which is the caller then, delivers to its own
    /// subscribers itself, and tells the others by [`PubSub::announce`] when it has put down all that it has for them.
    pub fn publish(&self, kind: Kind, channel: &[u8], message: &[u8], except: Option<usize>) -> Sent {
        let addressed = self.registry.subscribers(kind, channel);
        let (patterns, pattern_stamp, mut audience) = match kind {
            Kind::Channel => self.registry.patterns(channel),
            _ => Default::default(),
        };
        if let Some((.., subscribers)) = &addressed {
            audience.threads |= subscribers.threads;
            audience.receivers += subscribers.receivers;
        }
        let receivers = audience.receivers;
        if receivers == 0 {
            return Sent { receivers, left: None, untold: 0 };
        }
        let to_pattern = |pattern| Addressed::to_pattern(pattern, pattern_stamp, channel, message);
        let published = Arc::new(Published {
            kind,
            channel: addressed.map(|(name, stamp, _)| Addressed::to_channel(kind, name, stamp, message)),
            patterns: patterns.into_iter().map(to_pattern).collect(),
        });
        let (mut left, mut untold) = (None, 0);
        for thread in (0..self.boxes.len()).filter(|thread| audience.threads >> thread & 1 == 1) {
            if except == Some(thread) {
                left = Some(Arc::clone(&published));
                continue;
            }
            self.put(thread, Post::Published(Arc::clone(&published)));
            match except {
                Some(_) => untold |= 1 << thread,
                None => self.announce(thread),
            }
        }
        Sent { receivers, left, untold }
    }

    /// Puts something into a thread's box, and tells the thread.
    pub fn post(&self, thread: usize, post: Post) {
        self.put(thread, post);
        self.announce(thread);
    }

    fn put(&self, thread: usize, post: Post) {
        let to = &self.boxes[thread];
        to.bytes.fetch_add(post.bytes(), Relaxed);
        to.posts.push(post);
    }

    /// Has a thread look at its box.
    pub fn announce(&self, thread: usize) {
        // Either the thread finds what is there, which it looks for after it has cleared the mark, or it is told again.
        if !self.boxes[thread].announced.swap(true, SeqCst) {
            self.mailboxes[thread].deliver(Message::Posts);
        }
    }

    /// Messages in a thread's box; for that thread, which takes so many with [`PubSub::take`].
    pub fn look(&self, thread: usize) -> usize {
        let from = &self.boxes[thread];
        if from.posts.is_empty() {
            return 0;
        }
        from.announced.swap(false, SeqCst);
        from.posts.len()
    }

    /// Takes the oldest post out of a thread's box; for that thread.
    pub fn take(&self, thread: usize) -> Option<Post> {
        let from = &self.boxes[thread];
        let post = from.posts.pop()?;
        from.bytes.fetch_sub(post.bytes(), Relaxed);
        Some(post)
    }

    /// Whether nothing is on its way to a thread.
    pub fn is_empty(&self, thread: usize) -> bool {
        self.boxes[thread].posts.is_empty()
    }

    /// Whether a box is full.
    pub fn is_behind(&self) -> bool {
        self.boxes.iter().any(|to| to.bytes.load(Relaxed) > BOX_BYTES_MAX)
    }

    /// How many clients get a message to a channel that is published now.
    pub fn receivers(&self, kind: Kind, channel: &[u8]) -> u64 {
        let of_patterns = if kind == Kind::Channel { self.registry.patterns(channel).2.receivers } else { 0 };
        self.registry.subscriber_count(kind, channel) + of_patterns
    }

    /// Publishes keyspace events on the channels that `notify-keyspace-events` asks for, and messages of scripts.
    pub fn publish_events(&self, events: Vec<Event>, classes: u32) {
        if events.is_empty() {
            return;
        }
        if [Kind::Channel, Kind::Pattern, Kind::ShardChannel].iter().all(|&kind| self.registry.count(kind) == 0) {
            return;
        }
        for Event { db, class, name, key, elements, message, .. } in events {
            if let Some(message) = message {
                let kind = if message.is_sharded { Kind::ShardChannel } else { Kind::Channel };
                self.publish(kind, &key, &message.bytes, None);
                continue;
            }
            if classes & class == 0 {
                // Only hooks have asked for it.
                continue;
            }
            if classes & class::KEYSPACE != 0 {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                self.publish(Kind::Channel, &channel, name.as_bytes(), None);
            }
            if classes & class::KEYEVENT != 0 {
                let channel = format!("__keyevent@{db}__:{name}");
                self.publish(Kind::Channel, channel.as_bytes(), &key, None);
            }
            if !elements.is_empty() {
                self.publish_elements(db, name, &key, &elements, classes);
            }
        }
    }

    /// Publishes which elements of its key an event is about. A line feed ends the key where an element follows in the name of a
    /// channel, so a key that has one itself is left out there; the names of events have no `|`.
    fn publish_elements(&self, db: u16, name: &str, key: &[u8], elements: &[u8], classes: u32) {
        let publish = |channel: &[&[u8]], message: &[&[u8]]| {
            self.publish(Kind::Channel, &channel.concat(), &message.concat(), None);
        };
        let prefix = |kind: &str| format!("__{kind}@{db}__:").into_bytes();
        let name = name.as_bytes();
        if classes & class::SUBKEYSPACE != 0 {
            publish(&[&prefix("subkeyspace"), key], &[name, b"|", elements]);
        }
        if classes & class::SUBKEYEVENT != 0 {
            let length = key.len().to_string();
            publish(&[&prefix("subkeyevent"), name], &[length.as_bytes(), b":", key, b"|", elements]);
        }
        if classes & class::SUBKEYSPACEITEM != 0 && !key.contains(&b'\n') {
            let prefix = prefix("subkeyspaceitem");
            decode(elements).for_each(|element| publish(&[&prefix, key, b"\n", element], &[name]));
        }
        if classes & class::SUBKEYSPACEEVENT != 0 {
            publish(&[&prefix("subkeyspaceevent"), name, b"|", key], &[elements]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pubsub(threads: usize) -> PubSub {
        let mailboxes = (0..threads).map(|_| Mailbox::new(8, Box::new(|| ())));
        PubSub::new(Arc::new(mailboxes.collect()))
    }

    fn take_all(pubsub: &PubSub, thread: usize) -> Vec<Arc<Published>> {
        let published = |post| match post {
            Post::Published(published) => Some(published),
            _ => None,
        };
        (0..pubsub.look(thread)).filter_map(|_| pubsub.take(thread)).filter_map(published).collect()
    }

    #[test]
    fn a_thread_is_told_once_of_all_that_waits_for_it() {
        let pubsub = pubsub(2);
        pubsub.registry.add(Kind::Channel, b"c", 1);
        for round in 0..3 {
            for number in 0..1000 {
                let sent = pubsub.publish(Kind::Channel, b"c", b"m", Some(0));
                assert_eq!((sent.receivers, sent.left.is_none()), (1, true), "{round} {number}");
                assert_eq!(sent.untold, 0b10);
                if number % 3 == 0 {
                    pubsub.announce(1);
                }
            }
            assert_eq!([pubsub.mailboxes[0].len(), pubsub.mailboxes[1].len()], [0, 1]);
            let stamps: Vec<u64> =
                take_all(&pubsub, 1).iter().flat_map(|taken| &taken.channel).map(|to| to.stamp).collect();
            assert_eq!(stamps, (round * 1000..(round + 1) * 1000).collect::<Vec<_>>());
            assert!(matches!(pubsub.mailboxes[1].receive(), Some(Message::Posts)));
        }
    }

    #[test]
    fn the_thread_that_publishes_is_left_its_own_subscribers() {
        let pubsub = pubsub(2);
        pubsub.registry.add(Kind::Channel, b"c", 0);
        pubsub.registry.add(Kind::Pattern, b"?", 0);
        pubsub.registry.add(Kind::ShardChannel, b"c", 0);
        let sent = pubsub.publish(Kind::Channel, b"c", b"m", Some(0));
        let left = sent.left.expect("thread 0 has subscribers");
        assert_eq!((sent.receivers, left.channel.is_some(), left.patterns.len()), (2, true, 1));
        assert!(pubsub.is_empty(0));
        let sent = pubsub.publish(Kind::ShardChannel, b"c", b"m", None);
        assert_eq!((sent.receivers, take_all(&pubsub, 0).len()), (1, 1));
    }

    #[test]
    fn publishers_are_held_back_while_a_box_is_full() {
        let pubsub = pubsub(2);
        pubsub.registry.add(Kind::Channel, b"c", 1);
        let message = vec![b'm'; 1 << 20];
        for _ in 0..BOX_BYTES_MAX >> 20 {
            assert!(!pubsub.is_behind());
            pubsub.publish(Kind::Channel, b"c", &message, None);
        }
        assert!(pubsub.is_behind());
        take_all(&pubsub, 1);
        assert!(!pubsub.is_behind());
        assert_eq!(pubsub.boxes[1].bytes.load(Relaxed), 0);
    }
}
