//! Connections that are held back: by CLIENT PAUSE, or because the control plane's inbox is full.
//!
//! What is held back stays in the read buffer and is parsed again when its connection is released. A client that goes away
//! or is killed meanwhile has asked for nothing.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::registry::Command;
use sherd_shards::spec::{flag, Plane};

use crate::commands;
use crate::connection::{Connection, Multi};
use crate::shared::Token;
use crate::thread::IoThread;

/// A CLIENT PAUSE that has not begun yet.
pub struct AskedPause {
    pub timeout_ms: i64,
    pub writes_only: bool,
}

/// Flags of commands that CLIENT PAUSE WRITE holds back, whoever executes them.
const MAY_WRITE: u32 = flag::WRITE | flag::MAY_REPLICATE;

impl IoThread {
    /// Begins the pauses that the command just executed has asked for: a transaction is over by then, all of it.
    #[inline]
    pub fn begin_pauses(&mut self) {
        if self.asked_pauses.is_empty() {
            return;
        }
        let now_ms = self.shared.world.monotonic_milliseconds();
        for pause in self.asked_pauses.drain(..) {
            self.shared.world.pause.start(now_ms.saturating_add(pause.timeout_ms), pause.writes_only, now_ms);
        }
    }

    /// Whether CLIENT PAUSE holds a command back now. A command that is queued by MULTI counts as if it were executed.
    pub fn is_paused(&self, connection: &Connection, command: &Command) -> bool {
        let writes = command.spec.has(MAY_WRITE)
            || matches!(command.spec.plane, Plane::Connection(number) if commands::is_exec(number))
                && connection.multi.as_ref().is_some_and(|multi| !multi.aborted && may_write(multi));
        self.pauses(writes)
    }

    fn pauses(&self, may_write: bool) -> bool {
        self.shared.world.pause.get(self.now_ms).is_some_and(|(_, writes_only)| may_write || !writes_only)
    }

    /// Whether the command of a client that waits for a key must not be run again now; it is when the pause is over.
    pub fn postpones(&mut self, token: Token, command: &Command) -> bool {
        let postpones = self.pauses(command.spec.has(MAY_WRITE));
        if postpones {
            self.postponed.push(token);
        }
        postpones
    }

    /// Holds a connection back for a pause.
    #[cold]
    pub fn hold_for_pause(&mut self, connection: &mut Connection, command: &Command) {
        let record = &connection.record;
        record.paused.store(true, Relaxed);
        record.last_command.store(command.id as u32, Relaxed);
        self.stats().paused.increment();
        connection.closing |= connection.peer_closed;
        self.hold(connection);
        self.look_when_pause_ends();
    }

    /// Takes nothing more from a connection until [`IoThread::release_held_back`].
    pub fn hold(&mut self, connection: &mut Connection) {
        connection.held = true;
        self.held_back.push(connection.token);
    }

    /// The connection is not held back any more, or goes away.
    pub fn unhold(&self, connection: &mut Connection) {
        connection.held = false;
        if connection.record.paused.swap(false, Relaxed) {
            self.stats().paused.subtract(1);
        }
    }

    fn look_when_pause_ends(&mut self) {
        if let Some((until_ms, _)) = self.shared.world.pause.get(self.now_ms) {
            self.next_tick_ms = self.next_tick_ms.min(until_ms);
        }
    }

    /// Lets those go on that were held back: all of them, or those who do not wait for the end of a pause that is on.
    pub fn release_held_back(&mut self, all: bool) {
        self.shared.world.pause.forget_if_over(self.now_ms);
        let stays_paused = !all && self.pauses(true);
        for token in std::mem::take(&mut self.held_back) {
            if self.connections.by_token(token).is_none() {
                continue;
            }
            let Some(mut connection) = self.connections.take(token.index) else { continue };
            let is_released = !stays_paused || !connection.record.paused.load(Relaxed);
            if is_released {
                self.unhold(&mut connection);
            }
            self.connections.put_back(connection);
            if is_released {
                self.make_ready(token.index);
            } else {
                self.held_back.push(token);
            }
        }
        if stays_paused {
            self.look_when_pause_ends();
            return;
        }
        for token in std::mem::take(&mut self.postponed) {
            let waiter = self.connections.by_token(token).and_then(|connection| connection.waiter.clone());
            if let Some(waiter) = waiter {
                self.shared.engine.serve(waiter);
            }
        }
    }
}

/// Whether a queued command may write.
fn may_write(multi: &Multi) -> bool {
    multi.commands.iter().any(|queued| queued.command.spec.has(MAY_WRITE))
}
