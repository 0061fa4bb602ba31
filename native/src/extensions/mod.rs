//! Commands in Python: what was loaded, and the threads that run them.
//!
//! Python hands over functions; the data plane knows them by number. A thread of Python's own sits in [`runner`], takes requests
//! in batches without the interpreter's lock, and calls the functions one after the other with their shards held
//! ([`call`]). What was loaded is replaced as a whole: who is being executed ends with what it began with.

pub mod call;
pub mod runner;
pub mod values;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyList};

use sherd_ioth::extensions::execution::Reach;
use sherd_ioth::shared::extensions::hooks::Hook;
use sherd_ioth::shared::extensions::work::{Task, Work};
use sherd_ioth::shared::Shared;
use sherd_metrics::clock::TickRate;
use sherd_shards::command::registry::{self, Command};
use sherd_shards::command::spec::{flag, CommandSpec, Plane, Scope};
use sherd_shards::keyspace::events::Event;

use crate::commands;

use values::Types;

/// Where the keys come from that a function may use.
pub enum Keys {
    All,
    /// Its specification tells.
    Specified(&'static Command),
    /// A function of Python's tells, from the arguments.
    Found(Py<PyAny>),
    Fixed(Vec<Vec<u8>>),
    /// That of the event.
    OfEvent,
}

/// A function of Python's.
pub struct Entry {
    pub name: Arc<str>,
    /// As specifications have them.
    pub flags: u32,
    /// `None` for jobs and hooks.
    pub command: Option<&'static Command>,
    keys: Keys,
    invoke: Py<PyAny>,
    /// What its last call took.
    last_ticks: AtomicU64,
}

impl Entry {
    /// Whether a function of Python's says which keys it may use.
    pub fn finds_keys(&self) -> bool {
        matches!(self.keys, Keys::Found(_))
    }

    /// How long the next call will take, if it is like the last.
    fn expected_nanoseconds(&self) -> u64 {
        TickRate::get().nanoseconds(self.last_ticks.load(Relaxed))
    }

    fn note_ticks(&self, ticks: u64) {
        self.last_ticks.store(ticks, Relaxed);
    }

    /// The keys that the function may use.
    pub fn reach(
        &self,
        py: Python<'_>,
        args: &[&[u8]],
        payload: &Bound<'_, PyList>,
        event: Option<&Event>,
    ) -> PyResult<Reach> {
        Ok(match &self.keys {
            Keys::All => Reach::All,
            Keys::Specified(command) => {
                let positions = command.spec.key_positions(args).unwrap_or_default();
                Reach::Keys(positions.into_iter().map(|at| args[at].to_vec()).collect())
            }
            Keys::Found(find) => Reach::Keys(find.bind(py).call1((payload,))?.extract()?),
            Keys::Fixed(keys) => Reach::Keys(keys.clone()),
            Keys::OfEvent => Reach::Keys(event.map(|event| event.key.clone()).into_iter().collect()),
        })
    }
}

/// All that was loaded.
pub struct Functions {
    pub types: Types,
    /// By the numbers of their commands.
    commands: HashMap<usize, Entry>,
    tasks: HashMap<u64, Entry>,
    /// Called with a function's name, the client's address, the exception that it has not caught, and the number of those that
    /// were not told before it.
    failed: Py<PyAny>,
}

/// See the [module](self).
#[derive(Default)]
pub struct Extensions {
    functions: RwLock<Option<Arc<Functions>>>,
    /// Jobs that wait or are executed: one that takes longer than its period is not begun twice.
    begun: Mutex<HashSet<u64>>,
}

/// What was entered of each specification, by its text: to load a module again must not take memory each time.
static ENTERED: Mutex<Option<HashMap<String, &'static Command>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn item<'py, T: for<'a> FromPyObject<'a, 'py>>(from: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = from.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("an extension lacks '{name}'")))?;
    value.extract().map_err(Into::into)
}

fn enter(declared: &Bound<'_, PyDict>) -> PyResult<&'static Command> {
    let spec: Bound<'_, PyDict> = item(declared, "spec")?;
    let all_keys: bool = item(declared, "all_keys")?;
    let text = format!("{all_keys} {}", spec.repr()?);
    // Python is asked while it is locked, so whoever waits for it must not keep the interpreter waiting.
    let mut entered = ENTERED.lock_py_attached(declared.py()).unwrap_or_else(PoisonError::into_inner);
    let entered = entered.get_or_insert_default();
    if let Some(command) = entered.get(&text) {
        registry::enter_extension_again(command);
        return Ok(command);
    }
    let scope = if all_keys { Scope::All } else { Scope::Keys };
    let spec = CommandSpec { plane: Plane::Extension, scope, ..commands::parse(&spec)? };
    let command = registry::enter_extension(spec).ok_or_else(|| {
        PyValueError::new_err(format!("a process may have {} commands of extensions", registry::EXTENSIONS_MAX))
    })?;
    entered.insert(text, command);
    Ok(command)
}

fn command_entry(declared: &Bound<'_, PyDict>) -> PyResult<(usize, Entry)> {
    let command = enter(declared)?;
    let find_keys: Option<Py<PyAny>> = item(declared, "find_keys")?;
    let keys = match find_keys {
        Some(find) => Keys::Found(find),
        None if command.spec.scope == Scope::All => Keys::All,
        None => Keys::Specified(command),
    };
    let invoke = item(declared, "invoke")?;
    let name = command.spec.name.into();
    Ok((
        command.id,
        Entry { name, flags: command.spec.flags, command: Some(command), keys, invoke, last_ticks: AtomicU64::new(0) },
    ))
}

fn task_entry(declared: &Bound<'_, PyDict>) -> PyResult<(u64, Entry, Option<Hook>)> {
    let id = item(declared, "id")?;
    let name: String = item(declared, "name")?;
    let keys: Option<Vec<Vec<u8>>> = item(declared, "keys")?;
    let event: Option<String> = item(declared, "event")?;
    let all_keys: bool = item(declared, "all_keys")?;
    let keys = match keys {
        Some(keys) => Keys::Fixed(keys),
        None if event.is_some() && !all_keys => Keys::OfEvent,
        None => Keys::All,
    };
    let pattern = item(declared, "pattern")?;
    let hook = event.map(|event| Hook { id, event, pattern });
    let entry = Entry {
        name: name.into(),
        flags: flag::WRITE,
        command: None,
        keys,
        invoke: item(declared, "invoke")?,
        last_ticks: AtomicU64::new(0),
    };
    Ok((id, entry, hook))
}

impl Extensions {
    /// Has these functions from now on, and no others. Returns rows of the command table for the commands.
    pub fn set<'py>(
        &self,
        py: Python<'py>,
        shared: &Shared,
        (commands, tasks): (Vec<Bound<'py, PyDict>>, Vec<Bound<'py, PyDict>>),
        types: (Py<PyAny>, Py<PyAny>, Py<PyAny>),
        failed: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let commands: HashMap<_, _> = commands.iter().map(command_entry).collect::<PyResult<_>>()?;
        let mut hooks = Vec::new();
        let mut entries = HashMap::new();
        for task in &tasks {
            let (id, entry, hook) = task_entry(task)?;
            entries.insert(id, entry);
            hooks.extend(hook);
        }
        let rows = PyList::empty(py);
        let known: Vec<&'static Command> = commands.values().filter_map(|entry| entry.command).collect();
        for command in &known {
            rows.append(commands::row(py, command)?)?;
        }
        let functions = Functions { types: Types::new(py, types)?, commands, tasks: entries, failed };
        let old = self.functions.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(functions));
        // Its functions may go now, and run code of Python's as they do: not with the lock.
        drop(old);
        // What clients call from here on has its function.
        shared.extensions.set_commands(&known);
        let classes = shared.extensions.hooks.set(hooks);
        shared.world.settings.hooked_events.set(i64::from(classes));
        Ok(rows)
    }

    /// What is loaded now.
    pub fn functions(&self) -> Option<Arc<Functions>> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has a job executed, unless it already waits or is being executed.
    pub fn begin_job(&self, shared: &Shared, id: u64) -> bool {
        let is_new = lock(&self.begun).insert(id);
        if is_new {
            shared.extensions.work.push(Work::Task(Box::new(Task { id, event: None })));
        }
        is_new
    }

    fn end_job(&self, id: u64) {
        lock(&self.begun).remove(&id);
    }
}
