//! What time a command sees, and that nothing that lasts depends on the wall clock: an operator sets it back by an hour.

mod served;

use served::Served;

#[test]
fn a_command_that_took_long_makes_the_rest_of_its_pipeline_no_earlier() {
    for shards in [1, 4] {
        let served = Served::start(shards);
        let mut client = served.client();
        client.send_lines(&["SET k v PX 20", "DEBUG SLEEP 0.1", "GET k"]);
        client.expect("+OK|+OK|$-1|");
        let before = served.shared().world.now_milliseconds();
        client.send_lines(&["DEBUG SLEEP 0.1", "SET k v PX 60000", "DEBUG SLEEP 0.1"]);
        client.expect("+OK|+OK|+OK|");
        let expires_at = client.integer("PEXPIRETIME k");
        assert!(expires_at >= before + 100 + 60_000, "{shards} shards: {}", expires_at - before);
    }
}

#[test]
fn many_commands_that_each_took_a_little_add_up() {
    let served = Served::start(1);
    let mut client = served.client();
    let mut lines = vec!["SET k v PX 20"];
    lines.extend(["DEBUG SLEEP 0.0005"; 100]);
    lines.push("GET k");
    client.send_lines(&lines);
    client.expect(&format!("+OK|{}$-1|", "+OK|".repeat(100)));
}

#[test]
fn a_transaction_sees_one_time_however_long_it_takes() {
    for shards in [1, 4] {
        let served = Served::start(shards);
        let mut client = served.client();
        client.send_lines(&["MULTI", "SET k v PX 20", "DEBUG SLEEP 0.1", "GET k", "PTTL k", "EXEC", "GET k"]);
        client.expect("+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|+OK|+OK|$1|v|:20|$-1|");
    }
}

#[test]
fn a_wall_clock_set_back_delays_no_blocking_timeout() {
    for shards in [1, 4] {
        for line in ["BLPOP a b 5", "BZPOPMIN a b 5", "XREAD BLOCK 5000 STREAMS a b $ $"] {
            let served = Served::start(shards);
            served.shared().world.stop_clock();
            let mut client = served.client();
            client.send_lines(&[line]);
            served.wait_until("the client waits", |shared| shared.io[0].blocked.get() == 1);
            served.advance_with_wall_set_back(5001);
            client.expect("*-1|");
        }
    }
}

#[test]
fn entries_are_claimed_when_they_have_been_pending_for_long_enough() {
    for shards in [1, 4] {
        let served = Served::start(shards);
        let world = &served.shared().world;
        world.stop_clock();
        let mut client = served.client();
        client.run("XADD s 1-0 f v", "$3|1-0|");
        client.run("XGROUP CREATE s g 0", "+OK|");
        client.run("XREADGROUP GROUP g a STREAMS s >", "*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v|");
        client.send_lines(&["XREADGROUP GROUP g b CLAIM 5000 BLOCK 0 STREAMS s >"]);
        served.wait_until("the client waits", |shared| shared.io[0].blocked.get() == 1);
        // The entry becomes as much younger as the clock was set back, and time passes all the same.
        served.advance_with_wall_set_back(5000);
        world.advance_clock(3_600_000);
        client.expect("*1|*2|$1|s|*1|*4|$3|1-0|*2|$1|f|$1|v|:5000|:1|");
    }
}

#[test]
fn a_wall_clock_set_back_makes_no_pause_longer() {
    let served = Served::start(1);
    served.shared().world.stop_clock();
    let mut client = served.client();
    client.run("CLIENT PAUSE 5000", "+OK|");
    client.send_lines(&["GET k"]);
    served.advance_with_wall_set_back(5001);
    client.expect("$-1|");
}

#[test]
fn a_wall_clock_set_back_keeps_no_idle_client() {
    let served = Served::start(1);
    let world = &served.shared().world;
    world.stop_clock();
    world.settings.timeout.set(10);
    let mut client = served.client();
    client.run("PING", "+PONG|");
    served.advance_with_wall_set_back(11_000);
    client.expect_end();
}

#[test]
fn a_wall_clock_set_back_changes_no_age_and_no_idle_time() {
    let served = Served::start(1);
    served.shared().world.stop_clock();
    let mut client = served.client();
    client.run("SET k v", "+OK|");
    served.advance_with_wall_set_back(7000);
    client.run("OBJECT IDLETIME k", ":7|");
    let (record, _) = served.shared().clients.all().remove(0);
    let line = sherd_ioth::observe::clients::describe(&record, served.shared().world.monotonic_milliseconds());
    assert!(line.contains(" age=7 idle=0 "), "{line}");
}
