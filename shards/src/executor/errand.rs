//! Work that needs one or several shards at a time and that a thread brings which must not wait for them.
//!
//! The bringer takes the batons if they are free and runs the errand itself. If one is not, the errand is left to the thread
//! of the shard that was busy ([`crate::executor::engine::Engine::leave_errand`]): nothing is lost there by waiting for that shard.

use crate::handler::access::Shards;
use crate::server::world::World;

/// See the [module](self). An errand is run once, by whichever thread has got its shards.
pub trait Errand: Send {
    /// The shards that it needs, as a bit set that is not empty.
    fn needs(&self) -> u64;

    /// Does the work; all needed shards are held. It must not wait for anything.
    fn run(&mut self, shards: &mut Shards<'_>, world: &World);

    /// The work has panicked; [`Errand::end`] tells so.
    fn panicked(&mut self);

    /// Tells whoever it concerns, when the shards have been let go.
    fn end(self: Box<Self>);
}

/// An errand that waits for a shard, and how often it was sent on from one busy shard to another.
pub(crate) struct Waiting {
    pub errand: Box<dyn Errand>,
    pub moves: u32,
}
