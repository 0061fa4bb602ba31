//! Transactions with commands of both planes.
//!
//! A data command must see what a control command before it has done, and the reverse: INFO after SET counts the key.
//! Such a transaction goes up as one request, and the control plane's thread executes all of it: it takes the batons of
//! all shards, executes data commands itself until the next control command, has that one's handler run, and goes on. So
//! nothing that holds a shard waits for another thread, others see all of the transaction or nothing, and what a handler
//! asks of the shards it asks of those that its own thread holds.
//!
//! Commands that concern the connection belong to its IO thread, which executes them when the rest comes back; only SELECT
//! takes effect in between, since other commands depend on it.
//!
//! Rejected: having the IO thread hold the shards and wait for the control plane, which may just then wait for a shard;
//! and executing in pieces without the batons in between, which others would see.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::memory;
use sherd_shards::access::Shards;
use sherd_shards::context::Client;
use sherd_shards::engine::{Engine, Hold};
use sherd_shards::error::CommandError;
use sherd_shards::evict;
use sherd_shards::execute::{self, Call, Counts, Done, INTERNAL_ERROR};
use sherd_shards::registry::{self, Command};
use sherd_shards::reply::Reply;
use sherd_shards::spec::{flag, Plane};

use crate::commands::selects;
use crate::connection::{Connection, Multi, QueuedCommand, ReplyMode, Waiting, Watch};
use crate::control::{control_request, count, tell};
use crate::dispatch::{advance_reply_mode, Dispatch};
use crate::io_thread::IoThread;
use crate::shared::{ControlRequest, Message, Shared, Token};
use crate::transaction::{has_changed, EXEC_OUT_OF_MEMORY};

/// A transaction on its way to the control plane.
pub struct Exec {
    multi: Box<Multi>,
    watch: Option<Box<Watch>>,
}

/// A transaction on its way back.
pub struct Executed {
    replies: Vec<u8>,
    /// Commands for the IO thread, with the places of their replies.
    left: Vec<(usize, &'static Command, Vec<Vec<u8>>)>,
    db: u16,
    panicked: bool,
}

impl ControlRequest {
    /// The transaction's commands of the control plane, as requests; `None` if the request is no transaction.
    pub fn queued_requests(&self) -> Option<Vec<ControlRequest>> {
        let exec = self.exec.as_ref()?;
        let mut db = self.db;
        let requests = exec.multi.commands.iter().filter_map(|queued| {
            if queued.command.spec.name == "select" {
                // One that will be refused changes nothing; here it matters to nobody.
                db = std::str::from_utf8(&queued.args[1]).ok().and_then(|text| text.parse().ok()).unwrap_or(db);
            }
            matches!(queued.command.spec.plane, Plane::Control).then(|| ControlRequest {
                token: self.token,
                args: queued.args.clone(),
                command: queued.command,
                tick: self.tick,
                socket: None,
                record: Arc::clone(&self.record),
                db,
                resp3: self.resp3,
                in_multi: true,
                exec: None,
            })
        });
        Some(requests.collect())
    }
}

/// A transaction that is being executed, by the thread that began it.
pub struct Running {
    shared: Arc<Shared>,
    held: Hold<Arc<Engine>>,
    /// The time that all commands of the transaction see.
    now_ms: i64,
    /// The command that comes next; beyond the last one when the transaction is over.
    next: usize,
    executed: Executed,
    /// When the control command was handed out that is being executed, and what this thread had allocated by then.
    handed_out: (u64, i64),
}

impl Running {
    /// Takes all shards, and executes up to the first control command if the transaction may be executed at all.
    pub fn begin(shared: &Arc<Shared>, request: &ControlRequest) -> Running {
        let engine = Arc::clone(&shared.engine);
        let all = engine.all_shards();
        let mut running = Running {
            shared: Arc::clone(shared),
            held: Engine::hold(engine, all),
            // Waiting for the shards may have taken long.
            now_ms: shared.world.now_milliseconds(),
            next: 0,
            executed: Executed { replies: Vec::new(), left: Vec::new(), db: request.db, panicked: false },
            handed_out: (0, 0),
        };
        match &request.exec {
            Some(exec) if running.may_begin(exec, request.resp3) => running.go_on(exec, request),
            _ => running.next = usize::MAX,
        }
        running
    }

    /// Whether a control command comes next, whose answer is waited for.
    pub fn wants_answer(&self, request: &ControlRequest) -> bool {
        request.exec.as_ref().is_some_and(|exec| self.next < exec.multi.commands.len())
    }

    /// Takes the answer of the control command that came next, and executes up to the one after it.
    pub fn answer(&mut self, request: &ControlRequest, data: &[u8]) {
        let Some(exec) = &request.exec else { return };
        let Some(queued) = exec.multi.commands.get(self.next) else { return };
        let (tick, bytes) = self.handed_out;
        self.held.discount_since(bytes);
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        count(&self.shared, &request.record, queued.command, &args, tick, data);
        self.show(queued, request);
        let replies = &mut self.executed.replies;
        self.held.uncounted(|| replies.extend_from_slice(data));
        self.next += 1;
        self.go_on(exec, request);
    }

    /// Lets go of the shards and gives the transaction back to its IO thread.
    pub fn end(mut self, request: &ControlRequest) {
        if self.wants_answer(request) {
            self.fail(request.resp3);
        }
        let Running { shared, mut held, mut executed, .. } = self;
        let connection = request.token;
        // The buffer has grown while commands were executed; what it takes is not the shards'.
        let replies = held.uncounted(|| executed.replies.clone());
        executed.replies = replies;
        drop(held);
        shared.show_if_monitored(&request.record, executed.db, request.command, &request.args);
        tell(&shared, connection, Message::Executed { connection, executed: Box::new(executed) });
    }

    /// The client is told in place of all replies, and his connection ends.
    fn fail(&mut self, resp3: bool) {
        let Executed { replies, left, panicked, .. } = &mut self.executed;
        replies.clear();
        left.clear();
        *panicked = true;
        Reply::new(replies, resp3).error(&INTERNAL_ERROR);
    }

    /// The time that all commands of the transaction see.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The shards, for what a handler asks of them.
    pub fn shards(&mut self) -> Shards<'_> {
        self.held.shards()
    }

    /// Whether these are the shards of that engine.
    pub fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    fn may_begin(&mut self, exec: &Exec, resp3: bool) -> bool {
        let world = Arc::clone(&self.shared.world);
        let mut shards = self.held.shards();
        let mut reply = Reply::new(&mut self.executed.replies, resp3);
        // Room is made before the watches are looked at, for an evicted key has changed.
        if exec.multi.commands.iter().any(|queued| queued.command.spec.has(flag::DENYOOM))
            && !evict::has_room(&mut shards, &world)
        {
            reply.error(&EXEC_OUT_OF_MEMORY);
            self.shared.control.error_replies.increment();
            world.logs.count_error(EXEC_OUT_OF_MEMORY.0.as_bytes());
            return false;
        }
        if exec.watch.as_ref().is_some_and(|watch| has_changed(watch, &mut shards, &world, self.now_ms)) {
            reply.null_array();
            return false;
        }
        reply.array(exec.multi.commands.len());
        true
    }

    /// Executes commands until one of the control plane comes.
    fn go_on(&mut self, exec: &Exec, request: &ControlRequest) {
        while let Some(queued) = exec.multi.commands.get(self.next) {
            match queued.command.spec.plane {
                Plane::Control => {
                    self.held.publish();
                    self.handed_out = (clock::ticks(), memory::thread_bytes());
                    return;
                }
                Plane::Data(_) => self.run(queued, request),
                Plane::Connection(_) => match selects(&self.shared, queued.command, &queued.args) {
                    Some(selected) => self.select(selected, queued, request),
                    None => self.leave(queued),
                },
                Plane::Container => {}
            }
            self.show(queued, request);
            self.next = if self.executed.panicked { usize::MAX } else { self.next + 1 };
        }
    }

    /// Executes SELECT, which those behind it depend on.
    fn select(&mut self, selected: Result<u16, CommandError>, queued: &QueuedCommand, request: &ControlRequest) {
        let start = self.executed.replies.len();
        let mut reply = Reply::new(&mut self.executed.replies, request.resp3);
        match selected {
            Ok(db) => {
                self.executed.db = db;
                reply.ok();
            }
            Err(error) => reply.error(&error),
        }
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        let answer = &self.executed.replies[start..];
        count(&self.shared, &request.record, queued.command, &args, clock::ticks(), answer);
    }

    fn show(&self, queued: &QueuedCommand, request: &ControlRequest) {
        self.shared.show_if_monitored(&request.record, self.executed.db, queued.command, &queued.args);
    }

    fn leave(&mut self, queued: &QueuedCommand) {
        let Executed { replies, left, .. } = &mut self.executed;
        self.held.uncounted(|| left.push((replies.len(), queued.command, queued.args.clone())));
    }

    /// Executes a data command.
    fn run(&mut self, queued: &QueuedCommand, request: &ControlRequest) {
        let world = Arc::clone(&self.shared.world);
        let (record, resp3) = (&request.record, request.resp3);
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        let call = Call {
            command: queued.command,
            args: &args,
            first_key: (0, 0),
            client: Client {
                db: self.executed.db,
                resp3,
                no_touch: record.no_touch.load(Relaxed),
                record: Some(record),
            },
            now_ms: self.now_ms,
            in_transaction: true,
        };
        let out = &mut self.executed.replies;
        let start = out.len();
        let tick = clock::ticks();
        let mut shards = self.held.shards();
        let result = catch_unwind(AssertUnwindSafe(|| execute::call(shards.reborrow(), &world, &call, out)));
        let stats = Arc::clone(&shards.first().stats);
        stats.commands.increment();
        let Ok(failed) = result else {
            stats.panics.increment();
            self.fail(resp3);
            return;
        };
        let reply = &out[start..];
        let counts = Counts { cells: &self.shared.control.cells, stats: &stats, rate: TickRate::get() };
        let (ticks, client) = (clock::ticks().wrapping_sub(tick), call.client.record);
        let done = Done { command: queued.command, args: &args, client, ticks, failed, reply };
        execute::account(&counts, &world, &done);
        record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
    }
}

impl IoThread {
    /// Sends a transaction to the control plane; the connection waits until it was executed.
    pub fn send_exec(&mut self, connection: &mut Connection, args: &[&[u8]]) -> Dispatch {
        let Some(multi) = connection.multi.take() else { return Dispatch::Done };
        let command = registry::table().find(b"exec").expect("EXEC is in the table");
        let mut request = control_request(connection, command, args.iter().map(|arg| arg.to_vec()).collect());
        let watch = connection.watch.take();
        request.exec = Some(Box::new(Exec { multi, watch }));
        if let Err(request) = self.shared.inbox.send(request) {
            if let Some(Exec { multi, watch }) = request.exec.map(|exec| *exec) {
                connection.multi = Some(multi);
                connection.watch = watch;
            }
            return self.hold_back(connection, command);
        }
        connection.waiting = Waiting::Exec;
        Dispatch::Wait
    }

    /// Takes a transaction back, executes what was left of it, and answers.
    pub fn take_executed(&mut self, token: Token, executed: Executed) {
        if self.connections.by_token(token).is_none() {
            // The client has gone.
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        if connection.waiting != Waiting::Exec {
            self.connections.put_back(connection);
            return;
        }
        connection.waiting = Waiting::Nothing;
        connection.db = executed.db;
        connection.record.db.store(u32::from(executed.db), Relaxed);
        let start = connection.out.len();
        let mut copied = 0;
        for (place, command, args) in &executed.left {
            connection.out.extend_from_slice(&executed.replies[copied..*place]);
            copied = *place;
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            if let Plane::Connection(number) = command.spec.plane {
                self.run_connection_command(&mut connection, command, number, &args);
            }
        }
        connection.out.extend_from_slice(&executed.replies[copied..]);
        if connection.reply_mode != ReplyMode::On {
            connection.out.truncate(start);
        }
        connection.discard();
        connection.close_after_reply |= executed.panicked;
        advance_reply_mode(&mut connection);
        self.ready_again(&mut connection);
        self.settle(connection);
    }
}
