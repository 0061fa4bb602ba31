//! What commands are recorded as, that repeating it does the same, and the order in which it reaches sinks.

use std::any::Any;
use std::sync::{mpsc, Arc, Weak};
use std::time::Duration;

use super::{recorder, Audience, Block, Flushed, Item, Journal, Numbered, Order, Segment, Sink, Unit};
use crate::testing::Tester;
use sherd_types::invariant::contain;

/// Commands, each as its words separated by spaces.
fn lines(bytes: &[u8]) -> Vec<String> {
    commands(bytes).iter().map(|words| text(words)).collect()
}

fn text(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

/// Commands, each as its words.
fn commands(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut commands = Vec::new();
    let mut rest = bytes;
    let number = |rest: &mut &[u8], kind: u8| {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
        assert_eq!(rest[0], kind);
        let number = std::str::from_utf8(&rest[1..end]).expect("text").parse::<usize>().expect("a number");
        *rest = &rest[end + 2..];
        number
    };
    while !rest.is_empty() {
        let mut words = Vec::new();
        for _ in 0..number(&mut rest, b'*') {
            let length = number(&mut rest, b'$');
            words.push(rest[..length].to_vec());
            rest = &rest[length + 2..];
        }
        commands.push(words);
    }
    commands
}

fn recorded() -> Vec<String> {
    recorder::take().map_or_else(Vec::new, |segment| lines(&segment.bytes))
}

fn recording(shards: usize) -> Tester {
    let tester = Tester::new(shards);
    tester.world.settings.enable_debug_command.set(1);
    tester.world.journal.record_only();
    tester
}

/// What is done before, the command, what is recorded of it.
const EFFECTS: &[(&str, &str, &str)] = &[
    ("", "SET k v", "SET k v"),
    ("", "set k v", "set k v"),
    ("", "GET k", ""),
    ("SET k v", "SET k w NX", ""),
    ("", "SET k w NX GET", "SET k w"),
    ("", "SET k v EX 100", "SET k v PXAT {later}"),
    ("", "SETEX k 100 v", "SET k v PXAT {later}"),
    ("", "PSETEX k 100000 v", "SET k v PXAT {later}"),
    ("SET k v EX 100", "SET k w KEEPTTL", "SET k w KEEPTTL"),
    ("SET k v", "GETEX k EX 100", "PEXPIREAT k {later}"),
    ("SET k v", "GETEX k", ""),
    ("SET k v", "GETDEL k", "DEL k"),
    ("SET k v EX 100", "GETEX k PERSIST", "PERSIST k"),
    ("SET k v", "EXPIRE k 100", "PEXPIREAT k {later}"),
    ("SET k v", "EXPIRE k -1", "DEL k"),
    ("SET k v EX 50", "EXPIRE k 100 LT", ""),
    ("SET k 1", "INCR k", "INCR k"),
    ("SET k 1", "INCRBYFLOAT k 1.5", "SET k 2.5 KEEPTTL"),
    ("SET k 1", "INCREX k BYINT 2 EX 100", "SET k 3 PXAT {later}"),
    ("", "MSETEX 2 a 1 b 2 EX 100", "MULTI|SET a 1 PXAT {later}|SET b 2 PXAT {later}|EXEC"),
    ("", "MSET a 1 b 2", "MSET a 1 b 2"),
    ("SET k v", "DELEX k IFEQ v", "DEL k"),
    ("", "DEL k", ""),
    ("SADD s 1", "SPOP s", "SREM s 1"),
    ("SADD s 1 2", "SPOP s 5", "DEL s"),
    ("SADD s 1 2", "SPOP s 0", ""),
    ("RPUSH l a", "BLPOP nope l 0", "LPOP l"),
    ("RPUSH l a", "BRPOP l 0", "RPOP l"),
    ("RPUSH l a b", "LMPOP 2 nope l RIGHT COUNT 9", "RPOP l 2"),
    ("RPUSH l a", "BLMOVE l m LEFT RIGHT 0", "LMOVE l m LEFT RIGHT"),
    ("RPUSH l a", "BRPOPLPUSH l m 0", "LMOVE l m RIGHT LEFT"),
    ("RPUSH l a b c", "LMOVEM l m LEFT LEFT COUNT 2 OBO", "MULTI|LPOP l 2|LPUSH m a b|EXEC"),
    ("ZADD z 1 a 2 b", "BZPOPMAX z 0", "ZPOPMAX z"),
    ("ZADD z 1 a 2 b", "ZMPOP 1 z MIN COUNT 7", "ZPOPMIN z 2"),
    ("ZADD z 1 a", "BZMPOP 0 1 z MIN", "ZPOPMIN z 1"),
    ("HSET h f 1", "HINCRBYFLOAT h f 1.5", "HSET h f 2.5"),
    ("HSET h f v g w", "HEXPIRE h 100 FIELDS 2 f nope", "HPEXPIREAT h {later} FIELDS 1 f"),
    ("HSET h f v g w", "HEXPIRE h 0 FIELDS 1 f", "HDEL h f"),
    ("HSET h f v g w", "HGETEX h EX 100 FIELDS 1 f", "HPEXPIREAT h {later} FIELDS 1 f"),
    ("HSET h f v g w", "HGETDEL h FIELDS 1 f", "HDEL h f"),
    ("", "HSETEX h EX 100 FIELDS 1 f v", "MULTI|HSET h f v|HPEXPIREAT h {later} FIELDS 1 f|EXEC"),
    ("", "SADDEX s EX 100 MEMBERS 1 m", "MULTI|SADD s m|SPEXPIREAT s {later} MEMBERS 1 m|EXEC"),
    ("", "XADD x * f v", "XADD x {now}-0 f v"),
    ("XADD x 1 f v|XADD x 2 f v", "XADD x MAXLEN ~ 0 3-1 f v", "XADD x MAXLEN = 0 3-1 f v"),
    ("XADD x 1 f v|XADD x 2 f v", "XADD x MAXLEN 2 3-1 f v", "XADD x MAXLEN = 2 3-1 f v"),
    ("XADD x 1 f v|XADD x 2 f v", "XTRIM x MINID 2", "XTRIM x MAXLEN = 1"),
    ("", "XADD x IDMP p i * f v", "XADD x IDMP p i {now}-0 f v"),
    (
        "XGROUP CREATE x g $ MKSTREAM|XADD x 1 f v",
        "XREADGROUP GROUP g c STREAMS x >",
        "MULTI|XGROUP CREATECONSUMER x g c|XCLAIM x g c 0 1-0 TIME {now} RETRYCOUNT 1 FORCE JUSTID\
         |XGROUP SETID x g 1-0 ENTRIESREAD 1|EXEC",
    ),
    (
        "XGROUP CREATE x g $ MKSTREAM|XADD x 1 f v|XREADGROUP GROUP g c STREAMS x >",
        "XAUTOCLAIM x g d 0 0",
        "MULTI|XGROUP CREATECONSUMER x g d|XCLAIM x g d 0 1-0 TIME {now} RETRYCOUNT 2 FORCE JUSTID|EXEC",
    ),
    (
        "XGROUP CREATE x g $ MKSTREAM|XADD x 1 f v|XREADGROUP GROUP g c STREAMS x >",
        "XACKDEL x g IDS 1 1-0",
        "MULTI|XACK x g 1-0|XDEL x 1-0|EXEC",
    ),
    ("RPUSH l 2 1", "SORT l STORE d", "SORT l STORE d"),
    ("SET k v", "RENAME k n", "RENAME k n"),
    ("SET k v", "FLUSHALL", "FLUSHALL"),
    ("PFADD p a", "PFCOUNT p", "PFCOUNT p"),
    ("", "BITFIELD k OVERFLOW FAIL INCRBY u1 1 -1", "BITFIELD k OVERFLOW FAIL INCRBY u1 1 -1"),
    ("SETBIT k 1 1", "BITFIELD k OVERFLOW FAIL INCRBY u1 1 1", ""),
];

#[test]
fn a_command_is_recorded_as_what_it_has_done() {
    let now = recording(1).world.now_milliseconds();
    let later = now + 100_000;
    for (before, command, expected) in EFFECTS {
        let mut tester = recording(1);
        tester.world.clocks.set_wall_by(now - tester.world.now_milliseconds());
        before.split('|').filter(|line| !line.is_empty()).for_each(|line| _ = tester.run(line));
        recorder::take();
        let reply = tester.run(command);
        let expected = expected.replace("{now}", &now.to_string()).replace("{later}", &later.to_string());
        assert_eq!(recorded().join("|"), expected, "{before} => {command}: {reply}");
    }
}

#[test]
fn what_goes_by_itself_is_recorded_before_what_follows() {
    let mut tester = recording(1);
    tester.run("SET k v PX 10");
    tester.run("HSET h f v g w");
    tester.run("HPEXPIRE h 10 FIELDS 1 f");
    recorder::take();
    tester.world.advance_clock(20);
    tester.run("APPEND k w");
    assert_eq!(recorded(), ["MULTI", "UNLINK k", "APPEND k w", "EXEC"]);
    tester.sweep_fields();
    assert_eq!(recorded(), ["HDEL h f"]);
    tester.run("SET k v PX 10");
    tester.world.advance_clock(20);
    recorder::take();
    tester.run("GET k");
    assert_eq!(recorded(), ["UNLINK k"]);
}

#[test]
fn a_transaction_is_recorded_as_one_and_a_single_effect_as_itself() {
    let mut tester = recording(4);
    let unit = Unit::begin();
    ["SET a 1", "GET a", "SPOP nope", "RENAME a b", "SET c 2"].iter().for_each(|line| _ = tester.run(line));
    drop(unit);
    assert_eq!(recorded(), ["MULTI", "SET a 1", "RENAME a b", "SET c 2", "EXEC"]);
    let unit = Unit::begin();
    tester.run("SET a 1");
    drop(unit);
    tester.run("SET b 1");
    assert_eq!(recorded(), ["SET a 1", "SET b 1"]);
}

#[test]
fn a_database_is_selected_where_it_changes() {
    let mut tester = recording(1);
    tester.db = 3;
    tester.run("SET a 1");
    tester.db = 0;
    tester.run("SET a 1");
    let segment = recorder::take().expect("two effects");
    assert_eq!(
        (segment.databases, lines(&segment.bytes)),
        (Some((3, 0)), vec!["SET a 1".into(), "SELECT 0".into(), "SET a 1".into()])
    );
}

/// Does what is recorded of commands the same again as they have done, though elements had expired and nobody had removed them?
fn assert_repeated_with_expired(shards: usize, before: &[&str], commands: &[&str]) {
    let mut tester = recording(shards);
    before.iter().for_each(|line| _ = tester.run(line));
    tester.world.advance_clock(20);
    commands.iter().for_each(|line| assert!(!tester.run(line).starts_with('-'), "{line}"));
    assert_eq!(tester.run("DEBUG DIGEST"), replay(&recorded(), shards), "{commands:?}");
}

#[test]
fn members_that_have_expired_go_before_a_set_is_made_from_them() {
    let before = ["SADD s a b c", "SPEXPIRE s 10 MEMBERS 2 a b", "SADD t a b x", "ZADD z 1 a"];
    for shards in [1, 4] {
        for command in [
            "SDIFFSTORE d t s",
            "SINTERSTORE d s t",
            "SUNIONSTORE d s t",
            "ZUNIONSTORE d 2 z s",
            "SORT s ALPHA STORE d",
        ] {
            assert_repeated_with_expired(shards, &before, &[command]);
        }
    }
}

#[test]
fn what_a_restored_value_is_without_as_it_has_expired_is_recorded() {
    for (fill, removal) in [
        ("HSET v f 1 g 2|HPEXPIRE v 10 FIELDS 1 f", "HDEL to f"),
        ("SADD v f g|SPEXPIRE v 10 MEMBERS 1 f", "SREM to f"),
    ] {
        for time in ["0", "5000"] {
            let mut tester = recording(1);
            fill.split('|').for_each(|line| _ = tester.run(line));
            let dumped = tester.run_args(&[b"DUMP", b"v"]);
            let payload = dumped.splitn(2, |&byte| byte == b'\n').last().expect("a bulk").strip_suffix(b"\r\n");
            tester.run("DEL v");
            tester.world.advance_clock(20);
            recorder::take();
            tester.run_args(&[b"RESTORE", b"to", time.as_bytes(), payload.expect("a bulk")]);
            let segment = recorder::take().expect("it is recorded");
            assert_eq!(lines(&segment.bytes).get(2).map(String::as_str), Some(removal), "with what it is without");
            assert_eq!(replay_bytes(&segment.bytes, 1), tester.run("DEBUG DIGEST"));
        }
    }
}

/// Has a command panic behind what it has changed.
fn fail_half_way(tester: &mut Tester, line: &str) {
    tester.run("DEBUG FAIL-NEXT-WRITE");
    assert!(contain(|| tester.run(line)).is_err(), "{line}");
}

#[test]
fn what_a_command_has_changed_before_it_panics_is_recorded() {
    let before = ["SET k v PX 100000", "RPUSH l a b", "SADD s a b c", "HSET h f v g w", "HPEXPIRE h 100000 FIELDS 1 f"];
    let lines = [
        "APPEND k w",
        "DEL k",
        "RENAME k n",
        "MSET k 1 n 2",
        "COPY k n DB 3",
        "MOVE k 3",
        "LPOP l 2",
        "LMOVE l m LEFT LEFT",
        "SPOP s 2",
        "HSET h i 1",
        "HPEXPIRE h 5000 FIELDS 1 g",
        "XADD x * f v",
        "SUNIONSTORE d s s",
        "GETEX k PERSIST",
        "PFADD p a",
        "SORT l ALPHA STORE d",
        "BITFIELD k SET u8 0 1",
        "ZADD z 1 a",
    ];
    for (line, shards) in lines.iter().flat_map(|line| [(line, 1), (line, 4)]) {
        let mut tester = recording(shards);
        before.iter().for_each(|line| _ = tester.run(line));
        let unit = Unit::begin();
        fail_half_way(&mut tester, line);
        tester.run("SET behind 1");
        drop(unit);
        let segment = recorder::take().expect("something is recorded");
        assert_eq!(replay_bytes(&segment.bytes, shards), tester.run("DEBUG DIGEST"), "{line}");
    }
}

#[test]
fn a_command_that_panics_before_it_changes_anything_is_recorded_as_nothing() {
    let mut tester = recording(1);
    assert!(contain(|| tester.run("DEBUG FAIL-COMMAND")).is_err());
    assert!(recorded().is_empty());
}

/// Repeats what was recorded; returns the digest.
fn replay(lines: &[String], shards: usize) -> String {
    let words = |line: &String| line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    replay_commands(&lines.iter().map(words).collect::<Vec<_>>(), shards)
}

fn replay_bytes(bytes: &[u8], shards: usize) -> String {
    replay_commands(&commands(bytes), shards)
}

fn replay_commands(commands: &[Vec<Vec<u8>>], shards: usize) -> String {
    let mut tester = Tester::new(shards);
    tester.is_replaying = true;
    for words in commands {
        let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match args[..] {
            [b"SELECT", db] => tester.db = String::from_utf8_lossy(db).parse().expect("a number"),
            [b"MULTI" | b"EXEC"] => {}
            _ => {
                let reply = String::from_utf8_lossy(&tester.run_args(&args)).into_owned();
                assert!(!reply.starts_with('-'), "{}: {reply}", text(words));
            }
        }
    }
    tester.run("DEBUG DIGEST")
}

#[test]
fn what_is_recorded_of_every_command_does_the_same_again() {
    let cases = include_str!("../../tests/keyspace_events.txt").lines().filter(|line| !line.starts_with('#'));
    for case in cases {
        let mut parts = case.split("=>").map(str::trim);
        let before = parts.next().unwrap_or_default().split('|').filter(|line| !line.is_empty());
        for shards in [1, 4] {
            let mut tester = recording(shards);
            before.clone().chain(parts.clone().next()).for_each(|line| _ = tester.run(line));
            let commands = recorded();
            assert_eq!(replay(&commands, 5 - shards), tester.run("DEBUG DIGEST"), "{case}: {commands:?}");
        }
    }
}

#[test]
fn what_comes_out_of_order_is_put_into_order() {
    let numbered = |ticket| Numbered { ticket, item: Item::Mark(Box::new(|_| {})) };
    let mut order = Order::default();
    let mut came = Vec::new();
    for ticket in [2, 1, 5, 4, 3, 6] {
        let mut next = order.put(numbered(ticket));
        while let Some(one) = next {
            came.push(one.ticket);
            next = order.take_next();
        }
    }
    assert_eq!((came, order.last(), order.is_empty()), (vec![1, 2, 3, 4, 5, 6], 6, true));
}

/// Hands on what it is given.
struct Tap(mpsc::Sender<(u64, Option<u16>, Vec<u8>)>);

impl Sink for Tap {
    fn take(&mut self, block: &Block<'_>) {
        let _ = self.0.send((block.offset, block.database, block.bytes.to_vec()));
    }

    fn flush(&mut self) -> Flushed {
        Flushed { pending_bytes: 0, buffer_bytes: 0, is_durable: true, again_in: None, gather: Duration::ZERO }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Tells what is counted while it takes something.
struct Counting(Weak<Journal>, mpsc::Sender<usize>);

impl Sink for Counting {
    fn take(&mut self, _block: &Block<'_>) {
        let counted = self.0.upgrade().map_or(0, |journal| journal.buffer_bytes());
        let _ = self.1.send(counted);
    }

    fn flush(&mut self) -> Flushed {
        Flushed { pending_bytes: 0, buffer_bytes: 0, is_durable: true, again_in: None, gather: Duration::ZERO }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[test]
fn what_is_on_its_way_to_a_sink_is_counted_until_the_sink_counts_it() {
    let journal = Arc::new(Journal::default());
    let (sender, counts) = mpsc::channel();
    let id = journal.attach(Box::new(Counting(Arc::downgrade(&journal), sender)), |_| ()).expect("a thread");
    let value = [b'x'; 1000];
    for _ in 0..100 {
        journal.append(0, &[b"SET", b"k", &value], false);
    }
    journal.detach(id, |_, sink| assert!(sink.is_some()));
    assert!(counts.iter().all(|counted| counted >= value.len()));
    // The thread takes it off what waits in its next step, which is the last one.
    journal.stop();
    assert_eq!(journal.buffer_bytes(), 0);
}

#[test]
fn a_sink_gets_everything_from_its_cut_on_with_offsets_and_databases() {
    let journal = Journal::default();
    assert_eq!(journal.append(0, &[b"PING"], false), 0, "nobody listens");
    let (sender, blocks) = mpsc::channel();
    let id = journal.attach(Box::new(Tap(sender)), |feed| assert_eq!(feed.offset(), 0)).expect("a thread");
    for db in [2, 2, 0] {
        journal.append(db, &[b"INCR", b"k"], false);
    }
    journal.append(0, &[b"PING"], true);
    journal.detach(id, |_, sink| assert!(sink.is_some()));
    assert_eq!(journal.append(0, &[b"PING"], false), 0, "nobody listens any more");
    let all: Vec<_> = blocks.iter().collect();
    let mut offset = 0;
    for (at, _, bytes) in &all {
        assert_eq!(*at, offset);
        offset += bytes.len() as u64;
    }
    assert_eq!((all[0].1, journal.ask(|feed| feed.offset())), (None, Some(offset)));
    let bytes: Vec<u8> = all.into_iter().flat_map(|(_, _, bytes)| bytes).collect();
    assert_eq!(lines(&bytes), ["SELECT 2", "INCR k", "INCR k", "SELECT 0", "INCR k", "PING"]);
}

#[test]
fn many_threads_are_put_into_one_order_and_nothing_is_lost() {
    let threads = 4;
    let each: usize = if cfg!(miri) { 20 } else { 5_000 };
    let journal = Arc::new(Journal::default());
    let (sender, blocks) = mpsc::channel();
    let id = journal.attach(Box::new(Tap(sender)), |_| {}).expect("a thread");
    let baton = Arc::new(std::sync::Mutex::new(0_usize));
    let writers: Vec<_> = (0..threads)
        .map(|_| {
            let (journal, baton) = (Arc::clone(&journal), Arc::clone(&baton));
            std::thread::spawn(move || {
                for _ in 0..each {
                    // As a slice: recorded and handed over with the baton held.
                    let mut number = baton.lock().expect("nobody panics with it");
                    *number += 1;
                    recorder::effect(0, &[b"N", number.to_string().as_bytes()]);
                    assert_ne!(journal.hand_over().0, 0);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("a writer ends well"));
    journal.detach(id, |_, _| {});
    let bytes: Vec<u8> = blocks.iter().flat_map(|(_, _, bytes)| bytes).collect();
    let expected: Vec<String> = (1..=threads * each).map(|number| format!("N {number}")).collect();
    assert_eq!(lines(&bytes)[1..], expected);
    // The thread takes it off what waits in its next step, which is the last one.
    journal.stop();
    assert_eq!(journal.waiting_bytes(), 0);
}

#[test]
fn what_is_handed_over_before_the_end_reaches_the_sinks() {
    let journal = Journal::default();
    let (sender, blocks) = mpsc::channel();
    journal.attach(Box::new(Tap(sender)), |_| {}).expect("a thread");
    recorder::effect(7, &[b"SET", b"k", b"v"]);
    journal.hand_over();
    journal.stop();
    let bytes: Vec<u8> = blocks.iter().flat_map(|(_, _, bytes)| bytes).collect();
    assert_eq!(lines(&bytes), ["SELECT 7", "SET k v"]);
    assert_eq!(journal.ask(|feed| feed.offset()), None, "it has ended");
}

#[test]
fn files_and_links_get_what_is_for_them() {
    struct Of(Audience, mpsc::Sender<Vec<u8>>);
    impl Sink for Of {
        fn take(&mut self, block: &Block<'_>) {
            if [Audience::All, self.0].contains(&block.audience) {
                let _ = self.1.send(block.bytes.to_vec());
            }
        }
        fn flush(&mut self) -> Flushed {
            let (again_in, gather) = (None, Duration::ZERO);
            Flushed { pending_bytes: 0, buffer_bytes: 0, is_durable: true, again_in, gather }
        }
        fn as_any(&mut self) -> &mut dyn Any {
            self
        }
    }
    let journal = Journal::default();
    let (file, to_file) = mpsc::channel();
    let (link, to_link) = mpsc::channel();
    journal.attach(Box::new(Of(Audience::Files, file)), |_| {}).expect("a thread");
    journal.attach(Box::new(Of(Audience::Links, link)), |_| {}).expect("a thread");
    let only = |targets: u8, name: &[u8]| {
        let _only = recorder::Only::begin(targets);
        recorder::effect(2, &[name]);
    };
    recorder::effect(2, &[b"BEFORE"]);
    let unit = Unit::begin();
    recorder::effect(2, &[b"BOTH"]);
    only(recorder::FILES, b"FILE");
    only(0, b"NEITHER");
    only(recorder::LINKS, b"LINK");
    recorder::effect(2, &[b"END"]);
    drop(unit);
    journal.hand_over();
    assert_eq!(journal.hand_over(), (0, 0), "all of it");
    only(recorder::LINKS, b"ALONE");
    journal.hand_over();
    recorder::effect(0, &[b"AFTER"]);
    journal.hand_over();
    let offset = journal.ask(|feed| feed.offset()).expect("it runs");
    journal.stop();
    let [file, link] = [to_file, to_link].map(|blocks| blocks.iter().flatten().collect::<Vec<u8>>());
    let (select, back) = ("SELECT 2", "SELECT 0");
    assert_eq!(lines(&file), [select, "BEFORE", "MULTI", "BOTH", "FILE", "END", "EXEC", back, back, "AFTER"],);
    let of_link =
        [select, "BEFORE", "MULTI", "BOTH", "LINK", "END", "EXEC", back, select, "ALONE", back, back, "AFTER"];
    assert_eq!((lines(&link), offset), (of_link.map(String::from).to_vec(), link.len() as u64));
}

#[test]
fn writers_wait_while_a_sink_is_behind() {
    struct Stuck(mpsc::Receiver<()>, usize, bool);
    impl Sink for Stuck {
        fn take(&mut self, block: &Block<'_>) {
            self.1 += block.bytes.len();
        }
        fn flush(&mut self) -> Flushed {
            // From then on, as most of what makes writers wait may not have been taken yet.
            self.2 |= self.0.try_recv().is_ok();
            if self.2 {
                self.1 = 0;
            }
            let again_in = Some(Duration::from_millis(1));
            Flushed { pending_bytes: self.1, buffer_bytes: self.1, is_durable: false, again_in, gather: Duration::ZERO }
        }
        fn as_any(&mut self) -> &mut dyn Any {
            self
        }
    }
    let tester = Tester::new(1);
    let (free, stuck) = mpsc::channel();
    tester.world.journal.attach(Box::new(Stuck(stuck, 0, false)), |_| {}).expect("a thread");
    let megabyte = vec![b'x'; 1 << 20];
    let mut ticket = 0;
    for _ in 0..super::WAITING_BYTES_MAX / megabyte.len() + 1 {
        ticket = tester.world.journal.append(0, &[b"SET", b"k", &megabyte], false);
    }
    until(|| tester.world.pause.is_behind());
    assert!(!tester.world.journal.is_durable(ticket));
    free.send(()).expect("the sink listens");
    until(|| !tester.world.pause.is_behind());
    tester.world.journal.stop();
}

#[test]
fn who_waits_is_told_also_when_others_need_not_wait_any_more() {
    struct Slow(mpsc::Receiver<()>);
    impl Sink for Slow {
        fn take(&mut self, _: &Block<'_>) {}
        fn flush(&mut self) -> Flushed {
            let is_durable = self.0.try_recv().is_ok();
            let again_in = Some(Duration::from_millis(1));
            Flushed { pending_bytes: 0, buffer_bytes: 0, is_durable, again_in, gather: Duration::ZERO }
        }
        fn as_any(&mut self) -> &mut dyn Any {
            self
        }
    }
    let journal = Arc::new(Journal::default());
    let (sync, synced) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    journal.set_listener(Box::new(move |_| _ = tell.send(())));
    journal.attach(Box::new(Slow(synced)), |_| {}).expect("a thread");
    let ticket = journal.append(0, &[b"SET", b"k", b"v"], false);
    assert!(!journal.is_durable(ticket), "a reply would wait");
    sync.send(()).expect("the sink listens");
    told.recv_timeout(Duration::from_secs(60)).expect("who waits is told");
    assert!(journal.is_durable(ticket));
    journal.stop();
}

/// Waits for what another thread brings about.
#[track_caller]
fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came about");
}

#[test]
fn segments_say_their_databases() {
    recorder::effect(1, &[b"A"]);
    let expected = Segment {
        databases: Some((1, 1)),
        bytes: b"*1\r\n$1\r\nA\r\n".to_vec(),
        audience: Audience::All,
        from_primary: false,
    };
    assert_eq!(recorder::take(), Some(expected));
}
