//! HyperLogLogs: the bytes that Redis writes, the error of the estimate, and hostile objects.

use super::*;

const SPARSE_MAX: usize = 3000;

fn with_elements(elements: impl Iterator<Item = String>, sparse_max: usize) -> Vec<u8> {
    let mut bytes = empty();
    for element in elements {
        add(&mut bytes, element.as_bytes(), sparse_max).expect("a sound object");
    }
    bytes
}

#[test]
fn small_objects_have_the_bytes_that_redis_writes() {
    assert_eq!(empty(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    let bytes = with_elements(["a"].into_iter().map(str::to_owned), SPARSE_MAX);
    assert_eq!(&bytes[HEADER..], b"\x71\xa6\x84NW");
    let bytes = with_elements("abcdefg".chars().map(String::from), SPARSE_MAX);
    assert_eq!(&bytes[HEADER..], b"Fm\x80V\x0c\x80D<\x848\x80P\xb1\x84I\x8c\x80Bm\x80BZ");
    assert_eq!(count(&bytes), Ok(7));
}

#[test]
fn both_encodings_count_alike() {
    for number in [0, 1, 10, 300, 2000, 50_000] {
        let elements = || (0..number).map(|n: u32| format!("element:{n}"));
        let sparse = with_elements(elements(), usize::MAX);
        let dense = with_elements(elements(), 0);
        assert!(number == 0 || is_dense(&dense));
        assert_eq!(count(&sparse), count(&dense));
        let mut packed = sparse.clone();
        make_dense(&mut packed).expect("a sound object");
        assert_eq!(packed[HEADER..], with_elements_dense(elements())[HEADER..]);
    }
}

fn with_elements_dense(elements: impl Iterator<Item = String>) -> Vec<u8> {
    let mut bytes = empty();
    make_dense(&mut bytes).expect("a sound object");
    for element in elements {
        add(&mut bytes, element.as_bytes(), 0).expect("a sound object");
    }
    bytes
}

#[test]
fn the_estimate_is_within_three_standard_errors() {
    for number in [100u64, 1000, 10_000, 100_000, 1_000_000] {
        let bytes = with_elements((0..number).map(|n| n.to_string()), SPARSE_MAX);
        let estimate = count(&bytes).expect("a sound object") as f64;
        let error = (estimate - number as f64).abs() / number as f64;
        assert!(error < 3.0 * 1.04 / 128.0, "{estimate} for {number}");
    }
}

#[test]
fn an_object_becomes_dense_when_it_outgrows_its_limit() {
    let small = with_elements((0..100).map(|n: u32| n.to_string()), SPARSE_MAX);
    let large = with_elements((0..5000).map(|n: u32| n.to_string()), SPARSE_MAX);
    assert!(!is_dense(&small) && small.len() <= SPARSE_MAX);
    assert!(is_dense(&large) && is_valid(&large));
}

#[test]
fn the_cached_estimate_is_valid_until_it_is_said_not_to_be() {
    let mut bytes = empty();
    assert_eq!(cached(&bytes), Some(0));
    set_cached(&mut bytes, 1234);
    assert_eq!(cached(&bytes), Some(1234));
    invalidate(&mut bytes);
    assert_eq!(cached(&bytes), None);
}

#[test]
fn hostile_bytes_are_refused_or_called_corrupt_and_never_panic() {
    let mut random = crate::random::Random::fixed(9);
    assert!(!is_valid(b"HYLL"));
    assert!(!is_valid(&[b"HYLL\x02".as_slice(), &[0; 100]].concat()));
    assert!(!is_valid(&[b"HYLL\x00".as_slice(), &[0; 100]].concat()), "dense has one length only");
    for _ in 0..3000 {
        let length = random.below(60);
        let mut bytes = empty();
        bytes.truncate(HEADER);
        bytes.extend((0..length).map(|_| random.next() as u8));
        assert!(is_valid(&bytes));
        let before = count(&bytes);
        let index = random.below(REGISTERS);
        let raised = raise(&mut bytes, index, 1 + random.below(50) as u8, SPARSE_MAX);
        assert!(before.is_ok() <= raised.is_ok(), "what counts can be added to");
        assert!(is_valid(&bytes));
    }
}
