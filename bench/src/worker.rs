//! One generator thread: its connections, its loop, its histogram. Workers share nothing but the stop flag.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::batch::Batches;
use crate::connection::Connection;
use crate::options::Options;
use crate::poller::{self, Poller};
use crate::reply::Counts;
use crate::schedule::Schedule;
use crate::{stream, time_slice};

/// A whole pipeline of usual replies in one read; longer ones take several.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// The longest sleep, so that the stop flag is seen even when nothing happens.
const POLL_MAX: Duration = Duration::from_millis(50);
/// Different error texts kept for the report.
const ERROR_TEXTS_MAX: usize = 5;
/// Latencies are kept in nanoseconds up to an hour with three significant digits.
const LATENCY_MAX_NANOS: u64 = 3_600_000_000_000;

/// What a worker measured.
pub struct Outcome {
    pub replies: u64,
    pub errors: u64,
    pub nulls: u64,
    pub error_texts: Vec<String>,
    pub latency_nanos: Histogram<u64>,
    /// Open loop: how late batches were sent, because no connection was free or this thread was busy.
    pub send_delay_nanos: Histogram<u64>,
}

pub struct Worker {
    connections: Vec<Connection>,
    /// Connections without a batch under way, longest idle first.
    idle: VecDeque<usize>,
    poller: Poller,
    batches: Batches,
    schedule: Schedule,
    pipeline: u64,
    /// Requests left to send; rounded up to whole batches.
    quota: u64,
    deadline_nanos: u64,
    timeout: Duration,
    time_slice: Option<Duration>,
    in_flight_batches: usize,
    outcome: Outcome,
    /// Reset when the loop starts.
    started: Instant,
}

impl Worker {
    pub fn connect(options: &Options, index: usize) -> Result<Worker, String> {
        let poller = Poller::new().map_err(|error| format!("epoll: {error}"))?;
        let client_count = share(options.clients as u64, options.threads, index) as usize;
        let encryption = options.tls_authorities.as_deref().map(stream::trusting).transpose()?;
        let mut connections = Vec::with_capacity(client_count);
        for token in 0..client_count {
            let connection = Connection::open(options, encryption.as_ref())?;
            poller.add(connection.descriptor(), token).map_err(|error| format!("epoll: {error}"))?;
            connections.push(connection);
        }
        let requests = options.requests.unwrap_or(u64::MAX / 2);
        let first_request: u64 = (0..index).map(|other| share(requests, options.threads, other)).sum();
        let rate = options.rate.map(|rate| rate * client_count as f64 / options.clients as f64);
        Ok(Worker {
            idle: (0..connections.len()).collect(),
            connections,
            poller,
            batches: Batches::new(options, index, first_request),
            schedule: Schedule::new(rate, options.pipeline),
            pipeline: options.pipeline as u64,
            quota: share(requests, options.threads, index),
            deadline_nanos: options.duration.map_or(u64::MAX, |duration| duration.as_nanos() as u64),
            timeout: options.timeout,
            time_slice: options.time_slice,
            in_flight_batches: 0,
            outcome: Outcome {
                replies: 0,
                errors: 0,
                nulls: 0,
                error_texts: Vec::new(),
                latency_nanos: new_histogram(),
                send_delay_nanos: new_histogram(),
            },
            started: Instant::now(),
        })
    }

    pub fn run(mut self, stop: &AtomicBool) -> Result<Outcome, String> {
        poller::sharpen_timers();
        if let Some(slice) = self.time_slice {
            time_slice::set_time_slice(slice);
        }
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        self.started = Instant::now();
        let mut last_progress = Instant::now();
        loop {
            // Relaxed: see the flag's own comment.
            if stop.load(Ordering::Relaxed) {
                self.deadline_nanos = self.deadline_nanos.min(self.now_nanos());
            }
            self.issue()?;
            if self.in_flight_batches == 0 && self.is_finished() {
                return Ok(self.outcome);
            }
            let timeout = self.poll_timeout();
            let count = self.poller.wait(timeout).map_err(|error| format!("epoll: {error}"))?;
            if count > 0 || self.in_flight_batches == 0 {
                last_progress = Instant::now();
            } else if last_progress.elapsed() > self.timeout {
                return Err(format!("no reply for {} seconds", self.timeout.as_secs_f64()));
            }
            for index in 0..count {
                let ready = self.poller.ready(index);
                if ready.writable {
                    self.flush(ready.token)?;
                }
                if ready.readable {
                    self.take_replies(ready.token, &mut buffer)?;
                }
            }
        }
    }

    fn now_nanos(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Whatever was due before the deadline is still sent: leaving it out would hide a stall at the end of a run.
    fn is_finished(&self) -> bool {
        self.quota == 0 || self.schedule.due(self.now_nanos()) >= self.deadline_nanos
    }

    /// Starts a batch on every idle connection for which one is due.
    fn issue(&mut self) -> Result<(), String> {
        while self.quota > 0 && !self.idle.is_empty() {
            let now = self.now_nanos();
            let due = self.schedule.due(now);
            if due > now || due >= self.deadline_nanos {
                break;
            }
            let Some(token) = self.idle.pop_front() else {
                break;
            };
            self.schedule.advance();
            if self.schedule.is_open() {
                self.outcome.send_delay_nanos.saturating_record(now - due);
            }
            let connection = &mut self.connections[token];
            connection
                .send(self.batches.next(), self.pipeline, due)
                .map_err(|error| format!("sending failed: {error}"))?;
            self.quota = self.quota.saturating_sub(self.pipeline);
            self.in_flight_batches += 1;
            if connection.has_unsent() {
                self.want_writable(token, true)?;
            }
        }
        Ok(())
    }

    fn take_replies(&mut self, token: usize, buffer: &mut [u8]) -> Result<(), String> {
        let mut counts = Counts::default();
        let connection = &mut self.connections[token];
        let was_in_flight = connection.in_flight > 0;
        connection.receive(buffer, &mut counts)?;
        let (is_done, started) = (was_in_flight && connection.in_flight == 0, connection.started_nanos);
        let latency = self.now_nanos().saturating_sub(started);
        self.outcome.latency_nanos.saturating_record_n(latency, counts.replies);
        self.add_counts(counts);
        if is_done {
            self.in_flight_batches -= 1;
            self.idle.push_back(token);
            self.issue()?;
        }
        Ok(())
    }

    fn add_counts(&mut self, counts: Counts) {
        self.outcome.replies += counts.replies;
        self.outcome.errors += counts.errors;
        self.outcome.nulls += counts.nulls;
        if let Some(text) = counts.error_text {
            if self.outcome.error_texts.len() < ERROR_TEXTS_MAX && !self.outcome.error_texts.contains(&text) {
                self.outcome.error_texts.push(text);
            }
        }
    }

    fn flush(&mut self, token: usize) -> Result<(), String> {
        let connection = &mut self.connections[token];
        if !connection.has_unsent() {
            return Ok(());
        }
        connection.send_rest().map_err(|error| format!("sending failed: {error}"))?;
        if !connection.has_unsent() {
            self.want_writable(token, false)?;
        }
        Ok(())
    }

    fn want_writable(&self, token: usize, wanted: bool) -> Result<(), String> {
        let descriptor = self.connections[token].descriptor();
        self.poller.want_writable(descriptor, token, wanted).map_err(|error| format!("epoll: {error}"))
    }

    fn poll_timeout(&self) -> Duration {
        if self.quota == 0 || self.idle.is_empty() || !self.schedule.is_open() {
            return POLL_MAX;
        }
        let now = self.now_nanos();
        POLL_MAX.min(Duration::from_nanos(self.schedule.due(now).saturating_sub(now)))
    }
}

/// The part of `total` that falls to worker `index`; the parts add up to `total`.
fn share(total: u64, workers: usize, index: usize) -> u64 {
    total / workers as u64 + u64::from((index as u64) < total % workers as u64)
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NANOS, 3).expect("the bounds are constants that the histogram accepts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_the_workers_add_up_to_the_total() {
        for (total, workers) in [(10, 3), (50, 2), (1, 4), (u64::MAX / 2, 7)] {
            let sum: u64 = (0..workers).map(|index| share(total, workers, index)).sum();
            assert_eq!(sum, total);
        }
    }
}
