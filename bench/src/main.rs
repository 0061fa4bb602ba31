//! `sherd-load`: a load generator for servers that speak the Redis protocol. Prints one JSON object.
//!
//! # Layout
//!
//! - [`options`]: the command line, checked once, into one plain struct
//! - [`command`]: command templates into wire bytes with holes for random numbers
//! - [`batch`]: a pipeline of commands that is built once and patched in place before every send
//! - [`reply`]: a RESP scanner that counts replies and keeps nothing
//! - [`poller`]: epoll with nanosecond timeouts
//! - [`stream`]: a socket, or TLS over it
//! - [`connection`]: one stream, what it still has to send and what it waits for
//! - [`schedule`]: when the next batch is due, in open loop
//! - [`time_slice`]: how soon a probe runs when it wakes
//! - [`worker`]: one thread: its connections, its loop, its histogram
//! - [`report`]: the sum of the workers, as JSON
//!
//! # Design
//!
//! A load generator that shares a small machine with the server must cost far less than the server, else it measures
//! itself. So there is no async runtime, no allocation a request and no parsing beyond counting: commands are encoded
//! once, and a send patches the digits of the keys into the prepared bytes.
//!
//! Two ways to load. Closed loop: every connection sends the next batch when the last one is answered; that finds the
//! highest throughput, but its latencies hide the requests that a stalled server kept from being sent (coordinated
//! omission). Open loop (`--rate`): batches are due at fixed times, and latency counts from the time a batch was due,
//! sent or not.
//!
//! redis-benchmark and memtier were rejected as the project's generator: the one has no open loop and spends several
//! times as much CPU a request, the other needs a build of its own; neither tells errors from answers in its output.

mod batch;
mod command;
mod connection;
mod options;
mod poller;
mod reply;
mod report;
mod schedule;
mod stream;
// The server's own file: one text for one system call, without building all of the server for it.
#[path = "../../ioth/src/kernel/schedule.rs"]
mod time_slice;
mod worker;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// Set by SIGINT and SIGTERM: the workers stop at the next poll and the report is printed as usual.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn request_stop(_signal: libc::c_int) {
    // Relaxed: the flag carries no other data; a late look costs one more poll.
    STOP.store(true, Ordering::Relaxed);
}

fn install_stop_signals() {
    let handler = request_stop as extern "C" fn(libc::c_int);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler does one atomic store, which is async-signal-safe.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options::Parsed::Run(options)) => options,
        Ok(options::Parsed::Help) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("sherd-load: {message}");
            return ExitCode::from(2);
        }
    };
    install_stop_signals();
    match run(*options) {
        Ok(summary) => {
            println!("{}", summary.to_json());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("sherd-load: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Connects everything first, so that no connection set-up falls into the measured time.
fn run(options: options::Options) -> Result<report::Summary, String> {
    let workers = (0..options.threads)
        .map(|index| worker::Worker::connect(&options, index))
        .collect::<Result<Vec<_>, String>>()?;
    let start_line = Arc::new(Barrier::new(options.threads + 1));
    let handles: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            let start_line = Arc::clone(&start_line);
            std::thread::spawn(move || {
                start_line.wait();
                worker.run(&STOP)
            })
        })
        .collect();
    let cpu_before = report::process_cpu_micros();
    start_line.wait();
    let started = Instant::now();
    let mut outcomes = Vec::with_capacity(handles.len());
    for handle in handles {
        outcomes.push(handle.join().map_err(|_| "a worker thread panicked".to_string())??);
    }
    let elapsed = started.elapsed();
    let cpu_micros = report::process_cpu_micros() - cpu_before;
    Ok(report::Summary::new(&options, outcomes, elapsed, cpu_micros))
}
