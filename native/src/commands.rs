//! Command specifications, from and to Python.
//!
//! Specifications live as long as the process, so what Python declares is leaked once; a declaration after the table was
//! made is an error.

use std::sync::{Mutex, OnceLock, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use sherd_shards::command::category::Categories;
use sherd_shards::command::registry::{self, Command, CommandTable};
use sherd_shards::command::spec::{flag, Begin, CommandSpec, Find, Group, KeySpec, Plane, Secret, FLAG_NAMES};

static DECLARED: Mutex<Vec<CommandSpec>> = Mutex::new(Vec::new());
static INSTALLED: OnceLock<&'static CommandTable> = OnceLock::new();

/// The command table, made at the first call from all planes.
pub fn table() -> &'static CommandTable {
    INSTALLED.get_or_init(|| {
        let control = std::mem::take(&mut *DECLARED.lock().unwrap_or_else(PoisonError::into_inner));
        sherd_shards::families::install(sherd_ioth::commands::specs().into_iter().chain(control))
    })
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn item<'py, T: FromPyObjectOwned<'py>>(spec: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = spec.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("a specification lacks '{name}'")))?;
    value.extract().map_err(Into::into)
}

/// Declares control-plane commands.
#[pyfunction]
pub fn register_commands(specs: Vec<Bound<'_, PyDict>>) -> PyResult<()> {
    let parsed = specs.iter().map(parse).collect::<PyResult<Vec<_>>>()?;
    if INSTALLED.get().is_some() {
        return Err(PyRuntimeError::new_err("commands are declared before the first server of the process is made"));
    }
    DECLARED.lock().unwrap_or_else(PoisonError::into_inner).extend(parsed);
    Ok(())
}

/// A specification as Python declares it.
pub fn parse(spec: &Bound<'_, PyDict>) -> PyResult<CommandSpec> {
    let group: String = item(spec, "group")?;
    let group = Group::ALL
        .iter()
        .find(|known| known.name() == group)
        .ok_or_else(|| PyValueError::new_err(format!("there is no group {group}")))?;
    let mut flags = 0;
    for name in item::<Vec<String>>(spec, "flags")? {
        let known = FLAG_NAMES.iter().find(|(_, known)| *known == name);
        flags |= known.ok_or_else(|| PyValueError::new_err(format!("there is no flag {name}")))?.0;
    }
    let own: String = item(spec, "name")?;
    let mut categories = Categories::NONE;
    for name in item::<Vec<String>>(spec, "categories")? {
        let known = Categories::by_name(&name);
        categories =
            categories.with(known.ok_or_else(|| PyValueError::new_err(format!("{own}: there is no category {name}")))?);
    }
    let history: Vec<(String, String)> = item(spec, "history")?;
    let history: Vec<(&str, &str)> = history.into_iter().map(|(since, what)| (leak(since), leak(what))).collect();
    let deprecated: Option<(String, String)> = item(spec, "deprecated")?;
    let keys: Vec<(String, Bound<'_, PyTuple>, Bound<'_, PyTuple>)> = item(spec, "keys")?;
    let keys =
        keys.into_iter().map(|(flags, begin, find)| parse_key(flags, &begin, &find)).collect::<PyResult<Vec<_>>>()?;
    let secrets: Vec<(String, usize, usize, usize)> = item(spec, "secrets")?;
    let secrets: Vec<Secret> =
        secrets.into_iter().map(|(word, from, step, count)| Secret { word: leak(word), from, step, count }).collect();
    let tips: Vec<&'static str> = item::<Vec<String>>(spec, "tips")?.into_iter().map(leak).collect();
    Ok(CommandSpec {
        name: leak(own),
        summary: leak(item(spec, "summary")?),
        since: leak(item(spec, "since")?),
        history: Vec::leak(history),
        deprecated: deprecated.map(|(since, successor)| (leak(since), leak(successor))),
        system: item(spec, "system")?,
        complexity: leak(item(spec, "complexity")?),
        group: *group,
        arity: item(spec, "arity")?,
        flags,
        categories,
        keys: Vec::leak(keys),
        syntax: leak(item(spec, "syntax")?),
        tips: Vec::leak(tips),
        secrets: Vec::leak(secrets),
        plane: if item(spec, "container")? { Plane::Container } else { Plane::Control },
        ..CommandSpec::DEFAULT
    })
}

fn parse_key(flags: String, begin: &Bound<'_, PyTuple>, find: &Bound<'_, PyTuple>) -> PyResult<KeySpec> {
    let kind = |tuple: &Bound<'_, PyTuple>| tuple.get_item(0)?.extract::<String>();
    let number = |tuple: &Bound<'_, PyTuple>, at: usize| tuple.get_item(at)?.extract::<i16>();
    let begin = match kind(begin)?.as_str() {
        "index" => Begin::Index(number(begin, 1)?),
        "keyword" => Begin::Keyword(leak(begin.get_item(1)?.extract()?), number(begin, 2)?),
        _ => Begin::Unknown,
    };
    let find = match kind(find)?.as_str() {
        "range" => Find::Range { last: number(find, 1)?, step: number(find, 2)?, limit: number(find, 3)? },
        "keynum" => Find::Number { number: number(find, 1)?, first: number(find, 2)?, step: number(find, 3)? },
        _ => Find::Unknown,
    };
    Ok(KeySpec { flags: leak(flags), begin, find })
}

/// How many commands and subcommands there are; their numbers are those below it.
#[pyfunction]
pub fn command_count() -> usize {
    table().commands().len()
}

/// Every command and subcommand, sorted by name.
#[pyfunction]
pub fn command_table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let rows = PyList::empty(py);
    for command in table().commands() {
        rows.append(row(py, command)?)?;
    }
    Ok(rows)
}

/// A row of the command table.
pub fn row<'py>(py: Python<'py>, command: &Command) -> PyResult<Bound<'py, PyDict>> {
    let spec = &command.spec;
    let row = PyDict::new(py);
    row.set_item("id", command.id)?;
    row.set_item("name", spec.name)?;
    row.set_item("summary", spec.summary)?;
    row.set_item("since", spec.since)?;
    row.set_item("history", spec.history.to_vec())?;
    row.set_item("deprecated", spec.deprecated)?;
    row.set_item("system", spec.system)?;
    row.set_item("doc_flags", spec.doc_flags().collect::<Vec<_>>())?;
    row.set_item("complexity", spec.complexity)?;
    row.set_item("group", spec.group.name())?;
    row.set_item("arity", spec.arity)?;
    // Redis does not show that a command may replicate though it is no write.
    let shown = spec.flags & !flag::MAY_REPLICATE;
    let mut flags: Vec<&str> = FLAG_NAMES.iter().filter(|(bit, _)| shown & bit != 0).map(|(_, name)| *name).collect();
    if spec.find_keys.is_some() && !spec.has(flag::MOVABLE_KEYS) {
        flags.push("movablekeys");
    }
    row.set_item("flags", flags)?;
    row.set_item("categories", command.categories.names().collect::<Vec<_>>())?;
    row.set_item("keys", spec.keys.iter().map(|key| show_key(py, key)).collect::<PyResult<Vec<_>>>()?)?;
    row.set_item("syntax", spec.syntax)?;
    row.set_item("tips", spec.tips.to_vec())?;
    let secrets = spec.secrets.iter().map(|secret| (secret.word, secret.from, secret.step, secret.count));
    row.set_item("secrets", secrets.collect::<Vec<_>>())?;
    row.set_item("container", !command.subcommands.is_empty())?;
    let (first, last, step) = spec.legacy_keys();
    row.set_item("first_key", first)?;
    row.set_item("last_key", last)?;
    row.set_item("key_step", step)?;
    let plane = match spec.plane {
        Plane::Data(_) => "data",
        Plane::Connection(_) => "connection",
        Plane::Control => "control",
        Plane::Extension => "extension",
        Plane::Container => "container",
    };
    row.set_item("plane", plane)?;
    Ok(row)
}

fn show_key<'py>(py: Python<'py>, key: &KeySpec) -> PyResult<Bound<'py, PyTuple>> {
    let begin = match key.begin {
        Begin::Index(index) => ("index", index).into_pyobject(py)?.into_any(),
        Begin::Keyword(word, from) => ("keyword", word, from).into_pyobject(py)?.into_any(),
        Begin::Unknown => ("unknown",).into_pyobject(py)?.into_any(),
    };
    let find = match key.find {
        Find::Range { last, step, limit } => ("range", last, step, limit).into_pyobject(py)?.into_any(),
        Find::Number { number, first, step } => ("keynum", number, first, step).into_pyobject(py)?.into_any(),
        Find::Unknown => ("unknown",).into_pyobject(py)?.into_any(),
    };
    (key.flags, begin, find).into_pyobject(py)
}

/// Argument numbers of a command line's keys with the flags of their specification.
#[pyfunction]
pub fn key_positions(args: Vec<Vec<u8>>) -> Option<Vec<(usize, &'static str)>> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let name = args.first()?;
    let container = table().find(name).or_else(|| registry::find_extension(name))?;
    let command = args.get(1).and_then(|name| table().find_subcommand(container, name)).unwrap_or(container);
    if !command.spec.accepts(args.len()) {
        return None;
    }
    let spec = &command.spec;
    if let Some(tell_flags) = spec.tell_flags {
        return Some(spec.key_positions(&args)?.into_iter().map(|at| (at, tell_flags(&args, at))).collect());
    }
    let mut found = Vec::new();
    for key in spec.keys.iter().filter(|key| !key.flags.contains("NOT_KEY")) {
        let one = CommandSpec { keys: std::slice::from_ref(key), ..*spec };
        let positions = one.key_positions(&args)?;
        // Redis tells nothing of a command line with a rule that finds no key, though a command with others may take it.
        if positions.is_empty() && is_fixed(key) && !spec.has(flag::NO_MANDATORY_KEYS) {
            return None;
        }
        match key.flags.strip_suffix(" incomplete") {
            None => found.extend(positions.into_iter().map(|at| (at, key.flags))),
            // MIGRATE: a list of keys stands for the one key, which must be empty then.
            Some(flags) if !positions.is_empty() => {
                if found.iter().any(|&(at, _): &(usize, _)| !args[at].is_empty()) {
                    return None;
                }
                found = positions.into_iter().map(|at| (at, flags)).collect();
            }
            Some(_) => {}
        }
    }
    Some(found)
}

/// Whether a rule says where its keys are without a look at the arguments.
fn is_fixed(key: &KeySpec) -> bool {
    matches!((key.begin, key.find), (Begin::Index(_), Find::Range { .. } | Find::Number { .. }))
}
