//! What shards and slots cost: the same keys take about the same memory over one shard, several shards and all slots of a
//! cluster. The test binary runs under the counting allocator; figures are those of the thread that fills.

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};
// The tester says `crate::` for what it uses.
use sherd_shards::*;

#[allow(dead_code)]
#[path = "../src/testing.rs"]
mod testing;

use crate::keyspace::db::Db;
use crate::slot::{SlotMap, SLOTS};
use testing::Tester;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

/// Bytes of so many keys with values of `value` bytes, as they are after some of them were replaced by others.
fn filled_bytes(shards: usize, cluster: bool, keys: usize, value: usize) -> i64 {
    let value = "v".repeat(value);
    let mut tester = if cluster { Tester::of_cluster(shards) } else { Tester::new(shards) };
    // What the first key of a database brings with it is not the keys'.
    tester.run("SET first v");
    let before = memory::thread_bytes() - told_bytes(&tester);
    for number in 0..keys + keys / 4 {
        tester.run(&format!("SET key:{number:010} {value}"));
        if number >= keys {
            assert_eq!(tester.run(&format!("DEL key:{:010}", (number - keys) * 3)), ":1\r\n");
        }
    }
    let total = memory::thread_bytes() - before;
    let counted = told_bytes(&tester) as f64;
    assert!((0.97..1.03).contains(&(counted / total as f64)), "{counted} bytes told of {total}");
    total
}

/// What the databases say that they take.
fn told_bytes(tester: &Tester) -> i64 {
    let entries: usize = tester.databases().flat_map(Db::iter).map(|entry| entry.memory_bytes(0)).sum();
    (tester.databases().map(Db::table_bytes).sum::<usize>() + entries) as i64
}

#[test]
fn keys_over_slots_and_shards_take_what_they_take_in_one_table() {
    for (keys, value) in [(160_000, 100), (400_000, 40)] {
        let one = filled_bytes(1, false, keys, value);
        for (shards, cluster) in [(4, false), (1, true), (4, true)] {
            let bytes = filled_bytes(shards, cluster, keys, value);
            let ratio = bytes as f64 / one as f64;
            println!("{keys} keys of {value} bytes over {shards} shards, cluster {cluster}: {ratio:.4} of {one} bytes");
            assert!(ratio <= 1.03, "{keys} keys over {shards} shards, cluster {cluster}: {ratio} times one table");
        }
    }
}

#[test]
fn an_empty_slot_costs_no_more_than_its_place() {
    for shards in [1, 4] {
        let map = SlotMap::new(shards, true);
        let before = memory::thread_bytes();
        let dbs: Vec<Db> = (0..map.shards()).map(|shard| Db::new(&map, shard)).collect();
        let bytes = (memory::thread_bytes() - before) as usize;
        assert!(bytes <= SLOTS * 24 + SLOTS, "{bytes} bytes for {SLOTS} empty slots");
        assert_eq!(dbs.iter().map(Db::table_bytes).sum::<usize>(), SLOTS * 24);
    }
}
