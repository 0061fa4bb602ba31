//! A big stream as commands: XADD for each entry, and XGROUP and XCLAIM for what its groups remember.
//!
//! When a consumer was seen or active last has no command: it is taken for the time at which it was given something last. A
//! pending entry may be one that the stream has no more. XCLAIM would drop it, so these claims ask for a negative time without
//! delivery, which everybody else takes for zero, and which tells this server that the entry need not be there.

use crate::journal::resp;
use crate::rdb::Writer;
use sherd_types::number::append_i64;
use sherd_types::number::I64Buffer;
use sherd_types::stream::{Block, IdBuffer, StreamId};
use sherd_types::walk::{GroupHead, IdBytes, Memory, PendingPart, StreamPart};

/// Ids that one XCLAIM has at most.
const IDS_A_COMMAND: usize = 64;

/// See the [module](self).
pub(super) struct StreamCommands {
    key: Vec<u8>,
    expiry: Option<i64>,
    /// The group whose parts come.
    group: Vec<u8>,
    /// The ids of the next XCLAIM as its parts, and how many those are; they have one consumer, time and number of deliveries.
    ids: Vec<u8>,
    count: usize,
    owner: Vec<u8>,
    delivered_ms: i64,
    delivery_count: u64,
}

fn text(number: i64) -> Vec<u8> {
    let mut text = Vec::new();
    append_i64(&mut text, number);
    text
}

/// A number that has no sign here, and one in a command.
fn signed(number: u64) -> Vec<u8> {
    text(i64::try_from(number).unwrap_or(i64::MAX))
}

impl StreamCommands {
    pub fn new(key: &[u8], expiry: Option<i64>) -> StreamCommands {
        StreamCommands {
            key: key.to_vec(),
            expiry,
            group: Vec::new(),
            ids: Vec::new(),
            count: 0,
            owner: Vec::new(),
            delivered_ms: 0,
            delivery_count: 0,
        }
    }

    /// Adds a part of the stream.
    pub fn add(&mut self, writer: &mut Writer, part: &StreamPart<'_>) {
        match part {
            StreamPart::Block(own, bytes) => self.entries(writer, *own, bytes),
            StreamPart::Memory(memory) => self.memory(writer, memory),
            StreamPart::Group(group) => self.group(writer, group),
            StreamPart::Pending(pending) => self.pending(writer, pending),
            StreamPart::Consumer(consumer) => {
                self.flush(writer);
                self.command(writer, &[b"XGROUP", b"CREATECONSUMER", &self.key, &self.group, consumer.name]);
            }
            // Each pending entry has named its owner.
            StreamPart::Consumers(_) | StreamPart::Owned(_) => {}
        }
    }

    fn command(&self, writer: &mut Writer, parts: &[&[u8]]) {
        let mut bytes = Vec::new();
        resp::append(&mut bytes, parts);
        writer.raw(&bytes);
    }

    fn entries(&self, writer: &mut Writer, own: IdBytes, bytes: &[u8]) {
        let Some(block) = Block::of_bytes(bytes) else { return };
        let own = StreamId::from_bytes(own);
        let (mut bytes, mut number) = (Vec::new(), I64Buffer::default());
        for entry in block.live_entries(own) {
            resp::begin(&mut bytes, 3 + 2 * entry.field_count());
            resp::part(&mut bytes, b"XADD");
            resp::part(&mut bytes, &self.key);
            resp::part(&mut bytes, entry.id.format(&mut id_buffer()));
            for (field, value) in entry.fields() {
                resp::part(&mut bytes, field.as_bytes(&mut number));
                resp::part(&mut bytes, value.as_bytes(&mut number));
            }
        }
        writer.raw(&bytes);
    }

    fn memory(&self, writer: &mut Writer, memory: &Memory) {
        let mut buffer = id_buffer();
        if memory.length == 0 {
            // A stream without entries comes into being by one that goes.
            let id = StreamId::from_bytes(memory.last_id).max(StreamId::new(0, 1));
            let id = id.format(&mut buffer);
            self.command(writer, &[b"XADD", &self.key, b"MAXLEN", b"0", id, b"field", b"value"]);
        }
        let (last, deleted) = (id_text(memory.last_id), id_text(memory.max_deleted_id));
        let added = signed(memory.entries_added);
        let words: [&[u8]; 7] =
            [b"XSETID", &self.key, last.as_bytes(), b"ENTRIESADDED", &added, b"MAXDELETEDID", deleted.as_bytes()];
        self.command(writer, &words);
    }

    fn group(&mut self, writer: &mut Writer, group: &GroupHead<'_>) {
        self.flush(writer);
        self.group = group.name.to_vec();
        let last = id_text(group.last_id);
        let read = group.entries_read.map_or_else(|| text(-1), signed);
        let words: [&[u8]; 7] = [b"XGROUP", b"CREATE", &self.key, &self.group, last.as_bytes(), b"ENTRIESREAD", &read];
        self.command(writer, &words);
    }

    fn pending(&mut self, writer: &mut Writer, pending: &PendingPart<'_>) {
        let is_alike = self.owner == pending.owner
            && (self.delivered_ms, self.delivery_count) == (pending.delivered_ms, pending.delivery_count);
        if !is_alike || self.count == IDS_A_COMMAND {
            self.flush(writer);
            self.owner = pending.owner.to_vec();
            (self.delivered_ms, self.delivery_count) = (pending.delivered_ms, pending.delivery_count);
        }
        resp::part(&mut self.ids, StreamId::from_bytes(pending.id).format(&mut id_buffer()));
        self.count += 1;
    }

    fn flush(&mut self, writer: &mut Writer) {
        if self.count == 0 {
            return;
        }
        let (time, deliveries) = (text(self.delivered_ms), signed(self.delivery_count));
        let before: [&[u8]; 5] = [b"XCLAIM", &self.key, &self.group, &self.owner, b"-1"];
        let after: [&[u8]; 6] = [b"TIME", &time, b"RETRYCOUNT", &deliveries, b"FORCE", b"JUSTID"];
        let mut bytes = Vec::new();
        resp::begin(&mut bytes, before.len() + self.count + after.len());
        before.iter().for_each(|word| resp::part(&mut bytes, word));
        bytes.append(&mut self.ids);
        after.iter().for_each(|word| resp::part(&mut bytes, word));
        writer.raw(&bytes);
        self.count = 0;
    }

    /// Writes what is left.
    pub fn finish(&mut self, writer: &mut Writer) {
        self.flush(writer);
        super::commands::write_expiry(writer, &self.key, self.expiry);
    }
}

fn id_text(id: IdBytes) -> String {
    StreamId::from_bytes(id).to_string()
}

fn id_buffer() -> IdBuffer {
    [0; sherd_types::stream::ID_TEXT_MAX_BYTES]
}
