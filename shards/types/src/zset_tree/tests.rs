//! Model tests: thousands of mixed operations against a sorted vector, with the tree's invariants checked throughout.

use super::node::{Block, Child, Link};
use super::*;

/// xorshift64*: deterministic, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Owns the elements of a tree under test and keeps them in the order the tree should have.
struct Model {
    tree: Tree,
    sorted: Vec<Element>,
}

impl Drop for Model {
    fn drop(&mut self) {
        for element in self.sorted.drain(..) {
            // SAFETY: the tree is not used again, and the model holds each element once.
            unsafe { element.free() };
        }
    }
}

impl Model {
    fn new() -> Model {
        Model { tree: Tree::new(), sorted: Vec::new() }
    }

    fn built(elements: Vec<Element>) -> Model {
        let mut sorted = elements;
        sorted.sort_by(|a, b| a.compare(b.score(), b.member()));
        Model { tree: Tree::from_sorted(sorted.iter().copied(), sorted.len()), sorted }
    }

    fn place(&self, score: f64, member: &[u8]) -> usize {
        self.sorted.partition_point(|element| element.compare(score, member) == Ordering::Less)
    }

    fn insert(&mut self, score: f64, member: &[u8]) {
        let element = Element::new(score, member);
        let place = self.place(score, member);
        self.sorted.insert(place, element);
        self.tree.insert(element);
    }

    fn remove(&mut self, rank: usize) {
        let element = self.sorted.remove(rank);
        assert!(self.tree.remove(element));
        assert!(!self.tree.remove(element), "an element that is gone is not found");
        // SAFETY: neither the tree nor the model holds it any longer.
        unsafe { element.free() };
    }

    fn remove_ranks(&mut self, rank: usize, count: usize) {
        let end = (rank + count).min(self.sorted.len());
        let gone: Vec<Element> = self.sorted.drain(rank.min(end)..end).collect();
        let mut seen = Vec::new();
        assert_eq!(self.tree.remove_ranks(rank, count, |element| seen.push(element)), gone.len());
        assert_eq!(seen, gone);
        for element in gone {
            // SAFETY: neither the tree nor the model holds it any longer.
            unsafe { element.free() };
        }
    }

    fn change(&mut self, rank: usize, score: f64) {
        let element = self.sorted.remove(rank);
        let place = self.place(score, element.member());
        self.tree.change_score(element, score);
        self.sorted.insert(place, element);
    }

    fn check(&self) {
        check_tree(&self.tree);
        assert_eq!(self.tree.len(), self.sorted.len());
        assert!(self.tree.iter().eq(self.sorted.iter().copied()), "order");
    }

    fn check_reads(&self, random: &mut Random) {
        let len = self.sorted.len();
        assert!(self.tree.backward(self.tree.at(len), len).eq(self.sorted.iter().rev().copied()));
        assert_eq!(self.tree.get(len), None);
        for _ in 0..20.min(len) {
            let rank = random.below(len);
            let element = self.sorted[rank];
            assert_eq!(self.tree.get(rank), Some(element));
            assert_eq!(self.tree.rank(element), Some(rank));
            let (score, member) = (element.score(), element.member());
            assert_eq!(self.tree.count_before(&Bound::Key { score, member }), rank);
            let below = self.sorted.partition_point(|other| other.score() < score);
            let upto = self.sorted.partition_point(|other| other.score() <= score);
            assert_eq!(self.tree.count_before(&Bound::Score { score, after_ties: false }), below);
            assert_eq!(self.tree.count_before(&Bound::Score { score, after_ties: true }), upto);
            let position = self.tree.seek(&Bound::Score { score, after_ties: false });
            assert_eq!(position.rank(), below);
            let count = random.below(len - below + 5);
            let expected = &self.sorted[below..(below + count).min(len)];
            assert!(self.tree.forward(position, count).eq(expected.iter().copied()));
            let back = &self.sorted[below.saturating_sub(count)..below];
            assert!(self.tree.backward(position, count).eq(back.iter().rev().copied()));
        }
    }
}

/// Counts, firsts, cached scores, order, links, tags and fill of the whole tree.
fn check_tree(tree: &Tree) {
    let mut leaves: Vec<Link<Leaf>> = Vec::new();
    assert_eq!(check_node(tree.root, tree.height, true, &mut leaves), tree.len());
    assert!(leaves[0].previous.is_null());
    assert!(leaves[leaves.len() - 1].next.is_null());
    for pair in leaves.windows(2) {
        assert!(pair[0].next == pair[1] && pair[1].previous == pair[0], "leaf links");
    }
}

fn check_node(node: Child, height: usize, is_root: bool, leaves: &mut Vec<Link<Leaf>>) -> usize {
    if height == 0 {
        node.leaf().check();
        leaves.push(node.leaf());
        return node.leaf().len();
    }
    let inner = node.inner();
    assert!(inner.len() >= if is_root { 2 } else { 1 }, "no inner node without purpose");
    for index in 0..inner.len() {
        let child = inner.children[index];
        assert_eq!(inner.counts[index], check_node(child, height - 1, false, leaves), "count");
        let first = if height == 1 { child.leaf().first() } else { child.inner().first() };
        let (score, element) = inner.key(index);
        assert_eq!(element, first, "first element");
        assert_eq!(score, first.score(), "cached score");
    }
    inner.total()
}

/// Nodes with neighbours under their parent must not stay under the minimum, except at both edges of the tree.
fn check_fill(tree: &Tree) {
    fn visit(node: Child, height: usize, edge: bool) {
        let len = if height == 0 { node.leaf().len() } else { node.inner().len() };
        let minimum = if height == 0 { <Leaf as Block>::MINIMUM } else { <Inner as Block>::MINIMUM };
        assert!(edge || len >= minimum, "fill {len} at height {height}");
        if height > 0 {
            let inner = node.inner();
            for index in 0..inner.len() {
                let at_edge = edge && (index == 0 || index + 1 == inner.len());
                visit(inner.children[index], height - 1, at_edge);
            }
        }
    }
    visit(tree.root, tree.height, true);
}

fn member(number: u64) -> Vec<u8> {
    format!("member:{number:010}").into_bytes()
}

/// Score shapes that stress the tags: few values, all equal, wide, tiny differences, infinities.
fn score(shape: usize, random: &mut Random) -> f64 {
    match shape {
        0 => random.below(10) as f64,
        1 => 0.0,
        2 => random.below(1_000_000) as f64 - 500_000.0,
        3 => f64::from_bits(1.0f64.to_bits() + random.below(500) as u64),
        4 => [f64::NEG_INFINITY, f64::INFINITY, 0.0, -0.0, 1e-300, -1e300][random.below(6)],
        _ => loop {
            let any = f64::from_bits(random.next());
            if !any.is_nan() {
                return any;
            }
        },
    }
}

#[test]
fn random_mixed_operations_agree_with_a_sorted_vector_for_every_score_shape() {
    for shape in 0..6 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 + shape as u64);
        let mut model = Model::new();
        let mut number = 0;
        for round in 0..6_000 {
            let growing = (round / 1_500) % 2 == 0;
            let len = model.sorted.len();
            match random.below(10) {
                _ if len == 0 => model.insert(score(shape, &mut random), &member(random.next() % 1_000_000_000)),
                0..=6 if growing => {
                    number += 1;
                    let name = member((random.next() % 1_000_000) * 10_000 + number);
                    model.insert(score(shape, &mut random), &name);
                }
                0..=5 => model.remove(random.below(len)),
                6 => model.remove_ranks(random.below(len), random.below(9)),
                _ => model.change(random.below(len), score(shape, &mut random)),
            }
            if round % 50 == 0 {
                model.check();
                model.check_reads(&mut random);
            }
        }
        model.check();
        check_fill(&model.tree);
    }
}

#[test]
fn a_tree_of_three_levels_keeps_its_invariants_while_it_grows_and_shrinks() {
    let mut random = Random(7);
    let mut model = Model::new();
    for number in 0..30_000 {
        model.insert(score(2, &mut random), &member(number));
    }
    model.check();
    check_fill(&model.tree);
    assert!(model.tree.height >= 2);
    model.check_reads(&mut random);
    while model.sorted.len() > 10 {
        for _ in 0..model.sorted.len() / 4 + 1 {
            model.remove(random.below(model.sorted.len()));
        }
        model.check();
        check_fill(&model.tree);
    }
    assert_eq!(model.tree.height, 0);
}

#[test]
fn ascending_and_descending_loads_fill_their_leaves() {
    for descending in [false, true] {
        let mut model = Model::new();
        for number in 0..20_000u32 {
            let score = if descending { -f64::from(number) } else { f64::from(number) };
            let element = Element::new(score, &member(u64::from(number)));
            model.tree.insert(element);
            model.sorted.push(element);
        }
        if descending {
            model.sorted.reverse();
        }
        model.check();
        let mut leaves = Vec::new();
        check_node(model.tree.root, model.tree.height, true, &mut leaves);
        assert_eq!(leaves.len(), 20_000usize.div_ceil(LEAF_CAPACITY));
    }
}

#[test]
fn random_inserts_leave_the_leaves_more_than_three_quarters_full() {
    let mut random = Random(11);
    let mut model = Model::new();
    for number in 0..20_000 {
        model.insert(score(2, &mut random), &member(number));
    }
    let mut leaves = Vec::new();
    check_node(model.tree.root, model.tree.height, true, &mut leaves);
    let fill = 20_000.0 / (leaves.len() * LEAF_CAPACITY) as f64;
    assert!(fill > 0.75, "fill {fill}");
}

#[test]
fn tags_tell_nearly_all_elements_of_a_leaf_apart_however_the_scores_came() {
    for ascending in [false, true] {
        let mut random = Random(13);
        let mut model = Model::new();
        for number in 0..5_000u32 {
            let value = if ascending { f64::from(number) } else { score(2, &mut random) };
            model.insert(value, &member(u64::from(number)));
        }
        // Appending alone needs no tags; inserts in between do.
        for number in 0..5_000u32 {
            model.insert(random.below(5_000_000) as f64 / 1_000.0, &member(u64::from(10_000 + number)));
        }
        let mut leaves = Vec::new();
        check_node(model.tree.root, model.tree.height, true, &mut leaves);
        let share = leaves.iter().map(|leaf| leaf.distinct_tag_share()).sum::<f64>() / leaves.len() as f64;
        assert!(share > 0.9, "{share}");
    }
}

#[test]
fn a_sliding_window_at_the_ends_keeps_the_tree_small() {
    let mut model = Model::new();
    for number in 0..20_000u32 {
        model.insert(f64::from(number), &member(u64::from(number)));
        if model.sorted.len() > 500 {
            model.remove(0);
        }
        if number % 500 == 0 {
            model.check();
        }
    }
    model.check();
    assert!(model.tree.node_bytes() < 500 * 40);
}

#[test]
fn bulk_built_trees_equal_inserted_ones_at_every_size_around_the_node_limits() {
    let mut random = Random(3);
    for len in [0, 1, 53, 54, 55, 60, 61, 108, 109, 3_000, 3_024, 3_025, 54 * 56 * 3 + 1] {
        let elements = (0..len).map(|number| Element::new(score(2, &mut random), &member(number))).collect();
        let mut model = Model::built(elements);
        model.check();
        check_fill(&model.tree);
        model.check_reads(&mut random);
        for number in 0..300 {
            model.insert(score(2, &mut random), &member(1_000_000 + number));
        }
        model.check();
    }
}

#[test]
fn runs_of_every_length_are_removed_in_order_with_the_tree_intact() {
    let mut random = Random(5);
    for run in [0, 1, 19, 60, 61, 500, 5_000, 9_999, 10_000, 20_000] {
        let elements = (0..10_000).map(|number| Element::new(score(0, &mut random), &member(number))).collect();
        let mut model = Model::built(elements);
        model.remove_ranks(random.below(5_000), run);
        model.check();
        check_fill(&model.tree);
        model.remove_ranks(0, run);
        model.check();
        model.insert(1.0, b"again");
        model.check();
    }
}

#[test]
fn bounds_by_member_split_a_set_of_equal_scores_at_the_right_places() {
    let elements = (0..5_000).map(|number| Element::new(0.0, &member(number * 2))).collect();
    let model = Model::built(elements);
    for number in [0u64, 1, 2, 777, 778, 9_998, 9_999, 20_000] {
        let name = member(number);
        let before = model.sorted.partition_point(|element| element.member() < &name[..]);
        let through = model.sorted.partition_point(|element| element.member() <= &name[..]);
        assert_eq!(model.tree.count_before(&Bound::Member { member: &name, after_ties: false }), before);
        assert_eq!(model.tree.count_before(&Bound::Member { member: &name, after_ties: true }), through);
    }
}

#[test]
fn bounds_outside_all_scores_give_the_ends() {
    let elements = (0..1_000).map(|number| Element::new(f64::from(number as u32), &member(number))).collect();
    let model = Model::built(elements);
    let infinite = |score, after_ties| model.tree.count_before(&Bound::Score { score, after_ties });
    assert_eq!(infinite(f64::NEG_INFINITY, true), 0);
    assert_eq!(infinite(f64::INFINITY, false), 1_000);
    assert_eq!(model.tree.forward(model.tree.at(5_000), 10).count(), 0);
    assert_eq!(model.tree.backward(model.tree.at(0), 10).count(), 0);
}

#[test]
fn a_score_change_that_stays_between_its_neighbours_updates_the_inner_nodes() {
    let elements = (0..2_000).map(|number| Element::new(f64::from(number as u32) * 10.0, &member(number))).collect();
    let mut model = Model::built(elements);
    for rank in 0..2_000 {
        model.change(rank, rank as f64 * 10.0 + 3.0);
    }
    model.check();
    let mut random = Random(1);
    model.check_reads(&mut random);
}

#[test]
fn the_constant_time_size_estimate_is_near_the_real_size() {
    let mut random = Random(2);
    let elements = (0..50_000).map(|number| Element::new(score(2, &mut random), &member(number))).collect();
    let model = Model::built(elements);
    let (real, estimate) = (model.tree.node_bytes() as f64, model.tree.node_bytes_estimate() as f64);
    assert!((estimate / real - 1.0).abs() < 0.1, "{estimate} for {real}");
}

#[test]
fn every_node_and_element_moves_and_the_tree_stays_as_it_is() {
    use crate::mover::Mover;
    use sherd_metrics::pages::SparsePages;

    let pages = SparsePages::everything();
    for count in [1, 59, 61, 4000, 30_000] {
        let mut random = Random(count as u64);
        let mut model = Model::new();
        for number in 0..count as u64 {
            model.insert(score(0, &mut random), &member(number * 7919 % 1_000_003));
        }
        let mut mover = Mover::new(&pages);
        for element in &mut model.sorted {
            let moved = element.copy_to_move(&mut mover).expect("everything moves");
            assert!(model.tree.replace(*element, moved));
            assert!(!model.tree.replace(*element, moved), "an element that has moved is not found");
            // SAFETY: the tree holds the copy instead, and so does the model from now on.
            unsafe { std::mem::replace(element, moved).free() };
        }
        assert_eq!(mover.hits, count as u64);
        let mut rank = 0;
        let mut leaves = 0;
        loop {
            rank = model.tree.relocate_nodes(rank, &mut mover);
            leaves += 1;
            if rank == 0 {
                break;
            }
        }
        assert_eq!(mover.hits, count as u64 + leaves * (1 + model.tree.height as u64), "leaves and those above them");
        model.check();
        model.check_reads(&mut random);
        assert_eq!(model.tree.relocate_nodes(count, &mut mover), 0);
    }
}
