//! Broken invariants end the process.
//!
//! A handler that panics is one client's misfortune: it is answered, logged and counted. A table, ring or baton whose
//! state contradicts itself is everybody's: serving from it would give wrong answers or lose data, so the process writes
//! a crash report to standard error and ends.

use std::backtrace::Backtrace;

/// Writes a crash report and ends the process.
#[cold]
#[inline(never)]
pub fn broken(what: &str, file: &str, line: u32) -> ! {
    let thread = std::thread::current();
    let report = format!(
        "\n=== SHERD CRASH REPORT ===\n\
         A broken invariant was found; the process ends, because going on could corrupt data.\n\
         what:    {what}\n\
         where:   {file}:{line}\n\
         thread:  {}\n\
         version: {}\n\
         pid:     {}\n\
         backtrace:\n{}\n\
         === END OF REPORT === Please report this with the lines above.\n",
        thread.name().unwrap_or("?"),
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        Backtrace::force_capture(),
    );
    use std::io::Write;
    // Nobody is left to tell if standard error is gone.
    let _ = std::io::stderr().write_all(report.as_bytes());
    std::process::abort();
}

/// Ends the process with a crash report unless the condition holds.
#[macro_export]
macro_rules! invariant {
    ($holds:expr, $what:expr) => {
        if !$holds {
            $crate::invariant::broken($what, file!(), line!());
        }
    };
}
