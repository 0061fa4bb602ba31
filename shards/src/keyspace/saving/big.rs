//! A big entry that is saved in slices: what is written of it, and how far that has come.
//!
//! It is the visitor of the walk through the entry's collection and lies in it, so it goes wherever that goes: to another key,
//! database or shard, or out of the keyspace. An entry that is dropped before it is written whole makes the snapshot fail, as does
//! one of which more or fewer elements came than its head says: better none than a wrong one.

use std::any::Any;
use std::sync::Arc;

use super::commands::Commands;
use super::due::Due;
use super::sink::Sink;
use super::stream_commands::StreamCommands;
use super::{write_head, Manner, CHUNK_BYTES};
use crate::entry::object::ObjectRef;
use crate::entry::Entry;
use crate::journal::resp;
use crate::rdb::elements::{self, ElementForm};
use crate::rdb::format::opcode;
use crate::rdb::{save_part, Writer};
use sherd_types::table;
use sherd_types::walk::{Element, StreamPart, Visitor, Walkable};

/// Bytes of a big entry that a shard holds while another one sends pieces; with more, its walk stops.
const HELD_BYTES_MAX: usize = 4 * CHUNK_BYTES;

/// What becomes of its elements.
enum Output {
    Rdb(ElementForm),
    Commands(Commands),
    StreamCommands(StreamCommands),
}

/// See the [module](self).
pub(super) struct BigEntry {
    pub sink: Arc<Sink>,
    pub manner: Manner,
    /// The shard in which it is.
    shard: usize,
    /// The number of its database at the cut.
    pub number: u16,
    output: Output,
    writer: Writer,
    due: Due,
    is_wrong: bool,
    sends_pieces: bool,
    is_over: bool,
}

impl Visitor for BigEntry {
    fn visit(&mut self, element: Element<'_>) {
        self.is_wrong |= !self.due.element();
        self.write(|output, writer| match output {
            Output::Rdb(form) => elements::write(writer, *form, &element),
            Output::Commands(commands) => {
                commands.add(writer, &element);
                true
            }
            Output::StreamCommands(_) => false,
        });
    }

    fn visit_part(&mut self, part: &StreamPart<'_>) {
        self.is_wrong |= !self.due.part(part);
        self.write(|output, writer| match output {
            Output::Rdb(ElementForm::Stream) => {
                save_part(writer, part);
                true
            }
            Output::StreamCommands(commands) => {
                commands.add(writer, part);
                true
            }
            Output::Rdb(_) | Output::Commands(_) => false,
        });
    }
}

impl BigEntry {
    /// Calls with where something is to be written, unless nobody wants it any more; it returns whether it could be.
    fn write(&mut self, write: impl FnOnce(&mut Output, &mut Writer) -> bool) {
        if self.sink.is_cancelled() {
            return;
        }
        #[cfg(test)]
        let before = self.writer.bytes().len();
        self.is_wrong |= !write(&mut self.output, &mut self.writer);
        #[cfg(test)]
        super::work::add(self.writer.bytes().len() - before);
    }

    /// Begins to save an entry; false if it is none of which the elements can be walked.
    pub fn begin(entry: &mut Entry, sink: &Arc<Sink>, manner: Manner, shard: usize, number: u16) -> bool {
        let mut writer = Writer::compressing(false, manner.form.dialect);
        let Some(object) = entry.object() else { return false };
        let due = Due::of(object);
        let output = begin_output(&mut writer, entry, object, &manner, number);
        let big = BigEntry {
            sink: Arc::clone(sink),
            manner,
            shard,
            number,
            output,
            writer,
            due,
            is_wrong: false,
            sends_pieces: false,
            is_over: false,
        };
        // Should it not begin after all, this ends the snapshot.
        entry.object_mut().and_then(|object| object.walkable()).is_some_and(|object| object.begin_walk(Box::new(big)))
    }

    /// The one in a collection that is being walked.
    pub fn of(collection: &mut dyn Walkable) -> Option<&mut BigEntry> {
        let visitor: &mut dyn Any = collection.visitor()?;
        visitor.downcast_mut()
    }

    pub fn sends_pieces(&self) -> bool {
        self.sends_pieces
    }

    /// The entry is in this shard now.
    pub fn move_to(&mut self, shard: usize) {
        self.shard = shard;
        if self.sends_pieces {
            self.sink.move_pieces(shard);
        }
    }

    /// Hands over what has come together; whether the walk may go on.
    pub fn go_on(&mut self) -> bool {
        // What commands have written was to be quick.
        self.writer.set_compressing(self.manner.form.compress);
        let bytes = self.writer.bytes().len();
        if bytes >= CHUNK_BYTES {
            self.sends_pieces = self.sends_pieces || self.sink.begin_pieces(self.shard);
            if self.sends_pieces {
                self.sink.send_piece(self.writer.take());
            } else if bytes >= HELD_BYTES_MAX {
                self.sink.set_waits(self.shard, true);
                return false;
            }
        }
        !self.sink.stops(self.shard)
    }

    /// All elements were visited: what is left to be sent with the shard's other entries.
    pub fn finish(&mut self) -> Vec<u8> {
        self.is_over = true;
        match &mut self.output {
            Output::Rdb(_) => {}
            Output::Commands(commands) => commands.finish(&mut self.writer),
            Output::StreamCommands(commands) => commands.finish(&mut self.writer),
        }
        if self.is_wrong || !self.due.is_over() {
            debug_assert!(false, "what was visited is what was told of");
            self.sink.cancel();
        }
        if !self.sends_pieces {
            return self.writer.take();
        }
        #[cfg(test)]
        super::work::count(super::work::Event::InPieces);
        self.sink.end_pieces(self.writer.take());
        Vec::new()
    }

    /// Nothing more is wanted of it.
    pub fn abandon(&mut self) {
        self.is_over = true;
        if self.sends_pieces {
            self.sink.end_pieces(Vec::new());
        }
    }
}

impl Drop for BigEntry {
    fn drop(&mut self) {
        if !self.is_over {
            self.sink.cancel();
            self.abandon();
        }
    }
}

/// Writes what comes before the elements.
fn begin_output(writer: &mut Writer, entry: &Entry, object: ObjectRef<'_>, manner: &Manner, number: u16) -> Output {
    if manner.form.as_commands {
        let mut select = Vec::new();
        resp::append_select(&mut select, number);
        writer.raw(&select);
        let key = table::Entry::key(entry);
        return match object {
            ObjectRef::Stream(_) => Output::StreamCommands(StreamCommands::new(key, entry.expiry())),
            _ => Output::Commands(Commands::new(key, object.value_type(), entry.expiry())),
        };
    }
    writer.byte(opcode::SELECT_DB);
    writer.number(u64::from(number));
    write_head(writer, entry, manner, elements::type_of(object, manner.form.dialect));
    Output::Rdb(elements::begin(writer, object))
}
