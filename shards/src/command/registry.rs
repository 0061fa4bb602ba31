//! The process's table of commands: every specification of every plane.
//!
//! It is made once. What extensions bring while the process runs is numbered behind it ([`enter_extension`]); which server has
//! which of these, and under which specification, is the server's affair.

use std::sync::{OnceLock, PoisonError, RwLock};

use crate::command::spec::{CommandSpec, Handler};
use crate::declaration::table;
pub use crate::declaration::table::{packed_name, Route};
use crate::effects::waiter::Waiter;
use crate::handler::context::Context;
use crate::server::client::ClientRecord;

pub type Command = table::Command<Handler>;
pub type CommandTable = table::CommandTable<Handler>;

static TABLE: OnceLock<CommandTable> = OnceLock::new();

/// Makes the process's command table; see [`crate::families::install`]. Only the first call has an effect; all servers of a
/// process serve the same commands.
pub fn install(specs: impl Iterator<Item = CommandSpec>) -> &'static CommandTable {
    TABLE.get_or_init(|| CommandTable::new(specs))
}

/// The process's command table.
///
/// # Panics
/// Before [`install`] was called.
#[inline]
pub fn table() -> &'static CommandTable {
    TABLE.get().expect("the command table is installed before the first command")
}

/// Names that extensions may bring in the life of a process. Each takes a number for good, so that what is counted and allowed
/// by number stays with its name however often an extension is loaded.
pub const EXTENSIONS_MAX: usize = 256;

/// The latest command of each name, by the numbers behind the table.
static EXTENSIONS: RwLock<Vec<&'static Command>> = RwLock::new(Vec::new());

/// Numbers an extension's command: as every earlier one of its name, else behind all others. `None` where there are too many.
pub fn enter_extension(spec: CommandSpec) -> Option<&'static Command> {
    let first = table().commands().len();
    let mut entered = EXTENSIONS.write().unwrap_or_else(PoisonError::into_inner);
    let place = entered.iter().position(|known| known.spec.name == spec.name).unwrap_or(entered.len());
    if place >= EXTENSIONS_MAX {
        return None;
    }
    let command: &'static Command = Box::leak(Box::new(Command::new(first + place, spec)));
    match entered.get_mut(place) {
        Some(known) => *known = command,
        None => entered.push(command),
    }
    Some(command)
}

/// Has a command of an extension that was entered before be its name's latest again.
pub fn enter_extension_again(command: &'static Command) {
    let place = command.id - table().commands().len();
    EXTENSIONS.write().unwrap_or_else(PoisonError::into_inner)[place] = command;
}

/// The latest command of an extension by its name in lower case, in whatever server it is.
pub fn find_extension(name: &[u8]) -> Option<&'static Command> {
    let entered = EXTENSIONS.read().unwrap_or_else(PoisonError::into_inner);
    entered.iter().find(|command| command.spec.name.as_bytes() == name).copied()
}

/// The command that a client waits in.
pub fn command_of(waiter: &Waiter) -> &'static Command {
    &table().commands()[waiter.command]
}

/// The command of a number, those of extensions among them.
pub fn by_number(number: usize) -> Option<&'static Command> {
    let commands = table().commands();
    if let Some(command) = commands.get(number) {
        return Some(command);
    }
    let entered = EXTENSIONS.read().unwrap_or_else(PoisonError::into_inner);
    entered.get(number - commands.len()).copied()
}

/// Whether the client of a command may read keys that its command line does not name.
pub fn may_read_beyond(context: &Context<'_>) -> bool {
    let restricted = context.client.record.and_then(ClientRecord::restricted_user);
    restricted.is_none_or(|user| {
        let command = table().by_name(context.spec.name);
        command.is_some_and(|command| user.may_read_beyond(command, context.args, context.client.db))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::spec::Plane;
    use crate::families::install;

    #[test]
    fn an_extensions_command_keeps_its_number_however_often_it_is_loaded() {
        let table = install(std::iter::empty());
        let spec = |arity| CommandSpec {
            name: "test.extension",
            arity,
            plane: Plane::Extension,
            keys: const { &[crate::declaration::spec::one_key("RW", 1)] },
            ..CommandSpec::DEFAULT
        };
        let first = enter_extension(spec(2)).expect("there is room");
        let second = enter_extension(spec(3)).expect("there is room");
        assert_eq!((first.id, second.id), (table.commands().len(), table.commands().len()));
        assert_eq!(by_number(first.id).map(|command| command.spec.arity), Some(3));
        assert_eq!(by_number(0).map(|command| command.id), Some(0));
        assert!(by_number(table.commands().len() + EXTENSIONS_MAX).is_none());
        assert!(table.find(b"test.extension").is_none(), "which server has it is the server's affair");
        assert!(!first.plain && first.packed == 0 && first.route == Route::FirstKey);
    }

    #[test]
    fn names_are_found_in_either_case_and_nothing_else_is() {
        install(std::iter::empty());
        let table = table();
        for name in ["get", "GeT", "SORT_RO", "sort_ro", "Del", "INCRBYFLOAT", "mset", "lmpop", "georadiusbymember_ro"]
        {
            let found = table.find(name.as_bytes()).map(|command| command.spec.name);
            assert_eq!(found, Some(name.to_ascii_lowercase().as_str()));
        }
        for name in
            ["", "ge", "gett", "g\x05t", "ge\x14", "GE\x7f", "sort\x7fro", "mse", "incrbyfloa", "\0get", "get\0"]
        {
            assert!(table.find(name.as_bytes()).is_none(), "{name:?}");
        }
    }

    #[test]
    fn the_first_key_is_where_a_number_of_keys_or_the_command_says() {
        let table = install(std::iter::empty());
        let places =
            [("get", 1), ("mset", 1), ("bitop", 2), ("zunion", 2), ("zunionstore", 1), ("eval", 3), ("fcall_ro", 3)];
        for (name, place) in [("ping", 0), ("xread", 0), ("dbsize", 0)].into_iter().chain(places) {
            let Some(command) = table.find(name.as_bytes()) else { continue };
            assert_eq!(command.first_key, place, "{name}");
        }
        assert!(places.iter().all(|(name, _)| table.find(name.as_bytes()).is_some()));
    }

    #[test]
    fn a_container_cannot_be_told_by_its_name_and_is_found_by_it() {
        let table = install(std::iter::empty());
        let object = table.find(b"oBject").expect("OBJECT exists");
        assert!(!object.subcommands.is_empty());
        assert_eq!(object.packed, 0);
        assert_eq!(table.find_subcommand(object, b"FREQ").map(|command| command.packed), Some(0));
        assert!(table.find(b"objects").is_none());
    }

    #[test]
    fn no_subcommand_is_found_by_its_full_name() {
        let table = install(std::iter::empty());
        let subcommands = table.commands().iter().filter(|command| command.parent.is_some());
        let mut count = 0;
        for command in subcommands {
            count += 1;
            assert!(table.find(command.spec.name.as_bytes()).is_none(), "{}", command.spec.name);
            assert!(table.find(command.spec.name.to_ascii_uppercase().as_bytes()).is_none());
        }
        assert!(count > 0);
    }
}
