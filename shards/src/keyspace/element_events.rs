//! Which elements of a key an event is about, for channels that name them: fields of hashes, as in Redis 8.8.
//!
//! Nothing is gathered unless such a channel is asked for. The names are kept as they are published, each behind its length and
//! with commas between them, so that they are one allocation an event and are not put together again for each channel.

use super::db::Key;
use super::shard::Shard;

/// Elements as they are published: `5:first,6:second`.
pub fn encode<'e>(elements: impl IntoIterator<Item = &'e [u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    for element in elements {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(element.len().to_string().as_bytes());
        text.push(b':');
        text.extend_from_slice(element);
    }
    text
}

/// The elements of a text that [`encode`] has made.
pub fn decode(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let digits = text.iter().position(|&byte| byte == b':')?;
        let length: usize = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
        let (element, rest) = text[digits + 1..].split_at_checked(length)?;
        text = rest.strip_prefix(b",").unwrap_or(rest);
        Some(element)
    })
}

impl Shard {
    /// A command has changed elements of a key, which counts as so many changes.
    #[inline(always)]
    pub(crate) fn changed_elements<'e>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        count: usize,
        event: (u32, &'static str),
        elements: impl Iterator<Item = &'e [u8]>,
    ) {
        if self.world.settings.wants_elements(event.0) {
            self.changed(db, key, count);
            self.raise_about(db, key, event, elements);
        } else {
            self.changed_with(db, key, count, event);
        }
    }

    /// Raises an event about elements of a key, if its class is wanted; they go along if anybody wants to know them.
    #[inline(never)]
    pub(super) fn raise_about<'e>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        (event_class, event): (u32, &'static str),
        elements: impl Iterator<Item = &'e [u8]>,
    ) {
        if self.world.settings.wants_elements(event_class) {
            self.outbox.events.push_with(db, event_class, event, key.bytes, || encode(elements));
        } else {
            self.raise(db, key, event_class, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::events::class;
    use crate::testing::Tester;

    #[test]
    fn any_names_come_back_from_their_text() {
        let names: [&[u8]; 6] = [b"", b"f", b",", b"3:abc,", b"\n\0\xff", &[b'x'; 1000]];
        assert_eq!(encode([b"foo".as_slice(), b"hello"]), b"3:foo,5:hello");
        assert_eq!(decode(&encode(names)).collect::<Vec<_>>(), names);
        assert_eq!(decode(b"").count(), 0);
    }

    /// Events with what they are about.
    fn told(tester: &mut Tester, classes: u32, commands: &[&str]) -> Vec<String> {
        tester.world.settings.notify_keyspace_events.set(i64::from(classes));
        tester.consume_events(true);
        for command in commands {
            tester.run(command);
        }
        let told = |event: crate::keyspace::events::Event| {
            format!("{} {}", event.name, String::from_utf8_lossy(&event.elements))
        };
        let events = tester.shards.iter_mut().flat_map(|shard| shard.outbox.events.take());
        events.map(told).collect()
    }

    #[test]
    fn commands_name_the_fields_that_they_change() {
        let mut tester = Tester::new(1);
        let commands = [
            "HSET k a 1 b 2",
            "HSETNX k a 1",
            "HSETNX k c 1",
            "HINCRBY k a 1",
            "HINCRBYFLOAT k b 1",
            "HDEL k a a none",
            "HGETDEL k FIELDS 2 b none",
            "HEXPIRE k 100 FIELDS 2 none c",
            "HGETEX k PERSIST FIELDS 2 c none",
            "HGETEX k EX 100 FIELDS 2 c none",
            "HPERSIST k FIELDS 2 none c",
            "HSETEX k EX 100 FIELDS 2 x 1 y 2",
            "HEXPIREAT k 1 FIELDS 2 x none",
            "HSETEX k PXAT 1 FIELDS 1 z 1",
        ];
        let expected = [
            "hset 1:a,1:b",
            "hset 1:c",
            "hincrby 1:a",
            "hincrbyfloat 1:b",
            "hdel 1:a",
            "hdel 1:b",
            "hexpire 1:c",
            "hpersist 1:c",
            "hexpire 1:c",
            "hpersist 1:c",
            "hset 1:x,1:y",
            "hexpire 1:x,1:y",
            "hdel 1:x",
            "hset 1:z",
            "hdel 1:z",
        ];
        assert_eq!(told(&mut tester, class::HASH | class::SUBKEYSPACE, &commands), expected);
    }

    #[test]
    fn what_has_expired_is_named_whoever_finds_it() {
        let mut tester = Tester::new(1);
        told(&mut tester, class::HASH | class::SUBKEYEVENT, &["HSETEX k PX 10 FIELDS 3 a 1 b 2 c 3", "HSET k d 1"]);
        tester.world.advance_clock(20);
        let found = told(&mut tester, class::HASH | class::SUBKEYEVENT, &["HMGET k a b", "HDEL k c"]);
        assert_eq!(found, ["hexpired 1:a,1:b", "hexpired 1:c"]);
    }

    #[test]
    fn nothing_is_gathered_that_nobody_asks_for() {
        let mut tester = Tester::new(1);
        assert_eq!(told(&mut tester, class::HASH | class::KEYSPACE, &["HSET k a 1"]), ["hset "]);
        assert_eq!(told(&mut tester, class::SUBKEYSPACE, &["HSET k a 1"]), [""; 0]);
        let of_sets = class::ALL | class::OF_ELEMENTS;
        assert_eq!(told(&mut tester, of_sets, &["SADD s a"]), ["sadd "]);
    }
}
