//! A connection begins and ends to track keys: in what it knows itself, in what others see of it, and in the tables of all
//! threads.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use crate::connection::token::Token;
use crate::connection::tracking::{Early, Mode, Prefix, Tracking};
use crate::connection::transaction::Transaction;
use crate::connection::Connection;
use crate::shared::pubsub::trackers::{Invalidated, Keys, Receiver, Receivers};
use crate::shared::pubsub::Post;
use crate::thread::IoThread;

use super::own_command::changes_tracking;

/// What CLIENT TRACKING ON asks for.
#[derive(Default)]
pub struct Wanted<'a> {
    pub mode: Mode,
    pub no_loop: bool,
    /// The client that gets the invalidations, where it is another one than this.
    pub redirect: Option<(u64, Token)>,
    pub prefixes: Vec<&'a [u8]>,
}

/// A connection tracks from now on, or does so in another way; prefixes come on top of those that it has.
pub fn track(io: &mut IoThread, connection: &mut Connection, wanted: &Wanted<'_>) {
    let is_broadcast = wanted.mode == Mode::Broadcast;
    let mut tracking = connection.session.tracking.take().unwrap_or_else(|| {
        io.shared.world.tracking.begin(is_broadcast);
        Box::new(Tracking::default())
    });
    tracking.mode = wanted.mode;
    tracking.no_loop = wanted.no_loop;
    tracking.redirect = wanted.redirect.map_or(0, |(id, _)| id);
    if is_broadcast {
        let all_keys: &[&[u8]] = &[&[]];
        let prefixes = if wanted.prefixes.is_empty() { all_keys } else { &wanted.prefixes };
        tracking.prefixes.extend(prefixes.iter().map(|&prefix| Prefix::from(prefix)));
    }
    let receiver = Receiver {
        client: connection.token,
        to: wanted.redirect.map_or(connection.token, |(_, token)| token),
        redirect: tracking.redirect,
        by_prefix: is_broadcast,
        no_loop: wanted.no_loop,
    };
    io.shared.pubsub.trackers.set(receiver, tracking.prefixes.iter());
    let record = &connection.record.tracking;
    record.is_on.store(true, Relaxed);
    record.is_broadcast.store(is_broadcast, Relaxed);
    record.is_broken.store(false, Relaxed);
    record.redirect.store(tracking.redirect, Relaxed);
    record.hears.store(true, Relaxed);
    record.set_tracks(tracking.tracks());
    connection.session.tracking = Some(tracking);
}

/// A transaction leaves for another thread that may have its connection begin to track, which happens here when it is back. From now
/// on what it reads is remembered, and what changes of that is kept for it.
pub fn expect_tracking(io: &IoThread, connection: &mut Connection, transaction: &Transaction) {
    if transaction.multi.commands.iter().any(|queued| changes_tracking(queued.command)) {
        io.shared.world.tracking.begin(false);
        connection.wait.early = Some(Box::default());
    }
}

/// The transaction is over: the connection tracks by now, if it has asked for that. What was kept goes to whoever is told.
pub fn tell_early(io: &IoThread, connection: &Connection, early: Early) {
    if let (Some(tracking), Some(keys)) = (&connection.session.tracking, early.take()) {
        let other = io.shared.clients.get(tracking.redirect).filter(|_| tracking.redirect != 0);
        let receiver = Receiver {
            client: connection.token,
            to: other.map_or(connection.token, |(_, token)| token),
            redirect: tracking.redirect,
            by_prefix: tracking.is_broadcast(),
            no_loop: false,
        };
        let keys = keys.map(|keys| Arc::new(Keys::new(keys.into_iter().map(|key| (key, 0)).collect())));
        let told = Invalidated { keys, to: Receivers::These(vec![receiver]), cause: None };
        io.shared.pubsub.post(usize::from(receiver.to.io_thread), Post::Invalidated(vec![told]));
    }
    io.shared.world.tracking.end(false);
}

/// A connection tracks no longer, if it did. What the shards remember of it is passed over when it comes up.
pub fn track_no_longer(io: &mut IoThread, connection: &mut Connection) {
    let Some(tracking) = connection.session.tracking.take() else { return };
    io.shared.pubsub.trackers.remove(connection.token, tracking.prefixes.iter());
    io.shared.world.tracking.end(tracking.is_broadcast());
    let record = Arc::clone(&connection.record);
    record.tracking.is_on.store(false, Relaxed);
    record.tracking.is_broadcast.store(false, Relaxed);
    record.tracking.is_broken.store(false, Relaxed);
    record.tracking.redirect.store(0, Relaxed);
    record.tracking.set_tracks(Default::default());
}
