//! What the data plane declares of its settings, for Python.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use sherd_shards::server::settings::{Settings, Values};

/// Every setting that can be configured.
#[pyfunction]
pub fn setting_table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let rows = PyList::empty(py);
    for declaration in Settings::DECLARED {
        let (least, greatest) = declaration.values.bounds();
        let numbers = PyDict::new(py);
        match declaration.values {
            Values::Switch | Values::Number(..) => {}
            Values::Words(words) => {
                words.iter().enumerate().try_for_each(|(number, word)| numbers.set_item(word, number))?;
            }
            Values::Letters(letters) => {
                letters.iter().try_for_each(|(letter, bits)| numbers.set_item(letter, bits))?;
            }
        }
        let row = PyDict::new(py);
        row.set_item("name", declaration.name)?;
        row.set_item("default", declaration.default)?;
        row.set_item("least", least)?;
        row.set_item("greatest", greatest)?;
        row.set_item("numbers", numbers)?;
        row.set_item("adds_up", matches!(declaration.values, Values::Letters(_)))?;
        rows.append(row)?;
    }
    Ok(rows)
}
