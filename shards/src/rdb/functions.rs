//! Libraries of functions as bytes: in a snapshot's file, and in what FUNCTION DUMP answers and FUNCTION RESTORE takes, which is
//! `(opcode | source)* | version (u16) | CRC-64 of all before (u64)`.

use std::borrow::Cow;

use super::dump::{opened, sealed, Refused, VERSION};
use super::format::opcode;
use super::{Reader, Writer};

/// Why a payload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFunctions {
    /// Its version is unknown or its checksum wrong.
    Footer,
    /// Something else than a library is in it.
    Kind,
    /// A library is not what it claims to be.
    Source,
}

/// Writes a library.
pub fn write(writer: &mut Writer, source: &[u8]) {
    writer.byte(opcode::FUNCTION);
    writer.string(source);
}

/// The payload of libraries.
pub fn dump<'s>(sources: impl Iterator<Item = &'s [u8]>) -> Vec<u8> {
    let mut writer = Writer::new();
    sources.for_each(|source| write(&mut writer, source));
    sealed(writer, VERSION)
}

/// The sources in a payload.
pub fn restore(payload: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, NoFunctions> {
    let (body, _) = opened(payload, false).map_err(|refused| match refused {
        Refused::Footer => NoFunctions::Footer,
        Refused::Value => NoFunctions::Source,
    })?;
    let mut reader = Reader::new(body);
    let mut sources = Vec::new();
    while reader.left() > 0 {
        if reader.byte() != Ok(opcode::FUNCTION) {
            return Err(NoFunctions::Kind);
        }
        sources.push(reader.string().map_err(|_| NoFunctions::Source)?);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_come_back_from_their_payload_and_nothing_else_does() {
        let sources: [&[u8]; 3] = [b"#!lua name=a\n", b"", &[b'x'; 3000]];
        let payload = dump(sources.into_iter());
        assert!(payload.len() < 200, "it is compressed: {}", payload.len());
        assert_eq!(restore(&payload).expect("it was just made"), sources);
        assert!(restore(&dump([].into_iter())).is_ok_and(|sources| sources.is_empty()));
        for at in 0..payload.len() {
            let mut other = payload.clone();
            other[at] ^= 1;
            assert_eq!(restore(&other), Err(NoFunctions::Footer));
            assert_eq!(restore(&payload[..at]), Err(NoFunctions::Footer));
        }
        let broken = |bytes: &[u8]| {
            let mut writer = Writer::new();
            writer.raw(bytes);
            sealed(writer, VERSION)
        };
        assert_eq!(restore(&broken(b"\x00\x01x")), Err(NoFunctions::Kind));
        assert_eq!(restore(&broken(b"\xF5\x40")), Err(NoFunctions::Source));
        assert_eq!(restore(&broken(b"\xF5\x05x")), Err(NoFunctions::Source));
    }
}
