//! What a thread of the extensions does: it takes requests, calls their functions, answers.
//!
//! It has the interpreter's lock from one wait for requests to the next, and waits for shards without it. Data commands are
//! executed with the lock: to let go of it for each would cost more than most of them, and whoever got it meanwhile would keep
//! the shards from everybody.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use sherd_ioth::connection::calls::{Calls, CommandLine, CALLS_REPLY_BYTES_MAX};
use sherd_ioth::extensions::execution::CalledBy;
use sherd_ioth::extensions::unrung::Unrung;
use sherd_ioth::extensions::{answer, dismiss};
use sherd_ioth::observe::log::Level;
use sherd_ioth::protocol::request::borrowed;
use sherd_ioth::request::control::count;
use sherd_ioth::shared::access::log::Setting;
use sherd_ioth::shared::extensions::deadline::{overdue_error, Recipient, Slot};
use sherd_ioth::shared::extensions::work::{Task, Work};
use sherd_ioth::shared::message::ControlRequest;
use sherd_ioth::shared::Shared;
use sherd_metrics::clock;
use sherd_shards::command::registry::Command;
use sherd_shards::handler::error::{CommandError, CROSS_SLOT};
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::journal::{resp, Ticket};
use sherd_shards::keyspace::events::Event;
use sherd_shards::server::pause::Condition;
use sherd_types::invariant::answer_for_panics;

use crate::held;

use super::call::{self, Call, NotBegun};
use super::{values, Entry, Extensions, Functions};

/// Requests that are taken at once where there is one thread. Several take one each: what a thread has taken waits for what it
/// executes, however many others sleep.
const SHARE_MAX: usize = 64;
/// Bytes of an exception's text that a client gets.
const EXCEPTION_BYTES_MAX: usize = 512;

/// A thread, and what it works with.
struct Runner<'a> {
    shared: &'a Arc<Shared>,
    extensions: &'a Extensions,
    functions: Arc<Functions>,
    slot: Arc<Slot>,
    /// The journal's segment that the command executed last is in.
    ticket: Cell<Ticket>,
    /// IO threads that are to be woken for what this one has answered.
    unrung: RefCell<Unrung<'a>>,
}

/// One line to be executed.
struct Line<'a> {
    name: &'a str,
    /// As it was found when the request came, and looked at; `None` for jobs and hooks.
    command: Option<&'static Command>,
    args: &'a [&'a [u8]],
    event: Option<&'a Event>,
    by: CalledBy,
    protocol: Protocol,
    in_transaction: bool,
}

/// Why there is no value.
enum Failure {
    /// The client's mistake, or the server's state.
    Refused(CommandError),
    /// What Python has raised.
    Raised(PyErr),
    /// It waits for the end of a pause.
    PutOff,
}

impl From<NotBegun> for Failure {
    fn from(reason: NotBegun) -> Failure {
        match reason {
            NotBegun::Refused(error) => Failure::Refused(error),
            NotBegun::PutOff => Failure::PutOff,
        }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Failure {
        Failure::Raised(error)
    }
}

/// Executes requests until the server stops; one of `threads` that do.
pub fn run(py: Python<'_>, shared: &Arc<Shared>, extensions: &Extensions, threads: usize) {
    let Some(functions) = extensions.functions() else { return };
    // Without it nobody would answer for what it has taken, nor for what comes after that.
    answer_for_panics();
    let slot = shared.extensions.deadlines.enter();
    let unrung = RefCell::new(Unrung::new(&shared.mailboxes));
    let mut runner = Runner { shared, extensions, functions, slot, ticket: Cell::new(0), unrung };
    let share = if threads > 1 { 1 } else { SHARE_MAX };
    loop {
        let work = py.detach(|| shared.extensions.work.take(share));
        if work.is_empty() {
            break;
        }
        shared.extensions.deadlines.note_work();
        if let Some(functions) = extensions.functions() {
            runner.functions = functions;
        }
        let mut work = work.into_iter();
        while let Some(next) = work.next() {
            if shared.extensions.work.is_stopping() {
                dismiss(shared, std::iter::once(next).chain(work).collect());
                break;
            }
            match next {
                Work::Calls(calls) => runner.run_calls(py, *calls),
                Work::Exec(request) => runner.run_exec(py, &request),
                Work::Task(task) => runner.run_task(py, task),
            }
        }
        runner.unrung.borrow_mut().ring();
    }
    dismiss(shared, shared.extensions.work.drain());
    shared.extensions.deadlines.leave(&runner.slot);
}

/// Executes the command that comes next in the transaction that this thread has begun, and returns its reply.
pub fn run_in_exec(py: Python<'_>, shared: &Arc<Shared>, extensions: &Extensions, request: &ControlRequest) -> Vec<u8> {
    let mut reply = Vec::new();
    if let Some(functions) = extensions.functions() {
        let unrung = RefCell::new(Unrung::new(&shared.mailboxes));
        let runner = Runner { shared, extensions, functions, slot: Arc::default(), ticket: Cell::new(0), unrung };
        runner.run_queued(py, request.command, request, &mut reply);
    }
    reply
}

/// Commands as their client has sent them.
fn as_requests(lines: &[CommandLine]) -> Box<[u8]> {
    let mut bytes = Vec::new();
    lines.iter().for_each(|line| resp::append(&mut bytes, &borrowed(&line.args)));
    bytes.into_boxed_slice()
}

impl Runner<'_> {
    fn run_calls(&self, py: Python<'_>, calls: Calls) {
        let Calls { token, record, db, protocol, tracks, lent, lines } = calls;
        self.slot.begin(Recipient { token, lent, protocol });
        let mut reply = Vec::new();
        let mut untaken: &[CommandLine] = &[];
        for (number, line) in lines.iter().enumerate() {
            let tick = clock::ticks();
            let (name, args) = (line.command.spec.name, borrowed(&line.args));
            let now_ms = self.shared.world.monotonic_milliseconds();
            self.slot.start(name, number + 1 == lines.len(), now_ms);
            reply.clear();
            self.ticket.set(0);
            let by = CalledBy { db, record: Some(Arc::clone(&record)), tracks };
            let entry = self.functions.commands.get(&line.command.id);
            self.unrung.borrow_mut().ring_before(entry.map_or(0, Entry::expected_nanoseconds));
            let command = Some(line.command);
            let called = Line { name, command, args: &args, event: None, by, protocol, in_transaction: false };
            self.run_line(py, entry, &called, &mut reply);
            entry.inspect(|entry| entry.note_ticks(clock::ticks().wrapping_sub(tick)));
            // Counted before anybody can know that it was executed.
            count(self.shared, &record, line.command, &args, tick, &reply);
            if self.slot.end(&mut reply, self.ticket.get()) {
                self.tell_end(name, now_ms);
            }
            let bytes = self.slot.bytes();
            if bytes > record.reply_bytes_max(&self.shared.world.settings) {
                record.dropped_reply_bytes.store(bytes, Relaxed);
            }
            if record.dropped_reply_bytes.load(Relaxed) > 0 {
                // Its connection ends, and nothing more is executed for it.
                break;
            }
            if bytes >= CALLS_REPLY_BYTES_MAX {
                untaken = &lines[number + 1..];
                break;
            }
        }
        if let Some(mut rest) = self.slot.finish() {
            rest.untaken = as_requests(untaken);
            answer(self.shared, rest, &mut self.unrung.borrow_mut());
        }
    }

    /// Says that a command has ended which was beyond its deadline.
    #[cold]
    fn tell_end(&self, name: &str, since_ms: i64) {
        let took_ms = self.shared.world.monotonic_milliseconds() - since_ms;
        let fields = vec![("command", name.to_owned()), ("took_ms", took_ms.to_string())];
        self.shared.log.add(Level::Warning, "a Python command that was beyond its deadline has ended", fields);
    }

    /// Executes a transaction whose other commands are the data plane's.
    fn run_exec(&self, py: Python<'_>, request: &ControlRequest) {
        self.unrung.borrow_mut().ring();
        let mut more = py.detach(|| held::begin(self.shared, request, None)) == Some(true);
        let mut reply = Vec::new();
        while more {
            let Some(command) = held::with_running(|running| running.next().map(|queued| queued.command)) else {
                break;
            };
            let now_ms = self.shared.world.monotonic_milliseconds();
            self.slot.start(command.spec.name, true, now_ms);
            reply.clear();
            let protocol = self.run_queued(py, command, request, &mut reply);
            if self.slot.end(&mut Vec::new(), 0) {
                self.tell_end(command.spec.name, now_ms);
                reply.clear();
                let timeout_ms = self.shared.world.settings.python_command_timeout_ms.get();
                Reply::new(&mut reply, protocol).error(&overdue_error(command.spec.name, timeout_ms));
            }
            // What follows in the transaction may be a script that waits for another thread of Python's.
            more = py.detach(|| held::answer(request, &reply));
        }
        py.detach(|| held::end(request));
    }

    /// Executes the queued command that comes next in this thread's transaction; returns the protocol of its reply.
    fn run_queued(
        &self,
        py: Python<'_>,
        command: &'static Command,
        request: &ControlRequest,
        reply: &mut Vec<u8>,
    ) -> Protocol {
        let next = held::with_running(|running| {
            let state = running.state();
            running.next().map(|queued| (queued.args.clone(), state))
        });
        let Some((args, (db, protocol, tracks))) = next else { return Protocol::default() };
        let args = borrowed(&args);
        let by = CalledBy { db, record: Some(Arc::clone(&request.record)), tracks };
        let entry = self.functions.commands.get(&command.id);
        let name = command.spec.name;
        let line = Line { name, command: Some(command), args: &args, event: None, by, protocol, in_transaction: true };
        self.run_line(py, entry, &line, reply);
        protocol
    }

    fn run_task(&self, py: Python<'_>, task: Box<Task>) {
        self.unrung.borrow_mut().ring();
        if let Some(entry) = self.functions.tasks.get(&task.id).filter(|_| !self.is_following()) {
            let now_ms = self.shared.world.monotonic_milliseconds();
            self.slot.start(&entry.name, true, now_ms);
            let event = task.event.as_ref();
            let by = CalledBy { db: event.map_or(0, |event| event.db), ..CalledBy::default() };
            let (name, protocol) = (&entry.name, Protocol::Resp3);
            let line = Line { name, command: None, args: &[], event, by, protocol, in_transaction: false };
            let outcome = self.invoke(py, entry, &line);
            if self.slot.end(&mut Vec::new(), 0) {
                self.tell_end(&entry.name, now_ms);
            }
            match outcome {
                Ok(_) => {}
                Err(Failure::PutOff) => return self.shared.extensions.put_off(task),
                Err(failure) => self.tell_failure(py, &line, failure),
            }
        }
        match task.event {
            Some(_) => self.shared.extensions.hooks.taken(),
            None => self.extensions.end_job(task.id),
        }
    }

    /// Whether the data are another server's, or are not there yet: jobs and hooks belong to who has them.
    fn is_following(&self) -> bool {
        let pause = &self.shared.world.pause;
        pause.is(Condition::Follows) || pause.is(Condition::Loading)
    }

    /// Nobody waits for what a job or a hook returns: what it raises is logged.
    #[cold]
    fn tell_failure(&self, py: Python<'_>, line: &Line<'_>, failure: Failure) {
        match failure {
            Failure::Raised(error) => self.log_raised(py, line, &error),
            Failure::Refused(error) => {
                let fields = vec![("name", line.name.to_owned()), ("reason", error.0.into_owned())];
                self.shared.log.add(Level::Warning, "a job or a hook was not executed", fields);
            }
            Failure::PutOff => {}
        }
    }

    fn run_line(&self, py: Python<'_>, entry: Option<&Entry>, line: &Line<'_>, out: &mut Vec<u8>) {
        let settings = &self.shared.world.settings;
        let bytes_max = line.by.record.as_ref().map_or(usize::MAX, |record| record.reply_bytes_max(settings));
        let mut reply = Reply::bounded(out, line.protocol, bytes_max);
        // Loading again may have changed what the command takes, or taken it away, since the request came.
        let Some(entry) = entry else {
            return reply.error(&CommandError::with(format!("ERR unknown command '{}'", line.name)));
        };
        if let (Some(own), Some(found)) = (entry.command, line.command) {
            if !own.spec.accepts(line.args.len()) {
                return reply.error(&CommandError::arity(line.name));
            }
            // Rights, pauses, shards: all of that was asked for what it was.
            if !own.is_called_like(found) {
                let text = format!("TRYAGAIN '{}' was loaded again with other keys or flags. Try again", line.name);
                return reply.error(&CommandError::with(text));
            }
        }
        let written = self
            .invoke(py, entry, line)
            .and_then(|value| values::write(&self.functions.types, &value, &mut reply).map_err(Failure::Raised));
        match written {
            Ok(()) => {}
            Err(Failure::Refused(error)) => reply.replace_by_error(&error),
            Err(Failure::PutOff) => unreachable!("what a client has sent is not put off here"),
            Err(Failure::Raised(error)) => reply.replace_by_error(&self.error_of(py, line, &error)),
        }
        if let (true, Some(record)) = (reply.is_dropped(), &line.by.record) {
            record.dropped_reply_bytes.store(reply.end_dropped(), Relaxed);
        }
    }

    /// Calls a function with its shards held.
    fn invoke<'py>(&self, py: Python<'py>, entry: &Entry, line: &Line<'_>) -> Result<Bound<'py, PyAny>, Failure> {
        let payload = match line.event {
            None => PyList::new(py, line.args.iter().skip(1).map(|arg| PyBytes::new(py, arg)))?,
            Some(event) => {
                let payload = PyList::empty(py);
                payload.append(event.name)?;
                payload.append(PyBytes::new(py, &event.key))?;
                payload.append(event.db)?;
                payload
            }
        };
        let reach = entry.reach(py, line.args, &payload, line.event)?;
        if let (true, Some(command), Some(record)) = (entry.finds_keys(), entry.command, &line.by.record) {
            let setting = if line.in_transaction { Setting::Multi } else { Setting::TopLevel };
            let allowed = reach.is_allowed(self.shared, record, (command, line.args), (line.by.db, setting));
            allowed.map_err(Failure::Refused)?;
        }
        if self.shared.cluster && !reach.is_in_one_slot() {
            return Err(Failure::Refused(CROSS_SLOT));
        }
        let begun = call::begin(py, self.shared, entry, reach, line.by.clone(), line.in_transaction);
        let call = Bound::new(py, Call::new(&self.functions, entry, &line.by, begun?, line.in_transaction));
        let value = call.and_then(|call| entry.invoke.bind(py).call1((call, payload)));
        self.ticket.set(call::end());
        Ok(value?)
    }

    /// What a client is told of an exception: an error that the command has raised as such, else what it was, and the log has the
    /// rest.
    #[cold]
    fn error_of(&self, py: Python<'_>, line: &Line<'_>, error: &PyErr) -> CommandError {
        let value = error.value(py);
        let text = value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
        if value.is_instance(self.functions.types.command_error.bind(py)).unwrap_or(false) {
            return CommandError::with(text);
        }
        self.log_raised(py, line, error);
        let kind = value.get_type().name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut text = format!("ERR {} failed: {kind}: {text}", line.name);
        if text.len() > EXCEPTION_BYTES_MAX {
            let end = (0..=EXCEPTION_BYTES_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
            text.truncate(end);
        }
        CommandError::with(text)
    }

    #[cold]
    fn log_raised(&self, py: Python<'_>, line: &Line<'_>, error: &PyErr) {
        let Some(untold) = self.shared.extensions.may_log_failure(self.shared.world.monotonic_milliseconds()) else {
            return;
        };
        let client = line.by.record.as_ref().map_or("", |record| record.address.as_str());
        // With its traceback, which the value alone has not got before Python 3.12.
        let raised = error.clone_ref(py).into_value(py);
        if let Err(error) = self.functions.failed.call1(py, (line.name, client, raised, untold)) {
            error.write_unraisable(py, None);
        }
    }
}
