//! A client becomes a replica: its connection leaves its IO thread for the one that feeds replicas.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::Arc;

use sherd_shards::server::client::LinkTo;

use crate::request::paused::release;
use crate::request::subscribe::unsubscribe_all;
use crate::request::track::track_no_longer;
use crate::thread::IoThread;

use crate::followers::replica::{Joining, Phase, Replica, ReplicaView};
use crate::followers::replicas::Order;

/// Takes a connection out of its thread. One that has gone meanwhile is a reader of nothing.
pub fn join(io: &mut IoThread, joining: Joining) {
    let replicas = Arc::clone(&io.shared.replicas);
    let Some(mut connection) = io.connections.take_by_token(joining.connection) else {
        replicas.backlog.remove_reader(joining.client_id);
        return;
    };
    io.poller.remove_connection(&connection.transport);
    let record = Arc::clone(&connection.record);
    record.set_link(LinkTo::Replica);
    let now_ms = io.clock.now_ms;
    let view = ReplicaView::new(record, (joining.address, joining.port), now_ms, joining.snapshot_only);
    if joining.online {
        view.set_phase(Phase::Online);
    }
    let mut head = connection.outbound.take_unsent();
    head.extend_from_slice(&joining.preamble);
    let incoming = connection.inbound.buffer.split_off(connection.inbound.consumed);
    release(io, &mut connection);
    unsubscribe_all(io, &mut connection);
    track_no_longer(io, &mut connection);
    let socket = connection.transport.take_link();
    if io.shared.world.settings.repl_disable_tcp_nodelay.on() {
        socket.gather_packets();
    }
    let replica = Replica::new(Arc::new(view), socket, (head, incoming), now_ms);
    if connection.record.is_monitor.load(Relaxed) {
        io.shared.monitors.fetch_sub(1, SeqCst);
    }
    io.shared.client_bytes.fetch_sub(connection.record.memory_bytes.swap(0, Relaxed) as i64, Relaxed);
    io.stats().connections.subtract(1);
    io.shared.admitted.fetch_sub(1, Relaxed);
    let index = connection.token.index;
    drop(connection);
    io.connections.release(index);
    replicas.order(Order::Attach(Box::new(replica)));
}
