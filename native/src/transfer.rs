//! What MIGRATE asks of the shards: keys as payloads, and their removal if nothing has changed them since.
//!
//! While a key travels its shard is not held, so other clients go on, and may change it. What is removed is therefore
//! compared with what was sent, value and expiry, while the shards of all its keys are held. By then this server may have become a
//! replica, or be about to: what it removed would be gone here alone, so it is asked then whether it may still write.

use std::sync::Arc;

use sherd_ioth::shared::Shared;
use sherd_shards::command::origin::Origin;
use sherd_shards::executor::execute::{self, Call};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Client;

use crate::{commands, held};
use sherd_shards::handler::reply::Protocol;
use sherd_shards::protocol::error::CommandError;

/// A key's DUMP, and when it expires (milliseconds since the epoch, -1 for never).
pub type Payload = (Vec<u8>, i64);

/// Runs a command on shards that are held.
fn run(shards: &mut Shards<'_>, shared: &Arc<Shared>, db: u16, args: &[&[u8]]) -> Vec<u8> {
    let command = commands::table().find(args[0]).expect("the commands of a transfer are data commands");
    let one = Call {
        command,
        args,
        first_key: (0, 0),
        client: Client {
            db,
            protocol: Protocol::Resp3,
            no_touch: true,
            tracks: Default::default(),
            record: None,
            reply_bytes_max: usize::MAX,
        },
        now_ms: shared.world.now_milliseconds(),
        origin: Origin::Internal,
    };
    let mut out = Vec::new();
    execute::call(shards.reborrow(), &shared.world, &one, &mut out);
    out
}

/// The content of a bulk string reply; `None` for anything else, null among it.
fn bulk(reply: &[u8]) -> Option<&[u8]> {
    let line_end = reply.iter().position(|&byte| byte == b'\n')?;
    (reply[0] == b'$').then(|| &reply[line_end + 1..reply.len() - 2])
}

fn integer(reply: &[u8]) -> i64 {
    let text = reply.strip_prefix(b":").and_then(|text| text.strip_suffix(b"\r\n")).unwrap_or_default();
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(-1)
}

fn read(shards: &mut Shards<'_>, shared: &Arc<Shared>, db: u16, key: &[u8]) -> Option<Payload> {
    let payload = bulk(&run(shards, shared, db, &[b"dump", key]))?.to_vec();
    Some((payload, integer(&run(shards, shared, db, &[b"pexpiretime", key]))))
}

fn shards_of<'k>(shared: &Arc<Shared>, keys: impl Iterator<Item = &'k [u8]>) -> u64 {
    let map = shared.world.slots;
    keys.fold(0u64, |wanted, key| wanted | 1 << map.shard_of(map.slot(key))).max(1)
}

/// The keys as they are at one moment; `None` for those that are not there.
pub fn dump_keys(shared: &Arc<Shared>, db: u16, keys: &[Vec<u8>]) -> Vec<Option<Payload>> {
    let wanted = shards_of(shared, keys.iter().map(Vec::as_slice));
    held::with_shards(shared, wanted, |mut shards| keys.iter().map(|key| read(&mut shards, shared, db, key)).collect())
}

/// Removes those of the keys, at one moment, that still are what they were, or are gone; says of each whether it is gone. Where
/// writes are refused by then, all of them stay, and what a write is answered is returned.
pub fn delete_unchanged(
    shared: &Arc<Shared>,
    db: u16,
    keys: &[(Vec<u8>, Payload)],
) -> Result<Vec<bool>, &'static CommandError> {
    let wanted = shards_of(shared, keys.iter().map(|(key, _)| key.as_slice()));
    held::with_shards(shared, wanted, |mut shards| {
        if let Some(error) = shared.world.pause.late_refusal() {
            return Err(error);
        }
        let mut delete = |(key, sent): &(Vec<u8>, Payload)| match read(&mut shards, shared, db, key) {
            Some(now) if now != *sent => false,
            Some(_) => {
                run(&mut shards, shared, db, &[b"del", key]);
                true
            }
            None => true,
        };
        Ok(keys.iter().map(&mut delete).collect())
    })
}
