//! TLS as the control plane configures it.

use std::collections::HashMap;

use sherd_ioth::net::tls_config::{ClientCertificates, TlsOptions};

/// The `tls-*` directives, by their names.
pub fn options(directives: &HashMap<String, String>) -> TlsOptions {
    let text = |name: &str| directives.get(name).cloned().unwrap_or_default();
    let on = |name: &str| text(name) == "yes";
    TlsOptions {
        serves: text("tls-port").parse::<u16>().unwrap_or_default() > 0,
        links: ["tls-replication", "tls-cluster"].into_iter().find(|name| on(name)),
        cert_file: text("tls-cert-file").into(),
        key_file: text("tls-key-file").into(),
        key_file_pass: text("tls-key-file-pass"),
        client_cert_file: text("tls-client-cert-file").into(),
        client_key_file: text("tls-client-key-file").into(),
        client_key_file_pass: text("tls-client-key-file-pass"),
        ca_cert_file: text("tls-ca-cert-file").into(),
        ca_cert_dir: text("tls-ca-cert-dir").into(),
        clients: match text("tls-auth-clients").as_str() {
            "no" => ClientCertificates::No,
            "optional" => ClientCertificates::Optional,
            _ => ClientCertificates::Required,
        },
        protocols: text("tls-protocols"),
        ciphers: text("tls-ciphers"),
        ciphersuites: text("tls-ciphersuites"),
        prefer_server_ciphers: on("tls-prefer-server-ciphers"),
        session_caching: on("tls-session-caching"),
        session_cache_size: text("tls-session-cache-size").parse().unwrap_or_default(),
    }
}
