//! The shards of a script's commands: those that it has not got are taken on its way, and held until it ends.
//!
//! It may be that one of them is busy for long, or that its holder is a script which needs one of those that are held here. So
//! nothing here waits without a bound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sherd_scripts::host::{Host, Interruption};
use sherd_scripts::shebang::Flag;
use sherd_shards::command::registry::{Command, Route};
use sherd_shards::executor::engine::{while_others_are_held, Engine, Hold, Plea};
use sherd_shards::handler::error::CommandError;
use sherd_shards::slot::slot_of;
use sherd_types::table;

use super::ScriptHost;
use crate::shared::Shared;

const CROSS_SLOT: CommandError =
    CommandError::new("ERR Script attempted to access keys that do not hash to the same slot");
/// What a script is answered that needed a shard which stayed busy.
pub(super) const SHARDS_BUSY: CommandError =
    CommandError::new("TRYAGAIN The script needs a key that it has not named, in a shard that is busy. Try again");

/// How long a script that has written waits for a shard that it has not got.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// After so long it counts as one that takes long: others may be told that they cannot get its shards.
const LONG_WAIT: Duration = Duration::from_millis(100);
/// How long one waits while another script is waiting: that may be for a shard of this one.
const TURN_WAIT_MAX: Duration = Duration::from_millis(20);
const WAIT_STEP: Duration = Duration::from_micros(50);

/// Shards that a script has taken on its way. They are let go of before those that it was given.
#[derive(Default)]
pub(super) struct Taken(pub Vec<Hold<Arc<Engine>>>);

impl Drop for Taken {
    fn drop(&mut self) {
        while_others_are_held(|| self.0.clear());
    }
}

impl ScriptHost<'_, '_> {
    /// Sees to it that the shards of a command are held. Returns the first key's hash and slot where that is the only one.
    pub(super) fn reach(&mut self, command: &'static Command, args: &[&[u8]]) -> Result<(u64, u16), CommandError> {
        let map = self.shared.world.slots;
        let (wanted, first_key) = match command.route {
            Route::FirstKey => {
                let slot = map.slot(args[1]);
                self.check_slot(slot)?;
                (1u64 << map.shard_of(slot), (table::hash(args[1]), slot))
            }
            _ => {
                if self.shared.cluster {
                    let keys = command.spec.key_positions(args).unwrap_or_default();
                    keys.into_iter().try_for_each(|at| self.check_slot(slot_of(args[at])))?;
                }
                (command.shards_of(args, &map), (0, 0))
            }
        };
        if wanted & !self.named != 0 {
            self.has_left = true;
        }
        if wanted & !self.held != 0 {
            self.take(wanted & !self.held)?;
        }
        Ok(first_key)
    }

    /// In a cluster, a script that says what it does keeps to one slot, unless it says otherwise.
    fn check_slot(&mut self, slot: u16) -> Result<(), CommandError> {
        if !self.shared.cluster || self.flags.has(Flag::Compatible) || self.flags.has(Flag::AllowCrossSlotKeys) {
            return Ok(());
        }
        if *self.slot.get_or_insert(slot) == slot {
            Ok(())
        } else {
            Err(CROSS_SLOT)
        }
    }

    /// Takes shards on the way. A script that has not written begins again rather than wait for them; one that has cannot end without them.
    #[cold]
    fn take(&mut self, missing: u64) -> Result<(), CommandError> {
        let hold = while_others_are_held(|| self.wait_for(missing)).ok_or(SHARDS_BUSY)?;
        self.taken.0.push(hold);
        self.held |= missing;
        Ok(())
    }

    fn wait_for(&mut self, missing: u64) -> Option<Hold<Arc<Engine>>> {
        let shared: &Arc<Shared> = self.shared;
        let begins_again = self.may_begin_again();
        let deadline = Instant::now() + TURN_WAIT_MAX;
        loop {
            match Engine::try_hold(Arc::clone(&shared.engine), missing) {
                Ok(hold) => return Some(hold),
                Err(_) if begins_again => return None,
                Err(_) => {}
            }
            if let Some(plea) = Plea::begin(Arc::clone(&shared.engine), self.held) {
                let begun = Instant::now();
                return plea.wait(missing, || self.waits_on(begun));
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(WAIT_STEP);
        }
    }

    /// Lets some time pass; whether the script waits on for a shard.
    fn waits_on(&mut self, begun: Instant) -> bool {
        std::thread::sleep(WAIT_STEP);
        let waited = begun.elapsed();
        waited < WAIT_MAX && (waited < LONG_WAIT || self.interruption() == Interruption::None)
    }
}
