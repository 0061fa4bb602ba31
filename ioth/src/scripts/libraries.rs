//! Libraries of functions in the server: loaded in this thread's runtime, kept for all.

use std::borrow::Cow;
use std::time::Duration;

use sherd_scripts::functions::library::{Function, Library};
use sherd_scripts::functions::table::{Found, Join, Known};
use sherd_scripts::host::{Called, Host, Interruption};
use sherd_scripts::pool::{self, Own, Use};
use sherd_shards::handler::error::{CommandError, Outcome};
use sherd_shards::handler::reply::Protocol;
use sherd_shards::handler::scripting::{FunctionFacts, LibraryFacts, RestorePolicy};
use sherd_shards::threads;

use super::host::add_to_log;
use super::unavailable;
use crate::shared::Shared;

pub const BAD_KEYS: CommandError = CommandError::new("ERR Bad number of keys provided");
const NO_FUNCTION: CommandError = CommandError::new("ERR Function not found");

/// How long a library's code may run that FUNCTION LOAD brings, as in Redis. All shards are held meanwhile.
const LOAD_MAX: Duration = Duration::from_millis(500);
/// Libraries whose freeing is worth a thread.
const LAZILY_MIN: usize = 100;

/// What a library may do while it is loaded: write to the log.
struct Loader<'a>(&'a Shared);

impl Host for Loader<'_> {
    // There is no `redis.call` in what it sees.
    fn call(&mut self, _: &[&[u8]], _: Protocol, _: &mut Vec<u8>) -> Called {
        Called::Stop
    }

    fn logs(&self, _: u8) -> bool {
        true
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        add_to_log(self.0, level, text);
    }

    fn may_call(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }

    fn set_replication(&mut self, _: u8) {}

    fn interruption(&mut self) -> Interruption {
        Interruption::None
    }
}

fn error(text: String) -> CommandError {
    CommandError::with(format!("ERR {text}"))
}

/// A function by its name.
pub fn find(shared: &Shared, own: &Own, name: &[u8]) -> Result<Found, CommandError> {
    own.with_recent_functions(|recent| recent.find(&shared.scripts.libraries, name)).ok_or(NO_FUNCTION)
}

/// The library of a source, with what it registers.
fn loaded(shared: &Shared, library: Library, at_most: Option<Duration>) -> Result<Library, CommandError> {
    let load = pool::with_runtime(Use::Functions, |runtime| {
        runtime.follow(&shared.scripts.libraries);
        runtime.load(&library, Some(&mut Loader(shared)), at_most)
    });
    let functions = load.map_err(|reason| unavailable(&reason))?;
    let functions = functions.map_err(|text| error(String::from_utf8_lossy(&text).into_owned()))?;
    Ok(library.with_functions(functions))
}

/// FUNCTION LOAD; returns the library's name.
pub fn load(shared: &Shared, source: &[u8], replace: bool) -> Result<Vec<u8>, CommandError> {
    let libraries = &shared.scripts.libraries;
    let library = Library::of_source(source).map_err(error)?;
    let name = library.name.to_vec();
    if !replace && libraries.has(&name) {
        return Err(error(format!("Library '{}' already exists", String::from_utf8_lossy(&name))));
    }
    let library = loaded(shared, library, Some(LOAD_MAX))?;
    libraries.add(library, replace).map_err(error)?;
    Ok(name)
}

/// Loads the libraries of a payload or a file, all or none.
pub fn restore(shared: &Shared, sources: &[Cow<'_, [u8]>], policy: RestorePolicy) -> Outcome {
    let mut known = Known::default();
    for source in sources {
        let library = Library::of_source(source).map_err(error)?;
        known.add(loaded(shared, library, None)?, false).map_err(error)?;
    }
    let how = match policy {
        RestorePolicy::Flush => Join::Flush,
        RestorePolicy::Append => Join::Append,
        RestorePolicy::Replace => Join::Replace,
    };
    shared.scripts.libraries.join(known, how).map_err(error)
}

/// Removes all libraries.
pub fn flush(shared: &Shared, lazily: bool) {
    let is_worth_it = lazily && shared.scripts.libraries.numbers().libraries > LAZILY_MIN;
    let removed = shared.scripts.libraries.flush();
    if is_worth_it {
        threads::start_or_run("sherd-libraries", move || drop(removed));
    }
}

/// All libraries, as FUNCTION LIST tells of them.
pub fn facts(shared: &Shared) -> Vec<LibraryFacts> {
    let of_library = |library: &Library| LibraryFacts {
        name: library.name.to_vec(),
        source: library.source.to_vec(),
        functions: library.functions.iter().map(of_function).collect(),
    };
    shared.scripts.libraries.all().iter().map(|library| of_library(library)).collect()
}

fn of_function(function: &Function) -> FunctionFacts {
    FunctionFacts {
        name: function.name.to_vec(),
        description: function.description.as_ref().map(|text| text.to_vec()),
        flags: function.flags.names().collect(),
    }
}
