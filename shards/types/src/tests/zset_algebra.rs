//! Algebra against a model of maps, and the rules for infinities, weights and mixed sources.

use super::*;
use crate::hash::Limits as PackedLimits;
use crate::set::SetLimits;
use std::collections::BTreeMap;

type Map = BTreeMap<Vec<u8>, f64>;

/// Plain sets in their three encodings.
fn plain_sets(names: &[&str]) -> [Set; 3] {
    let packed = PackedLimits { entries: 100, value_bytes: 64 };
    let limits = SetLimits { integers: 100, packed };
    let no_intset = SetLimits { integers: 0, packed };
    let none = SetLimits { integers: 0, packed: PackedLimits { entries: 0, value_bytes: 0 } };
    [limits, no_intset, none].map(|limits| {
        let mut set = Set::new();
        names.iter().for_each(|name| assert!(set.add(name.as_bytes(), limits)));
        set
    })
}

fn set_of(map: &Map, limits: Limits) -> ZSet {
    let mut builder = Builder::with_capacity(map.len());
    for (member, score) in map {
        assert!(builder.add(member, *score));
    }
    builder.finish(limits)
}

fn map_of(ranking: &Ranking) -> Map {
    let pairs: Vec<(f64, Vec<u8>)> = ranking.iter().map(|(member, score)| (score, member.to_vec())).collect();
    assert!(pairs.windows(2).all(|two| two[0] < two[1]), "in order without doubles");
    pairs.into_iter().map(|(score, member)| (member, score)).collect()
}

/// `count` members from a range of numbers, with scores that sum exactly.
fn numbers(start: usize, step: usize, count: usize) -> Map {
    let numbers = (0..count).map(|index| start + index * step);
    numbers.map(|number| (number.to_string().into_bytes(), (number % 97) as f64 * 0.5)).collect()
}

#[test]
fn every_operation_agrees_with_maps_for_small_and_large_sources() {
    let packed = Limits { entries_max: 100_000, member_bytes_max: 64 };
    let large = Limits { entries_max: 0, member_bytes_max: 0 };
    for limits in [packed, large] {
        let maps = [numbers(0, 2, 900), numbers(0, 3, 500), numbers(6, 6, 700), Map::new()];
        let sets: Vec<ZSet> = maps.iter().map(|map| set_of(map, limits)).collect();
        for chosen in [&[0usize][..], &[0, 1], &[1, 0], &[0, 1, 2], &[2, 2], &[0, 3], &[3], &[3, 0, 1]] {
            let weights = [1.0, 2.0, -3.0];
            let source = |(&index, &weight): (&usize, &f64)| Source { members: Some(&sets[index]), weight };
            let sources: Vec<Source<'_>> = chosen.iter().zip(&weights).map(source).collect();
            for aggregate in [Aggregate::Sum, Aggregate::Min, Aggregate::Max] {
                let mut expected = Map::new();
                for (&index, weight) in chosen.iter().zip(weights) {
                    for (member, score) in &maps[index] {
                        let score = score * weight;
                        let combine = |present: &mut f64| *present = aggregate.combine(*present, score);
                        expected.entry(member.clone()).and_modify(combine).or_insert(score);
                    }
                }
                assert_eq!(map_of(&union(&sources, aggregate)), expected);
                expected.retain(|member, _| chosen.iter().all(|&index| maps[index].contains_key(member)));
                assert_eq!(map_of(&intersection(&sources, aggregate)), expected);
                assert_eq!(intersection_count(&sources, 0), expected.len());
                assert_eq!(intersection_count(&sources, 7), expected.len().min(7));
            }
            let mut expected = maps[chosen[0]].clone();
            expected.retain(|member, _| !chosen[1..].iter().any(|&index| maps[index].contains_key(member)));
            assert_eq!(map_of(&difference(&sources)), expected);
        }
    }
}

#[test]
fn a_result_becomes_a_set_in_the_encoding_of_its_size() {
    let limits = Limits::default();
    let map = numbers(0, 1, 128);
    let set = set_of(&map, limits);
    let more = set_of(&numbers(1_000, 1, 1), limits);
    let single = union(&[Source::new(Some(&set))], Aggregate::Sum).into_set(limits);
    assert_eq!((single.len(), single.encoding()), (128, "listpack"));
    let both = [Source::new(Some(&set)), Source::new(Some(&more))];
    let mut result = union(&both, Aggregate::Sum).into_set(limits);
    assert_eq!((result.len(), result.encoding()), (129, "skiplist"));
    for (member, score) in &map {
        assert_eq!(result.score(member), Some(*score));
        assert_eq!(result.remove(member), Some(*score));
    }
    assert_eq!(result.len(), 1);
    let rest = difference(&both).into_set(limits);
    assert_eq!((rest.len(), rest.encoding()), (128, "listpack"));
    let large = intersection(&[Source::new(Some(&set))], Aggregate::Sum).into_set(Limits { entries_max: 5, ..limits });
    assert_eq!((large.len(), large.encoding()), (128, "skiplist"));
    assert_eq!(large.score(b"77"), Some(38.5));
}

#[test]
fn plain_sets_count_one_and_missing_keys_count_nothing() {
    let scores = set_of(&Map::from([(b"2".to_vec(), 5.0), (b"c".to_vec(), 7.0)]), Limits::default());
    let map =
        |pairs: &[(&str, f64)]| pairs.iter().map(|(name, score)| (name.as_bytes().to_vec(), *score)).collect::<Map>();
    for plain in plain_sets(&["1", "2"]) {
        let sources = [Source { members: Some(&plain), weight: 10.0 }, Source::new(Some(&scores)), Source::new(None)];
        assert_eq!(map_of(&union(&sources, Aggregate::Sum)), map(&[("1", 10.0), ("2", 15.0), ("c", 7.0)]));
        assert_eq!(map_of(&intersection(&sources[..2], Aggregate::Min)), map(&[("2", 5.0)]));
        assert!(intersection(&sources, Aggregate::Sum).is_empty());
        assert_eq!(intersection_count(&sources, 0), 0);
        assert_eq!(map_of(&difference(&sources)), map(&[("1", 1.0)]));
        assert!(difference(&sources[2..]).is_empty());
    }
}

#[test]
fn sums_and_weights_that_are_no_number_count_as_zero() {
    let up = set_of(&Map::from([(b"x".to_vec(), f64::INFINITY)]), Limits::default());
    let down = set_of(&Map::from([(b"x".to_vec(), f64::NEG_INFINITY)]), Limits::default());
    let both = [Source::new(Some(&up)), Source::new(Some(&down))];
    let score = |ranking: Ranking| ranking.iter().next().map(|pair| pair.1);
    assert_eq!(score(union(&both, Aggregate::Sum)), Some(0.0));
    assert_eq!(score(intersection(&both, Aggregate::Sum)), Some(0.0));
    assert_eq!(score(union(&both, Aggregate::Max)), Some(f64::INFINITY));
    let weightless = [Source { members: Some(&up), weight: 0.0 }];
    assert_eq!(score(union(&weightless, Aggregate::Sum)), Some(0.0));
    assert_eq!(score(intersection(&weightless, Aggregate::Sum)), Some(0.0));
}

#[test]
fn a_builder_sorts_its_members_and_refuses_doubles() {
    let mut builder = Builder::default();
    for (member, score) in [("c", 1.0), ("a", 3.0), ("b", 1.0)] {
        assert!(builder.add(member.as_bytes(), score));
    }
    assert!(!builder.add(b"a", 9.0));
    let set = builder.finish(Limits::default());
    let mut order = Vec::new();
    set.visit_all(|member, _| order.push(member.to_vec()));
    assert_eq!(order, [b"b", b"c", b"a"]);
}
