//! A connection's subscriptions begin and end: in what it knows itself, in its thread's table and in the registry of all threads.

use std::sync::atomic::Ordering::Relaxed;

use crate::connection::subscriptions::{Kind, Subscriptions};
use crate::connection::Connection;
use crate::thread::IoThread;

/// Subscribes a connection to a name, unless it is already.
pub fn subscribe(io: &mut IoThread, connection: &mut Connection, kind: Kind, name: &[u8]) {
    if connection.session.subscriptions.is_none() {
        io.stats().subscribers.increment();
    }
    let subscriptions = connection.session.subscriptions.get_or_insert_with(Box::<Subscriptions>::default);
    if subscriptions.contains(kind, name) {
        return;
    }
    let (name, since) = io.shared.pubsub.registry.add(kind, name, io.index as u16);
    subscriptions.insert(kind, name.clone());
    io.subscribers.add(kind, name, connection.token.index, since);
    note_counts(connection);
}

/// Ends a connection's subscription to a name, if there is one.
pub fn unsubscribe(io: &mut IoThread, connection: &mut Connection, kind: Kind, name: &[u8]) {
    let Some(subscriptions) = &mut connection.session.subscriptions else { return };
    let Some(name) = subscriptions.remove(kind, name) else { return };
    io.subscribers.remove(kind, &name, connection.token.index);
    io.shared.pubsub.registry.remove(kind, &name, io.index as u16);
    if subscriptions.is_empty() {
        connection.session.subscriptions = None;
        io.stats().subscribers.subtract(1);
    }
    note_counts(connection);
}

/// Ends all subscriptions of a connection.
pub fn unsubscribe_all(io: &mut IoThread, connection: &mut Connection) {
    for kind in [Kind::Channel, Kind::Pattern, Kind::ShardChannel] {
        let names = connection.session.subscriptions.as_ref().map(|subscriptions| subscriptions.names(kind));
        for name in names.into_iter().flatten() {
            unsubscribe(io, connection, kind, &name);
        }
    }
}

/// Brings up to date what others see of a connection's subscriptions.
fn note_counts(connection: &Connection) {
    let count = |kind| connection.session.subscriptions.as_ref().map_or(0, |those| those.count(kind));
    let record = &connection.record;
    record.channels.store(count(Kind::Channel), Relaxed);
    record.patterns.store(count(Kind::Pattern), Relaxed);
    record.shard_channels.store(count(Kind::ShardChannel), Relaxed);
}
