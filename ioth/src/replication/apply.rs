//! Executes the primary's stream.
//!
//! What has come is executed in pieces of whole commands and whole transactions. All shards that a piece needs are held while it is
//! executed, so that nobody sees a transaction in part, and the offset up to which the stream was applied is exact whenever
//! somebody else holds them. Replies go nowhere; errors are counted and logged, and the stream goes on behind them, as in Redis.
//! What a primary never sends ends the link.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::{self, Command, Route};
use sherd_shards::command::spec::{flag, Group, Plane};
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::execute::{self, Call};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::args;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::journal::{recorder, resp};
use sherd_shards::threads;
use sherd_types::invariant::contain;
use sherd_types::table;

use crate::connection::subscriptions::Kind;
use crate::observe::log::{Level, Occasional};
use crate::protocol::parser::{short_request, Limits, Parsed, Parser, SHORT_ARGS_MAX};
use crate::shared::Shared;

use super::link::{Link, Lost};

/// Commands that are executed while the shards are held, unless a transaction has more.
const COMMANDS_MAX: usize = 256;
/// Times between two acknowledgements.
const ACKNOWLEDGE_EVERY_MS: i64 = 1000;
/// How often it is seen whether CLIENT PAUSE still holds the stream back.
const PAUSE_LOOK_EVERY_MS: i64 = 10;
/// The longest argument of the stream, as any server takes it whatever this one's clients may send.
const BULK_BYTES_MAX: usize = 512 << 20;
/// Bytes of a reply that are kept for the next one.
const REPLY_KEEP_MAX: usize = 64 << 10;

/// What a command is to the stream.
enum Meaning {
    Data,
    Publish(Kind),
    Nothing,
    Select,
    Begin,
    End,
    /// Only GETACK means something.
    Acknowledge,
    /// The control plane executes it.
    Control,
}

/// A command that waits for the rest of its piece.
struct Pending {
    command: &'static Command,
    /// Its arguments, as places in [`Piece::args`].
    args: Range<usize>,
    /// Hash and slot of the first key, where that is all that says where the command belongs.
    first_key: (u64, u16),
    db: u16,
    /// Where it goes, if it is a message and no data command.
    publish: Option<Kind>,
}

/// What is executed next.
#[derive(Default)]
struct Piece {
    commands: Vec<Pending>,
    /// Where in the buffer arguments are.
    args: Vec<(usize, usize)>,
    needs: u64,
    args_max: usize,
}

/// Why no more is taken from the buffer for now.
enum Stop {
    NeedsBytes,
    PieceIsFull,
    /// The primary asks how far this is; its question takes so many bytes.
    Asked(usize),
}

/// See the [module](self).
pub struct Applier {
    link: Arc<Link>,
    buffer: Vec<u8>,
    /// Where in the buffer the piece begins, and where the next command does.
    base: usize,
    at: usize,
    parser: Parser,
    piece: Piece,
    control: Vec<Vec<Vec<u8>>>,
    last: Option<&'static Command>,
    db: u16,
    in_transaction: bool,
    reply: Vec<u8>,
    outgoing: Vec<u8>,
    acknowledged_ms: Option<i64>,
    failures: Occasional,
}

impl Applier {
    /// Applies what comes over a link.
    pub fn new(link: &Arc<Link>) -> Applier {
        Applier {
            link: Arc::clone(link),
            buffer: Vec::new(),
            base: 0,
            at: 0,
            parser: Parser::default(),
            piece: Piece::default(),
            control: Vec::new(),
            last: None,
            db: 0,
            in_transaction: false,
            reply: Vec::new(),
            outgoing: Vec::new(),
            acknowledged_ms: None,
            failures: Occasional::default(),
        }
    }

    /// What has come already, for whoever looks for a snapshot in front of the stream.
    pub fn received(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Says where the stream begins.
    pub fn begin(&mut self, offset: i64, db: u16) {
        self.db = db;
        self.link.db.store(i64::from(db), Relaxed);
        self.link.applied.store(offset, Relaxed);
        self.link.received.store(offset + self.buffer.len() as i64, Relaxed);
    }

    /// Applies the stream until the link ends, or commands come that the control plane is to execute.
    pub fn run(&mut self) -> Result<Vec<Vec<Vec<u8>>>, Lost> {
        loop {
            self.acknowledge_in_time()?;
            let stop = self.take()?;
            if !self.in_transaction {
                self.await_pause()?;
                self.execute()?;
            }
            if !self.control.is_empty() && !self.in_transaction {
                return Ok(std::mem::take(&mut self.control));
            }
            match stop {
                // It has much to catch up with, and others that answer clients may wait for this processor.
                Stop::PieceIsFull => threads::give_way(),
                Stop::NeedsBytes => self.receive()?,
                Stop::Asked(length) => {
                    self.acknowledge()?;
                    self.at += length;
                }
            }
        }
    }

    /// Waits for the end of a pause that clients of this server have asked for, and keeps what comes meanwhile; as in Redis.
    fn await_pause(&mut self) -> Result<(), Lost> {
        let shared = Arc::clone(self.link.shared());
        let pause = &shared.world.pause;
        while pause.holds_stream(shared.world.monotonic_milliseconds()) {
            self.acknowledge_in_time()?;
            let limit = shared.world.settings.client_query_buffer_limit.size();
            if self.buffer.len() - self.base < limit {
                let count = self.link.receive_within(&mut self.buffer, PAUSE_LOOK_EVERY_MS)?;
                self.link.received.fetch_add(count as i64, Relaxed);
            } else {
                self.link.rest(PAUSE_LOOK_EVERY_MS)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Lost> {
        let limit = self.link.shared().world.settings.client_query_buffer_limit.size();
        if self.buffer.len() - self.base > limit {
            return Err(Lost(format!("a command or transaction of the primary takes more than {limit} bytes")));
        }
        // Places of arguments are counted from the beginning.
        if self.piece.args.is_empty() {
            self.buffer.drain(..self.base);
            self.at -= self.base;
            self.base = 0;
        }
        while self.link.holds_back()? {
            self.acknowledge_in_time()?;
        }
        let count = self.link.receive(&mut self.buffer)?;
        self.link.received.fetch_add(count as i64, Relaxed);
        Ok(())
    }

    /// Takes whole commands from the buffer.
    fn take(&mut self) -> Result<Stop, Lost> {
        while self.in_transaction || self.piece.commands.len() < COMMANDS_MAX && self.control.is_empty() {
            let rest = &self.buffer[self.at..];
            let first = self.piece.args.len();
            let mut short: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
            let found = if self.parser.is_fresh() { short_request(rest, &mut short) } else { None };
            let length = if let Some((count, length)) = found {
                let place = |arg: &&[u8]| {
                    let begin = self.at + (arg.as_ptr() as usize - rest.as_ptr() as usize);
                    (begin, begin + arg.len())
                };
                self.piece.args.extend(short[..count].iter().map(place));
                length
            } else {
                let limits = Limits { bulk_bytes_max: BULK_BYTES_MAX, authenticated: true };
                match self.parser.next(rest, limits) {
                    Ok(Parsed::Command(length)) => {
                        let at = self.at;
                        self.piece.args.extend(self.parser.args().iter().map(|(begin, end)| (at + begin, at + end)));
                        length
                    }
                    Ok(Parsed::Nothing(length)) => {
                        self.at += length;
                        continue;
                    }
                    Ok(Parsed::Incomplete(_)) => return Ok(Stop::NeedsBytes),
                    Ok(Parsed::Inline(_)) => return Err(self.lost_track("")),
                    Err(error) => return Err(self.lost_track(&format!(": {}", error.0))),
                }
            };
            if let Some(stop) = self.take_command(first)? {
                self.piece.args.truncate(first);
                return Ok(if let Stop::Asked(_) = stop { Stop::Asked(length) } else { stop });
            }
            self.at += length;
        }
        Ok(Stop::PieceIsFull)
    }

    /// The stream cannot be read. Asked for the same place again, the primary would say the same for ever; a snapshot mends it.
    #[cold]
    fn lost_track(&self, why: &str) -> Lost {
        self.link.diverged.store(true, Relaxed);
        Lost(format!("the stream is not made of commands{why}"))
    }

    /// Takes the command whose arguments begin at `first` among those of the piece.
    fn take_command(&mut self, first: usize) -> Result<Option<Stop>, Lost> {
        let end = self.piece.args.len();
        let command = self.command(first)?;
        let meaning = meaning(command).ok_or_else(|| unexpected(command.spec.name))?;
        if !command.spec.accepts(end - first) {
            return Err(Lost(format!(
                "the primary has sent '{}' with too few or too many arguments",
                command.spec.name
            )));
        }
        match meaning {
            Meaning::Data | Meaning::Publish(_) => {
                let publish = if let Meaning::Publish(kind) = meaning { Some(kind) } else { None };
                self.add(command, first..end, publish);
                return Ok(None);
            }
            Meaning::Nothing => {}
            Meaning::Select => self.db = self.database(first + 1)?,
            Meaning::Begin if self.in_transaction => return Err(unexpected("multi")),
            Meaning::Begin => self.in_transaction = true,
            Meaning::End if !self.in_transaction => return Err(unexpected("exec")),
            Meaning::End => self.in_transaction = false,
            Meaning::Acknowledge if args::is(self.arg(first + 1), "GETACK") => return Ok(Some(Stop::Asked(0))),
            Meaning::Acknowledge => {}
            Meaning::Control => {
                let words = (first..end).map(|index| self.arg(index).to_vec()).collect();
                self.control.push(words);
            }
        }
        self.piece.args.truncate(first);
        Ok(None)
    }

    fn arg(&self, index: usize) -> &[u8] {
        self.piece.args.get(index).map_or(&[], |&(begin, end)| &self.buffer[begin..end])
    }

    /// The command that an argument names, with the one behind it if it is a container.
    fn command(&mut self, first: usize) -> Result<&'static Command, Lost> {
        let name = self.arg(first);
        if let Some(last) = self.last.filter(|last| last.packed != 0 && last.packed == registry::packed_name(name)) {
            return Ok(last);
        }
        let shown = || String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
        let table = registry::table();
        let found = table.find(name).ok_or_else(|| unexpected(&shown()))?;
        if !found.subcommands.is_empty() {
            let sub = self.arg(first + 1);
            return table.find_subcommand(found, sub).ok_or_else(|| unexpected(&shown()));
        }
        self.last = Some(found);
        Ok(found)
    }

    fn database(&self, index: usize) -> Result<u16, Lost> {
        let count = self.link.shared().world.settings.databases.get();
        let number = args::integer(self.arg(index)).ok().filter(|number| (0..count).contains(number));
        let told = || Lost(format!("the primary has databases beyond this server's {count}"));
        number.map(|number| number as u16).ok_or_else(told)
    }

    /// Adds a command to the piece.
    fn add(&mut self, command: &'static Command, args: Range<usize>, publish: Option<Kind>) {
        let map = self.link.shared().world.slots;
        let mut first_key = (0, 0);
        let needs = match command.route {
            _ if publish.is_some() => 0,
            Route::FirstKey => {
                let key = self.arg(args.start + 1);
                first_key = (table::hash(key), map.slot(key));
                1 << map.shard_of(first_key.1)
            }
            _ => {
                let words: Vec<&[u8]> = args.clone().map(|index| self.arg(index)).collect();
                command.shards_of(&words, &map)
            }
        };
        let piece = &mut self.piece;
        piece.needs |= needs;
        piece.args_max = piece.args_max.max(args.len());
        piece.commands.push(Pending { command, args, first_key, db: self.db, publish });
    }

    /// Executes the piece.
    fn execute(&mut self) -> Result<(), Lost> {
        if self.at == self.base {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        if piece.needs != 0 {
            self.execute_data(&piece)?;
        } else {
            // Before the bytes are handed on: what selects a database may do so once more.
            let shared = self.link.shared();
            shared.replicas.backlog.set_stream_database(Some(self.db));
            shared.world.journal.hand_on(&self.buffer[self.base..self.at], self.db);
        }
        self.publish(&piece);
        let link = &self.link;
        link.record.commands.fetch_add(piece.commands.len() as u64, Relaxed);
        link.record.db.store(u32::from(self.db), Relaxed);
        link.db.store(i64::from(self.db), Relaxed);
        link.applied.fetch_add((self.at - self.base) as i64, Relaxed);
        // The rooms are used again.
        let Piece { mut commands, mut args, .. } = piece;
        commands.clear();
        args.clear();
        self.piece = Piece { commands, args, ..Piece::default() };
        self.base = self.at;
        Ok(())
    }

    fn execute_data(&mut self, piece: &Piece) -> Result<(), Lost> {
        let shared = Arc::clone(self.link.shared());
        let record = Arc::clone(&self.link.record);
        let map = shared.world.slots;
        let mut words: Vec<&[u8]> = Vec::with_capacity(piece.args_max);
        let mut held = Engine::hold(&*shared.engine, piece.needs);
        let mut shards = held.shards();
        let now_ms = shared.world.now_milliseconds();
        for pending in piece.commands.iter().filter(|pending| pending.publish.is_none()) {
            words.clear();
            words.extend(piece.args[pending.args.clone()].iter().map(|&(begin, end)| &self.buffer[begin..end]));
            let client = Client {
                db: pending.db,
                protocol: Protocol::Resp2,
                no_touch: false,
                tracks: Default::default(),
                record: Some(&record),
                reply_bytes_max: usize::MAX,
            };
            let (command, first_key) = (pending.command, pending.first_key);
            let call = Call { command, args: &words, first_key, client, now_ms, origin: Origin::Replica };
            let reply = &mut self.reply;
            let result = contain(|| match command.route {
                Route::FirstKey => {
                    let mut one = Shards::one(map, shards.of_slot(first_key.1));
                    execute::call_counted(&mut one, &shared.world, &call, &words, reply).0
                }
                _ => execute::call_counted(&mut shards, &shared.world, &call, &words, reply).0,
            });
            match result {
                Ok(false) => {}
                Ok(true) => note_failure(&self.link, &mut self.failures, command, reply),
                Err(_) => {
                    shards.first().stats.panics.increment();
                    self.link.diverged.store(true, Relaxed);
                    return Err(Lost(format!("'{}' of the primary has panicked", command.spec.name)));
                }
            }
            reply.clear();
            if reply.capacity() > REPLY_KEEP_MAX {
                let capacity = reply.capacity();
                *reply = Vec::new();
                shards.first().stats.discount_buffer(capacity, 0);
            }
        }
        if shared.world.journal.is_on() {
            // Those who follow this server get the same bytes.
            recorder::hand_on(&self.buffer[self.base..self.at], self.db);
        }
        shared.replicas.backlog.set_stream_database(Some(self.db));
        Ok(())
    }

    /// Publishes the messages of the piece, when the data in front of them can be seen.
    fn publish(&self, piece: &Piece) {
        for pending in &piece.commands {
            let Some(kind) = pending.publish else { continue };
            let word = |index: usize| {
                let (begin, end) = piece.args[pending.args.start + index];
                &self.buffer[begin..end]
            };
            self.link.shared().pubsub.publish(kind, word(1), word(2), None);
        }
    }

    fn acknowledge_in_time(&mut self) -> Result<(), Lost> {
        let now_ms = self.link.shared().world.monotonic_milliseconds();
        let is_due = self.acknowledged_ms.is_none_or(|at_ms| now_ms - at_ms >= ACKNOWLEDGE_EVERY_MS);
        if is_due && !self.in_transaction {
            return self.acknowledge();
        }
        Ok(())
    }

    /// Tells the primary how far the stream was applied. One that does not read gets it later.
    fn acknowledge(&mut self) -> Result<(), Lost> {
        self.acknowledged_ms = Some(self.link.shared().world.monotonic_milliseconds());
        if self.outgoing.is_empty() {
            let applied = self.link.applied.load(Relaxed);
            // The journal here counts as the primary does. What it has from before this history is not the primary's.
            let synced = self.link.shared().world.append_files.synced_offset();
            let synced = synced.map(|offset| i64::try_from(offset).unwrap_or(i64::MAX).min(applied));
            append_acknowledgement(&mut self.outgoing, applied, synced);
        }
        let sent = self.link.send(&self.outgoing)?;
        self.outgoing.drain(..sent);
        Ok(())
    }
}

/// Tells how far the stream was applied, and up to where an append-only file, if there is one, has it on disk.
fn append_acknowledgement(out: &mut Vec<u8>, applied: i64, synced: Option<i64>) {
    let (applied, synced) = (applied.to_string(), synced.map(|offset| offset.to_string()));
    let mut words: Vec<&[u8]> = vec![b"REPLCONF", b"ACK", applied.as_bytes()];
    if let Some(synced) = &synced {
        words.extend([b"FACK", synced.as_bytes()]);
    }
    resp::append(out, &words);
}

/// What a primary means by a command; `None` if it never sends it.
fn meaning(command: &Command) -> Option<Meaning> {
    let spec = &command.spec;
    match spec.plane {
        Plane::Data(_) => {
            let is_written = spec.has(flag::WRITE) || spec.has(flag::MAY_REPLICATE);
            (is_written && command.route != Route::Script).then_some(Meaning::Data)
        }
        Plane::Control if spec.group == Group::Scripting && spec.has(flag::WRITE) => Some(Meaning::Control),
        Plane::Control | Plane::Connection(_) => match spec.name {
            "ping" => Some(Meaning::Nothing),
            "select" => Some(Meaning::Select),
            "multi" => Some(Meaning::Begin),
            "exec" => Some(Meaning::End),
            "replconf" => Some(Meaning::Acknowledge),
            "publish" => Some(Meaning::Publish(Kind::Channel)),
            "spublish" => Some(Meaning::Publish(Kind::ShardChannel)),
            _ => None,
        },
        Plane::Extension | Plane::Container => None,
    }
}

fn unexpected(name: &str) -> Lost {
    Lost(format!("the primary has sent '{name}', which no primary sends"))
}

#[cold]
fn note_failure(link: &Link, failures: &mut Occasional, command: &Command, reply: &[u8]) {
    link.failed_commands.fetch_add(1, Relaxed);
    let shared: &Shared = link.shared();
    let settings = &shared.world.settings;
    if settings.propagation_error_behavior.get() != 0 && settings.replica_read_only.on() {
        let text = String::from_utf8_lossy(reply.trim_ascii_end());
        let what =
            format!("'{}' of the primary was answered {text}, see propagation-error-behavior", command.spec.name);
        sherd_types::invariant::broken(&what, file!(), line!());
    }
    if let Some(untold) = failures.note(shared.world.monotonic_milliseconds()) {
        let text = String::from_utf8_lossy(reply.trim_ascii_end()).into_owned();
        let fields = vec![("command", command.spec.name.to_owned()), ("reply", text), ("untold", untold.to_string())];
        shared.log.add(Level::Warning, "a command of the primary has failed here", fields);
    }
}
