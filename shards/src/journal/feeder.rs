//! The journal's thread: takes what was handed over, in the order of the tickets, and feeds the sinks.
//!
//! It works in rounds: everything that has come is given to the sinks, then they flush. While they want to gather it naps
//! between the rounds and nobody has to wake it; it sleeps only when nothing has come for a whole nap.

use std::sync::atomic::Ordering;
use std::time::Duration;

#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(not(loom))]
use std::sync::atomic::fence;

use super::{resp, threads};
use super::{
    Audience, Block, Common, Flushed, Item, Numbered, Order, Segment, Sink, SinkId, Ticket, WAITING_BYTES_MAX,
};

/// Bytes that are given to sinks at a time: what fits the processor's cache.
const BLOCK_BYTES_MAX: usize = 256 << 10;
/// Bytes of a round, after which sinks flush although more has come.
const ROUND_BYTES_MAX: usize = 4 << 20;
/// Capacity that the block keeps when a big value has made it larger.
const BLOCK_KEEP_BYTES_MAX: usize = 1 << 20;

/// What functions on the journal's thread may look at and change; see the module.
pub struct Feed {
    /// The end of what sinks were given.
    offset: u64,
    /// The database that the bytes so far have selected.
    database: Option<u16>,
    sinks: Vec<(SinkId, Box<dyn Sink>)>,
    block: Vec<u8>,
    /// The database before the block's first byte.
    block_database: Option<u16>,
    /// Whom the block is for.
    audience: Audience,
    /// What is written comes from a primary.
    follows: bool,
    /// Files have still to be told which database a primary's stream has selected.
    selects_in_files: bool,
    round_bytes: usize,
}

impl Feed {
    fn new() -> Feed {
        Feed {
            offset: 0,
            database: None,
            sinks: Vec::new(),
            block: Vec::new(),
            block_database: None,
            audience: Audience::All,
            follows: false,
            selects_in_files: false,
            round_bytes: 0,
        }
    }

    /// The end of what sinks were given.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The database that is selected there; `None` if the next command selects one.
    pub fn database(&self) -> Option<u16> {
        self.database
    }

    /// Goes on counting from another offset: that of a primary whose data this server has taken over.
    pub fn set_offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Has the next command select its database, whatever was selected before.
    pub fn forget_database(&mut self) {
        if self.follows {
            // Nothing may come between the bytes of a primary, but in a file.
            self.selects_in_files = true;
        } else {
            self.database = None;
        }
    }

    /// Says which database a primary's stream has selected where it begins.
    pub fn set_database(&mut self, database: u16) {
        self.database = Some(database);
    }

    /// Says whether what is written comes from a primary.
    pub fn set_follows(&mut self, follows: bool) {
        self.follows = follows;
        self.forget_database();
    }

    /// A sink, if it is of that type.
    pub fn sink<S: Sink + 'static>(&mut self, id: SinkId) -> Option<&mut S> {
        let (_, sink) = self.sinks.iter_mut().find(|(other, _)| *other == id)?;
        sink.as_any().downcast_mut()
    }

    pub(super) fn add(&mut self, id: SinkId, sink: Box<dyn Sink>) {
        self.sinks.push((id, sink));
        self.forget_database();
    }

    pub(super) fn remove(&mut self, id: SinkId) -> Option<Box<dyn Sink>> {
        let at = self.sinks.iter().position(|(other, _)| *other == id)?;
        Some(self.sinks.remove(at).1)
    }

    fn apply(&mut self, item: Item) {
        match item {
            Item::Segment(segment) => self.add_segment(&segment),
            Item::Mark(work) => {
                self.deliver();
                work(self);
            }
        }
    }

    fn add_segment(&mut self, segment: &Segment) {
        if self.sinks.is_empty() {
            return;
        }
        if self.follows {
            self.add_segment_of_replica(segment);
        } else if let (Audience::All, Some((first, last))) = (segment.audience, segment.databases) {
            self.begin_block(Audience::All);
            if self.database != Some(first) {
                resp::append_select(&mut self.block, first);
            }
            self.database = Some(last);
            self.block.extend_from_slice(&segment.bytes);
            self.deliver_if_full();
        } else {
            self.add_segment_apart(segment.audience, segment);
        }
    }

    /// Some get what others do not: it changes nothing for what comes behind it.
    fn add_segment_apart(&mut self, audience: Audience, segment: &Segment) {
        self.begin_block(audience);
        // What is of no database leaves the selection alone.
        if let Some((first, _)) = segment.databases {
            resp::append_select(&mut self.block, first);
        }
        self.block.extend_from_slice(&segment.bytes);
        if segment.databases.is_some() {
            resp::append_select(&mut self.block, self.database.unwrap_or(0));
        }
        self.deliver_if_full();
    }

    fn begin_block(&mut self, audience: Audience) {
        if self.audience != audience {
            self.deliver();
            self.audience = audience;
        }
        if self.block.is_empty() {
            self.block_database = self.database;
        }
    }

    fn deliver_if_full(&mut self) {
        if self.block.len() >= BLOCK_BYTES_MAX {
            self.deliver();
        }
    }

    /// What a primary has sent goes on as it is. What was written here besides goes into files, between selections of its own; for
    /// links there is nothing but what the primary has sent.
    fn add_segment_of_replica(&mut self, segment: &Segment) {
        if !segment.from_primary {
            if segment.audience != Audience::Links {
                self.add_segment_apart(Audience::Files, segment);
            }
            return;
        }
        if std::mem::take(&mut self.selects_in_files) {
            self.begin_block(Audience::Files);
            resp::append_select(&mut self.block, self.database.unwrap_or(0));
        }
        self.begin_block(Audience::All);
        if let Some((_, last)) = segment.databases {
            self.database = Some(last);
        }
        self.block.extend_from_slice(&segment.bytes);
        self.deliver_if_full();
    }

    /// Gives sinks what was put together.
    fn deliver(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block =
            Block { offset: self.offset, database: self.block_database, bytes: &self.block, audience: self.audience };
        self.sinks.iter_mut().for_each(|(_, sink)| sink.take(&block));
        if self.audience != Audience::Files {
            self.offset += self.block.len() as u64;
        }
        self.round_bytes += self.block.len();
        self.block.clear();
        self.block.shrink_to(BLOCK_KEEP_BYTES_MAX);
    }

    fn flush(&mut self) -> Flushed {
        self.deliver();
        self.round_bytes = 0;
        let idle =
            Flushed { pending_bytes: 0, buffer_bytes: 0, is_durable: true, again_in: None, gather: Duration::MAX };
        self.sinks.iter_mut().fold(idle, |all, (_, sink)| {
            let one = sink.flush();
            Flushed {
                pending_bytes: all.pending_bytes + one.pending_bytes,
                buffer_bytes: all.buffer_bytes + one.buffer_bytes,
                is_durable: all.is_durable && one.is_durable,
                again_in: [all.again_in, one.again_in].into_iter().flatten().min(),
                gather: all.gather.min(one.gather),
            }
        })
    }
}

/// The journal's thread.
struct Feeder<'c> {
    common: &'c Common,
    order: Order,
    feed: Feed,
    /// Everything up to this ticket was said to be durable.
    told: Ticket,
    /// Bytes that were taken from the queue and are not counted as the sinks' yet.
    taken_bytes: usize,
}

/// Runs until the journal is stopped.
pub(super) fn run(common: &Common) {
    let mut feeder = Feeder { common, order: Order::default(), feed: Feed::new(), told: 0, taken_bytes: 0 };
    let mut flushed = feeder.flush();
    loop {
        let stops = common.stopping.load(Ordering::SeqCst);
        let took = feeder.take_waiting();
        let is_due = flushed.again_in.is_some();
        if took || is_due {
            flushed = feeder.flush();
        }
        common.release_writers();
        if stops && !took && common.queue.is_empty() && feeder.order.is_empty() {
            feeder.feed.sinks.clear();
            return;
        }
        if took && feeder.is_full() {
            continue;
        }
        match flushed.gather {
            Duration::ZERO => feeder.sleep(flushed.again_in),
            gather if took && gather != Duration::MAX => threads::park_timeout(gather),
            _ => feeder.sleep(flushed.again_in),
        }
    }
}

impl Feeder<'_> {
    /// Gives the feed what has come, up to a bound; true if there was anything.
    fn take_waiting(&mut self) -> bool {
        let mut took = false;
        while !self.is_full() {
            let Some(numbered) = self.common.queue.pop() else { break };
            took = true;
            let mut next = self.order.put(numbered);
            while let Some(Numbered { item, .. }) = next {
                if let Item::Segment(segment) = &item {
                    self.taken_bytes += segment.memory();
                }
                self.feed.apply(item);
                next = self.order.take_next();
            }
        }
        took
    }

    fn is_full(&self) -> bool {
        self.feed.round_bytes >= ROUND_BYTES_MAX
    }

    fn flush(&mut self) -> Flushed {
        let flushed = self.feed.flush();
        let common = self.common;
        common.offset.store(self.feed.offset, Ordering::Release);
        common.sink_bytes.store(flushed.pending_bytes, Ordering::Relaxed);
        common.buffer_bytes.store(flushed.buffer_bytes, Ordering::Relaxed);
        // Not before: what is counted nowhere would be taken for data, and keys evicted for it.
        common.queued_bytes.fetch_sub(std::mem::take(&mut self.taken_bytes), Ordering::Relaxed);
        if common.waiting_bytes() > WAITING_BYTES_MAX {
            common.hold_writers();
        }
        if flushed.is_durable && self.order.last() > self.told {
            self.told = self.order.last();
            // Release: who sees it sends replies for what was made durable before.
            common.durable.store(self.told, Ordering::Release);
            // Either somebody who waits for this is seen, or it is seen there. Whether replies wait at all does not matter here: who
            // has begun to wait has to be told, also when those who come now need not wait any more.
            fence(Ordering::SeqCst);
            common.tell_listener(false);
        }
        flushed
    }

    /// Sleeps until something comes, or for so long.
    fn sleep(&self, at_most: Option<Duration>) {
        let common = self.common;
        common.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let may_be_released = common.behind.load(Ordering::SeqCst) && common.waiting_bytes() <= WAITING_BYTES_MAX / 2;
        if !common.queue.is_empty() {
            // Perhaps a place in the queue is taken and not filled yet: whoever took it needs the processor.
            threads::yield_now();
        } else if !common.stopping.load(Ordering::SeqCst) && !may_be_released {
            match at_most {
                Some(at_most) => threads::park_timeout(at_most),
                None => threads::park(),
            }
        }
        common.asleep.store(false, Ordering::SeqCst);
    }
}
