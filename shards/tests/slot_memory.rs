//! What shards and slots cost: the same keys take about the same memory over one shard, several shards and all slots of a
//! cluster. The test binary runs under the counting allocator; figures are those of the thread that fills.

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};
use sherd_shards::db::{Db, Key};
use sherd_shards::entry::{Entry, NewValue};
use sherd_shards::slot::{SlotMap, SLOTS};
use sherd_shards::table;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

fn empty(map: &SlotMap) -> Vec<Db> {
    (0..map.shards()).map(|shard| Db::new(map, shard)).collect()
}

fn key_of<'k>(map: &SlotMap, bytes: &'k [u8]) -> Key<'k> {
    Key { bytes, hash: table::hash(bytes), slot: map.slot(bytes) }
}

/// Bytes of so many keys with values of `value` bytes, as they are after some of them were replaced by others.
fn filled_bytes(map: SlotMap, keys: usize, value: usize) -> i64 {
    let value = "v".repeat(value);
    let before = memory::thread_bytes();
    let mut dbs = empty(&map);
    let name = |number: usize| format!("key:{number:010}").into_bytes();
    for number in 0..keys + keys / 4 {
        let bytes = name(number);
        let key = key_of(&map, &bytes);
        let db = &mut dbs[map.shard_of(key.slot)];
        db.insert_new(&key, Entry::new(&bytes, NewValue::Text(value.as_bytes()), None, 0));
        if number >= keys {
            let bytes = name((number - keys) * 3);
            let key = key_of(&map, &bytes);
            assert!(dbs[map.shard_of(key.slot)].remove(&key).is_some());
        }
    }
    let total = memory::thread_bytes() - before;
    let told: usize = dbs.iter().map(Db::table_bytes).sum();
    let entries: usize = dbs.iter().flat_map(Db::iter).map(|entry| entry.memory_bytes(0)).sum();
    let counted = (told + entries) as f64;
    assert!((0.97..1.03).contains(&(counted / total as f64)), "{counted} bytes told of {total}");
    total
}

#[test]
fn keys_over_slots_and_shards_take_what_they_take_in_one_table() {
    for (keys, value) in [(160_000, 100), (400_000, 40)] {
        let one = filled_bytes(SlotMap::new(1, false), keys, value);
        for (shards, cluster) in [(4, false), (1, true), (4, true)] {
            let bytes = filled_bytes(SlotMap::new(shards, cluster), keys, value);
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
        let dbs = empty(&map);
        let bytes = (memory::thread_bytes() - before) as usize;
        assert!(bytes <= SLOTS * 24 + SLOTS, "{bytes} bytes for {SLOTS} empty slots");
        assert_eq!(dbs.iter().map(Db::table_bytes).sum::<usize>(), SLOTS * 24);
    }
}
