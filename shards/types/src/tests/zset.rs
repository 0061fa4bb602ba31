//! Sorted sets in both encodings against a sorted vector, and the details clients can see.

use super::*;
use std::cmp::Ordering;

const SMALL: Limits = Limits { entries_max: 128, member_bytes_max: 64 };
/// Never packed.
const NONE: Limits = Limits { entries_max: 0, member_bytes_max: 0 };
/// Never large.
const ENDLESS: Limits = Limits { entries_max: usize::MAX, member_bytes_max: usize::MAX };

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit as u64) as usize
    }
}

type Pair = (f64, Vec<u8>);

#[derive(Default)]
struct Model(Vec<Pair>);

impl Model {
    fn find(&self, member: &[u8]) -> Option<usize> {
        self.0.iter().position(|(_, own)| own == member)
    }

    fn set(&mut self, member: &[u8], score: f64) {
        if let Some(at) = self.find(member) {
            self.0.remove(at);
        }
        let pair = (score, member.to_vec());
        let place = self.0.partition_point(|own| order(own, &pair) == Ordering::Less);
        self.0.insert(place, pair);
    }
}

fn order(a: &Pair, b: &Pair) -> Ordering {
    a.0.partial_cmp(&b.0).unwrap().then_with(|| a.1.cmp(&b.1))
}

fn all(set: &ZSet) -> Vec<Pair> {
    slice(set, 0..set.len(), false)
}

fn slice(set: &ZSet, ranks: Range<usize>, reverse: bool) -> Vec<Pair> {
    let mut pairs = Vec::new();
    set.visit(ranks, reverse, |member, score| pairs.push((score, member.to_vec())));
    pairs
}

fn filled(limits: Limits, pairs: &[(&str, f64)]) -> ZSet {
    let mut set = ZSet::new();
    for (member, score) in pairs {
        set.add(limits, member.as_bytes(), *score);
    }
    set
}

/// Members that are stored as integers, as short and as long strings.
fn member(random: &mut Random) -> Vec<u8> {
    let number = random.below(400);
    match number % 3 {
        0 => number.to_string().into_bytes(),
        1 => format!("member-{number}").into_bytes(),
        _ => format!("{number}-{}", "x".repeat(number)).into_bytes(),
    }
}

fn score(random: &mut Random) -> f64 {
    match random.below(5) {
        0 => random.below(20) as f64,
        1 => random.below(1_000) as f64 / 8.0 - 60.0,
        2 => 1.0 / (1.0 + random.below(1_000) as f64),
        3 => [f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e-300, 4_611_686_018_427_387_904.0][random.below(5)],
        _ => random.below(1_000_000_000) as f64 * 1e10,
    }
}

#[test]
fn mixed_operations_agree_with_a_sorted_vector_in_every_encoding() {
    for (seed, limits) in [(1, NONE), (2, SMALL), (3, ENDLESS), (4, Limits { entries_max: 40, member_bytes_max: 500 })]
    {
        let mut random = Random(seed);
        let (mut set, mut model) = (ZSet::new(), Model::default());
        for round in 0..4_000 {
            let (name, value) = (member(&mut random), score(&mut random));
            match random.below(12) {
                0..=5 => {
                    let expected = match model.find(&name) {
                        None => Change::Added(value),
                        Some(at) if model.0[at].0 == value => Change::Same(value),
                        Some(_) => Change::Updated(value),
                    };
                    assert_eq!(set.add(limits, &name, value), expected);
                    model.set(&name, value);
                }
                6..=8 => {
                    let expected = model.find(&name).map(|at| model.0.remove(at).0);
                    assert_eq!(set.remove(&name), expected);
                }
                9 => {
                    let start = random.below(model.0.len() + 2);
                    let ranks = start..start + random.below(6);
                    let end = ranks.end.min(model.0.len());
                    let expected: Vec<Pair> = model.0.drain(ranks.start.min(end)..end).collect();
                    let mut removed = Vec::new();
                    let count = set.remove_ranks(ranks, |member, score| removed.push((score, member.to_vec())));
                    assert_eq!((count, removed), (expected.len(), expected));
                }
                10 => {
                    let (count, reverse) = (random.below(3), random.below(2) == 1);
                    let mut popped = Vec::new();
                    set.pop(count, reverse, |member, score| popped.push((score, member.to_vec())));
                    for pair in popped {
                        let at = if reverse { model.0.len() - 1 } else { 0 };
                        assert_eq!(pair, model.0.remove(at));
                    }
                }
                _ => check_reads(&set, &model, &mut random),
            }
            assert_eq!(set.len(), model.0.len(), "round {round}");
            assert_eq!(set.score(&name), model.find(&name).map(|at| model.0[at].0));
        }
        assert_eq!(all(&set), model.0);
    }
}

fn check_reads(set: &ZSet, model: &Model, random: &mut Random) {
    assert_eq!(all(set), model.0);
    let len = model.0.len();
    let start = random.below(len + 1);
    let end = start + random.below(len - start + 1);
    assert_eq!(slice(set, start..end, false), model.0[start..end]);
    let reversed: Vec<Pair> = model.0[start..end].iter().rev().cloned().collect();
    assert_eq!(slice(set, start..end, true), reversed);
    if len > 0 {
        let at = random.below(len);
        let (own_score, name) = &model.0[at];
        assert_eq!(set.rank(name, false), Some((at, *own_score)));
        assert_eq!(set.rank(name, true), Some((len - 1 - at, *own_score)));
    }
    let texts = ["-inf", "(-inf", "0", "(0", "5", "(5", "10.5", "1e300", "(inf", "+inf"];
    let (min, max) = (texts[random.below(texts.len())], texts[random.below(texts.len())]);
    let range = ScoreRange::parse(min.as_bytes(), max.as_bytes()).unwrap();
    let expected: Vec<Pair> =
        model.0.iter().filter(|pair| !range.is_below(pair.0) && !range.is_above(pair.0)).cloned().collect();
    assert_eq!(slice(set, set.ranks_by_score(&range), false), expected, "{min} {max}");
}

#[test]
fn ranges_by_member_agree_in_both_encodings_when_scores_are_equal() {
    let names: Vec<String> = (0..200).map(|number| format!("{:03}", number * 5)).collect();
    let pairs: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 2.0)).collect();
    let sets = [filled(NONE, &pairs), filled(ENDLESS, &pairs)];
    let texts = ["-", "+", "[", "(", "[000", "(000", "[500", "(500", "[501", "(501", "[995", "(995", "[zz"];
    for min in texts {
        for max in texts {
            let range = LexRange::parse(min.as_bytes(), max.as_bytes()).unwrap();
            let inside = |name: &&String| !range.is_below(name.as_bytes()) && !range.is_above(name.as_bytes());
            let expected: Vec<Pair> =
                names.iter().filter(inside).map(|name| (2.0, name.clone().into_bytes())).collect();
            for (set, reverse) in [(&sets[0], false), (&sets[0], true), (&sets[1], false), (&sets[1], true)] {
                assert_eq!(slice(set, set.ranks_by_lex(&range, reverse), false), expected, "{min} {max}");
            }
        }
    }
}

#[test]
fn ranges_by_member_over_different_scores_walk_a_small_set_as_redis_does() {
    let set = filled(SMALL, &[("c", 1.0), ("a", 2.0), ("d", 3.0), ("b", 4.0)]);
    let members = |min: &[u8], max: &[u8], reverse| {
        let range = LexRange::parse(min, max).unwrap();
        let pairs = slice(&set, set.ranks_by_lex(&range, reverse), reverse);
        pairs.into_iter().map(|pair| String::from_utf8(pair.1).unwrap()).collect::<String>()
    };
    assert_eq!(members(b"[b", b"[c", false), "ca");
    assert_eq!(members(b"[b", b"[c", true), "bd");
    assert_eq!(members(b"-", b"[c", false), "ca");
}

#[test]
fn a_set_becomes_large_by_its_entries_or_by_a_long_member_and_stays_so() {
    let mut set = ZSet::new();
    for number in 0..128 {
        set.add(SMALL, format!("m{number}").as_bytes(), 1.0);
        assert_eq!(set.encoding(), "listpack");
    }
    set.add(SMALL, b"m5", 7.0);
    assert_eq!(set.encoding(), "listpack");
    set.add(SMALL, b"one more", 1.0);
    assert_eq!(set.encoding(), "skiplist");
    set.remove_ranks(0..120, |_, _| ());
    assert_eq!(set.encoding(), "skiplist");

    let mut set = filled(SMALL, &[("a", 1.0)]);
    set.add(SMALL, &[b'x'; 64], 1.0);
    assert_eq!(set.encoding(), "listpack");
    set.add(SMALL, &[b'x'; 65], 1.0);
    assert_eq!(set.encoding(), "skiplist");
    assert_eq!(set.score(&[b'x'; 64]), Some(1.0));
}

#[test]
fn rules_decide_what_an_update_may_do_in_both_encodings() {
    let rules = Rules::default();
    let (new, present) = (Rules { only_new: true, ..rules }, Rules { only_present: true, ..rules });
    let (greater, less) = (Rules { only_greater: true, ..rules }, Rules { only_less: true, ..rules });
    let increment = Rules { increment: true, ..rules };
    for limits in [SMALL, NONE] {
        let mut set = filled(limits, &[("a", 5.0), ("infinite", f64::INFINITY)]);
        assert_eq!(set.update(limits, b"a", 9.0, new), Change::Skipped);
        assert_eq!(set.update(limits, b"b", 9.0, present), Change::Skipped);
        assert_eq!(set.update(limits, b"b", 9.0, new), Change::Added(9.0));
        assert_eq!(set.update(limits, b"a", 4.0, greater), Change::Skipped);
        assert_eq!(set.update(limits, b"a", 5.0, greater), Change::Skipped);
        assert_eq!(set.update(limits, b"a", 6.0, greater), Change::Updated(6.0));
        assert_eq!(set.update(limits, b"a", 7.0, less), Change::Skipped);
        assert_eq!(set.update(limits, b"a", 3.5, less), Change::Updated(3.5));
        assert_eq!(set.update(limits, b"a", 3.5, present), Change::Same(3.5));
        assert_eq!(set.update(limits, b"a", 1.25, increment), Change::Updated(4.75));
        assert_eq!(set.increment(limits, b"c", 1.5), Change::Added(1.5));
        assert_eq!(set.update(limits, b"a", -1.0, Rules { increment: true, ..greater }), Change::Skipped);
        assert_eq!(set.increment(limits, b"infinite", f64::NEG_INFINITY), Change::NotANumber);
        assert_eq!(set.score(b"infinite"), Some(f64::INFINITY));
        let scores: Vec<f64> = all(&set).iter().map(|pair| pair.0).collect();
        assert_eq!(scores, [1.5, 4.75, 9.0, f64::INFINITY]);
    }
}

#[test]
fn a_listpack_holds_integral_scores_as_integers_and_loses_the_sign_of_zero() {
    let set = filled(SMALL, &[("a", -0.0), ("b", 3.0), ("c", 3.5), ("d", 1e19), ("e", f64::INFINITY)]);
    let mut expected = Listpack::new();
    for (name, value) in [("a", "0"), ("b", "3"), ("c", "3.5"), ("d", "1e+19"), ("e", "inf")] {
        expected.push_back(name.as_bytes());
        expected.push_back(value.as_bytes());
    }
    assert_eq!(set.packed().unwrap().as_bytes(), expected.as_bytes());
    assert!(set.score(b"a").unwrap().is_sign_positive());
    let large = filled(NONE, &[("a", -0.0)]);
    assert!(large.score(b"a").unwrap().is_sign_negative());
}

#[test]
fn a_foreign_listpack_is_taken_only_if_it_is_a_sorted_set() {
    let list = |items: &[&str]| {
        let mut list = Listpack::new();
        items.iter().for_each(|item| list.push_back(item.as_bytes()));
        list
    };
    let accepted = |items: &[&str]| ZSet::from_packed(list(items)).is_some();
    assert!(accepted(&["a", "1", "b", "1", "a1", "2.5", "z", "inf"]));
    assert!(accepted(&[]));
    assert!(!accepted(&["a"]));
    assert!(!accepted(&["a", "nan"]));
    assert!(!accepted(&["a", "x"]));
    assert!(!accepted(&["a", "2", "b", "1"]));
    assert!(!accepted(&["b", "1", "a", "1"]));
    assert!(!accepted(&["a", "1", "b", "2", "a", "3"]));
}

#[test]
fn a_scan_of_a_large_set_visits_every_member_and_of_a_small_one_takes_one_step() {
    let names: Vec<String> = (0..1_000).map(|number| format!("n{number}")).collect();
    let pairs: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
    for limits in [NONE, ENDLESS] {
        let set = filled(limits, &pairs);
        let mut seen = std::collections::HashSet::new();
        let (mut cursor, mut steps) = (0, 0);
        loop {
            cursor = set.scan(cursor, |member, _| {
                seen.insert(member.to_vec());
            });
            steps += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), 1_000);
        assert_eq!(steps == 1, set.encoding() == "listpack");
    }
}

#[test]
fn memory_grows_with_members_and_shrinks_when_they_go() {
    let mut set = ZSet::new();
    for number in 0..10_000u32 {
        set.add(SMALL, format!("member:{number:09}").as_bytes(), f64::from(number));
    }
    let full = set.memory_bytes();
    assert!((400_000..700_000).contains(&full), "{full}");
    set.remove_ranks(0..9_000, |_, _| ());
    assert!(set.memory_bytes() < full / 5);
}

#[test]
fn a_clone_is_independent_and_keeps_the_encoding() {
    for limits in [SMALL, NONE] {
        let mut set = filled(limits, &[("b", 2.0), ("a", 1.0)]);
        let copy = set.clone();
        set.remove(b"a");
        set.add(limits, b"b", 9.0);
        assert_eq!(all(&copy), [(1.0, b"a".to_vec()), (2.0, b"b".to_vec())]);
        assert_eq!(copy.encoding(), set.encoding());
        assert_eq!(copy.rank(b"b", false), Some((1, 2.0)));
    }
}

#[test]
fn a_set_may_be_freed_on_another_thread() {
    let set = filled(NONE, &[("a", 1.0), ("b", 2.0)]);
    std::thread::spawn(move || drop(set)).join().unwrap();
}
