//! `sherd._native.TlsConnection`: an encrypted connection to another server, which the control plane speaks over: to the target of
//! MIGRATE all the time, to a primary until a link takes it over.
//!
//! Nothing waits here: the control plane polls the descriptor. What comes behind a handshake may be decrypted with it, and is kept.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyConnectionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use sherd_ioth::net::link_socket::LinkSocket;
use sherd_ioth::net::tls::{Decrypted, TlsStream};
use sherd_ioth::net::tls_config::server_name;
use sherd_ioth::shared::Shared;

/// See the [module](self).
#[pyclass(frozen, module = "sherd._native")]
pub struct TlsConnection(Mutex<Option<Open>>);

/// The stream, and what was decrypted and not taken yet.
struct Open {
    stream: Box<TlsStream>,
    received: Vec<u8>,
}

fn failed(reason: impl ToString) -> PyErr {
    PyConnectionError::new_err(reason.to_string())
}

impl TlsConnection {
    /// Takes over a connected socket that does not block and that nobody else closes, to begin TLS over it with a host.
    pub fn new(shared: &Shared, descriptor: i32, host: &str) -> PyResult<TlsConnection> {
        // SAFETY: the control plane has detached it from its own socket object and hands it over here once.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let config = shared.tls_links().ok_or_else(|| PyValueError::new_err("links are not encrypted"))?;
        let stream = TlsStream::to_server(socket, config, server_name(host)).map_err(failed)?;
        Ok(TlsConnection(Mutex::new(Some(Open { stream: Box::new(stream), received: Vec::new() }))))
    }

    /// Gives the stream away, with what has come over it that nobody has taken.
    pub fn take(&self) -> PyResult<(LinkSocket, Vec<u8>)> {
        let open = self.lock().take().ok_or_else(|| failed("it was closed"))?;
        Ok((LinkSocket::encrypted(open.stream), open.received))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Open) -> PyResult<R>) -> PyResult<R> {
        work(self.lock().as_mut().ok_or_else(|| failed("it was closed"))?)
    }
}

#[pymethods]
impl TlsConnection {
    fn fileno(&self) -> PyResult<i32> {
        self.with(|open| Ok(open.stream.as_fd().as_raw_fd()))
    }

    fn shake_hands(&self) -> PyResult<bool> {
        self.with(|Open { stream, received }| {
            stream.flush().map_err(failed)?;
            if stream.is_handshaking() {
                if let Decrypted::Closed = stream.receive(received) {
                    return Err(failed(stream.take_trouble().unwrap_or_else(|| "the server has gone".to_owned())));
                }
            }
            Ok(!stream.is_handshaking())
        })
    }

    fn send(&self, data: &[u8]) -> PyResult<usize> {
        self.with(|open| open.stream.send(data).map_err(failed))
    }

    fn flush(&self) -> PyResult<bool> {
        self.with(|open| {
            open.stream.flush().map_err(failed)?;
            Ok(open.stream.backlog() == 0)
        })
    }

    fn receive<'py>(&self, py: Python<'py>, at_most: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.with(|Open { stream, received }| {
            if received.is_empty() {
                match stream.receive(received) {
                    Decrypted::Nothing | Decrypted::Bytes(0, _) => return Ok(None),
                    Decrypted::Bytes(..) => {}
                    Decrypted::Closed => match stream.take_trouble() {
                        Some(reason) => return Err(failed(reason)),
                        None => return Ok(Some(PyBytes::new(py, b""))),
                    },
                }
            }
            let taken: Vec<u8> = received.drain(..at_most.min(received.len())).collect();
            Ok(Some(PyBytes::new(py, &taken)))
        })
    }

    fn close(&self) {
        self.lock().take();
    }
}
