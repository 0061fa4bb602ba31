//! Users, from the control plane's form to the data plane's, and what was denied, the other way round.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use sherd_ioth::shared::access::log::Entry;
use sherd_ioth::shared::Shared;
use sherd_shards::rights::{AllowedDatabases, CommandSet, Denied, KeyPattern, Pattern, Selector, User, Uses};

use crate::commands;

/// A set of rights; `None` is all of them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct SelectorForm {
    /// Numbers of commands.
    commands: Option<Vec<usize>>,
    /// Numbers of commands with the first arguments that they may have.
    first_arguments: Vec<(usize, Vec<Vec<u8>>)>,
    /// Patterns, and whether what they match may be read and written.
    keys: Option<Vec<(Vec<u8>, bool, bool)>>,
    channels: Option<Vec<Vec<u8>>>,
    databases: Option<Vec<u32>>,
}

/// A user, with the digests of its passwords.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct UserForm {
    name: Vec<u8>,
    enabled: bool,
    nopass: bool,
    passwords: Vec<Vec<u8>>,
    selectors: Vec<SelectorForm>,
}

impl SelectorForm {
    fn into_selector(self, database_count: u32) -> Selector {
        let key = |(pattern, read, write): (Vec<u8>, bool, bool)| {
            let uses = if read { Uses::READ } else { Uses::NONE };
            KeyPattern {
                pattern: Pattern::new(&pattern),
                uses: uses.with(if write { Uses::WRITE } else { Uses::NONE }),
            }
        };
        let boxed = |arguments: Vec<Vec<u8>>| arguments.into_iter().map(Vec::into_boxed_slice).collect();
        Selector {
            commands: self.commands.map(|numbers| {
                let mut set = CommandSet::default();
                numbers.into_iter().for_each(|number| set.insert(number));
                set
            }),
            first_arguments: self.first_arguments.into_iter().map(|(id, arguments)| (id, boxed(arguments))).collect(),
            keys: self.keys.map(|keys| keys.into_iter().map(key).collect()),
            channels: self.channels.map(|names| names.iter().map(|name| Pattern::new(name)).collect()),
            databases: self.databases.map(|numbers| AllowedDatabases::new(numbers, database_count)),
        }
    }
}

impl UserForm {
    /// The user as the data plane of a server with so many databases has it.
    pub fn into_user(self, database_count: u32) -> PyResult<User> {
        let digest = |bytes: Vec<u8>| bytes.try_into().map_err(|_| PyValueError::new_err("a digest has 32 bytes"));
        let selector = |form: SelectorForm| form.into_selector(database_count);
        let mut user = User::new(self.name, self.selectors.into_iter().map(selector).collect());
        (user.is_enabled, user.needs_no_password) = (self.enabled, self.nopass);
        user.passwords = self.passwords.into_iter().map(digest).collect::<PyResult<_>>()?;
        Ok(user)
    }
}

/// Why a user may not execute a command line: `database`, `command`, `key` or `channel`, and the number of the argument.
pub fn check(shared: &Shared, user: &[u8], args: &[Vec<u8>], db: u16) -> PyResult<Option<(&'static str, usize)>> {
    let missing = |what| PyValueError::new_err(what);
    let user = shared.access.find(user).ok_or_else(|| missing("there is no such user"))?;
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let name = args.first().ok_or_else(|| missing("a command line has a name"))?;
    let table = commands::table();
    let container = table.find(name).or_else(|| shared.extensions.find(name));
    let container = container.ok_or_else(|| missing("there is no such command"))?;
    let command = args.get(1).and_then(|sub| table.find_subcommand(container, sub)).unwrap_or(container);
    Ok(user.check(command, &args, db).err().map(|denied| match denied {
        Denied::Database(at) => ("database", at),
        Denied::Command => ("command", 0),
        Denied::Key(at) => ("key", at),
        Denied::Channel(at) => ("channel", at),
    }))
}

/// An entry of the log as the control plane reads it.
pub fn row<'py>(py: Python<'py>, entry: &Entry, now_ms: i64) -> PyResult<Bound<'py, PyDict>> {
    let (event, row) = (&entry.event, PyDict::new(py));
    row.set_item("id", entry.id)?;
    row.set_item("count", entry.count)?;
    row.set_item("reason", event.reason.name())?;
    row.set_item("context", event.setting.name())?;
    row.set_item("object", PyBytes::new(py, &event.object))?;
    row.set_item("username", PyBytes::new(py, &event.username))?;
    row.set_item("client", &entry.client)?;
    row.set_item("age_ms", now_ms - entry.updated_ms)?;
    row.set_item("created_ms", entry.created_ms)?;
    row.set_item("updated_ms", entry.updated_ms)?;
    Ok(row)
}
