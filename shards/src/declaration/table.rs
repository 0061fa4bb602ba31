//! A table of commands: specifications of every plane, numbered, found by name without allocation; and which shards a command
//! line needs.

use crate::declaration::category::{self, Categories};
use crate::declaration::spec::{flag, Begin, CommandSpec, Find, Group, KeySpec, Plane, Scope};
use crate::declaration::uses::{uses_of, Uses};
use crate::protocol::args;
use crate::slot::{slot_of, SlotMap, SLOTS};

/// How a command finds its shards, decided once from its specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// By the key in argument 1, its only one.
    FirstKey,
    /// By all of its keys.
    Keys,
    /// By all of its keys, and by what is known of the script.
    Script,
    /// By the cursor in argument 1.
    Cursor,
    /// To all shards.
    All,
    /// To each shard by itself.
    Each,
    /// To no shard.
    Nowhere,
}

/// A command in the table.
pub struct Command<H> {
    /// Its number: the index of its metrics cells.
    pub id: usize,
    /// Its name as [`packed_name`] gives it, where that alone tells what is called; else 0, which no name has. A container has
    /// 0 too: whoever compares with the last command of a pipeline must not take it for the next one's subcommand.
    pub packed: u64,
    pub spec: CommandSpec<H>,
    /// All of its ACL categories.
    pub categories: Categories,
    pub route: Route,
    /// Its name has less than ten letters, it has one key, which says where it goes, and it never waits: of several in a row, only the
    /// first has to be looked at for more than its arguments.
    pub plain: bool,
    /// It reads one key, and nothing that can be there makes it take long but the length of its reply.
    pub quick: bool,
    /// Which argument is the first key, if there is one: that of all command lines that have keys. 0 where it depends on words.
    pub first_key: usize,
    /// What is done to the first key, as far as its specification tells; `None` where that is none.
    pub first_key_uses: Option<Uses>,
    /// Its client has read the key at argument 1 and no other, for its cache.
    pub reads_first_key: bool,
    /// Whether it looks at keys, so that a user needs the right to its database.
    pub touches_database: bool,
    /// The container of a subcommand.
    pub parent: Option<usize>,
    /// Numbers of a container's subcommands.
    pub subcommands: Vec<usize>,
}

impl<H> Command<H> {
    /// Whether what is asked before a command is executed, and the shards that it needs, are the same as for another
    /// declaration of it.
    pub fn is_called_like(&self, other: &Command<H>) -> bool {
        (self.spec.flags, self.spec.keys, self.spec.scope, self.categories)
            == (other.spec.flags, other.spec.keys, other.spec.scope, other.categories)
    }

    /// A command of this number; parents and subcommands are the table's to say.
    pub fn new(id: usize, spec: CommandSpec<H>) -> Command<H> {
        // Which command an extension's name means may change.
        let has_word =
            spec.name.bytes().all(|byte| byte.is_ascii_lowercase()) && !matches!(spec.plane, Plane::Extension);
        let is_plain = matches!(spec.plane, Plane::Data(_)) && !spec.has(flag::BLOCKING);
        let is_of_first_key = is_plain && route_of(&spec) == Route::FirstKey;
        Command {
            id,
            packed: if has_word { packed_name(spec.name.as_bytes()) } else { 0 },
            categories: categories_of(&spec),
            route: route_of(&spec),
            first_key: first_key_of(&spec),
            first_key_uses: spec.keys.first().filter(|key| key.is_key()).map(|key| uses_of(key.flags)),
            reads_first_key: spec.reads_keys() && spec.has_one_key_in_front(),
            touches_database: spec.keys.iter().any(KeySpec::is_key) || categories_of(&spec).meets(TOUCHING),
            plain: spec.name.len() <= 9 && is_of_first_key,
            quick: is_of_first_key && spec.arity > 0 && spec.has(flag::READONLY) && spec.has(flag::FAST),
            spec,
            parent: None,
            subcommands: Vec::new(),
        }
    }

    /// Whether a command line needs all shards, though the command goes by its keys. In a cluster, what the arguments do not
    /// name is in the slot of the key, or the command refuses it.
    #[inline]
    pub fn needs_all(&self, args: &[&[u8]], map: &SlotMap) -> bool {
        !map.is_cluster() && self.spec.reaches_beyond.is_some_and(|reaches_beyond| reaches_beyond(args))
    }

    /// The shards that a command line needs in a transaction. A script that leaves the shards that it was given begins again with all,
    /// which what others before it have written does not allow there: it has them from the start.
    pub fn shards_in_transaction(&self, args: &[&[u8]], map: &SlotMap) -> u64 {
        if self.route == Route::Script && !map.is_cluster() {
            map.all_shards()
        } else {
            self.shards_of(args, map)
        }
    }

    /// The shards that a command line needs, as a bit set; 0 for a command that no shard executes.
    pub fn shards_of(&self, args: &[&[u8]], map: &SlotMap) -> u64 {
        match self.route {
            Route::Nowhere => 0,
            _ if map.shards() == 1 => 1,
            Route::All | Route::Each => map.all_shards(),
            Route::Cursor => {
                // What is no cursor is refused in any shard.
                let cursor = args.get(1).map_or(Ok(0), |text| args::cursor(text)).unwrap_or(0);
                1 << map.shard_of((cursor % SLOTS as u64) as u16)
            }
            Route::FirstKey | Route::Keys | Route::Script if self.needs_all(args, map) => map.all_shards(),
            Route::FirstKey | Route::Keys | Route::Script => {
                let keys = self.spec.key_positions(args).unwrap_or_default();
                let wanted = keys.iter().fold(0, |wanted, &at| wanted | 1 << map.shard_of(slot_of(args[at])));
                // A command whose keys cannot be told answers its own error; it needs some shard to do so.
                if wanted == 0 {
                    1
                } else {
                    wanted
                }
            }
        }
    }
}

fn first_key_of<H>(spec: &CommandSpec<H>) -> usize {
    let Some(first) = spec.keys.first().filter(|key| key.is_key()) else { return 0 };
    let position = match (first.begin, first.find) {
        (Begin::Index(begin), Find::Range { .. }) => begin,
        (Begin::Index(begin), Find::Number { first, .. }) => begin + first,
        _ => 0,
    };
    usize::try_from(position).unwrap_or(0)
}

/// All commands.
pub struct CommandTable<H> {
    commands: Vec<Command<H>>,
    /// The commands that a client's first word can name, which subcommands are not. Open addressing by [`name_hash`]; a power
    /// of two, at most a quarter full. `u16::MAX` is empty.
    index: Box<[u16]>,
}

/// A name of up to eight bytes as one word, without regard to the case of letters; 0 for a longer or an empty one.
///
/// Only for names of letters do equal words mean equal names: other bytes may lose a bit.
#[inline]
pub fn packed_name(name: &[u8]) -> u64 {
    let length = name.len();
    let word = |at: usize| name[at..].first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let letter = |at: usize| u64::from(name[at]) << (8 * at);
    let word = match length {
        4..=8 => word(0) | word(length - 4) << (8 * (length - 4)),
        1..=3 => letter(0) | letter(length / 2) | letter(length - 1),
        _ => return 0,
    };
    word | 0x2020_2020_2020_2020 >> (64 - 8 * length)
}

#[inline]
fn name_hash(name: &[u8]) -> usize {
    let packed = packed_name(name);
    if packed != 0 {
        return (packed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize;
    }
    let mut hash = name.len();
    for &byte in name {
        hash = hash.wrapping_mul(0x0100_0193) ^ usize::from(byte | 0x20);
    }
    hash ^ (hash >> 15)
}

/// Categories of commands that look at keys, or change them.
const TOUCHING: Categories = category::KEYSPACE.with(category::READ).with(category::WRITE);

/// All categories of a command: those of its flags, its group's and those that it declares.
pub const fn categories_of<H>(spec: &CommandSpec<H>) -> Categories {
    // What a script reads is up to its commands.
    let reads = !matches!(spec.group, Group::Scripting);
    spec.categories
        .with_if(!matches!(spec.plane, Plane::Container), spec.group.category())
        .with_if(reads && spec.has(flag::READONLY), category::READ)
        .with_if(spec.has(flag::WRITE), category::WRITE)
        .with_if(spec.has(flag::ADMIN), category::ADMIN.with(category::DANGEROUS))
        .with_if(spec.has(flag::PUBSUB), category::PUBSUB)
        .with_if(spec.has(flag::BLOCKING), category::BLOCKING)
        .with(if spec.has(flag::FAST) { category::FAST } else { category::SLOW })
}

fn route_of<H>(spec: &CommandSpec<H>) -> Route {
    match (&spec.plane, spec.scope) {
        (Plane::Data(_) | Plane::Extension, Scope::All) => Route::All,
        (Plane::Extension, _) if spec.keys.is_empty() => Route::Nowhere,
        (Plane::Data(_), Scope::Each) => Route::Each,
        (Plane::Data(_), Scope::Cursor) => Route::Cursor,
        (Plane::Data(_), Scope::Keys) if spec.group == Group::Scripting => Route::Script,
        (Plane::Data(_) | Plane::Extension, Scope::Keys) => match spec.keys {
            _ if spec.has_one_key_in_front() => Route::FirstKey,
            [] if spec.find_keys.is_none() => Route::All,
            _ => Route::Keys,
        },
        _ => Route::Nowhere,
    }
}

impl<H> CommandTable<H> {
    /// Builds the table; a name that comes twice is a mistake of the program.
    pub fn new(specs: impl Iterator<Item = CommandSpec<H>>) -> CommandTable<H> {
        let mut specs: Vec<CommandSpec<H>> = specs.collect();
        specs.sort_by_key(|spec| spec.name);
        let mut commands: Vec<Command<H>> =
            specs.into_iter().enumerate().map(|(id, spec)| Command::new(id, spec)).collect();
        let mut index = vec![u16::MAX; (commands.len() * 4).next_power_of_two().max(16)].into_boxed_slice();
        for id in 0..commands.len() {
            let name = commands[id].spec.name;
            assert!(id == 0 || commands[id - 1].spec.name != name, "the command {name} is declared twice");
            if let Some((container, _)) = name.split_once('|') {
                let parent = commands.iter().position(|command| command.spec.name == container);
                let parent = parent.unwrap_or_else(|| panic!("{name} has no container"));
                commands[id].parent = Some(parent);
                commands[parent].subcommands.push(id);
                commands[parent].packed = 0;
                continue;
            }
            let mut at = name_hash(name.as_bytes()) & (index.len() - 1);
            while index[at] != u16::MAX {
                at = (at + 1) & (index.len() - 1);
            }
            index[at] = id as u16;
        }
        CommandTable { commands, index }
    }

    /// A command by the first word of a command line, in either case. A subcommand is not found by its full name: rules about
    /// it and its container could be passed by.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Command<H>> {
        let packed = packed_name(name);
        let mut at = name_hash(name) & (self.index.len() - 1);
        loop {
            let id = self.index[at];
            if id == u16::MAX {
                return None;
            }
            let command = &self.commands[usize::from(id)];
            let same = if command.packed != 0 {
                command.packed == packed
            } else {
                command.spec.name.as_bytes().eq_ignore_ascii_case(name)
            };
            if same {
                return Some(command);
            }
            at = (at + 1) & (self.index.len() - 1);
        }
    }

    /// A command or subcommand by its full name, in lower case.
    pub fn by_name(&self, name: &str) -> Option<&Command<H>> {
        self.commands.binary_search_by_key(&name, |command| command.spec.name).ok().map(|id| &self.commands[id])
    }

    /// The subcommand of a container that a command line names.
    pub fn find_subcommand(&self, container: &Command<H>, name: &[u8]) -> Option<&Command<H>> {
        container.subcommands.iter().map(|&id| &self.commands[id]).find(|command| {
            let (_, own) = command.spec.name.split_once('|').unwrap_or_default();
            own.as_bytes().eq_ignore_ascii_case(name)
        })
    }

    /// All commands and subcommands by number.
    pub fn commands(&self) -> &[Command<H>] {
        &self.commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(spec: CommandSpec<()>) -> Vec<&'static str> {
        categories_of(&spec).names().collect()
    }

    #[test]
    fn flags_and_group_imply_categories() {
        let spec = |group, flags| CommandSpec { group, flags, ..CommandSpec::DEFAULT };
        assert_eq!(names(spec(Group::String, flag::WRITE | flag::DENYOOM)), ["write", "string", "slow"]);
        assert_eq!(names(spec(Group::Hash, flag::READONLY | flag::FAST)), ["read", "hash", "fast"]);
        assert_eq!(names(spec(Group::Scripting, flag::READONLY | flag::NOSCRIPT)), ["slow", "scripting"]);
        assert_eq!(names(spec(Group::Scripting, flag::WRITE)), ["write", "slow", "scripting"]);
        assert_eq!(names(spec(Group::PubSub, flag::PUBSUB | flag::FAST)), ["pubsub", "fast"]);
        assert_eq!(names(spec(Group::Server, flag::ADMIN)), ["admin", "slow", "dangerous"]);
        assert_eq!(names(spec(Group::SortedSet, flag::BLOCKING)), ["sortedset", "slow", "blocking"]);
    }

    #[test]
    fn declared_categories_come_on_top_and_a_container_has_not_its_groups() {
        let spec = CommandSpec {
            group: Group::Stream,
            categories: category::KEYSPACE.with(category::DANGEROUS),
            plane: Plane::Container,
            ..CommandSpec::DEFAULT
        };
        assert_eq!(names(spec), ["keyspace", "slow", "dangerous"]);
    }

    #[test]
    fn a_packed_name_forgets_only_the_case() {
        assert_eq!(packed_name(b"GET"), packed_name(b"get"));
        assert_eq!(packed_name(b"lRaNge"), packed_name(b"LRANGE"));
        assert_eq!(packed_name(b"subscribe"), 0);
        assert_eq!(packed_name(b""), 0);
        let names: Vec<&[u8]> =
            vec![b"a", b"aa", b"aaa", b"aaaa", b"aaaaa", b"aaaaaa", b"aaaaaaa", b"aaaaaaaa", b"abc", b"acb"];
        let packed: std::collections::BTreeSet<u64> = names.iter().map(|name| packed_name(name)).collect();
        assert_eq!(packed.len(), names.len());
    }
}
