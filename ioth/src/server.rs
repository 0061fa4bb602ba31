//! A server: its shards, IO threads and listeners, started and stopped together.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{eventfd, EventfdFlags};

use sherd_shards::command::registry;
use sherd_shards::executor::engine::Engine;
use sherd_shards::handler::{load_appended, scripting};
use sherd_shards::persistence::append_reload;
use sherd_shards::queues::mailbox::Mailbox;
use sherd_shards::server::settings::Settings;
use sherd_shards::server::world::World;
use sherd_shards::slot::SlotMap;
use sherd_shards::threads;

use crate::commands;
use crate::event_loop;
use crate::followers::replicas::Replicas;
use crate::kernel::schedule;
use crate::net::listener::{Listener, Stage};
use crate::net::tls_config::{client_config, server_config, TlsOptions};
use crate::observe::log::Log;
use crate::replication::feeder;
use crate::request::control;
use crate::scripts::Evaluator;
use crate::shared::message::{ControlRequest, Message, INBOX_CAPACITY, MAILBOX_CAPACITY};
use crate::shared::{deliver, wake_client, Shared};
use crate::thread::neighbours::Neighbours;
use crate::thread::IoThread;

/// The time slice that IO threads ask for: with all cores busy (a snapshot, a neighbour) they run soon after something has come for
/// them. The shards' own threads ask for the same: whoever takes the processor from one that holds its shard, in the middle of a
/// snapshot say, gives it back soon, and others wait for no more. The control plane's thread asks for a shorter one, and still comes
/// before them.
const SERVING_SLICE: Duration = Duration::from_micros(300);

/// IO threads that a server may have.
const IO_THREADS_MAX: usize = 64;

/// What a server is made of; the rest are settings that may change.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub shards: usize,
    pub io_threads: usize,
    pub cluster: bool,
}

/// A server, running or not.
pub struct Server {
    pub shared: Arc<Shared>,
    bells: Vec<Arc<OwnedFd>>,
    control_bell: Arc<OwnedFd>,
    /// What is bound now takes the place of all TCP listeners, or of none.
    is_rebinding: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Once the server was told to stop: where its end shows.
    ending: Mutex<Option<Receiver<()>>>,
}

fn bell() -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
}

fn ringer(bell: &Arc<OwnedFd>) -> Box<dyn Fn() + Send + Sync> {
    let bell = Arc::clone(bell);
    Box::new(move || {
        // The control plane reads the counter whenever it is woken; that of an IO thread overflows in centuries.
        let _ = rustix::io::write(&bell, &1u64.to_ne_bytes());
    })
}

impl Server {
    /// Makes a server that does not run yet. The command table is installed already.
    pub fn new(shape: Shape, settings: Settings) -> io::Result<Server> {
        let io_threads = shape.io_threads.clamp(1, IO_THREADS_MAX);
        let bells = (0..io_threads).map(|_| bell()).collect::<io::Result<Vec<_>>>()?;
        let control_bell = bell()?;
        let mailboxes: Arc<Vec<Mailbox<Message>>> =
            Arc::new(bells.iter().map(|bell| Mailbox::new(MAILBOX_CAPACITY, ringer(bell))).collect());
        let world = World::new(SlotMap::new(shape.shards, shape.cluster), settings)?;
        let commands = registry::table().commands().len();
        let to = Arc::clone(&mailboxes);
        let wake_to = Arc::clone(&mailboxes);
        let engine = Engine::new(
            world,
            commands,
            Box::new(move |batch| deliver(&to, batch)),
            Box::new(move |wake| wake_client(&wake_to, wake)),
        );
        let inbox = Mailbox::new(INBOX_CAPACITY, ringer(&control_bell));
        let log = Arc::new(Log::new(ringer(&control_bell)));
        crate::observe::panics::report_to(&log);
        let replicas = Arc::new(Replicas::new()?);
        let shared = Arc::new(Shared::new(engine, mailboxes, inbox, replicas, log, commands, shape.cluster));
        shared.interruptions.set_bell(ringer(&control_bell));
        shared.world.emptied.set_bell(ringer(&control_bell));
        let of = Arc::downgrade(&shared);
        let to_feed = Arc::downgrade(&shared.replicas);
        shared.replicas.set_starter(Box::new(move || {
            to_feed.upgrade().map_or(Ok(()), |replicas| feeder::start(Weak::clone(&of), replicas))
        }));
        let evaluator = Evaluator { shared: Arc::downgrade(&shared), handlers: commands::handlers() };
        scripting::install(&shared.world, Box::new(evaluator));
        load_appended::install(&shared.world, append_reload::load_again);
        let (pubsub, world) = (Arc::clone(&shared.pubsub), Arc::clone(&shared.world));
        let (extensions, log) = (Arc::clone(&shared.extensions), Arc::clone(&shared.log));
        let replicas = Arc::clone(&shared.replicas);
        shared.engine.set_consumer(Box::new(move |tidings| {
            if world.settings.hooked_events.on() {
                let now_ms = world.monotonic_milliseconds();
                extensions.hooks.note(&tidings.events, &extensions.work, &log, now_ms);
            }
            for event in &tidings.events {
                if let Some(message) = &event.message {
                    replicas.publish(&world.journal, message.is_sharded, &event.key, &message.bytes);
                }
            }
            pubsub.publish_events(tidings.events, world.settings.notify_keyspace_events.get() as u32);
            pubsub.publish_invalidations(tidings.invalidations);
        }));
        let of = Arc::downgrade(&shared);
        shared.world.journal.set_listener(Box::new(move |all| {
            if let Some(shared) = of.upgrade() {
                shared.tell_of_journal(all);
            }
        }));
        let is_rebinding = AtomicBool::new(false);
        Ok(Server { shared, bells, control_bell, is_rebinding, threads: Mutex::default(), ending: Mutex::default() })
    }

    /// Binds a TCP address, for clients that speak TLS or that do not, and returns the port.
    pub fn listen(&self, address: SocketAddr, backlog: i32, is_tls: bool) -> io::Result<u16> {
        // Only what this server has itself may be overlapped with; a port of another one is taken.
        let overlaps = |old: &Listener| old.stage == Stage::Old && old.port() == Some(address.port());
        let shared = self.shared.listeners().iter().any(overlaps);
        let (mut listener, port) = Listener::tcp(address, backlog, is_tls, shared)?;
        if self.is_rebinding.load(SeqCst) {
            listener.stage = Stage::Coming;
        }
        self.shared.add_listener(listener);
        Ok(port)
    }

    /// Has connections to TLS ports from now on served, and links to other servers made, by this configuration, as far as either is
    /// wanted. All of it is checked before any of it counts; connections that there are keep theirs.
    pub fn set_tls(&self, options: &TlsOptions) -> Result<(), String> {
        let ports = options.serves.then(|| server_config(options)).transpose()?;
        let links = options.links.map(|asking| client_config(options, asking)).transpose()?;
        self.shared.set_tls(ports, links);
        Ok(())
    }

    /// Begins to replace all TCP listeners: what is bound from here on may overlap with them. [`Server::end_rebind`] follows.
    pub fn begin_rebind(&self) -> io::Result<()> {
        for listener in self.shared.listeners().iter_mut().filter(|listener| !listener.is_unix) {
            listener.share_port(true)?;
            if matches!(listener.stage, Stage::New | Stage::Open) {
                listener.stage = Stage::Old;
            }
        }
        self.is_rebinding.store(true, SeqCst);
        Ok(())
    }

    /// Ends replacing listeners: with the new ones in place of the old ones, or with the old ones and none of the new ones.
    /// Nobody was accepted by new ones before; by old ones nobody is any more when the control plane answers.
    pub fn end_rebind(&self, keep_new: bool) {
        self.is_rebinding.store(false, SeqCst);
        self.shared.listeners().retain_mut(|listener| {
            if listener.is_unix {
                return true;
            }
            match (listener.stage, keep_new) {
                (Stage::Coming, false) => return false,
                (Stage::Coming, true) => listener.stage = Stage::New,
                (Stage::Old, true) => listener.stage = Stage::Leaving,
                // Whether it is polled already, the accepting thread finds out.
                (Stage::Old, false) => listener.stage = Stage::New,
                _ => {}
            }
            // One that stays shared is no harm but to a mistake of the operator.
            let _ = listener.share_port(false);
            true
        });
        self.shared.have_all_act(|| Message::Wake);
    }

    /// Binds a Unix socket.
    pub fn listen_unix(&self, path: &Path, backlog: i32) -> io::Result<()> {
        self.shared.add_listener(Listener::unix(path, backlog)?);
        Ok(())
    }

    /// Starts the threads.
    pub fn start(&self) -> io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let neighbours = Arc::new(Neighbours::default());
        let mut io_threads = Vec::new();
        for (index, bell) in self.bells.iter().enumerate() {
            let mut thread = IoThread::new(Arc::clone(&self.shared), index, Arc::clone(bell), commands::handlers())?;
            thread.neighbours = Arc::clone(&neighbours);
            event_loop::prepare(&thread)?;
            io_threads.push(Arc::new(Mutex::new(thread)));
        }
        neighbours.set(&io_threads);
        for (index, thread) in io_threads.into_iter().enumerate() {
            let name = format!("sherd-io-{index}");
            let serve = move || {
                schedule::set_time_slice(SERVING_SLICE);
                event_loop::run(&thread);
            };
            threads.push(threads::start(&name, serve)?);
        }
        self.shared.engine.start_threads(&mut threads, || schedule::set_time_slice(SERVING_SLICE))
    }

    /// Stops: no new connections, what executes is finished, replies are sent, threads are joined and the data are freed.
    /// That is waited for `at_most` so long, and then for the files to have what was executed. A command that takes longer
    /// cannot be broken off: then the answer is false, what it has done comes into no file, and the rest follows when it has
    /// ended. May be called any number of times.
    pub fn stop(&self, at_most: Duration) -> bool {
        self.shared.stopping.store(true, SeqCst);
        self.shared.extensions.work.stop();
        self.shared.extensions.deadlines.wake();
        self.shared.listeners().clear();
        self.shared.wake_all();
        self.shared.replicas.wake();
        let deadline = Instant::now() + at_most;
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = ending.get_or_insert_with(|| self.join_threads());
        // Nothing is ever sent: the other end is dropped when all is done.
        let told = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        if told == Err(RecvTimeoutError::Disconnected) {
            return true;
        }
        // Whoever is told that this has ended may use the files. So nothing of a command that is still being executed comes into
        // them, and a script can be broken off that has written and might never end.
        self.shared.world.journal.stop();
        self.shared.scripts.running.abandon();
        false
    }

    /// Joins the threads and frees the data, in a thread of its own: both may take longer than anybody wants to wait. Where the
    /// system has no thread left, that is waited for all the same.
    fn join_threads(&self) -> Receiver<()> {
        let (at_end, ended) = sync_channel(0);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let shared = Arc::clone(&self.shared);
        let join = move || {
            let _at_end: SyncSender<()> = at_end;
            // The shards' threads go last: an IO thread may wait for a batch that only they would execute.
            let is_io =
                |thread: &JoinHandle<()>| thread.thread().name().is_some_and(|name| name.starts_with("sherd-io"));
            let (io, shards): (Vec<_>, Vec<_>) = threads.into_iter().partition(is_io);
            io.into_iter().for_each(|thread| drop(thread.join()));
            shared.engine.stop();
            shards.into_iter().for_each(|thread| drop(thread.join()));
            shared.world.journal.stop();
            shared.engine.clear();
        };
        threads::start_or_run("sherd-stop", join);
        ended
    }

    /// Readable when control requests wait.
    pub fn control_bell(&self) -> &OwnedFd {
        &self.control_bell
    }

    /// Makes the control bell audible again, for what was left in the inbox.
    pub fn ring_control_bell(&self) {
        let _ = rustix::io::write(&self.control_bell, &1u64.to_ne_bytes());
    }

    /// Silences the control bell and says that the control plane is looking; see [`Mailbox`].
    pub fn silence_control_bell(&self) {
        let mut count = [0; 8];
        // An empty counter means that somebody was quicker.
        let _ = rustix::io::read(&self.control_bell, &mut count);
    }

    /// Answers a control request.
    pub fn answer(&self, request: &ControlRequest, data: Vec<u8>, close: bool) {
        control::answer(&self.shared, request, data, close);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}
