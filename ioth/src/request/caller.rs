//! The client of what another thread executes.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::server::client::ClientRecord;
use sherd_shards::server::tracking::Tracks;

use crate::connection::token::Token;
use crate::connection::Connection;
use crate::shared::message::{ControlRequest, Message};
use crate::shared::Shared;

use super::monitor::show_if_monitored;

/// What an errand knows of its client: what is left of the connection while it waits.
pub struct Caller {
    pub shared: Arc<Shared>,
    pub token: Token,
    pub record: Arc<ClientRecord>,
    pub db: u16,
    pub protocol: Protocol,
    pub tracks: Tracks,
}

impl Caller {
    /// The client of a connection.
    pub fn of(shared: &Arc<Shared>, connection: &Connection) -> Caller {
        Caller {
            shared: Arc::clone(shared),
            token: connection.token,
            record: Arc::clone(&connection.record),
            db: connection.session.db,
            protocol: connection.session.protocol,
            tracks: connection.record.tracking.tracks(),
        }
    }

    /// The client of a control request.
    pub fn of_request(shared: &Arc<Shared>, request: &ControlRequest) -> Caller {
        Caller {
            shared: Arc::clone(shared),
            token: request.token,
            record: Arc::clone(&request.record),
            db: request.db,
            protocol: request.protocol,
            tracks: request.tracks,
        }
    }

    /// The client as its commands see it.
    pub fn client(&self) -> Client<'_> {
        Client {
            db: self.db,
            protocol: self.protocol,
            no_touch: self.record.no_touch.load(Relaxed),
            tracks: self.tracks,
            record: Some(&self.record),
            reply_bytes_max: self.reply_bytes_max(),
        }
    }

    /// What its replies may have, in bytes.
    pub fn reply_bytes_max(&self) -> usize {
        self.record.reply_bytes_max(&self.shared.world.settings)
    }

    /// Shows a command of the client that has been executed to the monitors.
    pub fn show(&self, db: u16, command: &Command, args: &[Vec<u8>]) {
        show_if_monitored(&self.shared, &self.record, db, command, args);
    }

    /// Sends a message to the client's IO thread.
    pub fn tell(&self, message: Message) {
        self.shared.tell(self.token, message);
    }
}
