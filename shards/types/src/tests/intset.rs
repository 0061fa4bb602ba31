//! Tests of the intset. Byte vectors were recorded from Redis 7.0 with DUMP; the rest runs against a `BTreeSet`.

use std::collections::BTreeSet;

use super::*;
use crate::random::Random;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn of(values: &[i64]) -> Intset {
    let mut set = Intset::new();
    for &value in values {
        assert!(set.insert(value));
    }
    set
}

#[test]
fn every_width_is_stored_as_redis_stores_it() {
    assert_eq!(of(&[5, 1, 3]).as_bytes(), unhex("0200000003000000010003000500"));
    assert_eq!(of(&[5, 1, -70_000]).as_bytes(), unhex("040000000300000090eefeff0100000005000000"));
    let mut set = of(&[5, 1, 70_000, -5_000_000_000]);
    assert_eq!(
        set.as_bytes(),
        unhex("0800000004000000000efad5feffffff010000000000000005000000000000007011010000000000")
    );
    assert!(set.insert(3) && set.remove(-5_000_000_000));
    assert_eq!(
        set.as_bytes(),
        unhex("08000000040000000100000000000000030000000000000005000000000000007011010000000000")
    );
}

#[test]
fn any_sequence_of_changes_leaves_what_a_sorted_set_would_hold() {
    for seed in 1..=60u64 {
        let mut dice = Random::fixed(seed * 77);
        let (mut set, mut model) = (Intset::new(), BTreeSet::new());
        for _ in 0..400 {
            let shift = 48 + dice.next() % 16 - (seed % 3) * 24;
            let value = dice.next() as i64 >> shift;
            if dice.next() % 3 == 0 {
                assert_eq!(set.remove(value), model.remove(&value));
            } else {
                assert_eq!(set.insert(value), model.insert(value));
            }
            let probe = dice.next() as i64 >> shift;
            assert_eq!(set.contains(probe), model.contains(&probe));
        }
        assert!(set.iter().eq(model.iter().copied()));
        assert_eq!(set.len(), model.len());
        for (index, &value) in model.iter().enumerate() {
            assert_eq!(set.get(index), Some(value));
        }
        assert_eq!(set.get(model.len()), None);
        let copy = Intset::from_bytes_validated(set.as_bytes()).expect("valid bytes");
        assert!(copy.iter().eq(model));
    }
}

#[test]
fn the_extremes_of_64_bits_are_ordinary_elements() {
    let set = of(&[i64::MAX, 0, i64::MIN]);
    assert!(set.iter().eq([i64::MIN, 0, i64::MAX]));
    assert!(set.contains(i64::MIN) && set.contains(i64::MAX) && !set.contains(1));
    assert!(!of(&[1]).contains(i64::MAX));
}

#[test]
fn malformed_bytes_are_refused_one_by_one() {
    let good = of(&[1, 2, 3]).as_bytes().to_vec();
    assert!(Intset::from_bytes_validated(&good).is_some());
    let changes = [
        (0, 3, "an unknown width"),
        (0, 4, "another width"),
        (4, 2, "a smaller count"),
        (4, 4, "a larger count"),
        (7, 0x80, "a huge count"),
        (8, 2, "a duplicate"),
        (9, 1, "descending order"),
    ];
    for (at, byte, what) in changes {
        let mut bytes = good.clone();
        bytes[at] = byte;
        assert!(Intset::from_bytes_validated(&bytes).is_none(), "{what}");
    }
    for length in 0..good.len() {
        assert!(Intset::from_bytes_validated(&good[..length]).is_none(), "cut to {length}");
    }
    assert!(Intset::from_bytes_validated(Intset::new().as_bytes()).is_none(), "empty");
}

#[test]
fn an_intset_is_one_thin_pointer() {
    assert_eq!(std::mem::size_of::<Option<Intset>>(), 8);
    let raw = of(&[4]).into_raw();
    // SAFETY: just taken from into_raw, used once.
    let restored = unsafe { Intset::from_raw(raw) };
    assert!(restored.clone().contains(4) && !restored.is_empty());
}
