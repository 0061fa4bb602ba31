//! Big collections in a snapshot: they are saved in slices, and what is loaded is what they were at the cut, whatever became of
//! them, of their elements and of their keys meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{collect, contents, digest, file_of};
use crate::entry::object::ObjectRef;
use crate::keyspace::saving::{work, Sink};
use crate::testing::Tester;
use sherd_types::random::Random;
use sherd_types::stream::{Stream, StreamId};
use sherd_types::table::Entry as _;
use sherd_types::walk::StreamPart;

/// Times and clocks are multiples of this one with a half between them: so a few seconds between two testers mean nothing.
const TIME_MS: i64 = 1_000_000;

/// One seed: a server, and how its snapshots are made.
struct Run {
    random: Random,
    tester: Tester,
    shards: usize,
    in_cluster: bool,
    as_commands: bool,
    /// Ids of streams' entries that were used.
    ids: usize,
    /// By how much its clock was advanced.
    advanced_ms: i64,
}

fn tester(shards: usize, in_cluster: bool) -> Tester {
    let tester = if in_cluster { Tester::of_cluster(shards) } else { Tester::new(shards) };
    let settings = &tester.world.settings;
    for limit in [
        &settings.hash_max_listpack_entries,
        &settings.set_max_intset_entries,
        &settings.set_max_listpack_entries,
        &settings.zset_max_listpack_entries,
    ] {
        limit.set(4);
    }
    settings.list_max_listpack_size.set(4);
    settings.stream_node_max_entries.set(4);
    tester
}

impl Run {
    fn new(seed: u64, as_commands: bool) -> Run {
        let shards = [1, 4][seed as usize % 2];
        let in_cluster = seed % 5 == 4;
        Run {
            random: Random::fixed(seed),
            tester: tester(shards, in_cluster),
            shards,
            in_cluster,
            as_commands,
            ids: 0,
            advanced_ms: 0,
        }
    }

    fn words(&mut self, count: usize, word: impl Fn(usize, usize) -> String) -> String {
        let words: Vec<String> =
            (0..=self.random.below(count)).map(|_| word(self.random.below(300), self.random.below(300))).collect();
        words.join(" ")
    }

    fn time(&mut self) -> i64 {
        TIME_MS / 2 + TIME_MS * self.random.below(6) as i64
    }

    /// A command that changes elements of few keys with many of them.
    fn line_of_elements(&mut self) -> String {
        let [key, other, number] = [4, 4, 300].map(|bound| self.random.below(bound));
        let at = self.time();
        match self.random.below(56) {
            0..=3 => format!("HSET h{key} {}", self.words(12, |a, b| format!("f{a} value:{b}"))),
            4 => format!("HDEL h{key} {}", self.words(6, |a, _| format!("f{a}"))),
            5 => format!("HINCRBY h{key} n{number} 1"),
            6 => format!("HPEXPIRE h{key} {at} FIELDS 1 f{number}"),
            7 => format!("HPERSIST h{key} FIELDS 1 f{number}"),
            8 => format!("HGETDEL h{key} FIELDS 1 f{number}"),
            9 => format!("HSETEX h{key} PX {at} FIELDS 1 f{number} timed"),
            10 => format!("HGETEX h{key} PX {at} FIELDS 1 f{number}"),
            11..=13 => format!("SADD s{key} {}", self.words(12, |a, _| format!("m{a}"))),
            14 => format!("SREM s{key} {}", self.words(6, |a, _| format!("m{a}"))),
            15 => format!("SPOP s{key} {}", 1 + number % 4),
            16 => format!("SMOVE s{key} s{other} m{number}"),
            17 => format!("SPEXPIRE s{key} {at} MEMBERS 1 m{number}"),
            18 => format!("SPERSIST s{key} MEMBERS 1 m{number}"),
            19 => format!("SUNIONSTORE s{key} s{other} s{}", number % 4),
            20 => format!("SDIFFSTORE s{key} s{other} s{}", number % 4),
            21..=24 => format!("ZADD z{key} {}", self.words(12, |a, b| format!("{b}.5 m{a}"))),
            25 => format!("ZINCRBY z{key} 0.25 m{number}"),
            26 => format!("ZREM z{key} {}", self.words(6, |a, _| format!("m{a}"))),
            27 => format!("ZPOPMIN z{key} {}", 1 + number % 4),
            28 => format!("ZPOPMAX z{key} {}", 1 + number % 4),
            29 => format!("ZREMRANGEBYRANK z{key} {number} {}", number + 5),
            30 => format!("ZREMRANGEBYSCORE z{key} {number} {}", number + 4),
            31 => format!("ZRANGESTORE z{key} z{other} 0 {number}"),
            32 => format!("ZUNIONSTORE z{key} 2 z{key} z{other}"),
            33 => format!("ZADD z{key} GT CH -inf low inf high {number} m{number}"),
            34..=35 => format!("RPUSH l{key} {}", self.words(12, |a, b| format!("e{a}:{b}"))),
            36 => format!("RPUSH l{key} {}", self.words(12, |a, _| format!("e{a}"))),
            37 => format!("LPUSH l{key} {}", self.words(12, |a, _| format!("e{a}"))),
            38 => format!("LPOP l{key} {}", 1 + number % 9),
            39 => format!("RPOP l{key} {}", 1 + number % 9),
            40 => format!("LSET l{key} {} replaced", number / 2),
            41 => format!("LTRIM l{key} {} -{}", number % 5, 1 + number % 9),
            42 => format!("LINSERT l{key} BEFORE e{number} inserted"),
            43 => format!("LREM l{key} {} e{number}", number as i64 % 5 - 2),
            44 => format!("LMOVE l{key} l{other} LEFT RIGHT"),
            45..=49 => {
                self.ids += 1;
                format!("XADD x{key} {}-1 field {number}", self.ids)
            }
            50 => format!("XTRIM x{key} MAXLEN {number}"),
            51 => format!("XDEL x{key} {}-1", self.random.below(self.ids + 1)),
            _ => self.line_of_groups(),
        }
    }

    /// A command about what the groups of streams remember.
    fn line_of_groups(&mut self) -> String {
        let [key, group, consumer, number] = [4, 3, 6, 300].map(|bound| self.random.below(bound));
        let id = self.random.below(self.ids + 1);
        match self.random.below(24) {
            0 => format!("XTRIM x{key} MINID {id}"),
            1..=3 => format!("XGROUP CREATE x{key} g{group} {}", id / 2),
            4 if number < 60 => format!("XGROUP DESTROY x{key} g{group}"),
            5 if number < 100 => format!("XGROUP DELCONSUMER x{key} g{group} c{consumer}"),
            6 => format!("XGROUP CREATECONSUMER x{key} g{group} c{consumer}"),
            7 => format!("XGROUP SETID x{key} g{group} {id} ENTRIESREAD {number}"),
            8..=12 => {
                format!("XREADGROUP GROUP g{group} c{consumer} COUNT {} STREAMS x{key} >", 1 + number / 4)
            }
            13 => format!("XREADGROUP GROUP g{group} c{consumer} COUNT 9 STREAMS x{key} {id}"),
            14..=15 => format!("XAUTOCLAIM x{key} g{group} c{consumer} 0 {id} COUNT 9"),
            16 => format!("XNACK x{key} g{group} FAIL IDS 1 {id}-1"),
            17 => format!("XCLAIM x{key} g{group} c{consumer} 0 {id}-1 FORCE"),
            18 => format!("XDELEX x{key} DELREF IDS 1 {id}-1"),
            19 => format!("XACKDEL x{key} g{group} ACKED IDS 1 {id}-1"),
            _ => {
                let ids: Vec<String> = (id..id + 12).map(|id| format!("{id}-1")).collect();
                format!("XACK x{key} g{group} {}", ids.join(" "))
            }
        }
    }

    /// A command about whole keys, or databases.
    fn line_of_keys(&mut self) -> String {
        let [kind, other_kind] = [0; 2].map(|_| ["h", "s", "z", "l", "x", "o"][self.random.below(6)]);
        let [key, other] = [0; 2].map(|_| self.random.below(4));
        let at = self.time();
        match self.random.below(30) {
            0..=1 => format!("DEL {kind}{key}"),
            2 => format!("UNLINK {kind}{key}"),
            3..=8 => format!("RENAME {kind}{key} {kind}{other}"),
            9 => format!("RENAME {kind}{key} o{other}"),
            10 => format!("RENAMENX o{other} {kind}{key}"),
            11 => format!("COPY {kind}{key} {kind}{other} REPLACE"),
            12..=14 => format!("MOVE {kind}{key} {}", 1 - self.tester.db),
            15..=16 => format!("PEXPIRE {kind}{key} {at}"),
            17 => format!("PERSIST {kind}{key}"),
            18 => format!("PEXPIREAT {kind}{key} 1"),
            19 => format!("SET {kind}{key} text"),
            20 => format!("SORT {kind}{key} BY nosort STORE o{other}"),
            21 if other == 0 => "FLUSHDB".to_owned(),
            22 if other == 0 => "FLUSHALL ASYNC".to_owned(),
            23 if other < 2 && !self.in_cluster => "SWAPDB 0 1".to_owned(),
            24 => format!("RESTORE {other_kind}{key} 0 {}", "x".repeat(20)),
            _ => format!("SET t{key} {at}"),
        }
    }

    fn change(&mut self) {
        self.tester.db = u16::from(!self.in_cluster && self.random.below(8) == 0);
        match self.random.below(60) {
            0..=5 => {
                let line = self.line_of_keys();
                self.tester.run(&line);
            }
            6 => self.tester.sweep_fields(),
            7 if self.random.below(12) == 0 => {
                self.tester.world.advance_clock(TIME_MS);
                self.advanced_ms += TIME_MS;
            }
            8 => _ = self.tester.defragment(),
            _ => {
                let line = self.line_of_elements();
                self.tester.run(&line);
            }
        }
        self.tester.db = 0;
    }

    /// Slices and changes in turns to the end.
    fn take_snapshot(&mut self, changes_max: usize) -> Arc<Sink> {
        let sink = self.tester.begin_snapshot_as(self.as_commands);
        let mut slices = 0;
        // A shard that had come to its end may get an entry of another one that is not written whole.
        while !self.step(changes_max) {
            slices += 1;
            assert!(slices < 1_000_000, "it comes to an end");
        }
        sink
    }

    fn step(&mut self, changes_max: usize) -> bool {
        for _ in 0..self.random.below(changes_max + 1) {
            work::take();
            self.change();
            assert!(work::take() < 16_000, "a command serialises little");
        }
        let shard = self.random.below(self.shards);
        self.tester.snapshot_slice(shard);
        assert!(work::take() < 16_000, "a slice serialises little");
        (0..self.shards).all(|shard| !self.tester.is_saving(shard))
    }

    /// What the bytes make of an empty server whose clock is this one's at the cut.
    fn loaded(&self, bytes: &[u8], advanced_ms: i64) -> Tester {
        let mut copy = tester(2, self.in_cluster);
        copy.world.advance_clock(advanced_ms);
        if self.as_commands {
            execute(&mut copy, bytes);
        } else {
            copy.load(&file_of(bytes, 12)).expect("it is sound");
        }
        copy
    }
}

/// Executes commands as those of an append-only file.
fn execute(tester: &mut Tester, mut bytes: &[u8]) {
    fn number(bytes: &mut &[u8], kind: u8) -> usize {
        let end = bytes.iter().position(|&byte| byte == b'\r').expect("a line ends");
        assert_eq!(bytes[0], kind);
        let number = std::str::from_utf8(&bytes[1..end]).expect("text").parse().expect("a number");
        *bytes = &bytes[end + 2..];
        number
    }
    tester.is_replaying = true;
    while !bytes.is_empty() {
        let parts: Vec<&[u8]> = (0..number(&mut bytes, b'*'))
            .map(|_| {
                let length = number(&mut bytes, b'$');
                let part = &bytes[..length];
                bytes = &bytes[length + 2..];
                part
            })
            .collect();
        if parts[0] == b"SELECT" {
            tester.db = String::from_utf8_lossy(parts[1]).parse().expect("a number");
            continue;
        }
        let reply = tester.run_args(&parts);
        assert_ne!(reply[0], b'-', "{} {}", String::from_utf8_lossy(parts[0]), String::from_utf8_lossy(&reply));
    }
    tester.db = 0;
    tester.is_replaying = false;
}

/// Every key with its digest, its expiry and those of its elements, and what the groups of streams remember; `exact` is with what
/// commands do not tell: when consumers were seen, and how entries are in blocks.
fn contents_with_times(tester: &mut Tester, exact: bool) -> BTreeMap<String, String> {
    let mut found = contents(tester);
    let names = |letter: &str| (0..300).map(|number| format!("{letter}{number}")).collect::<Vec<_>>().join(" ");
    let (fields, members) = (names("f"), names("m"));
    for (key, value) in &mut found {
        let (db, key) = key.split_once(':').expect("a database and a key");
        tester.db = db.parse().expect("a number");
        let times = match value.split(' ').next() {
            Some("+hash") => tester.run(&format!("HPEXPIRETIME {key} FIELDS 300 {fields}")),
            Some("+set") => tester.run(&format!("SPEXPIRETIME {key} MEMBERS 300 {members}")),
            Some("+stream") if exact => tester.run(&format!("XINFO STREAM {key}")),
            _ => continue,
        };
        value.push_str(&times);
    }
    tester.db = 0;
    for shard in &tester.shards {
        for number in 0..shard.dbs_touched() as u16 {
            for entry in shard.db(number).into_iter().flat_map(|database| database.iter()) {
                if let Some(ObjectRef::Stream(stream)) = entry.object() {
                    let key = String::from_utf8_lossy(entry.key()).into_owned();
                    found.insert(format!("groups of {number}:{key}"), groups_of(stream, exact).join(", "));
                }
            }
        }
    }
    found
}

/// All that the groups of a stream remember and a file has a place for.
fn groups_of(stream: &Stream, exact: bool) -> Vec<String> {
    let (mut found, mut group, mut added) = (Vec::new(), String::new(), 0);
    stream.visit_parts(|part| match part {
        StreamPart::Group(head) => {
            group = String::from_utf8_lossy(head.name).into_owned();
            let last_id = StreamId::from_bytes(head.last_id);
            // A command does not say of a group that it has read more than there was.
            let read = head.entries_read.map(|read| if exact { read } else { read.min(added) });
            found.push(format!("{group} {last_id} {read:?} {}", head.pending));
        }
        StreamPart::Pending(pending) => {
            let owner = String::from_utf8_lossy(pending.owner);
            let (id, times) = (StreamId::from_bytes(pending.id), pending.delivery_count);
            found.push(format!("{group} {id} {owner} {times} {}", pending.delivered_ms));
        }
        StreamPart::Consumer(head) => {
            let name = String::from_utf8_lossy(head.name);
            found.push(format!("{group} {name} {} {}", if exact { head.seen_ms } else { 0 }, head.owned));
        }
        StreamPart::Memory(memory) => {
            added = memory.entries_added;
            found.push(format!("{memory:?}"));
        }
        StreamPart::Block(..) | StreamPart::Consumers(_) | StreamPart::Owned(_) => {}
    });
    found
}

fn check(seeds: std::ops::Range<u64>, as_commands: bool) {
    for seed in seeds {
        let mut run = Run::new(seed, as_commands);
        for _ in 0..[300, 2000][seed as usize / 2 % 2] {
            run.change();
        }
        // Twice: the second one begins with the marks that the first one has left.
        for round in 0..2 {
            // The digest has what has expired as well, as long as it is there.
            run.tester.sweep_fields();
            let (expected, before) = (digest(&mut run.tester), contents_with_times(&mut run.tester, !as_commands));
            let cut_ms = run.advanced_ms;
            let changes_max = [2, 20, 200][(seed as usize + round) % 3];
            let sink = run.take_snapshot(changes_max);
            assert!(!sink.is_cancelled(), "seed {seed}");
            let mut copy = run.loaded(&collect(&sink), cut_ms);
            let after = contents_with_times(&mut copy, !as_commands);
            let keys = before.keys().chain(after.keys());
            let differing: Vec<_> = keys
                .filter(|key| before.get(*key) != after.get(*key))
                .map(|key| (key, before.get(key), after.get(key)))
                .collect();
            assert!(differing.is_empty(), "seed {seed}, round {round}: {differing:?}");
            assert_eq!(digest(&mut copy), expected, "seed {seed}, round {round}");
        }
    }
}

#[test]
fn big_collections_are_saved_as_they_were_at_the_cut_whatever_comes_after() {
    check(0..40, false);
    for (event, count) in work::EVENTS.iter().zip(work::counts()) {
        assert!(count >= 10, "{event:?} has happened {count} times");
    }
}

#[test]
fn big_collections_are_saved_as_commands_as_they_were_at_the_cut() {
    check(100..120, true);
    for (event, count) in work::EVENTS.iter().zip(work::counts()) {
        assert!(count >= 5, "{event:?} has happened {count} times");
    }
}

#[test]
fn no_command_and_no_slice_serialises_more_than_a_bounded_part() {
    [false, true].into_iter().for_each(check_bounds);
}

/// Now and then, for they look through the list: what changes it between elements that are still to be written.
fn lines_in_the_middle(number: usize) -> Vec<String> {
    let element = 10_000 + number % 9000;
    let lines = ["LINSERT list AFTER element:{} inserted", "LREM list 1 element:{}", "LREM list -1 element:{}"];
    let is_due = number % 16 == 0;
    lines
        .into_iter()
        .filter(|_| is_due)
        .enumerate()
        .map(|(at, line)| line.replace("{}", &(element + at).to_string()))
        .collect()
}

fn check_bounds(as_commands: bool) {
    let mut run = Run::new(0, as_commands);
    // Commands are written when they have all their elements.
    let at_once_max = if as_commands { 4 << 10 } else { 200 };
    for number in 0..20_000 {
        run.tester.run(&format!("HSET hash f{number} value:{number}"));
        run.tester.run(&format!("SADD set m{number}"));
        run.tester.run(&format!("ZADD zset {number} m{number}"));
        run.tester.run(&format!("RPUSH list element:{number}"));
        run.tester.run(&format!("XADD stream {}-1 field {number}", number + 1));
    }
    for line in [
        "XGROUP CREATE stream a 0",
        "XGROUP CREATE stream b 0",
        "XREADGROUP GROUP a one COUNT 15000 STREAMS stream >",
        "XREADGROUP GROUP a two COUNT 5000 STREAMS stream >",
        "XREADGROUP GROUP b one COUNT 20000 STREAMS stream >",
    ] {
        assert!(!run.tester.run(line).starts_with('-'), "{line}");
    }
    let groups = contents_with_times(&mut run.tester, !as_commands)["groups of 0:stream"].clone();
    let expected = digest(&mut run.tester);
    let sink = run.tester.begin_snapshot_as(as_commands);
    let (mut written, mut longest) = (0, 0);
    while run.tester.snapshot_slice(0) {
        let bytes = work::take();
        (written, longest) = (written + bytes, longest.max(bytes));
        let number = run.random.below(30_000);
        for line in [
            format!("HSET hash f{number} changed"),
            format!("HDEL hash f{}", number / 2),
            format!("SREM set m{number}"),
            format!("ZINCRBY zset 0.5 m{number}"),
            "ZPOPMIN zset".to_owned(),
            format!("EXPIRE hash {number}"),
            "LPUSH list new".to_owned(),
            "LPOP list".to_owned(),
            "RPOP list".to_owned(),
            format!("LSET list {} other", number / 4),
            "LTRIM list 1 -2".to_owned(),
            format!("XADD stream {}-1 field new", 100_000 + written),
            format!("XDEL stream {number}-1"),
            format!("XACK stream a {number}-1"),
            format!("XCLAIM stream b two 0 {}-1", number / 3),
            format!("XNACK stream a FAIL IDS 1 {}-1", number / 2),
        ]
        .into_iter()
        .chain(lines_in_the_middle(number))
        {
            run.tester.run(&line);
            let bytes = work::take();
            assert!(bytes < at_once_max, "{line}: {bytes}");
            written += bytes;
        }
        if written > 300_000 {
            // With more than half to be written.
            run.tester.run("LTRIM list 500 600");
            run.tester.run("XGROUP DELCONSUMER stream a one");
            run.tester.run("XGROUP DESTROY stream b");
            run.tester.run("DEL hash set list");
            run.tester.run("RENAME zset other");
            run.tester.run("RENAME stream moved");
        }
    }
    assert!(longest < 16 << 10, "{longest}");
    assert!(written > 20_000 * 50, "{written}");
    assert_eq!(run.tester.run("EXISTS set zset"), ":0\r\n");
    let mut copy = run.loaded(&collect(&sink), 0);
    assert_eq!(digest(&mut copy), expected);
    assert!(contents_with_times(&mut copy, !as_commands)["groups of 0:stream"] == groups, "groups are as they were");
}

#[test]
fn a_cancelled_snapshot_lets_big_collections_go() {
    let mut run = Run::new(1, false);
    for _ in 0..2000 {
        run.change();
    }
    let sink = run.tester.begin_snapshot();
    (0..20).for_each(|_| _ = run.step(20));
    sink.cancel();
    while !run.step(20) {}
    let expected = digest(&mut run.tester);
    let (cut_ms, sink) = (run.advanced_ms, run.take_snapshot(20));
    let mut copy = run.loaded(&collect(&sink), cut_ms);
    assert_eq!(digest(&mut copy), expected);
}

#[test]
fn an_entry_that_is_dropped_before_it_is_written_whole_ends_the_snapshot() {
    let mut run = Run::new(0, false);
    for number in 0..100 {
        run.tester.run(&format!("SADD set m{number}"));
    }
    let sink = run.tester.begin_snapshot();
    run.tester.run("SADD set more");
    assert!(!sink.is_cancelled());
    run.tester.shards[0].clear();
    assert!(sink.is_cancelled(), "better none than a wrong one");
}
