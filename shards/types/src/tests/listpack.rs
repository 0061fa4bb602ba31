//! Tests of the listpack. Byte vectors were recorded from Redis 7.0 with DUMP; everything else runs against a `Vec`.

use super::*;
use crate::random::Random;

/// Every integer width at both of its edges, as the values of a hash.
const RECORDED_INTEGERS: &str =
    "800000001800000101017f01c08002dfff02dffe02cfff02f1001003d00002f1ffef03f1ff7f03f200800004f1008003f2ff7fff04f2ff\
ff7f04f30000800005f200008004f3ffff7fff05f3ffffff7f05f4000000800000000009f30000008005f4ffffff7fffffffff09f4ffff\
ffffffffff7f09f4000000000000008009ff";

/// Strings that look like integers, and the edges of the first two string headers.
const RECORDED_STRINGS: &str =
    "d30000000c008001816102812d02822d300382303103822b310383312e3504933932323333373230333638353437373538303814942d39\
3232333337323033363835343737353830391582203103bf78787878787878787878787878787878787878787878787878787878787878\
787878787878787878787878787878787878787878787878787878787878787840e0407979797979797979797979797979797979797979\
797979797979797979797979797979797979797979797979797979797979797979797979797979797979797942ff";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// A value of any kind: small and large integers, short, medium and long strings.
fn any_value(dice: &mut Random) -> Vec<u8> {
    match dice.below(8) {
        0..=2 => (dice.next() as i64 >> dice.below(64)).to_string().into_bytes(),
        3 => Vec::new(),
        4 => vec![b'l'; 4090 + dice.below(12)],
        5 => vec![b'm'; 60 + dice.below(80)],
        _ => (0..dice.below(20)).map(|_| dice.next() as u8).collect(),
    }
}

fn contents(listpack: &Listpack) -> Vec<Vec<u8>> {
    listpack.iter().map(|item| item.to_vec()).collect()
}

fn assert_sound(listpack: &Listpack, model: &[Vec<u8>]) {
    let copy = Listpack::from_bytes_validated(listpack.as_bytes()).expect("valid bytes");
    assert_eq!(contents(&copy), model);
    let backwards: Vec<_> = listpack.iter().rev().map(|item| item.to_vec()).collect();
    assert!(backwards.iter().rev().eq(model));
    assert_eq!(listpack.len(), model.len());
    assert_eq!(listpack.is_empty(), model.is_empty());
}

#[test]
fn integers_are_stored_as_redis_stores_them() {
    let values = [
        0,
        1,
        127,
        128,
        -1,
        -2,
        4095,
        4096,
        -4096,
        -4097,
        32767,
        32768,
        -32768,
        -32769,
        8_388_607,
        8_388_608,
        -8_388_608,
        -8_388_609,
        2_147_483_647,
        2_147_483_648,
        -2_147_483_648,
        -2_147_483_649,
        i64::MAX,
        i64::MIN,
    ];
    let (mut from_text, mut from_integers) = (Listpack::new(), Listpack::new());
    for value in values {
        from_text.push_back(value.to_string().as_bytes());
        from_integers.push_back(value);
    }
    assert_eq!(from_text.as_bytes(), unhex(RECORDED_INTEGERS));
    assert_eq!(from_integers.as_bytes(), unhex(RECORDED_INTEGERS));
    assert!(from_text.iter().eq(values.iter().map(|&value| Item::Int(value))));
}

#[test]
fn strings_are_stored_as_redis_stores_them() {
    let (x, y) = ("x".repeat(63), "y".repeat(64));
    let values = [
        "",
        "a",
        "-",
        "-0",
        "01",
        "+1",
        "1.5",
        "9223372036854775808",
        "-9223372036854775809",
        " 1",
        x.as_str(),
        y.as_str(),
    ];
    let mut listpack = Listpack::new();
    listpack.append(&values.map(|value| Encoded::from(value.as_bytes())));
    assert_eq!(listpack.as_bytes(), unhex(RECORDED_STRINGS));
}

#[test]
fn long_strings_and_every_backlen_width_are_stored_as_redis_stores_them() {
    let values: [(u8, usize); 11] = [
        (b'p', 126),
        (b'q', 4093),
        (b'r', 4095),
        (b's', 4096),
        (b't', 16376),
        (b'u', 16377),
        (b'v', 16378),
        (b'w', 16379),
        (b'x', 125),
        (b'y', 124),
        (b'z', 127),
    ];
    let mut listpack = Listpack::new();
    for (index, (byte, length)) in values.into_iter().enumerate() {
        listpack.push_back(&[b'a' + index as u8]);
        listpack.push_back(&vec![byte; length]);
    }
    let bytes = listpack.as_bytes();
    let checksum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((bytes.len(), checksum), (78395, 0xb51d_36c0_acaf_36aa));
}

#[test]
fn any_sequence_of_changes_leaves_what_a_vector_would_hold() {
    for seed in 1..=40 {
        let mut dice = Random::fixed(seed * 0x9E37_79B9);
        let (mut listpack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
        for step in 0..300 {
            change(&mut dice, &mut listpack, &mut model);
            if step % 10 == 0 {
                assert_sound(&listpack, &model);
            }
        }
        assert_sound(&listpack, &model);
    }
}

fn change(dice: &mut Random, listpack: &mut Listpack, model: &mut Vec<Vec<u8>>) {
    let value = any_value(dice);
    if model.is_empty() || dice.below(4) == 0 {
        if dice.below(2) == 0 {
            listpack.push_back(&value);
            model.push(value);
        } else {
            listpack.push_front(&value);
            model.insert(0, value);
        }
        return;
    }
    let index = dice.below(model.len());
    let signed_index = if dice.below(2) == 0 { index as i64 } else { index as i64 - model.len() as i64 };
    let position = listpack.seek(signed_index).expect("inside");
    assert_eq!(listpack.get(position).to_vec(), model[index]);
    match dice.below(5) {
        0 => {
            let at = listpack.insert_before(position, &[Encoded::from(&value), Encoded::from(5)]);
            assert_eq!(listpack.get(at).to_vec(), value);
            model.splice(index..index, [value, b"5".to_vec()]);
        }
        1 => {
            listpack.replace(position, &value);
            model[index] = value;
        }
        2 => {
            let following = listpack.delete(position);
            model.remove(index);
            assert_eq!(following.map(|at| listpack.get(at).to_vec()), model.get(index).cloned());
        }
        3 => {
            let count = dice.below(5);
            let following = listpack.delete_range(position, count);
            model.drain(index..(index + count).min(model.len()));
            assert_eq!(following.map(|at| listpack.get(at).to_vec()), model.get(index).cloned());
        }
        _ => {
            let (skip, start) = (dice.below(3), dice.below(model.len()));
            let found = listpack.find_from(listpack.seek(start as i64).expect("inside"), &model[index], skip);
            let expected = (start..model.len()).step_by(skip + 1).find(|&at| model[at] == model[index]);
            assert_eq!(found, expected.and_then(|at| listpack.seek(at as i64)));
        }
    }
}

#[test]
fn positions_lead_from_one_element_to_the_next_and_back() {
    let mut listpack = Listpack::new();
    assert_eq!((listpack.first(), listpack.last()), (None, None));
    listpack.append(&[Encoded::from(b"one"), Encoded::from(2), Encoded::from(b"three")]);
    let first = listpack.first().expect("three elements");
    let second = listpack.next(first).expect("three elements");
    let third = listpack.next(second).expect("three elements");
    assert_eq!(listpack.next(third), None);
    assert_eq!(listpack.last(), Some(third));
    assert_eq!(listpack.previous(third), Some(second));
    assert_eq!(listpack.previous(second), Some(first));
    assert_eq!(listpack.previous(first), None);
    assert_eq!((listpack.get_index(3), listpack.get_index(-4)), (None, None));
    assert_eq!(listpack.get_index(-3), Some(Item::Str(b"one")));
}

#[test]
fn a_number_stored_as_text_is_still_found() {
    let mut listpack = Listpack::new();
    listpack.push_back(Encoded::from_string(b"12"));
    listpack.push_back(7);
    assert_eq!(listpack.find(b"12", 0), listpack.first());
    assert_eq!(listpack.find(b"7", 0), listpack.last());
    assert_eq!(listpack.find(b"07", 0), None);
}

#[test]
fn the_number_of_elements_is_right_beyond_what_the_header_can_say() {
    let mut listpack = Listpack::new();
    for index in 0..65_534i64 {
        listpack.push_back(index);
    }
    assert_eq!(listpack.as_bytes()[4..6], [0xFE, 0xFF]);
    listpack.append(&[Encoded::from(1), Encoded::from(2)]);
    assert_eq!(listpack.as_bytes()[4..6], [0xFF, 0xFF]);
    assert_eq!(listpack.len(), 65_536);
    assert_eq!(listpack.get_index(65_533), Some(Item::Int(65_533)));
    assert!(Listpack::from_bytes_validated(listpack.as_bytes()).is_some());
    listpack.delete_range_index(0, 60_000);
    assert_eq!(listpack.len(), 5_536);
}

#[test]
fn no_change_of_a_byte_makes_validation_or_reading_fail_badly() {
    let mut dice = Random::fixed(4242);
    let mut listpack = Listpack::new();
    for _ in 0..40 {
        listpack.push_back(&any_value(&mut dice));
    }
    for _ in 0..20_000 {
        let mut bytes = listpack.as_bytes().to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len().min(400));
            bytes[at] = dice.next() as u8;
        }
        if dice.below(4) == 0 {
            bytes.truncate(dice.below(bytes.len()));
        }
        if let Some(accepted) = Listpack::from_bytes_validated(&bytes) {
            assert_eq!(accepted.iter().count(), accepted.len());
            assert_eq!(accepted.iter().rev().count(), accepted.len());
        }
    }
}

#[test]
fn malformed_bytes_are_refused_one_by_one() {
    let good = [9u8, 0, 0, 0, 1, 0, 5, 1, END];
    assert!(Listpack::from_bytes_validated(&good).is_some());
    let mut uncounted = good;
    uncounted[4..6].fill(0xFF);
    assert_eq!(Listpack::from_bytes_validated(&uncounted).map(|listpack| listpack.len()), Some(1));
    let changes: [(usize, u8, &str); 7] = [
        (0, 10, "the total"),
        (4, 2, "the count"),
        (6, 0x82, "a string past the end"),
        (6, 0xF4, "an integer past the end"),
        (6, 0xF7, "an unknown header"),
        (7, 2, "the backlen"),
        (8, 0, "the end mark"),
    ];
    for (at, byte, what) in changes {
        let mut bytes = good;
        bytes[at] = byte;
        assert!(Listpack::from_bytes_validated(&bytes).is_none(), "{what}");
    }
    for length in 0..good.len() {
        assert!(Listpack::from_bytes_validated(&good[..length]).is_none(), "cut to {length}");
    }
    let huge = [15u8, 0, 0, 0, 1, 0, 0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, END];
    assert!(Listpack::from_bytes_validated(&huge).is_none());
}

#[test]
fn a_listpack_is_one_thin_pointer_with_little_slack() {
    assert_eq!(std::mem::size_of::<Option<Listpack>>(), 8);
    for total in 7..20_000 {
        let capacity = allocation::capacity_for(total);
        assert!(capacity >= total && capacity - total <= 15.max(total / 4), "{total} -> {capacity}");
        assert!(allocation::capacity_for(total + 1) >= capacity);
    }
    let raw = Listpack::new().into_raw();
    // SAFETY: just taken from into_raw, used once.
    let mut restored = unsafe { Listpack::from_raw(raw) };
    restored.push_back(b"kept");
    assert_eq!(restored.clone().get_index(0), Some(Item::Str(b"kept")));
}
