//! Runtimes for scripts: made by Python through lupa and handed over here, or made here in another library's Lua.

use std::ffi::{c_int, c_void};
use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use sherd_scripts::api::{self, State};
use sherd_scripts::pool;
use sherd_scripts::runtime::Runtime;

/// Loaded into a runtime by `package.loadlib`: returns the address of its state. This is how the data plane comes by a state
/// that lupa has made, and Lua's one way to this module.
///
/// # Safety
/// Called by Lua, of the module that [`load_lua`] was given.
#[no_mangle]
pub unsafe extern "C-unwind" fn sherd_lua_state(state: *mut State) -> c_int {
    // An address of user space is exact as a double.
    // SAFETY: a function that Lua calls may push; the API was loaded before the runtime got here.
    unsafe { (api::api().lua_pushnumber)(state, state as usize as f64) };
    1
}

/// Finds Lua's C API in the extension module of lupa at a path, or in another shared library.
#[pyfunction]
pub fn load_lua(path: PathBuf) -> PyResult<()> {
    api::load(&path).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// Says that nobody makes runtimes any longer: [`wait_for_runtime_demand`] returns 0.
#[pyfunction]
pub fn dismiss_runtime_maker() {
    pool::dismiss_maker();
}

/// Says that there will be a thread in [`wait_for_runtime_demand`].
#[pyfunction]
pub fn announce_runtime_maker() {
    pool::announce_maker();
}

/// Waits until threads need runtimes, and returns how many; 0 when nobody is to make any longer.
#[pyfunction]
pub fn wait_for_runtime_demand(py: Python<'_>) -> usize {
    py.detach(pool::wait_for_demand)
}

/// Takes over the state at an address, which may have so many bytes in all. Its owner is never freed: scripts run in it until the process ends.
#[pyfunction]
pub fn add_runtime(owner: Py<PyAny>, address: usize, memory_bytes_max: usize) -> PyResult<()> {
    // SAFETY: the address is what `sherd_lua_state` has returned for the runtime that is leaked here, which nobody uses in Python
    // any more.
    let runtime = unsafe {
        let state = address as *mut c_void as *mut State;
        Runtime::adopt(state, memory_bytes_max, &sherd_ioth::commands::script_versions())
    };
    std::mem::forget(owner);
    pool::add(runtime.map_err(PyRuntimeError::new_err)?);
    Ok(())
}

/// Makes a runtime in the library that [`load_lua`] has found, whose states need not be lupa's; it may allocate so much.
#[pyfunction]
pub fn make_runtime(memory_bytes_max: usize) -> PyResult<()> {
    let runtime = Runtime::make(memory_bytes_max, &sherd_ioth::commands::script_versions());
    pool::add(runtime.map_err(PyRuntimeError::new_err)?);
    Ok(())
}

/// Says that no runtimes can be made, and why.
#[pyfunction]
pub fn fail_runtimes(reason: String) {
    pool::fail(reason);
}
