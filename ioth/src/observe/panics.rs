//! What happens when something that cannot happen does.
//!
//! A panic in a command is logged with a backtrace and answered; the server goes on. Any other panic in a thread that the server
//! needs ends the process with a crash report: see [`sherd_types::invariant`]. The hook is the process's, so it reports to every
//! server's log that is still there.

use std::backtrace::Backtrace;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use sherd_types::invariant;

use crate::observe::log::{Level, Log};

static LOGS: Mutex<Vec<Weak<Log>>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// Makes panics of the data plane's threads appear in a log.
pub fn report_to(log: &Arc<Log>) {
    let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
    logs.retain(|log| log.strong_count() > 0);
    logs.push(Arc::downgrade(log));
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
            let what = message(info);
            match (invariant::is_contained(), invariant::is_vital()) {
                (true, _) => {}
                (false, true) => invariant::broken(&format!("a thread of the server has panicked: {what}"), file, line),
                // One of Python's, where it becomes an exception.
                (false, false) => return previous(info),
            }
            let fields = vec![
                ("where", format!("{file}:{line}")),
                ("what", what),
                ("backtrace", Backtrace::force_capture().to_string()),
            ];
            let logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
            for log in logs.iter().filter_map(Weak::upgrade) {
                log.add(Level::Critical, "a command failed by a mistake in the program", fields.clone());
            }
        }));
    });
}

fn message(info: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
