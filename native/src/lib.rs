//! The one binding between the data plane and Python, and the one extension module.
//!
//! Python calls down through [`server::Server`]; nothing here or below ever calls Python or takes the GIL on its own.
//! What may take long lets go of the GIL first.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::Counting;
use sherd_shards::glob;
use sherd_shards::keyspace::events::class;

mod access;
mod append;
mod certificates;
mod check_progress;
mod commands;
mod execute;
mod extensions;
mod held;
mod persistence;
mod replicas;
mod replication;
mod request;
mod scripts;
mod server;
mod settings;
mod slots;
mod snapshot;
mod tls;
mod tls_connection;
mod transfer;

/// Rounds small allocations to 8 bytes, which the layout of keyspace entries is made for.
#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

/// Bytes allocated by the native side now.
#[pyfunction]
fn used_memory() -> usize {
    sherd_metrics::memory::used_bytes()
}

/// The places of the texts that a glob pattern matches, in their order.
#[pyfunction]
#[pyo3(signature = (pattern, texts, ignore_case=false))]
fn glob_filter(pattern: &[u8], texts: Vec<PyBackedBytes>, ignore_case: bool) -> Vec<usize> {
    let matches = if ignore_case { glob::matches_ignoring_case } else { glob::matches };
    (0..texts.len()).filter(|&place| matches(pattern, &texts[place])).collect()
}

/// The names of all keyspace events.
#[pyfunction]
fn event_names() -> Vec<&'static str> {
    class::EVENTS.iter().flat_map(|(_, events)| events.iter().copied()).collect()
}

/// The hash slot of a key.
#[pyfunction]
fn key_slot(key: &[u8]) -> u16 {
    sherd_shards::slot::slot_of(key)
}

/// Exclusive upper bounds of the latency histogram's buckets in nanoseconds.
#[pyfunction]
fn histogram_bounds() -> Vec<u64> {
    (0..sherd_metrics::histogram::BUCKETS).map(sherd_metrics::histogram::upper_bound).collect()
}

/// Says whether the kernel may give this process huge pages by its own choice, and whether those that are worth it are to be
/// gathered; false where it knows no such wishes.
#[pyfunction]
fn choose_huge_pages(automatic: bool, gathers: bool) -> bool {
    sherd_ioth::kernel::huge_pages::choose(automatic, gathers)
}

/// Looks whether there are huge pages to be gathered; a server that is quiet uses no pages anew.
#[pyfunction]
fn look_for_huge_pages(quiet: bool) {
    sherd_ioth::kernel::huge_pages::look(quiet);
}

/// Bytes that were gathered in huge pages, whatever has become of them.
#[pyfunction]
fn huge_pages_gathered_bytes() -> u64 {
    sherd_ioth::kernel::huge_pages::gathered_bytes()
}

/// Asks the kernel for a time slice for the calling thread: a short one for a thread that mostly sleeps.
#[pyfunction]
fn set_time_slice(microseconds: u32) {
    sherd_ioth::kernel::schedule::set_time_slice(std::time::Duration::from_micros(microseconds.into()));
}

/// The native engine.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    sherd_metrics::loading_thread::forget_when_it_ends();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("redis_version", sherd_ioth::commands::REDIS_VERSION)?;
    module.add_function(wrap_pyfunction!(used_memory, module)?)?;
    module.add_function(wrap_pyfunction!(glob_filter, module)?)?;
    module.add_function(wrap_pyfunction!(event_names, module)?)?;
    module.add_function(wrap_pyfunction!(key_slot, module)?)?;
    module.add_function(wrap_pyfunction!(histogram_bounds, module)?)?;
    module.add_function(wrap_pyfunction!(choose_huge_pages, module)?)?;
    module.add_function(wrap_pyfunction!(look_for_huge_pages, module)?)?;
    module.add_function(wrap_pyfunction!(huge_pages_gathered_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(set_time_slice, module)?)?;
    module.add_function(wrap_pyfunction!(certificates::make_certificates, module)?)?;
    module.add_function(wrap_pyfunction!(commands::register_commands, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::load_lua, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::announce_runtime_maker, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::dismiss_runtime_maker, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::wait_for_runtime_demand, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::add_runtime, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::make_runtime, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::fail_runtimes, module)?)?;
    module.add_function(wrap_pyfunction!(commands::command_count, module)?)?;
    module.add_function(wrap_pyfunction!(commands::command_table, module)?)?;
    module.add_function(wrap_pyfunction!(commands::key_positions, module)?)?;
    module.add_function(wrap_pyfunction!(settings::setting_table, module)?)?;
    module.add_class::<check_progress::CheckProgress>()?;
    module.add_function(wrap_pyfunction!(persistence::check_rdb, module)?)?;
    module.add_function(wrap_pyfunction!(append::check_append, module)?)?;
    module.add_class::<server::Server>()?;
    module.add_class::<request::Request>()?;
    module.add_class::<replication::PrimaryLink>()?;
    module.add_class::<tls_connection::TlsConnection>()?;
    module.add_class::<replicas::Replicas>()?;
    module.add_class::<extensions::call::Call>()?;
    Ok(())
}
