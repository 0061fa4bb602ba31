//! Values between RESP and Python: replies of data commands as Python has them, and what a command returns as a reply.
//!
//! Data commands that an extension calls answer in RESP3, whose types say what redis-py's users know by command: HGETALL is a
//! dictionary, SMEMBERS a set, a score a float.

use pyo3::exceptions::{PyRecursionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
};

use sherd_shards::handler::reply::Reply;

/// How deep a command's value may be nested.
const DEPTH_MAX: usize = 64;

/// Classes of Python's that replies are made of.
pub struct Types {
    /// An error: raised where a call answers one, an element within an array.
    pub command_error: Py<PyAny>,
    /// A status, which is a `str`.
    pub status: Py<PyAny>,
    /// An error as a value, which is a `str`.
    pub error: Py<PyAny>,
    /// The one status that nearly all are.
    pub ok: Py<PyAny>,
}

impl Types {
    /// From `(CommandError, Status, Error)`.
    pub fn new(py: Python<'_>, (command_error, status, error): (Py<PyAny>, Py<PyAny>, Py<PyAny>)) -> PyResult<Types> {
        let ok = status.call1(py, ("OK",))?;
        Ok(Types { command_error, status, error, ok })
    }

    /// An exception with the text of an error reply.
    pub fn raised(&self, py: Python<'_>, text: &[u8]) -> PyErr {
        match self.command_error.bind(py).call1((String::from_utf8_lossy(text),)) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    }
}

// ----- from RESP -----

/// Reads a whole reply of this server's own. An error is raised.
pub fn read<'py>(py: Python<'py>, types: &Types, reply: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if let Some(text) = reply.strip_prefix(b"-") {
        return Err(types.raised(py, text.strip_suffix(b"\r\n").unwrap_or(text)));
    }
    Reader { rest: reply, types }.value(py)
}

struct Reader<'a> {
    rest: &'a [u8],
    types: &'a Types,
}

fn number(line: &[u8]) -> i64 {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| byte == b'\r').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let bytes = self.rest.get(..length).unwrap_or_default();
        self.rest = self.rest.get(length + 2..).unwrap_or_default();
        bytes
    }

    fn value<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let line = self.line();
        let Some((kind, line)) = line.split_first() else { return Ok(py.None().into_bound(py)) };
        let length = || usize::try_from(number(line)).ok();
        Ok(match kind {
            b':' => number(line).into_pyobject(py)?.into_any(),
            b'$' => match length() {
                Some(length) => PyBytes::new(py, self.bytes(length)).into_any(),
                None => py.None().into_bound(py),
            },
            // The format and a colon stand before the text.
            b'=' => PyBytes::new(py, self.bytes(length().unwrap_or_default()).get(4..).unwrap_or_default()).into_any(),
            b'+' if line == b"OK" => self.types.ok.bind(py).clone(),
            b'+' => self.types.status.bind(py).call1((String::from_utf8_lossy(line),))?,
            b'-' => self.types.command_error.bind(py).call1((String::from_utf8_lossy(line),))?,
            b',' => {
                let text = std::str::from_utf8(line).unwrap_or_default();
                PyFloat::new(py, text.parse().unwrap_or(f64::NAN)).into_any()
            }
            b'#' => PyBool::new(py, line == b"t").to_owned().into_any(),
            b'*' | b'>' => match length() {
                Some(length) => self.list(py, length)?.into_any(),
                None => py.None().into_bound(py),
            },
            b'~' => self.set(py, length().unwrap_or_default())?,
            b'%' => self.map(py, length().unwrap_or_default())?,
            _ => py.None().into_bound(py),
        })
    }

    fn list<'py>(&mut self, py: Python<'py>, length: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for _ in 0..length {
            list.append(self.value(py)?)?;
        }
        Ok(list)
    }

    /// A list where a member cannot be one of Python's set, as a list cannot.
    fn set<'py>(&mut self, py: Python<'py>, length: usize) -> PyResult<Bound<'py, PyAny>> {
        let members = self.list(py, length)?;
        match PySet::new(py, members.iter()) {
            Ok(set) => Ok(set.into_any()),
            Err(error) if error.is_instance_of::<PyTypeError>(py) => Ok(members.into_any()),
            Err(error) => Err(error),
        }
    }

    fn map<'py>(&mut self, py: Python<'py>, pairs: usize) -> PyResult<Bound<'py, PyAny>> {
        let map = PyDict::new(py);
        for _ in 0..pairs {
            let key = self.value(py)?;
            map.set_item(key, self.value(py)?)?;
        }
        Ok(map.into_any())
    }
}

// ----- to RESP -----

/// Writes what a command has returned. A value that no reply can be made of is a `TypeError`.
pub fn write(types: &Types, value: &Bound<'_, PyAny>, reply: &mut Reply<'_>) -> PyResult<()> {
    write_nested(types, value, reply, 0)
}

fn write_nested(types: &Types, value: &Bound<'_, PyAny>, reply: &mut Reply<'_>, depth: usize) -> PyResult<()> {
    if depth > DEPTH_MAX {
        return Err(PyRecursionError::new_err("a reply is nested too deeply"));
    }
    // The order matters: bool is an int, a status and an error are str.
    if value.is_none() {
        reply.null();
    } else if let Ok(value) = value.cast::<PyBool>() {
        reply.boolean(value.is_true());
    } else if let Ok(value) = value.cast::<PyInt>() {
        write_int(value, reply)?;
    } else if let Ok(value) = value.cast::<PyBytes>() {
        reply.bulk(value.as_bytes());
    } else if let Ok(value) = value.cast::<PyString>() {
        write_text(types, value, reply)?;
    } else if let Ok(value) = value.cast::<PyFloat>() {
        reply.double(value.value());
    } else if let Ok(value) = value.cast::<PyTuple>() {
        write_items(types, value, reply, depth)?;
    } else if let Ok(value) = value.cast::<PyList>() {
        // Others may change it meanwhile, where there is no interpreter's lock: what is announced must be what follows.
        write_items(types, &value.to_tuple(), reply, depth)?;
    } else if let Ok(value) = value.cast::<PyDict>() {
        let value = value.copy()?;
        reply.map(value.len());
        for (key, item) in value.iter() {
            write_nested(types, &key, reply, depth + 1)?;
            write_nested(types, &item, reply, depth + 1)?;
        }
    } else if value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>() {
        let members = ordered(value)?;
        reply.set(members.len());
        for member in members.iter() {
            write_nested(types, &member, reply, depth + 1)?;
        }
    } else if let Ok(value) = value.cast::<PyByteArray>() {
        reply.bulk(&value.to_vec());
    } else if value.is_instance(types.command_error.bind(value.py()))? {
        reply.error_bytes(&text_of(value.str()?.as_any())?);
    } else {
        let kind = value.get_type();
        return Err(PyTypeError::new_err(format!(
            "a {} is no reply: None, bool, int, float, bytes, str, list, tuple, dict and set are",
            kind.name()?
        )));
    }
    Ok(())
}

fn write_items(types: &Types, items: &Bound<'_, PyTuple>, reply: &mut Reply<'_>, depth: usize) -> PyResult<()> {
    reply.array(items.len());
    for item in items.iter() {
        write_nested(types, &item, reply, depth + 1)?;
    }
    Ok(())
}

fn write_int(value: &Bound<'_, PyInt>, reply: &mut Reply<'_>) -> PyResult<()> {
    match value.extract::<i64>() {
        Ok(number) => reply.int(number),
        // Beyond 64 bits: the digits, as clients of RESP2 get them from other servers.
        Err(_) => reply.bulk(&text_of(value.str()?.as_any())?),
    }
    Ok(())
}

fn write_text(types: &Types, value: &Bound<'_, PyString>, reply: &mut Reply<'_>) -> PyResult<()> {
    let text = text_of(value.as_any())?;
    if value.is_exact_instance_of::<PyString>() {
        reply.bulk(&text);
    } else if value.is_instance(types.status.bind(value.py()))? {
        let text = String::from_utf8_lossy(&text);
        reply.simple(&text.replace(['\r', '\n'], " "));
    } else if value.is_instance(types.error.bind(value.py()))? {
        reply.error_bytes(&text);
    } else {
        reply.bulk(&text);
    }
    Ok(())
}

/// The bytes of a `str`. Those that came in undecodable go out unchanged (surrogateescape).
fn text_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = value.cast::<PyString>().map_err(PyErr::from).and_then(|text| text.to_str().map(str::to_owned)) {
        return Ok(text.into_bytes());
    }
    let bytes = value.call_method1("encode", ("utf-8", "surrogateescape"))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// A set in an order that does not differ from reply to reply, where its members have one.
fn ordered<'py>(set: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let members = PyList::empty(set.py());
    for member in set.try_iter()? {
        members.append(member?)?;
    }
    if let Err(error) = members.sort() {
        if !error.is_instance_of::<PyTypeError>(set.py()) {
            return Err(error);
        }
    }
    Ok(members)
}

// ----- arguments of calls -----

/// The arguments of a data command that an extension calls.
pub struct Arguments<'a> {
    pieces: Vec<Piece<'a>>,
    /// Those that had to be written.
    text: Vec<u8>,
}

enum Piece<'a> {
    Bytes(&'a [u8]),
    Text(std::ops::Range<usize>),
}

impl<'a> Arguments<'a> {
    /// Takes `bytes`, `str`, `int` and `float`, as redis-py does.
    pub fn new(args: &'a [Bound<'_, PyAny>]) -> PyResult<Arguments<'a>> {
        let mut arguments = Arguments { pieces: Vec::with_capacity(args.len()), text: Vec::new() };
        for arg in args {
            let piece = match arg.cast::<PyBytes>() {
                Ok(bytes) => Piece::Bytes(bytes.as_bytes()),
                Err(_) => {
                    let start = arguments.text.len();
                    write_argument(arg, &mut arguments.text)?;
                    Piece::Text(start..arguments.text.len())
                }
            };
            arguments.pieces.push(piece);
        }
        Ok(arguments)
    }

    /// All of them, the command's name first.
    pub fn all(&'a self) -> Vec<&'a [u8]> {
        let bytes = |piece: &'a Piece<'a>| match piece {
            Piece::Bytes(bytes) => *bytes,
            Piece::Text(range) => &self.text[range.clone()],
        };
        self.pieces.iter().map(bytes).collect()
    }
}

fn write_argument(arg: &Bound<'_, PyAny>, text: &mut Vec<u8>) -> PyResult<()> {
    if arg.is_instance_of::<PyString>() {
        text.extend_from_slice(&text_of(arg)?);
    } else if arg.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err("a bool is no argument of a command: say what it stands for, as int(value)"));
    } else if arg.is_instance_of::<PyInt>() {
        text.extend_from_slice(&text_of(arg.str()?.as_any())?);
    } else if arg.is_instance_of::<PyFloat>() {
        text.extend_from_slice(&text_of(arg.repr()?.as_any())?);
    } else if let Ok(bytes) = arg.cast::<PyByteArray>() {
        text.extend_from_slice(&bytes.to_vec());
    } else {
        let message =
            format!("a {} is no argument of a command: bytes, str, int and float are", arg.get_type().name()?);
        return Err(PyTypeError::new_err(message));
    }
    Ok(())
}
