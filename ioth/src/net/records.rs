//! Whether a stream of TLS records ends between two of them. The session does not tell: it keeps what has come of a record to itself.

/// A record's kind, version and length.
const HEADER_BYTES: usize = 5;

/// How far into a record the stream has come.
#[derive(Default)]
pub struct Place {
    /// What has come of the header.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// Bytes that are missing of what the last whole header has announced.
    missing: usize,
}

impl Place {
    /// Bytes have come.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.missing > 0 {
                let passed = self.missing.min(bytes.len());
                self.missing -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.header_bytes));
            self.header[self.header_bytes..][..part.len()].copy_from_slice(part);
            self.header_bytes += part.len();
            bytes = rest;
            if self.header_bytes == HEADER_BYTES {
                self.missing = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                self.header_bytes = 0;
            }
        }
    }

    /// Whether a record has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.missing > 0 || self.header_bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_within_a_record_until_its_last_byte() {
        let stream =
            [&b"\x17\x03\x03\x00\x03abc"[..], b"\x17\x03\x03\x00\x00", b"\x16\x03\x01\x01\x00", &[7; 256]].concat();
        let ends = [0, 8, 13, stream.len()];
        for step in 1..20 {
            let mut place = Place::default();
            for (number, part) in stream.chunks(step).enumerate() {
                place.pass(part);
                let passed = number * step + part.len();
                assert_eq!(place.is_within(), !ends.contains(&passed), "{passed} bytes, {step} at a time");
            }
        }
    }
}
