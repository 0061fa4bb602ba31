//! How far a file is that is looked through.

use std::sync::atomic::Ordering::Relaxed;

use pyo3::prelude::*;

use sherd_shards::persistence::loader;

/// See the [module](self); read by other threads than the one that looks.
#[pyclass(frozen, module = "sherd._native")]
#[derive(Default)]
pub struct CheckProgress(pub loader::Progress);

#[pymethods]
impl CheckProgress {
    #[new]
    fn new() -> CheckProgress {
        CheckProgress::default()
    }

    /// Bytes that were looked through, and all that there are; 0 before it begins.
    fn bytes(&self) -> (u64, u64) {
        (self.0.bytes.load(Relaxed), self.0.total.load(Relaxed))
    }
}
