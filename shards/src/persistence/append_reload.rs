//! Reading the append-only file again while the server runs: DEBUG LOADAOF.

use std::path::PathBuf;

use super::append_file::AppendFile;
use super::append_loader::{self, Loaded};
use super::loader::{self, Fault};
use super::mapped;
use crate::handler::access::Shards;
use crate::handler::scripting::{self, RestorePolicy};
use crate::server::pause::{Condition, Pause};
use crate::server::world::World;

/// The files, with everything written that was executed so far. All shards are held.
fn written_files(world: &World) -> Result<Vec<PathBuf>, String> {
    let (sink, paths) = world.append_files.all().ok_or("there is no append-only file that has all data")?;
    let is_written = world.journal.ask(move |feed| feed.sink::<AppendFile>(sink).is_some_and(AppendFile::write_all));
    if is_written != Some(true) {
        return Err("the append-only file cannot be written".to_owned());
    }
    Ok(paths)
}

/// Says that the data are being loaded, until it is dropped.
struct IsLoading<'p>(&'p Pause);

impl<'p> IsLoading<'p> {
    fn begin(pause: &'p Pause) -> IsLoading<'p> {
        pause.set_condition(Condition::Loading, true);
        IsLoading(pause)
    }
}

impl Drop for IsLoading<'_> {
    fn drop(&mut self) {
        self.0.set_condition(Condition::Loading, false);
    }
}

/// Replaces all data by what the append-only file has, for which all shards are held. Where that fails before anything was loaded,
/// nothing has happened; else what was loaded before stays.
pub fn load_again(shards: &mut Shards<'_>, world: &World) -> Result<(), String> {
    // What this thread has executed and not handed over belongs to the file as well.
    let (_, taken) = world.journal.hand_over();
    shards.first().stats.discount_bytes(taken);
    let paths = written_files(world)?;
    let mut maps = Vec::with_capacity(paths.len());
    for path in paths {
        let map = mapped::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        maps.extend(map.map(|map| (path, map)));
    }
    let _is_loading = IsLoading::begin(&world.pause);
    world.journal.without_recording(|| {
        loader::empty(shards, world.settings.lazyfree_lazy_user_flush.on());
        forget_functions(world)?;
        for (path, map) in &maps {
            let loaded = append_loader::load_held(shards, world, map);
            told(&loaded).map_err(|what| format!("{}: {what}", path.display()))?;
        }
        Ok(())
    })
}

fn forget_functions(world: &World) -> Result<(), String> {
    let Some(scripting) = scripting::of(world).filter(|scripting| !scripting.libraries().is_empty()) else {
        return Ok(());
    };
    scripting.restore_libraries(&[], RestorePolicy::Flush).map_err(|error| error.0.into_owned())
}

fn told(loaded: &Loaded) -> Result<(), String> {
    match &loaded.fault {
        None => Ok(()),
        Some(Fault { offset, what, .. }) => Err(format!("{what} (at byte {offset})")),
    }
}
