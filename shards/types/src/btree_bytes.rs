//! What the standard ordered maps take.
//!
//! Their nodes hold up to eleven entries whatever they are, so a map of one entry takes as much as one of eleven. How full
//! the nodes of a larger map are depends on the order in which it grew: when keys come in ascending order, as stream IDs
//! do, each node that is split keeps six of them and gives one to its parent.

use sherd_metrics::memory::size_class;

/// Entries that a node holds at most.
const CAPACITY: usize = 11;
/// Entries of a map for each of its nodes but the last: what is in it, and the one that separates it from the next.
const ENTRIES_A_NODE: usize = 7;

/// Bytes of the nodes of a map from `K` to `V` (of a set, if `V` is `()`) that grew in ascending order.
pub fn btree_bytes<K, V>(len: usize) -> usize {
    if len == 0 {
        return 0;
    }
    // Entries, the parent's address, and two short numbers.
    let leaf =
        (CAPACITY * (size_of::<K>() + size_of::<V>()) + size_of::<usize>() + 4).next_multiple_of(align_of::<usize>());
    let inner = leaf + (CAPACITY + 1) * size_of::<usize>();
    let mut nodes = nodes(len);
    let mut bytes = nodes * size_class(leaf);
    while nodes > 1 {
        nodes = nodes_above(nodes);
        bytes += nodes * size_class(inner);
    }
    bytes
}

fn nodes(entries: usize) -> usize {
    if entries <= CAPACITY {
        1
    } else {
        1 + (entries - CAPACITY).div_ceil(ENTRIES_A_NODE)
    }
}

/// Nodes above so many, each of which has one entry less than children.
fn nodes_above(children: usize) -> usize {
    nodes(children - 1)
}
