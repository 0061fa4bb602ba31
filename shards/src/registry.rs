//! The command table: every specification of every plane, numbered, found by name without allocation.

use std::sync::OnceLock;

use crate::spec::{flag, Begin, CommandSpec, Find, Plane, Scope};

/// How a command finds its shards, decided once from its specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// By the key in argument 1, its only one.
    FirstKey,
    /// By all of its keys.
    Keys,
    /// By the cursor in argument 1.
    Cursor,
    /// To all shards.
    All,
    /// To no shard.
    Nowhere,
}

/// A command in the table.
pub struct Command {
    /// Its number: the index of its metrics cells.
    pub id: usize,
    pub spec: CommandSpec,
    pub route: Route,
    /// The container of a subcommand.
    pub parent: Option<usize>,
    /// Numbers of a container's subcommands.
    pub subcommands: Vec<usize>,
}

/// All commands.
pub struct CommandTable {
    commands: Vec<Command>,
    /// Open addressing by [`name_hash`]; a power of two, at most a quarter full. `u16::MAX` is empty.
    index: Box<[u16]>,
}

#[inline]
fn name_hash(name: &[u8]) -> usize {
    let mut hash = name.len();
    for &byte in name {
        hash = hash.wrapping_mul(0x0100_0193) ^ usize::from(byte | 0x20);
    }
    hash ^ (hash >> 15)
}

fn route_of(spec: &CommandSpec) -> Route {
    match (spec.plane, spec.scope) {
        (Plane::Data(_), Scope::All) => Route::All,
        (Plane::Data(_), Scope::Cursor) => Route::Cursor,
        (Plane::Data(_), Scope::Keys) => match spec.keys {
            [one]
                if spec.find_keys.is_none()
                    && one.begin == Begin::Index(1)
                    && matches!(one.find, Find::Range { last: 0, .. }) =>
            {
                Route::FirstKey
            }
            [] if spec.find_keys.is_none() => Route::All,
            _ => Route::Keys,
        },
        _ => Route::Nowhere,
    }
}

impl CommandTable {
    /// Builds the table; a name that comes twice is a mistake of the program.
    pub fn new(specs: impl Iterator<Item = CommandSpec>) -> CommandTable {
        let mut specs: Vec<CommandSpec> = specs.collect();
        specs.sort_by_key(|spec| spec.name);
        let mut commands: Vec<Command> = specs
            .into_iter()
            .enumerate()
            .map(|(id, spec)| Command { id, route: route_of(&spec), spec, parent: None, subcommands: Vec::new() })
            .collect();
        let mut index = vec![u16::MAX; (commands.len() * 4).next_power_of_two().max(16)].into_boxed_slice();
        for id in 0..commands.len() {
            let name = commands[id].spec.name;
            assert!(id == 0 || commands[id - 1].spec.name != name, "the command {name} is declared twice");
            if let Some((container, _)) = name.split_once('|') {
                let parent = commands.iter().position(|command| command.spec.name == container);
                let parent = parent.unwrap_or_else(|| panic!("{name} has no container"));
                commands[id].parent = Some(parent);
                commands[parent].subcommands.push(id);
            }
            let mut at = name_hash(name.as_bytes()) & (index.len() - 1);
            while index[at] != u16::MAX {
                at = (at + 1) & (index.len() - 1);
            }
            index[at] = id as u16;
        }
        CommandTable { commands, index }
    }

    /// A command by name, in either case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Command> {
        let mut at = name_hash(name) & (self.index.len() - 1);
        loop {
            let id = self.index[at];
            if id == u16::MAX {
                return None;
            }
            let command = &self.commands[usize::from(id)];
            if command.spec.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(command);
            }
            at = (at + 1) & (self.index.len() - 1);
        }
    }

    /// The subcommand of a container that a command line names.
    pub fn find_subcommand(&self, container: &Command, name: &[u8]) -> Option<&Command> {
        container.subcommands.iter().map(|&id| &self.commands[id]).find(|command| {
            let (_, own) = command.spec.name.split_once('|').unwrap_or_default();
            own.as_bytes().eq_ignore_ascii_case(name)
        })
    }

    /// All commands and subcommands by number.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }
}

static TABLE: OnceLock<CommandTable> = OnceLock::new();

/// Makes the process's command table from the data families and the specifications of the other planes. Only the first
/// call has an effect; all servers of a process serve the same commands.
pub fn install(others: impl Iterator<Item = CommandSpec>) -> &'static CommandTable {
    TABLE.get_or_init(|| CommandTable::new(crate::families::specs().chain(others)))
}

/// The process's command table.
///
/// # Panics
/// Before [`install`] was called.
#[inline]
pub fn table() -> &'static CommandTable {
    TABLE.get().expect("the command table is installed before the first command")
}

/// ACL categories of a command, as COMMAND INFO lists them: those of its flags, its group's, its own.
pub fn categories(spec: &CommandSpec) -> Vec<&'static str> {
    /// In the order of Redis' category bits.
    const ORDER: &[&str] = &[
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
    ];
    use crate::spec::Group;
    let group = match spec.group {
        Group::String => "string",
        Group::Bitmap => "bitmap",
        Group::Hash => "hash",
        Group::List => "list",
        Group::Set => "set",
        Group::SortedSet => "sortedset",
        Group::HyperLogLog => "hyperloglog",
        Group::Geo => "geo",
        Group::Stream => "stream",
        Group::PubSub => "pubsub",
        Group::Transactions => "transaction",
        Group::Scripting => "scripting",
        Group::Connection | Group::Generic | Group::Server | Group::Cluster => "",
    };
    let has = |name: &str| match name {
        "read" => spec.has(flag::READONLY) && spec.group != Group::Scripting,
        "write" => spec.has(flag::WRITE) && spec.group != Group::Scripting || own(spec, "write"),
        "admin" => spec.has(flag::ADMIN) || own(spec, "admin"),
        "dangerous" => spec.has(flag::ADMIN) || own(spec, "dangerous"),
        "fast" => spec.has(flag::FAST),
        "slow" => !spec.has(flag::FAST),
        "blocking" => spec.has(flag::BLOCKING),
        "pubsub" => spec.has(flag::PUBSUB) || own(spec, "pubsub"),
        other => (other == group && !matches!(spec.plane, Plane::Container)) || own(spec, other),
    };
    ORDER.iter().copied().filter(|name| has(name)).collect()
}

fn own(spec: &CommandSpec, name: &str) -> bool {
    spec.categories.split(' ').any(|own| own == name)
}
