//! `sherd.Call`: how a command in Python has data commands executed, in the shards that its thread holds for it.
//!
//! The shards belong to the thread, not to the object: a call that is kept beyond its command, or handed to another thread, finds
//! that out and touches nothing.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use sherd_ioth::extensions::execution::{CalledBy, Execution, Reach};
use sherd_ioth::shared::Shared;
use sherd_metrics::memory;
use sherd_shards::executor::engine::{with_aside, Engine, Hold};
use sherd_shards::handler::error::CommandError;
use sherd_shards::journal::{self, Ticket, Unit};

use crate::held;

use super::values::{read, Arguments};
use super::{Entry, Functions};

/// The shards of a command.
enum Held {
    Own(Hold<Arc<Engine>>),
    /// Those of the transaction that it is in.
    Transaction,
}

/// The command that a thread is executing.
struct Current {
    number: u64,
    execution: Execution,
    held: Held,
    /// What it does is recorded as one.
    unit: Unit,
    /// What the thread had allocated when it began.
    bytes: i64,
    reply: Vec<u8>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Current {
    /// Executes a data command; its reply is in `reply` then.
    fn call(&mut self, args: &[&[u8]]) -> Result<(), CommandError> {
        self.reply.clear();
        match &mut self.held {
            Held::Own(hold) => self.execution.call(&mut hold.shards(), args, &mut self.reply),
            Held::Transaction => {
                held::with_running(|running| self.execution.call(&mut running.shards(), args, &mut self.reply))
            }
        }
    }
}

/// Why a command was not begun.
pub enum NotBegun {
    Refused(CommandError),
    /// It is to wait for the end of a pause.
    PutOff,
}

/// Takes the shards of a command and begins it, in this thread. Returns the call's number, and its time.
pub fn begin(
    py: Python<'_>,
    shared: &Arc<Shared>,
    entry: &Entry,
    reach: Reach,
    by: CalledBy,
    in_transaction: bool,
) -> Result<(u64, i64), NotBegun> {
    let number = NUMBER.fetch_add(1, Relaxed);
    let start = |held: Held, reach: Reach, by: CalledBy| {
        let now_ms = held::now_ms(shared);
        let execution = Execution::new(shared, &entry.name, entry.flags, reach, by, now_ms);
        let (unit, bytes) = (Unit::begin(), memory::data_bytes());
        let current = Current { number, execution, held, unit, bytes, reply: Vec::new() };
        CURRENT.set(Some(current));
        now_ms
    };
    let wanted = reach.shards(shared);
    let now_ms = if in_transaction {
        start(Held::Transaction, reach, by)
    } else {
        match with_aside(without_lock, || Engine::try_hold(Arc::clone(&shared.engine), wanted)) {
            Ok(hold) => start(Held::Own(hold), reach, by),
            // Whoever holds them may be waiting for the interpreter's lock.
            Err(_) => py.detach(|| start(Held::Own(Engine::hold(Arc::clone(&shared.engine), wanted)), reach, by)),
        }
    };
    let may_begin = CURRENT.with_borrow_mut(|current| match current {
        Some(Current { execution, .. }) if execution.is_put_off() => Err(NotBegun::PutOff),
        Some(Current { execution, held: Held::Own(hold), .. }) => {
            execution.may_begin(&mut hold.shards()).map_err(NotBegun::Refused)
        }
        // Room for a transaction was made before it began.
        _ => Ok(()),
    });
    if let Err(error) = may_begin {
        end();
        return Err(error);
    }
    Ok((number, now_ms))
}

/// Executes what others have brought to shards meanwhile: it may be a script that waits for another thread of Python's.
fn without_lock(work: &mut (dyn FnMut() + Send)) {
    Python::attach(|py| py.detach(work));
}

/// Ends the command of this thread, and lets go of its shards. Returns the journal's segment that it is in, 0 if it has written
/// nothing or is in a transaction.
pub fn end() -> Ticket {
    let Some(Current { execution, held, unit, bytes, reply, .. }) = CURRENT.take() else { return 0 };
    drop((unit, reply));
    match held {
        Held::Own(mut hold) => {
            // Of what was allocated since, only that by data commands is the shards'.
            let others = memory::data_bytes() - bytes - execution.allocated();
            hold.discount_since(memory::data_bytes() - others);
            with_aside(without_lock, || drop(hold));
            journal::last_ticket()
        }
        Held::Transaction => {
            held::with_running(|running| running.count_allocated(execution.allocated()));
            0
        }
    }
}

/// One execution of a command, in its eyes.
#[pyclass(frozen, module = "sherd._native")]
pub struct Call {
    number: u64,
    functions: Arc<Functions>,
    #[pyo3(get)]
    command: String,
    #[pyo3(get)]
    db: u16,
    #[pyo3(get)]
    client_id: Option<u64>,
    #[pyo3(get)]
    now_ms: i64,
    #[pyo3(get)]
    in_multi: bool,
}

impl Call {
    /// The call of a command that [`begin`] has begun.
    pub fn new(
        functions: &Arc<Functions>,
        entry: &Entry,
        by: &CalledBy,
        (number, now_ms): (u64, i64),
        in_multi: bool,
    ) -> Call {
        Call {
            number,
            functions: Arc::clone(functions),
            command: entry.name.to_string(),
            db: by.db,
            client_id: by.record.as_ref().map(|record| record.id),
            now_ms,
            in_multi,
        }
    }
}

#[pymethods]
impl Call {
    #[pyo3(signature = (*args))]
    fn __call__<'py>(&self, py: Python<'py>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        if args.is_empty() {
            return Err(PyTypeError::new_err("a call has at least the name of a command"));
        }
        let args: Vec<Bound<'py, PyAny>> = args.iter().collect();
        let arguments = Arguments::new(&args)?;
        let words = arguments.all();
        // Nothing in here runs Python code, which could call again.
        let result = CURRENT.with_borrow_mut(|current| match current {
            Some(current) if current.number == self.number => {
                Ok(current.call(&words).map(|()| std::mem::take(&mut current.reply)))
            }
            _ => Err(PyRuntimeError::new_err("this call belongs to a command that has ended, or to another thread")),
        })?;
        let reply = result.map_err(|error| self.functions.types.raised(py, error.0.as_bytes()))?;
        let value = read(py, &self.functions.types, &reply);
        CURRENT.with_borrow_mut(|current| {
            if let Some(current) = current {
                current.reply = reply;
            }
        });
        value
    }

    fn __repr__(&self) -> String {
        format!("<call of {}>", self.command)
    }
}
