//! Tests of sets against a `BTreeSet`, and of the conversion rules of Redis.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::*;
use crate::random::Random;

const LIMITS: SetLimits = SetLimits { integers: 512, packed: Limits { entries: 128, value_bytes: 64 } };

fn contents(set: &Set) -> BTreeSet<Vec<u8>> {
    let members: Vec<_> = set.iter().map(|item| item.to_vec()).collect();
    assert_eq!(members.len(), set.len());
    let distinct: BTreeSet<_> = members.into_iter().collect();
    assert_eq!(distinct.len(), set.len(), "a member came twice");
    distinct
}

fn of<'a>(members: impl IntoIterator<Item = &'a str>) -> Set {
    let mut set = Set::new();
    members.into_iter().for_each(|member| assert!(set.add(member.as_bytes(), LIMITS)));
    set
}

fn numbered(prefix: &str, count: usize) -> Set {
    let mut set = Set::new();
    (0..count).for_each(|index| assert!(set.add(format!("{prefix}{index}").as_bytes(), LIMITS)));
    set
}

#[test]
fn any_sequence_of_changes_leaves_what_a_sorted_set_would_hold() {
    for seed in 1..=30u64 {
        let mut dice = Random::fixed(seed * 7919);
        let (mut set, mut model) = (Set::new(), BTreeSet::new());
        let (range, texts) = ([20, 200, 2000][seed as usize % 3], seed % 2 == 0);
        for step in 0..2500 {
            let number = dice.below(range) as i64 - 10;
            let member = if texts && step > 300 && number % 3 == 0 { format!("m{number}") } else { number.to_string() };
            match dice.below(4) {
                0 | 1 => assert_eq!(set.add(member.as_bytes(), LIMITS), model.insert(member.into_bytes())),
                2 => assert_eq!(set.remove(member.as_bytes()), model.remove(member.as_bytes())),
                _ => assert_eq!(set.contains(member.as_bytes()), model.contains(member.as_bytes())),
            }
            assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
        }
        assert_eq!(contents(&set), model);
        assert_eq!(contents(&set.clone()), model);
    }
}

#[test]
fn integers_stay_an_intset_up_to_their_limit() {
    let mut set = numbered("", 512);
    assert_eq!(set.encoding_name(), "intset");
    assert!(matches!(set.stored(), Stored::Integers(_)));
    assert!(!set.add(b"511", LIMITS));
    assert!(set.add(b"512", LIMITS));
    assert_eq!((set.encoding_name(), set.len()), ("hashtable", 513));
    assert!(matches!(set.stored(), Stored::Table));
}

#[test]
fn a_text_turns_few_integers_into_a_listpack_and_many_into_a_table() {
    let mut few = numbered("", 127);
    assert!(few.add(b"text", LIMITS));
    assert_eq!((few.encoding_name(), few.len()), ("listpack", 128));
    assert!(few.add(b"more", LIMITS));
    assert_eq!((few.encoding_name(), few.len()), ("hashtable", 129));
    let mut many = numbered("", 128);
    assert!(many.add(b"text", LIMITS));
    assert_eq!((many.encoding_name(), many.len()), ("hashtable", 129));
    let mut long = numbered("", 2);
    assert!(long.add(&[b'l'; 65], LIMITS));
    assert_eq!(long.encoding_name(), "hashtable");
    // The integers themselves may be too long for a listpack.
    let limits = SetLimits { packed: Limits { entries: 128, value_bytes: 3 }, ..LIMITS };
    let mut set = Set::new();
    assert!(set.add(b"-100", limits) && set.add(b"abc", limits));
    assert_eq!(set.encoding_name(), "hashtable");
    let mut set = Set::new();
    assert!(set.add(b"100", limits) && set.add(b"abc", limits));
    assert_eq!(set.encoding_name(), "listpack");
}

#[test]
fn the_number_of_members_that_a_command_adds_decides_the_form() {
    let after = |mut set: Set, first: &str, count| {
        set.prepare(first.as_bytes(), count, LIMITS);
        set.encoding_name()
    };
    assert_eq!(after(Set::new(), "1", 512), "intset");
    assert_eq!(after(Set::new(), "1", 513), "hashtable");
    assert_eq!(after(Set::new(), "a", 128), "listpack");
    assert_eq!(after(Set::new(), "a", 129), "hashtable");
    assert_eq!(after(of(["5"]), "a", 129), "intset");
    assert_eq!(after(of(["5"]), "a", 513), "hashtable");
    assert_eq!(after(of(["x"]), "1", 128), "listpack");
    assert_eq!(after(of(["x"]), "1", 129), "hashtable");
}

#[test]
fn every_member_is_chosen_about_equally_often() {
    for set in [numbered("", 100), numbered("m", 100), numbered("m", 400)] {
        let mut dice = Random::fixed(77);
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        for _ in 0..set.len() * 400 {
            *counts.entry(set.random(|| dice.next()).expect("not empty").to_vec()).or_default() += 1;
        }
        assert_eq!(counts.len(), set.len());
        assert!(counts.values().all(|count| (280..520).contains(count)), "{:?}", counts.values());
    }
}

#[test]
fn popping_takes_every_member_exactly_once() {
    for mut set in [numbered("", 100), numbered("m", 100), numbered("m", 400)] {
        let mut dice = Random::fixed(5);
        let mut expected = contents(&set);
        while let Some(member) = set.random(|| dice.next()).map(|member| member.to_vec()) {
            assert!(set.remove(&member) && expected.remove(&member));
        }
        assert!(set.is_empty() && expected.is_empty());
    }
}

#[test]
fn a_scan_returns_every_member() {
    for set in [numbered("", 500), numbered("m", 100), numbered("m", 5000)] {
        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = set.scan(cursor, 0, |item| _ = seen.insert(item.to_vec()));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen, contents(&set));
    }
}

#[test]
fn an_intersection_has_what_all_sets_have_whatever_their_forms() {
    let names: Vec<String> = (0..50).map(|index| format!("m{index}")).collect();
    let forms = [
        numbered("", 300),
        of(["1", "2", "abc", "299", "700"]),
        numbered("", 900),
        numbered("m", 300),
        of(names.iter().map(String::as_str)),
    ];
    for first in &forms {
        for second in &forms {
            for third in &forms {
                let expected: BTreeSet<Vec<u8>> =
                    contents(first).into_iter().filter(|m| second.contains(m) && third.contains(m)).collect();
                let mut found = BTreeSet::new();
                intersect(&[first, second, third], 0, |item| {
                    assert!(found.insert(item.to_vec()));
                    ControlFlow::Continue(())
                });
                assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn an_intersection_stops_when_told_to() {
    let set = numbered("m", 1000);
    let mut count = 0;
    intersect(&[&set, &set], 0, |_| {
        count += 1;
        if count == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(count, 3);
    intersect(&[], 0, |_| unreachable!("no sets have no members"));
}

#[test]
fn only_distinct_members_are_adopted() {
    let packed = |items: &[&str]| {
        let mut listpack = Listpack::new();
        items.iter().for_each(|item| listpack.push_back(item.as_bytes()));
        listpack
    };
    assert!(Set::from_listpack(packed(&[]), LIMITS).is_none());
    assert!(Set::from_listpack(packed(&["a", "5", "a"]), LIMITS).is_none());
    let mut twice = packed(&["5"]);
    twice.push_back(listpack::Encoded::from_string(b"5"));
    assert!(Set::from_listpack(twice, LIMITS).is_none());
    let set = Set::from_listpack(packed(&["a", "5"]), LIMITS).expect("a valid set");
    assert!(matches!(set.stored(), Stored::Packed(_)) && set.contains(b"5"));
    let small = SetLimits { integers: 1, packed: Limits { entries: 1, value_bytes: 64 } };
    let converted = Set::from_listpack(packed(&["a", "5"]), small).expect("a valid set");
    assert_eq!(converted.encoding_name(), "hashtable");
    let mut intset = Intset::new();
    assert!(intset.insert(1) && intset.insert(2));
    assert_eq!(Set::from_intset(intset.clone(), small).encoding_name(), "hashtable");
    assert_eq!(Set::from_intset(intset, LIMITS).encoding_name(), "intset");
}

#[test]
fn a_member_of_a_table_costs_one_small_allocation() {
    let set = numbered("member:", 10_000);
    let per_member = set.allocated_bytes(0) as f64 / 10_000.0;
    assert!((20.0..40.0).contains(&per_member), "{per_member}");
    let estimated = set.allocated_bytes(50) as f64 / 10_000.0;
    assert!((estimated / per_member - 1.0).abs() < 0.1, "{estimated} for {per_member}");
}

#[test]
fn differences_and_unions_agree_with_set_theory_in_every_form() {
    let sets: Vec<Set> = [numbered("", 300), numbered("", 5), numbered("m", 20), numbered("m", 400), Set::new()]
        .into_iter()
        .chain([["1", "2", "m3", "x"], ["2", "7", "m399", "y"]].iter().map(|members| {
            let mut set = Set::new();
            members.iter().for_each(|member| assert!(set.add(member.as_bytes(), LIMITS)));
            set
        }))
        .collect();
    let all: Vec<&Set> = sets.iter().collect();
    // Windows of every length: short unions ask the sets, long ones collect what they have seen.
    for length in 1..=all.len() {
        for window in all.windows(length) {
            let union: BTreeSet<Vec<u8>> = window.iter().flat_map(|set| contents(set)).collect();
            let mut found = BTreeSet::new();
            unite(window, 0, |item| {
                assert!(found.insert(item.to_vec()), "a member comes once");
                ControlFlow::Continue(())
            });
            assert_eq!(found, union);
            let others: BTreeSet<Vec<u8>> = window[1..].iter().flat_map(|set| contents(set)).collect();
            let difference: BTreeSet<Vec<u8>> =
                contents(window[0]).into_iter().filter(|m| !others.contains(m)).collect();
            let mut found = BTreeSet::new();
            let end = subtract(window[0], &window[1..], 0, |item| {
                assert!(found.insert(item.to_vec()), "a member comes once");
                ControlFlow::Continue(())
            });
            assert!(end.is_continue());
            assert_eq!(found, difference);
        }
    }
}

#[test]
fn differences_and_unions_stop_when_told_to() {
    let (first, second) = (numbered("a", 1000), numbered("b", 1000));
    let mut seen = 0;
    let mut until = |bound: usize| {
        seen += 1;
        if seen % bound == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    assert!(subtract(&first, &[&second], 0, |_| until(7)).is_break());
    unite(&[&first, &second], 0, |_| until(1507));
    unite(&[&first, &second, &first, &second, &first], 0, |_| until(1507 * 2));
    assert_eq!(seen, 1507 * 2);
}

/// The table of a set that has had a time.
fn fields(set: &mut Set) -> &mut super::super::hash::Fields {
    set.timed_mut().expect("a member has had a time")
}

fn remove_all_expired(of: &mut Set, now: u64) -> usize {
    let mut removed = 0;
    fields(of).remove_all_expired(now, |_| removed += 1);
    removed
}

#[test]
fn an_expiry_belongs_to_its_member_whatever_the_form_was() {
    for (mut set, member) in
        [(of(["1", "2", "3"]), "2"), (of(["a", "b", "2"]), "b"), (numbered("member:", 1000), "member:7")]
    {
        let (length, before) = (set.len(), contents(&set));
        assert_eq!((set.expiry(member.as_bytes()), set.expiry(b"missing")), (Some(None), None));
        assert!(!set.set_expiry(b"missing", Some(5), LIMITS) && set.set_expiry(member.as_bytes(), None, LIMITS));
        assert!(set.timed().is_none(), "nothing expires yet");
        assert!(set.set_expiry(member.as_bytes(), Some(500), LIMITS));
        assert_eq!((contents(&set), set.expiry(member.as_bytes())), (before.clone(), Some(Some(500))));
        assert!(!set.add(member.as_bytes(), LIMITS) && set.add(b"one more", LIMITS));
        assert!(set.is_due(500) && !set.is_due(499) && set.has_expiries());
        let mut copy = set.clone();
        assert_eq!(fields(&mut copy).announce(false), Some(500));
        assert_eq!((set.iter_at(500).count(), set.iter_at(499).count()), (length, length + 1));
        assert_eq!((remove_all_expired(&mut set, 500), set.len()), (1, length));
        assert!(!set.has_expiries() && !set.is_due(u64::MAX - 1) && !set.contains(member.as_bytes()));
        assert!(copy.remove(member.as_bytes()) && !copy.has_expiries());
    }
}

#[test]
fn the_algebra_passes_over_members_that_have_expired() {
    let mut timed = numbered("member:", 100);
    for index in 0..50u64 {
        timed.set_expiry(format!("member:{index}").as_bytes(), Some(1000 + index), LIMITS);
    }
    let all = numbered("member:", 100);
    let count = |run: &dyn Fn(&mut dyn FnMut())| {
        let mut count = 0;
        run(&mut || count += 1);
        count
    };
    for (now, gone) in [(999, 0), (1000, 1), (1024, 25), (5000, 50)] {
        let go_on = ControlFlow::Continue(());
        let both = |first, second| {
            count(&|add| {
                intersect(&[first, second], now, |_| {
                    add();
                    go_on
                })
            })
        };
        assert_eq!((both(&timed, &all), both(&all, &timed)), (100 - gone, 100 - gone));
        let minus = |first, second| {
            count(&|add| {
                let _ = subtract(first, &[second], now, |_| {
                    add();
                    go_on
                });
            })
        };
        assert_eq!((minus(&timed, &all), minus(&all, &timed)), (0, gone));
        for copies in [1, 3, 7] {
            let sets = vec![&timed; copies];
            let united = count(&|add| {
                unite(&sets, now, |_| {
                    add();
                    go_on
                })
            });
            assert_eq!(united, 100 - gone);
        }
        let (mut seen, mut cursor) = (0, 0);
        loop {
            cursor = timed.scan(cursor, now, |_| seen += 1);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen, 100 - gone);
    }
}

#[test]
fn a_set_without_times_has_no_room_for_them() {
    assert_eq!(size_of::<Set>(), 9, "a pointer and the form");
    let mut timed = numbered("member:", 10_000);
    let before = timed.allocated_bytes(0);
    timed.set_expiry(b"member:1", Some(500), LIMITS);
    let more = timed.allocated_bytes(0) - before;
    assert!(more <= 512, "a second table with one member, whatever the first one holds: {more}");
}

#[test]
fn any_sequence_of_timed_changes_leaves_what_a_map_would_hold() {
    for seed in 0..8 {
        let mut dice = Random::fixed(seed);
        let (mut set, mut model) = (Set::new(), BTreeMap::<Vec<u8>, Option<u64>>::new());
        for now in 0..4000u64 {
            let member = (dice.next() % 300).to_string().into_bytes();
            let gone = |model: &BTreeMap<_, Option<u64>>, member: &Vec<u8>| {
                model.get(member).copied().flatten().is_some_and(|at| at <= now)
            };
            match dice.next() % 8 {
                0..=2 => {
                    if gone(&model, &member) {
                        assert!(fields(&mut set).remove_if_expired(&member, now));
                        model.remove(&member);
                    }
                    assert_eq!(set.add(&member, LIMITS), !model.contains_key(&member));
                    model.entry(member).or_insert(None);
                }
                3 => assert_eq!(set.remove(&member), model.remove(&member).is_some()),
                4..=5 => {
                    let at = now + 1 + dice.next() % 500;
                    assert_eq!(set.set_expiry(&member, Some(at), LIMITS), model.contains_key(&member));
                    model.entry(member).and_modify(|expiry| *expiry = Some(at));
                }
                6 => {
                    assert_eq!(set.set_expiry(&member, None, LIMITS), model.contains_key(&member));
                    model.entry(member).and_modify(|expiry| *expiry = None);
                }
                _ => {
                    if let Some(timed) = set.timed_mut() {
                        timed.sweep_expired(7, now, |member| {
                            assert!(model.remove(member).flatten().is_some_and(|at| at <= now))
                        });
                    }
                }
            }
            assert_eq!(set.has_expiries(), model.values().any(Option::is_some));
            let is_expired = |expiry: &Option<u64>| expiry.is_some_and(|at| at <= now);
            assert!(set.is_due(now) || !model.values().any(is_expired), "nothing expires unnoticed");
            if now % 100 == 0 {
                let living = model.iter().filter(|(_, expiry)| !is_expired(expiry)).map(|(member, _)| member.clone());
                let seen: BTreeSet<Vec<u8>> = set.iter_at(now).map(|member| member.to_vec()).collect();
                assert_eq!(seen, living.collect());
                assert!(model.iter().all(|(member, expiry)| set.expiry(member) == Some(*expiry)));
            }
        }
    }
}
