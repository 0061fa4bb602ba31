//! Tests of the table against a model.

use super::*;
use std::collections::{HashMap, HashSet};

fn name(i: usize) -> Vec<u8> {
    format!("key:{i}").into_bytes()
}

fn insert(table: &mut Table<NameEntry>, key: &[u8]) {
    table.insert_new(hash(key), NameEntry::new(key));
}

/// A small deterministic generator (xorshift).
struct Dice(u64);
impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn every_key_is_found_while_the_table_grows_and_shrinks() {
    let total = if cfg!(miri) { 600 } else { 20_000 };
    let mut table = Table::new();
    for i in 0..total {
        insert(&mut table, &name(i));
        if i % 97 == 0 {
            for j in (0..=i).step_by(31) {
                assert!(table.find(hash(&name(j)), &name(j)).is_some());
            }
        }
    }
    assert_eq!(table.len(), total);
    for i in (0..total).rev() {
        assert!(table.remove(hash(&name(i)), &name(i)).is_some());
        assert!(table.find(hash(&name(i)), &name(i)).is_none());
        if i % 101 == 0 {
            for j in (0..i).step_by(37) {
                assert!(table.find(hash(&name(j)), &name(j)).is_some());
            }
        }
    }
    assert!(table.is_empty());
    assert_eq!((table.bucket_count(), table.memory_bytes()), (0, 0), "an empty table has nothing allocated");
}

#[test]
fn random_operations_agree_with_a_hash_map() {
    let mut dice = Dice(42);
    let mut table = Table::new();
    let mut model: HashMap<Vec<u8>, ()> = HashMap::new();
    let steps = if cfg!(miri) { 2_000 } else { 200_000 };
    for _ in 0..steps {
        let key = name((dice.roll() % 3000) as usize);
        if dice.roll() % 2 == 0 {
            if model.insert(key.clone(), ()).is_none() {
                insert(&mut table, &key);
            }
        } else {
            assert_eq!(table.remove(hash(&key), &key).is_some(), model.remove(&key).is_some());
        }
        assert_eq!(table.len(), model.len());
    }
    let seen: HashSet<Vec<u8>> = table.iter().map(|e| e.key().to_vec()).collect();
    assert_eq!(seen, model.keys().cloned().collect());
}

#[test]
fn a_scan_sees_every_key_that_stays_while_others_come_and_go() {
    let mut dice = Dice(7);
    for round in 0..if cfg!(miri) { 2 } else { 60 } {
        let mut table = Table::new();
        let stay = 1 + (dice.roll() % 900) as usize;
        for i in 0..stay {
            insert(&mut table, &name(i));
        }
        let mut seen = HashSet::new();
        let mut cursor = 0;
        let mut extra = 0;
        loop {
            cursor = table.scan(cursor, |entry| {
                seen.insert(entry.key().to_vec());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..dice.roll() % 20 {
                if round % 2 == 0 && extra < 3000 {
                    insert(&mut table, &name(10_000 + extra));
                    extra += 1;
                } else if extra > 0 {
                    extra -= 1;
                    let key = name(10_000 + extra);
                    table.remove(hash(&key), &key);
                }
            }
        }
        for i in 0..stay {
            assert!(seen.contains(&name(i)), "key {i} of {stay} was not seen in round {round}");
        }
    }
}

#[test]
fn keys_that_differ_in_one_byte_are_told_apart_whatever_their_length() {
    for length in 0..70 {
        let key: Vec<u8> = (0..length).map(|at| b'a' + (at % 26) as u8).collect();
        assert!(same(&key, &key.clone()), "{length}");
        assert!(!same(&key, &[&key[..], b"x"].concat()), "{length}");
        for at in 0..length {
            let mut other = key.clone();
            other[at] ^= 1;
            assert!(!same(&key, &other), "{length}, {at}");
        }
    }
}

#[test]
fn random_picks_are_fair() {
    let mut table = Table::new();
    for i in 0..100 {
        insert(&mut table, &name(i));
    }
    let mut dice = Dice(99);
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
    for _ in 0..100_000 {
        let entry = table.random(|| dice.roll().wrapping_mul(0x9E37_79B9_7F4A_7C15)).expect("not empty");
        *counts.entry(entry.key().to_vec()).or_default() += 1;
    }
    assert_eq!(counts.len(), 100);
    assert!(counts.values().all(|&n| (700..1300).contains(&n)), "{counts:?}");
}

/// A volatile entry: its expiry is the number in its name.
#[repr(transparent)]
struct Volatile(NameEntry);
// SAFETY: transparent over NameEntry, which is transparent over NonNull<u8>.
unsafe impl Entry for Volatile {
    fn key(&self) -> &[u8] {
        self.0.key()
    }
    fn is_volatile(&self) -> bool {
        self.0.key().starts_with(b"v")
    }
}

#[test]
fn a_sweep_removes_what_has_expired_and_nothing_else() {
    let mut table = Table::new();
    for i in 0..5000 {
        let key = format!("{}{i}", if i % 3 == 0 { "v" } else { "p" }).into_bytes();
        table.insert_new(hash(&key), Volatile(NameEntry::new(&key)));
    }
    let mut removed = 0;
    for _ in 0..200 {
        let mut at = 0;
        loop {
            at = table.sweep(
                at,
                16,
                |e| e.key().ends_with(b"0") || e.key().ends_with(b"5"),
                |e| {
                    assert!(e.key().starts_with(b"v"));
                    removed += 1;
                },
            );
            if at == 0 {
                break;
            }
        }
    }
    let expected = (0..5000).filter(|i| i % 3 == 0 && i % 5 == 0).count();
    assert_eq!(removed, expected);
    assert_eq!(table.len(), 5000 - expected);
    assert_eq!(table.iter().count(), 5000 - expected);
}

#[test]
fn a_sweep_visits_everything_volatile_after_buckets_were_merged() {
    // Where a merged chain overflows, the volatile entry of the one bucket may get into a link of the other's.
    for round in 0..10 {
        let mut table = Table::new();
        let names: Vec<Vec<u8>> =
            (0..20_000).map(|i| format!("{}{i}-{round}", if i % 20 == 0 { "v" } else { "p" }).into_bytes()).collect();
        for name in &names {
            table.insert_new(hash(name), Volatile(NameEntry::new(name)));
        }
        for name in names.iter().skip(2000 + round * 300) {
            table.remove(hash(name), name).expect("it is there");
        }
        let volatile = table.iter().filter(|entry| entry.is_volatile()).count();
        for _ in 0..2 {
            let mut visited = 0;
            let count = |_: &Volatile| {
                visited += 1;
                false
            };
            assert_eq!(table.sweep(0, usize::MAX / 2, count, |_| unreachable!("nothing expires")), 0);
            assert_eq!(visited, volatile);
        }
    }
}

#[test]
fn a_table_with_room_reserved_is_as_one_that_has_grown() {
    for total in [1025, 2000, 5000] {
        let (mut grown, mut reserved) = (Table::new(), Table::new());
        reserved.reserve(total);
        let buckets = reserved.bucket_count();
        for i in 0..total {
            insert(&mut grown, &name(i));
            insert(&mut reserved, &name(i));
        }
        assert_eq!(reserved.bucket_count(), buckets, "nothing was split while {total} entries came");
        assert_eq!(reserved.bucket_count(), grown.bucket_count());
        assert!((0..total).all(|i| reserved.find(hash(&name(i)), &name(i)).is_some()));
        assert_eq!(reserved.iter().count(), total);
        insert(&mut reserved, b"one more");
        assert!((0..total).rev().all(|i| reserved.remove(hash(&name(i)), &name(i)).is_some()));
    }
}
