//! A message in the bytes that clients are sent: encoded once a protocol, and shared by those who have yet to be sent it.

use std::sync::{Arc, OnceLock};

use sherd_shards::handler::reply::{Protocol, Reply};

/// What clients are sent, in both protocols: they differ in the first byte.
pub struct Encoded {
    resp2: Box<[u8]>,
    resp3: OnceLock<Box<[u8]>>,
    /// What those share who have yet to be sent it when everybody else has got it: one copy a protocol.
    kept: [OnceLock<Arc<[u8]>>; 2],
}

impl Encoded {
    pub fn new(words: &[&[u8]]) -> Encoded {
        let length: usize = words.iter().map(|word| word.len() + 32).sum();
        let mut bytes = Vec::with_capacity(length);
        let mut reply = Reply::new(&mut bytes, Protocol::Resp2);
        reply.push(words.len());
        words.iter().for_each(|word| reply.bulk(word));
        Encoded { resp2: bytes.into(), resp3: OnceLock::new(), kept: Default::default() }
    }

    /// What a client is sent.
    pub fn push(&self, protocol: Protocol) -> Push<'_> {
        Push { bytes: self.bytes(protocol), origin: Some((self, protocol)) }
    }

    fn keep(&self, protocol: Protocol) -> Arc<[u8]> {
        let kept = &self.kept[usize::from(protocol == Protocol::Resp3)];
        Arc::clone(kept.get_or_init(|| self.bytes(protocol).into()))
    }

    /// The length of the bytes, which is the same in both.
    pub fn length(&self) -> usize {
        self.resp2.len()
    }

    /// The bytes for a client.
    pub fn bytes(&self, protocol: Protocol) -> &[u8] {
        match protocol {
            Protocol::Resp2 => &self.resp2,
            Protocol::Resp3 => self.resp3.get_or_init(|| {
                let mut bytes = self.resp2.clone();
                bytes[0] = b'>';
                bytes
            }),
        }
    }
}

/// A message for one client, in its protocol.
#[derive(Clone, Copy)]
pub struct Push<'a> {
    pub bytes: &'a [u8],
    /// Whose bytes they are, if others are sent them as well.
    origin: Option<(&'a Encoded, Protocol)>,
}

impl<'a> Push<'a> {
    /// Bytes for one client alone.
    pub fn of(bytes: &'a [u8]) -> Push<'a> {
        Push { bytes, origin: None }
    }

    /// What can be kept of it without a copy for each client; nothing if it is for one alone.
    pub fn keep(&self) -> Option<Arc<[u8]>> {
        self.origin.map(|(encoded, protocol)| encoded.keep(protocol))
    }
}
