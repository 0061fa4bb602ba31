//! `sherd._native.Request`: what the data plane asks of the control plane.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use sherd_ioth::shared::message::ControlRequest;
use sherd_shards::command::spec::Plane;

/// One control request; immutable.
#[pyclass(frozen, module = "sherd._native")]
pub struct Request(pub ControlRequest);

#[pymethods]
impl Request {
    #[getter]
    fn token(&self) -> u64 {
        self.0.token.to_bits()
    }

    #[getter]
    fn args<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.args.iter().map(|arg| PyBytes::new(py, arg)).collect()
    }

    #[getter]
    fn command(&self) -> &'static str {
        self.0.command.spec.name
    }

    #[getter]
    fn is_extension(&self) -> bool {
        matches!(self.0.command.spec.plane, Plane::Extension)
    }

    #[getter]
    fn client_id(&self) -> u64 {
        self.0.record.id
    }

    #[getter]
    fn wait(&self) -> u64 {
        self.0.wait
    }

    #[getter]
    fn user<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.record.user().name)
    }

    #[getter]
    fn db(&self) -> u16 {
        self.0.db
    }

    #[getter]
    fn resp(&self) -> u8 {
        self.0.protocol.number()
    }

    #[getter]
    fn address(&self) -> &str {
        &self.0.record.address
    }

    #[getter]
    fn local_address(&self) -> &str {
        &self.0.record.local_address
    }

    #[getter]
    fn in_multi(&self) -> bool {
        self.0.in_multi
    }

    #[getter]
    fn queued(&self) -> Option<Vec<Request>> {
        Some(self.0.queued_requests()?.into_iter().map(Request).collect())
    }
}
