//! How many nodes a radix tree over the ids of the blocks has.
//!
//! XINFO STREAM tells the number, and it is the one thing in that reply that depends on the inside of Redis. It follows
//! from the ids alone: each id is a leaf; each place where ids part is a node; and each run of bytes without a parting
//! in between is one more. Ids are 16 bytes and sorted, so one walk with the depths of the open partings does it.

use super::id::StreamId;

const KEY_BYTES: i32 = 16;

/// Blocks that are looked at; beyond, the number is extrapolated, so that XINFO's time has a bound.
const KEYS_MAX: usize = 4096;

/// The number of nodes over `count` sorted ids.
pub fn node_count(count: usize, keys: impl Iterator<Item = StreamId>) -> usize {
    if count == 0 {
        return 1;
    }
    let looked_at = count.min(KEYS_MAX);
    let nodes = count_nodes(keys.take(KEYS_MAX));
    if count == looked_at {
        return nodes;
    }
    (nodes as u128 * count as u128 / looked_at as u128) as usize
}

fn count_nodes(keys: impl Iterator<Item = StreamId>) -> usize {
    let mut nodes = 0;
    let mut count_edge = |depth: i32, parent: i32| {
        // The node itself, and the run of bytes that leads to it if one byte from the parting is not enough.
        nodes += 1 + usize::from(depth > parent + 1);
    };
    // Depths of the partings on the path to the last key.
    let mut open: Vec<i32> = Vec::new();
    let mut last: Option<StreamId> = None;
    for key in keys {
        if let Some(previous) = last {
            let parting = common_bytes(previous, key);
            let parent = open.last().map_or(parting, |&depth| depth.max(parting));
            count_edge(KEY_BYTES, parent);
            close_above(&mut open, parting, &mut count_edge);
            if open.last() != Some(&parting) {
                open.push(parting);
            }
        }
        last = Some(key);
    }
    count_edge(KEY_BYTES, open.last().copied().unwrap_or(-1));
    close_above(&mut open, -1, &mut count_edge);
    nodes
}

/// Closes the partings that are deeper than the next one.
fn close_above(open: &mut Vec<i32>, next: i32, count_edge: &mut impl FnMut(i32, i32)) {
    while let Some(depth) = open.last().copied().filter(|depth| *depth > next) {
        open.pop();
        count_edge(depth, open.last().map_or(next, |&parent| parent.max(next)));
    }
}

fn common_bytes(left: StreamId, right: StreamId) -> i32 {
    let differing = u128::from_be_bytes(left.to_bytes()) ^ u128::from_be_bytes(right.to_bytes());
    (differing.leading_zeros() / 8) as i32
}
