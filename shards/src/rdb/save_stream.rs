//! Streams to bytes: the blocks as they are, the counters, then each group with what is pending in it.
//!
//! A pending entry that its consumer has given back has no owner, which the format has no place for: it is written as the
//! first consumer's, so that it is not lost, or left out where the group has no consumer.

use super::Writer;
use sherd_types::stream::{Group, Stream, StreamId};

/// Written where it is not known how many entries a group has read.
const UNKNOWN: u64 = u64::MAX;

pub fn save_stream(writer: &mut Writer, stream: &Stream) {
    let log = stream.log();
    writer.count(log.block_count());
    for (id, block) in log.blocks() {
        writer.string(&id.to_bytes());
        writer.string(block.listpack().as_bytes());
    }
    save_rest(writer, stream);
}

/// What comes after the blocks.
pub fn save_rest(writer: &mut Writer, stream: &Stream) {
    let log = stream.log();
    writer.number(log.len());
    for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
        save_id(writer, id);
    }
    writer.number(log.entries_added());
    writer.count(stream.group_count());
    for (name, group) in stream.groups() {
        writer.string(name);
        save_group(writer, group);
    }
}

fn save_id(writer: &mut Writer, id: StreamId) {
    writer.number(id.milliseconds);
    writer.number(id.sequence);
}

fn save_group(writer: &mut Writer, group: &Group) {
    save_id(writer, group.last_id);
    writer.number(group.entries_read.unwrap_or(UNKNOWN));
    let unowned: Vec<StreamId> =
        group.pending().filter(|(_, pending)| pending.consumer().is_none()).map(|(id, _)| id).collect();
    let keeps_unowned = group.consumer_count() > 0;
    writer.count(group.pending_count() - if keeps_unowned { 0 } else { unowned.len() });
    for (id, pending) in group.pending() {
        if keeps_unowned || pending.consumer().is_some() {
            writer.raw(&id.to_bytes());
            writer.milliseconds(pending.delivered_ms());
            writer.number(pending.delivery_count());
        }
    }
    writer.count(group.consumer_count());
    for (index, consumer) in group.consumers().enumerate() {
        writer.string(consumer.name());
        writer.milliseconds(consumer.seen_ms);
        let adopted: &[StreamId] = if index == 0 { &unowned } else { &[] };
        writer.count(consumer.pending_count() + adopted.len());
        for id in consumer.pending().chain(adopted.iter().copied()) {
            writer.raw(&id.to_bytes());
        }
    }
}
