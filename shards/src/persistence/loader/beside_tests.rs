//! What is exchanged is all of the data, and no snapshot that is taken at the same time notices.

use std::time::Duration;

use super::*;
use crate::keyspace::saving::Sink;
use crate::rdb::crc64;
use crate::rdb::format::opcode;
use crate::testing::Tester;

/// A file with what a snapshot has sent.
fn file_of(sink: &Sink) -> Vec<u8> {
    let mut file = b"REDIS0012".to_vec();
    while let Some(chunk) = sink.receive(Duration::from_secs(60)) {
        file.extend(chunk);
    }
    file.push(opcode::END);
    let checksum = crc64(0, &file);
    file.extend(checksum.to_le_bytes());
    file
}

fn begin(tester: &mut Tester) -> std::sync::Arc<Sink> {
    tester.begin_snapshot()
}

fn end(tester: &mut Tester, sink: &Sink) -> Vec<u8> {
    for shard in 0..tester.shards.len() {
        while tester.snapshot_slice(shard) {}
    }
    file_of(sink)
}

fn filled(shards: usize, generation: &str) -> Tester {
    let mut tester = Tester::new(shards);
    tester.world.settings.enable_debug_command.set(1);
    for number in 0..500 {
        tester.run(&format!("SET key:{number} {generation}:{number}"));
        tester.run(&format!("SADD set:{} {generation}:{number}", number % 7));
    }
    tester.db = 3;
    tester.run(&format!("HSET hash f {generation}"));
    tester.run("HPEXPIRE hash 1000 FIELDS 1 f");
    tester.db = 0;
    tester
}

fn digest_of(file: &[u8]) -> String {
    let mut copy = Tester::new(1);
    copy.world.settings.enable_debug_command.set(1);
    copy.load(file).expect("it is sound");
    copy.run("DEBUG DIGEST")
}

#[test]
fn a_snapshot_that_is_taken_while_all_data_are_exchanged_is_the_state_at_its_cut() {
    let mut other = filled(1, "new");
    let sink = begin(&mut other);
    let file = end(&mut other, &sink);
    let new = other.run("DEBUG DIGEST");
    for begins_first in [true, false] {
        let mut tester = filled(3, "old");
        let old = tester.run("DEBUG DIGEST");
        let mut sink = begins_first.then(|| begin(&mut tester));
        let mut beside: Vec<Shard> = tester.shards.iter().map(Shard::beside).collect();
        let mut loading = Loading::begin(&tester.world, &file).expect("it is sound");
        while !loading.some(&mut Shards::many(tester.world.slots, beside.iter_mut())).expect("it is sound") {}
        let sink = sink.take().unwrap_or_else(|| begin(&mut tester));
        tester.snapshot_slice(1);
        for (shard, beside) in tester.shards.iter_mut().zip(&mut beside) {
            beside.turn_mark(shard.mark());
            drop(shard.adopt(beside, 0));
        }
        assert_eq!(tester.run("DEBUG DIGEST"), new);
        assert_eq!(digest_of(&end(&mut tester, &sink)), old, "with the snapshot begun first: {begins_first}");
        // The marks that are left are right for the next one.
        tester.run("SET key:1 later");
        let (expected, sink) = (tester.run("DEBUG DIGEST"), begin(&mut tester));
        assert_eq!(digest_of(&end(&mut tester, &sink)), expected);
        // What expires within hashes is looked after.
        tester.world.advance_clock(2000);
        tester.sweep_fields();
        tester.db = 3;
        assert_eq!(tester.run("EXISTS hash"), ":0\r\n");
    }
}
