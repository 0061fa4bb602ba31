//! Payloads of real servers, payloads of our own both sides of every threshold, and payloads that are broken.

use super::dump::{dump, dump_in, restore, Refused};
use super::*;
use crate::entry::object::{Collection, Object, ObjectRef};
use crate::entry::{NewValue, Text, Value};
use sherd_types::hash::Hash;
use sherd_types::list::{End, List};
use sherd_types::listpack::Item;
use sherd_types::random::Random;
use sherd_types::set::Set;
use sherd_types::stream::{BlockLimits, BoxedStream, Group, Stream, StreamId};
use sherd_types::zset::ZSet;

/// Late enough to be a time, early enough that nothing in the payloads has expired.
const NOW_MS: i64 = 1_700_000_000_000;

fn limits() -> Limits {
    Limits::from_settings(&Settings::default())
}

fn escape(bytes: &[u8]) -> String {
    let escape = |&byte: &u8| match byte {
        b'\\' | b',' | b'=' | b'|' | b':' => format!("\\x{byte:02x}"),
        33..=126 => (byte as char).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(escape).collect()
}

fn escape_item(item: Item<'_>) -> String {
    escape(&item.to_vec())
}

fn join(kind: &str, elements: impl Iterator<Item = String>, sorted: bool) -> String {
    let mut elements: Vec<String> = elements.collect();
    if sorted {
        elements.sort();
    }
    format!("{kind} {}", elements.join(","))
}

fn describe_hash(hash: &Hash) -> String {
    let pairs = hash.iter().map(|(field, value)| {
        let expiry = hash.expiry(&field.to_vec()).flatten().map_or(String::new(), |at| format!(":{at}"));
        format!("{}={}{expiry}", escape_item(field), escape_item(value))
    });
    join("hash", pairs, true)
}

fn describe_set(set: &Set) -> String {
    let members = set.iter().map(|member| {
        let expiry = set.expiry(&member.to_vec()).flatten().map_or(String::new(), |at| format!(":{at}"));
        format!("{}{expiry}", escape_item(member))
    });
    join("set", members, true)
}

fn describe_zset(set: &ZSet) -> String {
    let mut members = Vec::new();
    set.visit_all(|member, score| members.push(format!("{}={score:?}", escape(member))));
    join("zset", members.into_iter(), false)
}

/// Ids and fields of all entries.
fn describe_stream(stream: &Stream) -> String {
    let entries = stream.log().range(StreamId::MIN, StreamId::MAX).flat_map(|entry| {
        let fields: Vec<String> =
            entry.fields().flat_map(|(field, value)| [escape_item(field), escape_item(value)]).collect();
        std::iter::once(entry.id.to_string()).chain(fields)
    });
    join("stream", entries, false)
}

fn describe_object(object: ObjectRef<'_>) -> String {
    match object {
        ObjectRef::List(list) => join("list", list.iter().map(escape_item), false),
        ObjectRef::Set(set) => describe_set(set),
        ObjectRef::Hash(hash) => describe_hash(hash),
        ObjectRef::SortedSet(set) => describe_zset(set),
        ObjectRef::Stream(stream) => describe_stream(stream),
    }
}

fn describe(loaded: &Loaded<'_>) -> String {
    match loaded {
        Loaded::Text(bytes) => format!("string {}", escape(bytes)),
        Loaded::Object(object) => describe_object(object.view()),
        Loaded::Expired | Loaded::Empty => "nothing".to_owned(),
    }
}

/// The payload of what was loaded.
fn dump_again(loaded: &Loaded<'_>) -> Vec<u8> {
    match loaded {
        Loaded::Text(bytes) => dump(&Value::Text(Text::Bytes(bytes))),
        Loaded::Object(object) => dump(&Value::Object(object.view())),
        Loaded::Expired | Loaded::Empty => Vec::new(),
    }
}

pub(crate) struct Recorded {
    pub name: String,
    pub payload: Vec<u8>,
    pub content: String,
}

pub(crate) fn recorded() -> Vec<Recorded> {
    let lines: Vec<&str> = include_str!("tests/payloads.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let parse = |pair: &[&str]| {
        let (name, hexadecimal) = pair[0].rsplit_once(' ').expect("a name and a payload");
        let byte = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("two digits");
        Recorded {
            name: name.to_owned(),
            payload: (0..hexadecimal.len()).step_by(2).map(byte).collect(),
            content: pair[1].trim_start().replace("Z9000", &"z".repeat(9000)),
        }
    };
    lines.chunks_exact(2).map(parse).collect()
}

#[test]
fn a_value_that_is_passed_ends_where_it_ends_when_it_is_read() {
    for Recorded { name, payload, .. } in recorded() {
        let body = &payload[1..];
        let (mut read, mut passed) = (Reader::new(body), Reader::new(body));
        assert!(load(&mut read, payload[0], &limits(), NOW_MS).is_ok(), "{name}");
        assert_eq!(skip(&mut passed, payload[0]), Ok(()), "{name}");
        assert_eq!(passed.left(), read.left(), "{name}");
        for end in 0..body.len() - read.left() {
            let (mut read, mut passed) = (Reader::new(&body[..end]), Reader::new(&body[..end]));
            assert!(load(&mut read, payload[0], &limits(), NOW_MS).is_err(), "{name} of {end} bytes");
            assert_eq!(skip(&mut passed, payload[0]), Err(Corrupt), "{name} of {end} bytes");
        }
    }
}

#[test]
fn payloads_of_every_server_and_release_are_read() {
    for Recorded { name, payload, content } in recorded() {
        let loaded = restore(&payload, &limits(), NOW_MS).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        assert_eq!(describe(&loaded).trim_end(), content.trim_end(), "{name}");
    }
}

#[test]
fn what_was_read_is_written_so_that_it_is_read_again() {
    for Recorded { name, payload, content } in recorded() {
        let Ok(loaded) = restore(&payload, &limits(), NOW_MS) else { panic!("{name}") };
        let payload = dump_again(&loaded);
        let Ok(loaded) = restore(&payload, &limits(), NOW_MS) else { panic!("{name}") };
        assert_eq!(describe(&loaded).trim_end(), content.trim_end(), "{name}");
        assert_eq!(dump_again(&loaded), payload, "{name}");
    }
}

fn text(value: &[u8]) -> crate::entry::Entry {
    crate::entry::Entry::new(b"key", NewValue::Text(value), None, 0)
}

#[test]
fn strings_survive_at_every_length_of_a_length() {
    let mut random = Random::fixed(5);
    for length in [0, 1, 20, 21, 63, 64, 255, 256, 16_383, 16_384, 70_000] {
        let noise: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        let pattern: Vec<u8> = (0..length).map(|at| (at % 7) as u8).collect();
        for value in [vec![b'x'; length], noise, pattern] as [Vec<u8>; 3] {
            let payload = dump(&text(&value).value());
            let Ok(Loaded::Text(loaded)) = restore(&payload, &limits(), NOW_MS) else { panic!("{length}") };
            assert!(*loaded == *value, "{length}");
        }
    }
}

#[test]
fn integers_are_written_in_the_fewest_bytes() {
    for (value, bytes) in [
        ("0", 2),
        ("127", 2),
        ("-128", 2),
        ("128", 3),
        ("-32768", 3),
        ("32768", 5),
        ("-2147483648", 5),
        ("2147483648", 11),
        ("-9223372036854775808", 21),
        ("007", 4),
    ] {
        let payload = dump(&text(value.as_bytes()).value());
        assert_eq!(payload.len(), 1 + bytes + 10, "{value}");
        let Ok(Loaded::Text(loaded)) = restore(&payload, &limits(), NOW_MS) else { panic!("{value}") };
        assert_eq!(loaded, value.as_bytes());
    }
}

#[test]
fn repetitive_strings_are_written_compressed_and_others_are_not() {
    assert!(dump(&text(&[b'x'; 10_000]).value()).len() < 200);
    let mut random = Random::fixed(6);
    let noise: Vec<u8> = (0..1000).map(|_| random.next() as u8).collect();
    assert_eq!(dump(&text(&noise).value()).len(), 1 + 2 + 1000 + 10);
}

/// Elements of a collection to be made.
type Elements = Box<dyn Iterator<Item = Vec<u8>>>;

fn list(elements: Elements) -> Object {
    let mut list = List::new();
    elements.for_each(|element| list.push(End::Back, &element, limits().list));
    list.wrap()
}

fn set(members: Elements) -> Object {
    let mut set = Set::new();
    members.for_each(|member| assert!(set.add(&member, limits().set)));
    set.wrap()
}

fn hash(fields: Elements) -> Object {
    let mut hash = Hash::new();
    for field in fields {
        hash.set(&field, b"a value", limits().hash);
    }
    hash.wrap()
}

fn zset(members: Elements) -> Object {
    let mut set = ZSet::new();
    for (index, member) in members.enumerate() {
        set.add(limits().zset, &member, index as f64 / 3.0 - 5.0);
    }
    set.wrap()
}

#[test]
fn collections_survive_both_sides_of_every_threshold() {
    let makers = [list, set, hash, zset];
    for count in [1, 2, 127, 128, 129, 511, 512, 513, 1500] {
        for width in [3, 63, 64, 65, 300, 8200] {
            if count * width > 300_000 {
                continue;
            }
            for make in makers {
                let numbers = make(Box::new((0..count as i64).map(|at| (at * 977 - 3000).to_string().into_bytes())));
                let words = make(Box::new((0..count).map(move |at| format!("{at:0width$}x").into_bytes())));
                for object in [numbers, words] {
                    let payload = dump(&Value::Object(object.view()));
                    let Ok(Loaded::Object(loaded)) = restore(&payload, &limits(), NOW_MS) else {
                        panic!("{} {count} {width}", object.view().encoding());
                    };
                    assert_eq!(describe_object(loaded.view()), describe_object(object.view()));
                    assert_eq!(loaded.view().encoding(), object.view().encoding(), "{count} {width}");
                }
            }
        }
    }
}

#[test]
fn a_hash_keeps_the_times_of_its_fields_and_drops_those_that_have_expired() {
    let mut hash = Hash::new();
    for (field, expiry) in [(b"never", None), (b"later", Some(5000)), (b"early", Some(2000))] {
        hash.set(field, b"v", limits().hash);
        hash.set_expiry(field, expiry);
    }
    let object = hash.wrap();
    for dialect in [Dialect::Redis, Dialect::Valkey] {
        let payload = dump_in(&Value::Object(object.view()), dialect);
        for (now_ms, content) in [
            (1000, "hash early=v:2000,later=v:5000,never=v"),
            (2000, "hash later=v:5000,never=v"),
            (9000, "hash never=v"),
        ] {
            let loaded = restore(&payload, &limits(), now_ms);
            assert_eq!(loaded.map(|loaded| describe(&loaded)), Ok(content.to_owned()), "{dialect:?}");
        }
    }
}

#[test]
fn a_hash_whose_fields_have_all_expired_is_no_hash() {
    let mut hash = Hash::new();
    hash.set(b"f", b"v", limits().hash);
    hash.set_expiry(b"f", Some(5));
    let payload = dump(&Value::Object(hash.wrap().view()));
    assert!(matches!(restore(&payload, &limits(), 6), Ok(Loaded::Expired)));
}

#[test]
fn a_set_keeps_the_times_of_its_members_and_drops_those_that_have_expired() {
    let mut set = Set::new();
    for (member, expiry) in [(b"never", None), (b"later", Some(5000)), (b"early", Some(2000))] {
        set.add(member, limits().set);
        set.set_expiry(member, expiry, limits().set);
    }
    let payload = dump(&Value::Object(set.wrap().view()));
    for (now_ms, content) in
        [(1000, "set early:2000,later:5000,never"), (2000, "set later:5000,never"), (9000, "set never")]
    {
        let loaded = restore(&payload, &limits(), now_ms);
        assert_eq!(loaded.map(|loaded| describe(&loaded)), Ok(content.to_owned()));
    }
    let mut set = Set::new();
    set.add(b"m", limits().set);
    set.set_expiry(b"m", Some(5), limits().set);
    let payload = dump(&Value::Object(set.wrap().view()));
    assert!(matches!(restore(&payload, &limits(), 6), Ok(Loaded::Expired)));
}

/// What RESTORE says of a body with a footer of Sherd's own.
fn restore_own(body: &[u8]) -> Result<String, Refused> {
    let mut payload = [body, &[0; 10]].concat();
    set_footer(&mut payload, 0x5348);
    restore(&payload, &limits(), NOW_MS).map(|loaded| describe(&loaded))
}

#[test]
fn a_set_with_times_is_checked_as_bytes_from_anywhere() {
    let early = [0, 0xd8, 0xc3, 0x2c, 0xbb, 3, 0, 0];
    let with = |rest: &[u8]| restore_own(&[&[200], &early[..], rest].concat());
    assert_eq!(with(&[2, 1, 1, b'a', 0, 1, b'b']), Ok("set a:4102444800000,b".to_owned()));
    for (rest, why) in [
        (&[0][..], "no member"),
        (&[1, 0, 1, b'a'], "no time"),
        (&[2, 1, 1, b'a', 1, 1, b'a'], "a member twice"),
        (&[3, 1, 1, b'a', 0, 1, b'b'], "fewer members than it says"),
        (&[1, 1, 1, b'a', 0], "something behind the end"),
        (&[1, 0x81, 0, 0, 0x40, 0, 0, 0, 0, 0, 1, b'a'], "a time that no command could set"),
        (&[1, 0x81, 255, 255, 255, 255, 255, 255, 255, 255, 1, b'a'], "a time beyond all numbers"),
        (&[0x81, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1, b'a'], "more members than bytes"),
    ] {
        assert_eq!(with(rest), Err(Refused::Value), "{why}");
    }
    assert_eq!(restore_own(&[0, 1, b'v']), Err(Refused::Value), "the footer is for this type alone");
    let mut payload = [&[200], &early[..], &[1, 1, 1, b'a'], &[0; 10]].concat();
    set_footer(&mut payload, 12);
    assert!(matches!(restore(&payload, &limits(), NOW_MS), Err(Refused::Value)), "and the type for this footer");
}

fn stream() -> Stream {
    let mut stream = Stream::new();
    for number in 1..=250 {
        let limits = BlockLimits { bytes_max: 4096, entries_max: 100 };
        stream.log_mut().append(StreamId::new(number, 7), &[b"field", number.to_string().as_bytes()], limits);
    }
    stream.log_mut().delete(StreamId::new(30, 7));
    let mut group = Group::new(StreamId::new(40, 7), Some(40));
    let owner = group.add_consumer(b"owner", 1000);
    group.add_consumer(b"idle", 2000);
    group.assign(StreamId::new(39, 7), owner, 900, 3);
    group.assign(StreamId::new(40, 7), owner, 950, 1);
    group.release(StreamId::new(40, 7), 2);
    stream.add_group(b"g", group);
    stream
}

#[test]
fn a_stream_keeps_its_entries_counters_and_groups() {
    let stream = stream();
    let object = BoxedStream::new(stream.clone()).wrap();
    let payload = dump(&Value::Object(object.view()));
    let Ok(Loaded::Object(Object::Stream(loaded))) = restore(&payload, &limits(), NOW_MS) else { panic!() };
    assert_eq!(describe_stream(&loaded), describe_stream(&stream));
    let counters = |stream: &Stream| {
        let log = stream.log();
        (log.len(), log.first_id(), log.last_id(), log.max_deleted_id(), log.entries_added())
    };
    assert_eq!(counters(&loaded), counters(&stream));
    let group = loaded.group(b"g").expect("the group");
    assert_eq!((group.last_id, group.entries_read, group.pending_count()), (StreamId::new(40, 7), Some(40), 2));
    let consumers: Vec<_> = group.consumers().map(|one| (one.name(), one.seen_ms, one.pending_count())).collect();
    // What nobody owned is the first consumer's.
    assert_eq!(consumers, [(b"idle".as_slice(), 2000, 1), (b"owner", 1000, 1)]);
    let pending = group.find_pending(StreamId::new(39, 7)).expect("is pending");
    assert_eq!((pending.delivered_ms(), pending.delivery_count()), (900, 3));
}

#[test]
fn the_version_says_who_can_read_a_payload() {
    let mut payload = dump(&text(b"v").value());
    let relaxed = Limits { later_versions: true, ..limits() };
    for (version, accepted) in [(0, true), (6, true), (10, true), (12, true), (80, true), (13, false), (81, false)] {
        set_footer(&mut payload, version);
        let restored = restore(&payload, &limits(), NOW_MS).map(|loaded| describe(&loaded));
        assert_eq!(restored, if accepted { Ok("string v".to_owned()) } else { Err(Refused::Footer) });
        assert!(restore(&payload, &relaxed, NOW_MS).is_ok(), "as far as it is understood");
    }
}

fn set_footer(payload: &mut Vec<u8>, version: u16) {
    payload.truncate(payload.len() - 10);
    payload.extend_from_slice(&version.to_le_bytes());
    let checksum = crc64(0, payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_flipped_bit_anywhere_is_a_wrong_checksum() {
    let payload = dump(&Value::Object(list(Box::new((0..20u32).map(|at| at.to_string().into_bytes()))).view()));
    for bit in 0..payload.len() * 8 {
        let mut broken = payload.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(restore(&broken, &limits(), NOW_MS), Err(Refused::Footer)), "{bit}");
    }
    for length in 0..payload.len() {
        assert!(restore(&payload[..length], &limits(), NOW_MS).is_err());
    }
}

/// A payload with this body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&[0; 10]);
    set_footer(&mut payload, 10);
    payload
}

#[test]
fn what_is_no_value_is_refused() {
    let cases: &[(&str, &[u8])] = &[
        ("nothing", b""),
        ("an unknown type", b"\x63\x01v"),
        ("a string that ends too early", b"\x00\x05v"),
        ("more than a value", b"\x00\x01vmore"),
        ("an empty list", b"\x01\x00"),
        ("an empty quicklist", b"\x12\x00"),
        ("an empty set", b"\x02\x00"),
        ("an empty hash", b"\x04\x00"),
        ("an empty sorted set", b"\x05\x00"),
        ("a member twice", b"\x02\x02\x01a\x01a"),
        ("a field twice", b"\x04\x02\x01a\x01b\x01a\x01b"),
        ("a scored member twice", b"\x03\x02\x01a\x011\x01a\x012"),
        ("a score that is no number", b"\x03\x01\x01a\xfd"),
        ("a binary score that is no number", b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f"),
        ("four billion elements", b"\x01\x80\xff\xff\xff\xff\x01a"),
        ("more elements than numbers", b"\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a"),
        ("a string as long as memory", b"\x00\x81\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ("a compressed string as long as memory", b"\x00\xc3\x03\x80\xff\xff\xff\xff\x00a\x00"),
        ("a reference before the beginning", b"\x00\xc3\x03\x06\x00a\x20"),
        ("a node of a third kind", b"\x12\x01\x03\x01a"),
        ("a listpack of garbage", b"\x10\x08\x01\x02\x03\x04\x05\x06\x07\xff"),
        ("a field without value", b"\x10\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff"),
        ("a time after all times", b"\x18\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x05\x01f\x01v"),
        ("a field that Redis had before it was released", b"\x16\x01\x01f\x01v\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("a ziplist of garbage", b"\x0a\x0c\x0c\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\xff"),
        ("an empty zipmap", b"\x09\x02\x00\xff"),
    ];
    for (what, body) in cases {
        let refused = restore(&sealed(body), &limits(), NOW_MS).map(|loaded| describe(&loaded));
        assert_eq!(refused, Err(Refused::Value), "{what}");
    }
}

/// Changes a payload in a few places, and its footer so that the change is not noticed by that.
pub(crate) fn mutate(payload: &[u8], random: &mut Random) -> Vec<u8> {
    let mut body = payload[..payload.len() - 10].to_vec();
    let version = u16::from_le_bytes([payload[payload.len() - 10], payload[payload.len() - 9]]);
    for _ in 0..=random.below(3) {
        if body.is_empty() {
            break;
        }
        let at = random.below(body.len());
        match random.below(6) {
            0 => body[at] ^= 1 << random.below(8),
            1 => body[at] = random.next() as u8,
            2 => body[at] = [0, 1, 0x3F, 0x7F, 0x80, 0x81, 0xC3, 0xF1, 0xFE, 0xFF][random.below(10)],
            3 => body.truncate(at),
            4 => body.insert(at, random.next() as u8),
            _ => {
                let end = (at + random.below(9)).min(body.len());
                body.splice(at..end, []);
            }
        }
    }
    body.extend_from_slice(&[0; 10]);
    set_footer(&mut body, version);
    body
}

#[test]
fn a_mutated_payload_is_refused_or_a_value_like_any_other() {
    let mut random = Random::fixed(2025);
    let mut seeds: Vec<Vec<u8>> = recorded().into_iter().map(|recorded| recorded.payload).collect();
    seeds.push(dump(&Value::Object(BoxedStream::new(stream()).wrap().view())));
    let (mut accepted, mut refused) = (0, 0);
    for seed in &seeds {
        for _ in 0..600 {
            let payload = mutate(seed, &mut random);
            let Ok(loaded) = restore(&payload, &limits(), NOW_MS) else {
                refused += 1;
                continue;
            };
            accepted += 1;
            let again = dump_again(&loaded);
            if matches!(loaded, Loaded::Expired) {
                continue;
            }
            let Ok(reloaded) = restore(&again, &limits(), NOW_MS) else { panic!("{payload:02x?}") };
            assert_eq!(describe(&reloaded), describe(&loaded), "{payload:02x?}");
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}
