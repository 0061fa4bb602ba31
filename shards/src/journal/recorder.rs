//! What a thread has done since it took its batons: recorded in the order of execution, in whichever of its shards.
//!
//! The buffer is the thread's and not a shard's: what is executed in several shards at once (a transaction, RENAME) then has its
//! effects in the order in which they came about, which buffers of the shards could not tell. It is handed over before any
//! baton is let go, so nothing in it is ever of a slice that is over.

use std::cell::RefCell;
use std::marker::PhantomData;

use super::{resp, Audience, Segment, Ticket};

/// Who gets what is recorded; scripts can choose.
pub const FILES: u8 = 1;
pub const LINKS: u8 = 2;

/// Bytes that a buffer begins with: room for a few small commands.
const BUFFER_BYTES: usize = 256;
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

#[cfg(not(loom))]
thread_local! {
    static RECORDER: RefCell<Recorder> = const { RefCell::new(Recorder::new()) };
}

// Threads of a model are no threads of the system.
#[cfg(loom)]
loom::thread_local! {
    static RECORDER: RefCell<Recorder> = RefCell::new(Recorder::new());
}

/// Bytes for those who listen: for all of them, or, in a slice in which they get different ones, for files or for links.
struct Stream {
    bytes: Vec<u8>,
    /// The databases of the first and the last effect.
    databases: (u16, u16),
    /// Effects of the outermost unit, and where the first one begins.
    effects: usize,
    begin: usize,
}

impl Stream {
    const fn new() -> Stream {
        Stream { bytes: Vec::new(), databases: (0, 0), effects: 0, begin: 0 }
    }

    /// Makes room for an effect; its bytes follow.
    #[inline]
    fn begin_effect(&mut self, db: u16, in_unit: bool) {
        if self.bytes.is_empty() {
            self.bytes.reserve(BUFFER_BYTES);
            self.databases.0 = db;
        } else if self.databases.1 != db {
            resp::append_select(&mut self.bytes, db);
        }
        self.databases.1 = db;
        if in_unit {
            self.effects += 1;
            match self.effects {
                1 => self.begin = self.bytes.len(),
                2 => _ = self.bytes.splice(self.begin..self.begin, MULTI.iter().copied()),
                _ => {}
            }
        }
    }

    fn close_unit(&mut self) {
        if self.effects > 1 {
            self.bytes.extend_from_slice(EXEC);
        }
        self.effects = 0;
    }

    /// Takes what is in it. A unit that has not ended goes on as another one.
    fn take(&mut self, audience: Audience, from_primary: bool) -> Option<Segment> {
        if self.bytes.is_empty() {
            return None;
        }
        self.close_unit();
        let bytes = std::mem::take(&mut self.bytes);
        Some(Segment { databases: Some(self.databases), bytes, audience, from_primary })
    }
}

/// See the [module](self).
struct Recorder {
    /// For all, or for files if links get another one.
    main: Stream,
    /// What links get in a slice in which that is not the same.
    links: Option<Box<Stream>>,
    /// For whom it is what is recorded now: [`FILES`], [`LINKS`], both or none.
    targets: u8,
    /// Units that have begun and not ended, one within the other.
    depth: u32,
    /// The command that is being executed has said itself what it has done.
    has_told: bool,
    /// The segment of what was handed over in the middle of a unit, as a shard was let go of then; 0 if nothing was.
    inner: Ticket,
    /// The bytes are a primary's.
    from_primary: bool,
}

impl Recorder {
    const fn new() -> Recorder {
        Recorder {
            main: Stream::new(),
            links: None,
            targets: FILES | LINKS,
            depth: 0,
            has_told: false,
            inner: 0,
            from_primary: false,
        }
    }

    /// Records an effect whose bytes `write` adds.
    #[inline]
    fn record(&mut self, db: u16, write: impl Fn(&mut Vec<u8>)) {
        if self.targets != FILES | LINKS || self.links.is_some() {
            return self.record_apart(db, write);
        }
        self.main.begin_effect(db, self.depth > 0);
        write(&mut self.main.bytes);
    }

    /// The same where files and links do not get the same.
    #[cold]
    fn record_apart(&mut self, db: u16, write: impl Fn(&mut Vec<u8>)) {
        if self.targets == 0 {
            return;
        }
        let main = &mut self.main;
        let links = self.links.get_or_insert_with(|| {
            // Up to now they did.
            Box::new(Stream { bytes: main.bytes.clone(), ..*main })
        });
        for (target, stream) in [(FILES, main), (LINKS, &mut **links)] {
            if self.targets & target != 0 {
                stream.begin_effect(db, self.depth > 0);
                write(&mut stream.bytes);
            }
        }
    }

    fn add(&mut self, db: u16, parts: &[&[u8]]) {
        self.record(db, |bytes| resp::append(bytes, parts));
    }

    /// Adds a request as it was made, under the name that its command has everywhere.
    fn add_request(&mut self, db: u16, command: &str, args: &[&[u8]]) {
        self.record(db, |bytes| {
            resp::begin(bytes, args.len());
            // As it was sent, unless the command was renamed here.
            let name = command.split_once('|').map_or(command, |(container, _)| container);
            let sent = args.first().copied().unwrap_or_default();
            resp::part(bytes, if sent.eq_ignore_ascii_case(name.as_bytes()) { sent } else { name.as_bytes() });
            args.iter().skip(1).for_each(|arg| resp::part(bytes, arg));
        });
    }

    fn leave(&mut self) {
        self.depth -= 1;
        if self.depth == 0 {
            self.main.close_unit();
            if let Some(links) = &mut self.links {
                links.close_unit();
            }
        }
    }
}

fn with<R>(work: impl FnOnce(&mut Recorder) -> R) -> R {
    RECORDER.with(|recorder| work(&mut recorder.borrow_mut()))
}

/// Records an effect. A baton of its shard is held.
pub fn effect(db: u16, parts: &[&[u8]]) {
    with(|recorder| recorder.add(db, parts));
}

/// Puts what a primary has sent in the place of all that was recorded in this slice; a database is selected after it.
pub fn hand_on(sent: &[u8], db: u16) {
    with(|recorder| {
        recorder.links = None;
        recorder.main.bytes.clear();
        recorder.main.bytes.extend_from_slice(sent);
        recorder.main.databases = (db, db);
        recorder.from_primary = true;
    });
}

/// Says that the command which is being executed tells its effects itself, or has none.
pub(crate) fn tell() {
    with(|recorder| recorder.has_told = true);
}

/// Whether nothing is recorded.
#[inline]
pub(super) fn is_empty() -> bool {
    RECORDER.with(|recorder| {
        let recorder = recorder.borrow();
        recorder.main.bytes.is_empty() && recorder.links.is_none() && recorder.inner == 0
    })
}

/// Notes the segment that what was recorded is in; a unit that goes on is in it as well.
pub(super) fn note_handed_over(ticket: Ticket) {
    with(|recorder| recorder.inner = if recorder.depth > 0 { ticket } else { 0 });
}

/// The segment of what the unit that has just ended had handed over before.
pub(super) fn take_inner() -> Ticket {
    with(|recorder| if recorder.depth > 0 { 0 } else { std::mem::take(&mut recorder.inner) })
}

/// Takes what is recorded. A unit that has not ended, as where a shard is let go of in the middle of it, ends and goes on as another
/// one. If files and links do not get the same, this is what files get.
pub(crate) fn take() -> Option<Segment> {
    with(|recorder| {
        let audience = if recorder.links.is_some() { Audience::Files } else { Audience::All };
        let from_primary = std::mem::take(&mut recorder.from_primary);
        recorder.main.take(audience, from_primary)
    })
}

/// Takes what links get if that is not the same; after [`take`].
pub(super) fn take_for_links() -> Option<Segment> {
    with(|recorder| recorder.links.take()?.take(Audience::Links, false))
}

/// Until this is dropped, what is recorded is for these only, of files and links.
pub struct Only(PhantomData<*const ()>);

impl Only {
    pub fn begin(targets: u8) -> Only {
        with(|recorder| recorder.targets = targets);
        Only(PhantomData)
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        with(|recorder| recorder.targets = FILES | LINKS);
    }
}

/// What is executed as one, by one thread, until this is dropped.
pub struct Unit(PhantomData<*const ()>);

impl Unit {
    /// Begins a unit, within another one if there is one.
    pub fn begin() -> Unit {
        with(|recorder| recorder.depth += 1);
        Unit(PhantomData)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        with(Recorder::leave);
    }
}

/// A command that is being executed: a unit, which may tell its effects itself.
pub(crate) struct Running {
    /// What was so of the command that executes this one, a script.
    outer_has_told: bool,
}

impl Running {
    pub fn begin() -> Running {
        with(|recorder| {
            recorder.depth += 1;
            Running { outer_has_told: std::mem::replace(&mut recorder.has_told, false) }
        })
    }

    /// The command of this name has changed something: its request is recorded, unless it has told its effects itself.
    pub fn has_changed(&self, db: u16, command: &str, args: &[&[u8]]) {
        with(|recorder| {
            if !recorder.has_told {
                recorder.add_request(db, command, args);
            }
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        with(|recorder| {
            recorder.has_told = self.outer_has_told;
            recorder.leave();
        });
    }
}
