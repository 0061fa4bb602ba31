//! Whom a certificate names, for those who are known by theirs (`tls-auth-clients-user`).
//!
//! It was verified, so it comes from an authority that is trusted. What is read of it here is read by the same library as private
//! keys; what cannot be read names nobody.

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

/// Names that are looked at, and bytes of one: a certificate may have any number of them.
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 1024;

/// Object identifiers as they are encoded: of the common name, and of the extension with the subject's other names.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const OTHER_NAMES: &[u8] = &[0x55, 29, 17];
/// The places of what follows a version in a certificate: the subject's name, and what is optional.
const SUBJECT: usize = 4;
const OPTIONAL: usize = 6;
/// What extensions are tagged with, and addresses among other names.
const EXTENSIONS: TagNumber = TagNumber::N3;
const URI: TagNumber = TagNumber::N6;

/// Where in a certificate a name is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameField {
    /// The common name of its subject.
    CommonName,
    /// The addresses among its subject's other names.
    Uri,
}

impl NameField {
    /// By the value of `tls-auth-clients-user`, as the data plane has it.
    pub fn from_setting(number: i64) -> Option<NameField> {
        match number {
            1 => Some(NameField::CommonName),
            2 => Some(NameField::Uri),
            _ => None,
        }
    }
}

/// The names that a certificate has in a field, in their order.
pub fn names(certificate: &[u8], field: NameField) -> Vec<Vec<u8>> {
    let found = match field {
        NameField::CommonName => common_names(certificate).map(|names| names.into_iter().take(1).collect()),
        NameField::Uri => uris(certificate),
    };
    let names: Vec<&[u8]> = found.unwrap_or_default();
    let is_short = |name: &&&[u8]| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    names.iter().filter(is_short).take(NAMES_MAX).map(|name| name.to_vec()).collect()
}

/// The values that a constructed one is made of.
fn parts(bytes: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}

/// The parts of what is signed, from the serial number on.
fn signed(certificate: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let whole = AnyRef::from_der(certificate).ok()?;
    let mut all = parts(parts(whole.value())?.first()?.value())?;
    if matches!(all.first()?.tag(), Tag::ContextSpecific { .. }) {
        // The version, which the first one leaves out.
        all.remove(0);
    }
    Some(all)
}

fn common_names(certificate: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    for set in parts(signed(certificate)?.get(SUBJECT)?.value())? {
        for attribute in parts(set.value())? {
            match parts(attribute.value())?[..] {
                [kind, name] if kind.value() == COMMON_NAME => names.push(name.value()),
                _ => {}
            }
        }
    }
    Some(names)
}

fn uris(certificate: &[u8]) -> Option<Vec<&[u8]>> {
    let is = |part: &AnyRef<'_>, wanted| matches!(part.tag(), Tag::ContextSpecific { number, .. } if number == wanted);
    let signed = signed(certificate)?;
    let extensions = signed.iter().skip(OPTIONAL).find(|part| is(part, EXTENSIONS))?;
    for extension in parts(parts(extensions.value())?.first()?.value())? {
        // Between the two may be whether it is critical.
        if let [kind, .., names] = parts(extension.value())?[..] {
            if kind.value() == OTHER_NAMES {
                let names = parts(parts(names.value())?.first()?.value())?;
                return Some(names.iter().filter(|name| is(name, URI)).map(|name| name.value()).collect());
            }
        }
    }
    Some(Vec::new())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    /// A certificate with a common name, if there is one, and addresses between other names.
    fn certificate(name: Option<&str>, uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["host.example".to_owned()]).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "an organization");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().expect("an address")));
        }
        params.subject_alt_names.push(SanType::DnsName("other.example".try_into().expect("a name")));
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
    }

    #[test]
    fn names_are_found_where_they_are_looked_for_and_in_their_order() {
        let found = |certificate: &[u8], field| {
            let names = names(certificate, field);
            names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
        };
        let both = certificate(Some("anna"), &["sherd://b", "sherd://a"]);
        assert_eq!(found(&both, NameField::CommonName), ["anna"]);
        assert_eq!(found(&both, NameField::Uri), ["sherd://b", "sherd://a"]);
        let neither = certificate(None, &[]);
        assert!(found(&neither, NameField::CommonName).is_empty());
        assert!(found(&neither, NameField::Uri).is_empty());
        let long = certificate(Some("anna"), &[&format!("sherd://{}", "x".repeat(NAME_BYTES_MAX))]);
        assert!(found(&long, NameField::Uri).is_empty());
    }

    #[test]
    fn what_is_no_certificate_names_nobody_and_nothing_is_read_beyond_its_end() {
        let good = certificate(Some("anna"), &["sherd://b"]);
        for field in [NameField::CommonName, NameField::Uri] {
            for bytes in [&b""[..], b"x", &[0x30, 0x82, 0xff, 0xff], &[0x30; 1000], &[0x30, 0], &[0x30, 2, 0x30, 0]] {
                assert!(names(bytes, field).is_empty());
            }
            for at in 0..good.len() {
                assert!(names(&good[..at], field).is_empty());
                for bit in [1, 0x80] {
                    let mut wrong = good.clone();
                    wrong[at] ^= bit;
                    assert!(names(&wrong, field).len() <= 1);
                }
            }
        }
    }
}
