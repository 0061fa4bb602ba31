//! CLIENT PAUSE: which commands it holds back, for how long, and that nothing expires meanwhile. What is expected is what
//! Redis 8.0 and Valkey 9.1 do.

mod served;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use served::{Client, Served};
use sherd_shards::executor::engine::{Engine, Hold};

/// Has each line held back by a pause of that kind, after some that are not, and answered when it is over.
fn expect_held(mode: &str, cases: &[(&[&str], &str, &str)]) {
    for shards in [1, 4] {
        let served = Served::start(shards);
        let world = &served.shared().world;
        world.stop_clock();
        let mut operator = served.client();
        for (before, line, reply) in cases {
            let mut client = served.client();
            before.iter().for_each(|line| prepare(&mut client, line));
            operator.run(&format!("CLIENT PAUSE 1000 {mode}"), "+OK|");
            client.send_lines(&[line]);
            served.wait_until(line, |shared| shared.io[0].paused.get() == 1);
            world.advance_clock(1001);
            client.expect(reply);
            assert_eq!(served.shared().io[0].paused.get(), 0, "{line}");
        }
    }
}

/// Sends a line whose reply is of one line.
fn prepare(client: &mut Client, line: &str) {
    let reply = if line == "MULTI" { "+OK|" } else { "+QUEUED|" };
    client.run(line, reply);
}

#[test]
fn a_pause_of_all_holds_back_whatever_would_be_executed() {
    expect_held(
        "ALL",
        &[
            (&[], "PING", "+PONG|"),
            (&[], "GET none", "$-1|"),
            (&[], "SELECT 0", "+OK|"),
            (&[], "MULTI", "+OK|"),
            (&["MULTI"], "GET none", "+QUEUED|"),
            (&["MULTI", "GET none"], "EXEC", "*1|$-1|"),
            (&["MULTI", "GET none"], "DISCARD", "+OK|"),
            (&[], "RESET", "+RESET|"),
            (&[], "QUIT", "+OK|"),
            (&[], "WATCH k", "+OK|"),
            (&[], "CLIENT UNPAUSE", "+OK|"),
            (&[], "CLIENT GETNAME", "$-1|"),
            (&[], "ECHO a", "$1|a|"),
        ],
    );
}

#[test]
fn a_pause_of_writes_holds_back_what_may_write_by_its_flags() {
    expect_held(
        "WRITE",
        &[
            (&[], "SET k v", "+OK|"),
            (&[], "GETEX none", "$-1|"),
            (&[], "SORT none", "*0|"),
            (&[], "PFCOUNT none", ":0|"),
            (&[], "FLUSHALL", "+OK|"),
            (&["MULTI"], "SET k v", "+QUEUED|"),
            (&["MULTI", "SET k v"], "EXEC", "*1|+OK|"),
            (&["MULTI", "PFCOUNT none"], "EXEC", "*1|:0|"),
        ],
    );
}

#[test]
fn a_pause_of_writes_lets_everything_else_through() {
    let served = Served::start(1);
    let mut client = served.client();
    client.run("CLIENT PAUSE 100000 WRITE", "+OK|");
    for (line, reply) in [
        ("GET none", "$-1|"),
        ("SORT_RO none", "*0|"),
        ("PING", "+PONG|"),
        ("SET k", "-ERR wrong number of arguments for 'set' command|"),
        ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: |"),
        ("MULTI", "+OK|"),
        ("GET none", "+QUEUED|"),
        ("EXEC", "*1|$-1|"),
        ("WATCH k", "+OK|"),
        ("DISCARD", "-ERR DISCARD without MULTI|"),
        ("CLIENT UNPAUSE", "+OK|"),
        ("SET k v", "+OK|"),
    ] {
        client.run(line, reply);
    }
    // A transaction that will not be executed writes nothing.
    let mut other = served.client();
    ["MULTI", "SET k w"].iter().for_each(|line| prepare(&mut other, line));
    other.run("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: |");
    client.run("CLIENT PAUSE 100000 WRITE", "+OK|");
    other.run("EXEC", "-EXECABORT Transaction discarded because of previous errors.|");
    client.run("GET k", "$1|v|");
}

#[test]
fn who_pauses_all_is_paused_as_well_and_pipelines_go_on_where_they_were() {
    let served = Served::start(1);
    let world = &served.shared().world;
    world.stop_clock();
    let mut client = served.client();
    client.send_lines(&["SET k 1", "CLIENT PAUSE 1000", "INCR k", "PING", "GET k"]);
    served.wait_until("the pipeline is held", |shared| shared.io[0].paused.get() == 1);
    client.expect("+OK|+OK|");
    world.advance_clock(1001);
    client.expect(":2|+PONG|$1|2|");
}

#[test]
fn an_older_pause_of_all_outlasts_a_newer_pause_of_writes() {
    let served = Served::start(1);
    let world = &served.shared().world;
    world.stop_clock();
    let (mut operator, mut client) = (served.client(), served.client());
    // In one transaction, for the first pause would hold back the second one.
    operator.send_lines(&["MULTI", "CLIENT PAUSE 1000 ALL", "CLIENT PAUSE 5000 WRITE", "EXEC"]);
    operator.expect("+OK|+QUEUED|+QUEUED|*2|+OK|+OK|");
    client.send_lines(&["GET k"]);
    served.wait_until("the read is held", |shared| shared.io[0].paused.get() == 1);
    world.advance_clock(1001);
    // Some ticks.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(served.shared().io[0].paused.get(), 1);
    world.advance_clock(4000);
    client.expect("$-1|");
}

#[test]
fn a_pause_in_a_transaction_begins_when_it_ends() {
    for shards in [1, 4] {
        let served = Served::with_io_threads(shards, 2);
        let world = &served.shared().world;
        let (mut operator, mut client) = (served.client(), served.client());
        let begun = world.monotonic_milliseconds();
        operator.send_lines(&["MULTI", "CLIENT PAUSE 100000 ALL", "DEBUG SLEEP 0.3", "SET l w", "EXEC"]);
        operator.expect("+OK|+QUEUED|+QUEUED|+QUEUED|*3|+OK|+OK|+OK|");
        let (until, _) = world.pause.get(world.monotonic_milliseconds()).expect("a pause");
        assert!(until >= begun + 300 + 100_000, "{shards} shards: {}", until - begun);
        client.send_lines(&["GET l"]);
        served.wait_until("reads are held", |shared| shared.io.iter().any(|io| io.paused.get() == 1));
        world.pause.end();
        served.shared().wake_all();
        client.expect("$1|w|");
    }
}

#[test]
fn a_paused_client_is_told_of_as_blocked_but_cannot_be_unblocked_and_is_never_idle() {
    let served = Served::start(1);
    let world = &served.shared().world;
    world.stop_clock();
    world.settings.timeout.set(10);
    let (mut operator, mut client) = (served.client(), served.client());
    let id = client.integer("CLIENT ID");
    operator.run("CLIENT PAUSE 100000 WRITE", "+OK|");
    client.send_lines(&["SET k v"]);
    served.wait_until("the write is held", |shared| shared.io[0].paused.get() == 1);
    let all = served.shared().clients.all();
    let (record, _) = all.iter().find(|(record, _)| record.id as i64 == id).expect("the client");
    let line = sherd_ioth::observe::clients::describe(record, world.monotonic_milliseconds());
    assert!(line.contains(" flags=b ") && line.contains(" cmd=set "), "{line}");
    operator.run(&format!("CLIENT UNBLOCK {id}"), ":0|");
    world.advance_clock(20_000);
    // The operator has been idle for too long, and another one ends the pause.
    operator.expect_end();
    let mut operator = served.client();
    operator.run("CLIENT UNPAUSE", "+OK|");
    client.expect("+OK|");
    assert!(!record.paused.load(Relaxed));
}

#[test]
fn what_a_client_asked_for_that_has_gone_or_was_killed_meanwhile_is_not_executed() {
    let served = Served::start(1);
    let (mut operator, mut gone, mut killed) = (served.client(), served.client(), served.client());
    let id = killed.integer("CLIENT ID");
    operator.run("CLIENT PAUSE 100000 WRITE", "+OK|");
    gone.send_lines(&["SET gone v"]);
    killed.send_lines(&["SET killed v"]);
    served.wait_until("both are held", |shared| shared.io[0].paused.get() == 2);
    drop(gone);
    operator.run(&format!("CLIENT KILL ID {id}"), ":1|");
    killed.expect_end();
    served.wait_until("both have gone", |shared| shared.io[0].paused.get() == 0);
    operator.run("CLIENT UNPAUSE", "+OK|");
    operator.run("EXISTS gone killed", ":0|");
}

#[test]
fn nothing_expires_while_clients_are_paused_but_nothing_expired_is_seen() {
    for shards in [1, 4] {
        let served = Served::start(shards);
        let world = &served.shared().world;
        world.stop_clock();
        let mut client = served.client();
        client.send_lines(&["MSET a 1 b 2", "PEXPIRE a 100", "HSET h f 1 g 2 i 3", "HPEXPIRE h 100 FIELDS 1 f"]);
        client.expect("+OK|:1|:3|*1|:1|");
        client.send_lines(&["SADD s x y", "SPEXPIRE s 100 MEMBERS 1 x", "CLIENT PAUSE 5000 WRITE"]);
        client.expect(":2|*1|:1|+OK|");
        world.advance_clock(101);
        for (line, reply) in [
            ("GET a", "$-1|"),
            ("EXISTS a b", ":1|"),
            ("TTL a", ":-2|"),
            ("HGET h f", "$-1|"),
            ("HMGET h f g", "*2|$-1|$1|2|"),
            ("HEXISTS h f", ":0|"),
            ("HSTRLEN h f", ":0|"),
            ("HTTL h FIELDS 2 f g", "*2|:-2|:-1|"),
            ("SISMEMBER s x", ":0|"),
            ("SMISMEMBER s x y", "*2|:0|:1|"),
            ("SMEMBERS s", "*1|$1|y|"),
            ("SRANDMEMBER s", "$1|y|"),
            ("SRANDMEMBER s 5", "*1|$1|y|"),
            ("SORT_RO s ALPHA", "*1|$1|y|"),
            ("HLEN h", ":3|"),
            ("SCARD s", ":2|"),
            ("DBSIZE", ":4|"),
        ] {
            client.run(line, reply);
        }
        // A shard's thread has had its time to sweep.
        std::thread::sleep(std::time::Duration::from_millis(300));
        client.run("DBSIZE", ":4|");
        let stats = || (0..shards).map(|shard| served.shared().engine.stats(shard).0);
        let expired = || stats().map(|stats| stats.expired_keys.get() + stats.expired_fields.get()).sum::<u64>();
        assert_eq!(expired(), 0);
        client.run("CLIENT UNPAUSE", "+OK|");
        served.wait_until("all of it expires", |_| expired() == 2);
        client.run("DBSIZE", ":3|");
        client.run("HLEN h", ":2|");
    }
}

#[test]
fn algebra_over_sets_with_expired_members_leaves_them_where_they_are_while_clients_are_paused() {
    let served = Served::start(1);
    let world = &served.shared().world;
    world.stop_clock();
    world.settings.active_expire_enabled.set(0);
    let mut client = served.client();
    client.send_lines(&["SADD s x y", "SPEXPIRE s 100 MEMBERS 1 x", "SADD t z", "SPEXPIRE t 100 MEMBERS 1 z"]);
    client.expect(":2|*1|:1|:1|*1|:1|");
    client.run("CLIENT PAUSE 5000 WRITE", "+OK|");
    world.advance_clock(101);
    client.run("ZUNION 2 s t", "*1|$1|y|");
    client.run("ZINTERCARD 2 s t", ":0|");
    client.run("SCARD s", ":2|");
    client.run("CLIENT UNPAUSE", "+OK|");
    client.run("ZUNION 2 s t", "*1|$1|y|");
    client.run("SCARD s", ":1|");
}

#[test]
fn who_waits_for_keys_times_out_during_a_pause_and_is_not_served_by_the_clock() {
    let served = Served::start(1);
    let world = &served.shared().world;
    world.stop_clock();
    let (mut operator, mut popper, mut reader) = (served.client(), served.client(), served.client());
    operator.send_lines(&["XADD s 1-0 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g a STREAMS s >"]);
    operator.expect("$3|1-0|+OK|*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v|");
    popper.send_lines(&["BLPOP none 1"]);
    reader.send_lines(&["XREADGROUP GROUP g b CLAIM 2000 BLOCK 0 STREAMS s >"]);
    served.wait_until("both wait", |shared| shared.io[0].blocked.get() == 2);
    operator.run("CLIENT PAUSE 5000 WRITE", "+OK|");
    world.advance_clock(1001);
    popper.expect("*-1|");
    world.advance_clock(1500);
    std::thread::sleep(std::time::Duration::from_millis(200));
    operator.run("XPENDING s g - + 10 b", "*0|");
    operator.run("CLIENT UNPAUSE", "+OK|");
    reader.expect("*1|*2|$1|s|*1|*4|$3|1-0|*2|$1|f|$1|v|:2501|:1|");
}

/// Lines and their replies, in which `{k}` is a key of the last shard and `{o}` one of the first.
type Lines = &'static [(&'static str, &'static str)];

/// Pauses, and expects the answer to come after shards were let go.
fn expect_answer_when_free(operator: &mut Client, pause: Lines, held: Hold<&Engine>, what: &str) {
    let is_free = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_free = &is_free;
        let answered = scope.spawn(move || {
            pause.iter().for_each(|(line, reply)| operator.run(line, reply));
            is_free.load(SeqCst)
        });
        std::thread::sleep(Duration::from_millis(200));
        is_free.store(true, SeqCst);
        drop(held);
        assert!(answered.join().expect("an answer"), "{what}: what was let pass is still to be executed");
    });
}

/// Has the last line wait for a shard that this thread holds, and pauses. Who pauses is answered when the shard was let go and the line
/// was executed.
fn expect_executed_before_the_answer(held_shard: usize, lines: Lines, pause: Lines) {
    let served = Served::with_io_threads(4, 2);
    let (mut operator, mut client, mut pusher) = (served.client(), served.client(), served.client());
    let map = served.shared().world.slots;
    let key_of =
        |shard| (0..).map(|number| format!("k{number}")).find(|key| map.shard_of(map.slot(key.as_bytes())) == shard);
    let (last, first) = (key_of(3).expect("a key"), key_of(0).expect("a key"));
    let filled = |line: &str| line.replace("{k}", &last).replace("{o}", &first);
    let (&(line, reply), before) = lines.split_last().expect("a line");
    before.iter().for_each(|(line, reply)| client.run(&filled(line), reply));
    let waits = line.starts_with("BLPOP");
    if waits {
        client.send_lines(&[&filled(line)]);
        served.wait_until(line, |shared| shared.io.iter().any(|io| io.blocked.get() == 1));
    }
    let engine = &served.shared().engine;
    let held = Engine::hold(&**engine, 1 << held_shard);
    if waits {
        pusher.run(&filled("LPUSH {k} v"), ":1|");
    } else {
        client.send_lines(&[&filled(line)]);
    }
    // By now the line has passed the gate, or waits to be served.
    std::thread::sleep(Duration::from_millis(100));
    expect_answer_when_free(&mut operator, pause, held, line);
    client.expect(&filled(reply).replace("$v|", &format!("${}|{last}|", last.len())));
}

#[test]
fn who_pauses_is_answered_when_nothing_is_executed_any_more_that_was_let_pass_before() {
    const PAUSES: [Lines; 3] = [
        &[("CLIENT PAUSE 100000 WRITE", "+OK|")],
        &[("CLIENT PAUSE 100000 ALL", "+OK|")],
        &[("MULTI", "+OK|"), ("CLIENT PAUSE 100000 WRITE", "+QUEUED|"), ("EXEC", "*1|+OK|")],
    ];
    for pause in PAUSES {
        expect_executed_before_the_answer(3, &[("SET {k} v", "+OK|")], pause);
        expect_executed_before_the_answer(3, &[("MSET {k} v {o} v", "+OK|")], pause);
        let transaction: Lines =
            &[("MULTI", "+OK|"), ("SET {k} v", "+QUEUED|"), ("SET {o} v", "+QUEUED|"), ("EXEC", "*2|+OK|+OK|")];
        expect_executed_before_the_answer(3, transaction, pause);
    }
}

#[test]
fn who_pauses_is_answered_when_waiting_clients_have_what_they_are_to_get() {
    let lines: Lines = &[("BLPOP {k} {o} 0", "*2|$v|$1|v|")];
    expect_executed_before_the_answer(0, lines, &[("CLIENT PAUSE 100000 WRITE", "+OK|")]);
}

#[test]
fn who_pauses_waits_for_nobody_that_waits_for_a_key_or_pauses_as_well() {
    let served = Served::with_io_threads(2, 2);
    let mut clients: Vec<Client> = (0..6).map(|_| served.client()).collect();
    let (waiting, pausing) = clients.split_at_mut(2);
    waiting.iter_mut().for_each(|client| client.send_lines(&["BLPOP none 0"]));
    served.wait_until("both wait", |shared| shared.io.iter().map(|io| io.blocked.get()).sum::<u64>() == 2);
    pausing.iter_mut().for_each(|client| client.send_lines(&["CLIENT PAUSE 100000 WRITE"]));
    pausing.iter_mut().for_each(|client| client.expect("+OK|"));
    pausing[0].run("CLIENT UNPAUSE", "+OK|");
    pausing[0].run("RPUSH none v", ":1|");
}

#[test]
fn who_pauses_is_answered_when_waiting_clients_have_what_time_alone_brings_them() {
    let served = Served::with_io_threads(2, 2);
    let world = &served.shared().world;
    world.stop_clock();
    let (mut operator, mut reader) = (served.client(), served.client());
    operator.send_lines(&["XADD s 1-0 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g a STREAMS s >"]);
    operator.expect("$3|1-0|+OK|*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v|");
    reader.send_lines(&["XREADGROUP GROUP g b CLAIM 2000 BLOCK 0 STREAMS s >"]);
    served.wait_until("it waits", |shared| shared.io.iter().any(|io| io.blocked.get() == 1));
    let engine = &served.shared().engine;
    let held = Engine::hold(&**engine, engine.all_shards());
    world.advance_clock(2500);
    served.wait_until("the run is on its way", |shared| shared.world.runs_due.load(SeqCst) == 1);
    expect_answer_when_free(&mut operator, &[("CLIENT PAUSE 100000 WRITE", "+OK|")], held, "CLAIM");
    reader.expect("*1|*2|$1|s|*1|*4|$3|1-0|*2|$1|f|$1|v|:2500|:1|");
}
