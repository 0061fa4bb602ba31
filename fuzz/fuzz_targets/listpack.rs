//! Listpacks from files and from RESTORE: one that passes the check can be walked both ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sherd_shards::types::listpack::Listpack;

fuzz_target!(|data: &[u8]| {
    let Some(pack) = Listpack::from_bytes_validated(data) else { return };
    assert_eq!(pack.as_bytes(), data);
    let forward: Vec<Vec<u8>> = pack.iter().map(|item| item.to_vec()).collect();
    assert_eq!(pack.len(), forward.len());
    let mut steps = 0;
    let mut position = pack.last();
    while let Some(at) = position {
        steps += 1;
        assert!(steps <= forward.len(), "the way back is longer than the way there");
        position = pack.previous(at);
    }
    assert_eq!(steps, forward.len());
});
