//! An encrypted stream: rustls between a connection's buffers and its socket, in the connection's own thread. Mostly this is the
//! server's side of it; a link to a primary has the client's side.
//!
//! What one read of the socket brings is decrypted at once and as a whole: a read that was short means an empty socket as for a
//! plain stream. The end of the stream is a record among others, which no poll tells of by itself. So it is remembered, and looked
//! for where nobody reads for long ([`TlsStream::look_for_end`]). The other way round, so much is encrypted at a time as fits into
//! [`ENCRYPT_BYTES`], and no more before the socket has taken it: what a client leaves unread waits unencrypted, where limits
//! see it.
//!
//! A handshake is part of the stream's state. It costs a signature, some ten thousand times what a command costs, so the thread
//! takes few of them a round (`request/intake.rs`), and ends those that take too long (`event_loop/tick.rs`).
//!
//! Rejected: kernel TLS, which containers often do not have; a socket shared with the control plane behind a lock (see
//! [`crate::net::transport::Transport::lend`]), which each read and write would have to take for what is seldom wanted.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error, InvalidMessage,
    ServerConfig, ServerConnection,
};

use super::buffers::BUFFER_KEEP_MAX;
use super::records::Place;

/// Encrypted bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that are decrypted in search of the end, before anybody wants them; it is not looked for behind more.
const AHEAD_BYTES: usize = 64 * 1024;
/// Bytes that are encrypted before the socket is asked to take them.
const ENCRYPT_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where a thread receives what it is about to decrypt.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What a read has brought.
pub enum Decrypted {
    /// So many bytes, none while the handshake goes on; whether the socket may have more.
    Bytes(usize, bool),
    Nothing,
    Closed,
}

/// See the [module](self).
pub struct TlsStream {
    /// Shared with whoever polls it or ends it.
    socket: Arc<OwnedFd>,
    session: Connection,
    /// Where in its records what was received ends.
    place: Place,
    /// Encrypted bytes, of which the socket has taken the first.
    encrypted: Vec<u8>,
    sent: usize,
    /// What was decrypted before anybody wanted it.
    ahead: Vec<u8>,
    /// Nothing more comes behind that.
    has_ended: bool,
    /// Why the stream has ended.
    trouble: Option<String>,
}

impl TlsStream {
    /// A connected socket that does not block, on which a client is expected to begin.
    pub fn new(socket: OwnedFd, config: Arc<ServerConfig>) -> Result<TlsStream, Error> {
        Ok(TlsStream::of(socket, ServerConnection::new(config)?.into()))
    }

    /// A connected socket that does not block, on which this side begins: by the next `send` or `flush`.
    pub fn to_server(
        socket: OwnedFd,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<TlsStream, Error> {
        Ok(TlsStream::of(socket, ClientConnection::new(config, name)?.into()))
    }

    fn of(socket: OwnedFd, mut session: Connection) -> TlsStream {
        // `send` bounds what is encrypted.
        session.set_buffer_limit(None);
        let (encrypted, ahead) = (Vec::new(), Vec::new());
        let place = Place::default();
        TlsStream {
            socket: Arc::new(socket),
            session,
            place,
            encrypted,
            sent: 0,
            ahead,
            has_ended: false,
            trouble: None,
        }
    }

    /// The socket, for whoever polls it or ends it.
    pub fn socket(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.socket)
    }

    /// Whether the two sides do not know one another yet.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Encrypted bytes that the socket has not taken.
    pub fn backlog(&self) -> usize {
        self.encrypted.len() - self.sent
    }

    /// Bytes that it takes, besides what every session does.
    pub fn capacity(&self) -> usize {
        self.encrypted.capacity() + self.ahead.capacity()
    }

    /// Why the stream has ended, told once.
    pub fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// What the other side is called in the log.
    fn peer(&self) -> &'static str {
        match self.session {
            Connection::Client(_) => "the server",
            Connection::Server(_) => "the client",
        }
    }

    /// The certificate that the other side has shown, if any.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.session.peer_certificates()?.first().map(AsRef::as_ref)
    }

    /// Receives once, and appends what is decrypted.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> Decrypted {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            buffer.extend_from_slice(&ahead);
            return Decrypted::Bytes(ahead.len(), true);
        }
        self.receive_more(buffer)
    }

    /// Decrypts what is there, for whoever receives next. Returns whether the stream ends with it.
    pub fn look_for_end(&mut self) -> bool {
        let mut ahead = std::mem::take(&mut self.ahead);
        while ahead.len() < AHEAD_BYTES {
            match self.receive_more(&mut ahead) {
                Decrypted::Bytes(_, true) => (),
                Decrypted::Bytes(_, false) | Decrypted::Nothing | Decrypted::Closed => break,
            }
        }
        self.ahead = ahead;
        self.has_ended
    }

    /// Whether something was decrypted that nobody has received.
    pub fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    fn receive_more(&mut self, buffer: &mut Vec<u8>) -> Decrypted {
        if self.has_ended {
            return Decrypted::Closed;
        }
        let received = self.receive_once(buffer);
        self.has_ended |= matches!(received, Decrypted::Closed);
        received
    }

    fn receive_once(&mut self, buffer: &mut Vec<u8>) -> Decrypted {
        RECEIVED.with_borrow_mut(|received| {
            match rustix::net::recv(&self.socket, &mut received[..], RecvFlags::empty()) {
                Ok((0, _)) => {
                    self.note_end();
                    Decrypted::Closed
                }
                Ok((count, _)) => self.decrypt(&received[..count], count == READ_BYTES, buffer),
                Err(Errno::AGAIN) => Decrypted::Nothing,
                Err(Errno::INTR) => Decrypted::Bytes(0, true),
                Err(_) => {
                    self.note_end();
                    Decrypted::Closed
                }
            }
        })
    }

    fn decrypt(&mut self, mut bytes: &[u8], has_more: bool, buffer: &mut Vec<u8>) -> Decrypted {
        let before = buffer.len();
        self.place.pass(bytes);
        while !bytes.is_empty() && !self.has_ended {
            let state = match self.session.read_tls(&mut bytes) {
                Ok(_) => self.session.process_new_packets(),
                // Of a record that is too long.
                Err(error) => Err(Error::General(error.to_string())),
            };
            match state {
                Ok(state) => self.has_ended = state.peer_has_closed(),
                Err(error) => {
                    self.trouble = Some(told(&error, self.peer()));
                    // An alert tells the client, if it listens.
                    let _ = self.flush();
                    return Decrypted::Closed;
                }
            }
            let mut reader = self.session.reader();
            while let Ok(chunk) = reader.fill_buf() {
                let length = chunk.len();
                if length == 0 {
                    break;
                }
                buffer.extend_from_slice(chunk);
                reader.consume(length);
            }
        }
        if self.session.wants_write() && self.flush().is_err() {
            return Decrypted::Closed;
        }
        match buffer.len() - before {
            0 if self.has_ended => Decrypted::Closed,
            // Its end, which came with these bytes, is told by the next read.
            count => Decrypted::Bytes(count, has_more || self.has_ended),
        }
    }

    /// The other side has gone.
    fn note_end(&mut self) {
        if self.session.is_handshaking() {
            self.trouble = Some(format!("{} has gone in the middle of the handshake", self.peer()));
        } else if self.place.is_within() {
            self.trouble = Some(format!("{} has gone in the middle of a record", self.peer()));
        }
    }

    /// Sends what the socket takes; returns the number of bytes. Some of those may still be in the backlog.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut taken = 0;
        while taken < bytes.len() && self.backlog() == 0 {
            let end = bytes.len().min(taken + ENCRYPT_BYTES);
            // It takes all, for its buffers have no limit.
            self.session.writer().write_all(&bytes[taken..end]).map_err(|_| Errno::PIPE)?;
            taken = end;
            self.flush()?;
        }
        Ok(taken)
    }

    /// Sends of the backlog what the socket takes.
    pub fn flush(&mut self) -> Result<(), Errno> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.encrypted).map_err(|_| Errno::PIPE)?;
        }
        while self.backlog() > 0 {
            let rest = &self.encrypted[self.sent..];
            match rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL)) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.encrypted.clear();
        self.sent = 0;
        self.encrypted.shrink_to(BUFFER_KEEP_MAX);
        Ok(())
    }
}

impl AsFd for TlsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        if !self.session.is_handshaking() && self.trouble.is_none() {
            // So that the client can tell the end from a cut; if it does not take it, so be it.
            self.session.send_close_notify();
            let _ = self.flush();
        }
    }
}

/// What went wrong, in words for the log.
fn told(error: &Error, peer: &str) -> String {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("what came is no TLS: garbage, or {} that is set up without it", peer.replacen("the", "a", 1))
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("{peer}'s certificate has expired")
        }
        // The latter if an authority of the same name is known.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            format!("{peer}'s certificate is not signed by an authority of tls-ca-cert-file or tls-ca-cert-dir")
        }
        Error::InvalidCertificate(reason) => format!("{peer}'s certificate is not accepted: {reason}"),
        Error::NoCertificatesPresented => format!("{peer} shows no certificate"),
        // The last one if it knows an authority of the same name.
        Error::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::DecryptError,
        ) => {
            format!("{peer} does not accept this server's certificate")
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            format!("{peer} asks for a certificate, and none is set")
        }
        Error::AlertReceived(alert) => format!("{peer} has ended it with the alert {alert:?}"),
        Error::DecryptError => "a record cannot be decrypted".to_owned(),
        other => other.to_string(),
    }
}
