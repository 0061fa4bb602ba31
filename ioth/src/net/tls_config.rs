//! The `tls-*` directives as configurations of rustls, for clients and for links to other servers: certificates and keys are read
//! and checked here, once, and a connection keeps what it began with.
//!
//! A new configuration begins with new keys for tickets and no sessions: who was let in by certificates that count no more is
//! asked again.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::{default_provider, Ticketer};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientCertificates {
    No,
    Optional,
    #[default]
    Required,
}

/// The directives; empty texts are those that are not set.
#[derive(Clone, Default, Debug)]
pub struct TlsOptions {
    /// There is a port for TLS.
    pub serves: bool,
    /// The directive that wants links to other servers encrypted, if any does.
    pub links: Option<&'static str>,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub key_file_pass: String,
    /// What is shown to other servers, where it is something else.
    pub client_cert_file: PathBuf,
    pub client_key_file: PathBuf,
    pub client_key_file_pass: String,
    pub ca_cert_file: PathBuf,
    pub ca_cert_dir: PathBuf,
    pub clients: ClientCertificates,
    pub protocols: String,
    pub ciphers: String,
    pub ciphersuites: String,
    pub prefer_server_ciphers: bool,
    pub session_caching: bool,
    /// Sessions that are remembered; 0 is no limit of the directive's, so the largest that makes sense.
    pub session_cache_size: usize,
}

/// What is wrong, in one line for the operator.
pub type Result<T> = std::result::Result<T, String>;

const SESSIONS_MAX: usize = 1 << 20;

/// OpenSSL's names of the ciphers for TLS 1.2, as rustls calls them.
const CIPHERS: [(&str, &str); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
];
/// Words of OpenSSL for groups of ciphers that all of these belong to.
const ALL_CIPHERS: [&str; 9] =
    ["ALL", "DEFAULT", "HIGH", "COMPLEMENTOFDEFAULT", "ECDHE", "EECDH", "KECDHE", "TLSV1.2", "AEAD"];

/// A configuration for new connections.
pub fn server_config(options: &TlsOptions) -> Result<Arc<ServerConfig>> {
    let chain = certificates(&options.cert_file, "tls-cert-file")?;
    let key = private_key(&options.key_file, &options.key_file_pass, "tls-key-file")?;
    let provider = Arc::new(provider(options)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(&options.protocols)?)
        .map_err(|error| format!("tls-protocols, tls-ciphers and tls-ciphersuites leave nothing in common: {error}"))?;
    let builder = match options.clients {
        ClientCertificates::No => builder.with_no_client_auth(),
        wanted => {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::new(authorities(options, "tls-auth-clients")?),
                provider,
            );
            let verifier =
                if wanted == ClientCertificates::Optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|error| format!("tls-ca-cert-file: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("tls-cert-file and tls-key-file do not go together: {error}"))?;
    config.ignore_client_order = options.prefer_server_ciphers;
    if options.session_caching {
        let sessions = match options.session_cache_size {
            0 => SESSIONS_MAX,
            size => size.min(SESSIONS_MAX),
        };
        config.session_storage = ServerSessionMemoryCache::new(sessions);
        config.ticketer = Ticketer::new().map_err(|error| format!("tls-session-caching: {error}"))?;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// A configuration for links to other servers, which the directive `asking` wants: what signs clients' certificates signs theirs.
/// This server shows the certificate of `tls-client-cert-file`, or else its own, or none.
pub fn client_config(options: &TlsOptions, asking: &str) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider(options)?);
    let verifier = Signed { roots: authorities(options, asking)?, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&options.protocols)?)
        .map_err(|error| format!("tls-protocols, tls-ciphers and tls-ciphersuites leave nothing in common: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    let (certificate, key, password, names) = if is_set(&options.client_cert_file) {
        let names = ("tls-client-cert-file", "tls-client-key-file");
        (&options.client_cert_file, &options.client_key_file, &options.client_key_file_pass, names)
    } else {
        (&options.cert_file, &options.key_file, &options.key_file_pass, ("tls-cert-file", "tls-key-file"))
    };
    if !is_set(certificate) {
        return Ok(Arc::new(builder.with_no_client_auth()));
    }
    let config = builder
        .with_client_auth_cert(certificates(certificate, names.0)?, private_key(key, password, names.1)?)
        .map_err(|error| format!("{} and {} do not go together: {error}", names.0, names.1))?;
    Ok(Arc::new(config))
}

/// Whom a link calls: a name or an address. What cannot be either is not told, for nothing is checked by it.
pub fn server_name(host: &str) -> ServerName<'static> {
    ServerName::try_from(host.to_owned()).unwrap_or(ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// Accepts a server whose certificate one of the authorities has signed, whatever name is in it, as the references do: servers are
/// given by addresses, and change them.
#[derive(Debug)]
struct Signed {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Signed {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path, directive: &str) -> Result<Vec<CertificateDer<'static>>> {
    if path.as_os_str().is_empty() {
        return Err(format!("{directive} is not set"));
    }
    let told = |error| format!("{directive}: {}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(told)?;
    let found = found.collect::<std::result::Result<Vec<_>, _>>().map_err(told)?;
    if found.is_empty() {
        return Err(format!("{directive}: {}: there is no certificate in it", path.display()));
    }
    Ok(found)
}

fn private_key(path: &Path, password: &str, directive: &str) -> Result<PrivateKeyDer<'static>> {
    if path.as_os_str().is_empty() {
        return Err(format!("{directive} is not set"));
    }
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("{directive}: {shown}: {error}"))?;
    // What is no text, as a key in DER is, has no key in PEM.
    let text = String::from_utf8_lossy(&bytes);
    let of_old_kind = || {
        format!("{directive}: {shown}: its encryption is of an old kind; `openssl pkcs8 -topk8 -v2 aes-256-cbc` makes a new one")
    };
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(of_old_kind());
    }
    let Some(start) = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") else {
        return PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
            pem::Error::NoItemsFound => format!("{directive}: {shown}: there is no private key in it"),
            error => format!("{directive}: {shown}: {error}"),
        });
    };
    if password.is_empty() {
        return Err(format!("{directive}: {shown}: it is encrypted, and {directive}-pass is not set"));
    }
    let (_, document) = SecretDocument::from_pem(&text[start..])
        .map_err(|error| format!("{directive}: {shown}: it cannot be read: {error}"))?;
    // With ciphers and digests that nobody should use any more it is not understood, whatever the password.
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| of_old_kind())?;
    let key = encrypted.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. } | pkcs8::pkcs5::Error::NoPbes1CryptSupport,
        ) => of_old_kind(),
        _ => format!("{directive}: {shown}: it cannot be decrypted with {directive}-pass"),
    })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec())))
}

/// The authorities that sign certificates of clients and other servers; `asking` is the directive that wants to know.
fn authorities(options: &TlsOptions, asking: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let mut add = |path: &Path, directive: &str| -> Result<()> {
        for certificate in certificates(path, directive)? {
            roots.add(certificate).map_err(|error| format!("{directive}: {}: {error}", path.display()))?;
        }
        Ok(())
    };
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    if !is_set(&options.ca_cert_file) && !is_set(&options.ca_cert_dir) {
        return Err(format!("{asking} asks for certificates, and neither tls-ca-cert-file nor tls-ca-cert-dir is set"));
    }
    if is_set(&options.ca_cert_file) {
        add(&options.ca_cert_file, "tls-ca-cert-file")?;
    }
    if is_set(&options.ca_cert_dir) {
        let told = |error| format!("tls-ca-cert-dir: {}: {error}", options.ca_cert_dir.display());
        let mut files: Vec<PathBuf> = std::fs::read_dir(&options.ca_cert_dir)
            .map_err(told)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::result::Result<_, _>>()
            .map_err(told)?;
        files.sort();
        // A directory may hold other things; what holds certificates counts.
        files.iter().filter(|path| path.is_file()).try_for_each(|path| {
            match certificates(path, "tls-ca-cert-dir") {
                Ok(_) => add(path, "tls-ca-cert-dir"),
                Err(_) => Ok(()),
            }
        })?;
        if roots.is_empty() {
            return Err(format!("tls-ca-cert-dir: {}: there is no certificate in it", options.ca_cert_dir.display()));
        }
    }
    Ok(roots)
}

fn versions(text: &str) -> Result<Vec<&'static SupportedProtocolVersion>> {
    let mut versions = Vec::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&TLS12),
            "tlsv1.3" => versions.push(&TLS13),
            // They are no secret any more.
            "tlsv1" | "tlsv1.1" => {
                return Err(format!(
                    "tls-protocols: {word} is not safe and not supported; there are TLSv1.2 and TLSv1.3"
                ))
            }
            _ => return Err(format!("tls-protocols: '{word}' is no protocol; there are TLSv1.2 and TLSv1.3")),
        }
    }
    if versions.is_empty() {
        versions = vec![&TLS12, &TLS13];
    }
    Ok(versions)
}

/// The cryptography, with the ciphers that are wanted.
fn provider(options: &TlsOptions) -> Result<CryptoProvider> {
    let mut provider = default_provider();
    let all = std::mem::take(&mut provider.cipher_suites);
    let (new, old): (Vec<_>, Vec<_>) = all.into_iter().partition(|suite| suite.tls13().is_some());
    provider.cipher_suites = suites(&options.ciphersuites, new)?;
    provider.cipher_suites.extend(ciphers(&options.ciphers, &old)?);
    Ok(provider)
}

fn name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

/// Those for TLS 1.3 that a list names, in its order.
fn suites(list: &str, all: Vec<SupportedCipherSuite>) -> Result<Vec<SupportedCipherSuite>> {
    let words: Vec<&str> = list.split([':', ' ', ',']).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Ok(all);
    }
    let find = |word: &&str| all.iter().find(|suite| name(suite).eq_ignore_ascii_case(word)).copied();
    let found: Vec<_> = words.iter().filter_map(find).collect();
    if found.is_empty() {
        let names: Vec<String> = all.iter().map(name).collect();
        return Err(format!("tls-ciphersuites: none of these is supported; there are {}", names.join(", ")));
    }
    Ok(found)
}

/// Those for TLS 1.2 that a list in OpenSSL's words leaves, in its order.
fn ciphers(list: &str, all: &[SupportedCipherSuite]) -> Result<Vec<SupportedCipherSuite>> {
    let words: Vec<&str> = list.split([':', ' ', ',']).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Ok(all.to_vec());
    }
    let mut chosen: Vec<(&str, &str)> = Vec::new();
    for word in words {
        let (is_excluded, word) = match word.strip_prefix(['!', '-']) {
            Some(word) => (true, word.to_ascii_uppercase()),
            None => (false, word.trim_start_matches('+').to_ascii_uppercase()),
        };
        let matches = |cipher: &str| {
            ALL_CIPHERS.contains(&word.as_str())
                || word
                    .split('+')
                    .all(|part| cipher == part || cipher.replace("AES", "AESGCM-AES").split('-').any(|it| it == part))
        };
        if is_excluded {
            chosen.retain(|(cipher, _)| !matches(cipher));
        } else {
            let wanted = CIPHERS.into_iter().filter(|(cipher, _)| matches(cipher));
            let new: Vec<_> = wanted.filter(|cipher| !chosen.contains(cipher)).collect();
            chosen.extend(new);
        }
    }
    if chosen.is_empty() {
        let names: Vec<&str> = CIPHERS.iter().map(|(cipher, _)| *cipher).collect();
        return Err(format!("tls-ciphers: none of these is supported; there are {}", names.join(", ")));
    }
    Ok(chosen.iter().filter_map(|(_, own)| all.iter().find(|suite| name(suite) == *own)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(list: &str) -> Vec<String> {
        let old: Vec<_> =
            default_provider().cipher_suites.into_iter().filter(|suite| suite.tls13().is_none()).collect();
        ciphers(list, &old).map(|found| found.iter().map(name).collect()).unwrap_or_default()
    }

    #[test]
    fn every_cipher_for_tls_1_2_has_a_name_of_openssl() {
        assert_eq!(chosen("ALL").len(), CIPHERS.len());
        for (cipher, own) in CIPHERS {
            assert_eq!(chosen(cipher), [own]);
        }
    }

    #[test]
    fn lists_of_openssl_mean_what_they_mean_there() {
        assert_eq!(chosen("").len(), 6);
        assert_eq!(chosen("HIGH:!aNULL:!MD5").len(), 6);
        assert_eq!(chosen("DEFAULT:!CHACHA20").len(), 4);
        assert_eq!(chosen("ECDHE+AESGCM").len(), 4);
        assert_eq!(chosen("ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA"), ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
        assert!(ciphers("AES256-SHA:NOSUCH", &[]).is_err());
    }

    #[test]
    fn protocols_and_suites_that_are_not_there_are_refused_with_what_is() {
        assert_eq!(versions("").map(|all| all.len()), Ok(2));
        assert_eq!(versions("TLSv1.3").map(|all| all.len()), Ok(1));
        assert!(versions("TLSv1.1 TLSv1.2").is_err_and(|error| error.contains("not safe")));
        assert!(versions("SSLv3").is_err());
        let new = || default_provider().cipher_suites.into_iter().filter(|suite| suite.tls13().is_some()).collect();
        let names = |list| suites(list, new()).map(|found| found.iter().map(name).collect::<Vec<_>>());
        assert_eq!(names("TLS_AES_128_GCM_SHA256"), Ok(vec!["TLS_AES_128_GCM_SHA256".to_owned()]));
        assert!(names("NOSUCH").is_err());
    }

    #[test]
    fn what_is_missing_is_named_by_its_directive() {
        let error = |options: &TlsOptions| server_config(options).err().unwrap_or_default();
        assert_eq!(error(&TlsOptions::default()), "tls-cert-file is not set");
        let options = TlsOptions { cert_file: "/nonexistent.pem".into(), ..TlsOptions::default() };
        assert!(error(&options).starts_with("tls-cert-file: /nonexistent.pem: "));
        let key = |path| private_key(Path::new(path), "", "tls-key-file").err().unwrap_or_default();
        assert_eq!(key("/dev/null"), "tls-key-file: /dev/null: there is no private key in it");
    }
}
