//! Packed values from files and from RESTORE: bytes that pass the check can be used in every way; others are refused.

use std::collections::BTreeSet;

use sherd_types::intset::Intset;
use sherd_types::listpack::Listpack;

/// A listpack that passes the check is walked both ways, searched and edited, and stays one.
pub fn listpack(data: &[u8]) {
    let Some(mut pack) = Listpack::from_bytes_validated(data) else { return };
    assert_eq!(pack.as_bytes(), data);
    let forward: Vec<Vec<u8>> = pack.iter().map(|item| item.to_vec()).collect();
    assert_eq!(pack.len(), forward.len());
    let mut backward = Vec::new();
    let mut position = pack.last();
    while let Some(at) = position {
        assert!(backward.len() < forward.len(), "the way back is longer than the way there");
        backward.push(pack.get(at).to_vec());
        position = pack.previous(at);
    }
    backward.reverse();
    assert_eq!(backward, forward);
    for (index, item) in forward.iter().enumerate() {
        assert_eq!(pack.get_index(index as i64).map(|item| item.to_vec()).as_ref(), Some(item));
        assert!(pack.find(item, 0).is_some(), "an item that is there is not found");
    }
    edit(&mut pack, forward);
}

fn edit(pack: &mut Listpack, mut model: Vec<Vec<u8>>) {
    if let Some(middle) = pack.seek(model.len() as i64 / 2) {
        let index = model.len() / 2;
        pack.replace(middle, b"a text instead".as_slice());
        model[index] = b"a text instead".to_vec();
    }
    if let Some(first) = pack.first() {
        pack.delete(first);
        model.remove(0);
    }
    pack.push_back(b"7".as_slice());
    model.push(b"7".to_vec());
    assert_eq!(pack.iter().map(|item| item.to_vec()).collect::<Vec<_>>(), model);
    assert!(Listpack::from_bytes_validated(pack.as_bytes()).is_some(), "edited into something invalid");
}

/// An intset that passes the check is a sorted set of integers and stays one.
pub fn intset(data: &[u8]) {
    let Some(mut set) = Intset::from_bytes_validated(data) else { return };
    assert_eq!(set.as_bytes(), data);
    let mut model: BTreeSet<i64> = set.iter().collect();
    assert_eq!(set.len(), model.len());
    assert!(set.iter().eq(model.iter().copied()), "not ascending");
    for (index, &value) in model.iter().enumerate() {
        assert_eq!(set.get(index), Some(value));
        assert!(set.contains(value));
    }
    let first = model.iter().next().copied();
    for value in first.into_iter().chain([0, i64::from(i16::MAX) + 1, i64::from(i32::MIN) - 1, i64::MAX]) {
        assert_eq!(set.insert(value), model.insert(value));
        assert_eq!(set.contains(value), model.contains(&value));
        assert_eq!(set.remove(value), model.remove(&value));
        assert_eq!(set.insert(value), model.insert(value));
    }
    assert!(set.iter().eq(model.iter().copied()));
    assert!(Intset::from_bytes_validated(set.as_bytes()).is_some(), "edited into something invalid");
}
