//! Files that hold the data, and may hold anything: snapshots and append-only files, looked through and loaded.
//!
//! Promises that are checked, whatever the bytes: no panic; a fault is told with a place within the file; what is found fault with
//! is not loaded as a whole; and what was loaded before the fault is sound.

use sherd_shards::persistence::append_loader;
use sherd_shards::persistence::loader::{self, Fault, Loading, Progress};
use sherd_shards::rdb::Limits;
use sherd_shards::server::settings::Settings;

use super::keyspace::{Keyspace, Variant};

/// Before some times in the seeds and after others.
const NOW_MS: i64 = 1_700_000_000_000;
/// Others use keyspaces of other numbers of shards.
const SHARDS: usize = 3;

fn check_fault(fault: &Fault, size: usize) {
    assert!(fault.offset <= size as u64, "a fault behind the file's end: {fault:?}");
    assert!(!fault.what.is_empty());
}

/// An RDB file.
pub fn snapshot(data: &[u8]) {
    let limits = Limits::from_settings(&Settings::default());
    let (report, fault) = loader::check(data, limits, NOW_MS, &Progress::default());
    assert!(report.end <= data.len() as u64);
    let mut keyspace = Keyspace::new(SHARDS, Variant::from_bits(0));
    let loaded: Result<(), Fault> = keyspace.with_all(|shards, world| {
        let mut loading = Loading::begin(world, data)?;
        while !loading.some(shards)? {}
        Ok(())
    });
    if let Some(fault) = &fault {
        check_fault(fault, data.len());
        assert!(loaded.is_err(), "it was loaded in spite of {fault:?}");
    }
    // A key that is there twice, or a database that there is not, is found only by who loads.
    if let Err(fault) = &loaded {
        check_fault(fault, data.len());
    }
    keyspace.check();
    keyspace.settle();
}

/// One file of an append-only directory.
pub fn appended(data: &[u8]) {
    let checked = append_loader::check(data, Some(NOW_MS / 1000), &Progress::default());
    assert!(checked.valid_bytes <= data.len() as u64);
    assert!(checked.late_offset.is_none_or(|offset| offset <= data.len() as u64));
    if checked.fault.is_none() {
        assert_eq!(checked.valid_bytes, data.len() as u64, "a part of it is of no kind");
    }
    let mut keyspace = Keyspace::new(SHARDS, Variant::from_bits(0));
    let loaded = keyspace.with_all(|shards, world| append_loader::load_held(shards, world, data));
    assert!(loaded.valid_bytes <= checked.valid_bytes, "more was loaded than is whole");
    if let Some(fault) = &checked.fault {
        check_fault(fault, data.len());
        assert!(loaded.fault.is_some(), "it was loaded in spite of {fault:?}");
    }
    if let Some(fault) = &loaded.fault {
        check_fault(fault, data.len());
    }
    keyspace.check();
    keyspace.settle();
}
