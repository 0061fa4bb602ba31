//! What a panic costs: within a command one client its connection, in a thread that the server needs the process.
//!
//! The hook belongs to the process and may end it, so each case runs in a process of its own: this program again, with one test
//! that does nothing but when it is told to.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::Arc;

use sherd_ioth::observe::log::{Level, Log};
use sherd_ioth::observe::panics::report_to;
use sherd_types::invariant::{answer_for_panics, contain};

const CASE: &str = "SHERD_TEST_PANIC";

/// Runs a case of [`in_another_process`].
fn outcome_of(case: &str) -> (Output, String) {
    let program = std::env::current_exe().expect("this program has a name");
    let mut child = Command::new(program);
    child.args(["in_another_process", "--exact", "--nocapture"]).env(CASE, case);
    let output = child.output().expect("it can be started");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
}

#[test]
fn in_another_process() {
    let Ok(case) = std::env::var(CASE) else { return };
    let log = Arc::new(Log::new(Box::new(|| ())));
    report_to(&log);
    let name = if case == "thread" || case == "command" { "sherd-test" } else { "another" };
    let vital = case == "vital";
    let thread = std::thread::Builder::new().name(name.to_owned());
    let thread = match case.as_str() {
        "command" => thread.spawn(|| assert!(contain(|| panic!("it is broken")).is_err())),
        _ => thread.spawn(move || {
            if vital {
                answer_for_panics();
            }
            panic!("it is broken")
        }),
    };
    let joined = thread.expect("a thread can be started").join();
    assert_eq!(joined.is_ok(), case == "command");
    let told = log.drain(10).iter().filter(|record| record.level == Level::Critical).count();
    assert_eq!(told, usize::from(case == "command"));
}

#[test]
fn a_contained_panic_is_logged_and_costs_no_thread() {
    let (output, told) = outcome_of("command");
    assert!(output.status.success(), "{told}");
}

#[test]
fn any_other_panic_of_a_thread_that_the_server_needs_ends_the_process_with_a_report() {
    for case in ["thread", "vital"] {
        let (output, told) = outcome_of(case);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{told}");
        assert!(told.contains("SHERD CRASH REPORT") && told.contains("it is broken"), "{told}");
        assert!(told.contains("panics.rs"), "it says where: {told}");
    }
}

#[test]
fn a_panic_in_a_thread_of_somebody_else_is_theirs() {
    let (output, told) = outcome_of("python");
    assert!(output.status.success(), "{told}");
}
