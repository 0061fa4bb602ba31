//! The watch over commands of extensions that take too long: their clients get an error at the deadline, the log a line, and the
//! shards are let go of when the command ends. Python cannot be broken off from outside in a way that leaves what it was doing
//! whole, so that is not tried.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use sherd_shards::threads;

use crate::observe::log::Level;
use crate::shared::extensions::deadline::Overdue;
use crate::shared::Shared;

use super::unrung::Unrung;

/// Begins the watch, which ends with the server.
pub fn begin(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    threads::start("sherd-deadlines", move || watch(&shared)).map(drop)
}

fn watch(shared: &Shared) {
    let deadlines = &shared.extensions.deadlines;
    let mut seen = 0;
    while !shared.stopping.load(SeqCst) {
        let timeout_ms = shared.world.settings.python_command_timeout_ms.get();
        if timeout_ms > 0 {
            for overdue in deadlines.overdue(shared.world.monotonic_milliseconds(), timeout_ms) {
                tell(shared, overdue, timeout_ms);
            }
        }
        deadlines.sleep(shared.world.monotonic_milliseconds(), timeout_ms, &mut seen);
    }
}

fn tell(shared: &Shared, Overdue { name, answer }: Overdue, timeout_ms: i64) {
    let fields = vec![("command", name), ("timeout_ms", timeout_ms.to_string())];
    shared.log.add(Level::Warning, "a Python command is beyond its deadline and holds its shards", fields);
    if let Some(early) = answer {
        super::answer(shared, early, &mut Unrung::new(&shared.mailboxes));
    }
}
