//! Tables of few entries, and the way to buckets and back.

use std::collections::HashSet;

use super::*;
use crate::table::expiring_name::ExpiringName;

fn name(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn add(table: &mut Table<ExpiringName>, number: usize, expiry: Option<i64>) {
    table.insert_new(hash(&name(number)), ExpiringName::new(&name(number), expiry));
}

fn remove(table: &mut Table<ExpiringName>, number: usize) {
    let key = name(number);
    assert!(table.remove(hash(&key), &key).is_some(), "key {number} is there");
}

fn check(table: &Table<ExpiringName>, there: &HashSet<usize>, all: usize) {
    assert_eq!(table.len(), there.len());
    for number in 0..all {
        let key = name(number);
        let found = table.find(hash(&key), &key).map(|entry| entry.key().to_vec());
        assert_eq!(found, there.contains(&number).then_some(key));
    }
    let mut scanned = HashSet::new();
    let mut cursor = 0;
    loop {
        cursor = table.scan(cursor, |entry| _ = scanned.insert(entry.key().to_vec()));
        if cursor == 0 {
            break;
        }
    }
    let expected: HashSet<Vec<u8>> = there.iter().map(|&number| name(number)).collect();
    assert_eq!(scanned, expected);
    assert_eq!(table.iter().map(|entry| entry.key().to_vec()).collect::<HashSet<_>>(), expected);
}

#[test]
fn entries_are_found_on_the_way_to_buckets_and_back() {
    const KEYS: usize = 400;
    let mut table = Table::new();
    let mut there = HashSet::new();
    for number in 0..KEYS {
        add(&mut table, number, None);
        there.insert(number);
        if number < 40 || number % 37 == 0 {
            check(&table, &there, KEYS);
        }
    }
    for number in 0..KEYS {
        let number = number * 7 % KEYS;
        remove(&mut table, number);
        there.remove(&number);
        if there.len() < 40 || number % 37 == 0 {
            check(&table, &there, KEYS);
        }
    }
    assert_eq!(table.memory_bytes(), 0);
}

#[test]
fn a_block_is_just_large_enough_and_an_empty_table_has_none() {
    let mut table = Table::new();
    for (count, &places) in PLACES.iter().enumerate().skip(1) {
        add(&mut table, count, None);
        assert_eq!(table.memory_bytes(), size_class(block_bytes(count)), "{count} entries");
        assert_eq!(block_bytes(usize::from(places)), size_class(block_bytes(count)), "nothing of a class is lost");
        assert!(table.memory_bytes() <= 16 + count * 10 + count / 10 * 16, "{count} entries");
    }
    for count in (0..COMPACT_MAX).rev() {
        remove(&mut table, count + 1);
        let spare = if count == 0 { 0 } else { size_class(block_bytes(count + 1)) };
        assert_eq!(table.memory_bytes(), spare, "{count} entries");
    }
}

#[test]
fn one_entry_that_comes_and_goes_moves_nothing() {
    for count in [3, 9, COMPACT_MAX - 1, COMPACT_MAX, 200] {
        let mut table = Table::new();
        (0..=count).for_each(|number| add(&mut table, number, None));
        remove(&mut table, count);
        add(&mut table, count, None);
        let before = (table.root, table.memory_bytes());
        for _ in 0..10 {
            remove(&mut table, count);
            add(&mut table, count, None);
            assert_eq!((table.root, table.memory_bytes()), before, "{count} entries");
        }
    }
}

#[test]
fn a_scan_over_buckets_that_become_a_block_sees_every_key() {
    let mut table = Table::new();
    (0..60).for_each(|number| add(&mut table, number, None));
    let mut seen = HashSet::new();
    let cursor = table.scan(0, |entry| _ = seen.insert(entry.key().to_vec()));
    assert_ne!(cursor, 0);
    (10..60).for_each(|number| remove(&mut table, number));
    assert_eq!(table.scan(cursor, |entry| _ = seen.insert(entry.key().to_vec())), 0);
    assert!((0..10).all(|number| seen.contains(&name(number))));
}

#[test]
fn what_can_expire_is_found_whatever_the_table_becomes() {
    for keys in [1, 5, COMPACT_MAX, COMPACT_MAX + 1, 300] {
        let mut table = Table::new();
        (0..keys).for_each(|number| add(&mut table, number, (number % 3 == 0).then_some(number as i64)));
        for left in [keys, keys.min(200), keys.min(12), keys.min(3)] {
            (left..table.len()).for_each(|number| remove(&mut table, number));
            let mut seen = 0;
            let count = |_: &ExpiringName| {
                seen += 1;
                false
            };
            assert_eq!(table.sweep(0, usize::MAX / 2, count, |_| unreachable!("nothing expires")), 0);
            assert_eq!(seen, left.div_ceil(3), "{left} of {keys} keys are left");
        }
    }
}

#[test]
fn a_sweep_removes_what_has_expired_from_a_block() {
    let mut table = Table::new();
    (0..20).for_each(|number| add(&mut table, number, (number % 2 == 0).then_some(number as i64)));
    let mut gone = 0;
    table.sweep(0, 100, |entry| entry.expiry().is_some_and(|at| at < 10), |_| gone += 1);
    let there = (0..20).filter(|number| number % 2 == 1 || *number >= 10).collect();
    assert_eq!(gone, 5);
    check(&table, &there, 20);
    table.sweep(0, 100, |_| true, |_| gone += 1);
    assert_eq!((gone, table.len()), (10, 10));
    (0..10).for_each(|number| remove(&mut table, 2 * number + 1));
    assert_eq!(table.memory_bytes(), 0);
}

#[test]
fn every_entry_of_a_block_is_drawn() {
    let mut table = Table::new();
    (0..13).for_each(|number| add(&mut table, number, None));
    let mut random = crate::random::Random::fixed(5);
    let drawn: HashSet<Vec<u8>> =
        (0..500).filter_map(|_| table.random(|| random.next()).map(|entry| entry.key().to_vec())).collect();
    assert_eq!(drawn.len(), 13);
}
