//! A connection's bytes: over the socket as they are, or encrypted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Reads and writes as its socket does: it blocks, or says that it would.
pub enum Stream {
    Plain(TcpStream),
    Encrypted(Box<Encrypted>),
}

pub struct Encrypted {
    socket: TcpStream,
    session: ClientConnection,
}

/// What connections need that trust the authorities of a PEM file.
pub fn trusting(authorities: &str) -> Result<Arc<ClientConfig>, String> {
    let describe = |error: &dyn std::fmt::Display| format!("cannot read certificates from {authorities}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities).map_err(|error| describe(&error))? {
        roots.add(certificate.map_err(|error| describe(&error))?).map_err(|error| describe(&error))?;
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

impl Stream {
    /// Encrypts a socket that blocks; returns when the handshake is over.
    pub fn encrypt(mut socket: TcpStream, host: &str, config: &Arc<ClientConfig>) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        // A batch is taken as a whole; what the socket does not take yet is kept encrypted.
        session.set_buffer_limit(None);
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Stream::Encrypted(Box::new(Encrypted { socket, session })))
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Encrypted(encrypted) => &encrypted.socket,
        }
    }

    pub fn descriptor(&self) -> RawFd {
        self.socket().as_raw_fd()
    }

    /// Whether bytes that were written have not gone to the socket.
    pub fn has_unsent(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Encrypted(encrypted) => encrypted.session.wants_write(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Encrypted { socket, session } = match self {
            Stream::Plain(socket) => return socket.read(buffer),
            Stream::Encrypted(encrypted) => encrypted.as_mut(),
        };
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if session.read_tls(socket)? == 0 {
                return Ok(0);
            }
            session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Encrypted(encrypted) => {
                encrypted.session.writer().write_all(bytes)?;
                self.flush()?;
                Ok(bytes.len())
            }
        }
    }

    /// Sends what is encrypted, as far as the socket takes it.
    fn flush(&mut self) -> io::Result<()> {
        let Stream::Encrypted(encrypted) = self else { return Ok(()) };
        while encrypted.session.wants_write() {
            match encrypted.session.write_tls(&mut encrypted.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
