//! A published message: encoded once, and shared by all threads that have subscribers of it.

use crate::connection::encoded::Encoded;
use crate::connection::name::Name;
use crate::connection::subscriptions::Kind;

/// A message for subscribers of one name.
pub struct Addressed {
    pub name: Name,
    /// Subscriptions that began with a later stamp do not get it.
    pub stamp: u64,
    pub encoded: Encoded,
}

impl Addressed {
    /// A message to a channel.
    pub fn to_channel(kind: Kind, name: Name, stamp: u64, message: &[u8]) -> Addressed {
        let word: &[u8] = if kind == Kind::ShardChannel { b"smessage" } else { b"message" };
        let encoded = Encoded::new(&[word, &name, message]);
        Addressed { name, stamp, encoded }
    }

    /// A message to a channel that a pattern matches.
    pub fn to_pattern(pattern: Name, stamp: u64, channel: &[u8], message: &[u8]) -> Addressed {
        let encoded = Encoded::new(&[b"pmessage", &pattern, channel, message]);
        Addressed { name: pattern, stamp, encoded }
    }
}

/// A message, with all whom it concerns.
pub struct Published {
    pub kind: Kind,
    /// For those who are subscribed to the channel, if any are.
    pub channel: Option<Addressed>,
    /// For those who are subscribed to patterns that match it.
    pub patterns: Vec<Addressed>,
}

impl Published {
    /// What it takes, about.
    pub fn bytes(&self) -> usize {
        let addressed = self.channel.iter().chain(&self.patterns);
        size_of::<Published>() + addressed.map(|to| size_of::<Addressed>() + to.encoded.length()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sherd_shards::handler::reply::Protocol;

    #[test]
    fn a_message_is_an_array_in_resp2_and_a_push_in_resp3() {
        let to = Addressed::to_channel(Kind::Channel, Name::from(&b"c"[..]), 0, b"m\r\n");
        assert_eq!(to.encoded.bytes(Protocol::Resp2), b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\nm\r\n\r\n");
        assert_eq!(to.encoded.bytes(Protocol::Resp3), b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\nm\r\n\r\n");
        let to = Addressed::to_pattern(Name::from(&b"c*"[..]), 0, b"cat", b"");
        let expected = b">4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$3\r\ncat\r\n$0\r\n\r\n";
        assert_eq!(to.encoded.bytes(Protocol::Resp3), expected);
    }
}
