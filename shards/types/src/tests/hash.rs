//! Tests of hashes against a `HashMap`, and of the conversion rules of Redis.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::random::Random;

const LIMITS: Limits = Limits { entries: 128, value_bytes: 64 };

fn any_value(dice: &mut Random) -> Vec<u8> {
    match dice.below(50) {
        0 => vec![b'v'; 100 + dice.below(200)],
        1 => vec![b'w'; 16_300 + dice.below(200)],
        2..=20 => (dice.next() as i64 >> dice.below(60)).to_string().into_bytes(),
        _ => vec![b'x'; dice.below(70)],
    }
}

fn contents(hash: &Hash) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let pairs: Vec<_> = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
    let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "a field came twice");
    map
}

fn filled(pairs: usize, limits: Limits) -> Hash {
    let mut hash = Hash::new();
    for index in 0..pairs {
        hash.set(format!("field:{index}").as_bytes(), format!("value:{index}").as_bytes(), limits);
    }
    hash
}

#[test]
fn any_sequence_of_changes_leaves_what_a_map_would_hold() {
    for seed in 1..=24u64 {
        let limits = if seed % 2 == 0 { LIMITS } else { Limits { entries: 10, value_bytes: 1 << 20 } };
        let mut dice = Random::fixed(seed * 104_729);
        let (mut hash, mut model) = (Hash::new(), HashMap::new());
        for _ in 0..1500 {
            let field = dice.below(40 + seed as usize * 10).to_string().into_bytes();
            match dice.below(5) {
                0 | 1 => {
                    let value = any_value(&mut dice);
                    let change = hash.set(&field, &value, limits);
                    let expected = if model.insert(field, value).is_some() { Change::Updated } else { Change::Created };
                    assert_eq!(change, expected);
                }
                2 => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                _ => {
                    assert_eq!(hash.get(&field).map(|item| item.to_vec()), model.get(&field).cloned());
                    assert_eq!(hash.contains(&field), model.contains_key(&field));
                }
            }
            assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
        }
        let expected: BTreeMap<_, _> = model.into_iter().collect();
        assert_eq!(contents(&hash), expected);
        assert_eq!(contents(&hash.clone()), expected);
    }
}

#[test]
fn a_hash_becomes_a_table_by_the_limits_and_never_goes_back() {
    let mut hash = filled(128, LIMITS);
    assert_eq!((hash.encoding_name(), hash.free_effort()), ("listpack", 1));
    hash.set(b"field:5", b"updated", LIMITS);
    assert_eq!(hash.encoding_name(), "listpack");
    hash.set(b"one more", b"", LIMITS);
    assert_eq!(hash.encoding_name(), "hashtable");
    assert!(hash.as_listpack().is_none());
    for index in 0..128 {
        assert!(hash.remove(format!("field:{index}").as_bytes()));
    }
    assert_eq!((hash.encoding_name(), hash.len()), ("hashtable", 1));

    for (field, value) in [(vec![b'f'; 65], vec![]), (vec![], vec![b'v'; 65])] {
        let mut hash = filled(1, LIMITS);
        hash.set(&field, &value, LIMITS);
        assert_eq!(hash.encoding_name(), "hashtable");
        assert_eq!(hash.get(&field).map(|item| item.to_vec()), Some(value));
    }
    let mut hash = Hash::new();
    hash.expect_additions(128, LIMITS);
    assert_eq!(hash.encoding_name(), "listpack");
    hash.expect_additions(129, LIMITS);
    assert_eq!(hash.encoding_name(), "hashtable");
}

#[test]
fn a_value_changes_its_length_in_a_table_through_every_header_width() {
    let mut hash = filled(1, Limits { entries: 0, value_bytes: 64 });
    assert_eq!(hash.encoding_name(), "hashtable");
    for length in [0, 1, 20, 127, 128, 129, 5000, 16_383, 16_384, 300_000, 128, 127, 3, 0] {
        let value = vec![b'y'; length];
        assert_eq!(hash.set(b"field:0", &value, LIMITS), Change::Updated);
        assert_eq!(hash.get(b"field:0").map(|item| item.to_vec()), Some(value));
        assert!(hash.allocated_bytes(0) < 256 + length * 5 / 4);
    }
}

#[test]
fn a_scan_returns_every_pair_even_while_the_table_grows() {
    let mut hash = filled(1000, LIMITS);
    let (mut seen, mut cursor, mut step) = (HashSet::new(), 0, 0);
    loop {
        cursor = hash.scan(cursor, 0, |field, value| {
            assert!(value.text_len() > 0);
            seen.insert(field.to_vec());
        });
        if cursor == 0 {
            break;
        }
        step += 1;
        for extra in 0..20 {
            hash.set(format!("extra:{step}:{extra}").as_bytes(), b"x", LIMITS);
        }
    }
    assert!((0..1000).all(|index| seen.contains(format!("field:{index}").as_bytes())));
    let mut count = 0;
    assert_eq!(filled(100, LIMITS).scan(7, 0, |_, _| count += 1), 0);
    assert_eq!(count, 100);
}

#[test]
fn every_pair_is_chosen_about_equally_often() {
    for pairs in [100, 400] {
        let hash = filled(pairs, LIMITS);
        let mut dice = Random::fixed(31);
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        for _ in 0..pairs * 400 {
            let (field, value) = hash.random(|| dice.next()).expect("not empty");
            assert_eq!(field.to_vec()[5..], value.to_vec()[5..]);
            *counts.entry(field.to_vec()).or_default() += 1;
        }
        assert_eq!(counts.len(), pairs);
        assert!(counts.values().all(|count| (280..520).contains(count)), "{:?}", counts.values());
    }
    assert!(Hash::new().random(|| 1).is_none());
}

#[test]
fn only_a_listpack_of_distinct_fields_is_adopted() {
    let of = |items: &[&str]| {
        let mut listpack = Listpack::new();
        items.iter().for_each(|item| listpack.push_back(item.as_bytes()));
        listpack
    };
    assert!(Hash::from_listpack(of(&[]), LIMITS).is_none());
    assert!(Hash::from_listpack(of(&["a", "1", "b"]), LIMITS).is_none());
    assert!(Hash::from_listpack(of(&["a", "1", "a", "2"]), LIMITS).is_none());
    let hash = Hash::from_listpack(of(&["a", "1", "b", "1"]), LIMITS).expect("a valid hash");
    assert_eq!(hash.as_listpack().map(Listpack::len), Some(4));
    let converted = Hash::from_listpack(of(&["a", "1", "b", "1"]), Limits { entries: 1, value_bytes: 64 });
    let converted = converted.expect("a valid hash");
    assert_eq!((converted.encoding_name(), converted.len()), ("hashtable", 2));
}

/// The table of a hash that has one.
fn fields(hash: &mut Hash) -> &mut Fields {
    hash.timed_mut().expect("not packed any more")
}

fn remove_all_expired(of: &mut Hash, now: u64) -> usize {
    let mut removed = 0;
    fields(of).remove_all_expired(now, |_| removed += 1);
    removed
}

#[test]
fn an_expiry_belongs_to_its_field_and_is_swept_when_due() {
    let mut hash = filled(100, LIMITS);
    assert_eq!(hash.expiry(b"field:1"), Some(None));
    assert_eq!(hash.expiry(b"missing"), None);
    assert!(!hash.set_expiry(b"missing", Some(5)));
    assert!(hash.set_expiry(b"field:0", None));
    assert_eq!(hash.encoding_name(), "listpack");
    for index in 0..100u64 {
        assert!(hash.set_expiry(format!("field:{index}").as_bytes(), Some(1000 + index)));
    }
    assert_eq!(hash.encoding_name(), "listpackex");
    hash.set(b"field:7", b"a new value of another length than before", LIMITS);
    assert_eq!(hash.expiry(b"field:7"), Some(Some(1007)));
    hash.set_expiry(b"field:7", None);
    hash.set_expiry(b"field:8", Some(999));
    assert_eq!(contents(&hash.clone()), contents(&hash));
    let mut removed = Vec::new();
    assert!(hash.is_due(999) && !hash.is_due(998), "the bound is that of field 8");
    assert_eq!(hash.iter_at(1049).count(), 51);
    // A round that removes something is followed by another one; the first that removes nothing finds the exact bound. What
    // moves as the table shrinks may be met only in the next round.
    let mut before = usize::MAX;
    while before != removed.len() {
        before = removed.len();
        while !fields(&mut hash).sweep_expired(4, 1049, |field| removed.push(field.to_vec())) {}
    }
    assert!(hash.is_due(1050) && !hash.is_due(1049));
    assert_eq!((removed.len(), hash.len()), (49, 51));
    assert!(hash.contains(b"field:7") && hash.contains(b"field:50") && !hash.contains(b"field:49"));
}

#[test]
fn a_hash_announces_when_it_is_due_earlier_than_it_has_said() {
    let mut hash = filled(10, LIMITS);
    assert!(!hash.has_expiries() && hash.timed().is_none());
    hash.set_expiry(b"field:1", Some(500));
    assert_eq!(fields(&mut hash).announce(false), Some(500));
    assert!(fields(&mut hash).is_announced(500) && fields(&mut hash).announce(false).is_none());
    hash.set_expiry(b"field:2", Some(700));
    assert_eq!((fields(&mut hash).announce(false), fields(&mut hash).announce(true)), (None, Some(500)));
    hash.set_expiry(b"field:3", Some(300));
    assert_eq!(fields(&mut hash).announce(false), Some(300));
    assert!(!fields(&mut hash).is_announced(500));
    assert_eq!(remove_all_expired(&mut hash, 400), 1);
    assert!(hash.has_expiries() && !hash.is_due(499) && hash.is_due(500));
    assert_eq!(fields(&mut hash.clone()).announce(false), Some(500), "a copy has announced nothing");
    assert!(
        !fields(&mut hash).remove_if_expired(b"field:1", 499) && fields(&mut hash).remove_if_expired(b"field:1", 500)
    );
    assert_eq!(remove_all_expired(&mut hash, 1000), 1);
    assert!(!hash.has_expiries());
}

#[test]
fn a_hash_with_expiries_is_called_small_until_it_outgrows_the_limits() {
    let mut hash = filled(3, LIMITS);
    hash.set_expiry(b"field:1", Some(500));
    assert_eq!(hash.encoding_name(), "listpackex");
    hash.set(b"field:1", &[b'x'; 1000], LIMITS);
    assert_eq!(hash.encoding_name(), "hashtable");
}

#[test]
fn a_pair_of_a_table_costs_one_small_allocation() {
    let hash = filled(10_000, LIMITS);
    let per_pair = hash.allocated_bytes(0) as f64 / 10_000.0;
    // 10 + 10 bytes of text, 3 of header, rounded up; some 12 of table.
    assert!((30.0..45.0).contains(&per_pair), "{per_pair}");
    let estimated = hash.allocated_bytes(50) as f64 / 10_000.0;
    assert!((estimated / per_pair - 1.0).abs() < 0.1, "{estimated} for {per_pair}");
}
