//! A shard of its own, and batches of lines of text for it.

use sherd_types::table;

use crate::executor::batch::{Batch, ClientPointer, Cmd, Segment};
use crate::keyspace::shard::Shard;
use crate::protocol::reply::Protocol;
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::slot::SlotMap;

pub fn new_shard() -> Shard {
    let table = crate::families::install(std::iter::empty());
    let map = SlotMap::new(1, false);
    Shard::new(&World::new(map, Settings::default()).expect("a thread"), 0, table.commands().len())
}

/// A client's lines, whose words are kept for ever.
pub fn batch_of(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Batch {
    // Installed here as well: a batch may be made before there is a shard.
    let table_of_commands = crate::families::install(std::iter::empty());
    let mut batch = Batch::new(0, 0);
    batch.segments.push(Segment {
        first: 0,
        connection: 0,
        db: 0,
        protocol: Protocol::Resp2,
        no_touch: false,
        tracks: Default::default(),
        reply_bytes_max: usize::MAX,
        close: false.into(),
        has_written: Default::default(),
        client: ClientPointer::none(),
    });
    for line in lines {
        let first = batch.args.len();
        batch.args.extend(line.as_ref().split(' ').map(|word| &*word.as_bytes().to_vec().leak()));
        batch.commands.push(Cmd {
            command: table_of_commands.find(batch.args[first]).expect("a command"),
            hash: table::hash(batch.args[first + 1]),
            end: 0,
            args_end: batch.args.len() as u32,
            slot: 0,
            db: 0,
        });
    }
    batch
}
