//! Executing the commands of an append-only file one after the other, in shards that are held.

use super::append_report::{Loaded, Other};
use super::append_scan::{Break, Found, Scan};
use crate::command::origin::Origin;
use crate::command::registry::{self, Command, Route};
use crate::command::spec::{flag, Group, Plane};
use crate::executor::execute::{self, Call};
use crate::handler::access::Shards;
use crate::handler::context::Client;
use crate::protocol::reply::Protocol;
use crate::server::tracking::Tracks;
use crate::server::world::World;
use crate::slot::SlotMap;
use sherd_types::table;

/// Commands that are executed while the shards are held.
const COMMANDS_A_SLICE: usize = 512;
/// Commands for the control plane that one file may have.
const OTHERS_MAX: usize = 100_000;

/// What has to be done for a command.
pub enum Way {
    /// Nothing: it has no effect on the data.
    Nothing,
    /// Another database is selected for those that follow.
    Select(u16),
    /// The control plane is to execute it.
    Other,
    /// It is executed in one shard: with the hash and the slot of its first key, if that tells which one it is.
    OneShard(usize, (u64, u16)),
    /// It is executed in several shards, or in whatever shards it needs.
    Shards,
}

/// A file whose commands are being executed.
pub struct Replay<'a> {
    pub scan: Scan<'a>,
    pub db: u16,
    /// Commands in a row that are executed in one shard each.
    pub calm: usize,
    /// The commands of a transaction whose EXEC has not come, and where it began.
    queued: Option<(usize, Vec<Vec<&'a [u8]>>)>,
    out: Vec<u8>,
}

impl<'a> Replay<'a> {
    /// From an offset on.
    pub fn new(bytes: &'a [u8], at: usize) -> Replay<'a> {
        Replay { scan: Scan::new(bytes, at), db: 0, calm: 0, queued: None, out: Vec::new() }
    }

    /// Whether it is within a transaction, none of which was executed.
    pub fn is_in_transaction(&self) -> bool {
        self.queued.is_some()
    }

    /// Executes some commands in shards that are held; false when there is no more to come.
    pub fn some(&mut self, shards: &mut Shards<'_>, world: &World, loaded: &mut Loaded) -> bool {
        for _ in 0..COMMANDS_A_SLICE {
            let begin = self.scan.offset();
            let result = match self.scan.step() {
                Ok(Found::Command) => self.command(begin, shards, world, loaded),
                Ok(Found::Time(_) | Found::Remark) => Ok(true),
                Ok(Found::End) if self.queued.is_some() => Err(Break::Truncated),
                Ok(Found::End) => Ok(false),
                Err(why) => Err(why),
            };
            match result {
                Ok(goes_on) => {
                    if self.queued.is_none() {
                        loaded.valid_bytes = self.scan.offset() as u64;
                    }
                    if !goes_on {
                        return false;
                    }
                }
                Err(why) => {
                    loaded.fail(begin, why, self.queued.is_some());
                    return false;
                }
            }
        }
        true
    }

    /// Executes the command that was found, or queues it.
    fn command(
        &mut self,
        begin: usize,
        shards: &mut Shards<'_>,
        world: &World,
        loaded: &mut Loaded,
    ) -> Result<bool, Break> {
        let parts = std::mem::take(&mut self.scan.parts);
        let name = parts[0];
        if name.eq_ignore_ascii_case(b"MULTI") {
            if self.queued.is_some() {
                return Err(Break::Corrupt("a transaction begins within another one".to_owned()));
            }
            self.queued = Some((begin, Vec::new()));
        } else if name.eq_ignore_ascii_case(b"EXEC") {
            let (_, queued) =
                self.queued.take().ok_or_else(|| Break::Corrupt("EXEC comes without MULTI".to_owned()))?;
            for parts in &queued {
                self.execute(parts, shards, world, loaded)?;
            }
        } else if let Some((_, queued)) = &mut self.queued {
            queued.push(parts);
            return Ok(true);
        } else {
            self.execute(&parts, shards, world, loaded)?;
        }
        // Its room is used again.
        self.scan.parts = parts;
        Ok(true)
    }

    fn execute(
        &mut self,
        parts: &[&[u8]],
        shards: &mut Shards<'_>,
        world: &World,
        loaded: &mut Loaded,
    ) -> Result<(), Break> {
        let command = find(parts)?;
        loaded.commands += 1;
        match way_of(command, parts, world)? {
            Way::Nothing => Ok(()),
            Way::Select(db) => {
                self.db = db;
                Ok(())
            }
            Way::Other => {
                self.calm = 0;
                if loaded.others.len() >= OTHERS_MAX {
                    return Err(Break::Corrupt("it has too many commands for the control plane".to_owned()));
                }
                let args = parts.iter().map(|part| part.to_vec()).collect();
                loaded.others.push(Other { db: self.db, args });
                Ok(())
            }
            Way::OneShard(shard, first_key) => {
                self.calm += 1;
                let slot = world.slots.slots_of(shard).start as u16;
                let held = Shards::one(world.slots, shards.of_slot(slot));
                self.call(command, parts, first_key, held, world, loaded);
                Ok(())
            }
            Way::Shards => {
                self.calm = 0;
                self.call(command, parts, (0, 0), shards.reborrow(), world, loaded);
                Ok(())
            }
        }
    }

    fn call(
        &mut self,
        command: &'static Command,
        parts: &[&[u8]],
        first_key: (u64, u16),
        shards: Shards<'_>,
        world: &World,
        loaded: &mut Loaded,
    ) {
        let call = call_of(command, parts, first_key, self.db, world.now_milliseconds());
        self.out.clear();
        if execute::call(shards, world, &call, &mut self.out) {
            loaded.failed += 1;
            loaded.first_error.get_or_insert_with(|| answer_of(command, &self.out));
        }
    }
}

/// A command as those of a primary are executed.
pub fn call_of<'c>(
    command: &'static Command,
    args: &'c [&'c [u8]],
    first_key: (u64, u16),
    db: u16,
    now_ms: i64,
) -> Call<'c> {
    let (protocol, tracks) = (Protocol::Resp2, Tracks::default());
    let client = Client { db, protocol, no_touch: false, tracks, record: None, reply_bytes_max: usize::MAX };
    Call { command, args, first_key, client, now_ms, origin: Origin::Replica }
}

/// What is told of a command that was answered with an error.
pub fn answer_of(command: &Command, out: &[u8]) -> String {
    format!("{} ({})", String::from_utf8_lossy(out).trim_end(), command.spec.name)
}

/// What has to be done for a command.
pub fn way_of(command: &Command, parts: &[&[u8]], world: &World) -> Result<Way, Break> {
    Ok(match command.spec.plane {
        // What only reads is in no file that a server has written; nor is what only tests or administrators ask for.
        Plane::Data(_) if !command.spec.has(flag::WRITE) && !command.spec.has(flag::MAY_REPLICATE) => Way::Nothing,
        Plane::Data(_) => way_to_shards(command, parts, &world.slots),
        Plane::Connection(_) if command.spec.name == "select" => {
            let number = parts.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse::<u16>().ok());
            let known = number.filter(|&number| usize::from(number) < world.settings.databases.size());
            Way::Select(known.ok_or_else(|| Break::Corrupt("a database is selected that there is not".to_owned()))?)
        }
        // Messages and keep-alives have no effect on the data; of extensions' commands that is recorded which they call.
        Plane::Connection(_) | Plane::Extension | Plane::Container => Way::Nothing,
        // Nor has what a replica's file has of its primary's stream besides writes.
        Plane::Control if !command.spec.has(flag::WRITE) => Way::Nothing,
        Plane::Control => Way::Other,
    })
}

fn way_to_shards(command: &Command, parts: &[&[u8]], map: &SlotMap) -> Way {
    // Scripts may reach for any shard, and libraries of functions belong to none.
    if command.spec.group == Group::Scripting {
        return Way::Shards;
    }
    if command.route == Route::FirstKey && !command.needs_all(parts, map) {
        let slot = map.slot(parts[1]);
        return Way::OneShard(map.shard_of(slot), (table::hash(parts[1]), slot));
    }
    match command.shards_of(parts, map) {
        one if one.is_power_of_two() => Way::OneShard(one.trailing_zeros() as usize, (0, 0)),
        _ => Way::Shards,
    }
}

/// The command that parts name.
pub fn find(parts: &[&[u8]]) -> Result<&'static Command, Break> {
    let table = registry::table();
    let name = || String::from_utf8_lossy(parts[0]).escape_debug().to_string();
    let unknown = || Break::Corrupt(format!("the command '{:.128}' is not known", name()));
    let found = table.find(parts[0]).ok_or_else(unknown)?;
    let command = match parts.get(1) {
        Some(sub) if !found.subcommands.is_empty() => table.find_subcommand(found, sub).unwrap_or(found),
        _ => found,
    };
    if !command.spec.accepts(parts.len()) {
        return Err(Break::Corrupt(format!("the command '{:.128}' has a wrong number of arguments", name())));
    }
    Ok(command)
}
