//! Tests of lists against a `VecDeque`, over several node limits, and of the conversion rules of Redis.

use std::collections::VecDeque;

use super::*;
use crate::random::Random;

fn any_value(dice: &mut Random) -> Vec<u8> {
    match dice.below(60) {
        0 => vec![b'L'; 9000],
        1..=3 => vec![b'm'; 900 + dice.below(300)],
        4..=30 => dice.below(30).to_string().into_bytes(),
        _ => format!("value-{}", dice.below(40)).into_bytes(),
    }
}

fn any_end(dice: &mut Random) -> End {
    if dice.below(2) == 0 {
        End::Front
    } else {
        End::Back
    }
}

const SETTINGS: [i64; 6] = [-2, -1, 128, 4, 1, -5];

fn contents(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|item| item.to_vec()).collect()
}

fn assert_sound(list: &List, model: &VecDeque<Vec<u8>>, limit: NodeLimit) {
    assert_eq!(list.len(), model.len());
    assert!(contents(list).iter().eq(model));
    if !model.is_empty() {
        let backwards = list.iter_from(model.len() - 1, End::Front);
        assert_eq!(backwards.len(), model.len());
        assert!(backwards.map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
    }
    if let Form::Quick(quick) = &list.0 {
        quick.assert_counts();
    }
    let mut copy = List::new();
    for part in list.parts(limit) {
        match part {
            Part::Plain(value) => copy.load_plain(value),
            Part::Packed(part) => {
                let mut bytes = Vec::new();
                part.write_listpack(&mut bytes);
                copy.load_listpack(&Listpack::from_bytes_validated(&bytes).expect("a valid listpack"));
            }
        }
    }
    copy.finish_loading(limit);
    assert!(contents(&copy).iter().eq(model));
}

#[test]
fn any_sequence_of_changes_leaves_what_a_deque_would_hold() {
    for (round, setting) in SETTINGS.iter().cycle().take(30).enumerate() {
        let limit = NodeLimit::from_setting(*setting);
        let mut dice = Random::fixed(0xABCD + round as u64 * 7919);
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for step in 0..1500 {
            change(&mut dice, &mut list, &mut model, limit, step);
            if step % 50 == 0 {
                assert_sound(&list, &model, limit);
            }
        }
        assert_sound(&list, &model, limit);
    }
}

/// Chunks of nodes were once cut in two under the place of a node that was still used: only lists of more than a chunk of
/// nodes, changed in the middle, showed it.
#[test]
fn a_list_of_many_nodes_can_be_changed_anywhere() {
    for setting in [1, 3, 16] {
        let limit = NodeLimit::from_setting(setting);
        let mut dice = Random::fixed(setting as u64 * 31);
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for index in 0..setting * 1000 {
            list.push(End::Back, index.to_string().as_bytes(), limit);
            model.push_back(index.to_string().into_bytes());
        }
        for step in 0..2000 {
            let (index, value) = (dice.below(model.len()), any_value(&mut dice));
            let pivot = model[index].clone();
            let found = model.iter().position(|element| *element == pivot).expect("taken from there");
            match dice.below(4) {
                0 => {
                    assert!(list.insert(End::Front, &pivot, &value, limit));
                    model.insert(found, value);
                }
                1 => {
                    assert!(list.insert(End::Back, &pivot, &value, limit));
                    model.insert(found + 1, value);
                }
                2 => {
                    assert!(list.set(index as i64, &value, limit));
                    model[index] = value;
                }
                _ => assert_eq!(
                    list.remove(End::Front, &pivot, 2, limit),
                    remove_from_model(&mut model, End::Front, &pivot, 2)
                ),
            }
            if step % 200 == 0 {
                assert_sound(&list, &model, limit);
            }
        }
        assert_sound(&list, &model, limit);
    }
}

fn change(dice: &mut Random, list: &mut List, model: &mut VecDeque<Vec<u8>>, limit: NodeLimit, step: usize) {
    let (value, end) = (any_value(dice), any_end(dice));
    match dice.below(if step % 500 < 300 { 14 } else { 24 }) {
        0..=5 => {
            let values: Vec<_> = (0..=dice.below(4)).map(|_| any_value(dice)).collect();
            list.push_all(end, values.iter().map(Vec::as_slice), limit);
            for value in values {
                push(model, end, value);
            }
        }
        6 => {
            list.push(end, &value, limit);
            push(model, end, value);
        }
        7 | 8 => {
            let index = dice.below(model.len() + 1) as i64 - if dice.below(2) == 0 { model.len() as i64 } else { 0 };
            let resolved = if index < 0 { index + model.len() as i64 } else { index } as usize;
            assert_eq!(list.get(index).map(|item| item.to_vec()).as_ref(), model.get(resolved));
            assert_eq!(list.set(index, &value, limit), resolved < model.len());
            if let Some(element) = model.get_mut(resolved) {
                *element = value;
            }
        }
        9..=11 => {
            let pivot = any_value(dice);
            let found = model.iter().position(|element| *element == pivot);
            assert_eq!(list.insert(end, &pivot, &value, limit), found.is_some());
            if let Some(found) = found {
                model.insert(found + usize::from(end == End::Back), value);
            }
        }
        12 => {
            let count = dice.below(4);
            let expected = remove_from_model(model, end, &value, count);
            assert_eq!(list.remove(end, &value, count, limit), expected);
        }
        13 if dice.below(10) == 0 => {
            let (start, count) = (dice.below(model.len() + 1), dice.below(model.len() + 2));
            list.trim(start, count, limit);
            model.drain(..start);
            model.truncate(count);
        }
        _ => {
            let expected = if end == End::Front { model.pop_front() } else { model.pop_back() };
            assert_eq!(list.peek(end).map(|item| item.to_vec()), expected);
            assert_eq!(list.pop(end, limit), expected.is_some());
        }
    }
}

fn push(model: &mut VecDeque<Vec<u8>>, end: End, value: Vec<u8>) {
    match end {
        End::Front => model.push_front(value),
        End::Back => model.push_back(value),
    }
}

fn remove_from_model(model: &mut VecDeque<Vec<u8>>, end: End, value: &[u8], count: usize) -> usize {
    let mut matches: Vec<usize> = (0..model.len()).filter(|&index| model[index] == value).collect();
    if end == End::Back {
        matches.reverse();
    }
    matches.truncate(if count == 0 { usize::MAX } else { count });
    matches.sort_unstable();
    for &index in matches.iter().rev() {
        model.remove(index);
    }
    matches.len()
}

#[test]
fn a_rotated_list_keeps_its_elements_and_its_form() {
    for setting in SETTINGS {
        let limit = NodeLimit::from_setting(setting);
        for length in [0, 1, 2, 5, 9, 500] {
            let mut list = List::new();
            let mut model: VecDeque<Vec<u8>> = (0..length).map(|i: i64| i.to_string().into_bytes()).collect();
            model.iter().for_each(|value| list.push(End::Back, value, limit));
            let form = list.encoding_name();
            for _ in 0..3 {
                list.rotate(End::Front, limit);
                model.rotate_left(usize::from(length > 0));
                assert_sound(&list, &model, limit);
            }
            list.rotate(End::Back, limit);
            model.rotate_right(usize::from(length > 0));
            assert_sound(&list, &model, limit);
            assert_eq!(list.encoding_name(), form);
        }
    }
}

#[test]
fn a_range_starts_anywhere_and_goes_either_way() {
    for setting in SETTINGS {
        let limit = NodeLimit::from_setting(setting);
        let mut list = List::new();
        for index in 0..1000i64 {
            list.push(End::Back, index.to_string().as_bytes(), limit);
        }
        for start in (0..1000).step_by(37) {
            let forwards: Vec<_> = list.iter_from(start, End::Back).take(50).map(|item| item.to_i64()).collect();
            let expected: Vec<_> = (start as i64..(start as i64 + 50).min(1000)).map(Some).collect();
            assert_eq!(forwards, expected);
            let backwards: Vec<_> = list.iter_from(start, End::Front).map(|item| item.to_i64()).collect();
            assert!(backwards.into_iter().eq((0..=start as i64).rev().map(Some)));
        }
        assert_eq!(list.iter_from(1000, End::Back).count() + list.iter_from(1000, End::Front).count(), 0);
    }
    assert_eq!(List::new().iter_from(0, End::Front).count(), 0);
}

#[test]
fn positions_are_found_as_lpos_finds_them() {
    let limit = NodeLimit::from_setting(2);
    let mut list = List::new();
    list.push_all(End::Back, "a b c 1 2 3 c c".split(' ').map(str::as_bytes), limit);
    assert_eq!(list.positions(b"c", End::Front, 0, 1, 0), [2]);
    assert_eq!(list.positions(b"c", End::Front, 1, 1, 0), [6]);
    assert_eq!(list.positions(b"c", End::Back, 0, 1, 0), [7]);
    assert_eq!(list.positions(b"c", End::Front, 0, 0, 0), [2, 6, 7]);
    assert_eq!(list.positions(b"c", End::Back, 1, 0, 0), [6, 2]);
    assert_eq!(list.positions(b"c", End::Front, 0, 0, 7), [2, 6]);
    assert_eq!(list.positions(b"1", End::Front, 0, 0, 0), [3]);
    assert!(list.positions(b"missing", End::Front, 0, 0, 0).is_empty());
}

#[test]
fn a_list_becomes_a_quicklist_by_the_bytes_of_one_command() {
    let limit = NodeLimit::from_setting(-2);
    let mut list = List::new();
    list.push(End::Back, &vec![b'x'; 8185], limit);
    assert_eq!(list.encoding_name(), "listpack");
    let mut list = List::new();
    list.push(End::Back, &vec![b'x'; 8186], limit);
    assert_eq!(list.encoding_name(), "quicklist");
    // The overhead of the entries is not counted before they are added, as in Redis.
    let mut list = List::new();
    list.push_all(End::Back, std::iter::repeat_n(b"y".as_slice(), 8185), limit);
    assert_eq!(list.encoding_name(), "listpack");
    list.push(End::Back, b"", limit);
    assert_eq!(list.encoding_name(), "quicklist");
    assert_eq!(list.len(), 8186);
}

#[test]
fn a_list_limited_by_entries_converts_at_that_number_and_back_at_half() {
    let limit = NodeLimit::from_setting(8);
    let mut list = List::new();
    for _ in 0..8 {
        list.push(End::Back, b"x", limit);
    }
    assert_eq!(list.encoding_name(), "listpack");
    list.push(End::Back, b"x", limit);
    assert_eq!(list.encoding_name(), "quicklist");
    while list.len() > 4 {
        assert_eq!(list.encoding_name(), "quicklist");
        list.pop(End::Back, limit);
    }
    assert_eq!(list.encoding_name(), "listpack");
}

#[test]
fn a_setting_outside_its_range_means_the_nearest_one() {
    assert_eq!(NodeLimit::from_setting(0), NodeLimit::from_setting(1));
    assert_eq!(NodeLimit::from_setting(-9), NodeLimit::from_setting(-5));
    assert_eq!(NodeLimit::from_setting(i64::MIN), NodeLimit::from_setting(-5));
}

#[test]
fn a_large_element_is_dumped_as_a_part_of_its_own() {
    let limit = NodeLimit::from_setting(-2);
    let mut list = List::new();
    let large = vec![b'z'; 20_000];
    list.push_all(End::Back, [b"a".as_slice(), &large, b"b"].into_iter(), limit);
    let plain: Vec<bool> = list.parts(limit).map(|part| matches!(part, Part::Plain(_))).collect();
    assert_eq!(plain, [false, true, false]);
}

#[test]
fn what_a_trim_removes_is_handed_out_as_whole_nodes() {
    let limit = NodeLimit::from_setting(4);
    let mut list = List::new();
    for index in 0..10_000i64 {
        list.push(End::Back, index.to_string().as_bytes(), limit);
    }
    assert_eq!(list.free_effort(), 2500);
    let removed = list.trim(4999, 3, limit);
    assert!(removed.node_count() >= 2497, "{}", removed.node_count());
    assert_eq!(contents(&list), [b"4999".to_vec(), b"5000".to_vec(), b"5001".to_vec()]);
}

#[test]
fn removals_do_not_leave_a_long_list_of_small_nodes() {
    let limit = NodeLimit::from_setting(-1);
    for end in [End::Front, End::Back] {
        let mut list = List::new();
        for index in 0..200_000 {
            list.push(End::Back, if index % 50 == 0 { b"kept" } else { b"gone" }, limit);
        }
        assert_eq!(list.remove(end, b"gone", 0, limit), 196_000);
        assert_eq!(list.len(), 4000);
        assert!(list.free_effort() < 20, "{} nodes", list.free_effort());
        assert!(list.allocated_bytes(0) < 2 * 4000 * 6, "{} bytes", list.allocated_bytes(0));
    }
}

#[test]
fn a_drained_queue_gives_its_memory_back() {
    let limit = NodeLimit::from_setting(-2);
    let mut list = List::new();
    for index in 0..100_000i64 {
        list.push(End::Back, index.to_string().as_bytes(), limit);
    }
    let full = list.allocated_bytes(0);
    assert!(full < 100_000 * 8 * 9 / 8, "{full} bytes");
    while list.len() > 10 {
        list.pop(End::Front, limit);
    }
    assert!(list.allocated_bytes(0) < 1024, "{} bytes", list.allocated_bytes(0));
    assert_eq!(list.encoding_name(), "listpack");
}

#[test]
fn the_memory_estimate_from_a_sample_is_near_the_exact_sum() {
    let limit = NodeLimit::from_setting(-2);
    let mut list = List::new();
    for index in 0..100_000i64 {
        list.push(End::Back, index.to_string().as_bytes(), limit);
    }
    let (exact, estimate) = (list.allocated_bytes(0) as f64, list.allocated_bytes(5) as f64);
    assert!((estimate / exact - 1.0).abs() < 0.1, "{estimate} for {exact}");
}
