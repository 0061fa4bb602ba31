//! Commands on their way to a shard: what one IO thread has for one shard in one round.
//!
//! A batch is moved, never shared: the IO thread fills it, whoever holds the baton executes it, and it comes back with
//! the replies in it. Arguments point into the read buffers of the connections, which stay untouched until then.

use std::sync::Arc;

use crate::blocking::Waiter;
use crate::client::ClientRecord;
use crate::registry::Command;

/// One command of a batch.
pub struct Cmd {
    pub command: &'static Command,
    /// Range in the batch's `args`.
    pub args: (u32, u32),
    /// Hash and slot of the first key; hash 0 where there is none.
    pub hash: u64,
    pub slot: u16,
    pub db: u16,
    pub resp3: bool,
    pub no_touch: bool,
    /// Set by the executor when the connection shall be closed after the reply.
    pub close: bool,
    /// The connection, in the IO thread's own numbering.
    pub connection: u32,
    pub client: ClientPointer,
    /// Where the reply ends in the batch's `out`.
    pub end: usize,
}

/// The client's record, which its connection keeps alive while it has commands in flight.
#[derive(Clone, Copy)]
pub struct ClientPointer(*const ClientRecord);

// SAFETY: the record is Sync, and alive as long as a command refers to it (see the type).
unsafe impl Send for ClientPointer {}

impl ClientPointer {
    /// A pointer to a record that outlives the batch.
    pub fn new(record: &ClientRecord) -> ClientPointer {
        ClientPointer(record)
    }

    /// No client: what the server does of its own accord.
    pub fn none() -> ClientPointer {
        ClientPointer(std::ptr::null())
    }

    /// The record.
    pub fn get<'a>(self) -> Option<&'a ClientRecord> {
        // SAFETY: by the type's contract.
        unsafe { self.0.as_ref() }
    }
}

/// See the file's head.
#[derive(Default)]
pub struct Batch {
    pub shard: usize,
    /// The IO thread to give it back to.
    pub io_thread: usize,
    pub commands: Vec<Cmd>,
    pub args: Vec<&'static [u8]>,
    pub out: Vec<u8>,
    /// Commands that wait for a key instead of answering, by their place in `commands`, in order.
    pub waiters: Vec<(usize, Arc<Waiter>)>,
}

/// Reply bytes that a batch's buffer keeps when it is used again.
const OUT_KEEP_MAX: usize = 1 << 20;

impl Batch {
    /// An empty batch between an IO thread and a shard.
    pub fn new(io_thread: usize, shard: usize) -> Batch {
        Batch { shard, io_thread, ..Batch::default() }
    }

    /// Makes the batch empty for its next use.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.args.clear();
        self.waiters.clear();
        self.out.clear();
        self.out.shrink_to(OUT_KEEP_MAX);
    }

    /// The arguments of a command.
    #[inline]
    pub fn args_of(&self, command: &Cmd) -> &[&'static [u8]] {
        &self.args[command.args.0 as usize..command.args.1 as usize]
    }
}
