//! What the journal gives its bytes to.

use std::any::Any;
use std::time::Duration;

use super::Audience;

/// Names a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct SinkId(pub(super) u64);

/// Some whole commands of the journal; MULTI and its EXEC are in the same block.
pub struct Block<'a> {
    /// Where the first byte is in the journal.
    pub offset: u64,
    /// The database that is selected before the first byte; `None` if the bytes begin by selecting one.
    pub database: Option<u16>,
    pub bytes: &'a [u8],
    /// A file leaves out what is for links only (PING, REPLCONF GETACK), links what is for files only: they do not count it.
    pub audience: Audience,
}

/// What became of what a sink was given.
#[derive(Clone, Copy, Debug)]
pub struct Flushed {
    /// Bytes that it could not get rid of yet; they count as waiting.
    pub pending_bytes: usize,
    /// Bytes of memory for them, and for what slow receivers have still to get: no data that eviction could make room by.
    pub buffer_bytes: usize,
    /// Everything that it was given is as safe as it promises; true for a sink that promises nothing.
    pub is_durable: bool,
    /// When it is to be asked again although nothing comes.
    pub again_in: Option<Duration>,
    /// How long the journal may wait for more before it goes on: none for who is waited for. What comes together costs less.
    pub gather: Duration,
}

/// Listens to the journal. All calls come from its thread.
pub trait Sink: Send {
    /// Takes the next bytes.
    fn take(&mut self, block: &Block<'_>);

    /// Nothing more has come for now: sends or writes what it was given.
    fn flush(&mut self) -> Flushed;

    /// For [`super::Feed::sink`].
    fn as_any(&mut self) -> &mut dyn Any;
}
