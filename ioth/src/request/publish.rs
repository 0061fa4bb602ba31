//! Messages on their way to this thread's subscribers: from its box to the connections' output, which is sent by turns.
//!
//! A message goes behind the replies that are there and before those that are still to come, so it never lies within one.
//! Nothing is written on a client's socket beside its output while it is subscribed (`control.rs` lends it to nobody).
//!
//! Sends are nearly all that a message to many costs, and who has other business with the thread would wait for all of them. So
//! a round sends to some, and the others wait for theirs; what is published meanwhile goes with what they are sent then.
//!
//! The publisher's own message follows its reply, and follows a transaction's reply as a whole.
//!
//! What a round has for subscribers of other threads is put into their boxes at once, and told at the end of the round, or of what
//! the publisher has brought: so a pipeline of messages is one send a subscriber. A thread that sleeps is not woken for a few
//! messages but delivered for ([`crate::thread::neighbours`]).

use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;

use crate::connection::subscriptions::Kind;
use crate::connection::Connection;
use crate::shared::pubsub::published::{Addressed, Published};
use crate::shared::pubsub::Post;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::invalidate;
use super::output::{flush, hand, hand_later};
use super::paused::defer;
use super::settle::settle;

/// Publishes for a connection, which is answered first; see [`crate::shared::pubsub`] for the rest.
pub fn publish(io: &mut IoThread, connection: &mut Connection, kind: Kind, channel: &[u8], message: &[u8]) {
    let journal = &io.shared.world.journal;
    io.shared.replicas.publish(journal, kind == Kind::ShardChannel, channel, message);
    let sent = io.shared.pubsub.publish(kind, channel, message, Some(io.index));
    io.untold.note(sent.untold, sent.receivers);
    connection.reply(|reply| reply.int(sent.receivers as i64));
    let Some(published) = sent.left else { return };
    take_posts(io, Some(connection));
    if io.shared.pubsub.is_empty(io.index) {
        deliver(io, &published, Some(connection));
    } else {
        // It must not overtake what is just being put into the box.
        io.shared.pubsub.post(io.index, Post::Published(published));
    }
}

/// Has a publisher wait while a thread is far behind.
pub fn wait_if_behind(io: &mut IoThread, connection: &mut Connection, command: &Command) -> Option<Dispatch> {
    let publishes = command.spec.has(flag::PUBSUB) && command.spec.has(flag::FAST);
    if !publishes || !io.shared.pubsub.is_behind() {
        return None;
    }
    defer(io, connection);
    Some(Dispatch::Later)
}

/// Delivers what has come for this thread by now. `publisher` is the connection that is being worked on.
pub fn take_posts(io: &mut IoThread, mut publisher: Option<&mut Connection>) {
    let count = io.shared.pubsub.look(io.index);
    if count == 0 {
        return;
    }
    for _ in 0..count {
        let Some(post) = io.shared.pubsub.take(io.index) else { break };
        match post {
            Post::Published(published) => deliver(io, &published, publisher.as_deref_mut()),
            Post::Invalidated(parcel) => {
                parcel.iter().for_each(|it| invalidate::deliver(io, it, publisher.as_deref_mut()));
            }
            Post::Broken(client) => invalidate::note_broken(io, client, publisher.as_deref_mut()),
        }
    }
    if !io.shared.pubsub.is_empty(io.index) {
        io.shared.pubsub.announce(io.index);
    }
}

/// Has a connection that is being worked on, and to which nothing is to be answered, told what was published, or has changed,
/// before the request that comes next: it comes before the reply to that.
pub fn hear(io: &mut IoThread, connection: &mut Connection) {
    take_posts(io, Some(connection));
    connection.outbound.end_reply();
}

fn deliver(io: &mut IoThread, published: &Arc<Published>, mut publisher: Option<&mut Connection>) {
    if let Some(to) = &published.channel {
        feed(io, published.kind, to, publisher.as_deref_mut());
    }
    for to in &published.patterns {
        feed(io, Kind::Pattern, to, publisher.as_deref_mut());
    }
}

/// Puts a message into the output of each subscriber of a name.
fn feed(io: &mut IoThread, kind: Kind, to: &Addressed, mut publisher: Option<&mut Connection>) {
    let IoThread { subscribers, connections, shared, index: thread, .. } = io;
    let mut fed = std::mem::take(&mut subscribers.fed);
    let stats = &shared.io[*thread];
    subscribers.for_each(kind, &to.name, to.stamp, |index| {
        if let Some(publisher) = publisher.as_deref_mut().filter(|publisher| publisher.token.index == index) {
            publisher.outbound.push_later(to.encoded.bytes(publisher.session.protocol));
            return;
        }
        let Some(connection) = connections.get_mut(index) else { return };
        let message = to.encoded.push(connection.session.protocol);
        if connection.outbound.has_pending() || connection.outbound.has_pushed() {
            // It may be about what the client waits for, and would come now behind the reply and now before it. Messages keep their order.
            hand_later(shared, stats, connection, message.bytes);
            if connection.closing {
                connections.make_ready(index);
            }
            return;
        }
        hand(shared, stats, &mut fed, connection, message);
    });
    subscribers.fed = fed;
}

/// Tells other threads what was put into their boxes, or delivers it for those that sleep.
pub fn tell_others(io: &mut IoThread) {
    let (mut threads, is_for_many) = io.untold.take();
    while threads != 0 {
        let thread = threads.trailing_zeros() as usize;
        threads &= threads - 1;
        // It may have looked by itself.
        if !io.shared.pubsub.is_empty(thread) && (is_for_many || !deliver_for(io, thread)) {
            io.shared.pubsub.announce(thread);
        }
    }
}

/// Delivers what is in another thread's box, if that thread sleeps. What is then left to do, as where a socket is full, it is woken
/// for.
fn deliver_for(io: &IoThread, thread: usize) -> bool {
    let Some(other) = io.neighbours.get(thread) else { return false };
    let Ok(mut other) = other.try_lock() else { return false };
    let other = &mut *other;
    other.clock.read(&io.shared.world);
    take_posts(other, None);
    if !send_fed(other, usize::MAX) || other.connections.any_ready() {
        io.shared.mailboxes[thread].ring_if_asleep();
    }
    true
}

/// Sends as many connections as are a turn what they were given, or closes them. Returns whether nothing is left to be sent.
pub fn send_fed(io: &mut IoThread, turn: usize) -> bool {
    let mut is_all_sent = true;
    for _ in 0..io.subscribers.fed.due(turn) {
        let Some(index) = io.subscribers.fed.take() else { break };
        let Some(mut connection) = io.connections.take(index) else { continue };
        if !std::mem::take(&mut connection.is_fed) {
            // The next one in the place of a connection that has gone.
            io.connections.put_back(connection);
            continue;
        }
        if !connection.closing {
            flush(io, &mut connection);
        }
        is_all_sent &= connection.unsent() == 0 && !connection.closing;
        settle(io, connection);
    }
    is_all_sent && io.subscribers.fed.is_empty()
}
