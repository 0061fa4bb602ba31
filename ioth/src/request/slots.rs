//! The slots of a command's keys, which in cluster mode are one.

use sherd_shards::command::registry::Command;
use sherd_shards::handler::error::{CommandError, CROSS_SLOT};
use sherd_shards::slot::slot_of;

/// In cluster mode all keys of a command have one slot.
pub fn check_one_slot(command: &Command, args: &[&[u8]]) -> Result<(), CommandError> {
    same_slot(slots_of(command, args))
}

/// The slots of a command's keys.
pub fn slots_of<'a>(command: &Command, args: &'a [&'a [u8]]) -> impl Iterator<Item = u16> + 'a {
    let keys = command.spec.key_positions(args).unwrap_or_default();
    keys.into_iter().map(|position| slot_of(args[position]))
}

/// Refuses slots that differ.
pub fn same_slot(mut slots: impl Iterator<Item = u16>) -> Result<(), CommandError> {
    match slots.next() {
        Some(first) if slots.any(|slot| slot != first) => Err(CROSS_SLOT),
        _ => Ok(()),
    }
}
