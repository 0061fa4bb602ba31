//! Streams to bytes: the blocks as they are, the counters, then each group with what is pending in it.

use super::Writer;
use sherd_types::stream::{Stream, StreamId};
use sherd_types::walk::{ConsumerHead, GroupHead, IdBytes, Memory, StreamPart};

/// Written where it is not known how many entries a group has read.
const UNKNOWN: u64 = u64::MAX;

pub fn save_stream(writer: &mut Writer, stream: &Stream) {
    begin(writer, stream);
    stream.visit_parts(|part| save_part(writer, part));
}

/// What comes before the parts.
pub fn begin(writer: &mut Writer, stream: &Stream) {
    writer.count(stream.log().block_count());
}

/// Each part, in their order.
pub fn save_part(writer: &mut Writer, part: &StreamPart<'_>) {
    match part {
        StreamPart::Block(id, bytes) => {
            writer.string(id);
            writer.string(bytes);
        }
        StreamPart::Memory(memory) => save_memory(writer, memory),
        StreamPart::Group(group) => save_group(writer, group),
        StreamPart::Pending(pending) => {
            writer.raw(&pending.id);
            writer.milliseconds(pending.delivered_ms);
            writer.number(pending.delivery_count);
        }
        StreamPart::Consumers(count) => writer.count(*count),
        StreamPart::Consumer(consumer) => save_consumer(writer, consumer),
        StreamPart::Owned(id) => writer.raw(id),
    }
}

fn save_memory(writer: &mut Writer, memory: &Memory) {
    writer.number(memory.length);
    for id in [memory.last_id, memory.first_id, memory.max_deleted_id] {
        save_id(writer, id);
    }
    writer.number(memory.entries_added);
    writer.count(memory.groups);
}

fn save_id(writer: &mut Writer, id: IdBytes) {
    let id = StreamId::from_bytes(id);
    writer.number(id.milliseconds);
    writer.number(id.sequence);
}

fn save_group(writer: &mut Writer, group: &GroupHead<'_>) {
    writer.string(group.name);
    save_id(writer, group.last_id);
    writer.number(group.entries_read.unwrap_or(UNKNOWN));
    writer.count(group.pending);
}

fn save_consumer(writer: &mut Writer, consumer: &ConsumerHead<'_>) {
    writer.string(consumer.name);
    writer.milliseconds(consumer.seen_ms);
    writer.count(consumer.owned);
}
