//! Invalidations on their way to this thread's clients with caches: from its box to the connections' output.
//!
//! A client must not hear that a key has changed before it gets what it has read of it, or it would keep that for good. So
//! what comes while anything is to be answered follows the answer ([`Connection::is_answering`]); told late is no harm, for
//! the answer of whoever hears of the change, and asks, comes later still.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::handler::reply::{Protocol, Reply};

use crate::connection::encoded::Push;
use crate::connection::token::Token;
use crate::connection::Connection;
use crate::shared::pubsub::trackers::{Invalidated, Receiver};
use crate::shared::pubsub::Post;
use crate::thread::IoThread;

use super::output::{hand, hand_later};

/// The channel of invalidations for a client that speaks RESP2.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Tells this thread's clients. `at_work` is the connection that is being worked on.
pub fn deliver(io: &mut IoThread, invalidated: &Invalidated, mut at_work: Option<&mut Connection>) {
    if invalidated.keys.is_none() {
        keep_for_later(io);
        let mut own = io.connections.indexes_where(is_told_itself);
        own.extend(at_work.as_deref().filter(|connection| is_told_itself(connection)).map(|it| it.token.index));
        for index in own {
            give(io, index, at_work.as_deref_mut(), |connection| message(connection, false, None));
        }
    }
    for receiver in invalidated.to.iter() {
        tell(io, receiver, invalidated, at_work.as_deref_mut());
    }
}

/// Notes that all keys may be other ones for connections that may be about to track.
fn keep_for_later(io: &mut IoThread) {
    for index in io.connections.indexes_where(|connection| connection.wait.early.is_some()) {
        let early = io.connections.get_mut(index).and_then(|connection| connection.wait.early.as_mut());
        if let Some(early) = early {
            early.add(None::<std::iter::Empty<&[u8]>>);
        }
    }
}

fn is_told_itself(connection: &Connection) -> bool {
    connection.session.tracking.as_ref().is_some_and(|tracking| tracking.redirect == 0)
}

/// Tells one client of keys, or of all keys.
fn tell(io: &mut IoThread, receiver: &Receiver, told: &Invalidated, mut at_work: Option<&mut Connection>) {
    let keys = told.keys.as_ref();
    let is_redirected = receiver.redirect != 0;
    let found = match at_work.as_deref_mut().filter(|connection| connection.token == receiver.to) {
        Some(connection) => Some(connection),
        None => io.connections.by_token(receiver.to).map(|connection| &mut **connection),
    };
    // A place that was used so often that its number came again has another client.
    let Some(connection) = found.filter(|it| !it.closing && (!is_redirected || it.record.id == receiver.redirect))
    else {
        if is_redirected {
            tell_broken(io, receiver.client, at_work);
        }
        return;
    };
    if !is_redirected {
        // It may track no longer, or in another way than when it has read the key.
        let tracking = connection.session.tracking.as_ref();
        if !tracking.is_some_and(|tracking| tracking.is_broadcast() == receiver.by_prefix && tracking.redirect == 0) {
            if let Some(early) = &mut connection.wait.early {
                early.add(keys.map(|keys| keys.names()));
            }
            return;
        }
    }
    let others = match keys {
        Some(keys) if receiver.no_loop && keys.concern(receiver.client) => {
            match keys.encoded_without(receiver.client) {
                Some(others) => Some(others),
                None => return,
            }
        }
        _ => None,
    };
    let encoded = others.as_deref().or(keys.map(|keys| keys.encoded()));
    if let Some(cause) = told.cause.filter(|cause| connection.outbound.expects_from(cause.shard)) {
        // It is just coming back from there.
        if let Some(bytes) = message(connection, is_redirected, encoded) {
            connection.outbound.push_behind(cause.shard, cause.at, bytes);
        }
        return;
    }
    give(io, receiver.to.index, at_work, |connection| message(connection, is_redirected, encoded));
}

/// The client that a client's invalidations go to has gone, which is told to it.
fn tell_broken(io: &mut IoThread, client: Token, at_work: Option<&mut Connection>) {
    if usize::from(client.io_thread) == io.index {
        note_broken(io, client, at_work);
    } else {
        io.shared.pubsub.post(usize::from(client.io_thread), Post::Broken(client));
    }
}

/// The same, in the client's thread.
pub fn note_broken(io: &mut IoThread, client: Token, mut at_work: Option<&mut Connection>) {
    let found = match at_work.as_deref_mut().filter(|connection| connection.token == client) {
        Some(connection) => Some(connection),
        None => io.connections.by_token(client).map(|connection| &mut **connection),
    };
    let Some(connection) = found else { return };
    let Some(redirect) = connection.session.tracking.as_ref().map(|it| it.redirect).filter(|&id| id != 0) else {
        return;
    };
    connection.record.tracking.is_broken.store(true, Relaxed);
    give(io, client.index, at_work, |connection| {
        connection.session.protocol.is_resp3().then(|| {
            let mut bytes = Vec::new();
            let mut reply = Reply::new(&mut bytes, Protocol::Resp3);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.int(redirect as i64);
            bytes
        })
    });
}

/// An invalidation as a client gets it: a push, or in RESP2 a message if it listens to any; for all keys without `keys`.
fn message(connection: &Connection, is_redirected: bool, keys: Option<&[u8]>) -> Option<Vec<u8>> {
    let protocol = connection.session.protocol;
    if !protocol.is_resp3() && (!is_redirected || connection.session.subscriptions.is_none()) {
        return None;
    }
    let mut bytes = Vec::with_capacity(64 + keys.map_or(0, <[u8]>::len));
    let mut reply = Reply::new(&mut bytes, protocol);
    if protocol.is_resp3() {
        reply.push(2);
        reply.bulk(b"invalidate");
    } else {
        reply.push(3);
        reply.bulk(b"message");
        reply.bulk(CHANNEL);
    }
    match keys {
        Some(keys) => reply.raw(keys),
        None => reply.null(),
    }
    Some(bytes)
}

/// Puts what `message` makes, if anything, into the output of a connection.
fn give(
    io: &mut IoThread,
    index: u32,
    at_work: Option<&mut Connection>,
    message: impl FnOnce(&Connection) -> Option<Vec<u8>>,
) {
    if let Some(connection) = at_work.filter(|connection| connection.token.index == index) {
        if let Some(bytes) = message(connection) {
            connection.outbound.push_later(&bytes);
        }
        return;
    }
    let IoThread { subscribers, connections, shared, index: thread, .. } = io;
    let Some(connection) = connections.get_mut(index) else { return };
    let Some(bytes) = message(connection) else { return };
    if connection.is_answering() {
        hand_later(shared, &shared.io[*thread], connection, &bytes);
        if connection.closing {
            connections.make_ready(index);
        }
    } else {
        hand(shared, &shared.io[*thread], &mut subscribers.fed, connection, Push::of(&bytes));
    }
}
