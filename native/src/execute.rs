//! Data commands that the control plane executes, or the program that embeds the server.

use std::sync::Arc;

use sherd_ioth::shared::Shared;
use sherd_shards::command::origin::Origin;
use sherd_shards::command::spec::Plane;
use sherd_shards::executor::execute::{call_counted, Call};
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;

use crate::{commands, held};

/// Runs one data command for the control plane.
pub fn execute(shared: &Arc<Shared>, args: &[Vec<u8>], db: u16, resp: u8) -> Result<Vec<u8>, String> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let name = args.first().ok_or("a command has at least its name")?;
    let table = commands::table();
    let container = table.find(name).ok_or("there is no such command")?;
    let command = args.get(1).and_then(|sub| table.find_subcommand(container, sub)).unwrap_or(container);
    if !matches!(command.spec.plane, Plane::Data(_)) {
        return Err(format!("{} is not a data command", command.spec.name));
    }
    if !command.spec.accepts(args.len()) {
        return Err(format!("wrong number of arguments for {}", command.spec.name));
    }
    let engine = &shared.engine;
    let wanted = command.shards_of(&args, &engine.world.slots);
    let mut out = Vec::new();
    let one = Call {
        command,
        args: &args,
        first_key: (0, 0),
        client: Client {
            db,
            protocol: Protocol::from_number(resp.into()).unwrap_or_default(),
            no_touch: false,
            tracks: Default::default(),
            record: None,
            reply_bytes_max: usize::MAX,
        },
        now_ms: held::now_ms(shared),
        origin: Origin::Internal,
    };
    held::with_shards(shared, wanted.max(1), |mut shards| {
        call_counted(&mut shards, &engine.world, &one, &args, &mut out);
    });
    Ok(out)
}
