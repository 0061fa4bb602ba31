//! Clients that are known by their certificates (`tls-auth-clients-user`): at the end of the handshake such a client is the user
//! that its certificate names, if there is one that is on. Any other is what it would be without a certificate.

use crate::connection::Connection;
use crate::net::certificate::{names, NameField};
use crate::net::tls::TlsStream;
use crate::shared::access::log::{Event, Reason, Setting};
use crate::thread::IoThread;

use super::rights::{become_user, note};

/// Says whether a handshake still goes on. One that has just ended may have told who the client is.
#[cold]
pub fn goes_on(io: &IoThread, connection: &mut Connection) -> bool {
    let goes_on = connection.transport.is_handshaking();
    if !goes_on {
        log_in(io, connection);
    }
    goes_on
}

fn log_in(io: &IoThread, connection: &mut Connection) {
    let shared = &io.shared;
    let Some(field) = NameField::from_setting(shared.world.settings.tls_auth_clients_user.get()) else { return };
    let shown = connection.transport.encrypted().and_then(|stream: &mut TlsStream| stream.peer_certificate());
    let found = shown.map(|certificate| names(certificate, field)).unwrap_or_default();
    // A change after this is seen before anything is taken from the client.
    let generation = shared.access.generation();
    let user = found.iter().find_map(|name| shared.access.find(name).filter(|user| user.is_enabled));
    if let Some(user) = user {
        become_user(connection, user, generation, true);
    } else if let Some(name) = found.into_iter().next() {
        let setting = Setting::TopLevel;
        let event = Event { reason: Reason::Certificate, setting, object: Vec::new(), username: name };
        note(shared, &connection.record, event);
    }
}
