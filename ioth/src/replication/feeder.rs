//! The thread that feeds replicas: it alone touches their sockets, and sends to all of them from the one backlog.
//!
//! It starts with the first replica, and sleeps in a poll over their sockets and a bell. The journal rings when there is more,
//! the control plane when a replica joins or its snapshot is there.
//!
//! A replica that is online and leaves more unread than its output limit is cut; it may come back and go on in the backlog. One
//! that is being sent its snapshot, or what was written since, is not: it would begin again, and never be quicker. Writers wait
//! for it instead, when it is too far behind ([`crate::followers::backlog`]). If its snapshot is being taken at the same time
//! ([`crate::followers::transfer`]), all that share it are as slow as the slowest, which is cut if it takes nothing at all.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use sherd_shards::server::settings::{ClientClass, OutputLimit};
use sherd_shards::threads;

use crate::observe::log::Level;
use crate::shared::Shared;

use crate::followers::backlog::Backlog;
use crate::followers::replica::{Gone, Phase, Replica};
use crate::followers::replicas::{Order, Replicas};

/// Times between two looks at timeouts and limits.
const TICK_MS: i64 = 1000;

/// Starts the thread of a server.
pub fn start(shared: Weak<Shared>, replicas: Arc<Replicas>) -> io::Result<()> {
    let feeder = Feeder { shared, replicas, links: HashMap::new(), ticked_ms: 0 };
    threads::start("sherd-replicas", move || feeder.run()).map(drop)
}

/// The thread's own state.
struct Feeder {
    shared: Weak<Shared>,
    replicas: Arc<Replicas>,
    links: HashMap<u64, Box<Replica>>,
    ticked_ms: i64,
}

impl Feeder {
    fn run(mut self) {
        loop {
            let Some(shared) = self.shared.upgrade() else { return };
            if shared.stopping.load(Ordering::SeqCst) {
                return;
            }
            let now_ms = shared.world.monotonic_milliseconds();
            self.take_orders(&shared, now_ms);
            let more = self.feed(&shared, now_ms);
            if now_ms - self.ticked_ms >= TICK_MS {
                self.ticked_ms = now_ms;
                self.tick(&shared, now_ms);
            }
            drop(shared);
            if more {
                // Threads that answer clients may wait for this processor.
                threads::give_way();
            } else {
                self.sleep();
            }
        }
    }

    /// Sleeps until the bell rings, a socket can do more, or it is time to tick.
    fn sleep(&mut self) {
        // What came before that is seen here; who comes later rings.
        let has_orders = self.replicas.fall_asleep();
        let backlog = &self.replicas.backlog;
        let has_more = self.links.values().any(|link| link.has_more(backlog));
        if !has_orders && !has_more {
            let bell = self.replicas.bell();
            let mut ids = Vec::with_capacity(self.links.len());
            let mut polled = vec![PollFd::new(&*bell, PollFlags::IN)];
            for (id, link) in &self.links {
                let wanted = if link.is_blocked { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
                polled.push(PollFd::new(&link.socket, wanted));
                ids.push(*id);
            }
            let tick = Timespec { tv_sec: TICK_MS / 1000, tv_nsec: 0 };
            // Without links there is nothing to tick for.
            let _ = poll(&mut polled, (!ids.is_empty()).then_some(&tick));
            let ready: Vec<(u64, PollFlags)> =
                ids.into_iter().zip(&polled[1..]).map(|(id, polled)| (id, polled.revents())).collect();
            drop(polled);
            for (id, flags) in ready {
                let Some(link) = self.links.get_mut(&id) else { continue };
                link.is_blocked &= !flags.contains(PollFlags::OUT);
                link.is_readable |= flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
            }
        }
        self.replicas.wake_up();
    }

    fn take_orders(&mut self, shared: &Shared, now_ms: i64) {
        for order in self.replicas.take_orders() {
            match order {
                Order::Attach(replica) => {
                    self.links.insert(replica.id(), replica);
                    shared.count_good_replicas();
                }
                Order::Say(ids, text) => self.each(&ids, |link, _| link.say(&text)),
                Order::Snapshot(ids, file, length) => {
                    self.each(&ids, |link, _| link.send_snapshot(Arc::clone(&file), length));
                }
                Order::Transfer(readers) => {
                    for reader in readers {
                        match self.links.get_mut(&reader.id) {
                            Some(link) => link.send_transfer(reader),
                            // As in `each`.
                            None => self.replicas.backlog.remove_reader(reader.id),
                        }
                    }
                }
                Order::Cut(ids, reason) => {
                    for id in ids {
                        // What it was told last may say more.
                        if let Some(link) = self.links.get_mut(&id) {
                            let _ = link.pump(&self.replicas.backlog, now_ms);
                        }
                        self.end(shared, id, &Gone::Failed(reason.clone()));
                        self.replicas.forget(id);
                    }
                }
                Order::CutAll(reason) => {
                    for id in self.links.keys().copied().collect::<Vec<_>>() {
                        self.end(shared, id, &Gone::Failed(reason.clone()));
                    }
                }
            }
        }
    }

    fn each(&mut self, ids: &[u64], mut work: impl FnMut(&mut Replica, &Backlog)) {
        for id in ids {
            match self.links.get_mut(id) {
                Some(link) => work(link, &self.replicas.backlog),
                // It has gone before its snapshot had begun, which made it a reader all the same.
                None => self.replicas.backlog.remove_reader(*id),
            }
        }
    }

    /// Receives from and sends to all that are ready; true if there is more to do at once.
    fn feed(&mut self, shared: &Shared, now_ms: i64) -> bool {
        let mut gone = Vec::new();
        let (mut more, mut has_news) = (false, false);
        let replicas = Arc::clone(&self.replicas);
        for (id, link) in &mut self.links {
            let before = (link.view.phase(), link.view.record.output_bytes.load(Ordering::Relaxed));
            let mut result = Ok(false);
            if std::mem::take(&mut link.is_readable) {
                result = link
                    .receive(&replicas.backlog, now_ms)
                    .map(|acknowledged| has_news |= acknowledged)
                    .map(|()| false);
            }
            let result = result.and_then(|_| link.pump(&replicas.backlog, now_ms));
            let sent = link.view.record.output_bytes.load(Ordering::Relaxed) - before.1;
            replicas.output_bytes.fetch_add(sent, Ordering::Relaxed);
            has_news |= link.view.phase() != before.0;
            match result {
                Ok(goes_on) => more |= goes_on,
                Err(reason) => gone.push((*id, reason)),
            }
        }
        for (id, reason) in gone {
            self.end(shared, id, &reason);
        }
        if has_news {
            shared.count_good_replicas();
            self.replicas.tell_news();
        }
        more
    }

    fn end(&mut self, shared: &Shared, id: u64, reason: &Gone) {
        let Some(link) = self.links.remove(&id) else { return };
        self.replicas.forget(id);
        shared.clients.remove(id);
        let text = match reason {
            Gone::Closed => "it has closed the link",
            Gone::Failed(reason) => reason,
        };
        let fields = vec![("replica", link.view.record.address.clone()), ("reason", text.to_owned())];
        shared.log.add(Level::Notice, "a replica has gone", fields);
        shared.count_good_replicas();
        self.replicas.tell_news();
    }

    /// Looks at timeouts, limits, and clients that were killed.
    fn tick(&mut self, shared: &Shared, now_ms: i64) {
        let mut gone = Vec::new();
        for (id, link) in &mut self.links {
            link.keep_alive();
            if let Some(reason) = why_cut(shared, link, &self.replicas.backlog, now_ms) {
                gone.push((*id, Gone::Failed(reason.to_owned())));
            }
        }
        for (id, reason) in gone {
            self.end(shared, id, &reason);
        }
        shared.count_good_replicas();
    }
}

/// Whether a link is to end, and why.
fn why_cut(shared: &Shared, link: &mut Replica, backlog: &Backlog, now_ms: i64) -> Option<&'static str> {
    let settings = &shared.world.settings;
    if link.view.record.killed.load(Ordering::Relaxed) {
        return Some("CLIENT KILL has ended it");
    }
    let mut timeout_ms = settings.repl_timeout.get().saturating_mul(1000);
    if link.holds_others_up() {
        // They get nothing meanwhile, and would give up at the same time as this one is.
        timeout_ms = timeout_ms / 4 * 3;
    }
    let silent_ms = match link.view.phase() {
        // It may have to wait for others, or for the snapshot.
        Phase::Transfer if !link.is_blocked => 0,
        Phase::Waiting => 0,
        Phase::Transfer | Phase::Snapshot => now_ms - link.moved_ms,
        Phase::Loading | Phase::Online => now_ms - link.view.acknowledged_ms.load(Ordering::Relaxed),
    };
    if silent_ms > timeout_ms {
        return Some("it has been silent for too long");
    }
    if link.view.phase() != Phase::Online || link.is_catching_up {
        return None;
    }
    let behind = backlog.behind(link.id());
    let OutputLimit { hard_bytes, soft_bytes, soft_ms } = settings.output_limit(ClientClass::Replica);
    if hard_bytes > 0 && behind > hard_bytes as u64 {
        return Some("it is too far behind");
    }
    if soft_bytes == 0 || behind <= soft_bytes as u64 {
        link.over_soft_limit_since_ms = None;
        return None;
    }
    let over_ms = now_ms - *link.over_soft_limit_since_ms.get_or_insert(now_ms);
    (over_ms > soft_ms).then_some("it has been far behind for too long")
}
