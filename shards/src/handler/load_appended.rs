//! The door to whoever loads the append-only file again, for DEBUG LOADAOF: what the commands' room is below.

use super::access::Shards;
use crate::server::world::World;

/// Replaces the data of all shards, which are held, by what the append-only file has; why not, if it cannot.
pub type LoadAppended = fn(&mut Shards<'_>, &World) -> Result<(), String>;

/// Says who does it; once, where the server is made.
pub fn install(world: &World, load: LoadAppended) {
    let _ = world.load_appended.set(Box::new(load));
}

/// Who does it, if anybody does.
pub fn of(world: &World) -> Option<LoadAppended> {
    world.load_appended.get()?.downcast_ref::<LoadAppended>().copied()
}
