//! The database that SELECT names, for who executes it and who only has to know.

use sherd_shards::command::registry::Command;
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, DB_INDEX};

use crate::shared::Shared;

/// The database that SELECT names.
pub fn database(shared: &Shared, text: &[u8]) -> Result<u16, CommandError> {
    let index = args::integer(text)?;
    if i32::try_from(index).is_err() {
        return Err(CommandError::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    if shared.cluster && index != 0 {
        return Err(CommandError::new("ERR SELECT is not allowed in cluster mode"));
    }
    if !(0..shared.world.settings.databases.get()).contains(&index) {
        return Err(DB_INDEX);
    }
    Ok(index as u16)
}

/// The database that a queued command selects for those after it; `None` if it is not SELECT.
pub fn selects(shared: &Shared, command: &Command, args: &[Vec<u8>]) -> Option<Result<u16, CommandError>> {
    (command.spec.name == "select").then(|| database(shared, &args[1]))
}
