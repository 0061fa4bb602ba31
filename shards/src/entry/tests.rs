//! Tests of entries: what is in one, at every length and with and without a time.

use super::*;
use crate::entry::object::Collection;
use sherd_types::hash::{self, Hash};
use sherd_types::list::{End, List, NodeLimit};
use sherd_types::set::{Set, SetLimits};
use sherd_types::stream::BoxedStream;
use sherd_types::table::Entry as _;
use sherd_types::zset::{Limits, ZSet};

const SET_LIMITS: SetLimits = SetLimits { integers: 512, packed: hash::Limits { entries: 128, value_bytes: 64 } };

#[test]
fn a_small_string_takes_six_bytes_over_key_and_value() {
    let entry = Entry::new(b"0123456789", NewValue::Text(b"abcdefghijklmnop"), None, 0);
    assert_eq!(entry.allocated_bytes(), 32);
    assert_eq!(entry.with_expiry(Some(1)).allocated_bytes(), 40);
}

#[test]
fn every_kind_keeps_its_value_when_expiry_and_key_change() {
    let long = vec![b'x'; 300];
    for (value, encoding) in [
        (b"".as_slice(), "embstr"),
        (b"hello", "embstr"),
        (b"12345", "int"),
        (b"-9223372036854775808", "int"),
        (b"01", "embstr"),
        (long.as_slice(), "raw"),
    ] {
        for key in [b"k".to_vec(), vec![b'k'; 254], vec![b'k'; 255], vec![b'k'; 70_000]] {
            let entry = Entry::new(&key, NewValue::Text(value), None, 0xABCDEF);
            assert_eq!(entry.encoding(), encoding);
            let entry = entry.with_expiry(Some(77)).with_key(b"other").with_expiry(Some(78)).with_key(&key);
            assert_eq!((entry.key(), entry.expiry(), entry.clock()), (&key[..], Some(78), 0xABCDEF));
            let entry = entry.with_expiry(None);
            assert_eq!(entry.text().expect("a string").to_vec(), value);
            assert_eq!(entry.expiry(), None);
        }
    }
}

#[test]
fn a_collection_takes_nine_bytes_and_keeps_its_elements_when_expiry_and_key_change() {
    let mut set = Set::new();
    set.prepare(b"member", 1, SET_LIMITS);
    set.add(b"member", SET_LIMITS);
    let mut zset = ZSet::new();
    zset.add(Limits::default(), b"member", 1.5);
    let mut list = List::new();
    list.push(End::Back, b"member", NodeLimit::from_setting(-2));
    let collections: [Object; 5] =
        [set.into(), zset.into(), list.into(), Hash::new().into(), BoxedStream::default().into()];
    for object in collections {
        let (kind, count) = (object.view().value_type(), object.view().element_count());
        let entry = Entry::new(b"0123456789", NewValue::Object(object), None, 0xABCDEF);
        assert_eq!(entry.allocated_bytes(), 24);
        let entry = entry.with_expiry(Some(77)).with_key(&[b'k'; 300]).with_expiry(Some(78)).with_key(b"0123456789");
        assert_eq!((entry.allocated_bytes(), entry.expiry(), entry.clock()), (32, Some(78), 0xABCDEF));
        let mut entry = entry.with_expiry(None);
        assert_eq!((entry.key(), entry.value_type()), (b"0123456789".as_slice(), kind));
        assert_eq!(entry.object().expect("a collection").element_count(), count);
        if let Some(set) = entry.object_mut().and_then(Set::of_mut) {
            set.add(b"other", SET_LIMITS);
            assert_eq!(entry.object().and_then(Set::of).map(Set::len), Some(2));
        }
        assert!(entry.text().is_none());
    }
}

#[test]
fn a_value_is_overwritten_in_place_only_where_it_fits() {
    let mut entry = Entry::new(b"key", NewValue::Text(b"abcdef"), Some(5), 1);
    assert!(entry.set_text_in_place(b"ghij"));
    assert_eq!(entry.text(), Some(Text::Bytes(b"ghij")));
    assert!(!entry.set_text_in_place(&[b'x'; 100]));
    assert!(!entry.set_text_in_place(b"123"), "an integer is stored as one");
    assert_eq!((entry.text(), entry.expiry()), (Some(Text::Bytes(b"ghij")), Some(5)));
}

#[test]
fn verbatim_text_stays_text_when_the_entry_is_rebuilt() {
    let entry = Entry::new(b"key", NewValue::Verbatim(b"12"), None, 1).with_expiry(Some(5)).with_key(b"other");
    assert_eq!((entry.text(), entry.encoding()), (Some(Text::Bytes(b"12")), "embstr"));
}

#[test]
fn an_edited_string_is_called_raw_until_it_is_set_again() {
    let mut entry = Entry::new(b"key", NewValue::Editable(b"ab".to_vec()), None, 1);
    entry.editable().expect("a heap string").extend_from_slice(b"cd");
    assert_eq!((entry.text(), entry.encoding()), (Some(Text::Bytes(b"abcd")), "raw"));
}

#[test]
#[should_panic(expected = "a key is below 4 GiB")]
fn a_key_whose_length_does_not_fit_is_refused_before_anything_is_allocated() {
    // Its pages are never touched.
    let key = vec![0; 1 << 32];
    Entry::new(&key, NewValue::Integer(1), None, 0);
}
