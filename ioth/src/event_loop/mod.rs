//! An IO thread's loop: what happens at its sockets and in its mailbox.
//!
//! A round: poll; take what has come from outside; read and parse every ready connection, grouping its commands by
//! shard; submit one batch a shard; send the replies of what was executed,
//! and, by turns, the messages that subscribers were given. While it sleeps, a thread lets go of its state, so that others may deliver
//! messages in its place ([`crate::thread::neighbours`]). Polling is edge-triggered, so a connection
//! costs no system call besides its read and its write; what may have more to read stays in the list of ready connections.

pub mod accept;
mod tick;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard};

use sherd_metrics::clock::{self, TickRate};

use crate::connection::wait::WaitsFor;
use crate::replication::join::join;
use crate::request::blocked::ended::{answer_ended, end, unblock_for};
use crate::request::blocked::wait::abandon_wait;
use crate::request::blocked::wake::{end_all_waits, end_overdue_waits, wake_client};
use crate::request::control::control_reply;
use crate::request::deliver::complete;
use crate::request::durable::release_durable;
use crate::request::extension::take_replies;
use crate::request::intake::process;
use crate::request::lost_rights::look_after_change;
use crate::request::monitor::feed_monitors;
use crate::request::multi::exec::take_executed;
use crate::request::over_shards::take_performed;
use crate::request::paused::release_deferred;
use crate::request::publish::{send_fed, take_posts, tell_others};
use crate::request::quiet::share;
use crate::request::settle::{close, keep_or_settle};
use crate::shared::message::Message;
use crate::thread::neighbours::lock;
use crate::thread::poller::{Event, Events, Poller};
use crate::thread::ticks::QUIET_TICK_MS;
use crate::thread::IoThread;
use sherd_shards::handler::scripting;

use accept::{accept, add_connection, renew_listeners, watch_listeners};

/// Messages taken from the mailbox in one round.
const MESSAGES: usize = 1024;
/// Connections that are sent messages in one round: some fifty microseconds. What is published meanwhile goes with what the others are
/// sent: of 100 subscribers and one message at a time, `bench/run.py --suite messages` told 1.29 us of CPU for each with 64 on one
/// day, and 0.40 with 32 on the next.
const SENDS_A_ROUND: usize = 32;
/// How long replies are flushed when the server stops, and how often that is looked at.
const STOP_MS_MAX: i64 = 500;
const STOP_POLL_MS: i64 = 10;

/// Gets a thread ready for its loop.
pub fn prepare(io: &IoThread) -> std::io::Result<()> {
    if io.index == 0 {
        watch_listeners(&io.poller, &io.shared)?;
    }
    Ok(())
}

/// Runs until the server stops.
pub fn run(thread: &Mutex<IoThread>) {
    scripting::announce_connections();
    let mut events = Events::new();
    let mut io = lock(thread);
    let poller = Arc::clone(&io.poller);
    loop {
        io = poll(thread, io, &poller, &mut events);
        if !round(&mut io, &events) {
            return;
        }
    }
}

/// A round, after its poll; whether another one follows.
fn round(io: &mut IoThread, events: &Events) -> bool {
    let start = clock::ticks();
    io.clock.read(&io.shared.world);
    take_events(io, events);
    take_messages(io);
    end_overdue_waits(io);
    work(io);
    tick_in_time(io, !events.is_empty());
    io.stats().busy_nanoseconds.add(TickRate::get().nanoseconds(clock::ticks().wrapping_sub(start)));
    !io.shared.stopping.load(SeqCst) || !has_stopped(io)
}

/// Polls; without the thread's state where that may take long.
fn poll<'a>(
    thread: &'a Mutex<IoThread>,
    mut io: MutexGuard<'a, IoThread>,
    poller: &Poller,
    events: &mut Events,
) -> MutexGuard<'a, IoThread> {
    if has_work(&io) || !io.shared.mailboxes[io.index].fall_asleep() {
        poller.wait(events, 0);
    } else {
        let until_ms = io.ticks.next_ms.min(io.deadlines.next_ms().unwrap_or(i64::MAX));
        let at_most_ms = (until_ms - io.clock.now_ms).clamp(1, QUIET_TICK_MS);
        drop(io);
        poller.wait(events, at_most_ms);
        io = lock(thread);
        io.shared.mailboxes[io.index].wake_up();
    }
    io.stats().polls.increment();
    io
}

/// Whether the thread has something to do though nothing happens.
fn has_work(io: &IoThread) -> bool {
    io.connections.any_ready() || !io.subscribers.fed.is_empty()
}

fn take_events(io: &mut IoThread, events: &Events) {
    for event in events.iter() {
        match event {
            Event::Bell => {}
            Event::Listener(id) => {
                accept(io, id);
            }
            Event::Connection(index, flags) => {
                let Some(connection) = io.connections.get_mut(index) else { continue };
                connection.transport.note_events(flags);
                io.connections.make_ready(index);
            }
        }
    }
}

fn take_messages(io: &mut IoThread) {
    for _ in 0..MESSAGES {
        let Some(message) = io.shared.mailboxes[io.index].receive() else { return };
        match message {
            Message::Batch(batch) => {
                io.batches.note_return(batch.shard);
                complete(io, batch);
            }
            Message::Reply { connection, data, sent, close } => control_reply(io, connection, data, sent, close),
            Message::Called { connection, data, sent, ticket, is_all, untaken } => {
                take_replies(io, connection, (data, sent), ticket, (is_all, &untaken))
            }
            Message::Executed { connection, executed } => take_executed(io, connection, *executed),
            Message::Performed { connection, performed } => take_performed(io, connection, *performed),
            Message::Accept(socket, peer) => add_connection(io, socket, *peer),
            Message::WakeClient(wake) => wake_client(io, wake),
            Message::Unblock { connection, with_error, asked_by } => unblock_for(io, connection, with_error, asked_by),
            Message::WaitEnded { connection, how } => answer_ended(io, connection, how),
            Message::EndWaits => end_all_waits(io),
            Message::Join(joining) => join(io, *joining),
            // The share is let go of behind that.
            Message::Kill(token, _share) => end(io, token),
            Message::Monitor(line) => feed_monitors(io, &line),
            Message::Posts => take_posts(io, None),
            Message::Journal => release_durable(io),
            Message::UsersChanged => look_after_change(io),
            Message::ActedOn(number) => io.shared.act_on(io.index, number),
            Message::Share(quiet) => share(io, &quiet),
            Message::Wake => {
                release_deferred(io, true);
                renew_listeners(io);
            }
        }
    }
}

/// Processes the ready connections and submits what they brought.
fn work(io: &mut IoThread) {
    io.handshakes_left = io.shared.world.settings.max_new_tls_connections_per_cycle.size();
    // Connections that become ready meanwhile wait for the next round, after a poll: nobody is starved.
    let ready = io.connections.take_ready();
    for &index in &ready {
        let Some(mut connection) = io.connections.take(index) else { continue };
        connection.is_ready = false;
        io.clock.read_if_old(&io.shared.world);
        process(io, &mut connection);
        keep_or_settle(io, connection);
        if io.untold.is_for_many() {
            tell_others(io);
        }
        for shard in 0..io.batches.shards() {
            if io.batches.is_large(shard) {
                submit(io, shard);
            }
        }
    }
    io.connections.return_list(ready);
    for shard in 0..io.batches.shards() {
        submit(io, shard);
        // What will take long is left to the shard's own thread: this one has connections with work for other shards.
        if let Some(batch) = io.batches.take_heavy(shard) {
            io.shared.engine.leave_to_thread(batch);
        }
    }
    // What was executed here may have raised events for subscribers of this thread.
    take_posts(io, None);
    send_fed(io, SENDS_A_ROUND);
    tell_others(io);
}

/// Submits what was gathered for a shard.
fn submit(io: &mut IoThread, shard: usize) {
    let Some(batch) = io.batches.take(shard) else { return };
    let engine = Arc::clone(&io.shared.engine);
    if let Some(batch) = engine.submit(batch) {
        io.batches.note_return(shard);
        complete(io, batch);
    }
}

/// Ticks if it is time to.
fn tick_in_time(io: &mut IoThread, has_events: bool) {
    let now_ms = io.clock.now_ms;
    if has_events || io.connections.any_ready() || !io.deferred.connections.is_empty() {
        io.ticks.note_activity(now_ms);
    }
    if io.ticks.take_due(now_ms) {
        tick::tick(io);
    }
}

/// Whether everything is done that was begun before the server was told to stop: replies are flushed, or half a
/// second has passed.
fn has_stopped(io: &mut IoThread) -> bool {
    let since_ms = *io.stopping_since_ms.get_or_insert(io.clock.now_ms);
    let mut busy = io.batches.in_flight();
    for index in io.connections.indexes() {
        let Some(mut connection) = io.connections.take(index) else { continue };
        let idle = connection.has_nothing_out() && abandon_wait(io, &mut connection);
        if idle && connection.unsent() == 0 && connection.wait.reason == WaitsFor::Nothing {
            close(io, connection);
        } else {
            busy += 1;
            io.connections.put_back(connection);
        }
    }
    io.ticks.next_ms = io.clock.now_ms + STOP_POLL_MS;
    busy == 0 || io.clock.now_ms - since_ms > STOP_MS_MAX
}

#[cfg(test)]
mod neighbour_tests;
#[cfg(test)]
mod tests;
