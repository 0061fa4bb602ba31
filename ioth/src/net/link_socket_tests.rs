//! Links over TLS between two ends of this process: nothing is lost, whatever their sockets take.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;
use crate::net::tls_config::{client_config, server_config, server_name, ClientCertificates, TlsOptions};

/// Files of a new authority and of a certificate that it has signed, in a folder of their own.
fn options(name: &str) -> TlsOptions {
    let folder = std::env::temp_dir().join(format!("sherd-link-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority_pem = authority.self_signed(&authority_key).expect("an authority").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["node".to_owned()]).expect("parameters");
    let signed = certificate.signed_by(&key, &issuer).expect("a certificate");
    let write = |name: &str, text: String| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    TlsOptions {
        cert_file: write("node.crt", signed.pem()),
        key_file: write("node.key", key.serialize_pem()),
        ca_cert_file: write("ca.crt", authority_pem),
        clients: ClientCertificates::Required,
        ..TlsOptions::default()
    }
}

/// Both ends of a link whose server shows a certificate of the one, and whose client trusts the other. The files go.
fn pair(served: &TlsOptions, trusted: &TlsOptions) -> (LinkSocket, LinkSocket) {
    let (one, other) = UnixStream::pair().expect("a pair of sockets");
    for socket in [&one, &other] {
        socket.set_nonblocking(true).expect("a socket");
    }
    let client = client_config(trusted, "tls-replication").expect("a client's configuration");
    let server = server_config(served).expect("a server's configuration");
    for files in [served, trusted] {
        let _ = std::fs::remove_dir_all(files.cert_file.parent().expect("a folder"));
    }
    let client = TlsStream::to_server(one.into(), client, server_name("10.0.0.1")).expect("a client");
    let server = TlsStream::new(other.into(), server).expect("a server");
    (LinkSocket::encrypted(Box::new(client)), LinkSocket::encrypted(Box::new(server)))
}

#[test]
fn more_than_the_sockets_take_comes_through_whole_and_in_order() {
    let options = options("whole");
    let (client, server) = pair(&options, &options);
    let sent: Vec<u8> = (0..5_000_000u32).map(|number| (number / 7) as u8).collect();
    let (mut at, mut received, mut answer) = (0, Vec::new(), Vec::new());
    for _ in 0..1_000_000 {
        at += client.send(&sent[at..]).expect("the client sends");
        server.receive(&mut received).expect("the server receives");
        client.receive(&mut answer).expect("the client receives");
        if at == sent.len() && client.flush().expect("the client sends the rest") && received.len() == sent.len() {
            break;
        }
        assert!(received.len() <= at);
    }
    assert!(received == sent, "{} of {} bytes, or other ones", received.len(), sent.len());
    assert!(answer.is_empty());
}

#[test]
fn an_end_is_told_and_what_came_before_it_is_not_lost() {
    let options = options("end");
    let (client, server) = pair(&options, &options);
    let mut received = Vec::new();
    let mut at = 0;
    for _ in 0..1000 {
        at += client.send(&b"last words"[at..]).expect("the client sends");
        server.receive(&mut received).expect("the server receives");
        client.receive(&mut Vec::new()).expect("the client receives");
    }
    drop(client);
    let mut ended = false;
    for _ in 0..1000 {
        ended |= server.receive(&mut received).is_ok_and(|count| count.is_none());
    }
    assert!(ended);
    assert_eq!(received, b"last words");
}

#[test]
fn a_server_that_another_authority_has_signed_is_refused_with_the_reason() {
    let (client, server) = pair(&options("served"), &options("trusted"));
    let (mut of_client, mut of_server) = (None, None);
    client.send(b"hello").expect("the client sends");
    for _ in 0..1000 {
        of_server = of_server.or(server.receive(&mut Vec::new()).err());
        of_client = of_client.or(client.receive(&mut Vec::new()).err());
    }
    let told = |error: Option<io::Error>| error.map(|error| error.to_string()).unwrap_or_default();
    assert!(told(of_client).starts_with("the server's certificate is not signed by an authority"));
    assert!(told(of_server).starts_with("the client does not accept this server's certificate"));
}
