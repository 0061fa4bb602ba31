//! Certificates for tests and first steps: an authority of one's own, and a server's and a client's that it has signed.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// A clock that is a little behind shall not refuse a new certificate.
const EARLIER: Duration = Duration::hours(1);

fn params(name: &str, hosts: Vec<String>, days: i64) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_after = now + Duration::days(days);
    // One that counts no more has counted for an hour.
    params.not_before = now.min(params.not_after) - EARLIER;
    Ok(params)
}

/// The names of the files and what is in them.
fn make(hosts: Vec<String>, client: &str, days: i64) -> Result<Vec<(&'static str, String)>, Error> {
    let mut of_authority = params("Sherd test authority", Vec::new(), days)?;
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    of_authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let authority = of_authority.self_signed(&authority_key)?;
    let mut made = vec![("ca.crt", authority.pem()), ("ca.key", authority_key.serialize_pem())];
    let issuer = Issuer::new(of_authority, authority_key);
    let name = hosts.first().cloned().unwrap_or_default();
    let (serves, calls) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
    for (certificate, key, name, hosts, purposes) in [
        // A server is the client of its primary.
        ("server.crt", "server.key", name.as_str(), hosts, vec![serves, calls.clone()]),
        ("client.crt", "client.key", client, Vec::new(), vec![calls]),
    ] {
        let mut params = params(name, hosts, days)?;
        params.extended_key_usages = purposes;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let own = KeyPair::generate()?;
        made.push((certificate, params.signed_by(&own, &issuer)?.pem()));
        made.push((key, own.serialize_pem()));
    }
    Ok(made)
}

/// Makes them; the module's `.pyi` says how they are called.
#[pyfunction]
pub fn make_certificates(
    py: Python<'_>,
    hosts: Vec<String>,
    client: &str,
    days: i64,
) -> PyResult<Vec<(&'static str, String)>> {
    /// No certificate needs to count for longer, and dates have an end.
    const DAYS_MAX: i64 = 36_500;
    if !(-DAYS_MAX..=DAYS_MAX).contains(&days) {
        return Err(PyValueError::new_err("days are out of range"));
    }
    py.detach(|| make(hosts, client, days)).map_err(|error| PyValueError::new_err(error.to_string()))
}
