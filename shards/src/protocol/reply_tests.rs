//! Tests of [`super`]: how far a reply grows, and what is left of one that is more than it may be.

use super::*;

/// Parts of which replies become large.
type Part = (&'static str, fn(&mut Reply<'_>));

const PARTS: [Part; 7] = [
    ("a long bulk string", |reply| reply.bulk(&[b'x'; 5000])),
    ("an empty bulk string", |reply| reply.bulk(b"")),
    ("a short bulk string", |reply| reply.bulk(&[b'x'; 50])),
    ("an integer as a bulk string", |reply| reply.bulk_int(123_456)),
    ("text", |reply| reply.verbatim("txt", &[b'x'; 5000])),
    ("bytes", |reply| reply.raw(b"+OK\r\n")),
    ("a collection of unknown length", |reply| {
        let place = reply.deferred();
        reply.bulk(b"element");
        reply.close_array(place, 1);
    }),
];

#[test]
fn nothing_is_kept_of_what_becomes_more_than_it_may_be() {
    const BYTES_MAX: usize = 100_000;
    for (name, write) in PARTS {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = b"before".to_vec();
            let mut reply = Reply::bounded(&mut out, protocol, BYTES_MAX);
            for _ in 0..100_000 {
                write(&mut reply);
            }
            assert!(reply.is_dropped() && reply.failed(), "{name}");
            assert!(reply.end_dropped() > BYTES_MAX, "{name}");
            assert_eq!(out, b"before", "{name}");
            assert!(out.capacity() <= 3 * BYTES_MAX, "{name}: {}", out.capacity());
        }
    }
}

#[test]
fn what_is_written_elsewhere_is_measured_as_well() {
    let mut out = Vec::new();
    let mut reply = Reply::bounded(&mut out, Protocol::Resp2, 10);
    reply.written_by(|out| {
        out.extend_from_slice(b"$5\r\nhello\r\n");
        false
    });
    assert_eq!((reply.is_dropped(), reply.end_dropped()), (true, 11));
    assert_eq!(out, b"");
}

#[test]
fn an_error_in_place_of_what_was_dropped_is_not_kept_either() {
    let mut out = Vec::new();
    let mut reply = Reply::bounded(&mut out, Protocol::Resp2, 1000);
    reply.bulk(&[b'x'; 5000]);
    reply.replace_by_error(&CommandError::new("ERR something else"));
    assert!(reply.end_dropped() > 5000);
    assert_eq!(out, b"");
}

#[test]
fn a_large_buffer_has_little_more_room_than_is_used() {
    for (name, write) in PARTS {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp3);
        while reply.written().len() < 5 * DOUBLED_MAX {
            reply.raw(&vec![b'-'; 1 << 20]);
            (0..100).for_each(|_| write(&mut reply));
        }
        assert!(!reply.failed());
        assert!(out.capacity() - out.len() <= out.len() / 8 + (1 << 20), "{name}: {} of {}", out.len(), out.capacity());
    }
}

#[test]
fn a_bulk_string_is_framed_alike_at_every_length_and_in_any_room() {
    for length in (0..=101).chain([999, 1000]) {
        let value = vec![b'v'; length];
        let framed = [format!("${length}\r\n").as_bytes(), &value, b"\r\n"].concat();
        for room in 0..24 {
            let mut out = Vec::with_capacity(room);
            Reply::new(&mut out, Protocol::Resp2).bulk(&value);
            assert_eq!(out, framed, "{length} bytes, room for {room}");
        }
    }
}

#[test]
fn an_integer_as_a_bulk_string_has_its_digits_counted() {
    for value in [0, 7, -1, 10, -10, 999_999_999, 1_000_000_000, -999_999_999, i64::MAX, i64::MIN] {
        let text = value.to_string();
        let mut out = Vec::new();
        Reply::new(&mut out, Protocol::Resp3).bulk_int(value);
        assert_eq!(out, format!("${}\r\n{text}\r\n", text.len()).as_bytes());
    }
}
