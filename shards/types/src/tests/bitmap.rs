//! Bitmaps against a look at every single bit.

use super::*;
use crate::random::Random;

fn bit(bytes: &[u8], place: u64) -> bool {
    bytes.get((place / 8) as usize).is_some_and(|byte| byte >> (7 - place % 8) & 1 == 1)
}

#[test]
fn counting_and_searching_agree_with_a_look_at_every_bit() {
    let mut random = Random::fixed(3);
    for round in 0..300 {
        let length = 1 + random.below(400);
        let fill = [0x00, 0xFF, 0x5A][round % 3];
        let mut bytes = vec![fill; length];
        for _ in 0..random.below(4) {
            let place = random.below(length);
            bytes[place] = random.next() as u8;
        }
        let all = length as u64 * 8;
        let start = random.below(all as usize) as u64;
        let range = start..start + random.below((all - start) as usize + 1) as u64;
        let expected = range.clone().filter(|&place| bit(&bytes, place)).count() as u64;
        assert_eq!(count_range(&bytes, range.clone()), expected, "{range:?} of {bytes:?}");
        for set in [true, false] {
            let expected = range.clone().find(|&place| bit(&bytes, place) == set);
            assert_eq!(first(&bytes, range.clone(), set), expected, "{set} in {range:?} of {bytes:?}");
        }
    }
}

#[test]
fn every_operation_agrees_with_its_definition_on_every_bit() {
    let mut random = Random::fixed(4);
    for _ in 0..20 {
        let sources: Vec<Vec<u8>> = (0..1 + random.below(4))
            .map(|_| {
                let length = random.below(3 * BLOCK);
                (0..length).map(|_| random.next() as u8).collect()
            })
            .collect();
        let views: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let length = views.iter().map(|source| source.len()).max().unwrap_or(0);
        for operation in [
            Operation::And,
            Operation::Or,
            Operation::Xor,
            Operation::Not,
            Operation::Diff,
            Operation::Diff1,
            Operation::AndOr,
            Operation::One,
        ] {
            let views = if operation == Operation::Not { &views[..1] } else { &views };
            let length = if operation == Operation::Not { views[0].len() } else { length };
            let used = vec![0xA5; random.below(4 * BLOCK)];
            let result = combine(operation, views, used);
            assert_eq!(result.len(), length, "{operation:?}");
            for place in (0..length as u64 * 8).step_by(13) {
                let in_x = bit(views[0], place);
                let others = views[1..].iter().filter(|source| bit(source, place)).count();
                let total = others + usize::from(in_x);
                let expected = match operation {
                    Operation::And => total == views.len(),
                    Operation::Or => total > 0,
                    Operation::Xor => total % 2 == 1,
                    Operation::Not => !in_x,
                    Operation::Diff => in_x && others == 0,
                    Operation::Diff1 => !in_x && others > 0,
                    Operation::AndOr => in_x && others > 0,
                    Operation::One => total == 1,
                };
                assert_eq!(bit(&result, place), expected, "{operation:?} at {place}");
            }
        }
    }
}
