//! One set of rights: commands, keys, channels and databases. A command line is allowed that one set allows as a whole.

use std::cell::OnceCell;

use crate::declaration::spec::{flag, Channels, CommandSpec, Databases};
use crate::declaration::table::{Command, Route};
use crate::declaration::uses::{uses_of, Uses};

use super::key_patterns::KeyPatterns;
use super::keys::used_keys;
use super::pattern::Pattern;

/// Commands, one bit for each number of the table.
#[derive(Clone, Default, Debug)]
pub struct CommandSet(Vec<u64>);

impl CommandSet {
    /// Adds a command by its number.
    pub fn insert(&mut self, id: usize) {
        if self.0.len() <= id / 64 {
            self.0.resize(id / 64 + 1, 0);
        }
        self.0[id / 64] |= 1 << (id % 64);
    }

    /// Whether it has a command.
    #[inline]
    pub fn contains(&self, id: usize) -> bool {
        self.0.get(id / 64).is_some_and(|word| word >> (id % 64) & 1 != 0)
    }
}

/// See the [module](self); `None` is all of them.
#[derive(Clone, Default, Debug)]
pub struct Selector {
    pub commands: Option<CommandSet>,
    /// First arguments with which commands may be called that are not in the set: the command's number, and the arguments.
    pub first_arguments: Vec<(usize, Vec<Box<[u8]>>)>,
    pub keys: Option<KeyPatterns>,
    pub channels: Option<Vec<Pattern>>,
    pub databases: Option<AllowedDatabases>,
}

/// Some of the databases that there are.
#[derive(Clone, Debug)]
pub struct AllowedDatabases {
    numbers: Vec<u32>,
    /// How many databases there are: one beyond them is the command's to refuse, as for everybody.
    count: u32,
}

impl AllowedDatabases {
    pub fn new(numbers: Vec<u32>, count: u32) -> AllowedDatabases {
        AllowedDatabases { numbers, count }
    }

    fn contain(&self, database: u32) -> bool {
        self.numbers.contains(&database)
    }
}

/// Why a command line is not allowed, with the argument that is to blame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Denied {
    // In the order in which one is told rather than another, where several sets of rights have different reasons.
    Database(usize),
    Command,
    Key(usize),
    Channel(usize),
}

/// A command line that is to be checked, and its keys, which are found at most once.
pub(super) struct Attempt<'a, H: 'static> {
    pub command: &'static Command<H>,
    pub args: &'a [&'a [u8]],
    pub db: u16,
    keys: OnceCell<Vec<(usize, Uses)>>,
}

impl<'a, H: Copy> Attempt<'a, H> {
    pub fn new(command: &'static Command<H>, args: &'a [&'a [u8]], db: u16) -> Attempt<'a, H> {
        Attempt { command, args, db, keys: OnceCell::new() }
    }

    fn keys(&self) -> &[(usize, Uses)] {
        self.keys.get_or_init(|| used_keys(self.command, self.args))
    }
}

impl Selector {
    /// Everything.
    pub fn all() -> Selector {
        Selector::default()
    }

    /// Whether nothing is forbidden.
    pub fn is_all(&self) -> bool {
        self.commands.is_none() && self.keys.is_none() && self.channels.is_none() && self.databases.is_none()
    }

    /// Whether every key may be read.
    pub fn reads_everything(&self) -> bool {
        self.keys.as_ref().is_none_or(KeyPatterns::read_everything)
    }

    /// Whether something may be done to a key.
    pub(super) fn allows_key(&self, key: &[u8], uses: Uses) -> bool {
        self.keys.as_ref().is_none_or(|allowed| allowed.allow(key, uses))
    }

    /// Whether this set allows a command line as a whole.
    pub(super) fn check<H: Copy>(&self, attempt: &Attempt<'_, H>) -> Result<(), Denied> {
        self.check_databases(attempt)?;
        self.check_command(attempt)?;
        self.check_keys(attempt)?;
        self.check_channels(attempt)
    }

    /// By what patterns of keys, if by any, command lines of a command are allowed in a database that have nothing to be asked about
    /// but their first key; `None` where there is more to ask, or the command is not allowed.
    pub(super) fn decides_by_first_key<H: Copy>(
        &self,
        command: &'static Command<H>,
        db: u16,
    ) -> Option<Option<&KeyPatterns>> {
        let spec = &command.spec;
        let has_only_key = command.route == Route::FirstKey
            && command.first_key_uses.is_some()
            && matches!(spec.channels, Channels::None)
            && matches!(spec.databases, Databases::Current);
        let attempt = Attempt::new(command, &[], db);
        let is_allowed = has_only_key
            && self.commands.as_ref().is_none_or(|commands| commands.contains(command.id))
            && self.check_databases(&attempt).is_ok();
        is_allowed.then_some(self.keys.as_ref())
    }

    fn check_command<H: Copy>(&self, attempt: &Attempt<'_, H>) -> Result<(), Denied> {
        let Some(commands) = &self.commands else { return Ok(()) };
        let id = attempt.command.id;
        if commands.contains(id) || attempt.command.spec.has(flag::NO_AUTH) {
            return Ok(());
        }
        let allowed = self.first_arguments.iter().filter(|(command, _)| *command == id);
        let first = attempt.args.get(1).copied();
        let is_allowed = allowed
            .flat_map(|(_, arguments)| arguments)
            .any(|allowed| first.is_some_and(|first| first.eq_ignore_ascii_case(allowed)));
        if is_allowed {
            Ok(())
        } else {
            Err(Denied::Command)
        }
    }

    fn check_keys<H: Copy>(&self, attempt: &Attempt<'_, H>) -> Result<(), Denied> {
        let Some(allowed) = &self.keys else { return Ok(()) };
        let Attempt { command, args, .. } = attempt;
        if let (Route::FirstKey, Some(uses), [_, key, ..]) = (command.route, command.first_key_uses, *args) {
            // The usual case without a list of keys.
            let uses = first_key_uses(command, uses, args);
            return if allowed.allow(key, uses) { Ok(()) } else { Err(Denied::Key(1)) };
        }
        match attempt.keys().iter().find(|&&(at, uses)| !allowed.allow(args[at], uses)) {
            Some((at, _)) => Err(Denied::Key(*at)),
            None => Ok(()),
        }
    }

    fn check_channels<H: Copy>(&self, attempt: &Attempt<'_, H>) -> Result<(), Denied> {
        let Some(allowed) = &self.channels else { return Ok(()) };
        let (count, as_patterns) = match attempt.command.spec.channels {
            Channels::None => return Ok(()),
            Channels::First => (1, false),
            Channels::All => (usize::MAX, false),
            Channels::AllPatterns => (usize::MAX, true),
        };
        let named = attempt.args.iter().enumerate().skip(1).take(count);
        match named.into_iter().find(|(_, name)| !may_hear(allowed, name, as_patterns)) {
            Some((at, _)) => Err(Denied::Channel(at)),
            None => Ok(()),
        }
    }

    fn check_databases<H: Copy>(&self, attempt: &Attempt<'_, H>) -> Result<(), Denied> {
        let Some(allowed) = &self.databases else { return Ok(()) };
        match attempt.command.spec.databases {
            Databases::All => Err(Denied::Database(0)),
            Databases::Named(find) => {
                let named = find(attempt.args);
                let all_exist = named.iter().all(|&(_, database)| database < allowed.count);
                match named.into_iter().find(|&(_, database)| all_exist && !allowed.contain(database)) {
                    Some((at, _)) => Err(Denied::Database(at)),
                    None if uses_current(&attempt.command.spec) => check_current(attempt, allowed),
                    None => Ok(()),
                }
            }
            Databases::Current => check_current(attempt, allowed),
        }
    }

    /// Whether a subscription to a name may stay.
    pub(super) fn may_hear(&self, name: &[u8], is_pattern: bool) -> bool {
        self.channels.as_ref().is_none_or(|allowed| may_hear(allowed, name, is_pattern))
    }
}

/// What a command line does to its first key: what its command does, unless its arguments tell.
#[inline]
pub(super) fn first_key_uses<H>(command: &Command<H>, uses: Uses, args: &[&[u8]]) -> Uses {
    command.spec.tell_flags.map_or(uses, |tell_flags| uses_of(tell_flags(args, 1)))
}

fn check_current<H: Copy>(attempt: &Attempt<'_, H>, allowed: &AllowedDatabases) -> Result<(), Denied> {
    if !attempt.command.touches_database || allowed.contain(attempt.db.into()) {
        Ok(())
    } else {
        Err(Denied::Database(0))
    }
}

/// Whether a command that names databases works in the current one as well.
fn uses_current<H>(spec: &CommandSpec<H>) -> bool {
    !spec.keys.is_empty()
}

/// A pattern is subscribed to only where a rule has the same one: what it matches cannot be told otherwise.
fn may_hear(allowed: &[Pattern], name: &[u8], is_pattern: bool) -> bool {
    allowed.iter().any(|one| if is_pattern { one.source() == name } else { one.matches(name) })
}
