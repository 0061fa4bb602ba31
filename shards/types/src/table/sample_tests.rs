//! One round of the hand over tables with many, few and no volatile entries.

use std::collections::HashMap;

use super::*;
use crate::table::expiring_name::ExpiringName;
use crate::table::hash;

fn table(keys: usize, expires: impl Fn(usize) -> bool) -> Table<ExpiringName> {
    let mut table = Table::new();
    for number in 0..keys {
        let key = format!("key:{number}");
        let entry = ExpiringName::new(key.as_bytes(), expires(number).then_some(1));
        table.insert_new(hash(key.as_bytes()), entry);
    }
    table
}

/// One round of the hand: how often each key was seen, and the calls that it took.
fn round(
    table: &mut Table<ExpiringName>,
    limit: usize,
    want: usize,
    only_volatile: bool,
) -> (HashMap<Vec<u8>, usize>, usize) {
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let (mut hand, mut calls) = (0, 0);
    loop {
        let sampled =
            table.sample(hand, limit, want, only_volatile, |entry| *seen.entry(entry.key().to_vec()).or_default() += 1);
        calls += 1;
        assert!(sampled.buckets <= limit);
        hand = sampled.next;
        if hand == 0 {
            return (seen, calls);
        }
    }
}

#[test]
fn one_round_of_the_hand_sees_every_entry_once() {
    for keys in [1, 7, 100, 5000] {
        let mut table = table(keys, |_| false);
        let (seen, _) = round(&mut table, 1000, 5, false);
        assert_eq!(seen.len(), keys);
        assert!(seen.values().all(|&times| times == 1));
    }
}

#[test]
fn rare_volatile_entries_are_found_without_looking_at_the_others() {
    let mut table = table(10_000, |number| number % 1000 == 3);
    let (seen, calls) = round(&mut table, usize::MAX, 5, true);
    assert_eq!(seen.len(), 10);
    assert!(calls <= 3, "a call goes on until it has found enough, not {calls} calls");
}

#[test]
fn a_call_passes_no_more_buckets_than_it_may() {
    let mut table = table(10_000, |_| false);
    let sampled = table.sample(0, 16, 5, true, |_| panic!("nothing here expires"));
    assert_eq!((sampled.visited, sampled.buckets, sampled.next), (0, 16, 16));
}

#[test]
fn a_mark_without_a_volatile_entry_is_cleared() {
    for keys in [1, 2000] {
        let mut table = table(keys, |_| true);
        for number in 0..keys {
            let key = format!("key:{number}").into_bytes();
            let mut slot = table.find_slot(hash(&key), &key).expect("the key is there");
            slot.rebuild(|entry| entry.with_expiry(None));
        }
        assert_eq!(table.sample(0, usize::MAX, 5, true, |_| {}).visited, 0);
        let mut looked_at = 0;
        let look = |_: &ExpiringName| {
            looked_at += 1;
            false
        };
        table.sweep(0, usize::MAX / 2, look, |_| {});
        assert_eq!(looked_at, 0);
        let marks = (0..table.buckets as usize).filter(|&index| {
            // SAFETY: the table has a live bucket with this number.
            unsafe { (*table.bucket(index)).meta & VOLATILE != 0 }
        });
        assert_eq!(marks.count(), 0);
        // SAFETY: the block of a table that has one is live.
        assert!(table.block().is_none_or(|block| unsafe { *block.meta() } & VOLATILE == 0));
    }
}

#[test]
fn sampling_an_empty_table_gives_nothing() {
    let mut table: Table<ExpiringName> = Table::new();
    assert_eq!(table.sample(5, 10, 5, false, |_| {}), Sampled::default());
}
