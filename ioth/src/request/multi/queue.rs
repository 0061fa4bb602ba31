//! Commands between MULTI and EXEC.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;
use sherd_shards::handler::error::OUT_OF_MEMORY;
use sherd_shards::maintenance::evict;

use crate::connection::transaction::{Multi, QueuedCommand};
use crate::connection::Connection;
use crate::protocol::request::Request;
use crate::request::gate::refuse;
use crate::request::monitor::refusal;
use crate::request::selected::selects;
use crate::request::slots::check_one_slot;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

/// Queues a command.
pub fn queue(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Dispatch {
    if io.shared.cluster {
        if let Err(error) = check_one_slot(command, request.args) {
            return refuse(io, connection, Some(command), &error);
        }
    }
    let flags = io.shared.scripts.flags_of(command, request.get(1));
    if flags & flag::DENYOOM != 0 && evict::is_hopeless(&io.shared.world) {
        return refuse(io, connection, Some(command), &OUT_OF_MEMORY);
    }
    if let Some(error) = refusal(connection, flags) {
        return refuse(io, connection, Some(command), &error);
    }
    let limit = io.shared.world.settings.client_query_buffer_limit.size();
    let multi = connection.session.multi.get_or_insert_with(Box::<Multi>::default);
    multi.bytes += request.length;
    if multi.bytes > limit {
        // Nothing that follows is looked at: an EXEC would execute a part.
        connection.closing = true;
        return Dispatch::Wait;
    }
    let args = request.owned_args();
    if let Some(Ok(db)) = selects(&io.shared, command, &args) {
        multi.db = Some(db);
    }
    multi.push(QueuedCommand { command, args, denied: None });
    connection.record.queued.store(multi.commands.len() as i64, Relaxed);
    connection.record.queued_bytes.store(multi.memory_bytes(), Relaxed);
    connection.record.last_command.store(command.id as u32, Relaxed);
    connection.reply(|reply| reply.simple("QUEUED"));
    connection.session.advance_reply_mode();
    Dispatch::Done
}
