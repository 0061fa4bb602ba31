//! Transactions: executed at once, in order, with all shards held that they need.
//!
//! Whoever has the shards executes: the client's IO thread if they are free, else the thread of the one that was busy (an
//! errand), or the control plane's thread where commands of that plane are among them. A data command must see what a control
//! command before it has done, and the reverse: INFO after SET counts the key. So the control plane's thread takes the
//! batons of all shards, executes data commands itself until the next control command, has that one's handler run, and goes on.
//! Nothing that holds a shard waits for another thread, others see all of the transaction or nothing, and what a handler
//! asks of the shards it asks of those that its own thread holds.
//!
//! Commands that concern the connection belong to its IO thread. Where another thread executes the transaction, they follow when
//! the rest comes back; only what other commands depend on takes effect in between: the database of SELECT, the protocol of
//! HELLO.
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
use sherd_shards::errand::Errand;
use sherd_shards::error::CommandError;
use sherd_shards::evict;
use sherd_shards::execute::{self, Call, Counts, Done, INTERNAL_ERROR};
use sherd_shards::origin::Origin;
use sherd_shards::registry::{self, Command};
use sherd_shards::reply::Reply;
use sherd_shards::spec::{flag, Plane};
use sherd_shards::world::World;

use crate::commands::{protocol_after, selects};
use crate::connection::{Connection, Multi, QueuedCommand, ReplyMode, Waiting, Watch};
use crate::request::control::{control_request, count};
use crate::request::dispatch::Dispatch;
use crate::request::over_shards::{has_changed, Caller};
use crate::shared::{ControlRequest, Message, Shared, Token};
use crate::thread::IoThread;

const EXEC_OUT_OF_MEMORY: CommandError = CommandError::new(
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
);

/// A transaction on its way to whoever executes it.
pub struct Exec {
    caller: Caller,
    /// EXEC as it was sent.
    args: Vec<Vec<u8>>,
    multi: Box<Multi>,
    watch: Option<Box<Watch>>,
    /// The shards that it needs, as a bit set.
    needs: u64,
    /// How far it has come, where it is executed as an errand.
    executed: Executed,
}

/// A transaction as far as it was executed, and on its way back.
#[derive(Default)]
pub struct Executed {
    replies: Vec<u8>,
    /// The command that comes next; beyond the last one when the transaction is over.
    next: usize,
    /// Commands for the IO thread, with the places of their replies.
    left: Vec<(usize, &'static Command, Vec<Vec<u8>>)>,
    db: u16,
    resp3: bool,
    /// The time that all its commands see, as in Redis, however long they take.
    now_ms: i64,
    /// Errors that were answered in place of commands.
    refused: Vec<CommandError>,
    panicked: bool,
}

/// Executes a command that concerns the connection, where that is at hand: appends its reply, and returns the database and
/// whether the protocol is RESP3 for the commands after it.
pub type OwnCommand<'a> = &'a mut dyn FnMut(&QueuedCommand, &mut Vec<u8>) -> (u16, bool);

impl Exec {
    /// A transaction of a client.
    pub fn new(caller: Caller, args: &[&[u8]], (multi, watch): (Box<Multi>, Option<Box<Watch>>), needs: u64) -> Exec {
        let executed = Executed { db: caller.db, resp3: caller.resp3, ..Executed::default() };
        Exec { caller, args: args.iter().map(|arg| arg.to_vec()).collect(), multi, watch, needs, executed }
    }

    /// Executes all of it in the client's IO thread; there is no control command in it.
    pub fn run_all(mut self, shards: &mut Shards<'_>, own: OwnCommand<'_>) -> Executed {
        let mut executed = std::mem::take(&mut self.executed);
        self.run_in(shards, &mut executed, Some(own));
        executed
    }

    fn run_in(&self, shards: &mut Shards<'_>, executed: &mut Executed, own: Option<OwnCommand<'_>>) {
        let capacity = executed.replies.capacity();
        if executed.may_begin(self, shards) {
            executed.go_on(self, shards, own);
        }
        shards.first().stats.discount_buffer(capacity, executed.replies.capacity());
    }
}

impl Errand for Exec {
    fn needs(&self) -> u64 {
        self.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, _: &World) {
        let mut executed = std::mem::take(&mut self.executed);
        self.run_in(shards, &mut executed, None);
        self.executed = executed;
    }

    fn panicked(&mut self) {
        self.executed.fail();
    }

    fn end(self: Box<Self>) {
        let command = registry::table().find(b"exec").expect("EXEC is in the table");
        self.caller.show(self.executed.db, command, &self.args);
        self.caller.tell(Message::Executed { connection: self.caller.token, executed: Box::new(self.executed) });
    }
}

impl Executed {
    /// Whether the transaction may be executed at all; if not, it is answered.
    fn may_begin(&mut self, exec: &Exec, shards: &mut Shards<'_>) -> bool {
        let world = &exec.caller.shared.world;
        // Waiting for the shards may have taken long.
        self.now_ms = world.now_milliseconds();
        // Room is made before the watches are looked at, for an evicted key has changed.
        if exec.multi.commands.iter().any(|queued| queued.command.spec.has(flag::DENYOOM))
            && !evict::has_room(shards, world)
        {
            self.refuse(EXEC_OUT_OF_MEMORY);
            return false;
        }
        if exec.watch.as_ref().is_some_and(|watch| has_changed(watch, shards, world, self.now_ms)) {
            Reply::new(&mut self.replies, self.resp3).null_array();
            return false;
        }
        Reply::new(&mut self.replies, self.resp3).array(exec.multi.commands.len());
        true
    }

    /// Executes commands until one of the control plane comes.
    fn go_on(&mut self, exec: &Exec, shards: &mut Shards<'_>, mut own: Option<OwnCommand<'_>>) {
        while let Some(queued) = exec.multi.commands.get(self.next) {
            match queued.command.spec.plane {
                Plane::Control => return,
                Plane::Data(_) => self.run(queued, exec, shards),
                Plane::Connection(_) => match &mut own {
                    Some(own) => (self.db, self.resp3) = own(queued, &mut self.replies),
                    None => self.run_for_connection(queued, exec, shards),
                },
                Plane::Container => {}
            }
            exec.caller.show(self.db, queued.command, &queued.args);
            if self.panicked {
                return;
            }
            self.next += 1;
        }
    }

    /// A command of the connection: left to its IO thread, but for what the commands after it depend on.
    fn run_for_connection(&mut self, queued: &QueuedCommand, exec: &Exec, shards: &mut Shards<'_>) {
        let Some(selected) = selects(&exec.caller.shared, queued.command, &queued.args) else {
            self.left.push((self.replies.len(), queued.command, queued.args.clone()));
            self.resp3 = protocol_after(queued.command, &queued.args).unwrap_or(self.resp3);
            return;
        };
        let (start, tick) = (self.replies.len(), clock::ticks());
        let mut reply = Reply::new(&mut self.replies, self.resp3);
        match selected {
            Ok(db) => {
                self.db = db;
                reply.ok();
            }
            Err(error) => reply.error(&error),
        }
        let failed = reply.failed();
        self.account(queued, exec, shards, (start, tick, failed));
    }

    fn refuse(&mut self, error: CommandError) {
        Reply::new(&mut self.replies, self.resp3).error(&error);
        self.refused.push(error);
    }

    /// The client is told in place of all replies, and its connection ends.
    fn fail(&mut self) {
        self.replies.clear();
        self.left.clear();
        self.panicked = true;
        Reply::new(&mut self.replies, self.resp3).error(&INTERNAL_ERROR);
    }

    /// Executes a data command.
    fn run(&mut self, queued: &QueuedCommand, exec: &Exec, shards: &mut Shards<'_>) {
        let world = &exec.caller.shared.world;
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        let client = Client { db: self.db, resp3: self.resp3, ..exec.caller.client() };
        let call = Call {
            command: queued.command,
            args: &args,
            first_key: (0, 0),
            client,
            now_ms: self.now_ms,
            origin: Origin::Exec,
        };
        let start = self.replies.len();
        let tick = clock::ticks();
        let out = &mut self.replies;
        let result = catch_unwind(AssertUnwindSafe(|| execute::call(shards.reborrow(), world, &call, out)));
        let Ok(failed) = result else {
            shards.first().stats.panics.increment();
            self.fail();
            return;
        };
        self.account(queued, exec, shards, (start, tick, failed));
    }

    /// Counts a command that began at a tick and whose reply begins at `start`.
    fn account(
        &self,
        queued: &QueuedCommand,
        exec: &Exec,
        shards: &mut Shards<'_>,
        (start, tick, failed): (usize, u64, bool),
    ) {
        let record = &exec.caller.record;
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        let first = shards.first();
        first.stats.commands.increment();
        // Counted with the first shard's cells, which are those of whoever holds it.
        let counts = Counts { cells: &first.cells, stats: &first.stats, rate: TickRate::get() };
        let (ticks, reply) = (clock::ticks().wrapping_sub(tick), &self.replies[start..]);
        let done = Done { command: queued.command, args: &args, client: Some(record), ticks, failed, reply };
        execute::account(&counts, &exec.caller.shared.world, &done);
        record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
    }
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

/// A transaction with control commands that is being executed, by the thread that began it.
pub struct Running {
    shared: Arc<Shared>,
    held: Hold<Arc<Engine>>,
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
            executed: Executed { db: request.db, resp3: request.resp3, ..Executed::default() },
            handed_out: (0, 0),
        };
        match &request.exec {
            Some(exec) if running.executed.may_begin(exec, &mut running.held.shards()) => running.go_on(exec),
            _ => running.executed.next = usize::MAX,
        }
        running
    }

    /// Whether a control command comes next, whose answer is waited for.
    pub fn wants_answer(&self, request: &ControlRequest) -> bool {
        let Executed { next, panicked, .. } = &self.executed;
        !panicked && request.exec.as_ref().is_some_and(|exec| *next < exec.multi.commands.len())
    }

    /// Takes the answer of the control command that came next, and executes up to the one after it.
    pub fn answer(&mut self, request: &ControlRequest, data: &[u8]) {
        let Some(exec) = &request.exec else { return };
        let Some(queued) = exec.multi.commands.get(self.executed.next) else { return };
        let (tick, bytes) = self.handed_out;
        self.held.discount_since(bytes);
        let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
        count(&self.shared, &exec.caller.record, queued.command, &args, tick, data);
        exec.caller.show(self.executed.db, queued.command, &queued.args);
        let replies = &mut self.executed.replies;
        self.held.uncounted(|| replies.extend_from_slice(data));
        self.executed.next += 1;
        self.go_on(exec);
    }

    fn go_on(&mut self, exec: &Exec) {
        self.executed.go_on(exec, &mut self.held.shards(), None);
        self.held.publish();
        self.handed_out = (clock::ticks(), memory::thread_bytes());
    }

    /// Lets go of the shards and returns the transaction to its IO thread.
    pub fn end(mut self, request: &ControlRequest) {
        if self.wants_answer(request) {
            self.executed.fail();
        }
        let Running { mut held, mut executed, .. } = self;
        let Some(exec) = &request.exec else { return };
        // The buffer has grown while commands were executed; what it takes is not the shards'.
        let replies = held.uncounted(|| executed.replies.clone());
        executed.replies = replies;
        drop(held);
        exec.caller.show(executed.db, request.command, &request.args);
        exec.caller.tell(Message::Executed { connection: request.token, executed: Box::new(executed) });
    }

    /// The time that all commands of the transaction see.
    pub fn now_ms(&self) -> i64 {
        self.executed.now_ms
    }

    /// The shards, for what a handler asks of them.
    pub fn shards(&mut self) -> Shards<'_> {
        self.held.shards()
    }

    /// Whether these are the shards of that engine.
    pub fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

impl IoThread {
    /// Sends a transaction to the control plane; the connection waits until it was executed.
    pub fn send_exec(&mut self, connection: &mut Connection, args: &[&[u8]]) -> Dispatch {
        let Some(multi) = connection.multi.take() else { return Dispatch::Done };
        let command = registry::table().find(b"exec").expect("EXEC is in the table");
        let mut request = control_request(connection, command, args.iter().map(|arg| arg.to_vec()).collect());
        let (watch, caller) = (connection.watch.take(), Caller::of(&self.shared, connection));
        request.exec = Some(Box::new(Exec::new(caller, args, (multi, watch), self.shared.engine.all_shards())));
        if let Err(request) = self.shared.inbox.send(request) {
            if let Some(Exec { multi, watch, .. }) = request.exec.map(|exec| *exec) {
                connection.multi = Some(multi);
                connection.watch = watch;
            }
            return self.hold_back(connection, command);
        }
        connection.wake_suppressed = connection.reply_mode != ReplyMode::On;
        connection.waiting = Waiting::Exec;
        Dispatch::Wait
    }

    /// Takes a transaction back and goes on with the connection.
    pub fn take_executed(&mut self, token: Token, executed: Executed) {
        if self.connections.by_token(token).is_none() {
            // The client has gone.
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        if !matches!(connection.waiting, Waiting::Exec | Waiting::Errand) {
            self.connections.put_back(connection);
            return;
        }
        connection.waiting = Waiting::Nothing;
        self.end_exec(&mut connection, executed);
        self.go_on_with(connection);
    }

    /// Executes what was left of a transaction, and answers.
    pub fn end_exec(&mut self, connection: &mut Connection, executed: Executed) {
        connection.discard();
        connection.db = executed.db;
        connection.record.db.store(u32::from(executed.db), Relaxed);
        executed.refused.iter().for_each(|error| self.count_error(error));
        let start = connection.out.len();
        let mut copied = 0;
        for (place, command, args) in &executed.left {
            connection.out.extend_from_slice(&executed.replies[copied..*place]);
            copied = *place;
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            if let Plane::Connection(number) = command.spec.plane {
                self.run_connection_command(connection, command, number, &args);
            }
        }
        self.begin_pauses();
        connection.out.extend_from_slice(&executed.replies[copied..]);
        if connection.wake_suppressed || connection.reply_mode != ReplyMode::On {
            connection.out.truncate(start);
        }
        connection.close_after_reply |= executed.panicked;
    }
}
